//! Processes that are killed, the binaries of this profile, and instances of `push` in this process.

use super::{instances, logins, phones, pushes, refreshes};
use crate::{
    runtime_api::build,
    suites::row::{Row, Size, grouped},
};

/// Decides what is pushed to the instances, and how they die.
const SEED: u64 = 38;

/// At so many steps of a login everything is written, or nothing is spent: it is repeated. At the others it is begun anew.
const REPEATED: u64 = 5;

/// Refreshes, and rounds of logins at each of their steps.
const REFRESHES: (u64, u64) = (200, 5_000);
const ROUNDS: (u64, u64) = (8, 400);

/// Messages whose instances are killed, in this process and as processes of their own.
const INSTANCES: (u64, u64) = (12_000, 200_000);
const PUSHES: (u64, u64) = (400, 10_000);
const MESSAGES: u64 = 10_000;

pub async fn rows(size: Size) -> Vec<Row> {
    let binaries = build();
    let refreshes = refreshes(&binaries, size.of(REFRESHES.0, REFRESHES.1)).await;
    let rounds = size.of(ROUNDS.0, ROUNDS.1);
    let logins = logins(&binaries, rounds).await;
    let phones = phones(&binaries).await;
    let pushes = pushes(&binaries, size.of(PUSHES.0, PUSHES.1)).await;
    let instances = instances::run(size.of(INSTANCES.0, INSTANCES.1), SEED, None);
    Row::because(&[&instances.lost[..], &instances.stuck, &instances.ended].concat());
    let messages = instances.messages + pushes.killed;
    let what = format!(
        "messages pushed, and repeated, to instances that are killed at each of {} steps: in {} deaths in one process, and {} \
         processes",
        instances.steps.len(),
        grouped(instances.killed),
        grouped(pushes.killed),
    );
    let lost = instances.lost.len() as u64 + pushes.lost;
    vec![
        Row::all(
            "refreshes killed between the write and the answer: the same request gets the successor",
            refreshes.replayed,
            refreshes.killed,
        ),
        Row::all(
            "logins killed at each step: the same request gets one live token, or a clean `relogin`",
            logins.repeated + logins.relogins,
            logins.killed,
        ),
        Row::exactly("of them with a live token, at five steps each", REPEATED * rounds, logins.repeated),
        Row::none("of them with tokens that are dead on arrival", logins.dead),
        Row::at_most("calls to WeChat for a login and its repetition", 2, logins.wechat_calls),
        Row::all(
            "phone codes killed before and after each request: the number, paid once, or another tap",
            phones.numbers + phones.taps,
            phones.killed,
        ),
        Row::at_least(what, MESSAGES, messages),
        Row::all("of them acknowledged in the end", instances.acknowledged + pushes.acknowledged, messages),
        Row::none("of them acknowledged at any time before they had reached the table and the owner's function", lost),
        Row::none(
            format!(
                "logins and phone numbers after such a message, of {}, that a repetition of it took away",
                grouped(instances.since)
            ),
            instances.ended.len() as u64,
        ),
    ]
}

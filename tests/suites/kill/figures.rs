//! Processes that are killed, the binaries of this profile.

use super::{logins, phones, pushes, refreshes};
use crate::{
    runtime_api::build,
    suites::row::{Row, Size},
};

/// At so many steps of a login everything is written, or nothing is spent: it is repeated. At the others it is begun anew.
const REPEATED: u64 = 5;

/// Refreshes, and rounds of logins at each of their steps.
const REFRESHES: (u64, u64) = (200, 5_000);
const ROUNDS: (u64, u64) = (8, 400);

const PUSHES: (u64, u64) = (400, 10_000);

pub async fn rows(size: Size) -> Vec<Row> {
    let binaries = build();
    let refreshes = refreshes(&binaries, size.of(REFRESHES.0, REFRESHES.1)).await;
    let rounds = size.of(ROUNDS.0, ROUNDS.1);
    let logins = logins(&binaries, rounds).await;
    let phones = phones(&binaries).await;
    let pushes = pushes(&binaries, size.of(PUSHES.0, PUSHES.1)).await;
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
        Row::all(
            "messages pushed to a process that is killed at each of its steps: acknowledged when they are repeated",
            pushes.acknowledged,
            pushes.killed,
        ),
        Row::none("of them acknowledged, and reached neither the table nor the owner", pushes.lost),
    ]
}

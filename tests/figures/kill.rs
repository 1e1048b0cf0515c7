//! Processes that are killed, the binaries of this profile.

use tests::{
    kill::{logins, phones, refreshes},
    runtime_api::build,
};

use crate::table::{Row, Size};

/// Refreshes, and rounds of logins at each of their steps.
const REFRESHES: (u64, u64) = (200, 5_000);
const ROUNDS: (u64, u64) = (8, 400);

/// The lines of this suite.
pub(crate) async fn rows(size: Size) -> Vec<Row> {
    let binaries = build();
    let refreshes = refreshes(&binaries, size.of(REFRESHES.0, REFRESHES.1)).await;
    let logins = logins(&binaries, size.of(ROUNDS.0, ROUNDS.1)).await;
    let phones = phones(&binaries).await;
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
        Row::none("of them with tokens that are dead on arrival", logins.dead),
        Row::at_most("calls to WeChat for a login and its repetition", 2, logins.wechat_calls),
        Row::all(
            "phone codes killed before and after each request: the number, paid once, or another tap",
            phones.numbers + phones.taps,
            phones.killed,
        ),
    ]
}

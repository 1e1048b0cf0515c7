//! What others notice of a stranger.

use super::{flood, held, sources};
use crate::suites::row::{Row, grouped};

/// Processes of the second flood: as many as Lambda has for so many requests, about.
const PROCESSES: usize = 8;

/// Requests of one source, for each way in which a code may fare.
const TIMES: usize = 300;

pub async fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for processes in [1, PROCESSES] {
        let flood::Outcome { known, strangers, asked, wrong } = flood::flood(processes, flood::SECONDS, 32).await;
        Row::because(&wrong);
        let beside = format!("beside 50 invented codes a second from their address, at {processes} processes");
        let percent = |share: flood::Share| {
            let share_of = share.in_ten_thousand();
            format!("{}.{:02} % of {}", share_of / 100, share_of % 100, grouped(share.of))
        };
        rows.push(Row::new(
            format!("logins with a known device, at the first try, {beside}"),
            "≥ 99.9 %",
            percent(known),
            known.in_ten_thousand() >= 9_990,
        ));
        rows.push(Row::new(
            format!("strangers' logins within three tries, {beside}"),
            "≥ 50 %",
            percent(strangers),
            strangers.in_ten_thousand() >= 5_000,
        ));
        rows.push(Row::new(
            format!("of these invented codes WeChat is asked about, at {processes} processes"),
            "≤ 66.66 %",
            percent(asked),
            asked.in_ten_thousand() <= 6_666,
        ));
    }
    let tally = sources::each_way(TIMES).await;
    Row::because(&tally.changed);
    rows.push(Row::none(
        format!(
            "answers to others that {} requests of one source change, over all that WeChat may answer",
            grouped(tally.sent)
        ),
        tally.changed.len() as u64,
    ));
    let (without, with) = held::held();
    let hundredths = |with: std::time::Duration, without: std::time::Duration| {
        if with == without { 100 } else { 100 * with.as_millis() / without.as_millis().max(1) }
    };
    let (first, again) = (hundredths(with.first, without.first), hundredths(with.again, without.again));
    rows.push(Row::new(
        "time that an invented code with an `Idempotency-Key` holds a function, over one without: first, and again",
        "≤ 1.5",
        format!("{}.{:02}, {}.{:02}", first / 100, first % 100, again / 100, again % 100),
        first <= 150 && again <= 150,
    ));
    rows
}

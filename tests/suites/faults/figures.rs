//! Faults on the wire, each many times; how long it takes at the worst; and a WeChat that is not there.

use std::time::Duration;

use shared::lambda::TIMEOUT;

use super::{
    Outcome, all,
    latency::{Late, late},
    outage::{Outage, outage},
    patience::{Waited, patience},
};
use crate::suites::row::{Row, Size};

/// How many cases there are of each fault.
const TIMES: (u64, u64) = (40, 200);

/// Users, and how often each of them refreshes while WeChat is not there.
const USERS: usize = 50;
const ROUNDS: (usize, usize) = (40, 400);

/// How late WeChat answers, in milliseconds, and how many log in and send a phone code meanwhile.
const LATE: [u64; 4] = [500, 3_000, 4_500, 6_000];
const LATE_USERS: (usize, usize) = (16, 32);

/// What nobody waits for takes less.
const WAITED: Duration = Duration::from_secs(1);

const FAULTS: usize = 30;

/// The longest that anybody waited: somebody did, or nothing was slow.
fn worst<'a>(what: &str, bar: Duration, waited: impl Iterator<Item = &'a Waited>) -> Row {
    let worst = waited.max_by_key(|one| one.took);
    let measured = worst.map(|one| format!("{:.1} s ({}: {})", one.took.as_secs_f64(), one.what, one.weather));
    Row::new(
        format!("worst server time, {what}"),
        format!("≤ {} s", bar.as_secs_f64()),
        measured.unwrap_or_default(),
        worst.is_some_and(|one| WAITED < one.took && one.took <= bar),
    )
    .by_the_clock()
}

pub async fn rows(size: Size) -> Vec<Row> {
    let times = size.of(TIMES.0, TIMES.1);
    let waited = patience().await;
    let outcomes = all(times).await;
    let mut served = outage(Outage::Refused, USERS, size.of(ROUNDS.0, ROUNDS.1)).await;
    let silent = outage(Outage::Silent, USERS, size.of(ROUNDS.0, ROUNDS.1)).await;
    served.refreshes += silent.refreshes;
    served.refreshed += silent.refreshed;
    served.others += silent.others;
    served.served += silent.served;

    for outcome in outcomes.iter().filter(|outcome| !outcome.is_survived() || !outcome.unmet.is_empty()) {
        eprintln!("{outcome}");
    }
    let (survived, count) = (outcomes.iter().filter(|outcome| outcome.is_survived()).count(), outcomes.len());
    let sum = |of: fn(&Outcome) -> u64| outcomes.iter().map(of).sum::<u64>();
    let fewest = outcomes.iter().map(|outcome| outcome.cases).min().unwrap_or_default();
    let met = outcomes.iter().map(|outcome| outcome.times).min().unwrap_or_default();
    let is = |names: &'static [&str]| waited.iter().filter(move |one| names.contains(&one.what.as_str()));
    let (logins, refreshes) = (&["login", "login, repeated"], &["refresh", "refresh, reuse"]);
    let others =
        waited.iter().filter(|one| !logins.contains(&one.what.as_str()) && !refreshes.contains(&one.what.as_str()));
    let mut rows = vec![
        Row::new(
            format!("faults on the wire survived by whoever met them, in at least {fewest} cases each"),
            format!("{FAULTS} of {FAULTS}"),
            format!("{survived} of {count}"),
            (survived, count) == (FAULTS, FAULTS) && fewest >= times,
        ),
        Row::at_least("cases in which the fault was met, of the fault that was met least often", times, met)
            .by_the_clock(),
        Row::all(
            "the next step ends in a live session, and nothing from before is over",
            sum(|outcome| outcome.survived),
            sum(|outcome| outcome.cases),
        ),
        Row::none("failures of ours answered as a verdict on a credential", sum(|outcome| outcome.verdicts)),
        Row::all("refreshes served while WeChat is not there", served.refreshed, served.refreshes),
        Row::all("sessions, profiles, keys and logouts served meanwhile", served.served, served.others),
        worst("logins", Duration::from_secs(9), is(logins)),
        worst("refreshes", Duration::from_secs(3), is(refreshes)),
        worst("all other routes", TIMEOUT, others),
    ];
    rows.extend(late_rows(size).await);
    rows
}

/// What becomes of logins and phone codes while WeChat answers late.
async fn late_rows(size: Size) -> Vec<Row> {
    let mut came = Vec::new();
    for ms in LATE {
        came.push(late(Duration::from_millis(ms), size.of(LATE_USERS.0, LATE_USERS.1)).await);
    }
    let sum = |of: fn(&Late) -> u64| came.iter().map(of).sum::<u64>();
    let slowest = came.iter().map(|one| one.slowest_login).max().unwrap_or_default();
    vec![
        Row::all(
            "logins while WeChat answers after 0.5, 3, 4.5 and 6 s",
            sum(|one| one.logged_in),
            sum(|one| one.logins),
        )
        .by_the_clock(),
        Row::all(
            "phone codes meanwhile, each sent again by another process before the answer: the number twice",
            sum(|one| one.numbers),
            sum(|one| one.phones),
        )
        .by_the_clock(),
        Row::none("codes of them that were sent to WeChat twice", sum(|one| one.sent_again)),
        Row::new(
            "slowest of these logins",
            "≤ 9 s",
            format!("{:.1} s", slowest.as_secs_f64()),
            WAITED < slowest && slowest <= Duration::from_secs(9),
        )
        .by_the_clock(),
    ]
}

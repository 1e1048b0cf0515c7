//! The tests of the tests.

use crate::table::memory::Clause;

use super::{FLAWS, unnoticed};
use crate::suites::row::Row;

/// The refresh is guarded by so many.
const REFRESH: u64 = 6;

async fn clauses(what: &str, clauses: &[Clause], of: u64) -> Row {
    let unnoticed = unnoticed(clauses).await;
    Row::because(&unnoticed);
    Row::all(what, (clauses.len() - unnoticed.len()) as u64, of)
}

pub async fn rows() -> Vec<Row> {
    let is_of_refresh = |clause: &Clause| format!("{clause:?}").starts_with("Refresh");
    let (refresh, others): (Vec<_>, Vec<_>) = Clause::ALL.iter().copied().partition(is_of_refresh);
    let missed: Vec<_> = FLAWS.iter().filter(|flaw| !flaw.is_noticed()).map(|flaw| flaw.what).collect();
    Row::because(&missed);
    let named: Vec<_> = FLAWS.iter().map(|flaw| flaw.what).collect();
    let noticed = FLAWS.len() - missed.len();
    vec![
        clauses("clauses of the refresh whose removal is noticed", &refresh, REFRESH).await,
        clauses("clauses of the other writes whose removal is noticed", &others, others.len() as u64).await,
        Row::all(format!("other flaws that are noticed: {}", named.join(", ")), noticed as u64, FLAWS.len() as u64),
    ]
}

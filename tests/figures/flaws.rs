//! The tests of the tests.

use shared::session::memory::Clause;
use tests::flaws::{FLAWS, unnoticed};

use crate::table::Row;

async fn clauses(what: &str, clauses: &[Clause]) -> Row {
    let unnoticed = unnoticed(clauses).await;
    Row::all(what, (clauses.len() - unnoticed.len()) as u64, clauses.len() as u64)
}

/// The lines of this suite.
pub(crate) async fn rows() -> Vec<Row> {
    let is_of_refresh = |clause: &Clause| format!("{clause:?}").starts_with("Rotate");
    let (refresh, others): (Vec<_>, Vec<_>) = Clause::ALL.iter().copied().partition(is_of_refresh);
    let noticed = FLAWS.iter().filter(|flaw| flaw.is_noticed()).count() as u64;
    let named: Vec<_> = FLAWS.iter().map(|flaw| flaw.what).collect();
    vec![
        clauses("clauses of the refresh whose removal is noticed", &refresh).await,
        clauses("clauses of the other writes whose removal is noticed", &others).await,
        Row::all(format!("other flaws that are noticed: {}", named.join(", ")), noticed, FLAWS.len() as u64),
    ]
}

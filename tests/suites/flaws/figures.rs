//! The tests of the tests.

use crate::table::memory::Clause;

use super::{FLAWS, unnoticed};
use crate::suites::{exhaustive::ends, row::Row};

async fn clauses(what: &str, clauses: &[Clause]) -> Row {
    let unnoticed = unnoticed(clauses).await;
    Row::because(&unnoticed);
    Row::all(what, (clauses.len() - unnoticed.len()) as u64, clauses.len() as u64)
}

pub async fn rows() -> Vec<Row> {
    let others: Vec<_> = Clause::ALL.iter().copied().filter(|clause| !Clause::REFRESH.contains(clause)).collect();
    let missed: Vec<_> = FLAWS.iter().filter(|flaw| !flaw.is_noticed()).map(|flaw| flaw.what).collect();
    Row::because(&missed);
    let named: Vec<_> = FLAWS.iter().map(|flaw| flaw.what).collect();
    let noticed = FLAWS.len() - missed.len();
    let unnoticed = ends::unnoticed();
    Row::because(&unnoticed);
    let (rules, kept) = (ends::Rule::ALL.len() as u64, unnoticed.len() as u64);
    vec![
        clauses("clauses of the refresh whose removal is noticed", Clause::REFRESH).await,
        clauses("clauses of the other writes whose removal is noticed", &others).await,
        Row::all("rules of the ends whose removal the exhaustive model notices", rules - kept, rules),
        Row::all(format!("other flaws that are noticed: {}", named.join(", ")), noticed as u64, FLAWS.len() as u64),
    ]
}

//! What many clients at several processes are told.

use super::{
    Processes,
    pairs::{self, Pair},
};
use crate::suites::row::{Row, Size, grouped};

/// Operations in all; a history has some thirty.
const OPERATIONS: (u64, u64) = (100_000, 1_000_000);

/// Pairs of an end and a login, of each kind.
const PAIRS: (u64, u64) = (1_000, 10_000);

pub async fn rows(size: Size) -> Vec<Row> {
    let operations = size.of(OPERATIONS.0, OPERATIONS.1);
    let judged = Processes::start(0).await.judge(1_000, operations).await;
    Row::because(&judged.unexplained);
    let explained = judged.histories - judged.unexplained.len() as u64;
    let pairs = size.of(PAIRS.0, PAIRS.1);
    let mut rows = vec![
        Row::at_least("operations of 16 clients at four processes, recorded", operations, judged.operations),
        Row::all("histories of them that are linearizable", explained, judged.histories),
    ];
    for pair in Pair::ALL {
        let seen = pairs::play(pair, pairs, 0).await;
        let what = format!("{}, of {} pairs with a table 0 to 15 ms away", pair.what(), grouped(pairs));
        rows.push(Row::none(what, seen.left).and(seen.taken > 0 && seen.refused > 0));
    }
    rows
}

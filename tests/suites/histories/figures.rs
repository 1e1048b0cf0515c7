//! What many clients at several processes are told.

use super::Processes;
use crate::suites::row::{Row, Size};

/// Operations in all; a history has some thirty.
const OPERATIONS: (u64, u64) = (100_000, 1_000_000);

pub async fn rows(size: Size) -> Vec<Row> {
    let operations = size.of(OPERATIONS.0, OPERATIONS.1);
    let judged = Processes::start(0).await.judge(1_000, operations).await;
    Row::because(&judged.unexplained);
    let explained = judged.histories - judged.unexplained.len() as u64;
    vec![
        Row::at_least("operations of 16 clients at four processes, recorded", operations, judged.operations),
        Row::all("histories of them that are linearizable", explained, judged.histories),
    ]
}

//! Odd inputs for everything that takes bytes of strangers.

use super::{INPUTS, TARGETS, Tally};
use crate::suites::row::{Row, Size};

/// For each target.
const MOST: (u64, u64) = (1_000_000, 50_000_000);

pub fn rows(size: Size) -> Vec<Row> {
    let inputs = size.of(MOST.0, MOST.1);
    let mut all = Tally::default();
    let mut rows: Vec<_> = TARGETS
        .into_iter()
        .map(|target| {
            let tally = target.run(0..inputs.div_ceil(INPUTS));
            let good = tally.inputs - tally.findings.len() as u64;
            all += tally;
            Row::at_least(format!("inputs without panic, 5xx or hang, {}", target.what), inputs, good)
        })
        .collect();
    for finding in &all.findings {
        eprintln!("{finding:?}");
    }
    rows.push(Row::none("inputs that panic, are answered 5xx, or take longer than 100 ms", all.findings.len() as u64));
    rows
}

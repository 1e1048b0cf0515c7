//! Odd inputs for everything that takes bytes of strangers.

use super::{INPUTS, TARGETS, Tally};
use crate::suites::row::{Row, Size};

/// Inputs of each target, short and long.
const MOST: (u64, u64) = (1_000_000, 50_000_000);

/// Findings of the code; a good input may take too long on a busy machine.
fn bad(tally: &Tally) -> u64 {
    tally.findings.iter().filter(|finding| !finding.is_slow()).count() as u64
}

pub fn rows(size: Size) -> Vec<Row> {
    let inputs = size.of(MOST.0, MOST.1);
    let mut all = Tally::default();
    let mut rows: Vec<_> = TARGETS
        .into_iter()
        .map(|target| {
            let tally = target.run(0..inputs.div_ceil(INPUTS));
            let good = tally.inputs - bad(&tally);
            all += tally;
            Row::at_least(format!("inputs without panic, 5xx or hang, {}", target.what), inputs, good)
        })
        .collect();
    for finding in &all.findings {
        eprintln!("{finding:?}");
    }
    rows.push(Row::none("inputs that panic, hang or are answered 5xx", bad(&all)));
    let slow = all.findings.len() as u64 - bad(&all);
    rows.push(Row::none("inputs that take longer than 100 ms", slow).by_the_clock());
    rows
}

//! Signatures by a key that was not the user's.

use super::run;
use crate::suites::row::{Row, Size, grouped};

pub async fn rows(size: Size) -> Vec<Row> {
    let tally = run(size.of(100_000, 1_000_000), 39, None).await;
    Row::because(&tally.wrong);
    let others: u64 = tally.others.iter().filter(|(name, _)| **name != "nothing").map(|(_, count)| count).sum();
    let what = format!(
        "wrong-key signatures by `sign`, of {} ({} with a check), beside {} logins, replacements of the key and resets",
        grouped(tally.signed + tally.checked),
        grouped(tally.checked),
        grouped(others),
    );
    vec![Row::none(what, tally.wrong.len() as u64)]
}

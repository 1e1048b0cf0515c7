//! Signatures by a key that was not the user's.

use super::run;
use crate::suites::row::{Row, Size, grouped};

pub async fn rows(size: Size) -> Vec<Row> {
    let count = size.of(100_000, 1_000_000);
    let tally = run(count, 39, None).await;
    Row::because(&tally.wrong);
    vec![
        Row::none(
            format!(
                "wrong-key signatures by `sign`, and keys refused that were good, in {} calls, {} of which gave one, beside logins and \
                 key replacements",
                grouped(count),
                grouped(tally.signed + tally.checked)
            ),
            tally.wrong.len() as u64,
        )
        .and(tally.signed + tally.checked > count / 2),
    ]
}

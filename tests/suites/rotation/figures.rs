//! Keys that are rotated while tokens are used.

use super::{Across, across};
use crate::suites::row::{Row, grouped};

/// A day lies between two of them, and five requests in a minute.
const ROTATIONS: u64 = 12;

pub async fn rows() -> Vec<Row> {
    let seen = across(100_000).await;
    let Across { requests, failed, rotations, half } = seen;
    vec![Row::new(
        format!(
            "requests that failed, of {}, while the keys of the keyring and the signing keys are rotated",
            grouped(requests)
        ),
        format!("0, ≥ {ROTATIONS} rotations to other keys and as many half ones"),
        format!("{failed}, {rotations} and {half}"),
        failed == 0 && rotations >= ROTATIONS && half >= ROTATIONS,
    )]
}

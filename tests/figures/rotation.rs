//! Keys that are rotated while tokens are used.

use tests::rotation::across;

use crate::table::{Row, grouped};

/// The lines of this suite.
pub(crate) async fn rows() -> Vec<Row> {
    let seen = across(100_000).await;
    let (requests, rotations) = (grouped(seen.requests), grouped(seen.rotations));
    vec![Row::none(
        format!("requests that failed, of {requests} across {rotations} rotations of both secrets"),
        seen.failed,
    )]
}

//! What the binaries write when told to log all they can, searched for marked secrets; and the types that hold one.

use super::{
    trace::search,
    types::{ANSWERS, HOLDERS},
};
use crate::{
    runtime_api::build,
    suites::row::{Row, grouped},
};

/// Less was not searched well: a binary that says nothing hides nothing.
const LINES: usize = 60;
const KINDS: usize = 14;

/// The lines of this suite; it has one size.
pub async fn rows() -> Vec<Row> {
    let searched = search(&build()).await;
    let (lines, bytes) = (grouped(searched.lines as u64), grouped(searched.bytes as u64));
    Row::because(&searched.found);
    let written = Row::new(
        format!(
            "secrets in what the binaries write, told to log at TRACE (no listener is linked): {} spellings each",
            searched.spellings
        ),
        format!("0 in > {LINES} lines, of ≥ {KINDS} kinds"),
        format!("{} in {lines} lines ({bytes} bytes), of {} kinds", searched.found.len(), searched.kinds),
        searched.found.is_empty() && searched.lines > LINES && searched.kinds >= KINDS,
    );
    let held = HOLDERS.iter().filter(|holder| holder.is_shown || holder.is_sent);
    let answers = ANSWERS.iter().filter(|answer| answer.is_shown);
    let wrong: Vec<_> = held.chain(answers).collect();
    Row::because(&wrong);
    let types = format!(
        "types of {} holding secrets that implement `Display` or, but for {} answers and stored keys, `Serialize`",
        HOLDERS.len() + ANSWERS.len(),
        ANSWERS.len()
    );
    vec![written, Row::none(types, wrong.len() as u64)]
}

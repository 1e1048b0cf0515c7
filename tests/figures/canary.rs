//! What the binaries write at the highest log level, searched for marked secrets; and the types that hold one.

use tests::{
    canary::{
        trace::search,
        types::{ANSWERS, HOLDERS},
    },
    runtime_api::build,
};

use crate::table::{Row, grouped};

/// The lines of this suite; it has one size.
pub(crate) async fn rows() -> Vec<Row> {
    let searched = search(&build()).await;
    let (lines, bytes) = (grouped(searched.lines as u64), grouped(searched.bytes as u64));
    let what = format!(
        "secrets in {lines} lines ({bytes} bytes) of the binaries at TRACE: {} kinds in {} spellings",
        searched.kinds, searched.spellings
    );
    let held = HOLDERS.iter().filter(|holder| holder.is_shown || holder.is_sent);
    let answers = ANSWERS.iter().filter(|answer| answer.is_shown);
    let types = format!(
        "types of {} holding secrets that implement `Display` or, but for {} answers and stored keys, `Serialize`",
        HOLDERS.len() + ANSWERS.len(),
        ANSWERS.len()
    );
    vec![Row::none(what, searched.found.len() as u64), Row::none(types, held.chain(answers).count() as u64)]
}

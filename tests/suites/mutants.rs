//! Whether a test notices each change of the code that decides: what `cargo mutants` counts, by `.cargo/mutants.toml`.

use std::{fs, path::Path, process::Command};

use serde_json::Value;

use crate::suites::row::{Row, Size};

/// The lines of this suite: none in a short run, as each of some four hundred mutants is compiled and tested, and none
/// where `cargo mutants` is not installed.
pub fn rows(size: Size) -> Vec<Row> {
    let version = || Command::new("cargo").args(["mutants", "--version"]).output();
    if size == Size::Short || !version().is_ok_and(|version| version.status.success()) {
        return Vec::new();
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let outcomes = root.join("target/mutants.out/outcomes.json");
    // An old count must not stand in for one that did not come about.
    let _ = fs::remove_file(&outcomes);
    let ended = Command::new("cargo").args(["mutants", "--package", "shared"]).current_dir(root).output();
    let all_caught = ended.is_ok_and(|ended| ended.status.success());
    let counts: Value = fs::read(outcomes).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let count = |member: &str| counts[member].as_u64().unwrap_or_default();
    let viable = count("caught") + count("missed") + count("timeout");
    let row = Row::all("changes of verdict, tokens, seals and open data that a test notices", count("caught"), viable);
    vec![row.and(all_caught)]
}

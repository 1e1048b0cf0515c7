//! Which Rust there is, and what is checked with it.

use std::{collections::BTreeSet, fs};

use crate::{read, root};

/// What stands between quotes behind `key = `.
fn value(text: &str, key: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{key} = \"")));
    line.and_then(|rest| rest.split('"').next()).unwrap_or_else(|| panic!("no {key}")).to_owned()
}

/// The numbers of a version, to be compared.
fn version(text: &str) -> Vec<u32> {
    text.split('.').map(|number| number.parse().unwrap()).collect()
}

#[test]
fn the_toolchain_is_not_older_than_the_rust_that_the_manifests_declare() {
    let (used, declared) = (value(&read("rust-toolchain.toml"), "channel"), value(&read("Cargo.toml"), "rust-version"));

    assert!(version(&used) >= version(&declared), "{used} is older than {declared}");
    assert!(version("1.100.0") > version("1.94.1"));
}

/// The parts of `.ci/run`.
fn parts() -> BTreeSet<String> {
    let script = read(".ci/run");
    let line = script.lines().find_map(|line| line.strip_prefix("PARTS=(")).unwrap();
    line.trim_end_matches(')').split(' ').map(str::to_owned).collect()
}

#[test]
fn each_part_of_the_checks_is_run_for_pull_requests_or_at_night() {
    let night = read(".github/workflows/nightly.yml");
    let named = night.lines().find_map(|line| line.trim().strip_prefix("- run: .ci/run ")).unwrap();
    assert_eq!(named.split(' ').map(str::to_owned).collect::<BTreeSet<_>>(), parts(), "the night runs all parts");

    let pull_request = read(".github/workflows/pull-request.yml");
    let line = pull_request.lines().find_map(|line| line.trim().strip_prefix("part: [")).unwrap();
    let run: BTreeSet<_> = line.trim_end_matches(']').split(", ").map(str::to_owned).collect();

    let left: Vec<_> = parts().difference(&run).cloned().collect();
    assert!(run.is_subset(&parts()), "{run:?}");
    // The long ones.
    assert_eq!(left, ["adapters", "figures", "shipped"]);
}

/// A tag can be moved to other code, a commit cannot.
#[test]
fn workflows_name_the_actions_of_others_by_commit() {
    for entry in fs::read_dir(root().join(".github/workflows")).unwrap() {
        let path = entry.unwrap().path();
        for line in fs::read_to_string(&path).unwrap().lines() {
            let Some((_, action)) = line.split_once("uses: ") else { continue };
            let commit = action.split_once('@').and_then(|(_, commit)| commit.split(' ').next()).unwrap_or_default();
            let is_commit = commit.len() == 40 && commit.chars().all(|digit| digit.is_ascii_hexdigit());
            assert!(is_commit, "{}: {action}", path.display());
        }
    }
}

//! What a stranger sends against a secret of ours is compared in constant time. `cargo figures attackers` measures the same,
//! and a busy machine can spoil a measurement; the text of the code is the same everywhere.

use crate::read;

/// The files that compare such values, and how many comparisons are in each.
const COMPARING: [(&str, usize); 4] = [
    ("shared/src/http/proxy.rs", 1),
    ("shared/src/token/device.rs", 1),
    ("shared/src/token/refresh.rs", 1),
    ("shared/src/wechat/signature.rs", 2),
];

/// What ends at the first difference, or may.
const ENDING_EARLY: [&str; 6] = ["==", "!=", ".eq(", ".ne(", ".cmp(", ".starts_with("];

/// How often the deployed part of a source compares in constant time, and what else it compares with.
fn comparisons(source: &str) -> (usize, Vec<&'static str>) {
    let deployed = source.split("#[cfg(test)]").next().unwrap_or_default();
    let others = ENDING_EARLY.into_iter().filter(|other| deployed.contains(other)).collect();
    (deployed.matches(".ct_eq(").count(), others)
}

#[test]
fn tags_and_signatures_are_compared_in_constant_time_and_in_no_other_way() {
    for (path, count) in COMPARING {
        let source = read(path);

        assert_eq!(comparisons(&source), (count, vec![]), "{path}");
        let careless = source.replace(".ct_eq(", ".eq(");
        assert_eq!(comparisons(&careless), (0, vec![".eq("]), "{path}");
        assert!(source.contains("use subtle::"), "{path}");
    }
}

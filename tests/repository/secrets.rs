//! Whatever holds a secret is one of the types that the canary looks at, and nothing prints what libraries trace.

use std::collections::BTreeSet;

use tests::suites::canary::types::{ANSWERS, HOLDERS};

use crate::{files, read};

/// The types whose values are secrets.
const SECRET: [&str; 13] = [
    "AppSecret",
    "AppKey",
    "SessionKey",
    "LoginCode",
    "PhoneCode",
    "PlatformToken",
    "PushToken",
    "AccessToken",
    "RefreshTokenText",
    "IdempotencyKey",
    "OpenId",
    "UnionId",
    "Family",
];

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_alphanumeric() && letter != '_').filter(|word| !word.is_empty())
}

/// The public types in a file that have a field of one of these types.
fn holders(source: &str) -> Vec<String> {
    let deployed = source.split("#[cfg(test)]").next().unwrap_or_default();
    let declared = ["\npub struct ", "\npub enum "].into_iter().flat_map(|word| deployed.split(word).skip(1));
    let name = |declared| words(declared).next().unwrap_or_default();
    let holding = declared.filter(|declared| {
        let end = [declared.find("\n}"), declared.find(";\n")].into_iter().flatten().min();
        let lines =
            declared[..end.unwrap_or(declared.len())].lines().map(str::trim).filter(|line| !line.starts_with("//"));
        // A type stands behind the name of its field, or in the parentheses of a tuple.
        let types = lines.filter_map(|line| Some(line.split_once([':', '('])?.1));
        types.flat_map(words).any(|word| SECRET.contains(&word))
    });
    holding.map(|declared| name(declared).to_owned()).collect()
}

#[test]
fn every_type_with_a_secret_in_it_is_one_that_the_canary_looks_at() {
    let known: BTreeSet<_> =
        HOLDERS.iter().chain(ANSWERS).flat_map(|holder| words(holder.name)).map(str::to_owned).collect();
    let sources = ["shared/src", "functions"].iter().flat_map(|folder| files(folder, "rs"));
    let found: BTreeSet<_> = sources.flat_map(|path| holders(&std::fs::read_to_string(path).unwrap())).collect();

    assert!(found.len() > 15, "{found:?}");
    assert_eq!(found.difference(&known).collect::<Vec<_>>(), [""; 0]);
    assert_eq!(holders("\npub struct Slip {\n    pub key: SessionKey,\n}\n"), ["Slip"]);
}

/// `lambda_runtime` traces whole events, and HTTP clients trace addresses: all of it goes nowhere as long as nobody listens.
#[test]
fn nobody_listens_to_what_libraries_trace() {
    let lock = read("Cargo.lock");
    for listener in ["tracing-subscriber", "tracing-log", "env_logger", "simple_logger", "fern"] {
        assert!(!lock.contains(&format!("name = \"{listener}\"\n")), "{listener}");
    }
}

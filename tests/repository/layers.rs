//! The order of the files of `shared/src`: a file imports only from lines below its own, so no two files can import each
//! other in a circle.

use std::{collections::BTreeMap, path::Path};

use crate::{files, root};

/// From top to bottom. Names are paths without `.rs`; `x/*` stands for all files in the folder `x`.
const LAYERS: &[&[&str]] = &[
    &["lib"],
    &["lambda"],
    &["env"],
    &["platform_token/calls"],
    &["owner_function", "platform_token", "authenticator", "revocation"],
    &["config", "contract"],
    &["contract/document", "contract/forms"],
    &["contract/operation"],
    &["store/dynamo/user_ends"],
    &["store/dynamo/idempotency", "store/dynamo/platform_tokens", "store/dynamo/sessions", "store/dynamo/users"],
    &["store/dynamo/item"],
    &["store/dynamo"],
    &["store/grants"],
    &["store"],
    &["http"],
    &["http/body", "http/record"],
    &["http/extract"],
    &["http/proxy"],
    &["session/issue", "session/refresh"],
    &["session"],
    &["session/idempotency"],
    &["token/jwks"],
    &["token/access", "token/device", "token/refresh"],
    &["token/keyring"],
    &["token"],
    &["wechat", "wechat/client"],
    &["wechat/breaker", "wechat/response"],
    &["wechat/api", "wechat/errcode"],
    &["wechat/app"],
    &["wechat/push/apps"],
    &["wechat/error", "wechat/opendata", "wechat/push"],
    &["wechat/push/answer", "wechat/push/cipher"],
    &["wechat/ciphertext", "wechat/code", "wechat/phone_number", "wechat/push/message"],
    &["wechat/push/xml"],
    &["wechat/signature"],
    &["brake"],
    &["secrets", "secrets/key_rotation", "tls"],
    &["problem", "request_log", "vars", "expiring"],
    &["ids", "secret_text", "json", "clock", "entropy"],
];

/// A file as `LAYERS` names it.
fn name(path: &Path) -> String {
    let inside = path.strip_prefix(root().join("shared/src")).unwrap().with_extension("");
    inside.to_str().unwrap().to_owned()
}

/// The paths that a text imports or names, as segments from the root of the crate: `use` trees are spread out.
fn paths(text: &str, importer: &[&str]) -> Vec<Vec<String>> {
    let deployed = text.lines().take_while(|line| *line != "#[cfg(test)]");
    let code = deployed.filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    for (start, base) in [("crate::", 0), ("super::", 1)] {
        for (at, _) in code.match_indices(start) {
            let is_whole = !code[..at].ends_with(|before: char| before.is_alphanumeric() || "_:$".contains(before));
            let prefix: Vec<_> = match base {
                0 => Vec::new(),
                _ => importer[..importer.len().saturating_sub(1)].iter().map(|part| (*part).to_owned()).collect(),
            };
            if is_whole {
                spread(&code[at + start.len()..], &prefix, &mut found);
            }
        }
    }
    found
}

/// Reads one `use` tree at the beginning of a text, and gives the rest of the text.
fn spread<'a>(text: &'a str, prefix: &[String], found: &mut Vec<Vec<String>>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = spread(rest, prefix, found).trim_start();
            rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
            if let Some(after) = rest.strip_prefix('}') {
                return after;
            }
        }
    }
    let end = text.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(text.len());
    let (segment, rest) = text.split_at(end);
    let mut path = prefix.to_vec();
    path.extend((segment != "self").then(|| segment.to_owned()));
    match rest.strip_prefix("::") {
        Some(rest) if end > 0 => spread(rest, &path, found),
        _ => {
            found.push(path);
            // `as` renames, and `*` names nothing: both are left behind.
            rest.trim_start_matches(|letter| !",}".contains(letter)).trim_start()
        }
    }
}

/// The file that a path leads to: the longest part of it that is a file.
fn file_of(path: &[String], lines: &BTreeMap<String, usize>) -> Option<String> {
    (1..=path.len()).rev().map(|length| path[..length].join("/")).find(|file| lines.contains_key(file))
}

/// Imports that do not lead downwards.
fn wrong_imports(file: &str, text: &str, lines: &BTreeMap<String, usize>) -> Vec<String> {
    let segments: Vec<_> = file.split('/').collect();
    let imported = paths(text, &segments).into_iter().filter_map(|path| file_of(&path, lines));
    let upward = imported.filter(|imported| imported != file && lines[imported] <= lines[file]);
    let mut wrong: Vec<_> = upward.map(|imported| format!("{file} imports {imported}")).collect();
    wrong.sort();
    wrong.dedup();
    wrong
}

fn lines() -> BTreeMap<String, usize> {
    let numbered = LAYERS.iter().enumerate();
    numbered.flat_map(|(line, files)| files.iter().map(move |file| ((*file).to_owned(), line))).collect()
}

#[test]
fn files_of_shared_import_only_from_layers_below_their_own() {
    let lines = lines();
    let mut wrong = Vec::new();
    for path in files("shared/src", "rs").into_iter().filter(|path| !path.ends_with("tests.rs")) {
        let importer = name(&path);
        assert!(lines.contains_key(&importer), "{importer} is in no layer: tests/repository/layers.rs");
        wrong.extend(wrong_imports(&importer, &std::fs::read_to_string(&path).unwrap(), &lines));
    }
    assert_eq!(wrong, [""; 0], "these imports lead upwards, or to a file of the same layer");
}

#[test]
fn an_import_that_leads_upwards_is_noticed() {
    let order = lines();
    let wrong = |importer: &str, text: &str| wrong_imports(importer, text, &order);

    assert_eq!(wrong("ids", "use crate::session::Session;"), ["ids imports session"]);
    assert_eq!(
        wrong("token/access", "use super::{\n    KeyText,\n    jwks::{PublicJwks, self},\n};"),
        ["token/access imports token/jwks"]
    );
    assert_eq!(wrong("problem", "use crate::{clock::Secs, vars::{ConfigError as E, *}};"), ["problem imports vars"]);
    assert_eq!(wrong("secrets", "fn f() -> crate::env::Env {}"), ["secrets imports env"]);
    assert_eq!(
        wrong("store", "pub mod dynamo;\nuse dynamo::X;\nuse crate::store::dynamo::X;"),
        ["store imports store/dynamo"]
    );
    assert_eq!(wrong("env", "use crate::{clock::Secs, config, store::dynamo::DynamoTable};"), [""; 0]);
    assert_eq!(wrong("ids", "#[cfg(test)]\nuse crate::session::Session;"), [""; 0]);
    assert_eq!(wrong("ids", "// use crate::session::Session;"), [""; 0]);
}

//! What the documents say is what there is.

use std::collections::BTreeSet;

use shared::{problem::Code, vars::VARIABLES};

use crate::languages::headings;
use crate::{files, read, root};

#[test]
fn every_code_has_a_heading() {
    let explained: BTreeSet<_> =
        headings(&read("shared/contract/README.md")).into_iter().map(|(_, text)| text).collect();
    for code in Code::ALL {
        assert!(explained.contains(code.as_str()), "{}", code.as_str());
    }
}

/// The `WXAUTH_` variables that a text names.
fn variables(text: &str) -> BTreeSet<String> {
    text.match_indices("WXAUTH_")
        .map(|(at, _)| text[at..].chars().take_while(|at| at.is_ascii_uppercase() || *at == '_').collect::<String>())
        .filter(|name| name.len() > "WXAUTH_".len())
        .collect()
}

fn listed() -> BTreeSet<String> {
    VARIABLES.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn both_readmes_name_the_variables_that_are_read() {
    for readme in ["README.md", "README.zh-CN.md"] {
        assert_eq!(variables(&read(readme)), listed(), "{readme}");
    }
}

#[test]
fn the_code_reads_the_variables_that_are_listed() {
    let code = ["shared/src/config.rs", "shared/src/env.rs", "shared/src/tls.rs"].map(read).join("");
    assert_eq!(variables(&code), listed());
}

#[test]
fn the_template_sets_only_variables_that_are_read() {
    let set = variables(&read("infra/template.yaml"));
    assert!(set.is_subset(&listed()), "{:?}", set.difference(&listed()));
}

#[test]
fn links_between_documents_lead_somewhere() {
    for path in files(".", "md") {
        let text = std::fs::read_to_string(&path).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap();
            if file.is_empty() || target.contains("://") {
                continue;
            }
            let there = path.parent().unwrap().join(file);
            assert!(there.exists(), "{}: {target}", path.strip_prefix(root()).unwrap().display());
        }
    }
}

#[test]
fn each_folder_says_what_lies_in_it() {
    for folder in ["functions", "infra", "shared", "tests", "shared/contract", "tests/fixtures"] {
        assert!(root().join(folder).join("README.md").exists(), "{folder}");
    }
}

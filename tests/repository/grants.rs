//! What a function's `Deps` names is what its role may do.

use std::collections::{BTreeMap, BTreeSet};

use saphyr::{LoadableYamlNode as _, Yaml};

use crate::{functions, read};

/// The actions that each trait on the table stands for, as the trait's own documentation says.
fn traits() -> BTreeMap<String, BTreeSet<String>> {
    let mut traits = BTreeMap::new();
    let mut actions = BTreeSet::new();
    for line in read("shared/src/session.rs").lines() {
        if let Some(said) = line.strip_prefix("/// `") {
            actions = said
                .split('`')
                .filter(|part| part.ends_with("Item") || *part == "Query")
                .map(str::to_owned)
                .collect();
        } else if let Some(rest) = line.strip_prefix("pub trait ") {
            traits.insert(rest.split(':').next().unwrap().to_owned(), std::mem::take(&mut actions));
        }
    }
    traits
}

/// The traits in a function's `Deps`, and in what `Deps::from_env` puts together from the shared crate.
fn named(function: &str) -> BTreeSet<String> {
    let text = read(&format!("functions/{function}/src/lib.rs"));
    let mut named: BTreeSet<_> = text
        .split("Arc<dyn ")
        .skip(1)
        .map(|rest| rest.split('>').next().unwrap().to_owned())
        .collect();
    if text.contains("PlatformTokens {") {
        named.insert("KeepPlatformToken".to_owned());
    }
    named
}

/// The secrets that a function reads, by the method of `Env` that gives each.
fn secrets(function: &str) -> BTreeSet<&'static str> {
    let text = read(&format!("functions/{function}/src/lib.rs"));
    [
        ("env.apps()", "AppsSecret"),
        ("env.keyring()", "KeyringSecret"),
        ("env.signer()", "SigningKeysSecret"),
        ("env.verifier()", "JwksSecret"),
    ]
    .into_iter()
    .filter(|(method, _)| text.contains(method))
    .map(|(_, secret)| secret)
    .collect()
}

/// The plain texts in a node: one, or a list; tags such as `!Ref` aside.
fn texts(node: &Yaml<'_>) -> Vec<String> {
    match node {
        Yaml::Tagged(_, inner) => texts(inner),
        Yaml::Sequence(items) => items.iter().flat_map(texts).collect(),
        other => other.as_str().map(str::to_owned).into_iter().collect(),
    }
}

/// Each statement of a function's role: its actions and its resources.
fn statements(function: &str) -> Vec<(Vec<String>, Vec<String>)> {
    let template = read("infra/template.yaml");
    let documents = Yaml::load_from_str(&template).unwrap();
    let role = format!("{}{}Role", function[..1].to_uppercase(), &function[1..]);
    let policies = &documents[0]["Resources"][role.as_str()]["Properties"]["Policies"];
    policies
        .as_sequence()
        .unwrap()
        .iter()
        .flat_map(|policy| policy["PolicyDocument"]["Statement"].as_sequence().unwrap())
        .map(|statement| (texts(&statement["Action"]), texts(&statement["Resource"])))
        .collect()
}

#[test]
fn the_traits_of_a_function_are_its_grants_on_the_table() {
    let traits = traits();
    for function in functions() {
        let expected: BTreeSet<_> = named(&function)
            .iter()
            .filter_map(|name| traits.get(name))
            .flatten()
            .map(|action| format!("dynamodb:{action}"))
            .collect();
        let granted: BTreeSet<_> = statements(&function)
            .into_iter()
            .flat_map(|(actions, _)| actions)
            .filter(|action| action.starts_with("dynamodb:"))
            .collect();

        assert!(!expected.is_empty());
        assert_eq!(expected, granted, "{function}");
    }
}

#[test]
fn a_function_may_read_the_secrets_that_it_reads_and_no_others() {
    for function in functions() {
        let granted: BTreeSet<_> = statements(&function)
            .into_iter()
            .filter(|(actions, _)| actions.iter().any(|action| action.starts_with("secretsmanager:")))
            .inspect(|(actions, _)| assert_eq!(actions, &["secretsmanager:GetSecretValue"]))
            .flat_map(|(_, resources)| resources)
            .collect();

        assert_eq!(
            granted,
            secrets(&function).into_iter().map(str::to_owned).collect(),
            "{function}"
        );
    }
}

#[test]
fn nobody_may_do_everything_or_scan() {
    for function in functions() {
        for (actions, resources) in statements(&function) {
            assert!(
                actions
                    .iter()
                    .all(|action| !action.contains('*') && !action.contains("Scan")),
                "{function}"
            );
            assert!(
                resources.iter().all(|resource| !resource.contains('*')),
                "{function}: {resources:?}"
            );
        }
    }
}

#[test]
fn the_template_names_no_partition() {
    let template = read("infra/template.yaml");
    assert!(!template.contains("arn:aws") && !template.contains("amazonaws.com"));
}

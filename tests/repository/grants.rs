//! What a function's `Deps` names is what its role may do.

use std::collections::{BTreeMap, BTreeSet};

use saphyr::{LoadableYamlNode as _, Yaml};

use crate::{functions, read};

/// The actions that each trait on the table or on a secret stands for, as the trait's own documentation says.
fn traits() -> BTreeMap<String, BTreeSet<String>> {
    let mut traits = BTreeMap::new();
    let mut actions = BTreeSet::new();
    let is_action = |part: &&str| part.ends_with("Item") || part.contains("Secret") || *part == "Query";
    for line in format!("{}{}", read("shared/src/store/grants.rs"), read("shared/src/secrets/key_rotation.rs")).lines()
    {
        if let Some(said) = line.strip_prefix("/// `") {
            actions = said.split('`').filter(is_action).map(str::to_owned).collect();
        } else if let Some(rest) = line.strip_prefix("pub trait ") {
            traits.insert(rest.split(':').next().unwrap().to_owned(), std::mem::take(&mut actions));
        }
    }
    traits
}

/// The grants in the `grants!` of a file.
fn declared(path: &str) -> BTreeSet<String> {
    let text = read(path);
    let Some((_, declaration)) = text.split_once("pub trait ").filter(|_| text.contains("grants! {")) else {
        return BTreeSet::new();
    };
    let (_, list) = declaration.split_once('=').unwrap();
    let list = list.split_once(';').unwrap().0;
    list.split(',').map(|grant| grant.trim().to_owned()).filter(|grant| !grant.is_empty()).collect()
}

/// The grants of a function: those of its `Table`, and those of what `Deps::from_env` puts together.
fn named(function: &str) -> BTreeSet<String> {
    let path = format!("functions/{function}/src/lib.rs");
    let mut named = declared(&path);
    if named.remove("RevocationTable") {
        named.extend(declared("shared/src/revocation.rs"));
    }
    let text = read(&path);
    let parts = [("env.platform_tokens(", "KeepPlatformToken"), ("env.authenticator(", "ReadSession")];
    named.extend(parts.into_iter().filter(|(part, _)| text.contains(part)).map(|(_, grant)| grant.to_owned()));
    named.extend(
        ["RotateSecret", "WriteSecret"]
            .into_iter()
            .filter(|name| text.contains(&format!("dyn {name}>")))
            .map(str::to_owned),
    );
    named
}

/// What a function does with which secret, by the method of `Env` that gives it.
fn secrets(function: &str) -> BTreeSet<(String, String)> {
    let text = read(&format!("functions/{function}/src/lib.rs"));
    let traits = traits();
    let read_only = BTreeSet::from(["GetSecretValue".to_owned()]);
    [
        ("env.apps()", &read_only, &["AppsSecret"][..]),
        ("env.push_apps()", &read_only, &["PushSecret"]),
        ("env.keyring()", &read_only, &["KeyringSecret"]),
        ("env.signer()", &read_only, &["SigningKeysSecret"]),
        ("env.authenticator(", &read_only, &["JwksSecret", "BrakeSecret"]),
        ("env.jwks()", &read_only, &["JwksSecret"]),
        ("env.brake()", &read_only, &["BrakeSecret"]),
        ("env.proxy()", &read_only, &["TrustedProxyArn"]),
        ("env.rotated_secrets()", &traits["RotateSecret"], &["KeyringSecret", "SigningKeysSecret"]),
        ("env.public_half()", &traits["WriteSecret"], &["JwksSecret"]),
    ]
    .into_iter()
    .filter(|(method, _, _)| text.contains(method))
    .flat_map(|(_, actions, secrets)| {
        actions.iter().flat_map(|action| {
            secrets.iter().map(move |secret| (format!("secretsmanager:{action}"), (*secret).to_owned()))
        })
    })
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
        .map(|statement| match statement.as_mapping_get("Fn::If") {
            // What the role may do where the parameter is given.
            Some(condition) => &condition[1],
            None => statement,
        })
        .map(|statement| (texts(&statement["Action"]), texts(&statement["Resource"])))
        .collect()
}

#[test]
fn the_grants_of_a_function_are_those_of_its_role() {
    let traits = traits();
    for function in functions() {
        let expected: BTreeSet<_> = named(&function)
            .iter()
            .filter_map(|name| traits.get(name))
            .flatten()
            .filter(|action| !action.contains("Secret"))
            .map(|action| format!("dynamodb:{action}"))
            .collect();
        let granted: BTreeSet<_> = statements(&function)
            .into_iter()
            .flat_map(|(actions, _)| actions)
            .filter(|action| action.starts_with("dynamodb:"))
            .collect();

        assert_eq!(expected, granted, "{function}");
        assert!(!expected.is_empty() || !read(&format!("functions/{function}/src/lib.rs")).contains("env.table()"));
    }
}

#[test]
fn a_function_may_do_with_secrets_what_it_does_and_nothing_else() {
    for function in functions() {
        let granted: BTreeSet<_> = statements(&function)
            .into_iter()
            .flat_map(|(actions, resources)| {
                let on = move |action: String| resources.clone().into_iter().map(move |at| (action.clone(), at));
                actions.into_iter().filter(|action| action.starts_with("secretsmanager:")).flat_map(on)
            })
            .collect();

        assert_eq!(granted, secrets(&function), "{function}");
    }
}

#[test]
fn a_function_may_call_another_where_it_asks_the_owners_and_no_other() {
    for function in functions() {
        let granted: Vec<_> = statements(&function)
            .into_iter()
            .filter(|(actions, _)| actions.iter().any(|action| action.starts_with("lambda:")))
            .collect();
        let asks = read(&format!("functions/{function}/src/lib.rs")).contains("env.push_target()");
        let expected = (vec!["lambda:InvokeFunction".to_owned()], vec!["PushTargetArn".to_owned()]);
        assert_eq!(granted, if asks { vec![expected] } else { Vec::new() }, "{function}");
    }
}

/// The secret with the `AppSecret`s is none of what a stranger's request reaches first.
#[test]
fn push_reads_no_app_secret() {
    assert!(statements("push").iter().all(|(_, at)| at.iter().all(|at| at != "AppsSecret")));
}

#[test]
fn only_login_refresh_and_rotation_may_read_the_private_signing_keys() {
    let may: Vec<_> = functions()
        .into_iter()
        .filter(|function| statements(function).iter().any(|(_, at)| at.iter().any(|at| at == "SigningKeysSecret")))
        .collect();
    assert_eq!(may, ["login", "refresh", "rotation"]);
}

#[test]
fn nobody_may_do_everything_or_scan() {
    for function in functions() {
        for (actions, resources) in statements(&function) {
            assert!(actions.iter().all(|action| !action.contains('*') && !action.contains("Scan")), "{function}");
            assert!(resources.iter().all(|resource| !resource.contains('*')), "{function}: {resources:?}");
        }
    }
}

#[test]
fn the_template_names_no_partition() {
    let template = read("infra/template.yaml");
    assert!(!template.contains("arn:aws") && !template.contains("amazonaws.com"));
}

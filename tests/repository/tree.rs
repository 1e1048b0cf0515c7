//! The folders, who may depend on whom, and how long things may be.

use std::{collections::BTreeSet, fs};

use local::mounts::EntryPoint;

use crate::{files, functions, read, root};

#[test]
fn only_the_four_folders_stand_at_the_root() {
    let allowed = [
        "CHANGELOG.md",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "README.md",
        "README.zh-CN.md",
        "functions",
        "infra",
        "rust-toolchain.toml",
        "shared",
        "target",
        "tests",
    ];
    for entry in fs::read_dir(root()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name.starts_with('.') || allowed.contains(&name.as_str()), "{name}");
    }
}

#[tokio::test]
async fn folders_template_and_mounts_name_the_same_functions_and_routes() {
    let laptop = tests::Laptop::start().await;
    let mounts = local::mounts::all(&laptop.world.env).await.unwrap();
    let mounted: BTreeSet<_> = mounts
        .iter()
        .flat_map(|mount| {
            match &mount.entry_point {
                EntryPoint::Routes(routes, _) => *routes,
                EntryPoint::Events => &[],
            }
            .iter()
            .map(|route| format!("{} {} {}", mount.name, route.method, route.path))
        })
        .collect();
    let routed: BTreeSet<_> = local::template::routes()
        .unwrap()
        .into_iter()
        .map(|route| format!("{} {} {}", route.function, route.method, route.path))
        .collect();

    assert_eq!(mounted, routed);
    assert_eq!(
        mounts.iter().map(|mount| mount.name.to_owned()).collect::<BTreeSet<_>>(),
        functions().into_iter().collect()
    );
}

/// The names under `[dependencies]` of a manifest.
fn dependencies(manifest: &str) -> Vec<String> {
    read(manifest)
        .lines()
        .skip_while(|line| *line != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['.', ' ', '=']).next().filter(|name| !name.is_empty()).map(str::to_owned))
        .collect()
}

#[test]
fn a_function_knows_neither_aws_nor_an_http_client_nor_another_function() {
    for function in functions() {
        let named = dependencies(&format!("functions/{function}/Cargo.toml"));
        assert!(named.contains(&"shared".to_owned()), "{function}");
        for name in named {
            let forbidden = name.starts_with("aws-sdk")
                || name.starts_with("aws-smithy")
                || ["reqwest", "lambda_http", "local", "wechat-simulator"].contains(&name.as_str())
                || functions().contains(&name);
            assert!(!forbidden, "{function} depends on {name}");
        }
    }
}

#[test]
fn the_simulator_and_the_shared_crate_share_no_code() {
    assert!(!dependencies("infra/wechat-simulator/Cargo.toml").contains(&"shared".to_owned()));
    assert!(!dependencies("shared/Cargo.toml").iter().any(|name| name.contains("simulator")));
}

#[test]
fn one_file_names_lambda_http() {
    for folder in ["shared/src", "functions", "infra/local/src"] {
        for path in files(folder, "rs") {
            let names = fs::read_to_string(&path).unwrap().contains("lambda_http::");
            assert!(!names || path.ends_with("shared/src/lambda.rs"), "{}", path.display());
        }
    }
}

#[test]
fn files_stay_readable() {
    for folder in ["functions", "infra", "shared", "tests"] {
        for path in files(folder, "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let is_test = path.strip_prefix(root()).unwrap().components().any(|part| part.as_os_str() == "tests");
            let all = text.lines().count();
            assert!(all <= 500, "{}: {all} lines", path.display());
            let own = text.lines().take_while(|line| *line != "#[cfg(test)]").count();
            assert!(own <= 400 || is_test, "{}: {own} lines without its tests", path.display());
            assert!(text.starts_with("//! "), "{} does not say what it is", path.display());
        }
    }
    for function in functions() {
        let lines = read(&format!("functions/{function}/src/main.rs")).lines().count();
        assert!(lines <= 10, "functions/{function}/src/main.rs: {lines} lines");
    }
}

/// Suites are in `tests/suites`; the table in memory is a program of its own.
#[test]
fn helpers_of_tests_are_few_and_use_no_suite() {
    let helpers =
        files("tests/support", "rs").into_iter().filter(|path| !path.starts_with(root().join("tests/support/table")));
    let texts: Vec<_> = helpers.map(|path| fs::read_to_string(path).unwrap()).collect();

    assert!(texts.iter().all(|text| !text.contains("suites::")));
    let lines: usize = texts.iter().map(|text| text.lines().count()).sum();
    assert!(lines < 1_600, "{lines} lines");
}

#[test]
fn no_second_tls_or_crypto_stack_is_in_the_tree() {
    let lock = read("Cargo.lock");
    for banned in ["openssl", "openssl-sys", "native-tls", "rsa", "rustls-legacy"] {
        assert!(!lock.contains(&format!("name = \"{banned}\"\n")), "{banned}");
    }
    for single in ["rustls", "hyper", "h2", "reqwest", "aws-lc-rs", "aws-lc-sys"] {
        let copies = lock.matches(&format!("name = \"{single}\"\n")).count();
        assert!(copies <= 1, "{copies} copies of {single}");
    }
}

#[test]
fn every_client_for_aws_is_built_in_one_place_and_with_limits() {
    let counts = |text: &str| {
        ["::from_conf(", ".timeout_config(timeouts(", ".retry_config(retries())"].map(|call| text.matches(call).count())
    };
    let sources = ["functions", "shared/src", "infra/local/src"].iter().flat_map(|folder| files(folder, "rs"));

    let built: Vec<_> = sources.map(|path| (counts(&fs::read_to_string(&path).unwrap()), path)).collect();

    let places: Vec<_> = built.iter().filter(|(counts, _)| counts[0] > 0).collect();
    let [(counts, place)] = places.as_slice() else { panic!("{places:?}") };
    assert!(place.ends_with("shared/src/env.rs"), "{place:?}");
    assert_eq!(*counts, [2, 2, 2]);
}

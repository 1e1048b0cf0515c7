//! Strangers' JWKS clients (`clients/`) verify our tokens by nothing but the issuer's address.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Command,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use shared::clock::{Clock as _, SystemClock};
use tests::{
    APPID, Laptop,
    suites::rotation::{DAY, EMPTY, STEPS, deps_for, rotate, secrets_manager::SecretsManager, start, step},
};

/// Where `.ci/run` installs what the clients need: `clients` in the target folder, two folders above this test.
fn installed() -> PathBuf {
    std::env::current_exe().unwrap().ancestors().nth(3).unwrap().join("clients")
}

/// The header of a token, unverified.
fn header(token: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap()).unwrap()
}

/// Both clients accept all these tokens, and each of them with one character changed they refuse.
fn verify(laptop: &Laptop, stage: &str, tokens: &[&str]) {
    let (installed, scripts) = (installed(), Path::new(env!("CARGO_MANIFEST_DIR")).join("clients"));
    // Node.js looks for packages beside a script; one that it reads from its input lies where it is started.
    let mut node = Command::new("node");
    node.args(["--input-type=module", "-"]).stdin(File::open(scripts.join("verify.mjs")).unwrap());
    let mut python = Command::new(installed.join("venv/bin/python"));
    python.arg(scripts.join("verify.py"));

    for mut client in [node, python] {
        client.args([&laptop.world.url, APPID]).args(tokens).current_dir(&installed);
        let output = client.output().unwrap_or_else(|error| panic!("{client:?}: {error}"));
        let said = String::from_utf8_lossy(&output.stdout);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stage}: {said}{complaint}");
        assert_eq!(said.lines().filter(|line| line.starts_with("ok ")).count(), 2 * tokens.len(), "{stage}: {said}");
    }
}

/// The clients go by the machine's clock, so the laptop begins in the past, and its tokens live as long as they may.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs node, python and their packages; .ci/run installs them"]
async fn strangers_clients_verify_tokens_before_during_and_after_a_rotation() {
    for algorithm in ["RS256", "ES256"] {
        let manager = SecretsManager::start(&EMPTY).await;
        let begin = SystemClock.now() - 30 * DAY - 3_600;
        let laptop = start(&manager).at(begin).var("WXAUTH_ACCESS_SECONDS", "43200").go().await;
        let deps = deps_for(algorithm, &manager, &laptop.clock).await;
        rotate(&manager, &deps, "version-1").await;
        laptop.clock.advance(30 * DAY);
        let before = laptop.login("alice").await.access;
        assert_eq!(header(&before)["alg"], algorithm);
        verify(&laptop, "before", &[&before]);

        manager.begin_rotation("signing", "version-2");
        for name in &STEPS[..2] {
            step(&deps, name, "signing", "version-2").await.unwrap();
        }
        let during = laptop.login("bob").await.access;
        assert_eq!(header(&during)["kid"], header(&before)["kid"], "the private half does not count yet");
        verify(&laptop, "during", &[&before, &during]);

        rotate(&manager, &deps, "version-2").await;
        laptop.clock.advance(900);
        let after = laptop.login("carol").await.access;
        assert_ne!(header(&after)["kid"], header(&before)["kid"], "the next key signs");
        verify(&laptop, "after", &[&before, &during, &after]);
    }
}

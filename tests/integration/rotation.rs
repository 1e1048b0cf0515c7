//! The rotation function, against a Secrets Manager that the real SDK talks to.

use std::{collections::BTreeSet, sync::Arc};

use rotation::Deps;
use serde_json::{Value, json};
use shared::{config::Vars, entropy::OsEntropy, env::Env, http::record::Log};
use tests::{BEGIN, Hand, Laptop, Start, secrets_manager::SecretsManager};

const DAY: u64 = 86_400;
const EMPTY: [(&str, &str); 3] =
    [("keyring", r#"{"keys":{}}"#), ("signing", r#"{"keys":[]}"#), ("jwks", r#"{"keys":[]}"#)];
const STEPS: [&str; 4] = ["createSecret", "setSecret", "testSecret", "finishSecret"];

async fn deps(manager: &SecretsManager, clock: &Hand) -> Deps {
    let vars: Vars = [
        ("WXAUTH_JWKS", "jwks"),
        ("WXAUTH_SIGNING_ALGORITHM", "ES256"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "key"),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", &manager.url),
    ]
    .into_iter()
    .collect();
    let env = Env::new(vars, Arc::new(clock.clone()), Arc::new(OsEntropy), Log::new(|_| ())).unwrap();
    Deps::from_env(env).await.unwrap()
}

async fn step(deps: &Deps, step: &str, secret: &str, version: &str) -> Result<(), rotation::flow::RotationError> {
    let event = json!({ "Step": step, "SecretId": secret, "ClientRequestToken": version });
    rotation::handle(deps.clone(), serde_json::from_value(event).unwrap()).await.map(drop)
}

/// A whole rotation of both secrets, as Secrets Manager drives it.
async fn rotate(manager: &SecretsManager, deps: &Deps, version: &str) {
    for secret in ["keyring", "signing"] {
        manager.begin_rotation(secret, version);
        for name in STEPS {
            step(deps, name, secret, version).await.unwrap_or_else(|error| panic!("{secret} {name}: {error}"));
        }
    }
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn kid(set: &str, state: &str) -> Option<String> {
    let keys = json_of(set)["keys"].as_array().unwrap().clone();
    keys.iter().find(|key| key["state"] == state).map(|key| key["kid"].as_str().unwrap().to_owned())
}

fn kids(set: &str) -> BTreeSet<String> {
    json_of(set)["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_first_rotation_makes_current_and_next_of_both_secrets() {
    let (manager, clock) = (SecretsManager::start(&EMPTY).await, Hand::at(BEGIN));

    rotate(&manager, &deps(&manager, &clock).await, "version-1").await;

    let ring = json_of(&manager.current("keyring"));
    assert_eq!(ring["current"], 1);
    assert_eq!(ring["keys"].as_object().unwrap().len(), 2);
    let signing = manager.current("signing");
    assert!(kid(&signing, "current").is_some() && kid(&signing, "next").is_some());
    assert_eq!(kids(&signing), kids(&manager.current("jwks")));
    for private in ["\"d\"", "\"state\"", "\"made_at\""] {
        assert!(!manager.current("jwks").contains(private));
    }
}

#[tokio::test]
async fn a_second_rotation_within_a_day_leaves_everything_as_it_is() {
    let (manager, clock) = (SecretsManager::start(&EMPTY).await, Hand::at(BEGIN));
    let deps = deps(&manager, &clock).await;
    rotate(&manager, &deps, "version-1").await;
    let before = ["keyring", "signing", "jwks"].map(|secret| manager.current(secret));

    clock.advance(DAY - 1);
    rotate(&manager, &deps, "version-2").await;
    assert_eq!(before, ["keyring", "signing", "jwks"].map(|secret| manager.current(secret)));

    clock.advance(1);
    rotate(&manager, &deps, "version-3").await;
    let signing = manager.current("signing");
    assert_eq!(kid(&signing, "previous"), kid(&before[1], "current"));
    assert_eq!(kid(&signing, "current"), kid(&before[1], "next"));
    assert_eq!(kids(&manager.current("jwks")).len(), 3);
    assert_eq!(json_of(&manager.current("keyring"))["current"], 2);
}

#[tokio::test]
async fn each_step_can_be_repeated() {
    let (manager, clock) = (SecretsManager::start(&EMPTY).await, Hand::at(BEGIN));
    let deps = deps(&manager, &clock).await;
    for secret in ["keyring", "signing"] {
        manager.begin_rotation(secret, "version-1");
        let mut made = None;
        for name in STEPS {
            for _ in 0..3 {
                step(&deps, name, secret, "version-1").await.unwrap();
                let pending = manager.at_stage(secret, "AWSPENDING").unwrap_or_else(|| manager.current(secret));
                assert_eq!(made.get_or_insert_with(|| pending.clone()), &pending, "{secret} {name}");
            }
        }
    }
}

#[tokio::test]
async fn the_public_half_is_known_before_the_private_half_counts() {
    let (manager, clock) = (SecretsManager::start(&EMPTY).await, Hand::at(BEGIN));
    let deps = deps(&manager, &clock).await;
    rotate(&manager, &deps, "version-1").await;
    clock.advance(30 * DAY);
    manager.begin_rotation("signing", "version-2");

    step(&deps, "createSecret", "signing", "version-2").await.unwrap();
    step(&deps, "setSecret", "signing", "version-2").await.unwrap();

    let (public, private) = (kids(&manager.current("jwks")), kids(&manager.current("signing")));
    assert!(private.is_subset(&public));
    assert_eq!(public, kids(&manager.at_stage("signing", "AWSPENDING").unwrap()));
}

#[tokio::test]
async fn what_a_failed_rotation_left_pending_is_used_by_the_next_one() {
    let (manager, clock) = (SecretsManager::start(&EMPTY).await, Hand::at(BEGIN));
    let deps = deps(&manager, &clock).await;
    manager.begin_rotation("signing", "version-1");
    step(&deps, "createSecret", "signing", "version-1").await.unwrap();
    step(&deps, "setSecret", "signing", "version-1").await.unwrap();
    let published = kids(&manager.current("jwks"));

    for name in STEPS {
        step(&deps, name, "signing", "version-2").await.unwrap();
    }

    assert_eq!(kids(&manager.current("signing")), published);
}

#[tokio::test]
async fn steps_out_of_order_and_foreign_secrets_fail() {
    let secrets = [EMPTY[0], EMPTY[1], EMPTY[2], ("foreign", r#"{"password":"MARKER"}"#)];
    let (manager, clock) = (SecretsManager::start(&secrets).await, Hand::at(BEGIN));
    let deps = deps(&manager, &clock).await;

    for name in &STEPS[1..] {
        assert!(step(&deps, name, "signing", "version-1").await.is_err(), "{name}");
    }
    let refused = step(&deps, "createSecret", "foreign", "version-1").await.unwrap_err().to_string();
    assert_eq!(refused, "the secret is neither a keyring nor a private JWK set");
    manager.set_down(true);
    assert!(step(&deps, "createSecret", "signing", "version-1").await.is_err());
}

/// A laptop whose functions read their secrets from this Secrets Manager.
async fn laptop(manager: &SecretsManager) -> Laptop {
    Start::default()
        .var("WXAUTH_KEYRING", "keyring")
        .var("WXAUTH_SIGNING_KEYS", "signing")
        .var("WXAUTH_JWKS", "jwks")
        .var("AWS_ENDPOINT_URL_SECRETS_MANAGER", &manager.url)
        .go()
        .await
}

#[tokio::test]
async fn functions_started_before_the_first_rotation_answer_unavailable_and_then_work() {
    let manager = SecretsManager::start(&EMPTY).await;
    let laptop = laptop(&manager).await;
    let login = async |code: String| laptop.post("/v1/login", &json!({ "code": code })).await;
    login(laptop.code("alice")).await.is_problem(503, "unavailable", "retry");

    rotate(&manager, &deps(&manager, &laptop.clock).await, "version-1").await;

    login(laptop.code("alice")).await.ok();
}

#[tokio::test]
async fn rotations_while_tokens_are_used_fail_no_request() {
    let manager = SecretsManager::start(&EMPTY).await;
    let laptop = laptop(&manager).await;
    let deps = deps(&manager, &laptop.clock).await;
    rotate(&manager, &deps, "version-0").await;
    let mut alice = laptop.login("alice").await;

    // A rotation every 30 days; a refresh every 6 days; the secrets are down now and then.
    for round in 1..=12 {
        for _ in 0..5 {
            laptop.clock.advance(6 * DAY - 100);
            let stage = round % STEPS.len();
            let version = format!("version-{round}");
            for secret in ["keyring", "signing"] {
                manager.begin_rotation(secret, &version);
                for name in &STEPS[..stage] {
                    step(&deps, name, secret, &version).await.unwrap();
                }
            }
            manager.set_down(round % 3 == 0);
            let answer = laptop.refresh(&alice.refresh).await;
            if answer.status == 400 {
                // Thirty days are over: the one reason for which a session may end here.
                answer.is_problem(400, "login_required", "relogin");
                alice = laptop.login("alice").await;
            } else {
                alice.refresh = answer.text_of("refresh_token");
                alice.access = answer.text_of("access_token");
            }
            let tap = laptop.sim("phone", json!({ "user": "alice" }));
            laptop.post_as(&alice.access, "/v1/phone", &json!({ "code": tap["code"] })).await.ok();
            manager.set_down(false);
        }
        rotate(&manager, &deps, &format!("version-{round}")).await;
    }
}

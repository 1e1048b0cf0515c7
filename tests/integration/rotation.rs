//! The rotation function, against a Secrets Manager that the real SDK talks to.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use shared::clock::Clock as _;
use tests::{
    BEGIN, ManualClock,
    suites::rotation::{DAY, EMPTY, STEPS, deps, laptop, rotate, secrets_manager::SecretsManager, step},
};

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
    let (manager, clock) = (SecretsManager::start(&EMPTY).await, ManualClock::at(BEGIN));

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
    let (manager, clock) = (SecretsManager::start(&EMPTY).await, ManualClock::at(BEGIN));
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
    let (manager, clock) = (SecretsManager::start(&EMPTY).await, ManualClock::at(BEGIN));
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
        for late in STEPS {
            step(&deps, late, secret, "version-1").await.unwrap();
            assert_eq!(made.as_ref(), Some(&manager.current(secret)), "{secret} {late}, after the end");
        }
    }
}

#[tokio::test]
async fn the_public_half_is_known_before_the_private_half_counts() {
    let (manager, clock) = (SecretsManager::start(&EMPTY).await, ManualClock::at(BEGIN));
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
async fn what_a_failed_rotation_left_pending_never_comes_to_use_later() {
    let (manager, clock) = (SecretsManager::start(&EMPTY).await, ManualClock::at(BEGIN));
    let deps = deps(&manager, &clock).await;
    rotate(&manager, &deps, "version-1").await;
    clock.advance(30 * DAY);
    for secret in ["keyring", "signing"] {
        manager.begin_rotation(secret, "version-2");
        step(&deps, "createSecret", secret, "version-2").await.unwrap();
        clock.advance(3_601);
        let left = manager.at_stage(secret, "AWSPENDING").unwrap();

        // Too late: the key in it would count as a day old without having been known for a minute.
        for name in &STEPS[1..] {
            assert!(step(&deps, name, secret, "version-2").await.is_err(), "{secret} {name}");
        }
        assert_eq!(manager.at_stage(secret, "AWSPENDING"), None);

        manager.begin_rotation(secret, "version-3");
        for name in STEPS {
            step(&deps, name, secret, "version-3").await.unwrap();
        }
        assert_ne!(manager.current(secret), left);
    }
    let after = ["keyring", "signing", "jwks"].map(|secret| manager.current(secret));
    rotate(&manager, &deps, "version-4").await;
    assert_eq!(after, ["keyring", "signing", "jwks"].map(|secret| manager.current(secret)), "the guard holds");
}

#[tokio::test]
async fn keys_that_the_owner_put_aside_do_not_come_back() {
    let (manager, clock) = (SecretsManager::start(&EMPTY).await, ManualClock::at(BEGIN));
    let deps = deps(&manager, &clock).await;
    rotate(&manager, &deps, "version-1").await;
    clock.advance(30 * DAY);
    let leaked = kids(&manager.current("signing"));
    let leaked_ring = json_of(&manager.current("keyring"))["keys"].clone();
    for secret in ["keyring", "signing"] {
        manager.begin_rotation(secret, "version-2");
        step(&deps, "createSecret", secret, "version-2").await.unwrap();
        manager.put_current(secret, EMPTY[usize::from(secret == "signing")].1);

        for name in STEPS {
            // The first of them puts the pending version aside; there is nothing for the others.
            assert!(name == "createSecret" || step(&deps, name, secret, "version-2").await.is_err());
        }
    }
    rotate(&manager, &deps, "version-3").await;

    assert!(kids(&manager.current("signing")).is_disjoint(&leaked));
    assert!(kids(&manager.current("jwks")).is_disjoint(&leaked));
    let ring = json_of(&manager.current("keyring"));
    assert_eq!(ring["current"], 1);
    assert!(leaked_ring.as_object().unwrap().iter().all(|(id, key)| ring["keys"].get(id) != Some(key)));
}

#[tokio::test]
async fn a_public_half_that_was_overwritten_is_noticed_before_the_private_half_counts() {
    let (manager, clock) = (SecretsManager::start(&EMPTY).await, ManualClock::at(BEGIN));
    let deps = deps(&manager, &clock).await;
    rotate(&manager, &deps, "version-1").await;
    let published = manager.current("jwks");
    clock.advance(30 * DAY);
    manager.begin_rotation("signing", "version-2");
    for name in &STEPS[..2] {
        step(&deps, name, "signing", "version-2").await.unwrap();
    }

    manager.put_current("jwks", &published);

    assert!(step(&deps, "testSecret", "signing", "version-2").await.is_err());
}

#[tokio::test]
async fn steps_out_of_order_and_foreign_secrets_fail() {
    let secrets = [EMPTY[0], EMPTY[1], EMPTY[2], ("foreign", r#"{"password":"MARKER"}"#)];
    let (manager, clock) = (SecretsManager::start(&secrets).await, ManualClock::at(BEGIN));
    let deps = deps(&manager, &clock).await;

    for name in &STEPS[1..] {
        assert!(step(&deps, name, "signing", "version-1").await.is_err(), "{name}");
    }
    let refused = step(&deps, "createSecret", "foreign", "version-1").await.unwrap_err().to_string();
    assert_eq!(refused, "the secret is neither a keyring nor a private JWK set");
    manager.set_down(true);
    assert!(step(&deps, "createSecret", "signing", "version-1").await.is_err());
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
    let mut logged_in = laptop.clock.now();

    // A rotation every 30 days; a refresh every 6 days; the secrets are down now and then.
    for round in 1..=12 {
        for attempt in 0..5 {
            laptop.clock.advance(6 * DAY - 100);
            // Of most rotations only the first steps are done: something fails.
            let stage = round % STEPS.len();
            let version = format!("version-{round}-{attempt}");
            for secret in ["keyring", "signing"] {
                manager.begin_rotation(secret, &version);
                for name in &STEPS[..stage] {
                    step(&deps, name, secret, &version).await.unwrap();
                }
            }
            manager.set_down(round % 3 == 0);
            let answer = laptop.refresh(&alice.refresh).await;
            if answer.status == 400 {
                // The one reason for which a session may end here.
                assert!(laptop.clock.now() - logged_in >= 30 * DAY, "{answer:?}");
                alice = laptop.login("alice").await;
                logged_in = laptop.clock.now();
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

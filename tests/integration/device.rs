//! The `device` of a login: an id that lists of sessions show, and proof that only a login gives.

use serde_json::{Value, json};
use tests::{Laptop, Tokens};

async fn login(laptop: &Laptop, user: &str, device: &str) -> Tokens {
    laptop.login_with(&json!({ "code": laptop.code(user), "device": device })).await
}

async fn listed(laptop: &Laptop, tokens: &Tokens) -> Vec<Value> {
    let sessions = laptop.get(&tokens.access, "/v1/sessions").await.ok()["sessions"].clone();
    sessions.as_array().unwrap().iter().map(|session| session["device"].clone()).collect()
}

#[tokio::test]
async fn a_device_is_the_same_with_its_proof_without_and_with_a_damaged_one() {
    let laptop = Laptop::start().await;
    let first = laptop.login("alice").await;
    let (id, proof) = first.device.split_once('.').unwrap();

    for sent in [&first.device, id, &format!("{id}."), &format!("{id}.{}", &proof[1..]), &format!("{id}.x 一")] {
        let again = login(&laptop, "alice", sent).await;
        assert_eq!(again.device, first.device, "{sent}");
        assert_eq!(listed(&laptop, &again).await, [id], "{sent}");
    }
}

#[tokio::test]
async fn a_device_whose_id_cannot_be_read_is_made_anew() {
    let laptop = Laptop::start().await;
    let first = laptop.login("alice").await;

    for sent in ["", "abc", ".", &first.device[1..], &first.device.replace('.', "")] {
        let again = login(&laptop, "alice", sent).await;
        assert_ne!(again.device_id(), first.device_id(), "{sent}");
    }
}

/// A thief with an access token gets no proof, and another user's proof is their own.
#[tokio::test]
async fn only_a_login_of_the_user_gives_proof() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;

    let mallory = login(&laptop, "mallory", alice.device_id()).await;

    assert_eq!(mallory.device_id(), alice.device_id());
    assert_ne!(mallory.device, alice.device);
    for path in ["/v1/session", "/v1/sessions"] {
        let answer = laptop.get(&alice.access, path).await;
        assert!(answer.text.contains(alice.device_id()) && !answer.text.contains('.'), "{}", answer.text);
    }
    assert!(!laptop.log().join("\n").contains(alice.device_id()));
}

#[tokio::test]
async fn the_owner_ends_a_session_by_either_form_of_its_device() {
    let laptop = Laptop::start().await;
    let deps = admin::Deps::from_env(laptop.world.env.clone()).await.unwrap();
    let alice = laptop.login("alice").await;
    for device in [alice.device.as_str(), alice.device_id()] {
        let tokens = login(&laptop, "alice", device).await;
        let request = json!({
            "operation": "end_session", "appid": tests::APPID, "openid": alice.openid, "device": device,
        });

        let ended = admin::handle(deps.clone(), serde_json::from_value(request).unwrap()).await.unwrap();

        assert_eq!(serde_json::to_value(ended).unwrap(), json!({ "ended": true }));
        laptop.refresh(&tokens.refresh).await.is_problem(400, "login_required", "relogin");
    }
}

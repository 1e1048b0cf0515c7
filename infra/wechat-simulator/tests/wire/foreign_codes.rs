//! Codes that the simulator did not make, such as those of the developer tools and of real phones.

use serde_json::json;

use crate::client::{SECOND_APP, Wire, exchange_target};

/// In the form of the codes that WeChat makes.
const LOGIN: &str = "033Ab9Ga1-Tools_Tools_Tools00001";
const PHONE: &str = "e31968a7f94cc5ee25fafc2aef2773f0bb8c3937b22520eb8ee345274d00c144";

async fn taken_in() -> Wire {
    let wire = Wire::start().await;
    wire.sim("settings", json!({ "foreign_codes": true })).await;
    wire
}

#[tokio::test]
async fn foreign_codes_are_invalid_unless_so_set() {
    let wire = Wire::start().await;
    let token = wire.token().await;

    assert_eq!(wire.exchange(LOGIN).await.errcode(), 40029);
    assert_eq!(wire.number(&token, json!({ "code": PHONE })).await.errcode(), 40029);
}

#[tokio::test]
async fn every_foreign_code_logs_in_the_same_user_also_after_a_restart() {
    let (wire, restarted) = (taken_in().await, taken_in().await);

    let openids = [
        wire.exchange(LOGIN).await.text("openid"),
        wire.exchange("another").await.text("openid"),
        restarted.exchange("a-third").await.text("openid"),
    ];

    assert_eq!(openids, [(); 3].map(|()| openids[0].clone()));
    assert_eq!(openids[0], wire.openid("devtools").await);
}

#[tokio::test]
async fn a_foreign_code_is_used_once_for_one_of_both() {
    let wire = taken_in().await;
    let token = wire.token().await;
    wire.exchange(LOGIN).await;
    wire.number(&token, json!({ "code": PHONE })).await;

    assert_eq!(wire.exchange(LOGIN).await.errcode(), 40163);
    assert_eq!(wire.exchange(PHONE).await.errcode(), 40029);
    for used in [LOGIN, PHONE] {
        assert_eq!(wire.number(&token, json!({ "code": used })).await.errcode(), 40029);
    }
    wire.advance(300);
    assert_eq!(wire.exchange(LOGIN).await.errcode(), 40029, "it does not come back to life");
}

#[tokio::test]
async fn what_no_code_of_wechats_looks_like_is_invalid() {
    let wire = taken_in().await;
    let token = wire.token().await;

    for malformed in ["the%20code%20is%20a%20mock%20one", "a.b", "a%3D", "%E4%BB%A3%E7%A0%81", &"x".repeat(513)] {
        assert_eq!(wire.exchange(malformed).await.errcode(), 40029, "{malformed}");
    }
    assert_eq!(wire.number(&token, json!({ "code": "a b" })).await.errcode(), 40029);
    assert_eq!(wire.number(&token, json!({ "code": "" })).await.errcode(), 40029);
}

#[tokio::test]
async fn a_code_of_a_simulator_means_what_it_meant() {
    let (before, wire) = (taken_in().await, taken_in().await);
    let token = wire.token().await;
    let ada = wire.code("ada").await;
    let expired = wire.code("ada").await;
    let of_another_app = wire.sim("login", json!({ "user": "ada", "appid": SECOND_APP })).await["code"].clone();
    let phone = wire.sim("phone", json!({ "user": "ada" })).await["code"].clone();

    assert_eq!(wire.exchange(&ada).await.text("openid"), wire.openid("ada").await);
    assert_eq!(wire.exchange(&ada).await.errcode(), 40163);
    assert_eq!(wire.exchange(of_another_app.as_str().unwrap()).await.errcode(), 40029);
    assert_eq!(wire.exchange(phone.as_str().unwrap()).await.errcode(), 40029);
    assert_eq!(wire.number(&token, json!({ "code": expired })).await.errcode(), 40029);
    wire.advance(300);
    wire.code("bob").await;
    assert_eq!(wire.exchange(&expired).await.errcode(), 40029);
    assert_eq!(wire.exchange(&before.code("ada").await).await.errcode(), 40029, "of before a restart");
}

#[tokio::test]
async fn a_foreign_code_is_not_used_up_by_a_call_that_fails_before_it() {
    let wire = taken_in().await;

    assert_eq!(wire.send("GET", &exchange_target(SECOND_APP, "wrong", LOGIN), "").await.errcode(), 40125);
    assert_eq!(wire.number("no-token", json!({ "code": PHONE })).await.errcode(), 40001);

    assert!(wire.exchange(LOGIN).await.is_success());
    assert!(wire.number(&wire.token().await, json!({ "code": PHONE })).await.json()["phone_info"].is_object());
}

#[tokio::test]
async fn a_foreign_phone_code_is_the_number_of_that_user_and_of_nobody_else() {
    let wire = taken_in().await;
    let token = wire.token().await;
    let (devtools, ada) = (wire.openid("devtools").await, wire.openid("ada").await);
    wire.sim("user", json!({ "user": "devtools", "phoneNumber": "13800138000" })).await;

    assert_eq!(wire.number(&token, json!({ "code": PHONE, "openid": ada })).await.errcode(), 40029);
    let number = wire.number(&token, json!({ "code": PHONE, "openid": devtools })).await;

    assert_eq!(number.json()["phone_info"]["phoneNumber"], "13800138000");
}

#[tokio::test]
async fn a_foreign_login_replaces_the_session_key_as_every_login_does() {
    let wire = taken_in().await;

    let first = wire.exchange("first").await.text("session_key");
    let second = wire.exchange("second").await.text("session_key");
    wire.sim("settings", json!({ "session_key": "keep" })).await;
    let third = wire.exchange("third").await.text("session_key");

    assert_ne!(first, second);
    assert_eq!(second, third);
}

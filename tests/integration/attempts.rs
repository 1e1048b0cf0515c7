//! Attempts are counted, thirty an hour of each kind: encrypted data at any route, the profiles of logins, phone codes.

use serde_json::{Value, json};
use tests::{Laptop, Response, Tokens};

const HOUR: u64 = 3_600;

fn garbage() -> Value {
    json!({ "encryptedData": "AAAAAAAAAAAAAAAAAAAAAA==", "iv": "AAAAAAAAAAAAAAAAAAAAAA==" })
}

/// What the button of the phone number gives, as the two ways to send it.
fn button(laptop: &Laptop, user: &str) -> (Value, Value) {
    let event = laptop.sim("phone", json!({ "user": user }));
    (json!({ "encryptedData": event["encryptedData"], "iv": event["iv"] }), json!({ "code": event["code"] }))
}

async fn phone(laptop: &Laptop, user: &Tokens, body: &Value) -> Response {
    laptop.post_as(&user.access, "/v1/phone", body).await
}

async fn userinfo(laptop: &Laptop, user: &Tokens, body: &Value) -> Response {
    laptop.post_as(&user.access, "/v1/userinfo", body).await
}

/// A login with a good profile, and whether the profile came back.
async fn login_with_profile(laptop: &Laptop, user: &str) -> (Tokens, bool) {
    let code = laptop.code(user);
    let login = json!({ "code": code, "userInfo": laptop.sim("userinfo", json!({ "user": user })) });
    let answer = laptop.post("/v1/login", &login).await.ok();
    (Tokens::in_body(&answer), answer.get("userInfo").is_some())
}

#[track_caller]
fn is_limited(answer: &Response, retry_after: u64) {
    answer.is_problem(429, "rate_limited", "retry");
    assert_eq!(answer.json()["retry_after"], retry_after);
}

#[tokio::test]
async fn encrypted_data_has_thirty_attempts_an_hour_at_all_routes_whatever_comes_of_them() {
    let laptop = Laptop::start().await;
    let (alice, bob) = (laptop.login("alice").await, laptop.login("bob").await);
    let (data, code) = button(&laptop, "alice");
    for attempt in 0..30 {
        let route = ["/v1/phone", "/v1/userinfo", "/v1/opendata"][attempt % 3];
        let body = if attempt < 20 { &data } else { &garbage() };
        assert_ne!(laptop.post_as(&alice.access, route, body).await.status, 429);
    }

    for route in ["/v1/phone", "/v1/userinfo", "/v1/opendata"] {
        is_limited(&laptop.post_as(&alice.access, route, &data).await, HOUR);
    }

    // A login gives no attempts back. Another way to the number, and others, are not concerned.
    let (alice, _) = login_with_profile(&laptop, "alice").await;
    is_limited(&phone(&laptop, &alice, &data).await, HOUR);
    phone(&laptop, &alice, &code).await.ok();
    phone(&laptop, &bob, &button(&laptop, "bob").0).await.ok();
    laptop.clock.advance(HOUR - 1);
    let alice = laptop.login("alice").await;
    is_limited(&userinfo(&laptop, &alice, &garbage()).await, 1);
    laptop.clock.advance(1);
    phone(&laptop, &alice, &button(&laptop, "alice").0).await.ok();
}

#[tokio::test]
async fn thirty_logins_with_a_profile_do_not_cost_the_phone_number_an_hour() {
    let laptop = Laptop::start().await;
    let mut alice = laptop.login("alice").await;
    for _ in 0..30 {
        let (tokens, has_profile) = login_with_profile(&laptop, "alice").await;
        assert!(has_profile);
        alice = tokens;
    }

    let (data, code) = button(&laptop, "alice");

    phone(&laptop, &alice, &data).await.ok();
    phone(&laptop, &alice, &code).await.ok();
    userinfo(&laptop, &alice, &laptop.sim("userinfo", json!({ "user": "alice" }))).await.ok();
}

#[tokio::test]
async fn logins_have_thirty_profiles_an_hour_over_devices_processes_and_deletions() {
    let laptop = Laptop::start().await;
    let processes = [laptop.beside().await, laptop];
    let mut given = 0;
    for round in 0..40 {
        let (alice, has_profile) = login_with_profile(&processes[round % 2], "alice").await;
        given += u32::from(has_profile);
        if round % 10 == 9 {
            assert_eq!(processes[0].delete(&alice.access, "/v1/user").await.status, 204);
        }
    }
    assert_eq!(given, 30);

    processes[0].clock.advance(HOUR - 1);
    assert!(!login_with_profile(&processes[0], "alice").await.1);
    processes[0].clock.advance(1);
    assert!(login_with_profile(&processes[0], "alice").await.1);
}

#[tokio::test]
async fn phone_codes_have_thirty_attempts_an_hour_and_none_asks_wechat_beyond() {
    let laptop = Laptop::start().await;
    let mut alice = laptop.login("alice").await;
    for attempt in 0..30 {
        phone(&laptop, &alice, &button(&laptop, "alice").1).await.ok();
        if attempt == 20 {
            assert_eq!(laptop.delete(&alice.access, "/v1/user").await.status, 204);
            alice = laptop.login("alice").await;
        }
    }
    let asked = laptop.simulator.calls("getuserphonenumber");

    let (data, code) = button(&laptop, "alice");
    is_limited(&phone(&laptop, &alice, &code).await, HOUR);

    assert_eq!(laptop.simulator.calls("getuserphonenumber"), asked);
    phone(&laptop, &alice, &data).await.ok();
    laptop.clock.advance(HOUR);
    let alice = laptop.login("alice").await;
    phone(&laptop, &alice, &code).await.is_problem(409, "phone_code_invalid", "relogin_then_retap");
    phone(&laptop, &alice, &button(&laptop, "alice").1).await.ok();
}

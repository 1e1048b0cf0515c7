//! `GET` and `POST /v1/push`: what WeChat sends.

mod again;
mod effect;
mod modes;
mod one_body;
mod owner;
mod several_apps;
mod signature;
mod vectors;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tests::{APPID, Items, KEY, Laptop, Response, Start, Tokens, send};

const OTHER: &str = "wx0000000000000002";

const AES_KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";

const OTHER_AES_KEY: &str = "GFEDCBA9876543210zyxwvutsrqponmlkjihgfedcbA";

const CANCELLATION: &str = "user_authorization_cancellation";

const REVOKE: &str = "user_authorization_revoke";

/// The push configuration of an app without, or with, an `EncodingAESKey`.
fn app(token: &str, aes_key: Option<&str>) -> Value {
    let mut push = json!({ "token": token });
    if let Some(aes_key) = aes_key {
        push["encoding_aes_key"] = aes_key.into();
    }
    json!({ "secret": "secret", "push": push })
}

async fn laptop_of(apps: Value) -> Laptop {
    Start::default().apps(json!({ "apps": apps })).go().await
}

/// One mini program in the plain mode.
async fn plain() -> Laptop {
    laptop_of(json!({ APPID: app("token", None) })).await
}

/// What WeChat would send.
fn pushed(laptop: &Laptop, wanted: Value) -> Value {
    laptop.sim("push", wanted)
}

fn event(user: &str, event: &str) -> Value {
    json!({ "user": user, "event": event })
}

async fn send_push(laptop: &Laptop, push: &Value) -> Response {
    let method = push["method"].as_str().unwrap().parse().unwrap();
    let mut request = laptop.method(method, &format!("/v1/push?{}", push["query"].as_str().unwrap()));
    if let Some(content_type) = push["content_type"].as_str() {
        request = request.header("content-type", content_type);
    }
    send(request.body(push["body"].as_str().unwrap_or_default().to_owned())).await
}

async fn takes(laptop: &Laptop, push: &Value) {
    let answer = send_push(laptop, push).await;
    assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, "success"), "{push}");
    assert!(answer.header("content-type").unwrap().starts_with("text/plain"), "{answer:?}");
}

async fn refuses(laptop: &Laptop, push: &Value) {
    let answer = send_push(laptop, push).await;
    assert_eq!(answer.status, 400, "{push} is answered by {answer:?}");
    answer.is_problem(400, "invalid_request", "fix");
}

async fn login(laptop: &Laptop, appid: &str, user: &str) -> Tokens {
    let code = laptop.sim("login", json!({ "user": user, "appid": appid }))["code"].clone();
    Tokens::of(&laptop.login_with_key(KEY, &json!({ "code": code, "appid": appid })).await)
}

/// The items of the table but the marks of signatures, which are hashes of 32 bytes, and what is kept of deletions: a time, or a
/// word. What else is stored for a code is longer.
async fn items(laptop: &Laptop) -> Items {
    let mut items = laptop.items().await;
    let is_of_a_push = |length: usize| length == 32 || length <= 8;
    items
        .retain(|_, item| item.get("sealed").is_none_or(|sealed| !is_of_a_push(sealed.as_b().unwrap().as_ref().len())));
    items
}

#[tokio::test]
async fn a_body_over_sixteen_kibibytes_is_too_large() {
    let laptop = plain().await;
    let push = pushed(&laptop, event("alice", "user_info_modified"));
    let padded = |length: usize| {
        let mut push = push.clone();
        push["body"] = format!("{:<length$}", push["body"].as_str().unwrap()).into();
        push
    };

    takes(&laptop, &padded(16 * 1024)).await;
    send_push(&laptop, &padded(16 * 1024 + 1)).await.is_problem(413, "payload_too_large", "fix");
}

#[tokio::test]
async fn the_log_has_the_verdict_and_never_the_user() {
    let laptop = Laptop::start().await;
    let _ = laptop.sim("user", json!({ "user": "alice", "unionid": "uAlice" }));
    let alice = laptop.login("alice").await;
    let before = laptop.log().len();

    let _ = send_push(&laptop, &pushed(&laptop, json!({ "event": "verify", "echostr": "MARKER" }))).await;
    takes(&laptop, &pushed(&laptop, event("alice", "user_info_modified"))).await;
    takes(&laptop, &pushed(&laptop, json!({ "user": "alice", "event": REVOKE, "RevokeInfo": "8" }))).await;
    takes(&laptop, &pushed(&laptop, json!({ "user": "alice", "event": REVOKE, "RevokeInfo": "6" }))).await;
    takes(&laptop, &pushed(&laptop, event("alice", CANCELLATION))).await;
    let query = format!("openid={}&timestamp=1&nonce=1&signature=1", alice.openid);
    refuses(&laptop, &json!({ "method": "POST", "query": query, "body": "{}" })).await;

    let log = laptop.log()[before..].to_vec();
    let lines: Vec<Value> = log.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let verdicts: Vec<_> = lines.iter().map(|line| line["verdict"].as_str().unwrap_or("-")).collect();
    let (revoke, cancellation) = ("USER_AUTHORIZATION_REVOKE", "USER_AUTHORIZATION_CANCELLATION");
    assert_eq!(verdicts, ["-", "USER_INFO_MODIFIED", revoke, revoke, cancellation, "PUSH_UNSIGNED"]);
    assert!(lines.iter().all(|line| line["route"] == "/v1/push"));
    for secret in [alice.openid.as_str(), "uAlice", "MARKER", "demoPushToken", AES_KEY] {
        assert!(!log.join("\n").contains(secret), "{secret} stands in the log");
    }
}

#[tokio::test]
async fn other_methods_are_answered_by_the_gateway() {
    let laptop = plain().await;
    for method in [Method::PUT, Method::DELETE] {
        let answer = send(laptop.method(method, "/v1/push")).await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (404, "{\"message\":\"Not Found\"}"));
    }
}

/// WeChat would send it again otherwise.
#[tokio::test]
async fn a_message_of_another_kind_is_a_success_however_deep_it_nests() {
    let laptop = plain().await;
    let mut push = pushed(&laptop, event("alice", "user_info_modified"));
    push["body"] = json!({ "MsgType": "event", "Event": "other", "a": { "b": { "c": { "d": { "e": [[[1]]] } } } } })
        .to_string()
        .into();

    takes(&laptop, &push).await;
}

//! Phone data that WeChat is asked about: whoever knows the key can encrypt any number, but WeChat did not.

use serde_json::{Value, json};
use tests::{APPID, Laptop, Response, Start, Tokens};

const CHECK: &str = "WXAUTH_PHONE_DATA_CHECK";

async fn start() -> (Laptop, Tokens) {
    let laptop = Start::default().var(CHECK, "true").go().await;
    let alice = laptop.login("alice").await;
    (laptop, alice)
}

async fn phone(laptop: &Laptop, user: &Tokens, data: &Value) -> Response {
    let data = json!({ "encryptedData": data["encryptedData"], "iv": data["iv"] });
    laptop.post_as(&user.access, "/v1/phone", &data).await
}

fn button(laptop: &Laptop) -> Value {
    laptop.sim("phone", json!({ "user": "alice" }))
}

/// What somebody encrypts who knows the key: right in everything but that WeChat did not make it.
fn forged(laptop: &Laptop) -> Value {
    let number = json!({
        "phoneNumber": "13900139000", "purePhoneNumber": "13900139000", "countryCode": "86",
        "watermark": { "timestamp": 1, "appid": APPID },
    });
    laptop.sim("encrypt", json!({ "user": "alice", "plaintext": number.to_string() }))
}

#[tokio::test]
async fn a_number_that_wechat_did_not_encrypt_is_refused_like_one_that_cannot_be_read() {
    let (laptop, alice) = start().await;

    phone(&laptop, &alice, &button(&laptop)).await.ok();
    let refused = phone(&laptop, &alice, &forged(&laptop)).await;

    refused.is_problem(409, "session_key_expired", "relogin_then_retap");
    assert!(laptop.line(&refused).contains(r#""verdict":"PHONE_DATA_UNKNOWN""#));
    let garbage = json!({ "encryptedData": "AAAAAAAAAAAAAAAAAAAAAA==", "iv": "AAAAAAAAAAAAAAAAAAAAAA==" });
    let unreadable = phone(&laptop, &alice, &garbage).await;
    let body = |answer: &Response| {
        let mut body = answer.json();
        body["request_id"] = Value::Null;
        body
    };
    assert_eq!(body(&refused), body(&unreadable));
}

#[tokio::test]
async fn without_the_switch_wechat_is_not_asked_and_the_key_alone_decides() {
    for laptop in [Laptop::start().await, Start::default().var(CHECK, "false").go().await] {
        let alice = laptop.login("alice").await;

        phone(&laptop, &alice, &button(&laptop)).await.ok();
        phone(&laptop, &alice, &forged(&laptop)).await.ok();

        assert_eq!(laptop.simulator.calls("checkencryptedmsg"), 0);
        assert_eq!(laptop.simulator.calls("stable_token"), 0);
    }
}

#[tokio::test]
async fn only_data_that_is_a_number_of_this_user_costs_a_question() {
    let (laptop, alice) = start().await;
    let garbage = json!({ "encryptedData": "AAAAAAAAAAAAAAAAAAAAAA==", "iv": "AAAAAAAAAAAAAAAAAAAAAA==" });
    let steps = laptop.sim("opendata", json!({ "user": "alice", "data": { "stepInfoList": [] } }));
    let foreign = json!({ "phoneNumber": "13900139000", "watermark": { "timestamp": 1, "appid": "wx0" } });
    let foreign = laptop.sim("encrypt", json!({ "user": "alice", "plaintext": foreign.to_string() }));

    phone(&laptop, &alice, &garbage).await.is_problem(409, "session_key_expired", "relogin_then_retap");
    phone(&laptop, &alice, &steps).await.is_problem(400, "wrong_data_kind", "fix");
    phone(&laptop, &alice, &foreign).await.is_problem(403, "data_rejected", "stop");
    assert_eq!(laptop.simulator.calls("checkencryptedmsg"), 0);

    let code = button(&laptop)["code"].clone();
    laptop.post_as(&alice.access, "/v1/phone", &json!({ "code": code })).await.ok();
    assert_eq!(laptop.simulator.calls("checkencryptedmsg"), 0, "a code is WeChat's own word");
}

#[tokio::test]
async fn data_is_known_for_three_days_and_under_the_key_before_the_last_login_too() {
    let (laptop, alice) = start().await;
    let old = button(&laptop);
    laptop.login("alice").await;
    phone(&laptop, &alice, &old).await.ok();
    let _ = laptop.sim("settings", json!({ "session_key": "keep" }));
    let data = button(&laptop);

    laptop.clock.advance(3 * 86_400 - 1);
    let later = laptop.login("alice").await;
    phone(&laptop, &later, &data).await.ok();
    laptop.clock.advance(1);
    phone(&laptop, &later, &data).await.is_problem(409, "session_key_expired", "relogin_then_retap");
}

#[tokio::test]
async fn what_wechat_itself_calls_not_its_own_is_refused() {
    for body in [r#"{"errcode":0,"errmsg":"ok","vaild":false}"#, r#"{"errcode":1,"errmsg":"data not exit"}"#] {
        let (laptop, alice) = start().await;
        laptop.script("checkencryptedmsg", &json!({ "kind": "status", "status": 200, "body": body }), None);

        let refused = phone(&laptop, &alice, &button(&laptop)).await;

        refused.is_problem(409, "session_key_expired", "relogin_then_retap");
    }
}

#[tokio::test]
async fn a_wechat_that_does_not_say_is_a_failure_and_never_a_verdict_on_the_data() {
    for (fault, status, code, action) in [
        (json!({ "kind": "errcode", "errcode": -1 }), 503, "wechat_busy", "retry"),
        (json!({ "kind": "errcode", "errcode": 45009 }), 503, "wechat_busy", "retry"),
        (json!({ "kind": "errcode", "errcode": 45011 }), 503, "wechat_busy", "retry"),
        (json!({ "kind": "errcode", "errcode": 40097 }), 500, "misconfigured", "stop"),
        (json!({ "kind": "errcode", "errcode": 48001 }), 500, "misconfigured", "stop"),
        (json!({ "kind": "errcode", "errcode": 99999 }), 502, "wechat_error", "retry"),
        (json!({ "kind": "status", "status": 200, "body": r#"{"errcode":0}"# }), 502, "wechat_error", "retry"),
        (json!({ "kind": "status", "status": 200, "body": "[]" }), 502, "wechat_error", "retry"),
        (json!({ "kind": "status", "status": 502 }), 502, "wechat_error", "retry"),
        (json!({ "kind": "html" }), 502, "wechat_error", "retry"),
        (json!({ "kind": "truncated" }), 502, "wechat_error", "retry"),
        (json!({ "kind": "reset" }), 504, "wechat_timeout", "retry"),
    ] {
        let (laptop, alice) = start().await;
        let data = button(&laptop);
        laptop.script("checkencryptedmsg", &fault, None);

        phone(&laptop, &alice, &data).await.is_problem(status, code, action);

        laptop.simulator.clear_script();
        laptop.clock.advance(60);
        phone(&laptop, &alice, &data).await.ok();
    }
}

#[tokio::test]
async fn a_platform_token_that_cannot_be_had_is_no_verdict_either() {
    let (laptop, alice) = start().await;
    laptop.script("stable_token", &json!({ "kind": "errcode", "errcode": -1 }), None);

    phone(&laptop, &alice, &button(&laptop)).await.is_problem(503, "wechat_busy", "retry");
}

#[tokio::test]
async fn the_number_of_attempts_is_counted_as_ever() {
    let (laptop, alice) = start().await;
    for _ in 0..30 {
        phone(&laptop, &alice, &forged(&laptop)).await.is_problem(409, "session_key_expired", "relogin_then_retap");
    }

    phone(&laptop, &alice, &button(&laptop)).await.is_problem(429, "rate_limited", "retry");
    assert_eq!(laptop.simulator.calls("checkencryptedmsg"), 30);
}

#[test]
fn a_switch_that_is_neither_on_nor_off_ends_the_start() {
    let refused = shared::config::phone_data_check(&[(CHECK, "yes")].into_iter().collect()).unwrap_err().to_string();

    assert!(refused.starts_with(CHECK) && !refused.contains("yes"), "{refused}");
}

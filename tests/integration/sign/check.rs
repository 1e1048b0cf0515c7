//! `check`: WeChat is asked before anything is signed, and only its own word makes a key stale.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use serde_json::{Value, json};
use shared::{
    clock::Deadline,
    ids::OpenId,
    platform_token::{PlatformError, calls::CheckSession},
    secret_text::SessionKey,
    wechat::app::App,
};
use tokio::sync::Notify;

use super::{KEY, MESSAGE, deps, hmac_hex, plant, request, start, tried};
use tests::{APPID, Laptop};

async fn checked(laptop: &Laptop, openid: &str) -> Result<Value, (&'static str, String)> {
    let mut asked = request(openid, MESSAGE);
    asked["check"] = true.into();
    tried(laptop, asked).await
}

#[tokio::test]
async fn a_key_that_wechat_accepts_signs_and_one_that_it_replaced_is_stale_until_the_client_logs_in() {
    let laptop = start().await;
    plant(&laptop, "alice", KEY);
    let alice = laptop.login("alice").await;

    let good = checked(&laptop, &alice.openid).await.unwrap();
    plant(&laptop, "alice", "tiihtNczf5v6AKRyjwEUhQ==");
    let stale = checked(&laptop, &alice.openid).await.unwrap();
    let unchecked = tried(&laptop, request(&alice.openid, MESSAGE)).await.unwrap();
    laptop.login("alice").await;
    let again = checked(&laptop, &alice.openid).await.unwrap();

    assert_eq!(good, json!({ "signature": hmac_hex(KEY, MESSAGE) }));
    assert_eq!(stale, json!({ "refused": "stale", "action": "relogin" }));
    assert_eq!(unchecked, good, "who does not ask signs with what there is");
    assert_eq!(again, json!({ "signature": hmac_hex("tiihtNczf5v6AKRyjwEUhQ==", MESSAGE) }));
    assert_eq!(laptop.simulator.calls("stable_token"), 1);
}

#[tokio::test]
async fn both_of_wechats_numbers_for_another_key_are_stale() {
    for errcode in [87009, 87007] {
        let laptop = start().await;
        let alice = laptop.login("alice").await;
        laptop.script("checksession", &json!({ "kind": "errcode", "errcode": errcode }), None);

        assert_eq!(checked(&laptop, &alice.openid).await.unwrap()["refused"], "stale");
    }
}

#[tokio::test]
async fn a_wechat_that_does_not_say_is_a_failure_and_no_verdict_on_the_key() {
    for (fault, error_type) in [
        (json!({ "kind": "errcode", "errcode": -1 }), "wechat_busy"),
        (json!({ "kind": "errcode", "errcode": 45009 }), "wechat_busy"),
        (json!({ "kind": "errcode", "errcode": 45011 }), "wechat_busy"),
        (json!({ "kind": "errcode", "errcode": 99999 }), "wechat_error"),
        (json!({ "kind": "errcode", "errcode": 48001 }), "misconfigured"),
        (json!({ "kind": "errcode", "errcode": 87008 }), "misconfigured"),
        (json!({ "kind": "html" }), "wechat_error"),
        (json!({ "kind": "empty" }), "wechat_error"),
        (json!({ "kind": "status", "status": 200, "body": "{}" }), "wechat_error"),
        (json!({ "kind": "status", "status": 502 }), "wechat_error"),
        (json!({ "kind": "reset" }), "wechat_timeout"),
    ] {
        let laptop = start().await;
        let alice = laptop.login("alice").await;
        laptop.script("checksession", &fault, None);

        let failed = checked(&laptop, &alice.openid).await.unwrap_err();

        assert_eq!(failed.0, error_type, "{fault}: {}", failed.1);
        let line: Value = serde_json::from_str(&laptop.log().pop().unwrap()).unwrap();
        assert_eq!(line["level"], "ERROR");
        assert!(!line.to_string().contains("127.0.0.1"), "{line}");
    }
}

#[tokio::test]
async fn a_refused_platform_token_is_replaced_and_wechat_asked_again() {
    let laptop = start().await;
    let alice = laptop.login("alice").await;
    checked(&laptop, &alice.openid).await.unwrap();
    laptop.script("checksession", &json!({ "kind": "errcode", "errcode": 40001 }), Some(1));

    // WeChat still gives the same one, and is never forced to give another.
    let failed = checked(&laptop, &alice.openid).await;

    assert_eq!(failed.unwrap_err().0, "wechat_error");
}

/// A WeChat that answers when it is told to, and by the key that is asked about.
struct Slow {
    asked: Notify,
    go_on: Notify,
    accepts: fn(&str) -> bool,
}

#[async_trait]
impl CheckSession for Slow {
    async fn check(&self, _: &App, _: &OpenId, key: &SessionKey, _: Deadline) -> Result<bool, PlatformError> {
        self.asked.notify_one();
        self.go_on.notified().await;
        Ok((self.accepts)(key.expose()))
    }
}

const NEXT: &str = "tiihtNczf5v6AKRyjwEUhQ==";

/// What is answered where a login replaces the key while WeChat is asked about the old one.
async fn beside_a_login(accepts: fn(&str) -> bool) -> Value {
    let laptop = start().await;
    plant(&laptop, "alice", KEY);
    let alice = laptop.login("alice").await;
    let slow = Arc::new(Slow { asked: Notify::new(), go_on: Notify::new(), accepts });
    let deps = sign::Deps { platform: slow.clone(), ..deps(&laptop).await };
    let mut asked = json!({ "appid": APPID, "openid": alice.openid, "message": MESSAGE });
    asked["check"] = true.into();

    let signing = tokio::spawn(sign::handle(deps, serde_json::from_value(asked).unwrap()));
    slow.asked.notified().await;
    plant(&laptop, "alice", NEXT);
    laptop.login("alice").await;
    while !signing.is_finished() {
        slow.go_on.notify_one();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    serde_json::to_value(signing.await.unwrap().unwrap()).unwrap()
}

#[tokio::test]
async fn a_login_that_replaces_the_key_while_wechat_is_asked_needs_no_other() {
    let answer = beside_a_login(|key| key == NEXT).await;

    assert_eq!(answer, json!({ "signature": hmac_hex(NEXT, MESSAGE) }));
}

#[tokio::test]
async fn a_key_that_wechat_refuses_after_a_login_too_is_stale() {
    let answer = beside_a_login(|_| false).await;

    assert_eq!(answer, json!({ "refused": "stale", "action": "relogin" }));
}

//! What WeChat says of a session key, by `GET /v1/session?wechat=check`.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use shared::{
    clock::Deadline,
    http::{record::Log, stack},
    ids::OpenId,
    platform_token::{PlatformError, calls::CheckSession},
    secret_text::SessionKey,
    wechat::{app::App, error::WechatError},
};
use tests::{Laptop, Start, Tokens, event, send};

use super::is_empty_204;

/// Lets WeChat replace its platform token, as a leak would make the owner do. It takes thirty seconds between two.
async fn replace_platform_token(laptop: &Laptop) {
    laptop.clock.advance(30);
    let app = wechat_simulator::App::demo();
    let body = json!({
        "grant_type": "client_credential", "appid": app.appid, "secret": app.secret, "force_refresh": true,
    });
    let address = format!("{}/cgi-bin/stable_token", laptop.world.wechat_url);
    send(tests::client().post(address).json(&body)).await.ok()["access_token"].as_str().unwrap();
}

/// Bound: 60 calls to WeChat for a session at once, and then one a second.
#[tokio::test]
async fn one_session_cannot_use_up_the_owners_quota() {
    let laptop = Laptop::start().await;
    let (alice, bob) = (laptop.login("alice").await, laptop.login("bob").await);
    for _ in 0..100 {
        laptop.checked(&alice).await;
    }

    assert_eq!(laptop.simulator.calls("checksession"), 60);
    assert_eq!(laptop.checked(&alice).await, "unknown", "no reason to log in");
    assert_eq!(laptop.checked(&bob).await, "ok");
    laptop.clock.advance(60);
    assert_eq!(laptop.checked(&alice).await, "ok");
}

#[tokio::test]
async fn a_check_that_is_refused_costs_nothing() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    for _ in 0..200 {
        laptop.checked(&alice).await;
    }
    assert_eq!(laptop.checked(&alice).await, "unknown");

    laptop.clock.advance(1);

    assert_eq!([laptop.checked(&alice).await, laptop.checked(&alice).await], ["ok", "unknown"]);
}

#[tokio::test]
async fn a_request_for_which_nobody_asks_wechat_costs_no_check() {
    let laptop = Laptop::start().await;
    let gone = laptop.login("alice").await;
    laptop.clock.advance(1);
    let again = json!({ "code": laptop.code("alice"), "device": gone.device });
    let alice = laptop.login_with(&again).await;
    let without_key = without_its_key(&laptop, &alice).await;
    for _ in 0..100 {
        laptop.get(&alice.access, "/v1/session").await.ok();
        laptop.get(&gone.access, "/v1/session?wechat=check").await.is_problem(401, "token_invalid", "refresh");
        assert_eq!(laptop.checked(&alice).await, "stale");
    }
    assert_eq!(laptop.simulator.calls("checksession"), 0);

    let (client, table) = laptop.dynamodb();
    client.put_item().table_name(&table).set_item(Some(without_key)).send().await.unwrap();

    assert_eq!(laptop.checked(&alice).await, "ok");
}

/// Takes the key out of the user item, and gives the item as it was.
async fn without_its_key(laptop: &Laptop, user: &Tokens) -> tests::Item {
    let items = laptop.items().await;
    let item = items.values().find(|item| item["sk"].as_s().unwrap() == "user").unwrap().clone();
    assert!(item["pk"].as_s().unwrap().ends_with(&user.openid));
    let mut keyless = item.clone();
    keyless.remove("current_key").unwrap();
    let (client, table) = laptop.dynamodb();
    client.put_item().table_name(&table).set_item(Some(keyless)).send().await.unwrap();
    item
}

/// A WeChat that is not asked, as it failed too often.
struct BreakerOpen;

#[async_trait]
impl CheckSession for BreakerOpen {
    async fn check(&self, _: &App, _: &OpenId, _: &SessionKey, _: Deadline) -> Result<bool, PlatformError> {
        Err(WechatError::BreakerOpen.into())
    }
}

#[tokio::test]
async fn a_check_while_the_breaker_is_open_costs_nothing() {
    let laptop = Start::default().var("WXAUTH_ISSUER", "https://api.example.com").go().await;
    let alice = laptop.login("alice").await;
    let deps = session::Deps::from_env(laptop.world.env.clone()).await.unwrap();
    let mut check = event("GET", "/v1/session", "");
    check["rawQueryString"] = "wechat=check".into();
    check["headers"]["authorization"] = format!("Bearer {}", alice.access).into();
    let checked = async |deps: &session::Deps| {
        let router = stack(session::router(deps.clone()), Log::new(|_| ()));
        let answer = shared::lambda::call(&router, check.clone(), "lambda-1").await.unwrap();
        serde_json::from_str::<Value>(answer["body"].as_str().unwrap()).unwrap()["wechat_session"].clone()
    };
    let without_wechat = session::Deps { platform: Arc::new(BreakerOpen), ..deps.clone() };

    for _ in 0..100 {
        assert_eq!(checked(&without_wechat).await, "unknown");
    }

    assert_eq!(checked(&deps).await, "ok");
}

#[tokio::test]
async fn a_key_is_ok_until_wechat_replaces_it() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let bob = laptop.login("bob").await;
    assert_eq!(laptop.checked(&alice).await, "ok");

    // Another device has called `wx.login`.
    let unsent = laptop.code("alice");

    assert_eq!(laptop.checked(&alice).await, "stale");
    assert_eq!(laptop.checked(&bob).await, "ok");
    let other_device = laptop.login_with(&json!({ "code": unsent })).await;
    for device in [&alice, &other_device] {
        assert_eq!(laptop.checked(device).await, "ok", "the key is the user's, not the device's");
    }
}

#[tokio::test]
async fn both_of_wechats_numbers_for_a_stale_key_are_stale() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let _unsent = laptop.code("alice");
    for errcode in [87007, 87009] {
        let _ = laptop.sim("settings", json!({ "stale_key_errcode": errcode }));
        assert_eq!(laptop.checked(&alice).await, "stale", "{errcode}");
    }
}

#[tokio::test]
async fn a_stale_key_ends_nothing() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let before = laptop.items().await;
    let _unsent = laptop.code("alice");

    assert_eq!(laptop.checked(&alice).await, "stale");

    let mut after = laptop.items().await;
    after.retain(|(pk, _), _| !pk.starts_with("app#"));
    assert_eq!(before, after);
    laptop.clock.advance(200);
    laptop.refresh(&alice.refresh).await.ok();
}

#[tokio::test]
async fn a_key_that_the_ring_does_not_open_is_stale_and_nobody_asks_wechat() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let (client, table) = laptop.dynamodb();
    for mut item in laptop.items().await.into_values() {
        if item.contains_key("current_key") {
            item.insert("current_key".to_owned(), AttributeValue::B(vec![1; 60].into()));
            client.put_item().table_name(&table).set_item(Some(item)).send().await.unwrap();
        }
    }

    assert_eq!(laptop.checked(&alice).await, "stale");

    assert_eq!(laptop.simulator.calls("checksession"), 0);
}

#[tokio::test]
async fn whatever_else_wechat_answers_is_unknown_and_no_reason_to_log_in() {
    for (fault, calls) in [
        (json!({ "kind": "errcode", "errcode": -1 }), 2),
        (json!({ "kind": "errcode", "errcode": 45009 }), 1),
        (json!({ "kind": "errcode", "errcode": 45011 }), 1),
        (json!({ "kind": "errcode", "errcode": 40003 }), 1),
        (json!({ "kind": "errcode", "errcode": 40125 }), 1),
        (json!({ "kind": "errcode", "errcode": 48001 }), 1),
        (json!({ "kind": "errcode", "errcode": 87008 }), 1),
        (json!({ "kind": "errcode", "errcode": 40029 }), 1),
        (json!({ "kind": "errcode", "errcode": 99_999 }), 1),
        (json!({ "kind": "status", "status": 503 }), 2),
        (json!({ "kind": "html" }), 1),
        (json!({ "kind": "empty" }), 1),
        (json!({ "kind": "truncated" }), 1),
        (json!({ "kind": "reset" }), 2),
        (json!({ "kind": "cut" }), 2),
    ] {
        let laptop = Laptop::start().await;
        let alice = laptop.login("alice").await;
        laptop.script("checksession", &fault, None);

        assert_eq!(laptop.checked(&alice).await, "unknown", "{fault}");

        assert_eq!(laptop.simulator.calls("checksession"), calls, "{fault}");
        laptop.simulator.clear_script();
        assert_eq!(laptop.checked(&alice).await, "ok", "{fault}");
    }
}

#[tokio::test]
async fn a_wechat_that_does_not_answer_costs_five_seconds_and_no_session() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    laptop.script("checksession", &json!({ "kind": "silence" }), None);

    let answer = tokio::time::timeout(std::time::Duration::from_secs(7), laptop.checked(&alice)).await;

    assert_eq!(answer.unwrap(), "unknown");
}

#[tokio::test]
async fn a_platform_token_that_cannot_be_had_is_unknown() {
    for fault in [
        json!({ "kind": "errcode", "errcode": 40164 }),
        json!({ "kind": "errcode", "errcode": -1 }),
        json!({ "kind": "reset" }),
        json!({ "kind": "html" }),
    ] {
        let laptop = Laptop::start().await;
        let alice = laptop.login("alice").await;
        laptop.script("stable_token", &fault, None);

        assert_eq!(laptop.checked(&alice).await, "unknown", "{fault}");

        assert_eq!(laptop.simulator.calls("checksession"), 0);
    }
}

#[tokio::test]
async fn a_wechat_that_keeps_failing_is_left_alone_and_the_key_is_unknown() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    laptop.script("checksession", &json!({ "kind": "status", "status": 502 }), None);
    for _ in 0..3 {
        assert_eq!(laptop.checked(&alice).await, "unknown");
    }
    let asked = laptop.simulator.calls("checksession");

    for _ in 0..5 {
        assert_eq!(laptop.checked(&alice).await, "unknown");
    }

    assert_eq!((asked, laptop.simulator.calls("checksession")), (5, 5));
}

#[tokio::test]
async fn a_refused_platform_token_is_replaced_and_wechat_asked_again() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    assert_eq!(laptop.checked(&alice).await, "ok");
    // None scripted: a forced refresh ends the old token, which is 40001.
    for errcode in [None, Some(40001), Some(42001), Some(40014)] {
        replace_platform_token(&laptop).await;
        if let Some(errcode) = errcode {
            laptop.script("checksession", &json!({ "kind": "errcode", "errcode": errcode }), Some(1));
        }
        let before = ["checksession", "stable_token"].map(|api| laptop.simulator.calls(api));

        assert_eq!(laptop.checked(&alice).await, "ok", "{errcode:?}");

        let after = ["checksession", "stable_token"].map(|api| laptop.simulator.calls(api));
        assert_eq!([after[0] - before[0], after[1] - before[1]], [2, 1], "{errcode:?}");
    }
}

#[tokio::test]
async fn a_platform_token_is_replaced_once_and_never_forced() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    assert_eq!(laptop.checked(&alice).await, "ok");
    for errcode in [40001, 42001, 40014] {
        laptop.script("checksession", &json!({ "kind": "errcode", "errcode": errcode }), None);
        let before = laptop.simulator.calls("checksession");
        assert_eq!(laptop.checked(&alice).await, "unknown");
        assert_eq!(laptop.simulator.calls("checksession"), before + 1, "WeChat still gives the same token");

        replace_platform_token(&laptop).await;
        assert_eq!(laptop.checked(&alice).await, "unknown");
        assert_eq!(laptop.simulator.calls("checksession"), before + 3, "the new one is refused too");
        laptop.simulator.clear_script();
    }
    assert_eq!(laptop.checked(&alice).await, "ok");
}

#[tokio::test]
async fn a_total_outage_of_wechat_leaves_every_other_request_working() {
    let laptop = Laptop::start().await;
    let devices = [laptop.login("alice").await, laptop.login("alice").await, laptop.login("alice").await];
    let bob = laptop.login("bob").await;
    laptop.script("*", &json!({ "kind": "reset" }), None);

    assert_eq!(laptop.checked(&devices[0]).await, "unknown");
    laptop.get(&devices[0].access, "/v1/session").await.ok();
    laptop.get(&devices[0].access, "/v1/sessions").await.ok();
    laptop.refresh(&devices[0].refresh).await.ok();
    is_empty_204(&laptop.delete(&devices[0].access, "/v1/session").await);
    is_empty_204(&laptop.delete(&devices[1].access, "/v1/sessions").await);
    is_empty_204(&laptop.delete(&bob.access, "/v1/user").await);
}

#[tokio::test]
async fn a_misconfiguration_is_a_metric_although_the_answer_does_not_say_so() {
    let laptop = Start::default().var("WXAUTH_ISSUER", "https://api.example.com").go().await;
    let alice = laptop.login("alice").await;
    let lines = Arc::<Mutex<Vec<Value>>>::default();
    let written = Arc::clone(&lines);
    let log = Log::new(move |line| written.lock().unwrap().push(serde_json::from_str(line).unwrap()));
    let deps = session::Deps::from_env(laptop.world.env.clone()).await.unwrap();
    let router = stack(session::router(deps), log.of_function("wxauth-test"));
    let mut check = event("GET", "/v1/session", "");
    check["rawQueryString"] = "wechat=check".into();
    check["headers"]["authorization"] = format!("Bearer {}", alice.access).into();

    for (errcode, expected) in [(40125, true), (48001, true), (45009, false), (87009, false), (40003, false)] {
        laptop.script("checksession", &json!({ "kind": "errcode", "errcode": errcode }), Some(1));
        let answer = shared::lambda::call(&router, check.clone(), "lambda-1").await.unwrap();

        let line = lines.lock().unwrap().last().unwrap().clone();

        assert_eq!((&answer["statusCode"], &line["wechat.errcode"]), (&json!(200), &json!(errcode)));
        assert_eq!(line.get("misconfigured"), expected.then_some(&json!(1)), "{errcode}");
        assert_eq!(line.get("errors"), None, "{errcode}");
    }
}

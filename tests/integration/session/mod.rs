//! `GET` and `DELETE /v1/session`, `GET` and `DELETE /v1/sessions`, `DELETE /v1/user`.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

use authorizer::Deps;
use aws_sdk_dynamodb::types::AttributeValue;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use shared::http::record::Log;
use tests::{APPID, Answer, BEGIN, Laptop, Start, Tokens, authorizer_event, event, send};

const IDLE: u64 = 604_800;
const ABSOLUTE: u64 = 2_592_000;

async fn get(laptop: &Laptop, access: &str, path: &str) -> Answer {
    send(laptop.method(Method::GET, path).bearer_auth(access)).await
}

async fn delete(laptop: &Laptop, access: &str, path: &str) -> Answer {
    send(laptop.method(Method::DELETE, path).bearer_auth(access)).await
}

/// What WeChat says of the key of the user.
async fn checked(laptop: &Laptop, user: &Tokens) -> String {
    let answer = get(laptop, &user.access, "/v1/session?wechat=check").await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.text_of("wechat_session")
}

/// A login on the device of another one.
async fn login_again(laptop: &Laptop, user: &str, device: &Tokens) -> Tokens {
    laptop.login_with(&json!({ "code": laptop.code(user), "device": device.device })).await
}

/// A login that can be repeated: it leaves a claim.
async fn login_with_key(laptop: &Laptop, body: &Value) -> Answer {
    send(laptop.request("/v1/login").header("idempotency-key", "one-login-one-key").json(body)).await
}

async fn login_with_claim(laptop: &Laptop, body: Value) -> Tokens {
    let answer = login_with_key(laptop, &body).await;
    let text = |member| answer.text_of(member);
    Tokens {
        access: text("access_token"),
        refresh: text("refresh_token"),
        openid: text("openid"),
        device: text("device"),
    }
}

/// The next tokens of a session.
async fn refreshed(laptop: &Laptop, user: &Tokens) -> Tokens {
    let answer = laptop.refresh(&user.refresh).await;
    let (access, refresh) = (answer.text_of("access_token"), answer.text_of("refresh_token"));
    Tokens { access, refresh, ..user.clone() }
}

/// What the phone button gives.
fn tapped(laptop: &Laptop, user: &str) -> (Value, Value) {
    let event = laptop.sim("phone", json!({ "user": user }));
    (json!({ "encryptedData": event["encryptedData"], "iv": event["iv"] }), json!({ "code": event["code"] }))
}

fn is_empty_204(answer: &Answer) {
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (204, ""));
    assert_eq!(answer.header("cache-control").unwrap(), "no-store");
    assert_eq!(answer.header("content-type"), None);
    assert!(answer.header("x-request-id").is_some());
}

/// The items of the table by their keys.
pub(crate) type Items = BTreeMap<(String, String), HashMap<String, AttributeValue>>;

pub(crate) async fn items(laptop: &Laptop) -> Items {
    let key = |item: &HashMap<String, AttributeValue>| {
        (item["pk"].as_s().unwrap().clone(), item["sk"].as_s().unwrap().clone())
    };
    laptop.items().await.into_iter().map(|item| (key(&item), item)).collect()
}

/// The partition of a user.
fn partition(user: &Tokens) -> String {
    format!("{APPID}#{}", user.openid)
}

fn of_user(items: &Items, user: &Tokens) -> Items {
    items.iter().filter(|((pk, _), _)| *pk == partition(user)).map(|(key, item)| (key.clone(), item.clone())).collect()
}

fn claims(items: &Items) -> usize {
    items.keys().filter(|(pk, _)| pk.starts_with("code#")).count()
}

/// Whether each route of ours that takes an access token, and the authorizer, takes this one.
async fn accepted(laptop: &Laptop, user: &str, tokens: &Tokens) -> Vec<bool> {
    let (data, code) = tapped(laptop, user);
    let info = laptop.sim("userinfo", json!({ "user": user }));
    let mut taken = Vec::new();
    for (path, body) in [("/v1/phone", &data), ("/v1/phone", &code), ("/v1/userinfo", &info)] {
        taken.push(laptop.post_as(&tokens.access, path, body).await);
    }
    for path in ["/v1/session", "/v1/session?wechat=check", "/v1/sessions"] {
        taken.push(get(laptop, &tokens.access, path).await);
    }
    let mut taken: Vec<_> = taken
        .into_iter()
        .map(|answer| {
            if answer.status != StatusCode::OK {
                answer.is_problem(401, "token_invalid", "refresh");
            }
            answer.status == StatusCode::OK
        })
        .collect();
    let deps = Deps::from_env(laptop.world.env.clone()).await.unwrap();
    let event = authorizer_event(&format!("Bearer {}", tokens.access));
    let decision = authorizer::handle(deps, serde_json::from_value(event).unwrap()).await.unwrap();
    taken.push(serde_json::to_value(decision).unwrap()["isAuthorized"] == true);
    taken
}

async fn is_logged_out(laptop: &Laptop, user: &str, tokens: &Tokens) {
    assert_eq!(accepted(laptop, user, tokens).await, [false; 7]);
    laptop.refresh(&tokens.refresh).await.is_problem(400, "login_required", "relogin");
}

async fn is_logged_in(laptop: &Laptop, user: &str, tokens: &Tokens) {
    assert_eq!(accepted(laptop, user, tokens).await, [true; 7]);
    laptop.refresh(&tokens.refresh).await.ok();
}

mod read {
    use super::*;

    #[tokio::test]
    async fn a_session_is_these_fields_and_no_more() {
        let laptop = Start::default().rsa().go().await;
        let alice = laptop.login("alice").await;
        laptop.clock.advance(10);

        let answer = get(&laptop, &alice.access, "/v1/session").await;

        let expected = json!({
            "openid": alice.openid, "appid": APPID, "device": alice.device, "created_at": BEGIN,
            "expires_at": BEGIN + IDLE, "wechat_session": "unchecked",
        });
        assert_eq!(answer.ok(), expected);
        assert_eq!(answer.header("content-type").unwrap(), "application/json");
        assert_eq!(answer.header("cache-control").unwrap(), "no-store");
    }

    #[tokio::test]
    async fn it_expires_at_the_earlier_of_idle_and_absolute() {
        let laptop = Laptop::start().await;
        let mut alice = laptop.login("alice").await;
        let day = 86_400;

        let mut now = BEGIN;
        let mut seen = Vec::new();
        for _ in 0..5 {
            laptop.clock.advance(6 * day);
            now += 6 * day;
            let answer = laptop.refresh(&alice.refresh).await;
            if answer.status != StatusCode::OK {
                break;
            }
            (alice.access, alice.refresh) = (answer.text_of("access_token"), answer.text_of("refresh_token"));
            let expires_at = get(&laptop, &alice.access, "/v1/session").await.ok()["expires_at"].as_u64().unwrap();
            assert_eq!(answer.json()["refresh_expires_in"], expires_at - now);
            seen.push(expires_at - BEGIN);
        }

        assert_eq!(seen, [13 * day, 19 * day, 25 * day, ABSOLUTE]);
    }

    #[tokio::test]
    async fn a_session_that_ran_out_is_gone_though_its_item_lies_there() {
        let laptop = Start::default().var("WXAUTH_IDLE_SECONDS", "800").go().await;
        let alice = laptop.login("alice").await;
        laptop.clock.advance(799);
        assert_eq!(accepted(&laptop, "alice", &alice).await, [true; 7]);

        laptop.clock.advance(1);

        is_logged_out(&laptop, "alice", &alice).await;
        assert!(of_user(&items(&laptop).await, &alice).len() > 1);
    }

    #[tokio::test]
    async fn nothing_is_asked_of_wechat_that_the_client_did_not_ask() {
        let laptop = Laptop::start().await;
        let alice = laptop.login("alice").await;

        get(&laptop, &alice.access, "/v1/session").await.ok();
        get(&laptop, &alice.access, "/v1/sessions").await.ok();
        is_empty_204(&delete(&laptop, &alice.access, "/v1/session").await);

        let calls = ["jscode2session", "checksession", "stable_token"].map(|api| laptop.simulator.calls(api));
        assert_eq!(calls, [1, 0, 0]);
    }

    #[tokio::test]
    async fn only_check_may_be_asked() {
        let laptop = Laptop::start().await;
        let alice = laptop.login("alice").await;

        for query in ["wechat=other", "wechat=", "wechat", "wechat=CHECK", "wechat=check&wechat=check"] {
            let answer = get(&laptop, &alice.access, &format!("/v1/session?{query}")).await;
            answer.is_problem(400, "invalid_request", "fix");
            assert!(!answer.text.contains("other"));
        }
        get(&laptop, &alice.access, "/v1/session?later=1").await.ok();
        assert_eq!(laptop.simulator.calls("checksession"), 0);
    }

    #[tokio::test]
    async fn only_an_access_token_of_ours_is_accepted() {
        let laptop = Laptop::start().await;
        let alice = laptop.login("alice").await;
        let stranger = Laptop::start().await.login("alice").await;
        let routes = [
            (Method::GET, "/v1/session"),
            (Method::DELETE, "/v1/session"),
            (Method::GET, "/v1/sessions"),
            (Method::DELETE, "/v1/sessions"),
            (Method::DELETE, "/v1/user"),
        ];
        let before = items(&laptop).await;

        for (method, path) in routes.clone() {
            let request = || laptop.method(method.clone(), path);
            send(request()).await.is_problem(401, "token_invalid", "refresh");
            for bad in ["x.y.z", &stranger.access, &alice.refresh, &format!("{}A", alice.access)] {
                send(request().bearer_auth(bad)).await.is_problem(401, "token_invalid", "refresh");
            }
        }
        laptop.clock.advance(930);
        for (method, path) in routes {
            let late = send(laptop.method(method, path).bearer_auth(&alice.access)).await;
            late.is_problem(401, "token_expired", "refresh");
        }

        assert_eq!(items(&laptop).await, before);
    }

    #[tokio::test]
    async fn a_table_that_fails_is_no_verdict_on_the_token() {
        let laptop = Laptop::start().await;
        let alice = laptop.login("alice").await;
        let (client, table) = laptop.dynamodb();
        client.delete_table().table_name(table).send().await.unwrap();

        for path in ["/v1/session", "/v1/session?wechat=check", "/v1/sessions"] {
            get(&laptop, &alice.access, path).await.is_problem(503, "unavailable", "retry");
        }
        for path in ["/v1/session", "/v1/sessions", "/v1/user"] {
            delete(&laptop, &alice.access, path).await.is_problem(503, "unavailable", "retry");
        }
    }

    #[tokio::test]
    async fn other_methods_and_paths_are_answered_by_the_gateway() {
        let laptop = Laptop::start().await;
        for (method, path) in [
            (Method::POST, "/v1/session"),
            (Method::PUT, "/v1/session"),
            (Method::POST, "/v1/sessions"),
            (Method::GET, "/v1/user"),
            (Method::GET, "/v1/session/"),
        ] {
            let answer = send(laptop.method(method, path)).await;
            assert_eq!((answer.status.as_u16(), answer.text.as_str()), (404, "{\"message\":\"Not Found\"}"));
        }
    }
}

mod check {
    use super::*;

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
            checked(&laptop, &alice).await;
        }

        assert_eq!(laptop.simulator.calls("checksession"), 60);
        assert_eq!(checked(&laptop, &alice).await, "unknown", "no reason to log in");
        assert_eq!(checked(&laptop, &bob).await, "ok");
        laptop.clock.advance(60);
        assert_eq!(checked(&laptop, &alice).await, "ok");
    }

    #[tokio::test]
    async fn a_key_is_ok_until_wechat_replaces_it() {
        let laptop = Laptop::start().await;
        let alice = laptop.login("alice").await;
        let bob = laptop.login("bob").await;
        assert_eq!(checked(&laptop, &alice).await, "ok");

        // Another device has called `wx.login`.
        let unsent = laptop.code("alice");

        assert_eq!(checked(&laptop, &alice).await, "stale");
        assert_eq!(checked(&laptop, &bob).await, "ok");
        let other_device = laptop.login_with(&json!({ "code": unsent })).await;
        for device in [&alice, &other_device] {
            assert_eq!(checked(&laptop, device).await, "ok", "the key is the user's, not the device's");
        }
    }

    #[tokio::test]
    async fn both_of_wechats_numbers_for_a_stale_key_are_stale() {
        let laptop = Laptop::start().await;
        let alice = laptop.login("alice").await;
        let _unsent = laptop.code("alice");
        for errcode in [87007, 87009] {
            let _ = laptop.sim("settings", json!({ "stale_key_errcode": errcode }));
            assert_eq!(checked(&laptop, &alice).await, "stale", "{errcode}");
        }
    }

    #[tokio::test]
    async fn a_stale_key_ends_nothing() {
        let laptop = Laptop::start().await;
        let alice = laptop.login("alice").await;
        let before = items(&laptop).await;
        let _unsent = laptop.code("alice");

        assert_eq!(checked(&laptop, &alice).await, "stale");

        let mut after = items(&laptop).await;
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
        for mut item in laptop.items().await {
            if item.contains_key("current_key") {
                item.insert("current_key".to_owned(), AttributeValue::B(vec![1; 60].into()));
                client.put_item().table_name(&table).set_item(Some(item)).send().await.unwrap();
            }
        }

        assert_eq!(checked(&laptop, &alice).await, "stale");

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

            assert_eq!(checked(&laptop, &alice).await, "unknown", "{fault}");

            assert_eq!(laptop.simulator.calls("checksession"), calls, "{fault}");
            laptop.simulator.clear_script();
            assert_eq!(checked(&laptop, &alice).await, "ok", "{fault}");
        }
    }

    #[tokio::test]
    async fn a_wechat_that_does_not_answer_costs_five_seconds_and_no_session() {
        let laptop = Laptop::start().await;
        let alice = laptop.login("alice").await;
        laptop.script("checksession", &json!({ "kind": "silence" }), None);

        let answer = tokio::time::timeout(std::time::Duration::from_secs(7), checked(&laptop, &alice)).await;

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

            assert_eq!(checked(&laptop, &alice).await, "unknown", "{fault}");

            assert_eq!(laptop.simulator.calls("checksession"), 0);
        }
    }

    #[tokio::test]
    async fn a_wechat_that_keeps_failing_is_left_alone_and_the_key_is_unknown() {
        let laptop = Laptop::start().await;
        let alice = laptop.login("alice").await;
        laptop.script("checksession", &json!({ "kind": "status", "status": 502 }), None);
        for _ in 0..3 {
            assert_eq!(checked(&laptop, &alice).await, "unknown");
        }
        let asked = laptop.simulator.calls("checksession");

        for _ in 0..5 {
            assert_eq!(checked(&laptop, &alice).await, "unknown");
        }

        assert_eq!((asked, laptop.simulator.calls("checksession")), (5, 5));
    }

    #[tokio::test]
    async fn a_refused_platform_token_is_replaced_and_wechat_asked_again() {
        let laptop = Laptop::start().await;
        let alice = laptop.login("alice").await;
        assert_eq!(checked(&laptop, &alice).await, "ok");
        // None scripted: a forced refresh ends the old token, which is 40001.
        for errcode in [None, Some(40001), Some(42001), Some(40014)] {
            replace_platform_token(&laptop).await;
            if let Some(errcode) = errcode {
                laptop.script("checksession", &json!({ "kind": "errcode", "errcode": errcode }), Some(1));
            }
            let before = ["checksession", "stable_token"].map(|api| laptop.simulator.calls(api));

            assert_eq!(checked(&laptop, &alice).await, "ok", "{errcode:?}");

            let after = ["checksession", "stable_token"].map(|api| laptop.simulator.calls(api));
            assert_eq!([after[0] - before[0], after[1] - before[1]], [2, 1], "{errcode:?}");
        }
    }

    #[tokio::test]
    async fn a_platform_token_is_replaced_once_and_never_forced() {
        let laptop = Laptop::start().await;
        let alice = laptop.login("alice").await;
        assert_eq!(checked(&laptop, &alice).await, "ok");
        for errcode in [40001, 42001, 40014] {
            laptop.script("checksession", &json!({ "kind": "errcode", "errcode": errcode }), None);
            let before = laptop.simulator.calls("checksession");
            assert_eq!(checked(&laptop, &alice).await, "unknown");
            assert_eq!(laptop.simulator.calls("checksession"), before + 1, "WeChat still gives the same token");

            replace_platform_token(&laptop).await;
            assert_eq!(checked(&laptop, &alice).await, "unknown");
            assert_eq!(laptop.simulator.calls("checksession"), before + 3, "the new one is refused too");
            laptop.simulator.clear_script();
        }
        assert_eq!(checked(&laptop, &alice).await, "ok");
    }

    #[tokio::test]
    async fn a_total_outage_of_wechat_leaves_every_other_request_working() {
        let laptop = Laptop::start().await;
        let devices = [laptop.login("alice").await, laptop.login("alice").await, laptop.login("alice").await];
        let bob = laptop.login("bob").await;
        laptop.script("*", &json!({ "kind": "reset" }), None);

        assert_eq!(checked(&laptop, &devices[0]).await, "unknown");
        get(&laptop, &devices[0].access, "/v1/session").await.ok();
        get(&laptop, &devices[0].access, "/v1/sessions").await.ok();
        laptop.refresh(&devices[0].refresh).await.ok();
        is_empty_204(&delete(&laptop, &devices[0].access, "/v1/session").await);
        is_empty_204(&delete(&laptop, &devices[1].access, "/v1/sessions").await);
        is_empty_204(&delete(&laptop, &bob.access, "/v1/user").await);
    }

    #[tokio::test]
    async fn a_misconfiguration_is_a_metric_although_the_answer_does_not_say_so() {
        let laptop = Laptop::start().await;
        let alice = laptop.login("alice").await;
        let lines = Arc::<Mutex<Vec<Value>>>::default();
        let written = Arc::clone(&lines);
        let log = Log::new(move |line| written.lock().unwrap().push(serde_json::from_str(line).unwrap()));
        let mut deps = session::Deps::from_env(laptop.world.env.clone()).await.unwrap();
        deps.log = log.of_function("wxauth-test");
        let router = session::router(deps);
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
}

mod log_out {
    use super::*;

    #[tokio::test]
    async fn a_logout_is_seen_at_once_by_every_route_and_only_on_this_device() {
        let laptop = Laptop::start().await;
        let (phone, tablet) = (laptop.login("alice").await, laptop.login("alice").await);
        let bob = laptop.login("bob").await;
        is_logged_in(&laptop, "alice", &phone).await;

        is_empty_204(&delete(&laptop, &phone.access, "/v1/session").await);

        is_logged_out(&laptop, "alice", &phone).await;
        is_logged_in(&laptop, "alice", &tablet).await;
        is_logged_in(&laptop, "bob", &bob).await;
    }

    #[tokio::test]
    async fn a_logout_of_what_is_logged_out_is_204_again() {
        let laptop = Laptop::start().await;
        let (phone, tablet) = (laptop.login("alice").await, laptop.login("alice").await);

        for _ in 0..3 {
            is_empty_204(&delete(&laptop, &phone.access, "/v1/session").await);
        }

        get(&laptop, &tablet.access, "/v1/session").await.ok();
    }

    #[tokio::test]
    async fn an_old_access_token_does_not_log_out_the_login_after_it() {
        let laptop = Laptop::start().await;
        let before = laptop.login("alice").await;
        laptop.clock.advance(1);
        let now = login_again(&laptop, "alice", &before).await;

        is_empty_204(&delete(&laptop, &before.access, "/v1/session").await);

        is_logged_in(&laptop, "alice", &now).await;
        is_empty_204(&delete(&laptop, &now.access, "/v1/session").await);
        is_logged_out(&laptop, "alice", &now).await;
    }

    #[tokio::test]
    async fn every_access_token_of_the_session_logs_it_out_and_is_ended_by_it() {
        let laptop = Laptop::start().await;
        let first = laptop.login("alice").await;
        laptop.clock.advance(200);
        let second = refreshed(&laptop, &first).await;

        is_empty_204(&delete(&laptop, &first.access, "/v1/session").await);

        is_logged_out(&laptop, "alice", &second).await;
        is_logged_out(&laptop, "alice", &first).await;
    }

    #[tokio::test]
    async fn an_expired_access_token_logs_out_nobody() {
        let laptop = Laptop::start().await;
        let alice = laptop.login("alice").await;
        laptop.clock.advance(929);
        let still = laptop.login("bob").await;
        is_empty_204(&delete(&laptop, &still.access, "/v1/session").await);

        laptop.clock.advance(1);
        delete(&laptop, &alice.access, "/v1/session").await.is_problem(401, "token_expired", "refresh");

        let alice = refreshed(&laptop, &alice).await;
        is_logged_in(&laptop, "alice", &alice).await;
    }

    #[tokio::test]
    async fn a_login_after_a_logout_is_a_new_session_of_a_known_user() {
        let laptop = Laptop::start().await;
        let before = laptop.login("alice").await;
        is_empty_204(&delete(&laptop, &before.access, "/v1/session").await);
        laptop.clock.advance(1);

        let body = json!({ "code": laptop.code("alice"), "device": before.device });
        let answer = laptop.post("/v1/login", &body).await.ok();

        assert_eq!((&answer["new_user"], &answer["openid"]), (&json!(false), &json!(before.openid)));
        laptop.refresh(&before.refresh).await.is_problem(400, "login_required", "relogin");
        get(&laptop, answer["access_token"].as_str().unwrap(), "/v1/session").await.ok();
        get(&laptop, &before.access, "/v1/session").await.is_problem(401, "token_invalid", "refresh");
    }

    #[tokio::test]
    async fn a_login_repeated_after_its_logout_gives_no_tokens() {
        let laptop = Laptop::start().await;
        let body = json!({ "code": laptop.code("alice") });
        let alice = login_with_claim(&laptop, body.clone()).await;

        is_empty_204(&delete(&laptop, &alice.access, "/v1/session").await);

        login_with_key(&laptop, &body).await.is_problem(400, "code_used", "relogin");
    }

    #[tokio::test]
    async fn a_logout_beside_a_refresh_leaves_no_session() {
        let laptop = Laptop::start().await;
        for _ in 0..10 {
            let alice = laptop.login("alice").await;
            laptop.clock.advance(200);

            let (refresh, out) =
                tokio::join!(laptop.refresh(&alice.refresh), delete(&laptop, &alice.access, "/v1/session"));

            is_empty_204(&out);
            if refresh.status == StatusCode::OK {
                laptop.refresh(&refresh.text_of("refresh_token")).await.is_problem(400, "login_required", "relogin");
            }
            assert_eq!(items(&laptop).await.len(), 1, "the user alone");
        }
    }
}

mod list {
    use super::*;

    #[tokio::test]
    async fn each_device_is_listed_with_the_last_used_first() {
        let laptop = Laptop::start().await;
        let phone = laptop.login("alice").await;
        laptop.clock.advance(200);
        let tablet = laptop.login("alice").await;
        let _bob = laptop.login("bob").await;
        let line = |tokens: &Tokens, current: bool, created_at: u64, last_seen_at: u64| {
            let device = &tokens.device;
            json!({ "device": device, "current": current, "created_at": created_at, "last_seen_at": last_seen_at })
        };

        let answer = get(&laptop, &phone.access, "/v1/sessions").await;

        assert_eq!(answer.header("cache-control").unwrap(), "no-store");
        let (begin, later) = (BEGIN, BEGIN + 200);
        let expected = [line(&tablet, false, later, later), line(&phone, true, begin, begin)];
        assert_eq!(answer.ok(), json!({ "sessions": expected }));
        laptop.clock.advance(200);
        let phone = refreshed(&laptop, &phone).await;
        let expected = [line(&phone, true, begin, BEGIN + 400), line(&tablet, false, later, later)];
        assert_eq!(get(&laptop, &phone.access, "/v1/sessions").await.ok(), json!({ "sessions": expected }));
        let expected = [line(&phone, false, begin, BEGIN + 400), line(&tablet, true, later, later)];
        assert_eq!(get(&laptop, &tablet.access, "/v1/sessions").await.ok(), json!({ "sessions": expected }));
    }

    #[tokio::test]
    async fn only_live_sessions_are_listed() {
        let laptop = Laptop::start().await;
        let (_left_alone, out, mut used) =
            (laptop.login("alice").await, laptop.login("alice").await, laptop.login("alice").await);
        is_empty_204(&delete(&laptop, &out.access, "/v1/session").await);
        let listed = async |tokens: &Tokens| {
            get(&laptop, &tokens.access, "/v1/sessions").await.ok()["sessions"].as_array().unwrap().len()
        };
        assert_eq!(listed(&used).await, 2);

        laptop.clock.advance(IDLE - 1);
        used = refreshed(&laptop, &used).await;
        assert_eq!(listed(&used).await, 2);

        laptop.clock.advance(1);
        assert_eq!(listed(&used).await, 1, "the one that was left alone has run out");
    }

    #[tokio::test]
    async fn all_devices_of_this_user_are_ended_and_nobody_elses() {
        let laptop = Laptop::start().await;
        let devices = [laptop.login("alice").await, laptop.login("alice").await, laptop.login("alice").await];
        let bob = laptop.login("bob").await;

        is_empty_204(&delete(&laptop, &devices[1].access, "/v1/sessions").await);

        for device in &devices {
            is_logged_out(&laptop, "alice", device).await;
        }
        is_logged_in(&laptop, "bob", &bob).await;
        assert!(items(&laptop).await.contains_key(&(partition(&devices[0]), "user".to_owned())), "the user stays");
        delete(&laptop, &devices[1].access, "/v1/sessions").await.is_problem(401, "token_invalid", "refresh");
    }

    #[tokio::test]
    async fn a_token_whose_session_is_gone_ends_nothing() {
        let laptop = Laptop::start().await;
        let (gone, replaced, alive) =
            (laptop.login("alice").await, laptop.login("alice").await, laptop.login("alice").await);
        is_empty_204(&delete(&laptop, &gone.access, "/v1/session").await);
        laptop.clock.advance(1);
        login_again(&laptop, "alice", &replaced).await;
        let before = items(&laptop).await;

        for dead in [&gone, &replaced] {
            get(&laptop, &dead.access, "/v1/sessions").await.is_problem(401, "token_invalid", "refresh");
            delete(&laptop, &dead.access, "/v1/sessions").await.is_problem(401, "token_invalid", "refresh");
            delete(&laptop, &dead.access, "/v1/user").await.is_problem(401, "token_invalid", "refresh");
        }

        assert_eq!(items(&laptop).await, before);
        get(&laptop, &alive.access, "/v1/session").await.ok();
    }

    #[tokio::test]
    async fn a_device_beyond_the_cap_is_not_listed() {
        let laptop = Laptop::start().await;
        let mut devices = Vec::new();
        for _ in 0..6 {
            devices.push(laptop.login("alice").await);
            laptop.clock.advance(1);
        }

        let answer = get(&laptop, &devices[5].access, "/v1/sessions").await.ok();

        let listed: Vec<_> = answer["sessions"].as_array().unwrap().iter().map(|line| line["device"].clone()).collect();
        let expected: Vec<_> = devices[1..].iter().rev().map(|tokens| json!(tokens.device)).collect();
        assert_eq!(listed, expected);
    }
}

mod forget {
    use super::*;

    /// Alice with two devices, claims of both logins, a unionid and a profile; no attempt made.
    async fn settled(laptop: &Laptop) -> [Tokens; 2] {
        let code = laptop.code("alice");
        let _ = laptop.sim("user", json!({ "user": "alice", "unionid": "uAlice" }));
        let phone = login_with_claim(laptop, json!({ "code": code })).await;
        [phone, login_with_claim(laptop, json!({ "code": laptop.code("alice") })).await]
    }

    #[tokio::test]
    async fn everything_that_is_stored_about_the_user_is_gone() {
        let laptop = Laptop::start().await;
        let bob = login_with_claim(&laptop, json!({ "code": laptop.code("bob") })).await;
        laptop.post_as(&bob.access, "/v1/phone", &tapped(&laptop, "bob").1).await.ok();
        let before = items(&laptop).await;
        let [phone, tablet] = settled(&laptop).await;
        assert_eq!(items(&laptop).await.len(), before.len() + 5, "user, two sessions, two claims");

        is_empty_204(&delete(&laptop, &tablet.access, "/v1/user").await);

        assert_eq!(items(&laptop).await, before, "what was there before alice came, to the letter");
        for device in [&phone, &tablet] {
            is_logged_out(&laptop, "alice", device).await;
            delete(&laptop, &device.access, "/v1/user").await.is_problem(401, "token_invalid", "refresh");
        }
        is_logged_in(&laptop, "bob", &bob).await;
    }

    #[tokio::test]
    async fn claims_of_phone_codes_are_gone_and_the_bare_count_stays() {
        let laptop = Laptop::start().await;
        let [phone, _tablet] = settled(&laptop).await;
        let codes = [tapped(&laptop, "alice").1, tapped(&laptop, "alice").1];
        for code in &codes {
            laptop.post_as(&phone.access, "/v1/phone", code).await.ok();
        }
        laptop.post_as(&phone.access, "/v1/userinfo", &laptop.sim("userinfo", json!({ "user": "alice" }))).await.ok();
        assert_eq!(claims(&items(&laptop).await), 4);

        laptop.clock.advance(10);
        is_empty_204(&delete(&laptop, &phone.access, "/v1/user").await);

        let mut after = items(&laptop).await;
        after.retain(|(pk, _), _| !pk.starts_with("app#"));
        let number = |value: u64| AttributeValue::N(value.to_string());
        let bare = HashMap::from([
            ("pk".to_owned(), AttributeValue::S(partition(&phone))),
            ("sk".to_owned(), AttributeValue::S("user".to_owned())),
            ("tries".to_owned(), number(3)),
            ("tries_from".to_owned(), number(BEGIN)),
            ("ttl".to_owned(), number(BEGIN + 3_600)),
        ]);
        assert_eq!(after, Items::from([((partition(&phone), "user".to_owned()), bare)]));
    }

    #[tokio::test]
    async fn a_count_whose_hour_is_over_does_not_stay() {
        let laptop = Laptop::start().await;
        let mut alice = laptop.login("alice").await;
        laptop.post_as(&alice.access, "/v1/phone", &tapped(&laptop, "alice").0).await.ok();
        laptop.clock.advance(3_600);
        alice = refreshed(&laptop, &alice).await;

        is_empty_204(&delete(&laptop, &alice.access, "/v1/user").await);

        assert_eq!(items(&laptop).await, Items::new());
    }

    #[tokio::test]
    async fn deleting_and_logging_in_gives_no_attempts_back() {
        let laptop = Laptop::start().await;
        let garbage = json!({ "encryptedData": "AAAAAAAAAAAAAAAAAAAAAA==", "iv": "AAAAAAAAAAAAAAAAAAAAAA==" });
        for _ in 0..3 {
            let alice = laptop.login("alice").await;
            for _ in 0..10 {
                let answer = laptop.post_as(&alice.access, "/v1/phone", &garbage).await;
                answer.is_problem(409, "session_key_expired", "relogin_then_retap");
            }
            laptop.clock.advance(60);
            is_empty_204(&delete(&laptop, &alice.access, "/v1/user").await);
        }

        let alice = laptop.login("alice").await;

        let refused = laptop.post_as(&alice.access, "/v1/phone", &tapped(&laptop, "alice").0).await;
        refused.is_problem(429, "rate_limited", "retry");
        assert_eq!(refused.json()["retry_after"], 3_600 - 180);
        laptop.clock.advance(3_600 - 180);
        let alice = laptop.login("alice").await;
        laptop.post_as(&alice.access, "/v1/phone", &tapped(&laptop, "alice").0).await.ok();
    }

    #[tokio::test]
    async fn who_comes_back_is_new_and_stays() {
        let laptop = Laptop::start().await;
        let [phone, _tablet] = settled(&laptop).await;
        laptop.post_as(&phone.access, "/v1/phone", &tapped(&laptop, "alice").0).await.ok();
        is_empty_204(&delete(&laptop, &phone.access, "/v1/user").await);
        let _ = laptop.sim("user", json!({ "user": "alice", "unionid": "" }));
        let user = |items: &Items| of_user(items, &phone)[&(partition(&phone), "user".to_owned())].clone();
        assert!(user(&items(&laptop).await).contains_key("ttl"));
        laptop.clock.advance(100);

        let body = laptop.post("/v1/login", &json!({ "code": laptop.code("alice") })).await.ok();

        assert_eq!((&body["new_user"], &body["openid"]), (&json!(true), &json!(phone.openid)));
        let user = user(&items(&laptop).await);
        assert_eq!((user.get("ttl"), user.get("unionid")), (None, None));
        assert_eq!(user["first_login"], AttributeValue::N((BEGIN + 100).to_string()));
        assert!(!matches!(user.get("previous_key"), Some(AttributeValue::B(_))), "no key from before");
        let again = laptop.post("/v1/login", &json!({ "code": laptop.code("alice") })).await.ok();
        assert_eq!(again["new_user"], false);
    }

    #[tokio::test]
    async fn data_from_before_is_not_read_by_who_comes_back() {
        let laptop = Laptop::start().await;
        let alice = laptop.login("alice").await;
        let (data, code) = tapped(&laptop, "alice");
        laptop.post_as(&alice.access, "/v1/phone", &code).await.ok();
        is_empty_204(&delete(&laptop, &alice.access, "/v1/user").await);

        let back = laptop.login("alice").await;

        let old = laptop.post_as(&back.access, "/v1/phone", &data).await;
        old.is_problem(409, "session_key_expired", "relogin_then_retap");
        let used = laptop.post_as(&back.access, "/v1/phone", &code).await;
        used.is_problem(409, "phone_code_invalid", "relogin_then_retap");
    }

    #[tokio::test]
    async fn a_login_repeated_after_the_deletion_gives_nobody_back() {
        let laptop = Laptop::start().await;
        let body = json!({ "code": laptop.code("alice") });
        let alice = login_with_claim(&laptop, body.clone()).await;
        is_empty_204(&delete(&laptop, &alice.access, "/v1/user").await);

        login_with_key(&laptop, &body).await.is_problem(400, "code_used", "relogin");

        assert_eq!(items(&laptop).await, Items::new());
    }

    #[tokio::test]
    async fn the_claim_of_a_login_that_was_repeated_is_gone() {
        let laptop = Laptop::start().await;
        let body = json!({ "code": laptop.code("alice") });
        login_with_claim(&laptop, body.clone()).await;
        let alice = login_with_claim(&laptop, body).await;

        is_empty_204(&delete(&laptop, &alice.access, "/v1/user").await);

        assert_eq!(items(&laptop).await, Items::new());
    }

    #[tokio::test]
    async fn the_claim_of_a_login_that_another_on_the_same_device_replaced_is_gone() {
        let laptop = Laptop::start().await;
        let first = login_with_claim(&laptop, json!({ "code": laptop.code("alice") })).await;
        laptop.clock.advance(1);
        let body = json!({ "code": laptop.code("alice"), "device": first.device });
        let second = login_with_claim(&laptop, body).await;

        is_empty_204(&delete(&laptop, &second.access, "/v1/user").await);

        assert_eq!(items(&laptop).await, Items::new());
    }

    #[tokio::test]
    async fn the_claim_of_a_login_that_was_logged_out_is_gone() {
        let laptop = Laptop::start().await;
        let out = login_with_claim(&laptop, json!({ "code": laptop.code("alice") })).await;
        is_empty_204(&delete(&laptop, &out.access, "/v1/session").await);
        let alice = login_with_claim(&laptop, json!({ "code": laptop.code("alice") })).await;

        is_empty_204(&delete(&laptop, &alice.access, "/v1/user").await);

        assert_eq!(items(&laptop).await, Items::new());
    }

    /// DynamoDB deletes what has run out within days: until then it lies there, and is the user's.
    #[tokio::test]
    async fn a_phone_number_of_an_earlier_hour_that_ttl_has_not_swept_is_gone() {
        let laptop = Laptop::start().await;
        let mut alice = laptop.login("alice").await;
        laptop.post_as(&alice.access, "/v1/phone", &tapped(&laptop, "alice").1).await.ok();
        laptop.clock.advance(3_600);
        alice = refreshed(&laptop, &alice).await;
        laptop.post_as(&alice.access, "/v1/phone", &tapped(&laptop, "alice").0).await.ok();

        is_empty_204(&delete(&laptop, &alice.access, "/v1/user").await);

        assert_eq!(claims(&items(&laptop).await), 0);
    }

    #[tokio::test]
    async fn a_user_who_sent_anothers_phone_code_takes_nothing_of_the_other_along() {
        let laptop = Laptop::start().await;
        let (alice, bob) = (laptop.login("alice").await, laptop.login("bob").await);
        let code = tapped(&laptop, "alice").1;
        let number = laptop.post_as(&alice.access, "/v1/phone", &code).await.ok();
        let stolen = laptop.post_as(&bob.access, "/v1/phone", &code).await;
        stolen.is_problem(409, "phone_code_invalid", "relogin_then_retap");

        is_empty_204(&delete(&laptop, &bob.access, "/v1/user").await);

        assert_eq!(laptop.post_as(&alice.access, "/v1/phone", &code).await.ok(), number, "her answer was lost");
    }

    #[tokio::test]
    async fn a_deletion_beside_other_requests_of_the_user_leaves_no_session() {
        let laptop = Laptop::start().await;
        for _ in 0..10 {
            let alice = login_with_claim(&laptop, json!({ "code": laptop.code("alice") })).await;
            laptop.clock.advance(200);
            let info = laptop.sim("userinfo", json!({ "user": "alice" }));

            let (refresh, _, gone) = tokio::join!(
                laptop.refresh(&alice.refresh),
                laptop.post_as(&alice.access, "/v1/userinfo", &info),
                delete(&laptop, &alice.access, "/v1/user"),
            );

            is_empty_204(&gone);
            if refresh.status == StatusCode::OK {
                laptop.refresh(&refresh.text_of("refresh_token")).await.is_problem(400, "login_required", "relogin");
            }
            let left = items(&laptop).await;
            let personal = ["current_key", "unionid", "first_login", "last_login", "first_family", "fingerprint"];
            assert!(left.values().all(|item| personal.iter().all(|name| !item.contains_key(*name))), "{left:?}");
            assert!(left.keys().all(|(_, sk)| sk == "user"), "{left:?}");
        }
    }
}

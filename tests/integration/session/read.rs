//! What `GET /v1/session` tells, and whom.

use http::{Method, StatusCode};
use serde_json::json;
use tests::{APPID, BEGIN, Laptop, Start, contract, send};

use super::{ABSOLUTE, IDLE, is_accepted, is_empty_204, is_logged_out, of_user};

#[tokio::test]
async fn a_session_is_these_fields_and_no_more() {
    let laptop = Start::default().rsa().go().await;
    let alice = laptop.login("alice").await;
    laptop.clock.advance(10);

    let answer = laptop.get(&alice.access, "/v1/session").await;

    let expected = json!({
        "openid": alice.openid, "appid": APPID, "device": alice.device_id(), "created_at": BEGIN,
        "expires_at": day_of(BEGIN + IDLE), "wechat_session": "unchecked",
    });
    assert_eq!(answer.ok(), expected);
    assert_eq!(answer.header("content-type").unwrap(), "application/json");
    assert_eq!(answer.header("cache-control").unwrap(), "no-store");
}

/// The beginning of a day.
fn day_of(at: u64) -> u64 {
    at - at % 86_400
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
        let expires_at = laptop.get(&alice.access, "/v1/session").await.ok()["expires_at"].as_u64().unwrap();
        seen.push((answer.json()["refresh_expires_in"].as_u64().unwrap() + now, expires_at));
    }

    let end = BEGIN + ABSOLUTE;
    let expected = [13, 19, 25].map(|days| (BEGIN + days * day, day_of(BEGIN + days * day)));
    assert_eq!(seen, [expected.as_slice(), &[(end, end)]].concat());
}

#[tokio::test]
async fn a_session_that_ran_out_is_gone_though_its_item_lies_there() {
    let laptop = Start::default().var("WXAUTH_ACCESS_SECONDS", "800").var("WXAUTH_IDLE_SECONDS", "800").go().await;
    let alice = laptop.login("alice").await;
    laptop.clock.advance(799);
    is_accepted(&laptop, "alice", &alice).await;

    laptop.clock.advance(1);

    is_logged_out(&laptop, "alice", &alice).await;
    assert!(of_user(&laptop.items().await, &alice).len() > 1);
}

#[tokio::test]
async fn nothing_is_asked_of_wechat_that_the_client_did_not_ask() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;

    laptop.get(&alice.access, "/v1/session").await.ok();
    laptop.get(&alice.access, "/v1/sessions").await.ok();
    is_empty_204(&laptop.delete(&alice.access, "/v1/session").await);

    let calls = ["jscode2session", "checksession", "stable_token"].map(|api| laptop.simulator.calls(api));
    assert_eq!(calls, [1, 0, 0]);
}

#[tokio::test]
async fn only_check_may_be_asked() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;

    for query in ["wechat=other", "wechat=", "wechat", "wechat=CHECK", "wechat=check&wechat=check"] {
        let answer = laptop.get(&alice.access, &format!("/v1/session?{query}")).await;
        answer.is_problem(400, "invalid_request", "fix");
        assert!(!answer.text.contains("other"));
    }
    laptop.get(&alice.access, "/v1/session?later=1").await.ok();
    assert_eq!(laptop.simulator.calls("checksession"), 0);
}

#[tokio::test]
async fn only_an_access_token_of_ours_is_accepted() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let stranger = Laptop::start().await.login("alice").await;
    let mut examples = contract::done();
    examples.retain(|(operation, _)| operation.is_bearer());
    assert!(examples.len() >= 7);
    let requests: Vec<_> =
        examples.iter().map(|(_, done)| done[0].request_of(&laptop, "alice", Some(&alice))).collect();
    let before = laptop.items().await;

    for request in &requests {
        let send_with = async |authorization: Option<String>| {
            let mut request = request.clone();
            request["headers"]["authorization"] = json!(authorization);
            if authorization.is_none() {
                drop(request["headers"].as_object_mut().unwrap().remove("authorization"));
            }
            contract::exchange(&laptop, &request).await
        };
        send_with(None).await.is_problem(401, "token_invalid", "refresh");
        for bad in ["x.y.z", &stranger.access, &alice.refresh, &format!("{}A", alice.access)] {
            send_with(Some(format!("Bearer {bad}"))).await.is_problem(401, "token_invalid", "refresh");
        }
    }
    laptop.clock.advance(930);
    for request in &requests {
        contract::exchange(&laptop, request).await.is_problem(401, "token_expired", "refresh");
    }

    assert_eq!(laptop.items().await, before);
}

#[tokio::test]
async fn a_table_that_fails_is_no_verdict_on_the_token() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let (client, table) = laptop.dynamodb();
    client.delete_table().table_name(table).send().await.unwrap();

    for path in ["/v1/session", "/v1/session?wechat=check", "/v1/sessions"] {
        laptop.get(&alice.access, path).await.is_problem(503, "unavailable", "retry");
    }
    for path in ["/v1/session", "/v1/sessions", "/v1/user"] {
        laptop.delete(&alice.access, path).await.is_problem(503, "unavailable", "retry");
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

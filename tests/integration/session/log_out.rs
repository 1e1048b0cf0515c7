//! `DELETE /v1/session`.

use http::{Method, StatusCode};
use serde_json::json;
use tests::{KEY, Laptop, Response, send};

use super::{is_empty_204, is_logged_in, is_logged_out, login_again, login_with_record, refreshed};

#[tokio::test]
async fn a_logout_is_seen_at_once_by_every_route_and_only_on_this_device() {
    let laptop = Laptop::start().await;
    let (phone, tablet) = (laptop.login("alice").await, laptop.login("alice").await);
    let bob = laptop.login("bob").await;
    is_logged_in(&laptop, "alice", &phone).await;

    is_empty_204(&laptop.delete(&phone.access, "/v1/session").await);

    is_logged_out(&laptop, "alice", &phone).await;
    is_logged_in(&laptop, "alice", &tablet).await;
    is_logged_in(&laptop, "bob", &bob).await;
}

#[tokio::test]
async fn a_logout_of_what_is_logged_out_is_204_again() {
    let laptop = Laptop::start().await;
    let (phone, tablet) = (laptop.login("alice").await, laptop.login("alice").await);

    for _ in 0..3 {
        is_empty_204(&laptop.delete(&phone.access, "/v1/session").await);
    }

    laptop.get(&tablet.access, "/v1/session").await.ok();
}

#[tokio::test]
async fn an_old_access_token_does_not_log_out_the_login_after_it() {
    let laptop = Laptop::start().await;
    let before = laptop.login("alice").await;
    laptop.clock.advance(1);
    let now = login_again(&laptop, "alice", &before).await;

    is_empty_204(&laptop.delete(&before.access, "/v1/session").await);

    is_logged_in(&laptop, "alice", &now).await;
    is_empty_204(&laptop.delete(&now.access, "/v1/session").await);
    is_logged_out(&laptop, "alice", &now).await;
}

/// Both logins have the same `auth_time`.
#[tokio::test]
async fn an_access_token_stays_over_when_its_device_logs_out_and_in_within_one_second() {
    let laptop = Laptop::start().await;
    let before = laptop.login("alice").await;
    is_empty_204(&laptop.delete(&before.access, "/v1/session").await);

    let now = login_again(&laptop, "alice", &before).await;

    is_logged_out(&laptop, "alice", &before).await;
    is_empty_204(&laptop.delete(&before.access, "/v1/session").await);
    is_logged_in(&laptop, "alice", &now).await;
}

#[tokio::test]
async fn every_access_token_of_the_session_logs_it_out_and_is_ended_by_it() {
    let laptop = Laptop::start().await;
    let first = laptop.login("alice").await;
    laptop.clock.advance(200);
    let second = refreshed(&laptop, &first).await;

    is_empty_204(&laptop.delete(&first.access, "/v1/session").await);

    is_logged_out(&laptop, "alice", &second).await;
    is_logged_out(&laptop, "alice", &first).await;
}

#[tokio::test]
async fn an_expired_access_token_logs_out_nobody() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    laptop.clock.advance(929);
    let still = laptop.login("bob").await;
    is_empty_204(&laptop.delete(&still.access, "/v1/session").await);

    laptop.clock.advance(1);
    laptop.delete(&alice.access, "/v1/session").await.is_problem(401, "token_expired", "refresh");

    let alice = refreshed(&laptop, &alice).await;
    is_logged_in(&laptop, "alice", &alice).await;
}

#[tokio::test]
async fn a_login_after_a_logout_is_a_new_session_of_a_known_user() {
    let laptop = Laptop::start().await;
    let before = laptop.login("alice").await;
    is_empty_204(&laptop.delete(&before.access, "/v1/session").await);
    laptop.clock.advance(1);

    let body = json!({ "code": laptop.code("alice"), "device": before.device });
    let answer = laptop.post("/v1/login", &body).await.ok();

    assert_eq!((&answer["new_user"], &answer["openid"]), (&json!(false), &json!(before.openid)));
    laptop.refresh(&before.refresh).await.is_problem(400, "login_required", "relogin");
    laptop.get(answer["access_token"].as_str().unwrap(), "/v1/session").await.ok();
    laptop.get(&before.access, "/v1/session").await.is_problem(401, "token_invalid", "refresh");
}

#[tokio::test]
async fn a_login_repeated_after_its_logout_gives_no_tokens() {
    let laptop = Laptop::start().await;
    let body = json!({ "code": laptop.code("alice") });
    let alice = login_with_record(&laptop, body.clone()).await;

    is_empty_204(&laptop.delete(&alice.access, "/v1/session").await);

    laptop.login_with_key(KEY, &body).await.is_problem(400, "code_used", "relogin");
}

#[tokio::test]
async fn a_logout_beside_a_refresh_leaves_no_session() {
    let laptop = Laptop::start().await;
    for _ in 0..10 {
        let alice = laptop.login("alice").await;
        laptop.clock.advance(200);

        let (refresh, out) = tokio::join!(laptop.refresh(&alice.refresh), laptop.delete(&alice.access, "/v1/session"));

        is_empty_204(&out);
        if refresh.status == StatusCode::OK {
            laptop.refresh(&refresh.text_of("refresh_token")).await.is_problem(400, "login_required", "relogin");
        }
        assert_eq!(laptop.items().await.len(), 1, "the user alone");
    }
}

async fn out_by(laptop: &Laptop, refresh_token: &str) -> Response {
    let body = json!({ "refresh_token": refresh_token });
    send(laptop.method(Method::DELETE, "/v1/session").json(&body)).await
}

#[tokio::test]
async fn a_refresh_token_alone_logs_its_device_out_when_no_access_token_is_left() {
    let laptop = Laptop::start().await;
    let (phone, tablet, bob) = (laptop.login("alice").await, laptop.login("alice").await, laptop.login("bob").await);
    laptop.clock.advance(2_000);

    for _ in 0..2 {
        is_empty_204(&out_by(&laptop, &phone.refresh).await);
    }

    laptop.refresh(&phone.refresh).await.is_problem(400, "login_required", "relogin");
    for other in [&tablet, &bob] {
        laptop.refresh(&other.refresh).await.ok();
    }
}

/// A replaced token would end its family at the next refresh in any case.
#[tokio::test]
async fn every_refresh_token_of_a_login_logs_it_out_and_none_the_login_after_it() {
    for generation in 0..3 {
        let laptop = Laptop::start().await;
        let mut all = vec![laptop.login("alice").await];
        for _ in 0..2 {
            laptop.clock.advance(200);
            all.push(refreshed(&laptop, all.last().unwrap()).await);
        }

        is_empty_204(&out_by(&laptop, &all[generation].refresh).await);

        is_logged_out(&laptop, "alice", &all[2]).await;
        let now = login_again(&laptop, "alice", &all[2]).await;
        for token in &all {
            is_empty_204(&out_by(&laptop, &token.refresh).await);
        }
        is_logged_in(&laptop, "alice", &now).await;
    }
}

/// RFC 7009 section 2.2: there is nothing left to do for the client.
#[tokio::test]
async fn a_token_that_is_not_ours_ends_nothing_is_no_error_and_costs_no_call_to_the_table() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let stranger = Laptop::start().await.login("alice").await;
    let cut = &alice.refresh[..alice.refresh.len() - 1];
    for text in ["", "x", cut, &format!("{}A", alice.refresh), &stranger.refresh, &alice.access, &"x".repeat(9_000)] {
        let answer = out_by(&laptop, text).await;
        is_empty_204(&answer);
        assert!(!laptop.line(&answer).contains("dynamodb_ms"), "{text}");
    }
    is_logged_in(&laptop, "alice", &alice).await;
}

#[tokio::test]
async fn a_body_is_read_strictly_and_goes_before_the_access_token() {
    let laptop = Laptop::start().await;
    let (alice, bob) = (laptop.login("alice").await, laptop.login("bob").await);
    let out = |body: &str, content_type: Option<&str>| {
        let request = laptop.method(Method::DELETE, "/v1/session").body(body.to_owned());
        content_type.into_iter().fold(request, |request, value| request.header("content-type", value))
    };
    for body in ["{}", "[]", "x", r#"{"refresh_token":null}"#, r#"{"refresh_token":1}"#, r#"{"Refresh_token":"x"}"#] {
        let request = out(body, Some("application/json"));
        send(request.try_clone().unwrap()).await.is_problem(400, "invalid_request", "fix");
        send(request.bearer_auth(&alice.access)).await.is_problem(400, "invalid_request", "fix");
    }
    let body = json!({ "refresh_token": bob.refresh }).to_string();
    for content_type in [None, Some("text/plain"), Some("application/x-www-form-urlencoded")] {
        send(out(&body, content_type)).await.is_problem(415, "unsupported_media_type", "fix");
    }
    send(out("", Some("application/json"))).await.is_problem(401, "token_invalid", "refresh");
    is_logged_in(&laptop, "bob", &bob).await;

    let both = out(&body, Some("application/json")).bearer_auth(&alice.access);
    is_empty_204(&send(both).await);

    is_logged_out(&laptop, "bob", &bob).await;
    is_logged_in(&laptop, "alice", &alice).await;
    is_empty_204(&send(out("", Some("application/json")).bearer_auth(&alice.access)).await);
    is_logged_out(&laptop, "alice", &alice).await;
}

#[tokio::test]
async fn a_failure_of_ours_is_no_logout() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let (client, table) = laptop.dynamodb();
    client.delete_table().table_name(table).send().await.unwrap();

    out_by(&laptop, &alice.refresh).await.is_problem(503, "unavailable", "retry");
    is_empty_204(&out_by(&laptop, "invented").await);
}

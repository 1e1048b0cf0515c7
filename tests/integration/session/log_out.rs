//! `DELETE /v1/session`.

use http::StatusCode;
use serde_json::json;
use tests::{KEY, Laptop};

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

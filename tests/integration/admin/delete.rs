//! The deletion of a user.

use serde_json::json;
use tests::{KEY, Laptop, Tokens, wire};

use super::{ask, attempt, is_over, of_kind, redeem};

/// The login has written its user and not yet its session when the deletion comes.
#[tokio::test]
async fn a_login_beside_a_deletion_leaves_no_session_without_a_user() {
    let mut laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let (beside, mut wire) = wire::beside(&mut laptop).await;
    let body = json!({ "code": laptop.code("alice") });
    let (mut session, mut written) = (None, false);

    let login = wire.step(beside.login_with_key(KEY, &body), async |waiting: wire::Waiting| {
        if waiting.puts("session#") {
            session = Some(waiting);
        } else {
            written |= waiting.sets("current_key");
            waiting.pass().await;
        }
        if written && let Some(session) = session.take() {
            assert_eq!(ask(&laptop, "delete", &alice).await, json!({ "deleted": true }));
            session.pass().await;
        }
    });
    let login = Box::pin(login).await;

    login.is_problem(503, "retry_login", "relogin");
    assert!(laptop.items().await.is_empty(), "{:?}", laptop.items().await);
}

#[tokio::test]
async fn delete_leaves_nothing_of_the_user() {
    let laptop = Laptop::start().await;
    laptop.login_with_key(KEY, &json!({ "code": laptop.code("alice") })).await.ok();
    laptop.clock.advance(1);
    let alice = laptop.login("alice").await;
    redeem(&laptop, &alice, "alice").await.ok();
    laptop.clock.advance(3_600);
    let later = laptop.login_with_key(KEY, &json!({ "code": laptop.code("alice") })).await;
    let alice = Tokens { access: later.text_of("access_token"), refresh: later.text_of("refresh_token"), ..alice };

    assert_eq!(ask(&laptop, "delete", &alice).await, json!({ "deleted": true }));

    // But for the bare count of attempts, which has a TTL.
    let left = laptop.items().await;
    assert!(left.iter().all(|((_, sk), item)| sk == "access_token" || item.len() == 5), "{left:?}");
    is_over(&laptop, &alice).await;
    let again = laptop.post("/v1/login", &json!({ "code": laptop.code("alice") })).await.ok();
    assert_eq!(again["new_user"], true);
}

/// The idempotency record of a login has the openid, sealed. It stays in the table until DynamoDB's TTL deletes it.
#[tokio::test]
async fn delete_finds_the_idempotency_records_of_logins_whose_session_is_over() {
    for over in ["same device", "ended", "refused"] {
        let laptop = Laptop::start().await;
        let alice = laptop.login("alice").await;
        if over == "refused" {
            ask(&laptop, "block", &alice).await;
        }
        laptop.login_with_key(KEY, &json!({ "code": laptop.code("alice"), "device": alice.device })).await;
        match over {
            "same device" => {
                laptop.clock.advance(1);
                laptop.login_with(&json!({ "code": laptop.code("alice"), "device": alice.device })).await;
            }
            "ended" => assert_eq!(ask(&laptop, "end_sessions", &alice).await["ended"], 1),
            _ => {}
        }

        ask(&laptop, "delete", &alice).await;

        assert_eq!(of_kind(&laptop, "code").await, [], "{over}");
    }
}

/// The list of phone codes begins anew with each hour of counting; a number is kept for five minutes beyond it.
#[tokio::test]
async fn delete_finds_the_phone_code_of_the_hour_before() {
    let laptop = Laptop::start().await;
    attempt(&laptop, &laptop.login("alice").await).await;
    laptop.clock.advance(3_590);
    let alice = laptop.login("alice").await;
    redeem(&laptop, &alice, "alice").await.ok();
    laptop.clock.advance(20);
    attempt(&laptop, &alice).await;

    ask(&laptop, "delete", &alice).await;

    assert_eq!(of_kind(&laptop, "code").await, [], "it counts for 280 seconds more");
}

#[tokio::test]
async fn a_count_of_attempts_survives_the_deletion_for_its_hour() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    for _ in 0..29 {
        attempt(&laptop, &alice).await.is_problem(409, "session_key_expired", "relogin_then_retap");
    }

    ask(&laptop, "delete", &alice).await;

    let mut left: Vec<_> = of_kind(&laptop, "user").await[0].keys().cloned().collect();
    left.sort();
    assert_eq!(left, ["pk", "sk", "tries", "tries_from", "ttl"]);
    assert_eq!(ask(&laptop, "read", &alice).await, json!({ "user": null }));
    let alice = laptop.login("alice").await;
    attempt(&laptop, &alice).await.is_problem(409, "session_key_expired", "relogin_then_retap");
    attempt(&laptop, &alice).await.is_problem(429, "rate_limited", "retry");
}

#[tokio::test]
async fn a_count_of_attempts_survives_block_deletion_and_unblock() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    for _ in 0..30 {
        attempt(&laptop, &alice).await;
    }

    for operation in ["block", "delete", "unblock"] {
        ask(&laptop, operation, &alice).await;
    }

    let alice = laptop.login("alice").await;
    attempt(&laptop, &alice).await.is_problem(429, "rate_limited", "retry");
}

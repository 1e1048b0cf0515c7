//! Blocks, and logins at the same time.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use tests::{APPID, BEGIN, KEY, Laptop, Tokens, wire};

use super::{ask, is_over, of_kind};

#[tokio::test]
async fn who_was_never_here_can_be_blocked() {
    let laptop = Laptop::start().await;
    let openid = laptop.login("alice").await.openid;
    let other = Laptop::start().await;
    let alice = Tokens { access: String::new(), refresh: String::new(), openid, device: "A".repeat(22) };

    let blocked = ask(&other, "block", &alice).await;

    assert_eq!(blocked, json!({ "blocked_at": tests::BEGIN, "ended": 0 }));
    let login = other.post("/v1/login", &json!({ "code": other.code("alice") })).await;
    login.is_problem(403, "user_blocked", "stop");
    assert_eq!(ask(&other, "unblock", &alice).await, json!({ "unblocked": true }));
    assert_eq!(other.login("alice").await.openid, alice.openid);
}

/// A user who sees it coming deletes themselves; the count of attempts, which stays, is swept an hour later.
#[tokio::test]
async fn who_has_deleted_themselves_can_be_blocked_for_good() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let data = json!({ "encryptedData": "AAAAAAAAAAAAAAAAAAAAAA==", "iv": "AAAAAAAAAAAAAAAAAAAAAA==" });
    laptop.post_as(&alice.access, "/v1/phone", &data).await.is_problem(
        409,
        "session_key_expired",
        "relogin_then_retap",
    );
    let deleted = laptop.delete(&alice.access, "/v1/user").await;
    assert_eq!(deleted.status, 204);

    ask(&laptop, "block", &alice).await;

    let items = laptop.items().await;
    assert!(items.values().all(|item| !item.contains_key("ttl")), "nothing sweeps the block: {items:?}");
    let login = laptop.post("/v1/login", &json!({ "code": laptop.code("alice") })).await;
    login.is_problem(403, "user_blocked", "stop");
}

#[tokio::test]
async fn a_block_ends_every_session_and_refuses_every_login() {
    let laptop = Laptop::start().await;
    let devices = [laptop.login("alice").await, laptop.login("alice").await];
    laptop.clock.advance(7);

    let answer = ask(&laptop, "block", &devices[0]).await;

    assert_eq!(answer, json!({ "blocked_at": BEGIN + 7, "ended": 2 }));
    for device in &devices {
        is_over(&laptop, device).await;
    }
    let refused = laptop.post("/v1/login", &json!({ "code": laptop.code("alice") })).await;
    refused.is_problem(403, "user_blocked", "stop");
    let refused = laptop.login_with_key(KEY, &json!({ "code": laptop.code("alice") })).await;
    refused.is_problem(403, "user_blocked", "stop");
    assert_eq!(of_kind(&laptop, "session#").await, [], "a refused login leaves no session");
}

#[tokio::test]
async fn a_refused_login_leaves_no_idempotency_record() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    ask(&laptop, "block", &alice).await;

    let refused = laptop.login_with_key(KEY, &json!({ "code": laptop.code("alice") })).await;

    refused.is_problem(403, "user_blocked", "stop");
    assert_eq!(of_kind(&laptop, "code").await, []);
}

#[tokio::test]
async fn a_login_refused_by_a_block_cannot_be_repeated_after_it() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    ask(&laptop, "block", &alice).await;
    let body = json!({ "code": laptop.code("alice") });
    laptop.login_with_key(KEY, &body).await.is_problem(403, "user_blocked", "stop");

    ask(&laptop, "unblock", &alice).await;

    laptop.login_with_key(KEY, &body).await.is_problem(400, "code_used", "relogin");
}

#[tokio::test]
async fn a_login_from_before_the_block_cannot_be_repeated_during_it_or_after() {
    let laptop = Laptop::start().await;
    let body = json!({ "code": laptop.code("alice") });
    let openid = laptop.login_with_key(KEY, &body).await.text_of("openid");
    let alice = Tokens { openid, ..laptop.login("bob").await };

    ask(&laptop, "block", &alice).await;
    let during = laptop.login_with_key(KEY, &body).await;
    ask(&laptop, "unblock", &alice).await;
    let after = laptop.login_with_key(KEY, &body).await;

    assert!(matches!(during.text_of("code").as_str(), "user_blocked" | "code_used"), "{during:?}");
    after.is_problem(400, "code_used", "relogin");
    assert_eq!(ask(&laptop, "read", &alice).await["user"]["sessions"], json!([]));
}

#[tokio::test]
async fn a_block_while_wechat_thinks_refuses_the_login() {
    for after in [false, true] {
        let laptop = Laptop::start().await;
        let alice = laptop.login("alice").await;
        let latency = json!({ "kind": "latency", "ms": 400 });
        let script = json!({ "api": "jscode2session", "fault": latency, "times": 1, "after": after });
        let _ = laptop.sim("script", script);
        let body = json!({ "code": laptop.code("alice") });

        let block = async {
            while laptop.simulator.calls("jscode2session") < 2 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            ask(&laptop, "block", &alice).await
        };
        let (login, block) = tokio::join!(laptop.login_with_key(KEY, &body), block);

        assert_eq!(block, json!({ "blocked_at": BEGIN, "ended": 1 }));
        login.is_problem(403, "user_blocked", "stop");
        assert_eq!(of_kind(&laptop, "session#").await, []);
    }
}

#[tokio::test]
async fn a_block_between_the_writes_of_a_login_and_its_look_around_refuses_the_login() {
    let mut laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let (beside, mut wire) = wire::beside(&mut laptop).await;
    let body = json!({ "code": laptop.code("alice") });

    let mut block = Value::Null;
    let login = wire.step(beside.login_with_key(KEY, &body), async |waiting| {
        if waiting.operation == "Query" {
            block = ask(&laptop, "block", &alice).await;
        }
        waiting.pass().await;
    });
    login.await.is_problem(403, "user_blocked", "stop");

    assert_eq!(block["ended"], 2, "the block came after the session was written");
    assert_eq!(of_kind(&laptop, "session#").await, []);
}

#[tokio::test]
async fn a_block_that_does_not_see_the_session_yet_is_seen_by_the_login() {
    let mut laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let (beside, mut wire) = wire::beside(&mut laptop).await;
    let body = json!({ "code": laptop.code("alice") });

    let (mut late, mut block) = (None, Value::Null);
    let login = wire.step(beside.login_with_key(KEY, &body), async |waiting| {
        if waiting.puts("session#") {
            late = Some(waiting);
        } else {
            waiting.pass().await;
        }
        if late.is_some() && of_kind(&laptop, "user").await[0]["last_login"] == AttributeValue::N(BEGIN.to_string()) {
            block = ask(&laptop, "block", &alice).await;
            late.take().unwrap().pass().await;
        }
    });
    login.await.is_problem(403, "user_blocked", "stop");

    assert_eq!(block["ended"], 1, "the block came before the session was written");
    assert_eq!(of_kind(&laptop, "session#").await, []);
}

/// The table fails just where the login would look for the block: the login must not be taken for a good one.
#[tokio::test]
async fn a_login_that_cannot_look_for_a_block_does_not_outlive_it() {
    let mut laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let (beside, mut wire) = wire::beside(&mut laptop).await;
    let body = json!({ "code": laptop.code("alice") });

    let (mut late, mut passed) = (None, 0);
    let login = wire.step(beside.login_with_key(KEY, &body), async |waiting| {
        if waiting.puts("session#") {
            late = Some(waiting);
        } else if waiting.operation == "Query" {
            waiting.fail();
        } else {
            waiting.pass().await;
            passed += 1;
        }
        // User and idempotency record are written; the session is not.
        if passed == 2
            && let Some(session) = late.take()
        {
            ask(&laptop, "block", &alice).await;
            session.pass().await;
        }
    });
    let login = login.await;

    assert_ne!(login.status, 200, "a blocked user has got tokens");
    assert_eq!(ask(&laptop, "read", &alice).await["user"]["sessions"], json!([]));
}

/// Login and block take turns at the table in eighty orders, each chosen by its number.
#[tokio::test]
async fn no_order_of_login_and_block_leaves_a_live_session() {
    let mut laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let (beside, mut wire) = wire::beside(&mut laptop).await;
    let (mut refused_late, mut taken, mut logins) = (0, 0, Vec::new());
    // The login's user, session and idempotency record, and the block.
    let first_writes = 4;

    for order in 1..=80 {
        laptop.clock.advance(1);
        let body = json!({ "code": laptop.code("alice") });
        let mut writes = Vec::new();
        let both = async { tokio::join!(beside.login_with_key(KEY, &body), ask(&beside, "block", &alice)) };
        let seen = |waiting: &wire::Waiting| {
            let known = [(waiting.sets("blocked_at"), "block"), (waiting.sets("current_key"), "login")];
            writes.extend(known.into_iter().filter(|(is, _)| *is).map(|(_, name)| name));
        };
        let (login, _) = Box::pin(wire.shuffle(order, first_writes, both, seen)).await;

        if login.status == 200 {
            taken += 1;
            let refresh = login.text_of("refresh_token");
            laptop.refresh(&refresh).await.is_problem(400, "login_required", "relogin");
        } else {
            login.is_problem(403, "user_blocked", "stop");
            refused_late += u32::from(writes == ["login", "block"]);
        }
        assert_eq!(of_kind(&laptop, "session#").await, [], "order {order}: {writes:?}");
        ask(&laptop, "unblock", &alice).await;
        logins.push(body);
    }

    let repeated = futures_util::future::join_all(logins.iter().map(|body| laptop.login_with_key(KEY, body))).await;
    assert!(repeated.iter().all(|answer| answer.status == 400), "nor can a login be repeated: {repeated:?}");
    assert!(refused_late > 0, "no order in which only the look around finds the block");
    assert!(taken + refused_late < 80, "no order in which the block comes first");
}

#[tokio::test]
async fn a_second_block_keeps_the_time_of_the_first() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    ask(&laptop, "block", &alice).await;

    laptop.clock.advance(500);

    assert_eq!(ask(&laptop, "block", &alice).await, json!({ "blocked_at": BEGIN, "ended": 0 }));
    assert_eq!(ask(&laptop, "read", &alice).await["user"]["blocked_at"], BEGIN);
}

#[tokio::test]
async fn after_an_unblock_the_user_logs_in_as_before() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    ask(&laptop, "block", &alice).await;

    assert_eq!(ask(&laptop, "unblock", &alice).await, json!({ "unblocked": true }));

    let again = laptop.post("/v1/login", &json!({ "code": laptop.code("alice") })).await.ok();
    assert_eq!((&again["openid"], &again["new_user"]), (&json!(alice.openid), &json!(false)));
    assert_eq!(ask(&laptop, "read", &alice).await["user"]["blocked_at"], Value::Null);
    assert!(!of_kind(&laptop, "user").await[0].contains_key("ttl"), "who logs in stays");
}

#[tokio::test]
async fn a_block_outlives_the_deletion_of_its_user() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    ask(&laptop, "block", &alice).await;

    assert_eq!(ask(&laptop, "delete", &alice).await, json!({ "deleted": true }));

    let refused = laptop.post("/v1/login", &json!({ "code": laptop.code("alice") })).await;
    refused.is_problem(403, "user_blocked", "stop");
    let user = json!({
        "appid": APPID, "openid": alice.openid, "unionid": null,
        "first_login": null, "last_login": null, "blocked_at": BEGIN, "sessions": [],
    });
    assert_eq!(ask(&laptop, "read", &alice).await, json!({ "user": user }));
    let mut left: Vec<_> = of_kind(&laptop, "user").await[0].keys().cloned().collect();
    left.sort();
    assert_eq!(left, ["blocked_at", "pk", "sk"], "of a deleted user the block alone is left");
    let export = &ask(&laptop, "export", &alice).await["user"];
    assert_eq!((&export["blocked_at"], &export["session_key"]), (&json!(BEGIN), &json!(false)));
}

#[tokio::test]
async fn a_deleted_user_who_is_unblocked_is_nobody_until_they_log_in() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    ask(&laptop, "block", &alice).await;
    ask(&laptop, "delete", &alice).await;

    assert_eq!(ask(&laptop, "unblock", &alice).await, json!({ "unblocked": true }));

    assert_eq!(ask(&laptop, "read", &alice).await, json!({ "user": null }));
    let left = of_kind(&laptop, "user").await;
    assert!(left.iter().all(|item| item.contains_key("ttl")), "what is left runs out: {left:?}");
    let again = laptop.post("/v1/login", &json!({ "code": laptop.code("alice") })).await.ok();
    assert_eq!(again["new_user"], true);
    assert!(!of_kind(&laptop, "user").await[0].contains_key("ttl"), "who logs in stays");
}

#[tokio::test]
async fn a_blocked_user_has_no_session_to_delete_themselves_with() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    ask(&laptop, "block", &alice).await;
    let before = laptop.items().await;

    let refused = laptop.delete(&alice.access, "/v1/user").await;

    refused.is_problem(401, "token_invalid", "refresh");
    assert_eq!(laptop.items().await, before);
}

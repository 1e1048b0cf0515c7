//! What the owner is told about a user.

use serde_json::json;
use tests::{APPID, BEGIN, Laptop, Tokens};

use super::ask;

#[tokio::test]
async fn read_tells_who_the_user_is_and_where_they_are_logged_in() {
    let laptop = Laptop::start().await;
    let _ = laptop.sim("user", json!({ "user": "alice", "unionid": "uAlice" }));
    let first = laptop.login("alice").await;
    laptop.clock.advance(200);
    let second = laptop.login("alice").await;
    laptop.clock.advance(50);
    laptop.refresh(&first.refresh).await.ok();

    let mut answer = ask(&laptop, "read", &first).await;

    answer["user"]["sessions"].as_array_mut().unwrap().sort_by_key(|session| session["created_at"].as_u64());
    let week = 604_800;
    assert_eq!(
        answer,
        json!({ "user": {
            "appid": APPID, "openid": first.openid, "unionid": "uAlice",
            "first_login": BEGIN, "last_login": BEGIN + 200, "blocked_at": null,
            "sessions": [
                { "device": first.device_id(), "created_at": BEGIN, "last_seen_at": BEGIN + 250, "expires_at": BEGIN + 250 + week },
                { "device": second.device_id(), "created_at": BEGIN + 200, "last_seen_at": BEGIN + 200, "expires_at": BEGIN + 200 + week },
            ],
        } })
    );
}

#[tokio::test]
async fn read_shows_no_session_that_has_run_out() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;

    laptop.clock.advance(604_800);

    assert_eq!(ask(&laptop, "read", &alice).await["user"]["sessions"], json!([]));
}

#[tokio::test]
async fn an_unknown_user_is_null_and_asking_makes_nobody() {
    let laptop = Laptop::start().await;
    let stranger = Tokens {
        access: String::new(),
        refresh: String::new(),
        openid: "oStranger".to_owned(),
        device: "A".repeat(22),
    };

    assert_eq!(ask(&laptop, "read", &stranger).await, json!({ "user": null }));
    assert_eq!(ask(&laptop, "end_session", &stranger).await, json!({ "ended": false }));
    assert_eq!(ask(&laptop, "end_sessions", &stranger).await, json!({ "ended": 0 }));
    assert_eq!(ask(&laptop, "unblock", &stranger).await, json!({ "unblocked": false }));
    let nothing = json!({ "appid": APPID, "openid": "oStranger", "user": null, "sessions": [] });
    assert_eq!(ask(&laptop, "export", &stranger).await, nothing);
    assert_eq!(ask(&laptop, "delete", &stranger).await, json!({ "deleted": false }));
    assert!(laptop.items().await.is_empty(), "asking about nobody makes nobody");
}

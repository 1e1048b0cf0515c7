//! A message that comes again: it deletes what was there when it first came, and nothing of a user who has come back since.

use serde_json::{Value, json};
use tests::{
    APPID, Laptop, Start, Tokens,
    suites::kill::owner::{Does, Owner},
    wire,
};

use super::{AES_KEY, CANCELLATION, REVOKE, app, event, login, plain, pushed, send_push, takes};

/// The message once more, as WeChat signs it now.
fn again(laptop: &Laptop, push: &Value) -> Value {
    laptop.sim("repeat", json!({ "id": push["id"] }))
}

async fn is_over(laptop: &Laptop, user: &Tokens) {
    laptop.refresh(&user.refresh).await.is_problem(400, "login_required", "relogin");
}

/// Whether a user's session and `session_key` are as the login left them.
async fn is_whole(laptop: &Laptop, user: &Tokens, name: &str) {
    let tap = laptop.sim("phone", json!({ "user": name }));
    let data = json!({ "encryptedData": tap["encryptedData"], "iv": tap["iv"] });
    laptop.post_as(&user.access, "/v1/phone", &data).await.ok();
    laptop.refresh(&user.refresh).await.ok();
}

async fn phone(laptop: &Laptop, user: &Tokens, code: &Value) -> tests::Response {
    laptop.post_as(&user.access, "/v1/phone", code).await
}

fn tap(laptop: &Laptop, user: &str) -> Value {
    json!({ "code": laptop.sim("phone", json!({ "user": user }))["code"] })
}

#[tokio::test]
async fn a_cancellation_that_comes_again_leaves_who_has_logged_in_since() {
    for (mode, key) in [("plain", None), ("compatible", None), ("compatible", Some(AES_KEY)), ("secure", Some(AES_KEY))]
    {
        for format in ["json", "xml"] {
            let laptop = Start::default().apps(json!({ "apps": { APPID: app("token", key) } })).go().await;
            let before = laptop.login("alice").await;
            let wanted = json!({
                "user": "alice", "event": CANCELLATION, "mode": mode, "format": format,
                "encoding_aes_key": if mode == "plain" { Value::Null } else { AES_KEY.into() },
            });
            let push = pushed(&laptop, wanted);
            takes(&laptop, &push).await;
            is_over(&laptop, &before).await;
            let since = laptop.login("alice").await;

            for _ in 0..3 {
                takes(&laptop, &push).await;
                takes(&laptop, &again(&laptop, &push)).await;
                laptop.clock.advance(200);
            }

            is_whole(&laptop, &since, "alice").await;
            // Another one is obeyed.
            takes(&laptop, &pushed(&laptop, event("alice", CANCELLATION))).await;
            is_over(&laptop, &since).await;
        }
    }
}

/// The usual reason for a repetition.
#[tokio::test]
async fn a_cancellation_that_the_owners_function_did_not_take_leaves_who_has_logged_in_since() {
    let owner = Owner::start().await;
    let apps = json!({ "apps": { APPID: app("token", Some(AES_KEY)) } });
    let laptop = Start::default().apps(apps).push_target(&owner.url).go().await;
    let before = laptop.login("alice").await;
    owner.will([Does::Fails, Does::Answers("{".to_owned())]);
    let push = pushed(&laptop, event("alice", CANCELLATION));
    assert_eq!(send_push(&laptop, &push).await.status, 503);
    is_over(&laptop, &before).await;
    let since = laptop.login("alice").await;

    assert_eq!(send_push(&laptop, &again(&laptop, &push)).await.status, 503);
    takes(&laptop, &again(&laptop, &push)).await;

    is_whole(&laptop, &since, "alice").await;
    assert_eq!(owner.asked().len(), 3);
}

#[tokio::test]
async fn a_revocation_that_comes_again_leaves_the_number_of_a_later_tap() {
    let laptop = plain().await;
    let alice = laptop.login("alice").await;
    let before = tap(&laptop, "alice");
    phone(&laptop, &alice, &before).await.ok();
    let push = pushed(&laptop, json!({ "user": "alice", "event": REVOKE, "RevokeInfo": "8" }));
    takes(&laptop, &push).await;
    let since = tap(&laptop, "alice");
    let number = phone(&laptop, &alice, &since).await.ok();

    takes(&laptop, &push).await;
    takes(&laptop, &again(&laptop, &push)).await;

    phone(&laptop, &alice, &before).await.is_problem(409, "phone_code_invalid", "relogin_then_retap");
    assert_eq!(phone(&laptop, &alice, &since).await.ok(), number);
}

/// Without its time, the message of another day would be the same.
#[tokio::test]
async fn an_event_without_its_time_is_obeyed_whenever_it_comes() {
    let laptop = plain().await;
    let wanted = json!({ "user": "alice", "event": CANCELLATION, "without": ["CreateTime"] });
    for _ in 0..2 {
        let alice = laptop.login("alice").await;
        laptop.clock.advance(1);

        takes(&laptop, &pushed(&laptop, wanted.clone())).await;

        is_over(&laptop, &alice).await;
    }
}

/// The first delivery ends at each of its requests in turn. What was there before is gone when another is acknowledged, also
/// where the user has logged in meanwhile, who stays.
#[tokio::test]
async fn a_cancellation_that_broke_off_is_finished_and_leaves_who_has_logged_in_since() {
    let mut ended = false;
    for broken in 2.. {
        let mut laptop = Laptop::start().await;
        let _ = laptop.sim("user", json!({ "user": "alice", "unionid": "uAlice" }));
        let alice = [login(&laptop, APPID, "alice").await, login(&laptop, APPID, "alice").await];
        let code = tap(&laptop, "alice");
        phone(&laptop, &alice[0], &code).await.ok();
        let push = pushed(&laptop, event("alice", CANCELLATION));
        let (beside, mut wire) = wire::beside(&mut laptop).await;
        let mut sent = 0;
        let first = wire.step(send_push(&beside, &push), async |waiting| {
            sent += 1;
            if sent > broken { waiting.fail() } else { waiting.pass().await }
        });
        if first.await.status == 200 {
            ended = true;
            break;
        }
        laptop.clock.advance(1);
        let _ = laptop.sim("user", json!({ "user": "alice", "unionid": "" }));
        let since = laptop.login("alice").await;
        laptop.clock.advance(4);

        takes(&laptop, &again(&laptop, &push)).await;

        for before in &alice {
            is_over(&laptop, before).await;
        }
        let read = laptop.owner("read", &since.openid).await;
        let expected = (json!(tests::BEGIN + 1), &Value::Null, 1);
        let sessions = read["user"]["sessions"].as_array().unwrap().len();
        assert_eq!(
            (read["user"]["first_login"].clone(), &read["user"]["unionid"], sessions),
            expected,
            "{broken} {read}"
        );
        phone(&laptop, &since, &code).await.is_problem(409, "phone_code_invalid", "relogin_then_retap");
        is_whole(&laptop, &since, "alice").await;
    }
    assert!(ended);
}

//! What a push deletes.

use local::template;
use serde_json::{Value, json};
use tests::{APPID, Items, Laptop, Response, Tokens, wire};

use super::{CANCELLATION, REVOKE, event, items, login, plain, pushed, refuses, send_push, takes};

/// The items in `after` that are not in `before`.
fn beyond(before: &Items, after: &Items) -> Items {
    after
        .iter()
        .filter(|(key, item)| before.get(*key) != Some(item))
        .map(|(key, item)| (key.clone(), item.clone()))
        .collect()
}

fn phone_code(laptop: &Laptop, user: &str) -> Value {
    json!({ "code": laptop.sim("phone", json!({ "user": user }))["code"] })
}

async fn phone(laptop: &Laptop, user: &Tokens, body: &Value) -> Response {
    laptop.post_as(&user.access, "/v1/phone", body).await
}

#[tokio::test]
async fn a_cancellation_deletes_all_of_its_user_and_nothing_of_another() {
    let laptop = plain().await;
    let bob = login(&laptop, APPID, "bob").await;
    phone(&laptop, &bob, &phone_code(&laptop, "bob")).await.ok();
    let before = items(&laptop).await;
    let alice = login(&laptop, APPID, "alice").await;
    phone(&laptop, &alice, &phone_code(&laptop, "alice")).await.ok();
    let devices = [alice, login(&laptop, APPID, "alice").await];

    takes(&laptop, &pushed(&laptop, event("alice", CANCELLATION))).await;

    for device in devices {
        laptop.refresh(&device.refresh).await.is_problem(400, "login_required", "relogin");
    }
    laptop.refresh(&bob.refresh).await.ok();
    let left = beyond(&before, &items(&laptop).await);
    // The count of attempts stays out its hour.
    let names: Vec<Vec<_>> = left.values().map(|item| item.keys().map(String::as_str).collect()).collect();
    assert_eq!(names.len(), 1, "{left:?}");
    let mut names = names[0].clone();
    names.sort_unstable();
    assert_eq!(names, ["phone_tries", "phone_tries_from", "pk", "sk", "ttl"]);
}

#[tokio::test]
async fn a_cancellation_does_not_lift_a_block() {
    let laptop = plain().await;
    let alice = laptop.login("alice").await;
    let deps = admin::Deps::from_env(laptop.world.env.clone()).await.unwrap();
    let block = json!({ "operation": "block", "appid": APPID, "openid": alice.openid });
    admin::handle(deps, serde_json::from_value(block).unwrap()).await.unwrap();

    takes(&laptop, &pushed(&laptop, event("alice", CANCELLATION))).await;

    let refused = laptop.post("/v1/login", &json!({ "code": laptop.code("alice") })).await;
    refused.is_problem(403, "user_blocked", "stop");
}

#[tokio::test]
async fn a_phone_number_taken_back_is_forgotten_and_nothing_else() {
    for info in ["8", "6,8", "1, 8"] {
        let laptop = plain().await;
        let _ = laptop.sim("user", json!({ "user": "alice", "unionid": "uAlice" }));
        let (alice, bob) = (login(&laptop, APPID, "alice").await, login(&laptop, APPID, "bob").await);
        let (of_alice, of_bob) = (phone_code(&laptop, "alice"), phone_code(&laptop, "bob"));
        phone(&laptop, &bob, &of_bob).await.ok();
        let without = items(&laptop).await;
        phone(&laptop, &alice, &of_alice).await.ok();
        let with = items(&laptop).await;
        phone(&laptop, &bob, &of_bob).await.ok();
        let before = items(&laptop).await;

        let wanted = json!({ "user": "alice", "event": REVOKE, "RevokeInfo": info });
        takes(&laptop, &pushed(&laptop, wanted)).await;

        let gone = beyond(&items(&laptop).await, &before);
        let mut record = beyond(&without, &with);
        record.retain(|_, item| item.contains_key("sealed"));
        assert_eq!(gone, record, "RevokeInfo {info}");
        phone(&laptop, &alice, &of_alice).await.is_problem(409, "phone_code_invalid", "relogin_then_retap");
        phone(&laptop, &bob, &of_bob).await.ok();
        laptop.refresh(&alice.refresh).await.ok();
    }
}

/// The list of phone codes begins anew with each hour of counting; a number is kept for five minutes beyond it.
#[tokio::test]
async fn a_phone_number_of_the_hour_before_is_forgotten_too() {
    let laptop = plain().await;
    let alice = laptop.login("alice").await;
    phone(&laptop, &alice, &phone_code(&laptop, "alice")).await.ok();
    laptop.clock.advance(3_590);
    let alice = laptop.login("alice").await;
    let code = phone_code(&laptop, "alice");
    phone(&laptop, &alice, &code).await.ok();
    laptop.clock.advance(20);
    phone(&laptop, &alice, &phone_code(&laptop, "alice")).await.ok();

    takes(&laptop, &pushed(&laptop, json!({ "user": "alice", "event": REVOKE, "RevokeInfo": "8" }))).await;

    phone(&laptop, &alice, &code).await.is_problem(409, "phone_code_invalid", "relogin_then_retap");
}

#[tokio::test]
async fn what_is_not_stored_here_changes_nothing_when_it_is_taken_back() {
    let laptop = plain().await;
    let alice = login(&laptop, APPID, "alice").await;
    phone(&laptop, &alice, &phone_code(&laptop, "alice")).await.ok();
    let before = items(&laptop).await;
    let replaced = |event: &str| {
        let mut push = pushed(&laptop, json!({ "user": "alice", "event": CANCELLATION }));
        push["body"] = push["body"].as_str().unwrap().replace(CANCELLATION, event).into();
        push
    };

    for push in [
        pushed(&laptop, json!({ "user": "alice", "event": REVOKE, "RevokeInfo": "6" })),
        pushed(&laptop, json!({ "user": "alice", "event": REVOKE, "RevokeInfo": "18,80,88" })),
        pushed(&laptop, event("alice", "user_info_modified")),
        pushed(&laptop, event("nobody", CANCELLATION)),
        pushed(&laptop, json!({ "user": "nobody", "event": REVOKE, "RevokeInfo": "8" })),
        replaced("wxa_media_check"),
        replaced("USER_AUTHORIZATION_CANCELLATION"),
        replaced("user_enter_tempsession"),
    ] {
        takes(&laptop, &push).await;
        assert_eq!(items(&laptop).await, before, "{push}");
    }
    refuses(&laptop, &replaced("")).await;
}

#[tokio::test]
async fn a_push_that_comes_again_is_taken_again() {
    let laptop = plain().await;
    laptop.login("alice").await;
    let cancellation = pushed(&laptop, event("alice", CANCELLATION));
    let revoke = pushed(&laptop, json!({ "user": "alice", "event": REVOKE, "RevokeInfo": "8" }));

    for push in [&cancellation, &cancellation, &revoke, &revoke] {
        takes(&laptop, push).await;
    }
}

#[tokio::test]
async fn a_table_that_fails_is_no_success_and_wechat_sends_again() {
    let laptop = plain().await;
    let alice = laptop.login("alice").await;
    let push = pushed(&laptop, event("alice", CANCELLATION));
    let (client, table) = laptop.dynamodb();
    let stored = items(&laptop).await;
    client.delete_table().table_name(&table).send().await.unwrap();

    let failed = send_push(&laptop, &push).await;
    template::create_table(&client, &table).await.unwrap();
    for item in stored.into_values() {
        client.put_item().table_name(&table).set_item(Some(item)).send().await.unwrap();
    }
    laptop.clock.advance(5);

    failed.is_problem(503, "unavailable", "retry");
    takes(&laptop, &push).await;
    laptop.refresh(&alice.refresh).await.is_problem(400, "login_required", "relogin");
    assert_eq!(items(&laptop).await, Items::new());
}

#[tokio::test]
async fn a_push_that_broke_off_anywhere_is_completed_when_it_comes_again() {
    for (event, info) in [(CANCELLATION, None), (REVOKE, Some("8"))] {
        for broken in 0.. {
            let mut laptop = Laptop::start().await;
            let alice = login(&laptop, APPID, "alice").await;
            let code = phone_code(&laptop, "alice");
            phone(&laptop, &alice, &code).await.ok();
            login(&laptop, APPID, "alice").await;
            let mut wanted = json!({ "user": "alice", "event": event });
            if let Some(info) = info {
                wanted["RevokeInfo"] = info.into();
            }
            let push = pushed(&laptop, wanted);
            let (beside, mut wire) = wire::beside(&mut laptop).await;

            let mut sent = 0;
            let first = wire.step(send_push(&beside, &push), async |waiting| {
                sent += 1;
                if sent > broken { waiting.fail() } else { waiting.pass().await }
            });
            let first = first.await;
            if first.status == 200 {
                assert!(broken > 3, "it did nothing");
                break;
            }

            first.is_problem(503, "unavailable", "retry");
            takes(&laptop, &push).await;
            if info.is_some() {
                phone(&laptop, &alice, &code).await.is_problem(409, "phone_code_invalid", "relogin_then_retap");
            } else {
                laptop.refresh(&alice.refresh).await.is_problem(400, "login_required", "relogin");
                let left = items(&laptop).await;
                assert!(left.iter().all(|((_, sk), item)| !item.contains_key("sealed") || sk != "code"));
                assert!(
                    left.values().all(|item| !item.contains_key("first_login")),
                    "after {broken} requests: {left:?}"
                );
            }
        }
    }
}

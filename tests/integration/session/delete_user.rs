//! `DELETE /v1/user`.

use aws_sdk_dynamodb::types::AttributeValue;
use http::StatusCode;
use serde_json::json;
use tests::{BEGIN, Item, Items, KEY, Laptop, Tokens};

use super::{
    is_empty_204, is_logged_in, is_logged_out, login_with_record, of_user, partition, records, refreshed, tapped,
};

/// Alice with two devices, idempotency records of both logins and a unionid; she has not tried to decrypt anything.
async fn settled(laptop: &Laptop) -> [Tokens; 2] {
    let code = laptop.code("alice");
    let _ = laptop.sim("user", json!({ "user": "alice", "unionid": "uAlice" }));
    let phone = login_with_record(laptop, json!({ "code": code })).await;
    [phone, login_with_record(laptop, json!({ "code": laptop.code("alice") })).await]
}

#[tokio::test]
async fn everything_that_is_stored_about_the_user_is_gone() {
    let laptop = Laptop::start().await;
    let bob = login_with_record(&laptop, json!({ "code": laptop.code("bob") })).await;
    laptop.post_as(&bob.access, "/v1/phone", &tapped(&laptop, "bob").1).await.ok();
    let before = laptop.items().await;
    let [phone, tablet] = settled(&laptop).await;
    assert_eq!(laptop.items().await.len(), before.len() + 5, "user, two sessions, two records");

    is_empty_204(&laptop.delete(&tablet.access, "/v1/user").await);

    assert_eq!(laptop.items().await, before, "what was there before alice came, to the letter");
    for device in [&phone, &tablet] {
        is_logged_out(&laptop, "alice", device).await;
        laptop.delete(&device.access, "/v1/user").await.is_problem(401, "token_invalid", "refresh");
    }
    is_logged_in(&laptop, "bob", &bob).await;
}

#[tokio::test]
async fn records_of_phone_codes_are_gone_and_the_bare_count_stays() {
    let laptop = Laptop::start().await;
    let [phone, _tablet] = settled(&laptop).await;
    let codes = [tapped(&laptop, "alice").1, tapped(&laptop, "alice").1];
    for code in &codes {
        laptop.post_as(&phone.access, "/v1/phone", code).await.ok();
    }
    laptop.post_as(&phone.access, "/v1/userinfo", &laptop.sim("userinfo", json!({ "user": "alice" }))).await.ok();
    assert_eq!(records(&laptop.items().await), 4);

    laptop.clock.advance(10);
    is_empty_204(&laptop.delete(&phone.access, "/v1/user").await);

    let mut after = laptop.items().await;
    after.retain(|(pk, _), _| !pk.starts_with("app#"));
    let number = |value: u64| AttributeValue::N(value.to_string());
    let bare = Item::from([
        ("pk".to_owned(), AttributeValue::S(partition(&phone))),
        ("sk".to_owned(), AttributeValue::S("user".to_owned())),
        ("tries".to_owned(), number(3)),
        ("tries_from".to_owned(), number(BEGIN)),
        ("ttl".to_owned(), number(BEGIN + 10 + 3_600)),
    ]);
    assert_eq!(after, Items::from([((partition(&phone), "user".to_owned()), bare)]));
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
        is_empty_204(&laptop.delete(&alice.access, "/v1/user").await);
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
    is_empty_204(&laptop.delete(&phone.access, "/v1/user").await);
    let _ = laptop.sim("user", json!({ "user": "alice", "unionid": "" }));
    let user = |items: &Items| of_user(items, &phone)[&(partition(&phone), "user".to_owned())].clone();
    assert!(user(&laptop.items().await).contains_key("ttl"));
    laptop.clock.advance(100);

    let body = laptop.post("/v1/login", &json!({ "code": laptop.code("alice") })).await.ok();

    assert_eq!((&body["new_user"], &body["openid"]), (&json!(true), &json!(phone.openid)));
    let user = user(&laptop.items().await);
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
    is_empty_204(&laptop.delete(&alice.access, "/v1/user").await);

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
    let alice = login_with_record(&laptop, body.clone()).await;
    is_empty_204(&laptop.delete(&alice.access, "/v1/user").await);

    laptop.login_with_key(KEY, &body).await.is_problem(400, "code_used", "relogin");

    assert_eq!(laptop.items().await, Items::new());
}

#[tokio::test]
async fn the_idempotency_record_of_a_login_that_was_repeated_is_gone() {
    let laptop = Laptop::start().await;
    let body = json!({ "code": laptop.code("alice") });
    login_with_record(&laptop, body.clone()).await;
    let alice = login_with_record(&laptop, body).await;

    is_empty_204(&laptop.delete(&alice.access, "/v1/user").await);

    assert_eq!(laptop.items().await, Items::new());
}

#[tokio::test]
async fn the_idempotency_record_of_a_login_that_another_on_the_same_device_replaced_is_gone() {
    let laptop = Laptop::start().await;
    let first = login_with_record(&laptop, json!({ "code": laptop.code("alice") })).await;
    laptop.clock.advance(1);
    let body = json!({ "code": laptop.code("alice"), "device": first.device });
    let second = login_with_record(&laptop, body).await;

    is_empty_204(&laptop.delete(&second.access, "/v1/user").await);

    assert_eq!(laptop.items().await, Items::new());
}

#[tokio::test]
async fn the_idempotency_record_of_a_login_that_was_logged_out_is_gone() {
    let laptop = Laptop::start().await;
    let out = login_with_record(&laptop, json!({ "code": laptop.code("alice") })).await;
    is_empty_204(&laptop.delete(&out.access, "/v1/session").await);
    let alice = login_with_record(&laptop, json!({ "code": laptop.code("alice") })).await;

    is_empty_204(&laptop.delete(&alice.access, "/v1/user").await);

    assert_eq!(laptop.items().await, Items::new());
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

    is_empty_204(&laptop.delete(&alice.access, "/v1/user").await);

    assert_eq!(records(&laptop.items().await), 0);
}

#[tokio::test]
async fn a_user_who_sent_anothers_phone_code_takes_nothing_of_the_other_along() {
    let laptop = Laptop::start().await;
    let (alice, bob) = (laptop.login("alice").await, laptop.login("bob").await);
    let code = tapped(&laptop, "alice").1;
    let number = laptop.post_as(&alice.access, "/v1/phone", &code).await.ok();
    let stolen = laptop.post_as(&bob.access, "/v1/phone", &code).await;
    stolen.is_problem(409, "phone_code_invalid", "relogin_then_retap");

    is_empty_204(&laptop.delete(&bob.access, "/v1/user").await);

    assert_eq!(laptop.post_as(&alice.access, "/v1/phone", &code).await.ok(), number, "her answer was lost");
}

#[tokio::test]
async fn a_deletion_beside_other_requests_of_the_user_leaves_no_session() {
    let laptop = Laptop::start().await;
    for _ in 0..10 {
        let alice = login_with_record(&laptop, json!({ "code": laptop.code("alice") })).await;
        laptop.clock.advance(200);
        let info = laptop.sim("userinfo", json!({ "user": "alice" }));

        let (refresh, _, gone) = tokio::join!(
            laptop.refresh(&alice.refresh),
            laptop.post_as(&alice.access, "/v1/userinfo", &info),
            laptop.delete(&alice.access, "/v1/user"),
        );

        is_empty_204(&gone);
        if refresh.status == StatusCode::OK {
            laptop.refresh(&refresh.text_of("refresh_token")).await.is_problem(400, "login_required", "relogin");
        }
        let left = laptop.items().await;
        let personal = ["current_key", "unionid", "first_login", "last_login", "first_family", "fingerprint"];
        assert!(left.values().all(|item| personal.iter().all(|name| !item.contains_key(*name))), "{left:?}");
        assert!(left.keys().all(|(_, sk)| sk == "user"), "{left:?}");
    }
}

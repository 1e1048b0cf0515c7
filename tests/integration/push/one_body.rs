//! In the plain mode a signature covers no message: it is good for the one that it first came with.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use http::StatusCode;
use serde_json::{Value, json};
use tests::{APPID, BEGIN, Folder, Laptop, Start, hex};

use super::{
    AES_KEY, CANCELLATION, OTHER, REVOKE, app, event, laptop_of, login, plain, pushed, refuses, send_push, takes,
};

/// The same query with another body.
fn with_body(push: &Value, body: &Value) -> Value {
    json!({ "method": "POST", "query": push["query"], "content_type": "application/json", "body": body.to_string() })
}

/// What WeChat would send if bob closed his account, under the signature of something else.
fn forged(laptop: &Laptop, seen: &Value) -> Value {
    let genuine = pushed(laptop, event("bob", CANCELLATION));
    with_body(seen, &serde_json::from_str(genuine["body"].as_str().unwrap()).unwrap())
}

async fn is_refused(laptop: &Laptop, push: &Value) {
    let answer = send_push(laptop, push).await;
    answer.is_problem(400, "invalid_request", "fix");
    assert!(laptop.line(&answer).contains("PUSH_SIGNATURE_REUSED"), "{push} {}", laptop.line(&answer));
}

/// A message of another kind.
fn text(content: &str) -> Value {
    json!({ "ToUserName": "gh_1", "FromUserName": "oA", "CreateTime": BEGIN, "MsgType": "text", "Content": content })
}

#[tokio::test]
async fn who_saw_the_query_of_any_push_deletes_nobody_with_it() {
    let laptop = plain().await;
    let bob = laptop.login("bob").await;
    let revoke = json!({ "user": "alice", "event": REVOKE, "RevokeInfo": "8" });
    for wanted in [event("alice", CANCELLATION), event("alice", "user_info_modified"), revoke] {
        let seen = pushed(&laptop, wanted);
        takes(&laptop, &seen).await;
        is_refused(&laptop, &forged(&laptop, &seen)).await;
    }
    let other = with_body(&pushed(&laptop, event("alice", "user_info_modified")), &text("hi"));
    takes(&laptop, &other).await;
    is_refused(&laptop, &forged(&laptop, &other)).await;
    is_refused(&laptop, &with_body(&other, &text("bye"))).await;
    // What was refused was WeChat's, too.
    let of_nobody = pushed(&laptop, json!({ "user": "alice", "event": CANCELLATION, "without": ["OpenID"] }));
    refuses(&laptop, &of_nobody).await;
    is_refused(&laptop, &forged(&laptop, &of_nobody)).await;
    let console = pushed(&laptop, json!({ "event": "verify", "echostr": "1" }));
    assert_eq!(send_push(&laptop, &console).await.status, StatusCode::OK);
    is_refused(&laptop, &forged(&laptop, &console)).await;

    laptop.refresh(&bob.refresh).await.ok();
}

/// A signature is over time and nonce one after the other, and so also over another time and another nonce.
#[tokio::test]
async fn who_divides_time_and_nonce_of_a_seen_query_anew_deletes_nobody_with_it() {
    let laptop = plain().await;
    let bob = laptop.login("bob").await;
    let time = BEGIN + 1;
    let later = (BEGIN + 86_400).to_string();
    let (nonce, both) = (&later[1..], format!("{time}{}", &later[1..]));
    let signature = hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{both}token").as_bytes()).as_ref());
    let query = |time: &str, nonce: &str| format!("signature={signature}&timestamp={time}&nonce={nonce}");
    let seen = with_body(&json!({ "query": query(&time.to_string(), nonce) }), &text("hi"));
    takes(&laptop, &seen).await;

    laptop.clock.advance(86_400);

    let anew = json!({ "query": query(&later, &both[..9]) });
    is_refused(&laptop, &forged(&laptop, &anew)).await;
    laptop.refresh(&bob.refresh).await.ok();
}

#[tokio::test]
async fn every_process_knows_what_a_signature_came_with_and_wechat_may_repeat_it_to_any() {
    let folder = Folder::new();
    let apps = folder.0.join("apps.json");
    std::fs::write(&apps, json!({ "apps": { APPID: app("token", None) } }).to_string()).unwrap();
    let apps = format!("file:{}", apps.display());
    let one = Start::default().var("WXAUTH_APPS", &apps).go().await;
    let two = one.beside_with(&[("WXAUTH_APPS", &apps)], &one.clock).await;
    let bob = one.login("bob").await;
    let seen = pushed(&one, event("alice", "user_info_modified"));

    takes(&one, &seen).await;
    is_refused(&two, &forged(&one, &seen)).await;
    for laptop in [&two, &one, &two] {
        takes(laptop, &seen).await;
    }
    two.refresh(&bob.refresh).await.ok();
}

/// WeChat counts its tries in some messages, and may encrypt anew what is not read here.
#[tokio::test]
async fn a_repeat_may_differ_in_what_says_nothing() {
    let laptop = plain().await;
    let seen = pushed(&laptop, event("alice", "user_info_modified"));
    let refund = |tries: u32, id: &str| {
        json!({
            "MsgType": "event", "Event": "xpay", "OpenId": "oA", "WxRefundId": id, "RetryTimes": tries,
            "TeamInfo": { "ActivityId": "a" }, "Encrypt": format!("{tries}"),
        })
    };
    for tries in 0..3 {
        takes(&laptop, &with_body(&seen, &refund(tries, "1"))).await;
    }
    is_refused(&laptop, &with_body(&seen, &refund(3, "2"))).await;
    let mut other_team = refund(3, "1");
    other_team["TeamInfo"]["ActivityId"] = "b".into();
    is_refused(&laptop, &with_body(&seen, &other_team)).await;
    for format in ["json", "xml"] {
        let wanted = json!({ "user": "alice", "event": "user_info_modified", "format": format });
        let mut push = pushed(&laptop, wanted);
        takes(&laptop, &push).await;
        push["body"] = format!(" {}\n", push["body"].as_str().unwrap()).into();
        takes(&laptop, &push).await;
    }
}

/// Without a key the members beside `Encrypt` are believed, and only `signature` says whose they are.
#[tokio::test]
async fn in_the_compatible_mode_without_a_key_no_other_signature_is_good() {
    let laptop = plain().await;
    let bob = laptop.login("bob").await;
    let wanted =
        json!({ "user": "alice", "event": "user_info_modified", "mode": "compatible", "encoding_aes_key": AES_KEY });
    let seen = pushed(&laptop, wanted);
    takes(&laptop, &seen).await;
    let encrypted = serde_json::from_str::<Value>(seen["body"].as_str().unwrap()).unwrap()["Encrypt"].clone();
    let mut forged = forged(&laptop, &seen);
    let mut body: Value = serde_json::from_str(forged["body"].as_str().unwrap()).unwrap();
    body["Encrypt"] = encrypted;
    forged["body"] = body.to_string().into();

    is_refused(&laptop, &forged).await;
    // `msg_signature` is right for this Encrypt.
    let query = seen["query"].as_str().unwrap().split('&').filter(|pair| !pair.starts_with("signature="));
    forged["query"] = query.collect::<Vec<_>>().join("&").into();
    refuses(&laptop, &forged).await;

    laptop.refresh(&bob.refresh).await.ok();
}

#[tokio::test]
async fn a_signature_of_the_secure_mode_deletes_nobody_of_an_app_in_the_plain_mode_with_the_same_token() {
    let laptop = laptop_of(json!({ APPID: app("same", Some(AES_KEY)), OTHER: app("same", None) })).await;
    let bob = login(&laptop, OTHER, "bob").await;
    let seen = pushed(&laptop, json!({ "user": "alice", "appid": APPID, "event": "user_info_modified" }));
    takes(&laptop, &seen).await;
    let genuine = pushed(&laptop, json!({ "user": "bob", "appid": OTHER, "event": CANCELLATION }));
    let forged = with_body(&seen, &serde_json::from_str(genuine["body"].as_str().unwrap()).unwrap());

    is_refused(&laptop, &forged).await;

    takes(&laptop, &seen).await;
    laptop.refresh(&bob.refresh).await.ok();
}

#[tokio::test]
async fn what_is_encrypted_costs_no_write() {
    let laptop = laptop_of(json!({ APPID: app("token", Some(AES_KEY)) })).await;

    takes(&laptop, &pushed(&laptop, event("alice", "user_info_modified"))).await;

    assert!(laptop.items().await.is_empty());
}

/// WeChat signs time and nonce without saying which is which.
#[tokio::test]
async fn a_nonce_that_reads_as_a_later_time_makes_no_second_use_of_its_signature() {
    let laptop = plain().await;
    let bob = laptop.login("bob").await;
    let (now, later) = (BEGIN.to_string(), (BEGIN + 86_400).to_string());
    let mut texts = ["token", &now, &later];
    texts.sort_unstable();
    let signature = hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, texts.concat().as_bytes()).as_ref());
    let query = |timestamp: &str, nonce: &str| format!("signature={signature}&timestamp={timestamp}&nonce={nonce}");
    let seen = json!({ "query": query(&now, &later) });
    takes(&laptop, &with_body(&seen, &text("hi"))).await;

    laptop.clock.advance(86_400);
    let mut forged = forged(&laptop, &seen);
    forged["query"] = query(&later, &now).into();

    is_refused(&laptop, &forged).await;
    let bob = laptop.refresh(&bob.refresh).await;
    bob.ok();
}

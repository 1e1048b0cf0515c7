//! Several mini programs that WeChat pushes to at the same address.

use serde_json::json;
use tests::APPID;

use super::{AES_KEY, CANCELLATION, OTHER, app, event, items, laptop_of, login, plain, pushed, refuses, takes};

/// Whose session a cancellation ends, where two apps with the same token have a user of the same openid each.
async fn cancelled(keys: [Option<&str>; 2], concerned: &str, format: &str) -> Vec<&'static str> {
    let laptop = laptop_of(json!({ APPID: app("same", keys[0]), OTHER: app("same", keys[1]) })).await;
    let openid = laptop.sim("user", json!({ "user": "twin", "appid": APPID }))["openid"].clone();
    let _ = laptop.sim("user", json!({ "user": "twin", "appid": OTHER, "openid": openid }));
    let twins = [login(&laptop, APPID, "twin").await, login(&laptop, OTHER, "twin").await];
    assert_eq!(twins[0].openid, twins[1].openid);

    let wanted = json!({ "user": "twin", "appid": concerned, "event": CANCELLATION, "format": format });
    takes(&laptop, &pushed(&laptop, wanted)).await;

    let mut over = Vec::new();
    for (appid, twin) in [APPID, OTHER].into_iter().zip(&twins) {
        if laptop.refresh(&twin.refresh).await.status != 200 {
            over.push(appid);
        }
    }
    over
}

/// The same openid text in two mini programs is two users; the token of WeChat's console may well be the same.
#[tokio::test]
async fn two_apps_that_share_a_token_are_told_apart_by_their_appid() {
    for keys in [[None, None], [Some(AES_KEY), Some(AES_KEY)]] {
        for concerned in [APPID, OTHER] {
            for format in ["json", "xml"] {
                assert_eq!(cancelled(keys, concerned, format).await, [concerned], "{format} {keys:?}");
            }
        }
    }
}

#[tokio::test]
async fn two_apps_that_share_a_token_may_differ_in_mode() {
    for keys in [[Some(AES_KEY), None], [None, Some(AES_KEY)]] {
        for concerned in [APPID, OTHER] {
            assert_eq!(cancelled(keys, concerned, "json").await, [concerned], "{keys:?}");
        }
    }
}

#[tokio::test]
async fn a_message_that_names_no_app_or_an_unknown_one_deletes_nothing() {
    let laptop = plain().await;
    laptop.login("alice").await;
    let before = items(&laptop).await;
    let push = pushed(&laptop, event("alice", CANCELLATION));
    let body = push["body"].as_str().unwrap();

    for body in [
        body.replace(APPID, OTHER),
        body.replace("\"AppID\"", "\"App\""),
        body.replace(&format!("\"{APPID}\""), "null"),
        body.replacen('{', &format!("{{\"AppID\":\"{OTHER}\","), 1),
        String::new(),
        "[]".to_owned(),
        "success".to_owned(),
    ] {
        let mut push = push.clone();
        push["body"] = body.into();
        refuses(&laptop, &push).await;
    }
    assert_eq!(items(&laptop).await, before);
}

#[tokio::test]
async fn apps_without_a_push_configuration_take_none() {
    let laptop = laptop_of(json!({ APPID: { "secret": "secret" } })).await;
    let stranger = plain().await;

    refuses(&laptop, &pushed(&stranger, json!({ "event": "verify" }))).await;
    refuses(&laptop, &pushed(&stranger, event("alice", CANCELLATION))).await;
}

//! Which messages are taken for WeChat's: signatures, modes and formats.

use http::StatusCode;
use serde_json::json;
use tests::{APPID, BEGIN, Items, Start};

use super::{
    AES_KEY, CANCELLATION, OTHER, OTHER_AES_KEY, app, event, items, laptop_of, login, plain, pushed, refuses,
    send_push, takes,
};

#[tokio::test]
async fn wechat_hears_its_echostr_when_the_address_is_entered() {
    for aes_key in [None, Some(AES_KEY)] {
        let laptop = laptop_of(json!({ APPID: app("token", aes_key) })).await;
        for echostr in ["5838479218127813673", "", "a b+c&d=%/?", "<script>", "微信"] {
            let push = pushed(&laptop, json!({ "event": "verify", "echostr": echostr }));

            let answer = send_push(&laptop, &push).await;

            assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, echostr));
            assert!(answer.header("content-type").unwrap().starts_with("text/plain"), "{answer:?}");
            assert_eq!(answer.header("cache-control").unwrap(), "no-store");
        }
    }
}

#[tokio::test]
async fn nobody_else_hears_an_echo() {
    let (laptop, stranger) = (plain().await, laptop_of(json!({ APPID: app("another", None) })).await);
    let good = pushed(&laptop, json!({ "event": "verify", "echostr": "1" }));
    let query = good["query"].as_str().unwrap();
    let with = |query: String| json!({ "method": "GET", "query": query });
    let without = |name: &str| {
        let kept: Vec<_> = query.split('&').filter(|pair| !pair.starts_with(&format!("{name}="))).collect();
        with(kept.join("&"))
    };

    for bad in [
        pushed(&stranger, json!({ "event": "verify" })),
        with(query.replace("nonce=", "nonce=1")),
        with(query.replace("timestamp=", "timestamp=0")),
        with(query.replace("&signature=", "&other=").replacen("signature=", "signature=0", 1)),
        with(String::new()),
        without("signature"),
        without("timestamp"),
        without("nonce"),
        without("echostr"),
    ] {
        refuses(&laptop, &bad).await;
    }
    let answer = send_push(&laptop, &good).await;
    assert_eq!(answer.text, "1");
}

/// Bound: ten minutes, before and after.
#[tokio::test]
async fn a_signature_counts_for_ten_minutes() {
    for aes_key in [None, Some(AES_KEY)] {
        let laptop = laptop_of(json!({ APPID: app("token", aes_key) })).await;
        let late = [
            pushed(&laptop, json!({ "event": "verify", "echostr": "1" })),
            pushed(&laptop, event("alice", "user_info_modified")),
        ];
        let ahead = Start::default().apps(json!({ "apps": { APPID: app("token", aes_key) } })).at(BEGIN + 1_201);
        let early = pushed(&ahead.go().await, event("alice", "user_info_modified"));

        laptop.clock.advance(600);
        for push in &late {
            assert_eq!(send_push(&laptop, push).await.status, 200);
        }
        refuses(&laptop, &early).await;
        laptop.clock.advance(1);
        for push in &late {
            refuses(&laptop, push).await;
        }
        takes(&laptop, &early).await;
    }
}

#[tokio::test]
async fn every_mode_and_format_is_read() {
    for (aes_key, modes) in [(None, &["plain"][..]), (Some(AES_KEY), &["compatible", "secure"][..])] {
        let laptop = laptop_of(json!({ APPID: app("token", aes_key) })).await;
        for mode in modes {
            for format in ["json", "xml"] {
                laptop.clock.advance(1);
                let alice = laptop.login("alice").await;
                let wanted = json!({ "user": "alice", "event": CANCELLATION, "mode": mode, "format": format });

                takes(&laptop, &pushed(&laptop, wanted)).await;

                laptop.refresh(&alice.refresh).await.is_problem(400, "login_required", "relogin");
                assert_eq!(items(&laptop).await, Items::new(), "{mode} {format}");
            }
        }
    }
}

#[tokio::test]
async fn an_app_with_an_encoding_aes_key_takes_no_message_in_the_clear() {
    let laptop = laptop_of(json!({ APPID: app("token", Some(AES_KEY)) })).await;
    laptop.login("alice").await;
    let before = items(&laptop).await;

    for event in [CANCELLATION, "user_info_modified"] {
        for format in ["json", "xml"] {
            let wanted = json!({ "user": "alice", "event": event, "mode": "plain", "format": format });
            refuses(&laptop, &pushed(&laptop, wanted)).await;
        }
    }

    assert_eq!(items(&laptop).await, before);
}

#[tokio::test]
async fn the_fields_beside_encrypt_are_never_believed() {
    let laptop = laptop_of(json!({ APPID: app("token", Some(AES_KEY)) })).await;
    let (alice, bob) = (laptop.login("alice").await, laptop.login("bob").await);
    let wanted = json!({ "user": "alice", "event": "user_info_modified", "mode": "compatible" });
    let mut push = pushed(&laptop, wanted);
    let body = push["body"].as_str().unwrap().replace("user_info_modified", CANCELLATION);
    push["body"] = body.replace(&alice.openid, &bob.openid).into();
    let before = items(&laptop).await;

    takes(&laptop, &push).await;

    assert_eq!(items(&laptop).await, before);
}

#[tokio::test]
async fn what_another_app_signed_or_encrypted_is_refused() {
    let keys = [Some(AES_KEY), Some(OTHER_AES_KEY)];
    for [key, other_key] in [keys, [None, None]] {
        let laptop = laptop_of(json!({ APPID: app("one", key), OTHER: app("two", other_key) })).await;
        let alice = login(&laptop, APPID, "alice").await;
        let before = items(&laptop).await;
        for (token, aes_key) in [("two", other_key), ("one", other_key), ("two", key), ("three", key)] {
            if (token, aes_key) == ("one", key) {
                continue;
            }
            // Signed by whoever holds this token and key, about a user of the first app.
            let forger = laptop_of(json!({ APPID: app(token, aes_key) })).await;
            refuses(&laptop, &pushed(&forger, event("alice", CANCELLATION))).await;
        }
        assert_eq!(items(&laptop).await, before);
        laptop.refresh(&alice.refresh).await.ok();
    }
}

//! `paySig`, for an owner who stored AppKeys.

use serde_json::{Value, json};

use super::{MESSAGE, PRODUCTION, SANDBOX, hmac_hex, request, start, tried};
use tests::{APPID, Laptop, Start};

async fn pay(laptop: &Laptop, openid: &str, uri: &str, message: &str) -> Result<Value, (&'static str, String)> {
    let mut asked = request(openid, message);
    asked["uri"] = uri.into();
    tried(laptop, asked).await
}

#[tokio::test]
async fn the_messages_own_env_chooses_the_app_key() {
    let laptop = start().await;
    let alice = laptop.login("alice").await;

    for (message, key) in [
        ("{}", PRODUCTION),
        (r#"{"env":0}"#, PRODUCTION),
        (r#" {"a":{"env":1}, "env": 0 } "#, PRODUCTION),
        (r#"{"env":1}"#, SANDBOX),
        ("{\"env\" : 1,\"attach\":\"会员 🎁\"}\n", SANDBOX),
    ] {
        let signed = pay(&laptop, &alice.openid, "requestVirtualPayment", message).await.unwrap();
        let expected = hmac_hex(key, &format!("requestVirtualPayment&{message}"));
        assert_eq!(signed["paySig"], json!(expected), "{message}");
        assert!(signed["signature"].is_string());
    }
    let without = tried(&laptop, request(&alice.openid, MESSAGE)).await.unwrap();
    assert!(without.get("paySig").is_none(), "nobody asked for it");
}

#[tokio::test]
async fn a_message_that_says_no_env_that_there_is_is_not_signed_for_a_payment() {
    let laptop = start().await;
    let alice = laptop.login("alice").await;

    for message in [
        "",
        "x",
        "[]",
        "{",
        r#"{"env":2}"#,
        r#"{"env":-1}"#,
        r#"{"env":"0"}"#,
        r#"{"env":null}"#,
        r#"{"env":0.5}"#,
        r#"{"env":0,"env":1}"#,
        r#"{"env":0}{}"#,
    ] {
        let refused = pay(&laptop, &alice.openid, "requestVirtualPayment", message).await;
        assert_eq!(refused.unwrap_err().0, "invalid_request", "{message}");
        assert!(
            tried(&laptop, request(&alice.openid, message)).await.is_ok(),
            "without a payment it is any text: {message}"
        );
    }
}

#[tokio::test]
async fn a_name_by_which_wechat_could_not_verify_is_refused() {
    let laptop = start().await;
    let alice = laptop.login("alice").await;

    for uri in ["requestVirtualPayment", "/xpay/query_user_balance", "/wxa/game/getbalance"] {
        assert!(pay(&laptop, &alice.openid, uri, MESSAGE).await.is_ok(), "{uri}");
    }
    let longest = format!("/xpay/{}", "x".repeat(122));
    assert!(pay(&laptop, &alice.openid, &longest, MESSAGE).await.is_ok());
    for uri in [
        "",
        "/",
        "//",
        "/xpay",
        "/xpay/",
        "//xpay/query_order",
        "/xpay//query_order",
        "/xpay/query_order/",
        "/requestVirtualPayment",
        "/requestVirtualPayment/query_order",
        "/xpay/requestVirtualPayment",
        "requestvirtualpayment",
        "xpay/query_order",
        "/xpay/query_order?access_token=x",
        "/xpay/query_order&x",
        "https://api.weixin.qq.com/xpay/query_order",
        "/xpay/查询",
        "/xpay/query order",
        &format!("{longest}x"),
    ] {
        assert_eq!(pay(&laptop, &alice.openid, uri, MESSAGE).await.unwrap_err().0, "invalid_request", "{uri}");
    }
}

#[tokio::test]
async fn an_app_key_that_is_not_stored_is_the_owners_to_put_right() {
    for (app_keys, env, sentence) in [
        (Value::Null, 0, "the apps secret has no app_keys for env 0 of this mini program"),
        (json!({ "production": PRODUCTION }), 1, "the apps secret has no app_keys for env 1 of this mini program"),
        (json!({ "production": " " }), 0, "the apps secret has no app_keys for env 0 of this mini program"),
        (
            json!("key"),
            0,
            r#"app_keys should be {"production": "...", "sandbox": "..."}, where either may be left out"#,
        ),
    ] {
        let apps = json!({ "apps": { APPID: { "secret": "s", "app_keys": app_keys } } });
        let laptop = Start::default().apps(apps).go().await;
        let alice = laptop.login("alice").await;

        let refused = pay(&laptop, &alice.openid, "requestVirtualPayment", &format!(r#"{{"env":{env}}}"#)).await;

        assert_eq!(refused.unwrap_err(), ("misconfigured", sentence.to_owned()));
        assert!(laptop.log().pop().unwrap().contains("ERROR"));
        assert!(tried(&laptop, request(&alice.openid, MESSAGE)).await.is_ok(), "the user's own signature needs none");
    }
}

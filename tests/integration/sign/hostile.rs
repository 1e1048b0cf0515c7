//! What nobody should send, and what must come of it.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{MESSAGE, hmac_hex, plant, request, start, tried};
use tests::APPID;

#[tokio::test]
async fn what_is_no_request_is_refused_before_anything_is_read() {
    let laptop = start().await;
    let alice = laptop.login("alice").await;
    let with = |member: &str, value: Value| {
        let mut request = request(&alice.openid, MESSAGE);
        request[member] = value;
        request
    };
    let without = |member: &str| {
        let mut request = request(&alice.openid, MESSAGE);
        request.as_object_mut().unwrap().remove(member);
        request
    };

    for request in [
        json!(null),
        json!([]),
        json!("sign"),
        json!({}),
        without("appid"),
        without("openid"),
        without("message"),
        with("later", json!(1)),
        with("Message", json!("")),
        with("appid", json!(1)),
        with("appid", json!(null)),
        with("appid", json!("")),
        with("appid", json!(format!("{APPID}#"))),
        with("appid", json!("wx0000000000000002")),
        with("openid", json!("")),
        with("openid", json!("o Alice")),
        with("openid", json!("微信")),
        with("openid", json!("o".repeat(129))),
        with("openid", json!(null)),
        with("message", json!({ "env": 0 })),
        with("message", json!(null)),
        with("check", json!(null)),
        with("check", json!("true")),
        with("check", json!(1)),
        with("uri", json!(1)),
    ] {
        let refused = tried(&laptop, request.clone()).await;
        assert_eq!(refused.unwrap_err().0, "invalid_request", "{request}");
    }
}

#[tokio::test]
async fn a_message_has_at_most_16_kib_of_bytes_not_of_letters() {
    let laptop = start().await;
    plant(&laptop, "alice", "o8x5w1S96v44S3700UEUhw==");
    let alice = laptop.login("alice").await;
    let (fits, chinese) = ("x".repeat(16_384), "会".repeat(5_461));

    for message in [&fits, &chinese] {
        let signed = tried(&laptop, request(&alice.openid, message)).await.unwrap();
        assert_eq!(signed["signature"], hmac_hex("o8x5w1S96v44S3700UEUhw==", message));
    }
    for message in [format!("{fits}x"), format!("{chinese}会")] {
        assert_eq!(tried(&laptop, request(&alice.openid, &message)).await.unwrap_err().0, "payload_too_large");
    }
}

#[tokio::test]
async fn no_openid_reads_an_item_that_is_no_users() {
    let laptop = start().await;
    let alice = laptop.login("alice").await;

    for (appid, openid) in [
        (APPID, format!("{}#x", alice.openid)),
        (APPID, format!("{} ", alice.openid)),
        (APPID, "../user".to_owned()),
        (APPID, "user".to_owned()),
        ("app", APPID.to_owned()),
        ("code", "x".to_owned()),
    ] {
        let asked = json!({ "appid": appid, "openid": openid, "message": MESSAGE });
        let answer = tried(&laptop, asked).await;
        let nobody = json!({ "refused": "no_user", "action": "relogin" });
        assert!(answer.is_err() || answer == Ok(nobody), "{appid} {openid}: {answer:?}");
    }
}

#[tokio::test]
async fn a_table_that_fails_is_no_verdict_on_the_user() {
    let laptop = start().await;
    let alice = laptop.login("alice").await;
    let (client, table) = laptop.dynamodb();
    client.delete_table().table_name(table).send().await.unwrap();

    for check in [false, true] {
        let mut asked = request(&alice.openid, MESSAGE);
        asked["check"] = check.into();
        let failed = tried(&laptop, asked).await.unwrap_err();

        assert_eq!(failed, ("unavailable", "the table is unavailable".to_owned()));
        for secret in [&alice.openid, MESSAGE] {
            assert!(!laptop.log().last().unwrap().contains(secret));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Whatever the text, it is signed byte for byte, and nothing of it is logged.
    #[test]
    fn any_text_is_signed_as_it_is(messages in proptest::collection::vec("\\PC{0,64}|[\\x00-\\x7f]{0,64}", 8)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let laptop = start().await;
            plant(&laptop, "alice", "o8x5w1S96v44S3700UEUhw==");
            let alice = laptop.login("alice").await;
            for message in messages {
                let signed = tried(&laptop, request(&alice.openid, &message)).await.unwrap();
                assert_eq!(signed, json!({ "signature": hmac_hex("o8x5w1S96v44S3700UEUhw==", &message) }));
                assert!(message.len() < 12 || !laptop.log().concat().contains(&message));
            }
        });
    }
}

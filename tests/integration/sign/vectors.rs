//! Every vector of WeChat's two signatures, end to end: what must come out, and what must not.

use serde_json::{Value, json};

use super::{hmac_hex, plant, tried};
use tests::{APPID, Laptop, Start};

fn vectors(kinds: &[&str]) -> Vec<Value> {
    let file: Value = serde_json::from_str(include_str!("../../fixtures/wechat-user-state.json")).unwrap();
    let of_kind = |vector: &&Value| kinds.iter().any(|kind| vector["kind"] == *kind);
    file["vectors"].as_array().unwrap().iter().filter(of_kind).cloned().collect()
}

/// An app with the AppKeys of a vector: whichever its `env` does not choose is another one.
async fn laptop(vector: &Value, message: &str) -> Laptop {
    let env = serde_json::from_str::<Value>(message).map_or(json!(0), |message| message["env"].clone());
    let (chosen, other) = if env == 1 { ("sandbox", "production") } else { ("production", "sandbox") };
    let keys = json!({ chosen: vector["app_key"], other: "another key" });
    Start::default().apps(json!({ "apps": { APPID: { "secret": "s", "app_keys": keys } } })).go().await
}

#[tokio::test]
async fn every_signature_is_wechats_and_no_usual_mistake_comes_out() {
    let mut compared = 0;
    for vector in vectors(&["client_payment", "server_call"]) {
        let id = &vector["id"];
        let (uri, message) = match vector["kind"].as_str().unwrap() {
            "client_payment" => ("requestVirtualPayment", vector["sign_data"].as_str().unwrap()),
            _ => (vector["path"].as_str().unwrap(), vector["body"].as_str().unwrap()),
        };
        let laptop = laptop(&vector, message).await;
        plant(&laptop, "alice", vector["session_key"].as_str().unwrap_or("o8x5w1S96v44S3700UEUhw=="));
        let alice = laptop.login("alice").await;

        let asked = json!({ "appid": APPID, "openid": alice.openid, "message": message, "uri": uri });
        let signed = tried(&laptop, asked).await.unwrap();

        assert_eq!(signed["paySig"], vector["pay_sig"], "{id}");
        if !vector["signature"].is_null() {
            assert_eq!(signed["signature"], vector["signature"], "{id}");
        }
        for (mistake, wrong) in vector["wrong"].as_object().into_iter().flatten() {
            assert!(signed["paySig"] != *wrong && signed["signature"] != *wrong, "{id}: {mistake}");
            compared += 1;
        }
    }
    assert!(compared > 100, "{compared}");
}

#[tokio::test]
async fn the_empty_text_is_signed_too() {
    for vector in vectors(&["user_signature"]) {
        let laptop = laptop(&json!({ "app_key": "k" }), "").await;
        plant(&laptop, "alice", vector["session_key"].as_str().unwrap());
        let alice = laptop.login("alice").await;

        let asked = json!({ "appid": APPID, "openid": alice.openid, "message": vector["data"] });
        let signed = tried(&laptop, asked).await.unwrap();

        assert_eq!(signed, json!({ "signature": vector["signature"] }));
        assert_eq!(vector["signature"], hmac_hex(vector["session_key"].as_str().unwrap(), ""));
    }
}

#[test]
fn encrypted_data_is_known_by_the_hash_of_its_text() {
    for vector in vectors(&["encrypted_msg_hash"]) {
        let data =
            shared::wechat::opendata::EncryptedData::try_from(vector["encrypted_data"].as_str().unwrap().to_owned());

        let hash = data.unwrap().hash();

        assert_eq!(hash.as_str(), vector["hash_of_text"].as_str().unwrap());
        for (mistake, wrong) in vector["wrong"].as_object().unwrap() {
            assert_ne!(hash.as_str(), wrong.as_str().unwrap(), "{mistake}");
        }
    }
}

//! The session key: at login, in ciphertexts, and where it is checked or reset.

use aes::Aes128;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt as _, KeyIvInit as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::client::Wire;

fn decrypt(sealed: &Value, key: &str) -> Option<Value> {
    let bytes = |text: &str| STANDARD.decode(text).unwrap();
    let iv = bytes(sealed["iv"].as_str().unwrap());
    let cipher = cbc::Decryptor::<Aes128>::new_from_slices(&bytes(key), &iv).unwrap();
    let plaintext = cipher.decrypt_padded_vec::<Pkcs7>(&bytes(sealed["encryptedData"].as_str().unwrap())).ok()?;
    serde_json::from_slice(&plaintext).ok()
}

/// A simulator, a platform token, and the session key and openid of a user who has logged in.
async fn signed_in() -> (Wire, String, String, String) {
    let wire = Wire::start().await;
    let (token, key, openid) = (wire.token().await, wire.session_key("ada").await, wire.openid("ada").await);
    (wire, token, key, openid)
}

#[tokio::test]
async fn every_login_replaces_the_session_key() {
    let wire = Wire::start().await;
    let first = wire.code("ada").await;
    let old = wire.exchange(&first).await.text("session_key");

    let (second, third) = (wire.code("ada").await, wire.code("ada").await);
    let (second, third) = (wire.exchange(&second).await, wire.exchange(&third).await);

    assert_ne!(second.text("session_key"), old);
    // A user has one valid key: exchanges of codes in flight get the current one.
    assert_eq!(second.text("session_key"), third.text("session_key"));
}

#[tokio::test]
async fn the_session_key_is_kept_when_so_set() {
    let wire = Wire::start().await;
    wire.sim("settings", json!({ "session_key": "keep" })).await;

    assert_eq!(wire.session_key("ada").await, wire.session_key("ada").await);
    assert_ne!(wire.session_key("ada").await, wire.session_key("bob").await);
}

#[tokio::test]
async fn any_object_is_encrypted_with_a_watermark_of_its_app() {
    let (wire, _, key, _) = signed_in().await;
    let given = json!({ "stepInfoList": [{ "timestamp": 1, "step": 2 }], "watermark": "another" });

    let sealed = wire.sim("opendata", json!({ "user": "ada", "data": given })).await;

    let watermark = json!({ "timestamp": 1_700_000_000, "appid": wire.app.appid });
    let opened = json!({ "stepInfoList": [{ "timestamp": 1, "step": 2 }], "watermark": watermark });
    assert_eq!(decrypt(&sealed, &key), Some(opened));
}

#[tokio::test]
async fn ciphertexts_open_with_the_current_key_only() {
    let wire = Wire::start().await;
    let change = json!({ "user": "ada", "phoneNumber": "8613800138000", "purePhoneNumber": "13800138000",
        "countryCode": 86, "unionid": "u1", "nickName": "Ada" });
    let openid = wire.sim("user", change).await["openid"].clone();
    let key = wire.session_key("ada").await;

    let phone = wire.sim("phone", json!({ "user": "ada" })).await;
    let userinfo = wire.sim("userinfo", json!({ "user": "ada" })).await;
    let odd = wire.sim("encrypt", json!({ "user": "ada", "plaintext": "[1]" })).await;

    let watermark = json!({ "timestamp": 1_700_000_000, "appid": wire.app.appid });
    let expected = json!({ "phoneNumber": "8613800138000", "purePhoneNumber": "13800138000", "countryCode": 86,
        "watermark": watermark });
    assert_eq!(decrypt(&phone, &key), Some(expected));
    let profile = decrypt(&userinfo, &key).unwrap();
    assert_eq!(
        (&profile["openId"], &profile["unionId"], &profile["nickName"], &profile["watermark"]),
        (&openid, &json!("u1"), &json!("Ada"), &watermark)
    );
    assert!(userinfo["rawData"].as_str().unwrap().starts_with(r#"{"nickName":"Ada","gender":0"#));
    assert_eq!(userinfo["signature"].as_str().unwrap().len(), 40);
    assert_eq!(decrypt(&odd, &key), Some(json!([1])));

    let next = wire.session_key("ada").await;
    assert_eq!(decrypt(&phone, &next), None);
}

#[tokio::test]
async fn the_signature_vectors_of_the_documents_are_accepted() {
    let wire = Wire::start().await;
    let token = wire.token().await;

    for (key, signature) in [
        ("o0q0otL8aEzpcZL/FT9WsQ==", "46e043c5525c2d817c44be603d30837a808a1d930d038f6fdc3e62a201fed128"),
        ("tiihtNczf5v6AKRyjwEUhQ==", "7154f9f8b4b76b92f541cbf0e37d48840fa06e5e42da92a6f80168a1516a4735"),
    ] {
        let user = wire.sim("user", json!({ "user": "ada", "session_key": key })).await;
        let openid = user["openid"].as_str().unwrap();
        let target = |signature: &str| {
            format!(
                "/wxa/checksession?access_token={token}&openid={openid}&sig_method=hmac_sha256&signature={signature}"
            )
        };

        assert_eq!(wire.send("GET", &target(signature), "").await.errcode(), 0);
        assert_eq!(wire.send("GET", &target(&signature.to_uppercase()), "").await.errcode(), 87009);
    }
}

#[tokio::test]
async fn checksession_knows_the_current_key_only() {
    let (wire, token, key, openid) = signed_in().await;

    assert_eq!(wire.check("checksession", &token, &openid, &key).await.errcode(), 0);
    assert_eq!(wire.check("checksession", &token, "nobody", &key).await.errcode(), 40003);
    assert_eq!(wire.check("checksession", "wrong", &openid, &key).await.errcode(), 40001);
    assert_eq!(wire.check("checksession", "", &openid, &key).await.errcode(), 41001);
    let method = format!("/wxa/checksession?access_token={token}&openid={openid}&signature=x&sig_method=md5");
    assert_eq!(wire.send("GET", &method, "").await.errcode(), 87008);

    wire.code("ada").await;
    assert_eq!(wire.check("checksession", &token, &openid, &key).await.errcode(), 87009);
}

#[tokio::test]
async fn a_reset_session_key_replaces_the_old_one_at_once() {
    let (wire, token, key, openid) = signed_in().await;

    let reset = wire.check("resetusersessionkey", &token, &openid, &key).await;

    assert_eq!((reset.errcode(), reset.text("openid")), (0, openid.clone()));
    assert_eq!(wire.check("checksession", &token, &openid, &key).await.errcode(), 87009);
    assert_eq!(wire.check("checksession", &token, &openid, &reset.text("session_key")).await.errcode(), 0);
}

#[tokio::test]
async fn a_stale_key_gets_87007_when_so_set() {
    let (wire, token, old, openid) = signed_in().await;
    let key = wire.session_key("ada").await;
    wire.sim("settings", json!({ "stale_key_errcode": 87007 })).await;

    for api in ["checksession", "resetusersessionkey"] {
        assert_eq!(wire.check(api, &token, &openid, &old).await.errcode(), 87007);
    }
    assert_eq!(wire.check("checksession", &token, &openid, &key).await.errcode(), 0);
    wire.sim("user", json!({ "user": "ada", "session_key": "" })).await;
    assert_eq!(wire.check("checksession", &token, &openid, &key).await.errcode(), 87007);
}

#[tokio::test]
async fn checks_of_a_key_fail_as_the_documents_say() {
    let (wire, token, key, openid) = signed_in().await;

    for api in ["checksession", "resetusersessionkey"] {
        for errcode in [-1, 40014, 45011] {
            wire.fault(api, json!({ "kind": "errcode", "errcode": errcode }), false).await;
            assert_eq!(wire.check(api, &token, &openid, &key).await.errcode(), errcode);
        }
        let target = format!("/wxa/{api}?access_token={token}&openid={openid}&signature=x");
        assert_eq!(wire.send("GET", &target, "").await.errcode(), 87008);
        assert_eq!(wire.send("POST", &target, "").await.errcode(), 43001);
        assert_eq!(wire.check(api, &token, "nobody", &key).await.errcode(), 40003);
    }
    assert_eq!(wire.check("checksession", &token, &openid, &key).await.errcode(), 0);

    let forced = wire.stable(json!(true)).await.text("access_token");
    assert_eq!(wire.check("resetusersessionkey", &token, &openid, &key).await.errcode(), 40001);
    wire.advance(7200);
    assert_eq!(wire.check("resetusersessionkey", &forced, &openid, &key).await.errcode(), 42001);
}

#[tokio::test]
async fn a_reset_whose_answer_is_lost_has_cost_the_key() {
    let (wire, token, key, openid) = signed_in().await;
    wire.fault("resetusersessionkey", json!({ "kind": "empty" }), true).await;

    assert_eq!(wire.check("resetusersessionkey", &token, &openid, &key).await.body, "");

    assert_eq!(wire.check("checksession", &token, &openid, &key).await.errcode(), 87009);
}

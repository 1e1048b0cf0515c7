//! What WeChat knows of encrypted phone data.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::client::{Reply, SECOND_APP, Wire, lower_hex};

fn hex(bytes: &[u8]) -> String {
    lower_hex(digest(&SHA256, bytes).as_ref())
}

async fn checked(wire: &Wire, token: &str, hash: &str) -> Reply {
    let target = format!("/wxa/business/checkencryptedmsg?access_token={token}");
    wire.send("POST", &target, &json!({ "encrypted_msg_hash": hash }).to_string()).await
}

async fn data(wire: &Wire, route: &str, request: Value) -> String {
    wire.sim(route, request).await["encryptedData"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn phone_data_is_known_by_the_hash_of_its_text_for_three_days() {
    let wire = Wire::start().await;
    let data = data(&wire, "phone", json!({ "user": "ada" })).await;
    let text = hex(data.as_bytes());
    let token = wire.token().await;

    let known = checked(&wire, &token, &text).await;

    let expected = json!({ "errcode": 0, "errmsg": "ok", "vaild": true, "create_time": 1_700_000_000 });
    assert_eq!(known.json(), expected);
    for other in [hex(&STANDARD.decode(&data).unwrap()), text.to_uppercase(), hex(b"")] {
        let unknown = checked(&wire, &token, &other).await;
        assert_eq!(unknown.errcode(), 1, "{other}");
        assert!(unknown.json()["errmsg"].as_str().unwrap().starts_with("data not exit"));
    }
    wire.advance(3 * 86_400 - 1);
    assert_eq!(checked(&wire, &wire.token().await, &text).await.errcode(), 0);
    wire.advance(1);
    assert_eq!(checked(&wire, &wire.token().await, &text).await.errcode(), 1);
}

#[tokio::test]
async fn what_the_button_did_not_give_to_this_app_is_unknown() {
    let wire = Wire::start().await;
    let token = wire.token().await;
    let plaintext = json!({ "phoneNumber": "13800138000", "watermark": { "appid": wire.app.appid } }).to_string();
    let forged = data(&wire, "encrypt", json!({ "user": "ada", "plaintext": plaintext })).await;
    let foreign = data(&wire, "phone", json!({ "user": "ada", "appid": SECOND_APP })).await;
    let profile = data(&wire, "userinfo", json!({ "user": "ada" })).await;

    for data in [forged, foreign, profile] {
        assert_eq!(checked(&wire, &token, &hex(data.as_bytes())).await.errcode(), 1);
    }
}

#[tokio::test]
async fn checkencryptedmsg_wants_a_post_with_json_and_a_token() {
    let wire = Wire::start().await;
    let target = format!("/wxa/business/checkencryptedmsg?access_token={}", wire.token().await);

    assert_eq!(wire.send("GET", &target, "").await.errcode(), 43002);
    assert_eq!(wire.send("POST", &target, "encrypted_msg_hash=ab").await.errcode(), 47001);
    assert_eq!(wire.send("POST", &target, "").await.errcode(), 44002);
    assert_eq!(wire.send("POST", &target, "{}").await.errcode(), 40097);
    assert_eq!(wire.send("POST", "/wxa/business/checkencryptedmsg", "{}").await.errcode(), 41001);
}

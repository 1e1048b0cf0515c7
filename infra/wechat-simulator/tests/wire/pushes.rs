//! Message pushes, read as the server of a mini program reads them.

use std::collections::HashMap;

use aes::Aes256;
use aes::cipher::block_padding::NoPadding;
use aes::cipher::{BlockModeDecrypt as _, KeyIvInit as _};
use aws_lc_rs::digest;
use axum::extract::Query;
use axum::http::Uri;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD, STANDARD};
use serde_json::{Value, json};
use wechat_simulator::Push;

use crate::client::{SECOND_APP, Wire, lower_hex};

struct Pushed {
    request: Value,
    query: HashMap<String, String>,
    push: Push,
}

impl Pushed {
    async fn ask(wire: &Wire, request: Value) -> Self {
        let request = wire.sim("push", request).await;
        let uri: Uri = format!("/?{}", request["query"].as_str().unwrap()).parse().unwrap();
        let Query(query) = Query::try_from_uri(&uri).unwrap();
        Self { request, query, push: wire.app.push.clone().unwrap() }
    }

    fn body(&self) -> &str {
        self.request["body"].as_str().unwrap()
    }

    /// Whether the query's signature of this name is the one over the Token and these texts.
    fn is_signed(&self, name: &str, more: &str) -> bool {
        let mut texts = [&self.push.token, &self.query["timestamp"], &self.query["nonce"], more];
        texts.sort_unstable();
        let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, texts.concat().as_bytes());
        self.query[name] == lower_hex(hash.as_ref())
    }

    /// The message in `Encrypt`, and the appid after it.
    fn opened(&self, encrypted: &str) -> (String, String) {
        let lenient = NO_PAD.with_decode_allow_trailing_bits(true);
        let key = GeneralPurpose::new(&alphabet::STANDARD, lenient);
        let key = key.decode(self.push.encoding_aes_key.as_ref().unwrap()).unwrap();
        let cipher = cbc::Decryptor::<Aes256>::new_from_slices(&key, &key[..16]).unwrap();
        let text = cipher.decrypt_padded_vec::<NoPadding>(&STANDARD.decode(encrypted).unwrap()).unwrap();
        let padding = usize::from(*text.last().unwrap());
        assert!(text.len() % 32 == 0 && (1..=32).contains(&padding));
        let end = 20 + u32::from_be_bytes(text[16..20].try_into().unwrap()) as usize;
        let part = |range| str::from_utf8(&text[range]).unwrap().to_owned();
        (part(20..end), part(end..text.len() - padding))
    }
}

#[tokio::test]
async fn the_first_push_is_a_get_to_be_echoed() {
    let wire = Wire::start().await;

    let usual = Pushed::ask(&wire, json!({ "event": "verify" })).await;
    let odd = Pushed::ask(&wire, json!({ "event": "verify", "echostr": "a b+c&d=%" })).await;

    assert_eq!(usual.request.as_object().unwrap().keys().collect::<Vec<_>>(), ["method", "query"]);
    assert_eq!(usual.request["method"], "GET");
    assert!(usual.is_signed("signature", "") && !usual.query["echostr"].is_empty());
    assert_eq!(odd.query["echostr"], "a b+c&d=%");
    assert_ne!(usual.query["nonce"], odd.query["nonce"]);
}

#[tokio::test]
async fn a_plain_push_has_the_fields_of_the_documents() {
    let wire = Wire::start().await;
    let openid = wire.sim("user", json!({ "user": "ada" })).await["openid"].clone();
    let request = json!({ "user": "ada", "event": "user_authorization_revoke", "mode": "plain", "RevokeInfo": "8" });

    let pushed = Pushed::ask(&wire, request.clone()).await;

    assert_eq!(
        (&pushed.request["method"], &pushed.request["content_type"]),
        (&json!("POST"), &json!("application/json"))
    );
    assert!(pushed.is_signed("signature", ""));
    assert_eq!(pushed.query["timestamp"], "1700000000");
    assert!(!pushed.query.contains_key("encrypt_type"));
    let mut fields: Value = serde_json::from_str(pushed.body()).unwrap();
    let (to, from) = (fields["ToUserName"].take(), fields["FromUserName"].take());
    assert!(to.as_str().unwrap().starts_with("gh_"));
    // The sender is the platform; the user is in OpenID alone.
    assert!(from != openid && from == pushed.query["openid"].as_str());
    let expected = json!({ "ToUserName": null, "FromUserName": null, "CreateTime": 1_700_000_000, "MsgType": "event",
        "Event": "user_authorization_revoke", "OpenID": openid, "AppID": wire.app.appid, "RevokeInfo": "8" });
    assert_eq!(fields, expected);

    wire.sim("user", json!({ "user": "ada", "unionid": "u1" })).await;
    let bound = Pushed::ask(&wire, request).await;
    assert_eq!(serde_json::from_str::<Value>(bound.body()).unwrap()["UnionID"], "u1");
}

#[tokio::test]
async fn a_push_in_xml_has_texts_in_cdata() {
    let wire = Wire::start().await;
    let openid = wire.openid("ada").await;
    let request =
        json!({ "user": "ada", "event": "user_authorization_cancellation", "mode": "plain", "format": "xml" });

    let pushed = Pushed::ask(&wire, request).await;

    assert_eq!(pushed.request["content_type"], "text/xml");
    assert!(pushed.body().starts_with("<xml><ToUserName><![CDATA[gh_") && pushed.body().ends_with("</xml>"));
    assert!(pushed.body().contains("<CreateTime>1700000000</CreateTime>"));
    assert!(pushed.body().contains(&format!("<OpenID><![CDATA[{openid}]]></OpenID>")));
}

#[tokio::test]
async fn a_secure_push_opens_with_the_apps_key() {
    let wire = Wire::start().await;
    let request = |format: &str| json!({ "user": "ada", "event": "user_info_modified", "format": format });

    let json = Pushed::ask(&wire, request("json")).await;
    let xml = Pushed::ask(&wire, request("xml")).await;

    let outer: Value = serde_json::from_str(json.body()).unwrap();
    assert_eq!(outer.as_object().unwrap().keys().collect::<Vec<_>>(), ["Encrypt", "ToUserName"]);
    let (_, rest) = xml.body().split_once("<Encrypt><![CDATA[").unwrap();
    let (in_xml, end) = rest.split_once("]]>").unwrap();
    assert_eq!(end, "</Encrypt></xml>");
    let in_json = outer["Encrypt"].as_str().unwrap();
    for (pushed, encrypted) in [(&json, in_json), (&xml, in_xml)] {
        assert!(pushed.is_signed("signature", "") && pushed.is_signed("msg_signature", encrypted));
        assert_eq!(pushed.query["encrypt_type"], "aes");
    }
    let (message, appid) = json.opened(in_json);
    assert_eq!(appid, wire.app.appid);
    assert_eq!(serde_json::from_str::<Value>(&message).unwrap()["Event"], "user_info_modified");
    let (message, _) = xml.opened(in_xml);
    assert!(message.starts_with("<xml>") && message.contains("<Event><![CDATA[user_info_modified]]></Event>"));
}

#[tokio::test]
async fn a_compatible_push_has_the_fields_and_the_encrypted_ones() {
    let wire = Wire::start().await;

    let pushed =
        Pushed::ask(&wire, json!({ "user": "ada", "event": "user_info_modified", "mode": "compatible" })).await;

    let mut fields: Value = serde_json::from_str(pushed.body()).unwrap();
    let encrypted = fields.as_object_mut().unwrap().remove("Encrypt").unwrap();
    let encrypted = encrypted.as_str().unwrap();
    assert!(pushed.is_signed("signature", "") && pushed.is_signed("msg_signature", encrypted));
    assert_eq!(serde_json::from_str::<Value>(&pushed.opened(encrypted).0).unwrap(), fields);
}

#[tokio::test]
async fn what_is_encrypted_for_whom_and_which_members_are_there_is_on_demand() {
    let wire = Wire::start().await;
    let request = |given: Value| {
        let mut request = json!({ "user": "ada", "event": "user_info_modified", "mode": "secure" });
        request.as_object_mut().unwrap().extend(given.as_object().unwrap().clone());
        request
    };
    let opened = async |given: Value| {
        let pushed = Pushed::ask(&wire, request(given)).await;
        let outer: Value = serde_json::from_str(pushed.body()).unwrap();
        let encrypted = outer["Encrypt"].as_str().unwrap();
        assert!(pushed.is_signed("msg_signature", encrypted));
        pushed.opened(encrypted)
    };

    assert_eq!(opened(json!({ "encrypted_for": SECOND_APP })).await.1, SECOND_APP);
    assert_eq!(opened(json!({ "message": "" })).await.0, "");
    let nobody: Value = serde_json::from_str(&opened(json!({ "without": ["OpenID", "AppID"] })).await.0).unwrap();
    assert!(nobody.get("OpenID").is_none() && nobody.get("AppID").is_none() && nobody["MsgType"] == "event");
    let other_key = "GFEDCBA9876543210zyxwvutsrqponmlkjihgfedcbA";
    let other = Pushed::ask(&wire, request(json!({ "encoding_aes_key": other_key }))).await;
    let push = Push { encoding_aes_key: Some(other_key.to_owned()), ..other.push.clone() };
    let encrypted = serde_json::from_str::<Value>(other.body()).unwrap()["Encrypt"].as_str().unwrap().to_owned();
    assert_eq!(Pushed { push, ..other }.opened(&encrypted).1, wire.app.appid);
}

#[tokio::test]
async fn a_push_that_cannot_be_is_refused() {
    let wire = Wire::start().await;

    for (request, hint) in [
        (json!({ "event": "verify", "appid": SECOND_APP }), "push"),
        (json!({ "event": "user_info_modified" }), "user"),
        (json!({ "user": "ada", "event": "user_info_deleted" }), "user_info_modified"),
        (json!({ "user": "ada", "event": "user_info_modified", "mode": "aes" }), "secure"),
    ] {
        let refused = wire.send("POST", "/sim/push", &request.to_string()).await;
        assert!(refused.status == 400 && refused.text("error").contains(hint), "{}", refused.body);
    }
}

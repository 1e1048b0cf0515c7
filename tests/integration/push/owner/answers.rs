//! Every event in every mode and both forms: what the owner's function is told, and what WeChat gets to hear.

use std::collections::BTreeSet;

use aes::{
    Aes256,
    cipher::{BlockModeDecrypt as _, KeyIvInit as _, block_padding::NoPadding},
};
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::{
    Engine as _, alphabet,
    engine::general_purpose::{GeneralPurpose, NO_PAD, STANDARD},
};
use serde_json::{Value, json};
use tests::{APPID, contract, hex, suites::kill::owner::Owner};

use super::{
    AES_KEY, ERR_CODE, Laptop, MODES, Response, in_mode, laptop_with, refund_query, secure, send_message, send_push,
};

fn events() -> Vec<Value> {
    let file: Value = serde_json::from_str(include_str!("../../../fixtures/wechat-push-2.json")).unwrap();
    file["events"].as_array().unwrap().clone()
}

/// The members of an XML document of one level.
fn members(xml: &str) -> Value {
    let elements = xml.strip_prefix("<xml>").unwrap().strip_suffix("</xml>").unwrap();
    let mut members = json!({});
    let mut rest = elements;
    while let Some((name, after)) = rest.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
        let (value, after) = after.split_once(&format!("</{name}>")).unwrap();
        let text = value.strip_prefix("<![CDATA[").and_then(|text| text.strip_suffix("]]>"));
        members[name] = text.map_or_else(|| serde_json::from_str(value).unwrap(), |text| json!(text));
        rest = after;
    }
    assert_eq!(rest, "");
    members
}

/// The body as WeChat reads it, decrypted and with its signature checked if it is encrypted.
pub(super) fn read(answer: &Response, push: &Value) -> String {
    let body = &answer.text;
    if !body.contains("Encrypt") {
        return body.clone();
    }
    let envelope = if body.starts_with('<') { members(body) } else { serde_json::from_str(body).unwrap() };
    let text = |name: &str| envelope[name].as_str().unwrap();
    let nonce = push["query"].as_str().unwrap().split('&').find_map(|pair| pair.strip_prefix("nonce=")).unwrap();
    assert_eq!((text("Nonce"), envelope.as_object().unwrap().len()), (nonce, 4));
    let time = envelope["TimeStamp"].as_u64().unwrap().to_string();
    let mut signed = ["token", &time, nonce, text("Encrypt")];
    signed.sort_unstable();
    let signature = hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, signed.concat().as_bytes()).as_ref());
    assert_eq!(text("MsgSignature"), signature);
    let lax = GeneralPurpose::new(&alphabet::STANDARD, NO_PAD.with_decode_allow_trailing_bits(true));
    let key = lax.decode(AES_KEY).unwrap();
    let cipher = cbc::Decryptor::<Aes256>::new_from_slices(&key, &key[..16]).unwrap();
    let text = cipher.decrypt_padded_vec::<NoPadding>(&STANDARD.decode(text("Encrypt")).unwrap()).unwrap();
    let padding = usize::from(*text.last().unwrap());
    let length = u32::from_be_bytes(text[16..20].try_into().unwrap()) as usize;
    let (said, to) = text[20..text.len() - padding].split_at(length);
    assert_eq!(to, APPID.as_bytes());
    String::from_utf8(said.to_vec()).unwrap()
}

/// Whether what the owner is told is the message of this vector. In XML all values are texts.
fn is_told(told: &Value, event: &Value, is_xml: bool) {
    let said: Value = serde_json::from_str(event["json"].as_str().unwrap()).unwrap();
    for (name, value) in said.as_object().unwrap().iter().filter(|(_, value)| !value.is_object() && !value.is_array()) {
        let given = &told[name.trim()];
        let as_text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        assert_eq!(given, &if is_xml { json!(as_text) } else { value.clone() }, "{}: {name}", event["id"]);
    }
    if !is_xml {
        assert_eq!(told.as_object().unwrap().len(), said.as_object().unwrap().len(), "{}", event["id"]);
    }
    let user = event["user_member"].as_str().unwrap_or_default();
    if let Some((outer, inner)) = user.split_once(" → ") {
        let text = outer.split('.').fold(told, |value, name| &value[name]).as_str().unwrap();
        assert_eq!(serde_json::from_str::<Value>(text).unwrap()[inner], event["user"]);
    } else if !user.is_empty() {
        assert_eq!(told[user.trim()], event["user"], "{}", event["id"]);
    }
}

async fn taken(laptop: &Laptop, owner: &Owner, (mode, key): (&str, Option<&str>), event: &Value, text: &str) {
    let (is_xml, asked) = (text.starts_with('<'), owner.asked().len());
    let what = format!("{} in {mode}, key {key:?}: {text}", event["id"]);
    let reply = &event["reply"];
    if reply["json"].as_str().is_some_and(|text| text.contains("result_code")) {
        owner.answers(reply["json"].as_str().unwrap());
    }
    let push = in_mode(laptop, mode, text);

    let answer = send_push(laptop, &push).await;

    assert_eq!(answer.status, 200, "{what}: {answer:?}");
    let events = owner.asked();
    assert_eq!(events.len(), asked + 1, "{what}");
    let told = &events[asked];
    assert_eq!((&told["appid"], &told["received_at"]), (&json!(APPID), &json!(tests::BEGIN)), "{what}");
    is_told(&told["message"], event, is_xml);
    let media_type = answer.header("content-type").unwrap();
    if reply == "success" {
        assert_eq!((answer.text.as_str(), media_type.starts_with("text/plain")), ("success", true), "{what}");
        return;
    }
    assert_eq!(answer.text.contains("Encrypt"), key.is_some(), "{what}");
    assert!(media_type.starts_with(if is_xml { "text/xml" } else { "application/json" }), "{what}: {media_type}");
    let said = read(&answer, &push);
    let expected: Value = serde_json::from_str(reply["json"].as_str().unwrap()).unwrap();
    let said = if is_xml { members(&said) } else { serde_json::from_str(&said).unwrap() };
    assert_eq!(said, expected, "{what}");
}

#[tokio::test]
async fn every_event_is_told_and_answered_in_every_mode_and_both_forms() {
    for mode in MODES {
        for form in ["json", "xml"] {
            // A table of its own, as one order is delivered once.
            let owner = Owner::start().await;
            let laptop = laptop_with(&owner, mode.1).await;
            for (number, mut event) in events().into_iter().enumerate() {
                // Some are samples of one order or refund.
                let own =
                    |text: &str| text.replace("-0001", &format!("-{number}")).replace("WXR1", &format!("WXR{number}"));
                let text = own(event[form].as_str().unwrap());
                event["json"] = own(event["json"].as_str().unwrap()).into();
                if !text.is_empty() {
                    taken(&laptop, &owner, mode, &event, &text).await;
                }
            }
            assert!(owner.asked().len() >= 29, "{}", owner.asked().len());
        }
    }
}

#[tokio::test]
async fn the_answer_of_the_function_goes_back_whole() {
    let (laptop, owner) = secure().await;
    let verdict = r#"{"evidence":"订单 1 已发货 ]]> & <x>","result_code":1,"result_info":"拒绝退款"}"#;
    for text in [
        refund_query("1"),
        "<xml><channel_bill>1</channel_bill><bundleid>b</bundleid><pay_order_id>2</pay_order_id></xml>".to_owned(),
    ] {
        owner.answers(verdict);
        let push = in_mode(&laptop, "secure", &text);
        let said = read(&send_push(&laptop, &push).await, &push);
        if text.starts_with('<') {
            assert!(
                said.contains("<result_code>1</result_code>") && said.contains("已发货 ]]]]><![CDATA[> & <x>"),
                "{said}"
            );
        } else {
            assert_eq!(said, verdict);
        }
    }
    owner.answers(r#"{"MsgType":"transfer_customer_service"}"#);
    let words = "<xml><ToUserName>gh_1</ToUserName><FromUserName>oAlice</FromUserName><MsgType>text</MsgType><MsgId>1</MsgId></xml>";
    let push = in_mode(&laptop, "secure", words);
    let said = members(&read(&send_push(&laptop, &push).await, &push));
    let expected = json!({ "ToUserName": "oAlice", "FromUserName": "gh_1", "CreateTime": tests::BEGIN, "MsgType": "transfer_customer_service" });
    assert_eq!(said, expected);
}

#[tokio::test]
async fn a_server_that_answers_in_words_has_taken_the_message() {
    let (laptop, owner) = secure().await;
    owner.answers("success");
    let push = in_mode(&laptop, "secure", &super::delivery("1"));
    assert_eq!(read(&send_push(&laptop, &push).await, &push), ERR_CODE);
    owner.answers("");
    assert_eq!(send_message(&laptop, &super::media_check("1")).await.text, "success");
}

/// What each message wants to hear, in each form.
#[tokio::test]
async fn an_answer_is_of_each_media_type_that_the_contract_has_and_of_no_other() {
    let (laptop, owner) = secure().await;
    let in_xml =
        "<xml><MsgType>event</MsgType><Event>xpay_coin_pay_notify</Event><OutTradeNo>2</OutTradeNo></xml>".to_owned();
    let mut given = BTreeSet::new();
    for message in [super::media_check("1"), super::delivery("1"), in_xml] {
        let answer = send_message(&laptop, &message).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        given.insert(answer.header("content-type").unwrap().split(';').next().unwrap().to_owned());
    }

    let document: Value = serde_json::from_str(&contract::openapi()).unwrap();
    let described = document["paths"]["/v1/push"]["post"]["responses"]["200"]["content"].as_object().unwrap();
    assert_eq!(given, described.keys().cloned().collect());
    assert_eq!(owner.asked().len(), 3);
}

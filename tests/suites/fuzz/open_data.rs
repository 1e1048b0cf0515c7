//! Open data: ciphertexts of strangers, and whatever WeChat's key may have encrypted.
//!
//! The first byte says what the others are: `p` the text of a phone number, `i` the text of a profile, `c` a ciphertext,
//! and anything else lines of `session_key`, `iv` and `encryptedData`.

use aes::{
    Aes128,
    cipher::{BlockModeEncrypt as _, KeyIvInit as _, block_padding::Pkcs7},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};
use shared::{
    ids::OpenId,
    secret_text::{SessionKey, SessionKeys},
    wechat::opendata::{self, Ciphertext, OpenDataDefect, SignedProfile},
};

use super::{
    Outcome,
    world::{SESSION_KEY, World},
};
use crate::APPID;

/// The `iv` of everything here: sixteen zeros.
pub(super) const IV: &str = "AAAAAAAAAAAAAAAAAAAAAA==";

/// What the button encrypts.
pub(super) fn phone_info(appid: &str) -> Value {
    json!({
        "phoneNumber": "13800138000", "purePhoneNumber": "13800138000", "countryCode": "86",
        "watermark": { "timestamp": 1_800_000_000, "appid": appid },
    })
}

/// What `wx.getUserInfo` encrypts.
pub(super) fn profile(appid: &str, openid: &str) -> Value {
    json!({
        "openId": openid, "nickName": "Band", "gender": 1, "unionId": "ocMvos6NjeKLIBqg5Mr9QjxrP1FA",
        "watermark": { "timestamp": 1_800_000_000, "appid": appid },
    })
}

/// A text as `encryptedData` of a user.
pub(super) fn encrypted(text: impl AsRef<[u8]>) -> String {
    let key = STANDARD.decode(SESSION_KEY).expect("base64");
    let cipher = cbc::Encryptor::<Aes128>::new_from_slices(&key, &[0; 16]).expect("a key");
    STANDARD.encode(cipher.encrypt_padded_vec::<Pkcs7>(text.as_ref()))
}

pub(super) fn take(world: &World, input: &[u8]) -> Outcome {
    let input = world.render(input);
    let (kind, rest) = input.split_first().unwrap_or((&0, &[]));
    match kind {
        b'p' => ("text of a phone number", phone(rest)),
        b'i' => ("text of a profile", user_info(rest, &world.user().openid)),
        b'c' => ("ciphertext", tried(SESSION_KEY, IV, &STANDARD.encode(rest))),
        _ => {
            let text = String::from_utf8_lossy(&input);
            let mut lines = text.splitn(3, '\n');
            let mut line = || lines.next().unwrap_or_default();
            ("lines", tried(line(), line(), line()))
        }
    }
}

/// The keys of a user, in the place that tells nothing.
fn keys() -> SessionKeys {
    SessionKeys { current: None, previous: Some(SessionKey::new(SESSION_KEY)) }
}

/// What a phone number says is what was encrypted, and it is ours.
fn phone(text: &[u8]) -> &'static str {
    let data = Ciphertext::parse(&encrypted(text), IV).expect("whole blocks");
    let said = serde_json::from_slice::<Map<String, Value>>(text);
    match opendata::phone(&data, &keys(), &World::appid()) {
        Ok(phone) => {
            let (said, phone) = (said.expect("an object"), json!(phone));
            assert_eq!(said["watermark"]["appid"], APPID);
            for name in ["phoneNumber", "purePhoneNumber"] {
                assert_eq!(said[name], phone[name]);
                let digits = phone[name].as_str().expect("a text").trim_start_matches('+');
                assert!((5..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()));
            }
            "read"
        }
        Err(OpenDataDefect::Foreign) => {
            assert_ne!(said.expect("an object")["watermark"]["appid"], APPID);
            "foreign"
        }
        Err(OpenDataDefect::Unreadable) if said.is_ok() => "another object",
        Err(OpenDataDefect::Unreadable) => "no object",
    }
}

/// A profile is this user's and this app's, and has no watermark.
fn user_info(text: &[u8], openid: &str) -> &'static str {
    let data = Ciphertext::parse(&encrypted(text), IV).expect("whole blocks");
    let said = serde_json::from_slice::<Map<String, Value>>(text);
    let given = SignedProfile { signed: None, data: &data };
    match opendata::profile(&given, &keys(), &World::appid(), &OpenId::parse(openid).expect("an openid")) {
        Ok(profile) => {
            let (mut said, shown) = (said.expect("an object"), json!(profile));
            let watermark = said.remove("watermark").expect("a watermark");
            assert_eq!((&watermark["appid"], &shown), (&json!(APPID), &Value::Object(said.clone())));
            assert!(said.get("openId").is_none_or(|named| named.is_null() || named == openid));
            "read"
        }
        Err(OpenDataDefect::Foreign) => "foreign",
        Err(OpenDataDefect::Unreadable) if said.is_ok() => "another object",
        Err(OpenDataDefect::Unreadable) => "no object",
    }
}

/// What strangers encrypt is not read: nobody but WeChat has the key.
fn tried(key: &str, iv: &str, data: &str) -> &'static str {
    let Ok(ciphertext) = Ciphertext::parse(data, iv) else { return "no blocks" };
    let given = SessionKey::new(key);
    let usable = given.aes_key().is_some();
    let keys = SessionKeys { current: Some(given), previous: None };
    match opendata::phone(&ciphertext, &keys, &World::appid()) {
        Ok(_) => "read",
        Err(OpenDataDefect::Foreign) => "foreign",
        Err(OpenDataDefect::Unreadable) if usable => "unreadable",
        Err(OpenDataDefect::Unreadable) => "no key",
    }
}

//! Open data: ciphertexts of strangers, and whatever WeChat's key may have encrypted.
//!
//! The first byte says what the others are: `p` the text of a phone number, `i` the text of a profile, `o` the text of other
//! data, `c` a ciphertext, and anything else lines of `session_key`, `iv` and `encryptedData`.

use std::collections::BTreeMap;

use aes::{
    Aes128,
    cipher::{BlockModeEncrypt as _, KeyIvInit as _, block_padding::Pkcs7},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};
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

/// What `wx.getWeRunData` encrypts.
pub(super) fn steps(appid: &str) -> Value {
    let watermark = json!({ "timestamp": 1_800_000_000, "appid": appid });
    json!({ "stepInfoList": [{ "timestamp": 1_800_000_000, "step": 100 }], "watermark": watermark })
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
        b'p' => ("text of a phone number", phone(rest, &world.user().openid)),
        b'i' => ("text of a profile", user_info(rest, &world.user().openid)),
        b'o' => ("text of other data", other(rest, &world.user().openid)),
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

/// The members of an object, if it is one: some hold what a [`Value`] cannot.
struct Said(Option<BTreeMap<String, Box<RawValue>>>);

impl Said {
    fn by(text: &[u8]) -> Self {
        Self(serde_json::from_slice(text).ok())
    }

    fn member(&self, name: &str) -> Value {
        let value = self.0.as_ref().expect("an object").get(name).map(|value| serde_json::from_str(value.get()));
        value.and_then(Result::ok).unwrap_or_default()
    }

    /// Whose mark it bears.
    fn appid(&self) -> Value {
        let watermark = self.0.as_ref().expect("an object").get("watermark").expect("a watermark");
        Self::by(watermark.get().as_bytes()).member("appid")
    }

    /// What came of it. What is not read may be an object all the same; what is told apart is ours, or foreign.
    fn refused(&self, defect: OpenDataDefect) -> &'static str {
        match defect {
            OpenDataDefect::Foreign => "foreign",
            OpenDataDefect::OtherKind => {
                assert_eq!(self.appid(), APPID);
                "another kind"
            }
            OpenDataDefect::Unreadable if self.0.is_some() => "another object",
            OpenDataDefect::Unreadable => "no object",
        }
    }

    /// Data that is handed on is what was encrypted, without the watermark; it is ours, and no other user's.
    fn is_handed_on(&self, shown: &impl Serialize, openid: &str) {
        assert_eq!(self.appid(), APPID);
        assert!([json!(null), json!(""), json!(openid)].contains(&self.member("openId")));
        let shown = Self::by(&serde_json::to_vec(shown).expect("JSON")).0.expect("an object");
        let names = |members: &BTreeMap<String, Box<RawValue>>| members.keys().cloned().collect::<Vec<_>>();
        let said = self.0.as_ref().expect("an object");
        assert_eq!(names(&shown), names(said).into_iter().filter(|name| name != "watermark").collect::<Vec<_>>());
        assert!(shown.iter().all(|(name, value)| value.get() == said[name].get()));
    }
}

/// What a phone number says is what was encrypted, and it is ours.
fn phone(text: &[u8], openid: &str) -> &'static str {
    let data = Ciphertext::parse(&encrypted(text), IV).expect("whole blocks");
    let said = Said::by(text);
    match opendata::phone(&data, &keys(), &World::appid(), &OpenId::parse(openid).expect("an openid")) {
        Ok(phone) => {
            let phone = json!(phone);
            assert_eq!(said.appid(), APPID);
            for name in ["phoneNumber", "purePhoneNumber"] {
                let (given, shown) = (said.member(name), phone[name].as_str().expect("a text"));
                let given = given.as_str().map_or_else(|| given.to_string(), str::to_owned);
                assert!(shown == given || shown.is_empty());
            }
            let digits = phone["phoneNumber"].as_str().expect("a text").chars().filter(char::is_ascii_digit).count();
            assert!(digits >= 5);
            "read"
        }
        Err(defect) => said.refused(defect),
    }
}

/// A profile is this user's and this app's, and has no watermark.
fn user_info(text: &[u8], openid: &str) -> &'static str {
    let data = Ciphertext::parse(&encrypted(text), IV).expect("whole blocks");
    let said = Said::by(text);
    let given = SignedProfile { signed: None, data: &data };
    match opendata::profile(&given, &keys(), &World::appid(), &OpenId::parse(openid).expect("an openid")) {
        Ok(profile) => {
            said.is_handed_on(&profile, openid);
            "read"
        }
        Err(defect) => said.refused(defect),
    }
}

/// Other data is no number and no profile.
fn other(text: &[u8], openid: &str) -> &'static str {
    let data = Ciphertext::parse(&encrypted(text), IV).expect("whole blocks");
    let said = Said::by(text);
    match opendata::other(&data, &keys(), &World::appid(), &OpenId::parse(openid).expect("an openid")) {
        Ok(data) => {
            said.is_handed_on(&data, openid);
            let says = |name| ![json!(null), json!("")].contains(&said.member(name));
            assert!(!["phoneNumber", "purePhoneNumber", "nickName", "unionId"].into_iter().any(says));
            "read"
        }
        Err(defect) => said.refused(defect),
    }
}

/// What strangers encrypt is not read: nobody but WeChat has the key.
fn tried(key: &str, iv: &str, data: &str) -> &'static str {
    let Ok(ciphertext) = Ciphertext::parse(data, iv) else { return "no blocks" };
    let (given, nobody) = (SessionKey::new(key), OpenId::parse("o").expect("an openid"));
    let usable = given.aes_key().is_some();
    let keys = SessionKeys { current: Some(given), previous: None };
    match opendata::phone(&ciphertext, &keys, &World::appid(), &nobody) {
        Ok(_) => "read",
        Err(OpenDataDefect::Foreign) => "foreign",
        Err(OpenDataDefect::OtherKind) => "another kind",
        Err(OpenDataDefect::Unreadable) if usable => "unreadable",
        Err(OpenDataDefect::Unreadable) => "no key",
    }
}

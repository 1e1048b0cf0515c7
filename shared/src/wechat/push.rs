//! WeChat's message push (消息推送): whether a message is from WeChat, for which mini program it is, and what it says.
//!
//! In the plain mode the signature covers a secret token, a time and a nonce, but not the message. Anybody who has seen one
//! request could send another message with its signature for ten minutes. In the secure mode it covers the message, which
//! is encrypted too. So an app with an `EncodingAESKey` takes encrypted messages only.

use std::{collections::HashMap, fmt};

use aes::Aes256;
use base64::{
    Engine as _,
    alphabet::STANDARD as ALPHABET,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use cbc::cipher::{BlockModeDecrypt as _, KeyIvInit as _, block_padding::NoPadding};
use serde::Deserialize;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::signature;
use crate::{
    clock::Secs,
    ids::{AppId, OpenId},
    json,
    secret_text::PushToken,
};

/// How far the time of a signature may be from ours. WeChat tries again within seconds; an owner who forwards pushes may
/// take longer. WeChat signs time and nonce without saying which is which, so a nonce that reads as a later time could be
/// given as the time.
const FRESH: Secs = 10 * 60;

/// Messages of other kinds nest deeper than those that we act on.
const DEEPEST: usize = 32;

/// The random bytes before the message, and the four of its length.
const PREFIX: usize = 16 + 4;

/// What the owner set for a mini program in WeChat's console.
#[derive(Clone, Debug)]
pub struct Config {
    token: PushToken,
    aes_key: Option<AesKey>,
}

/// The 32 bytes that an `EncodingAESKey` encodes.
#[derive(Clone)]
struct AesKey(Zeroizing<[u8; 32]>);

impl fmt::Debug for AesKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("AesKey([REDACTED])")
    }
}

/// The token is empty, or the `EncodingAESKey` is not the 43 characters of WeChat's console.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no token, or an EncodingAESKey that is not 43 characters of base64")]
pub struct ConfigDefect;

impl Config {
    /// Takes a token and, for the secure and the compatible mode, an `EncodingAESKey`.
    pub fn parse(token: String, encoding_aes_key: Option<String>) -> Result<Self, ConfigDefect> {
        if token.is_empty() {
            return Err(ConfigDefect);
        }
        // WeChat's console takes any 43 characters: the two bits beyond the 32 bytes may be set.
        let lax = GeneralPurposeConfig::new()
            .with_decode_allow_trailing_bits(true)
            .with_decode_padding_mode(DecodePaddingMode::RequireNone);
        let read = |text: Zeroizing<String>| {
            let bytes = Zeroizing::new(GeneralPurpose::new(&ALPHABET, lax).decode(text.as_bytes()).ok()?);
            bytes.as_slice().try_into().ok().map(|key| AesKey(Zeroizing::new(key)))
        };
        let given = encoding_aes_key.filter(|text| !text.is_empty()).map(Zeroizing::new);
        let aes_key = given.map(|text| read(text).ok_or(ConfigDefect)).transpose()?;
        Ok(Self { token: PushToken::new(token), aes_key })
    }
}

/// The query that WeChat adds to the URL.
#[derive(Deserialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
pub struct PushQuery {
    /// Of the plain mode: over token, time and nonce.
    signature: Option<String>,
    /// Of the secure mode: over the encrypted message too.
    msg_signature: Option<String>,
    /// Unix seconds, at most ten minutes from ours.
    timestamp: String,
    nonce: String,
    /// What WeChat wants back when the URL is set in its console.
    pub echostr: Option<String>,
}

/// A message from WeChat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// The user that it is about, if it names one.
    pub openid: Option<OpenId>,
    /// What happened.
    pub event: Event,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// `user_info_modified`: WeChat has cleaned nickname or avatar.
    UserInfoModified,
    /// `user_authorization_revoke`: the user has revoked an authorization.
    UserAuthorizationRevoke {
        /// Whether the phone number is among it (`RevokeInfo` 8).
        phone: bool,
    },
    /// `user_authorization_cancellation`: the user's account is gone.
    UserAuthorizationCancellation,
    /// Another message, which is not ours to act on.
    Other,
}

impl Config {
    /// Whether a request with this query, and no message, is from WeChat.
    #[must_use]
    pub fn verifies(&self, query: &PushQuery, now: Secs) -> bool {
        let texts = vec![self.token.expose(), query.timestamp.as_str(), query.nonce.as_str()];
        query.is_fresh(now) && query.signature.as_ref().is_some_and(|given| signature::of_push(texts, given))
    }

    /// The message, if it is from WeChat and for this mini program.
    #[must_use]
    pub fn read(&self, appid: &AppId, query: &PushQuery, body: &[u8], now: Secs) -> Option<Push> {
        let outer = Members::read(body)?;
        let Some(aes_key) = &self.aes_key else {
            // The signature does not cover a message in the clear, so one that we act on must name its mini program.
            let push = self.verifies(query, now).then(|| outer.push())?;
            let ours = push.event == Event::Other || outer.get("AppID") == Some(appid.as_str());
            return ours.then_some(push);
        };
        let encrypted = outer.get("Encrypt")?;
        let texts = vec![self.token.expose(), query.timestamp.as_str(), query.nonce.as_str(), encrypted];
        let given = query.msg_signature.as_ref()?;
        if !query.is_fresh(now) || !signature::of_push(texts, given) {
            return None;
        }
        let message = decrypt(aes_key, encrypted, appid.as_str())?;
        Members::read(&message).map(|inner| inner.push())
    }
}

impl PushQuery {
    fn is_fresh(&self, now: Secs) -> bool {
        self.timestamp.parse::<Secs>().is_ok_and(|at| at.abs_diff(now) <= FRESH)
    }
}

/// The message in `Encrypt`: AES-256-CBC, whose IV is the first half of the key, padded to blocks of 32. Inside are 16
/// random bytes, the length, the message, and the appid.
fn decrypt(AesKey(key): &AesKey, encrypted: &str, appid: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut text = Zeroizing::new(STANDARD.decode(encrypted).ok()?);
    let iv = key.first_chunk::<16>()?;
    cbc::Decryptor::<Aes256>::new((&**key).into(), iv.into()).decrypt_padded::<NoPadding>(&mut text).ok()?;
    // The signature has been checked, so this is a padding oracle for nobody but WeChat.
    let padding = usize::from(*text.last()?);
    let length = text.len().checked_sub(padding).filter(|_| (1..=32).contains(&padding))?;
    let (text, padded) = text.split_at_checked(length)?;
    if padded.iter().any(|byte| usize::from(*byte) != padding) {
        return None;
    }
    let (prefix, rest) = text.split_at_checked(PREFIX)?;
    let size = u32::from_be_bytes(*prefix.last_chunk::<4>()?);
    let (message, to) = rest.split_at_checked(usize::try_from(size).ok()?)?;
    (to == appid.as_bytes()).then(|| Zeroizing::new(message.to_vec()))
}

/// The members of a message, in JSON or XML, as set in WeChat's console.
struct Members(HashMap<String, String>);

impl Members {
    fn read(body: &[u8]) -> Option<Self> {
        match body.trim_ascii_start().first()? {
            b'<' => Self::from_xml(std::str::from_utf8(body).ok()?),
            _ => Self::from_json(body),
        }
    }

    fn from_json(body: &[u8]) -> Option<Self> {
        let members: Map<String, Value> = json::nested(body, DEEPEST).ok()?;
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        // Samples in WeChat's documents have names with a blank before them.
        Some(Self(members.iter().map(|(name, value)| (name.trim().to_owned(), text(value))).collect()))
    }

    fn from_xml(body: &str) -> Option<Self> {
        let document = roxmltree::Document::parse(body).ok()?;
        let children = document.root_element().children().filter(roxmltree::Node::is_element);
        let text = |node: roxmltree::Node<'_, '_>| node.text().unwrap_or_default().trim().to_owned();
        Some(Self(children.map(|child| (child.tag_name().name().to_owned(), text(child))).collect()))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn push(&self) -> Push {
        // `RevokeInfo` may hold several numbers, separated by commas.
        let revoked =
            |what: &str| self.get("RevokeInfo").is_some_and(|info| info.split(',').any(|at| at.trim() == what));
        let event = match self.get("Event") {
            Some("user_info_modified") => Event::UserInfoModified,
            Some("user_authorization_revoke") => Event::UserAuthorizationRevoke { phone: revoked("8") },
            Some("user_authorization_cancellation") => Event::UserAuthorizationCancellation,
            _ => Event::Other,
        };
        Push { openid: self.get("OpenID").and_then(|text| OpenId::parse(text).ok()), event }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vectors() -> Vec<Value> {
        let file: Value = serde_json::from_str(include_str!("../../../tests/fixtures/wechat-push.json")).unwrap();
        file["vectors"].as_array().unwrap().clone()
    }

    fn config(vector: &Value) -> Config {
        let key = vector["encoding_aes_key"].as_str().map(str::to_owned);
        Config::parse(vector["token"].as_str().unwrap().to_owned(), key).unwrap()
    }

    /// When all vectors were signed.
    const SIGNED: Secs = 1_700_000_000;

    #[test]
    fn every_push_is_taken_or_not() {
        for vector in vectors().iter().filter(|vector| vector["method"] == "POST") {
            let Ok(query) = PushQuery::deserialize(&vector["query"]) else {
                assert_eq!(vector["expect"], "error", "{}", vector["id"]);
                continue;
            };
            let appid = AppId::parse(vector["appid"].as_str().unwrap()).unwrap();
            let push = config(vector).read(&appid, &query, vector["body"].as_str().unwrap().as_bytes(), SIGNED);

            assert_eq!(push.is_some(), vector["expect"] == "ok", "{}: {push:?}", vector["id"]);
            if let Some(push) = push {
                let event = &vector["event"];
                assert_eq!(push.openid.as_ref().map(OpenId::expose), event["OpenID"].as_str(), "{}", vector["id"]);
                let expected = match event["Event"].as_str() {
                    Some("user_info_modified") => Event::UserInfoModified,
                    Some("user_authorization_revoke") => {
                        Event::UserAuthorizationRevoke { phone: event["RevokeInfo"] == "8" }
                    }
                    Some("user_authorization_cancellation") => Event::UserAuthorizationCancellation,
                    _ => Event::Other,
                };
                assert_eq!(push.event, expected, "{}", vector["id"]);
            }
        }
    }

    #[test]
    fn every_question_of_the_console_is_wechats_or_not() {
        for vector in vectors().iter().filter(|vector| vector["method"] == "GET") {
            let query = PushQuery::deserialize(&vector["query"]);
            let echo = query.ok().filter(|query| config(vector).verifies(query, SIGNED));
            let echo = echo.and_then(|query| query.echostr);

            let expected = vector["echostr"].as_str().filter(|_| vector["expect"] == "ok");
            assert_eq!(echo.as_deref(), expected, "{}", vector["id"]);
        }
    }

    #[test]
    fn a_signature_counts_for_ten_minutes() {
        let vectors = vectors();
        let vector = vectors.iter().find(|vector| vector["method"] == "GET" && vector["expect"] == "ok").unwrap();
        let query = PushQuery::deserialize(&vector["query"]).unwrap();

        assert!(config(vector).verifies(&query, SIGNED + FRESH));
        assert!(config(vector).verifies(&query, SIGNED - FRESH));
        assert!(!config(vector).verifies(&query, SIGNED + FRESH + 1));
        assert!(!config(vector).verifies(&query, SIGNED - FRESH - 1));
    }

    #[test]
    fn a_name_with_a_blank_before_it_and_several_numbers_are_read() {
        let push =
            Members::read(br#"{" OpenID":"oA"," Event":"user_authorization_revoke"," RevokeInfo":"6, 8"}"#).unwrap();

        assert_eq!(push.push().openid.unwrap().expose(), "oA");
        assert_eq!(push.push().event, Event::UserAuthorizationRevoke { phone: true });
    }
}

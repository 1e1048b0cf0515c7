//! WeChat's message push (消息推送): whether a message is from WeChat, for which mini program it is, and what it says.
//!
//! In the plain mode the signature covers a secret token, a time and a nonce, but not the message. Anybody who has seen one
//! request could send another message with its signature. So a signature is good for the message that it first came with:
//! see [`Config::signature_of_any_message`]. In the secure mode it covers the message, which is encrypted too. So an app with
//! an `EncodingAESKey` takes encrypted messages only.

mod answer;
mod apps;
mod message;

use std::fmt;

use aes::Aes256;
use base64::{
    Engine as _,
    alphabet::STANDARD as ALPHABET,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use cbc::cipher::{BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _, block_padding::NoPadding};
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::signature;
use crate::{
    clock::Secs,
    entropy::{self, Entropy},
    ids::AppId,
    secret_text::{self, PushToken},
};
pub use answer::{Answer, AnswerDefect};
pub use apps::PushApps;
use message::MessageDefect;
pub use message::{AnswerForm, Concern, Event, Format, Message};

/// How far the time of a signature may be from ours. WeChat tries again within seconds; an owner who forwards pushes may
/// take longer. WeChat signs time and nonce without saying which is which, so a nonce that reads as a later time could be
/// given as the time.
const FRESH: Secs = 10 * 60;

/// The same for an encrypted message about money. WeChat repeats it for a day, for all that is known with its first time, and it
/// does nothing twice.
const FRESH_ABOUT_MONEY: Secs = 86_400;

/// For how long a nonce that reads as a later time is thought of. There is one in three hundred pushes.
const LATEST_NONCE: Secs = 366 * 86_400;

/// The random bytes before the message, and the four of its length.
const PREFIX: usize = 16 + 4;

/// What an encrypted message is padded to.
const BLOCK: usize = 32;

/// What the owner set for a mini program in WeChat's console.
#[derive(Clone, Debug)]
pub struct Config {
    token: PushToken,
    /// A mistake in the key must not keep the console's question from being answered, so it is kept here.
    aes_key: Option<Result<AesKey, ConfigDefect>>,
}

/// The 32 bytes that an `EncodingAESKey` encodes.
#[derive(Clone)]
struct AesKey(Zeroizing<[u8; 32]>);

impl fmt::Debug for AesKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("AesKey([REDACTED])")
    }
}

/// What is wrong with the settings of a mini program for pushes. Never holds any of their values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigDefect {
    /// They are no object of two texts.
    #[error(r#"it should be {{"token": "...", "encoding_aes_key": "..."}}"#)]
    Form,
    /// The token is missing or empty.
    #[error("token is missing or empty")]
    Token,
    /// The `EncodingAESKey` is not the 43 characters of WeChat's console.
    #[error("encoding_aes_key is not 43 characters of A-Z a-z 0-9 + /")]
    AesKey,
}

impl Config {
    /// Takes a token and, for the secure and the compatible mode, an `EncodingAESKey`, as they were pasted.
    pub fn parse(token: String, encoding_aes_key: Option<String>) -> Result<Self, ConfigDefect> {
        let (token, key) = (Zeroizing::new(token), encoding_aes_key.map(Zeroizing::new));
        let token = secret_text::trimmed(&token);
        if token.is_empty() {
            return Err(ConfigDefect::Token);
        }
        let key = key.as_deref().map(|text| secret_text::trimmed(text)).filter(|text| !text.is_empty());
        let aes_key = key.map(|text| AesKey::parse(text).ok_or(ConfigDefect::AesKey));
        Ok(Self { token: PushToken::new(token), aes_key })
    }

    /// The token.
    #[must_use]
    pub fn token(&self) -> &PushToken {
        &self.token
    }

    /// Whether there is an `EncodingAESKey`, and whether it can be used.
    #[must_use]
    pub fn encoding_aes_key(&self) -> Option<Result<(), ConfigDefect>> {
        self.aes_key.as_ref().map(|key| key.as_ref().map(|_| ()).map_err(|defect| *defect))
    }
}

impl AesKey {
    fn parse(text: &str) -> Option<Self> {
        // WeChat's console takes any 43 characters: the two bits beyond the 32 bytes may be set.
        let lax = GeneralPurposeConfig::new()
            .with_decode_allow_trailing_bits(true)
            .with_decode_padding_mode(DecodePaddingMode::RequireNone);
        let bytes = Zeroizing::new(GeneralPurpose::new(&ALPHABET, lax).decode(text).ok()?);
        bytes.as_slice().try_into().ok().map(|key| Self(Zeroizing::new(key)))
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

/// Why a push is not taken. Where several mini programs do not take it, the last of their reasons in this order is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum PushDefect {
    /// Anybody may have sent it.
    #[error("it is not signed with the Token of a configured mini program")]
    Unsigned,
    /// Somebody has seen a request in the clear and sends another message with its signature.
    #[error("its signature came with another message before")]
    SignatureReused,
    /// It is signed, and late or repeated by somebody.
    #[error("its signature is more than ten minutes away from now")]
    Stale,
    /// `signature` is right and covers no message; what covers it is wrong or missing.
    #[error("its msg_signature does not fit its Encrypt")]
    Forged,
    /// In the clear, only the message itself says for which mini program it is.
    #[error("it names another mini program, or none")]
    OtherApp,
    /// WeChat's console is in the plain mode, and here is a key.
    #[error(
        "it is not encrypted, and the mini program has an encoding_aes_key: choose the secure mode in WeChat's console"
    )]
    InTheClear,
    /// WeChat's console has another key, or the message is for a mini program that is not configured.
    #[error("it does not open with encoding_aes_key, or is for another mini program")]
    NotOpened,
    /// WeChat's console is in the secure mode, and here is no key.
    #[error("it is encrypted, and the mini program has no usable encoding_aes_key")]
    NoKey,
    /// There is no message in it.
    #[error("it is no message in JSON or XML, or does not say of what kind it is")]
    Unreadable,
    /// One of the events that concern a user.
    #[error("it is about a user and names none")]
    NoUser,
}

impl PushDefect {
    /// The word for the log line.
    #[must_use]
    pub const fn verdict(self) -> &'static str {
        match self {
            Self::Unsigned => "PUSH_UNSIGNED",
            Self::SignatureReused => "PUSH_SIGNATURE_REUSED",
            Self::Stale => "PUSH_STALE",
            Self::Forged => "PUSH_FORGED",
            Self::InTheClear => "PUSH_IN_THE_CLEAR",
            Self::NoKey => "PUSH_NO_KEY",
            Self::NotOpened => "PUSH_NOT_OPENED",
            Self::OtherApp => "PUSH_OTHER_APP",
            Self::Unreadable => "PUSH_UNREADABLE",
            Self::NoUser => "PUSH_NO_USER",
        }
    }

    /// The metric that counts it. An alarm watches `push_refused` alone, which no stranger can cause.
    #[must_use]
    pub const fn metric(self) -> &'static str {
        match self {
            Self::Unsigned => "push_unsigned",
            _ => "push_refused",
        }
    }
}

impl From<MessageDefect> for PushDefect {
    fn from(defect: MessageDefect) -> Self {
        match defect {
            MessageDefect::Unreadable => Self::Unreadable,
            MessageDefect::NoUser => Self::NoUser,
        }
    }
}

impl Config {
    /// What WeChat's console wants to hear back, if it is WeChat that asks.
    pub fn echo<'a>(&self, query: &'a PushQuery, now: Secs) -> Result<&'a str, PushDefect> {
        self.signed(query, now)?;
        query.echostr.as_deref().ok_or(PushDefect::Unreadable)
    }

    /// The message, if it is from WeChat and for this mini program.
    pub fn read(&self, appid: &AppId, query: &PushQuery, body: &[u8], now: Secs) -> Result<Push, PushDefect> {
        let outer = Message::read(body);
        // Without a key the message is read in the clear, which no signature covers: `msg_signature` says nothing of it.
        let encrypted = outer.as_ref().ok().filter(|_| self.aes_key.is_some());
        let encrypted = encrypted.and_then(|outer| outer.get("Encrypt").ok()?.map(std::borrow::Cow::into_owned));
        let covered = self.signs(query, encrypted.as_deref())?;
        query.is_within(if covered { FRESH_ABOUT_MONEY } else { FRESH }, now)?;
        let outer = outer?;
        let Some(aes_key) = &self.aes_key else {
            return in_the_clear(outer, appid);
        };
        let Some(encrypted) = encrypted else {
            return Err(if outer.has("Encrypt") { PushDefect::NotOpened } else { PushDefect::InTheClear });
        };
        let aes_key = aes_key.as_ref().map_err(|_| PushDefect::NoKey)?;
        if !covered {
            return Err(PushDefect::Forged);
        }
        let text = decrypt(aes_key, &encrypted, appid.as_str()).ok_or(PushDefect::NotOpened)?;
        let message = Message::read(&text)?;
        if !message.answer_form().is_about_money() {
            query.is_within(FRESH, now)?;
        }
        Ok(Push { concern: message.concern()?, message, is_named: true, is_encrypted: true, format: outer.format() })
    }

    /// An answer as WeChat wants it: encrypted and signed where the message was encrypted.
    #[must_use]
    pub fn reply(&self, to: &Push, query: &PushQuery, answer: &Answer, at: &Sealing<'_>) -> Reply {
        let Some(text) = answer.text(to.format) else { return Reply { format: None, text: "success".to_owned() } };
        let encrypted = match &self.aes_key {
            Some(Ok(key)) if to.is_encrypted => encrypt(key, text.as_bytes(), at),
            _ => None,
        };
        let text = encrypted.map_or(text, |encrypted| {
            let time = at.now.to_string();
            let signature = signature::push(vec![self.token.expose(), &time, &query.nonce, &encrypted]);
            let members = [
                ("Encrypt", json!(encrypted)),
                ("MsgSignature", json!(signature)),
                ("TimeStamp", json!(at.now)),
                ("Nonce", json!(query.nonce)),
            ];
            let members = members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            answer::written(&members, to.format)
        });
        Reply { format: Some(to.format), text }
    }

    /// The signature of a query, if this mini program takes messages in the clear and would take any with it.
    #[must_use]
    pub fn signature_of_any_message<'a>(&self, query: &'a PushQuery, now: Secs) -> Option<&'a str> {
        let signature = query.signature.as_deref().filter(|_| self.aes_key.is_none())?;
        self.signed(query, now).is_ok().then_some(signature)
    }

    /// Whether the query is WeChat's, and not too old for what no signature covers.
    fn signed(&self, query: &PushQuery, now: Secs) -> Result<(), PushDefect> {
        self.signs(query, None)?;
        query.is_within(FRESH, now)
    }

    /// Whether a signature covers the encrypted message too.
    fn signs(&self, query: &PushQuery, encrypted: Option<&str>) -> Result<bool, PushDefect> {
        let signs = |given: &Option<String>, encrypted: Option<&str>| {
            let texts = [self.token.expose(), query.timestamp.as_str(), query.nonce.as_str()];
            let texts = texts.into_iter().chain(encrypted).collect();
            given.as_ref().is_some_and(|given| signature::of_push(texts, given))
        };
        let covered = encrypted.is_some_and(|encrypted| signs(&query.msg_signature, Some(encrypted)));
        if !covered && !signs(&query.signature, None) {
            return Err(PushDefect::Unsigned);
        }
        Ok(covered)
    }
}

/// A push that was read whole.
#[derive(Debug)]
pub struct Push {
    /// What it says.
    pub message: Message,
    /// What that means for what is stored here.
    pub concern: Concern,
    /// Whether it is certainly for this mini program, and not for another with the same token.
    pub is_named: bool,
    /// Whether it was encrypted, and so the answer has to be.
    is_encrypted: bool,
    /// How the body is written, and so the answer has to be.
    format: Format,
}

/// What encrypting an answer takes beside the mini program's key.
#[derive(Clone, Copy)]
pub struct Sealing<'a> {
    /// The mini program.
    pub appid: &'a AppId,
    /// The present time, which is signed.
    pub now: Secs,
    /// The random bytes before the answer.
    pub entropy: &'a dyn Entropy,
}

/// What WeChat gets to read.
#[derive(Debug)]
pub struct Reply {
    /// How it is written; a mere word has no format.
    pub format: Option<Format>,
    /// The body.
    pub text: String,
}

/// The message in the clear. The signature does not cover it, so one that we act on must name its mini program.
fn in_the_clear(message: Message, appid: &AppId) -> Result<Push, PushDefect> {
    if message.has("Encrypt") && !message.has_kind() {
        return Err(PushDefect::NoKey);
    }
    let is_ours = message.get("AppID").is_ok_and(|named| named.is_some_and(|named| named == appid.as_str()));
    let concern = match message.concern()? {
        Concern::Other if !is_ours && message.has("Encrypt") => Concern::OtherBesideEncrypt,
        Concern::User { .. } if !is_ours => return Err(PushDefect::OtherApp),
        concern => concern,
    };
    // The card of a mini program that a user sends names that one, which may be any.
    let (is_named, format) = (is_ours && message.is_event(), message.format());
    Ok(Push { message, concern, is_named, is_encrypted: false, format })
}

impl PushQuery {
    fn is_within(&self, span: Secs, now: Secs) -> Result<(), PushDefect> {
        let is_fresh = self.timestamp.parse::<Secs>().is_ok_and(|at| at.abs_diff(now) <= span);
        if is_fresh { Ok(()) } else { Err(PushDefect::Stale) }
    }

    /// Until when somebody could present the signature, by its time or by a nonce that reads as one.
    #[must_use]
    pub fn usable_until(&self, now: Secs) -> Secs {
        self.latest(now) + FRESH
    }

    /// Until when a message about money may come again: also with its first time, and by WeChat for a day from now.
    #[must_use]
    pub fn repeated_until(&self, now: Secs) -> Secs {
        self.latest(now).max(now + FRESH_ABOUT_MONEY) + FRESH_ABOUT_MONEY
    }

    fn latest(&self, now: Secs) -> Secs {
        let times = [&self.timestamp, &self.nonce].into_iter().filter_map(|text| text.parse().ok());
        times.filter(|at| *at <= now + LATEST_NONCE).max().unwrap_or(now)
    }
}

/// A hash of what a body says. WeChat's repetitions of a message have the same.
#[must_use]
pub fn message_hash(body: &[u8]) -> [u8; 32] {
    Message::read(body).map_or_else(|_| message::hash_of([body]), |message| message.hash())
}

/// The message in `Encrypt`: AES-256-CBC, whose IV is the first half of the key, padded to blocks of 32. Inside are 16
/// random bytes, the length, the message, and the appid.
fn decrypt(AesKey(key): &AesKey, encrypted: &str, appid: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut text = Zeroizing::new(STANDARD.decode(encrypted).ok()?);
    let iv = key.first_chunk::<16>()?;
    cbc::Decryptor::<Aes256>::new((&**key).into(), iv.into()).decrypt_padded::<NoPadding>(&mut text).ok()?;
    // The signature has been checked, so this is a padding oracle for nobody but WeChat.
    let padding = usize::from(*text.last()?);
    let length = text.len().checked_sub(padding).filter(|_| (1..=BLOCK).contains(&padding))?;
    let (text, padded) = text.split_at_checked(length)?;
    if padded.iter().any(|byte| usize::from(*byte) != padding) {
        return None;
    }
    let (prefix, rest) = text.split_at_checked(PREFIX)?;
    let size = u32::from_be_bytes(*prefix.last_chunk::<4>()?);
    let (message, to) = rest.split_at_checked(usize::try_from(size).ok()?)?;
    (to == appid.as_bytes()).then(|| Zeroizing::new(message.to_vec()))
}

/// An answer as WeChat decrypts it: built as in [`decrypt`].
fn encrypt(AesKey(key): &AesKey, answer: &[u8], at: &Sealing<'_>) -> Option<String> {
    let size = u32::try_from(answer.len()).ok()?.to_be_bytes();
    let random = entropy::bytes::<16>(at.entropy);
    let mut text = Zeroizing::new([&random[..], &size, answer, at.appid.as_str().as_bytes()].concat());
    let padding = BLOCK - text.len() % BLOCK;
    let length = text.len() + padding;
    text.resize(length, u8::try_from(padding).ok()?);
    let iv = key.first_chunk::<16>()?;
    let encryptor = cbc::Encryptor::<Aes256>::new((&**key).into(), iv.into());
    Some(STANDARD.encode(encryptor.encrypt_padded::<NoPadding>(&mut text, length).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::OpenId;
    use serde_json::Value;

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

            assert_eq!(push.is_ok(), vector["expect"] == "ok", "{}: {push:?}", vector["id"]);
            if let Ok(Push { concern, .. }) = push {
                let message = &vector["event"];
                let event = match message["Event"].as_str() {
                    Some("user_info_modified") => Some(Event::UserInfoModified),
                    Some("user_authorization_revoke") => {
                        Some(Event::UserAuthorizationRevoke { phone: message["RevokeInfo"] == "8" })
                    }
                    Some("user_authorization_cancellation") => Some(Event::UserAuthorizationCancellation),
                    _ => None,
                };
                let expected = event.map_or(Concern::Other, |event| Concern::User {
                    openid: OpenId::parse(message["OpenID"].as_str().unwrap()).unwrap(),
                    event,
                });
                assert_eq!(concern, expected, "{}", vector["id"]);
            }
        }
    }

    #[test]
    fn every_question_of_the_console_is_wechats_or_not() {
        for vector in vectors().iter().filter(|vector| vector["method"] == "GET") {
            let query = PushQuery::deserialize(&vector["query"]);
            let echo = query.ok().and_then(|query| config(vector).echo(&query, SIGNED).ok().map(str::to_owned));

            let expected = vector["echostr"].as_str().filter(|_| vector["expect"] == "ok");
            assert_eq!(echo.as_deref(), expected, "{}", vector["id"]);
        }
    }

    #[test]
    fn a_signature_counts_for_ten_minutes() {
        let vectors = vectors();
        let vector = vectors.iter().find(|vector| vector["method"] == "GET" && vector["expect"] == "ok").unwrap();
        let query = PushQuery::deserialize(&vector["query"]).unwrap();

        for at in [SIGNED + FRESH, SIGNED - FRESH] {
            assert!(config(vector).echo(&query, at).is_ok());
        }
        for at in [SIGNED + FRESH + 1, SIGNED - FRESH - 1] {
            assert_eq!(config(vector).echo(&query, at), Err(PushDefect::Stale));
        }
    }

    #[test]
    fn a_value_is_taken_without_what_was_pasted_around_it() {
        let key = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
        for (before, after) in [("", ""), (" ", "\n"), ("\t", "\r\n"), ("\u{feff}", "\u{200b}"), ("\u{a0}", "\u{3000}")]
        {
            let around = |text: &str| format!("{before}{text}{after}");
            let config = Config::parse(around("token"), Some(around(key))).unwrap();
            assert_eq!((config.token().expose(), config.encoding_aes_key()), ("token", Some(Ok(()))));
        }
        for nothing in ["", " ", "\u{200b}\n"] {
            assert_eq!(Config::parse(nothing.to_owned(), None).unwrap_err(), ConfigDefect::Token);
            let keyless = Config::parse("token".to_owned(), Some(nothing.to_owned())).unwrap();
            assert_eq!(keyless.encoding_aes_key(), None);
        }
        for bad in [&key[1..], &format!("{key}H"), &key.replace('a', "-"), &key.replace('a', "\u{200b}")] {
            let config = Config::parse("token".to_owned(), Some(bad.to_owned())).unwrap();
            assert_eq!(config.encoding_aes_key(), Some(Err(ConfigDefect::AesKey)), "{bad}");
        }
    }
}

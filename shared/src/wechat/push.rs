//! WeChat's message push (消息推送): whether a message is from WeChat, for which mini program it is, and what it says.
//!
//! In the plain mode the signature covers a secret token, a time and a nonce, but not the message. Anybody who has seen one
//! request could send another message with its signature. So a signature is good for the message that it first came with:
//! see [`Signed::signature_of_any_message`]. In the secure mode it covers the message, which is encrypted too. So an app with
//! an `EncodingAESKey` takes encrypted messages only.

mod answer;
mod apps;
mod cipher;
mod message;
mod xml;

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::signature;
use crate::{
    clock::Secs,
    ids::AppId,
    secret_text::{self, PushToken},
};
pub use answer::{Answer, AnswerDefect, Reply, Sealing};
pub use apps::PushApps;
use cipher::AesKey;
use message::MessageDefect;
pub use message::{AnswerForm, Concern, Event, Format, Message};

/// How far the time of a signature may be from ours. WeChat tries again within seconds; an owner who forwards pushes may
/// take longer. WeChat signs time and nonce without saying which is which, so a nonce that reads as a later time could be
/// given as the time.
const FRESH: Secs = 10 * 60;

/// The same for an encrypted message about money. WeChat repeats it for a day, for all that is known with its first time, and it
/// does nothing twice.
const FRESH_ABOUT_MONEY: Secs = 86_400;

/// WeChat's nonces have ten digits. The signature is over texts one after the other, so whoever saw a message could give the beginning
/// or the end of `Encrypt` as a part of the nonce: what is left still decrypts to blocks of the message, if whole blocks of its text are
/// taken, which is 64 characters at least.
const LONGEST_NONCE: usize = 32;

/// For how long a nonce that reads as a later time is thought of. There is one in three hundred pushes.
const LATEST_NONCE: Secs = 366 * 86_400;

/// What the owner set for a mini program in WeChat's console.
#[derive(Clone, Debug)]
pub struct Config {
    token: PushToken,
    /// A mistake in the key must not keep the console's question from being answered, so it is kept here.
    aes_key: Option<Result<AesKey, ConfigDefect>>,
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

/// The query that WeChat adds to the URL.
#[derive(Deserialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
pub struct PushQuery {
    /// Of the plain mode: over token, time and nonce.
    signature: Option<String>,
    /// Of the secure mode: over the encrypted message too.
    msg_signature: Option<String>,
    /// Unix seconds, at most ten minutes from ours; a day where the message is encrypted and about money.
    timestamp: String,
    nonce: String,
    /// What WeChat wants back when the URL is set in its console.
    echostr: Option<String>,
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

/// The metric that counts messages which were read whole and that nobody took.
pub const UNTAKEN: &str = "push_untaken";

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

/// A request that is signed with the token of a mini program. It may be late, and the message of another.
#[derive(Clone, Copy)]
pub struct Signed<'a> {
    /// What is set for the mini program.
    pub config: &'a Config,
    query: &'a PushQuery,
    /// Whether the signature covers what is encrypted in the message.
    covers: bool,
}

impl<'a> Signed<'a> {
    /// The message, if it is for this mini program.
    pub fn read(&self, appid: &AppId, body: &Body, now: Secs) -> Result<Push, PushDefect> {
        self.query.is_within(if self.covers { FRESH_ABOUT_MONEY } else { FRESH }, now)?;
        let outer = body.message.as_ref().map_err(|defect| *defect)?;
        let Some(aes_key) = &self.config.aes_key else {
            return in_the_clear(outer.clone(), appid);
        };
        let Some(encrypted) = body.encrypted() else {
            return Err(if outer.has("Encrypt") { PushDefect::NotOpened } else { PushDefect::InTheClear });
        };
        let aes_key = aes_key.as_ref().map_err(|_| PushDefect::NoKey)?;
        if !self.covers {
            return Err(PushDefect::Forged);
        }
        let text = aes_key.open(&encrypted, appid).ok_or(PushDefect::NotOpened)?;
        let message = Message::read(&text)?;
        if !message.answer_form().is_about_money() {
            self.query.is_within(FRESH, now)?;
        }
        Ok(Push { concern: message.concern()?, message, is_named: true, is_encrypted: true, format: outer.format() })
    }

    /// The signature, if this mini program takes messages in the clear and would take any with it.
    #[must_use]
    pub fn signature_of_any_message(&self, now: Secs) -> Option<&'a str> {
        let is_good = self.config.aes_key.is_none() && self.query.is_within(FRESH, now).is_ok();
        self.query.signature.as_deref().filter(|_| is_good)
    }
}

impl Config {
    /// The request, if it is signed with this mini program's token. Without a key the message is read in the clear, which no
    /// signature covers: `msg_signature` says nothing of it.
    #[must_use]
    pub fn signed<'a>(&'a self, query: &'a PushQuery, body: Option<&Body>) -> Option<Signed<'a>> {
        if query.nonce.len() > LONGEST_NONCE {
            return None;
        }
        let is_by_us = |given: &Option<String>, encrypted: Option<&str>| {
            let texts = [self.token.expose(), query.timestamp.as_str(), query.nonce.as_str()];
            let texts = texts.into_iter().chain(encrypted).collect();
            given.as_ref().is_some_and(|given| signature::of_push(texts, given))
        };
        let encrypted = body.filter(|_| self.aes_key.is_some()).and_then(Body::encrypted);
        let covers = encrypted.is_some_and(|encrypted| is_by_us(&query.msg_signature, Some(&encrypted)));
        (covers || is_by_us(&query.signature, None)).then_some(Signed { config: self, query, covers })
    }

    /// An answer as WeChat wants it: encrypted and signed where the message was encrypted.
    #[must_use]
    pub fn reply(&self, to: &Push, query: &PushQuery, answer: &Answer, at: &Sealing<'_>) -> Reply {
        let Some(text) = answer.text(to.format) else { return Reply { format: None, text: "success".to_owned() } };
        let encrypted = match &self.aes_key {
            Some(Ok(key)) if to.is_encrypted => key.seal(&text, at.appid, at.entropy),
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
}

/// What came as a body, read once, whoever it is for.
#[derive(Debug)]
pub struct Body {
    message: Result<Message, MessageDefect>,
    hash: [u8; 32],
}

impl Body {
    /// Reads it, whoever sent it.
    #[must_use]
    pub fn read(body: &[u8]) -> Self {
        let message = Message::read(body);
        let hash = message.as_ref().map_or_else(|_| message::hash_of([body]), Message::hash);
        Self { message, hash }
    }

    /// What is encrypted in it.
    fn encrypted(&self) -> Option<Cow<'_, str>> {
        self.message.as_ref().ok()?.get("Encrypt").ok()?
    }

    /// A hash of what it says. WeChat's repetitions of a message have the same.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        self.hash
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
    pub is_encrypted: bool,
    /// How the body is written, and so the answer has to be.
    format: Format,
}

/// The message in the clear. The signature does not cover it, so one that we act on must name its mini program.
fn in_the_clear(message: Message, appid: &AppId) -> Result<Push, PushDefect> {
    if message.has("Encrypt") && !message.has_kind() {
        return Err(PushDefect::NoKey);
    }
    let is_ours = message.get("AppID").is_ok_and(|named| named.is_some_and(|named| named == appid.as_str()));
    let concern = match message.concern()? {
        Concern::Other | Concern::Nobody if !is_ours && message.has("Encrypt") => Concern::OtherBesideEncrypt,
        Concern::User { .. } if !is_ours => return Err(PushDefect::OtherApp),
        concern => concern,
    };
    // The card of a mini program that a user sends names that one, which may be any.
    let (is_named, format) = (is_ours && message.is_event(), message.format());
    Ok(Push { message, concern, is_named, is_encrypted: false, format })
}

impl PushQuery {
    /// What WeChat's console wants to hear back.
    pub fn echo(&self, now: Secs) -> Result<&str, PushDefect> {
        self.is_within(FRESH, now)?;
        self.echostr.as_deref().ok_or(PushDefect::Unreadable)
    }

    fn is_within(&self, span: Secs, now: Secs) -> Result<(), PushDefect> {
        let is_fresh = time(&self.timestamp).is_some_and(|at| at.abs_diff(now) <= span);
        if is_fresh { Ok(()) } else { Err(PushDefect::Stale) }
    }

    /// What a signature that came with this query is bound to: the query as it is divided, and what the body says.
    #[must_use]
    pub fn bound_to(&self, message: [u8; 32]) -> [u8; 32] {
        message::hash_of([self.timestamp.as_bytes(), self.nonce.as_bytes(), &message])
    }

    /// The signature that covers an encrypted message.
    #[must_use]
    pub fn covering_signature(&self) -> Option<&str> {
        self.msg_signature.as_deref()
    }

    /// Until when somebody could present the signature, by its time or by another that its texts give.
    #[must_use]
    pub fn usable_until(&self, now: Secs) -> Secs {
        self.latest(now) + FRESH
    }

    /// Until when a message about money may come again: also with its first time, and by WeChat for a day from now.
    #[must_use]
    pub fn repeated_until(&self, now: Secs) -> Secs {
        self.latest(now).max(now + FRESH_ABOUT_MONEY) + FRESH_ABOUT_MONEY + FRESH
    }

    fn latest(&self, now: Secs) -> Secs {
        // A signature is over the texts one after the other, so time and nonce can be divided anew.
        let (time_first, nonce_first) = (self.timestamp.clone() + &self.nonce, self.nonce.clone() + &self.timestamp);
        let texts = [time_first.get(..10), nonce_first.get(..10), ends(&time_first), ends(&nonce_first)];
        let times = texts.into_iter().flatten().filter_map(time);
        times.filter(|at| *at <= now + LATEST_NONCE).max().unwrap_or(now)
    }
}

/// Unix seconds as WeChat writes them: ten digits, for centuries to come.
fn time(text: &str) -> Option<Secs> {
    let is_time = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_time)
}

/// The last ten characters.
fn ends(text: &str) -> Option<&str> {
    text.get(text.len().checked_sub(10)?..)
}

#[cfg(test)]
mod tests;

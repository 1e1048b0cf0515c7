//! What a pushed message says, in JSON or XML, what that means for what is stored here, and what WeChat wants to hear.

use std::{borrow::Cow, collections::BTreeMap};

use aws_lc_rs::digest::{Context, SHA256};
use serde_json::{Map, Number, Value as Json, value::RawValue};

use super::xml;
use crate::{ids::OpenId, json};

/// Messages of other kinds nest deeper than those that we act on.
pub(super) const DEEPEST: usize = 32;

/// JavaScript and many others read every number as a double, in which whole numbers are exact up to here.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// What a message means for what is stored here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Concern {
    /// One of the events that concern what is stored.
    User {
        /// The user that it is about.
        openid: OpenId,
        /// What happened.
        event: Event,
    },
    /// A message of another kind, or about the user of a plugin. Nothing about it is stored here.
    Other,
    /// WeChat has cleaned a profile and does not say whose. Nothing is stored of it, so it does no harm if the owner takes it.
    Nobody,
    /// A message of another kind in the clear, beside an `Encrypt` that is not read here, and it does not name this mini
    /// program: to one with a key it may be another message.
    OtherBesideEncrypt,
}

/// What happened to a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
}

impl Event {
    /// Whether anything that is stored here goes with it: no nickname, no avatar and no postal address is.
    #[must_use]
    pub const fn deletes(self) -> bool {
        matches!(self, Self::UserAuthorizationRevoke { phone: true } | Self::UserAuthorizationCancellation)
    }
}

/// How a message is written, and so its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One object.
    Json,
    /// One element, `xml`.
    Xml,
}

/// What WeChat wants to hear of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerForm {
    /// `success`; of a customer's message, also that the web console takes it over.
    Success,
    /// An `ErrCode`: the message is about money.
    ErrCode,
    /// `result_code` and `evidence`: Apple asks whether it may pay a user back.
    RefundVerdict,
}

impl AnswerForm {
    /// Whether money is lost or delivered twice where the message is lost or taken twice.
    #[must_use]
    pub const fn is_about_money(self) -> bool {
        !matches!(self, Self::Success)
    }
}

/// Why a message is not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum MessageDefect {
    /// It is neither JSON nor XML, does not say what kind of message it is, or a member that is needed is no text.
    Unreadable,
    /// It is one of the events that concern a user, and names none.
    NoUser,
}

/// A message that was read whole, as JSON whatever form it came in.
#[derive(Clone, Debug)]
pub struct Message {
    members: Map<String, Json>,
    format: Format,
}

/// Members that say nothing here and that WeChat may write anew when it repeats a message: the count of its tries, and what is
/// encrypted of a message that is read in the clear.
const VARYING: [&str; 2] = ["RetryTimes", "Encrypt"];

/// The members that tell messages of one event apart, however often they are repeated; of the others, all members do. What is
/// chosen by others than WeChat is told apart by what they cannot choose: the user, and the environment of the payment.
const NAMED_BY: &[(&str, &[&str])] = &[
    ("xpay_goods_deliver_notify", &["OutTradeNo", "OpenId", "Env"]),
    ("xpay_coin_pay_notify", &["OutTradeNo", "OpenId", "Env"]),
    ("xpay_refund_notify", &["WxRefundId", "OpenId", "RetCode"]),
    ("xpay_complaint_notify", &["RequestId", "OpenId"]),
    ("xpay_wxpay_callback_notify", &["BusinessCode", "BusinessState", "MerchantCode", "EventType", "BusinessTime"]),
    ("wxa_media_check", &["trace_id", "FromUserName"]),
];

/// Apple's question about a refund, which by its table of members has no `Event`.
const REFUND_QUERY: &str = "xpay_subscribe_ios_refund_query_notify";

impl Message {
    pub(super) fn read(body: &[u8]) -> Result<Self, MessageDefect> {
        let body = readable(body);
        let (format, members) = match body.trim_ascii_start().as_bytes().first() {
            Some(b'<') => (Format::Xml, xml::members(&body, DEEPEST)),
            _ => (Format::Json, from_json(body.as_bytes())),
        };
        Ok(Self { members: members.ok_or(MessageDefect::Unreadable)?, format })
    }

    /// How it is written.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// What the owner's function gets to read. What was a number in XML is a text, and elements of one name are an array; what is
    /// encrypted of a message that was read in the clear is left out.
    #[must_use]
    pub fn said_to_owner(&self) -> Json {
        let said = self.members.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("Encrypt"));
        Json::Object(said.map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    /// The members that are said, and what they say: a text or a number, or else the whole as JSON.
    fn said(&self) -> impl Iterator<Item = (&str, Result<Cow<'_, str>, &Json>)> {
        let given = self.members.iter().filter(|(_, value)| !value.is_null());
        given.map(|(name, value)| (name.as_str(), text(value).ok_or(value)))
    }

    /// A member that is not empty. WeChat spells some names in several ways (`OpenID`, `openid`), so case does not count.
    pub(super) fn get(&self, name: &str) -> Result<Option<Cow<'_, str>>, MessageDefect> {
        let mut given = self.said().filter(|(given, _)| given.eq_ignore_ascii_case(name));
        match (given.next(), given.next()) {
            (None, _) => Ok(None),
            (Some((_, Ok(text))), None) => Ok(Some(text).filter(|text| !text.is_empty())),
            _ => Err(MessageDefect::Unreadable),
        }
    }

    /// Whether there is a member of this name, whatever is in it.
    pub(super) fn has(&self, name: &str) -> bool {
        self.said().any(|(given, _)| given.eq_ignore_ascii_case(name))
    }

    /// What it says, but for what WeChat writes anew in each repetition: name, kind and text of each member, in order.
    fn parts(&self) -> impl Iterator<Item = String> {
        let is_said = |name: &str| !VARYING.iter().any(|varying| name.eq_ignore_ascii_case(varying));
        self.said().filter(move |(name, _)| is_said(name)).flat_map(|(name, value)| {
            let (kind, text) = match value {
                Ok(text) => ("text", text.into_owned()),
                Err(nested) => ("nested", nested.to_string()),
            };
            [name.to_owned(), kind.to_owned(), text]
        })
    }

    /// A hash of all that the message says. A repetition by WeChat has the same, although it may be written otherwise.
    pub(super) fn hash(&self) -> [u8; 32] {
        hash_of(self.parts())
    }

    /// What tells it from every other message to its mini program, and is the same in each of its repetitions.
    #[must_use]
    pub fn identity(&self) -> [u8; 32] {
        match self.named() {
            Some(parts) => hash_of(parts),
            None => hash_of(std::iter::once("whole".to_owned()).chain(self.parts())),
        }
    }

    /// Whether it says when it was made. Without that, the same event of another day would be the same message.
    #[must_use]
    pub fn is_dated(&self) -> bool {
        self.get("CreateTime").is_ok_and(|time| time.is_some())
    }

    /// The names of a message that has some: what kind of names they are comes first.
    fn named(&self) -> Option<Vec<String>> {
        let event = self.event().ok()?.unwrap_or_default();
        if self.answer_form() == AnswerForm::RefundVerdict {
            return self.names("refund", "", &["pay_order_id", "refund_time"]);
        }
        if let Some((_, names)) = NAMED_BY.iter().find(|(known, _)| *known == event) {
            return self.names("event", &event, names);
        }
        if is_of_a_game(&event) {
            let payload = self.members.get("MiniGame")?.get("Payload")?.as_str()?;
            let payload = Self { members: from_json(payload.as_bytes())?, format: Format::Json };
            return payload.names("game", &event, &["OutTradeNo", "OpenId", "Env"]);
        }
        self.names("message", &event, &["MsgId", "FromUserName"])
    }

    /// What these members say, the first of which must say something.
    fn names(&self, kind: &str, event: &str, members: &[&str]) -> Option<Vec<String>> {
        let mut names = vec![kind.to_owned(), event.to_owned()];
        for (at, member) in members.iter().enumerate() {
            let name = self.get(member).ok()?;
            if at == 0 && name.is_none() {
                return None;
            }
            names.push(name.unwrap_or_default().into_owned());
        }
        Some(names)
    }

    /// Whether this says what kind of message it is: an envelope with `Encrypt` does not.
    pub(super) fn has_kind(&self) -> bool {
        self.event().is_ok()
    }

    /// Whether it is an event, and none that a user wrote.
    pub(super) fn is_event(&self) -> bool {
        self.event().is_ok_and(|event| event.is_some())
    }

    /// The name of the event; a message of another kind has none. What says no kind was not read whole: the message may stand
    /// deeper in it.
    fn event(&self) -> Result<Option<Cow<'_, str>>, MessageDefect> {
        let event = self.get("Event")?;
        match self.get("MsgType")? {
            // A user writes what stands in a message of another kind, and no user says an event.
            Some(kind) if kind.eq_ignore_ascii_case("event") == event.is_some() => Ok(event),
            // By its table of members, Apple's question about a refund is the one message without a kind.
            None if self.get("channel_bill")?.is_some() && self.get("bundleid")?.is_some() => Ok(event),
            None if self.is_check() => Ok(None),
            _ => Err(MessageDefect::Unreadable),
        }
    }

    /// Whether it is nothing but WeChat's question whether anybody is here.
    fn is_check(&self) -> bool {
        let mut said = self.said().filter(|(name, _)| !name.eq_ignore_ascii_case("Encrypt"));
        matches!((said.next(), said.next()), (Some(("action", Ok(text))), None) if text == "CheckContainerPath")
    }

    /// What WeChat wants to hear of it.
    #[must_use]
    pub fn answer_form(&self) -> AnswerForm {
        let event = self.event().ok().flatten().unwrap_or_default();
        let has_no_kind = !self.has("MsgType") && self.has("channel_bill") && self.has("bundleid");
        if event.eq_ignore_ascii_case(REFUND_QUERY) || has_no_kind {
            AnswerForm::RefundVerdict
        } else if begins(&event, "xpay_") || is_of_a_game(&event) {
            AnswerForm::ErrCode
        } else {
            AnswerForm::Success
        }
    }

    pub(super) fn concern(&self) -> Result<Concern, MessageDefect> {
        let event = self.event()?;
        let Some(name @ ("user_info_modified" | "user_authorization_revoke" | "user_authorization_cancellation")) =
            event.as_deref()
        else {
            return Ok(Concern::Other);
        };
        let Some(openid) = self.get("OpenID")? else {
            return match name {
                _ if self.get("OpenPID")?.is_some() => Ok(Concern::Other),
                "user_info_modified" => Ok(Concern::Nobody),
                _ => Err(MessageDefect::NoUser),
            };
        };
        let openid = OpenId::parse(&openid).map_err(|_| MessageDefect::NoUser)?;
        let event = match name {
            "user_info_modified" => Event::UserInfoModified,
            "user_authorization_revoke" => Event::UserAuthorizationRevoke { phone: self.revoked()?.contains(&8) },
            _ => Event::UserAuthorizationCancellation,
        };
        Ok(Concern::User { openid, event })
    }

    /// What was revoked. `RevokeInfo` may hold several numbers, separated by commas.
    fn revoked(&self) -> Result<Vec<u32>, MessageDefect> {
        let info = self.get("RevokeInfo")?.ok_or(MessageDefect::Unreadable)?;
        info.split(',').map(|kind| kind.trim().parse().map_err(|_| MessageDefect::Unreadable)).collect()
    }
}

/// WeChat hands on control characters that users write, and cuts long texts within a character. Neither is allowed in XML or JSON.
fn readable(body: &[u8]) -> Cow<'_, str> {
    let is_allowed = |char: char| matches!(char, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..);
    match String::from_utf8_lossy(body) {
        text if text.chars().all(is_allowed) => text,
        text => text.chars().filter(|char| is_allowed(*char)).collect(),
    }
}

fn begins(text: &str, with: &str) -> bool {
    text.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with))
}

fn is_of_a_game(event: &str) -> bool {
    begins(event, "minigame_")
}

/// A text without the blanks around it, or a number as it is written.
fn text(value: &Json) -> Option<Cow<'_, str>> {
    match value {
        Json::String(text) => Some(text.trim().into()),
        Json::Number(number) => Some(number.to_string().into()),
        _ => None,
    }
}

/// The members of an object. `None` also for two names that only blanks tell apart.
fn from_json(body: &[u8]) -> Option<Map<String, Json>> {
    let given: BTreeMap<String, Box<RawValue>> = json::nested(body, DEEPEST).ok()?;
    let mut members = Map::new();
    for (name, value) in given {
        // Samples in WeChat's documents have names with a blank before them.
        if members.insert(name.trim().to_owned(), exact(&value)?).is_some() {
            return None;
        }
    }
    Some(members)
}

/// The value in which a number that a double would change is a text. It was checked before not to nest too deep.
fn exact(value: &RawValue) -> Option<Json> {
    let text = value.get();
    match text.as_bytes().first()? {
        b'{' => {
            let members: BTreeMap<String, &RawValue> = serde_json::from_str(text).ok()?;
            members
                .into_iter()
                .map(|(name, value)| Some((name, exact(value)?)))
                .collect::<Option<_>>()
                .map(Json::Object)
        }
        b'[' => {
            let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            items.into_iter().map(exact).collect::<Option<_>>().map(Json::Array)
        }
        b'-' | b'0'..=b'9' => Some(number(text)),
        b'"' => json::readable_text(text).map(Json::String),
        _ => serde_json::from_str(text).ok(),
    }
}

/// A number that everybody reads alike, or else the text of it.
fn number(text: &str) -> Json {
    let number = serde_json::from_str::<Number>(text).ok();
    let is_exact = |number: &Number| number.as_f64().is_some_and(|double| double.abs() < EXACT);
    let number = number.filter(|number| is_exact(number) && number.to_string().as_str() == text);
    number.map_or_else(|| text.into(), Json::Number)
}

/// SHA-256 of these parts. The length before each keeps two lists from giving the same bytes.
pub(super) fn hash_of<T: AsRef<[u8]>>(parts: impl IntoIterator<Item = T>) -> [u8; 32] {
    let mut digest = Context::new(&SHA256);
    for part in parts {
        let part = part.as_ref();
        digest.update(&(part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(digest.finish().as_ref());
    hash
}

#[cfg(test)]
mod tests;

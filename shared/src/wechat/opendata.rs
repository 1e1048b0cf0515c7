//! Open data: what WeChat signs and encrypts with a user's `session_key`. Pure, total, and uniform to the outside.
//!
//! `encryptedData` is AES-128-CBC with PKCS#7 padding and without a MAC. If "bad padding" and "bad JSON" could be told
//! apart, a user could forge any phone number in some 20,000 questions (a padding oracle). So there is one defect for every
//! failure to read, the same number of AES operations on every path, and unpadding in constant time. The caller counts
//! attempts before it decrypts.
//!
//! Other defects are told apart only behind the watermark: whoever gets there has an object that parses to its last brace,
//! which a block that was guessed at does not leave. But without any question, by the `iv` alone, users can put 16 bytes of
//! their choice before the end of data that WeChat gave them. [`phone`] says what that must not make of a name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

use super::{ciphertext::plaintext, phone_number, signature};
use crate::{
    ids::{AppId, OpenId, UnionId},
    json,
    problem::{Code, Problem},
    secret_text::{SessionKey, SessionKeys},
};

pub use super::ciphertext::{Ciphertext, DataHash, EncryptedData, FormDefect, Iv};

/// WeChat shapes the plaintext, and may nest in it what nobody here looks at.
const DEEPEST: usize = 32;

/// Why data was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenDataDefect {
    /// Not readable with any key. Key, padding, text, JSON and schema are not told apart.
    #[error("the data cannot be read with the session keys")]
    Unreadable,
    /// It is readable, and belongs to another app or user.
    #[error("the data belongs to another app or user")]
    Foreign,
    /// It is readable, and this user's in this app, but it is not what was asked for.
    #[error("the data is of another kind")]
    OtherKind,
}

impl From<OpenDataDefect> for Problem {
    fn from(defect: OpenDataDefect) -> Self {
        let code = match defect {
            OpenDataDefect::Unreadable => Code::SessionKeyExpired,
            OpenDataDefect::Foreign => Code::DataRejected,
            OpenDataDefect::OtherKind => Code::WrongDataKind,
        };
        Self::new(code).because(defect)
    }
}

/// The members of decrypted data, each as it was written: what nobody looks at is handed on as WeChat gave it.
type Members = BTreeMap<String, Box<RawValue>>;

/// Decrypts with both keys, always both, and gives the first result that is an object.
fn open(data: &Ciphertext, keys: &SessionKeys) -> Result<Members, OpenDataDefect> {
    let [current, previous] = keys.both().map(|key| read(data, key));
    current.or(previous).ok_or(OpenDataDefect::Unreadable)
}

/// Decrypts and reads. A missing key costs what a wrong one costs.
fn read(data: &Ciphertext, key: Option<&SessionKey>) -> Option<Members> {
    let aes_key = key.and_then(SessionKey::aes_key);
    let usable = aes_key.is_some();
    let (text, padded) = plaintext(data, &aes_key.unwrap_or_default())?;
    json::nested(&text, DEEPEST).ok().filter(|_| usable && bool::from(padded))
}

/// WeChat's mark in everything that it encrypts.
#[derive(Deserialize)]
struct Watermark {
    appid: String,
}

impl Watermark {
    fn check(&self, appid: &AppId) -> Result<(), OpenDataDefect> {
        if self.appid == appid.as_str() { Ok(()) } else { Err(OpenDataDefect::Foreign) }
    }
}

/// A phone number, in WeChat's three fields. Personal: for the response to its user and nowhere else.
///
/// WeChat documents no form for them, so they are whatever it gave.
#[expect(clippy::struct_field_names, reason = "WeChat's own spelling")]
#[derive(Clone, Serialize, Deserialize, PartialEq, Eq)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
pub struct Phone {
    /// The number as WeChat gives it: mostly digits, often with the country code of a number that is not Chinese.
    #[serde(rename = "phoneNumber")]
    #[cfg_attr(feature = "contract", schemars(length(min = 1)))]
    pub(super) phone_number: String,
    /// Without the country code; empty if WeChat does not give it.
    #[serde(rename = "purePhoneNumber")]
    pub(super) pure_phone_number: String,
    /// Such as `86`; empty if WeChat does not give it.
    #[serde(rename = "countryCode")]
    pub(super) country_code: String,
}

impl std::fmt::Debug for Phone {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Phone([REDACTED])")
    }
}

/// What an object is, by the members that only one kind has.
#[derive(PartialEq)]
enum Kind {
    Number,
    Profile,
    Other,
}

/// The members of an object of this app, without the watermark, and what it is.
fn opened(data: &Ciphertext, keys: &SessionKeys, appid: &AppId) -> Result<(Kind, Members), OpenDataDefect> {
    let mut members = open(data, keys)?;
    let watermark = members.remove("watermark").filter(|value| value.get().starts_with('{'));
    let watermark = watermark.and_then(|value| serde_json::from_str::<Watermark>(value.get()).ok());
    watermark.ok_or(OpenDataDefect::Unreadable)?.check(appid)?;
    let says = |name: &str| members.get(name).is_some_and(|value| !matches!(value.get(), "null" | r#""""#));
    let kind = if says("phoneNumber") || says("purePhoneNumber") {
        Kind::Number
    } else if says("unionId") || ["nickName", "avatarUrl"].iter().any(|name| members.contains_key(*name)) {
        // A name and a picture that the user has taken back are still a profile's.
        Kind::Profile
    } else {
        Kind::Other
    };
    Ok((kind, members))
}

/// What a member says as text, a number by its digits; `""` and `null` say nothing. Anything else is the error.
fn said(members: &Members, name: &str) -> Result<Option<String>, OpenDataDefect> {
    match members.get(name).map(|value| serde_json::from_str(value.get())) {
        None | Some(Ok(Value::Null)) => Ok(None),
        Some(Ok(Value::String(text))) => Ok(Some(text).filter(|text| !text.is_empty())),
        Some(Ok(Value::Number(number))) if number.is_u64() => Ok(Some(number.to_string())),
        Some(_) => Err(OpenDataDefect::Unreadable),
    }
}

/// Whether the data names this user. It may name nobody, but not another one.
fn names(members: &Members, openid: &OpenId) -> Result<bool, OpenDataDefect> {
    match said(members, "openId") {
        Ok(None) => Ok(false),
        Ok(Some(named)) if named == openid.expose() => Ok(true),
        _ => Err(OpenDataDefect::Foreign),
    }
}

/// The phone number in the data of the phone-number button, in whatever form.
///
/// What somebody put together is not read. Two numbers must be the same one. And `{"phoneNumber":"` is one block, which can be
/// put before the end of other data. Before the end of a profile whose name is a number, it makes that number the user's: so
/// where neither of the other two members is, the number is alone, as a profile's end brings more along. Before the end of
/// `purePhoneNumber`, it makes a number of the last digits: so where only the country code is, the number has to show that it is
/// whole.
pub fn phone(data: &Ciphertext, keys: &SessionKeys, appid: &AppId, openid: &OpenId) -> Result<Phone, OpenDataDefect> {
    let (kind, members) = opened(data, keys, appid)?;
    if kind != Kind::Number {
        return Err(OpenDataDefect::OtherKind);
    }
    names(&members, openid)?;
    let phone_number = said(&members, "phoneNumber")?.ok_or(OpenDataDefect::OtherKind)?;
    let pure = said(&members, "purePhoneNumber")?;
    let country_code = said(&members, "countryCode").ok().flatten();
    let is_whole = members.contains_key("purePhoneNumber")
        || members.len() == 1
        || members.contains_key("countryCode") && phone_number::is_whole(&phone_number, country_code.as_deref());
    let is_one = phone_number::is_one(&phone_number, pure.as_deref(), country_code.as_deref());
    if !is_one || !is_whole {
        return Err(OpenDataDefect::Unreadable);
    }
    let country_code = country_code.unwrap_or_default();
    let country_code = country_code.strip_prefix('+').unwrap_or(&country_code).to_owned();
    Ok(Phone { phone_number, pure_phone_number: pure.unwrap_or_default(), country_code })
}

/// What WeChat encrypted for a user, without the watermark: every member as WeChat wrote it. Personal.
#[derive(Clone, Serialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct OpenData(#[cfg_attr(feature = "contract", schemars(with = "BTreeMap<String, Value>"))] Members);

impl std::fmt::Debug for OpenData {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("OpenData([REDACTED])")
    }
}

/// Any other data of this app and user. Numbers and profiles are not: what they need is verified where they are taken.
pub fn other(
    data: &Ciphertext,
    keys: &SessionKeys,
    appid: &AppId,
    openid: &OpenId,
) -> Result<OpenData, OpenDataDefect> {
    let (kind, members) = opened(data, keys, appid)?;
    names(&members, openid)?;
    if kind == Kind::Other { Ok(OpenData(members)) } else { Err(OpenDataDefect::OtherKind) }
}

/// A user's profile, verified, without the watermark. Personal.
#[derive(Clone, Serialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema), schemars(extend("properties" = {
    "nickName": { "type": ["string", "null"] },
    "openId": { "type": ["string", "null"] },
    "unionId": { "type": ["string", "null"] },
})))]
#[serde(transparent)]
pub struct Profile {
    members: OpenData,
    #[serde(skip)]
    unionid: Option<UnionId>,
}

impl std::fmt::Debug for Profile {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Profile([REDACTED])")
    }
}

impl Profile {
    /// The user across accounts, if the data has it.
    #[must_use]
    pub fn unionid(&self) -> Option<&UnionId> {
        self.unionid.as_ref()
    }
}

/// What `wx.getUserInfo` gave, as it was sent. Only its verification decides whether it is used, so any text is accepted.
#[derive(Deserialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
pub struct UserInfo {
    #[serde(rename = "rawData")]
    raw_data: String,
    signature: String,
    #[serde(rename = "encryptedData")]
    encrypted_data: String,
    iv: String,
}

impl UserInfo {
    /// The encrypted part.
    pub fn ciphertext(&self) -> Result<Ciphertext, FormDefect> {
        Ciphertext::parse(&self.encrypted_data, &self.iv)
    }

    /// All of it, with the encrypted part as it was read.
    #[must_use]
    pub fn signed<'a>(&'a self, data: &'a Ciphertext) -> SignedProfile<'a> {
        SignedProfile { signed: Some((&self.raw_data, &self.signature)), data }
    }
}

/// What `wx.getUserInfo` gave, read.
pub struct SignedProfile<'a> {
    /// `rawData` and its `signature`, if they were sent.
    pub signed: Option<(&'a str, &'a str)>,
    /// `encryptedData` and `iv`.
    pub data: &'a Ciphertext,
}

/// What both `rawData` and the encrypted data say of a user.
const SIGNED_MEMBERS: [&str; 7] = ["nickName", "avatarUrl", "gender", "language", "city", "province", "country"];

/// Whether `rawData` says of the user what the data says. WeChat makes both in one call; otherwise somebody put them together.
/// The two may be written differently, and a member may be in one of them alone.
fn is_signed(raw_data: &str, members: &Members) -> bool {
    let Ok(signed) = json::nested::<Members>(raw_data.as_bytes(), DEEPEST) else { return false };
    SIGNED_MEMBERS.iter().all(|name| match (signed.get(*name), members.get(*name)) {
        (Some(signed_value), Some(value)) if signed_value.get() != value.get() => {
            match (said(&signed, name), said(members, name)) {
                (Ok(Some(signed)), Ok(Some(said))) => signed == said,
                (Ok(_), Ok(_)) => true,
                _ => false,
            }
        }
        _ => true,
    })
}

/// The profile that `wx.getUserInfo` gave, of this app and this user. A wrong signature, and a right one of other data, count
/// as unreadable data.
pub fn profile(
    given: &SignedProfile<'_>,
    keys: &SessionKeys,
    appid: &AppId,
    openid: &OpenId,
) -> Result<Profile, OpenDataDefect> {
    let signed = given.signed.is_none_or(|(raw_data, text)| signature::of_raw_data(raw_data, text, keys));
    let object = opened(given.data, keys, appid);
    if !signed {
        return Err(OpenDataDefect::Unreadable);
    }
    let (kind, members) = object?;
    let names_user = names(&members, openid)?;
    if kind != Kind::Profile {
        return Err(OpenDataDefect::OtherKind);
    }
    if given.signed.is_some_and(|(raw_data, _)| !is_signed(raw_data, &members)) {
        return Err(OpenDataDefect::Unreadable);
    }
    let unionid = said(&members, "unionId");
    if !names_user && unionid != Ok(None) {
        // WeChat gives both or neither. The data has no MAC, and a forged unionid would be somebody else's identity.
        return Err(OpenDataDefect::Unreadable);
    }
    let unionid = unionid.ok().flatten().and_then(|text| UnionId::parse(&text).ok());
    Ok(Profile { members: OpenData(members), unionid })
}

/// The test vectors of a kind.
#[cfg(test)]
pub(super) fn vectors(kind: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(include_str!("../../../tests/fixtures/wechat-decrypt.json")).unwrap();
    file["vectors"].as_array().unwrap().iter().filter(|vector| vector["kind"] == kind).cloned().collect()
}

#[cfg(test)]
mod tests;

//! Open data: what WeChat signs and encrypts with a user's `session_key`. Pure, total, and uniform to the outside.
//!
//! `encryptedData` is AES-128-CBC with PKCS#7 padding and without a MAC. If "bad padding" and "bad JSON" could be told
//! apart, a user could forge any phone number in some 20,000 questions (a padding oracle). So there is one defect for every
//! failure to read, the same number of AES operations on every path, and unpadding in constant time. The caller counts
//! attempts before it decrypts.

use aes::Aes128;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use cbc::cipher::{BlockModeDecrypt as _, KeyIvInit as _, block_padding::NoPadding};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use subtle::{Choice, ConstantTimeEq as _, ConstantTimeGreater as _, ConstantTimeLess as _};
use zeroize::Zeroizing;

use super::signature;
use crate::{
    ids::{AppId, OpenId, UnionId},
    json,
    problem::{Code, Problem},
    secret_text::{SessionKey, SessionKeys},
};

const BLOCK: usize = 16;

impl SessionKey {
    /// The AES key: 16 bytes, which the text encodes in base64.
    #[must_use]
    pub fn aes_key(&self) -> Option<Zeroizing<[u8; BLOCK]>> {
        let bytes = Zeroizing::new(STANDARD.decode(self.expose()).ok()?);
        bytes.as_slice().try_into().ok().map(Zeroizing::new)
    }
}

/// `encryptedData` or `iv` is not base64, or not of the right length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("encryptedData or iv is not base64 of the right length")]
pub struct FormDefect;

/// `encryptedData`: whole blocks of 16 bytes, in standard base64 with padding, as WeChat writes it.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct EncryptedData(Vec<u8>);

impl TryFrom<String> for EncryptedData {
    type Error = FormDefect;

    fn try_from(text: String) -> Result<Self, FormDefect> {
        let blocks = STANDARD.decode(text).map_err(|_| FormDefect)?;
        if blocks.is_empty() || blocks.len() % BLOCK != 0 { Err(FormDefect) } else { Ok(Self(blocks)) }
    }
}

/// `iv`: 16 bytes, in standard base64 with padding.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Iv([u8; BLOCK]);

impl TryFrom<String> for Iv {
    type Error = FormDefect;

    fn try_from(text: String) -> Result<Self, FormDefect> {
        STANDARD.decode(text).ok().and_then(|iv| iv.try_into().ok()).map(Self).ok_or(FormDefect)
    }
}

/// What WeChat encrypted for a user. Its form is right; no key has been used yet.
#[derive(Debug)]
pub struct Ciphertext {
    /// The blocks.
    pub encrypted_data: EncryptedData,
    /// Their initialization vector.
    pub iv: Iv,
}

impl Ciphertext {
    /// Reads both values.
    pub fn parse(encrypted_data: &str, iv: &str) -> Result<Self, FormDefect> {
        Ok(Self { encrypted_data: encrypted_data.to_owned().try_into()?, iv: iv.to_owned().try_into()? })
    }
}

/// Why data was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenDataDefect {
    /// Not readable with any key. Key, padding, text, JSON and schema are not told apart.
    #[error("the data cannot be read with the session keys")]
    Unreadable,
    /// It is readable, and belongs to another app or user.
    #[error("the data belongs to another app or user")]
    Foreign,
}

impl From<OpenDataDefect> for Problem {
    fn from(defect: OpenDataDefect) -> Self {
        let code = match defect {
            OpenDataDefect::Unreadable => Code::SessionKeyExpired,
            OpenDataDefect::Foreign => Code::DataRejected,
        };
        Self::new(code).because(defect)
    }
}

/// Decrypts with both keys, always both, and gives the first result that reads as `T`.
pub fn open<T: DeserializeOwned>(data: &Ciphertext, keys: &SessionKeys) -> Result<T, OpenDataDefect> {
    let [current, previous] = keys.both().map(|key| read(data, key));
    current.or(previous).ok_or(OpenDataDefect::Unreadable)
}

/// Decrypts and reads. A missing key costs what a wrong one costs.
fn read<T: DeserializeOwned>(data: &Ciphertext, key: Option<&SessionKey>) -> Option<T> {
    let aes_key = key.and_then(SessionKey::aes_key);
    let usable = aes_key.is_some();
    let (text, padded) = plaintext(data, &aes_key.unwrap_or_default())?;
    json::parse(&text).ok().filter(|_| usable && bool::from(padded))
}

/// The text without its padding, and whether the padding was right; with wrong padding, all of it.
fn plaintext(data: &Ciphertext, aes_key: &[u8; BLOCK]) -> Option<(Zeroizing<Vec<u8>>, Choice)> {
    let mut text = Zeroizing::new(data.encrypted_data.0.clone());
    // Whole blocks without padding: there is nothing to refuse.
    cbc::Decryptor::<Aes128>::new(aes_key.into(), (&data.iv.0).into()).decrypt_padded::<NoPadding>(&mut text).ok()?;
    let (length, padded) = unpad(&text);
    text.truncate(length);
    Some((text, padded))
}

/// The length without PKCS#7 padding, and whether the padding is right, in time that does not depend on it. With wrong
/// padding the length is the whole, so that the same work follows.
fn unpad(text: &[u8]) -> (usize, Choice) {
    let last = text.last().copied().unwrap_or(0);
    let mut right = last.ct_gt(&0) & !last.ct_gt(&16);
    for (from_end, byte) in (0_u8..16).zip(text.iter().rev()) {
        right &= !from_end.ct_lt(&last) | byte.ct_eq(&last);
    }
    let padding = usize::from(last) * usize::from(right.unwrap_u8());
    (text.len().saturating_sub(padding), right)
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

/// A phone number as WeChat writes it, in open data and in its API's responses.
#[derive(Deserialize)]
pub struct PhoneInfo {
    #[serde(rename = "phoneNumber")]
    phone_number: String,
    #[serde(rename = "purePhoneNumber")]
    pure_phone_number: String,
    #[serde(rename = "countryCode")]
    country_code: CountryCode,
    #[serde(deserialize_with = "json::object")]
    watermark: Watermark,
}

/// A number in WeChat's documents, text in its responses.
#[derive(Deserialize)]
#[serde(untagged)]
enum CountryCode {
    Text(String),
    Number(u32),
}

impl PhoneInfo {
    /// The number, if it has the right form and is this app's. A number of another app is `Foreign` only if its form is
    /// right.
    pub fn of(self, appid: &AppId) -> Result<Phone, OpenDataDefect> {
        let ours = self.watermark.check(appid);
        let phone = Phone::try_from(self)?;
        ours.map(|()| phone)
    }
}

impl TryFrom<PhoneInfo> for Phone {
    type Error = OpenDataDefect;

    /// Strict, because a forger must get all of it right: 5 to 15 digits, and both numbers are the same one.
    fn try_from(info: PhoneInfo) -> Result<Self, OpenDataDefect> {
        let country_code = match info.country_code {
            CountryCode::Text(text) => text,
            CountryCode::Number(number) => number.to_string(),
        };
        let digits = |text: &str, least, most| {
            (least..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        let number = info.phone_number.strip_prefix('+').unwrap_or(&info.phone_number);
        let pure = info.pure_phone_number.strip_prefix('+').unwrap_or(&info.pure_phone_number);
        let code = country_code.strip_prefix('+').unwrap_or(&country_code);
        let same = number == pure || number.strip_prefix(code) == Some(pure);
        if digits(number, 5, 15) && digits(pure, 5, 15) && digits(code, 1, 4) && same {
            Ok(Self {
                phone_number: info.phone_number,
                pure_phone_number: info.pure_phone_number,
                country_code: code.to_owned(),
            })
        } else {
            Err(OpenDataDefect::Unreadable)
        }
    }
}

/// The phone number in the data of the phone-number button.
pub fn phone(data: &Ciphertext, keys: &SessionKeys, appid: &AppId) -> Result<Phone, OpenDataDefect> {
    open::<PhoneInfo>(data, keys)?.of(appid)
}

/// The members of what `wx.getUserInfo` gives that are checked here.
#[derive(Deserialize)]
struct ProfileInfo {
    #[serde(rename = "nickName")]
    _nick_name: String,
    #[serde(rename = "openId", default)]
    openid: Option<String>,
    #[serde(rename = "unionId", default)]
    unionid: Option<String>,
    #[serde(deserialize_with = "json::object")]
    watermark: Watermark,
}

/// A user's profile, verified, without the watermark. Personal.
#[derive(Clone, Serialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema), schemars(extend(
    "required" = ["nickName"],
    "properties" = { "nickName": { "type": "string" }, "openId": { "type": "string" }, "unionId": { "type": "string" } },
)))]
#[serde(transparent)]
pub struct Profile {
    members: Map<String, Value>,
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

/// The profile that `wx.getUserInfo` gave, of this app and this user. A wrong signature counts as unreadable data.
pub fn profile(
    given: &SignedProfile<'_>,
    keys: &SessionKeys,
    appid: &AppId,
    openid: &OpenId,
) -> Result<Profile, OpenDataDefect> {
    let signed = given.signed.is_none_or(|(raw_data, text)| signature::of_raw_data(raw_data, text, keys));
    let mut members: Map<String, Value> = open(given.data, keys)?;
    let info = ProfileInfo::deserialize(Value::Object(members.clone())).map_err(|_| OpenDataDefect::Unreadable)?;
    if !signed {
        return Err(OpenDataDefect::Unreadable);
    }
    info.watermark.check(appid)?;
    if info.openid.as_ref().is_some_and(|named| named != openid.expose()) {
        return Err(OpenDataDefect::Foreign);
    }
    if info.openid.is_none() && info.unionid.is_some() {
        // WeChat gives both or neither. The data has no MAC, and a forged unionid would be somebody else's identity.
        return Err(OpenDataDefect::Unreadable);
    }
    let unionid = info.unionid.filter(|text| !text.is_empty()).map(|text| UnionId::parse(&text)).transpose();
    members.remove("watermark");
    Ok(Profile { members, unionid: unionid.map_err(|_| OpenDataDefect::Unreadable)? })
}

/// The test vectors of a kind.
#[cfg(test)]
pub(super) fn vectors(kind: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(include_str!("../../../tests/fixtures/wechat-decrypt.json")).unwrap();
    file["vectors"].as_array().unwrap().iter().filter(|vector| vector["kind"] == kind).cloned().collect()
}

#[cfg(test)]
mod tests;

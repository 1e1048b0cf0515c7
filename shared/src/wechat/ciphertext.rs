//! AES-128-CBC with PKCS#7 padding, as WeChat encrypts a user's data: without a MAC, so padding is checked in constant time,
//! and wrong padding costs what right padding costs.

use aes::Aes128;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use cbc::cipher::{BlockModeDecrypt as _, KeyIvInit as _, block_padding::NoPadding};
use serde::Deserialize;
use subtle::{Choice, ConstantTimeEq as _, ConstantTimeGreater as _, ConstantTimeLess as _};
use zeroize::Zeroizing;

use super::signature;
use crate::secret_text::SessionKey;

pub(super) const BLOCK: usize = 16;

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
pub struct EncryptedData(pub(super) Vec<u8>);

impl TryFrom<String> for EncryptedData {
    type Error = FormDefect;

    fn try_from(text: String) -> Result<Self, FormDefect> {
        let blocks = STANDARD.decode(text).map_err(|_| FormDefect)?;
        if blocks.is_empty() || blocks.len() % BLOCK != 0 { Err(FormDefect) } else { Ok(Self(blocks)) }
    }
}

impl EncryptedData {
    /// By what WeChat finds this data again.
    #[must_use]
    pub fn hash(&self) -> DataHash {
        // The standard alphabet with padding has one text for these bytes: the one that WeChat wrote.
        DataHash(signature::hash_of_data(&STANDARD.encode(&self.0)))
    }
}

/// The hash of encrypted data, as `checkencryptedmsg` takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataHash(String);

impl DataHash {
    /// Lower-case hex.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `iv`: 16 bytes, in standard base64 with padding.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Iv(pub(super) [u8; BLOCK]);

impl TryFrom<String> for Iv {
    type Error = FormDefect;

    fn try_from(text: String) -> Result<Self, FormDefect> {
        STANDARD.decode(text).ok().and_then(|iv| iv.try_into().ok()).map(Self).ok_or(FormDefect)
    }
}

/// What WeChat encrypted for a user, as `wx.getWeRunData`, `wx.getGroupEnterInfo` and others give it. Its form is right; no key
/// has been used yet.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema), schemars(rename = "OpenDataRequest"))]
pub struct Ciphertext {
    /// The blocks, in base64.
    #[serde(rename = "encryptedData")]
    pub encrypted_data: EncryptedData,
    /// Their initialization vector, in base64.
    pub iv: Iv,
}

impl Ciphertext {
    /// Reads both values.
    pub fn parse(encrypted_data: &str, iv: &str) -> Result<Self, FormDefect> {
        Ok(Self { encrypted_data: encrypted_data.to_owned().try_into()?, iv: iv.to_owned().try_into()? })
    }
}

/// The text without its padding, and whether the padding was right; with wrong padding, all of it.
pub(super) fn plaintext(data: &Ciphertext, aes_key: &[u8; BLOCK]) -> Option<(Zeroizing<Vec<u8>>, Choice)> {
    let mut text = Zeroizing::new(data.encrypted_data.0.clone());
    // Whole blocks without padding: there is nothing to refuse.
    cbc::Decryptor::<Aes128>::new(aes_key.into(), (&data.iv.0).into()).decrypt_padded::<NoPadding>(&mut text).ok()?;
    let (length, padded) = unpad(&text);
    text.truncate(length);
    Some((text, padded))
}

/// The length without PKCS#7 padding, and whether the padding is right, in time that does not depend on it. With wrong
/// padding the length is the whole, so that the same work follows.
pub(super) fn unpad(text: &[u8]) -> (usize, Choice) {
    let last = text.last().copied().unwrap_or(0);
    let mut right = last.ct_gt(&0) & !last.ct_gt(&16);
    for (from_end, byte) in (0_u8..16).zip(text.iter().rev()) {
        right &= !from_end.ct_lt(&last) | byte.ct_eq(&last);
    }
    let padding = usize::from(last) * usize::from(right.unwrap_u8());
    (text.len().saturating_sub(padding), right)
}

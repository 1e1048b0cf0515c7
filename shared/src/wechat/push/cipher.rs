//! What is encrypted between WeChat and the server of a mini program: AES-256-CBC, whose IV is the first half of the key, padded to
//! blocks of 32. Inside are 16 random bytes, the length, the message, and the appid.

use std::fmt;

use aes::Aes256;
use base64::{
    Engine as _,
    alphabet::STANDARD as ALPHABET,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use cbc::cipher::{BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _, block_padding::NoPadding};
use zeroize::Zeroizing;

use crate::{
    entropy::{self, Entropy},
    ids::AppId,
};

/// The random bytes before the message, and the four of its length.
const PREFIX: usize = 16 + 4;

/// What an encrypted message is padded to.
const BLOCK: usize = 32;

/// The 32 bytes that an `EncodingAESKey` encodes.
#[derive(Clone)]
pub(super) struct AesKey(Zeroizing<[u8; 32]>);

impl fmt::Debug for AesKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("AesKey([REDACTED])")
    }
}

impl AesKey {
    pub(super) fn parse(text: &str) -> Option<Self> {
        // WeChat's console takes any 43 characters: the two bits beyond the 32 bytes may be set.
        let lax = GeneralPurposeConfig::new()
            .with_decode_allow_trailing_bits(true)
            .with_decode_padding_mode(DecodePaddingMode::RequireNone);
        let bytes = Zeroizing::new(GeneralPurpose::new(&ALPHABET, lax).decode(text).ok()?);
        bytes.as_slice().try_into().ok().map(|key| Self(Zeroizing::new(key)))
    }

    /// The message for this mini program.
    pub(super) fn open(&self, encrypted: &str, appid: &AppId) -> Option<Zeroizing<Vec<u8>>> {
        let Self(key) = self;
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
        (to == appid.as_str().as_bytes()).then(|| Zeroizing::new(message.to_vec()))
    }

    /// An answer of this mini program.
    pub(super) fn seal(&self, answer: &str, appid: &AppId, entropy: &dyn Entropy) -> Option<String> {
        let Self(key) = self;
        let size = u32::try_from(answer.len()).ok()?.to_be_bytes();
        let random = entropy::bytes::<16>(entropy);
        let mut text = Zeroizing::new([&random[..], &size, answer.as_bytes(), appid.as_str().as_bytes()].concat());
        let padding = BLOCK - text.len() % BLOCK;
        let length = text.len() + padding;
        text.resize(length, u8::try_from(padding).ok()?);
        let iv = key.first_chunk::<16>()?;
        let encryptor = cbc::Encryptor::<Aes256>::new((&**key).into(), iv.into());
        Some(STANDARD.encode(encryptor.encrypt_padded::<NoPadding>(&mut text, length).ok()?))
    }
}

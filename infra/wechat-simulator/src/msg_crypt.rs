//! How a push is encrypted: AES-256-CBC over 16 random bytes, the length of the message, the message and the appid.
//!
//! The key comes from the console and not from a login, and PKCS#7 pads to blocks of 32, not to AES's own of 16.

use aes::Aes256;
use aes::cipher::block_padding::NoPadding;
use aes::cipher::{BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD, STANDARD};

const BLOCK: usize = 32;

/// 43 characters have two bits more than 32 bytes, and the console accepts any value of those two.
const ENCODING_AES_KEY: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, NO_PAD.with_decode_allow_trailing_bits(true));

/// The field `Encrypt`; nothing if the key does not decode to 32 bytes.
pub(crate) fn encrypt(encoding_aes_key: &str, random: [u8; 16], message: &str, appid: &str) -> Option<String> {
    let key = ENCODING_AES_KEY.decode(encoding_aes_key).ok()?;
    let length = u32::try_from(message.len()).ok()?.to_be_bytes();
    let mut text = [&random[..], &length[..], message.as_bytes(), appid.as_bytes()].concat();
    let padding = BLOCK - text.len() % BLOCK;
    text.resize(text.len() + padding, u8::try_from(padding).ok()?);
    let cipher = cbc::Encryptor::<Aes256>::new_from_slices(&key, key.get(..16)?).ok()?;
    Some(STANDARD.encode(cipher.encrypt_padded_vec::<NoPadding>(&text)))
}

/// The message of an answer that the server of this mini program encrypted.
pub(crate) fn decrypt(encoding_aes_key: &str, encrypted: &str, appid: &str) -> Option<String> {
    let key = ENCODING_AES_KEY.decode(encoding_aes_key).ok()?;
    let cipher = cbc::Decryptor::<Aes256>::new_from_slices(&key, key.get(..16)?).ok()?;
    let text = cipher.decrypt_padded_vec::<NoPadding>(&STANDARD.decode(encrypted).ok()?).ok()?;
    let padding = usize::from(*text.last()?);
    let text =
        text.get(20..text.len().checked_sub(padding).filter(|_| (1..=BLOCK).contains(&padding))?).zip(text.get(16..20));
    let (text, length) = text?;
    let length = usize::try_from(u32::from_be_bytes(length.try_into().ok()?)).ok()?;
    let (message, to) = text.split_at_checked(length)?;
    (to == appid.as_bytes()).then(|| String::from_utf8(message.to_vec()).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature;
    use serde_json::Value;

    #[test]
    fn messages_are_encrypted_and_signed_as_in_the_vectors() {
        let file: Value = serde_json::from_str(include_str!("../../../tests/fixtures/wechat-push.json")).unwrap();
        let mut checked = 0;

        for vector in file["vectors"].as_array().unwrap().iter().filter(|vector| vector.get("random").is_some()) {
            let text = |name: &str| vector[name].as_str().unwrap();
            let random = u128::from_str_radix(text("random"), 16).unwrap().to_be_bytes();

            let encrypted = encrypt(text("encoding_aes_key"), random, text("message"), text("appid")).unwrap();

            let query = |name: &str| vector["query"][name].as_str().unwrap();
            let signature = signature::of_push([text("token"), query("timestamp"), query("nonce"), &encrypted]);
            assert!(text("body").contains(&encrypted), "{}", vector["id"]);
            assert_eq!(signature, query("msg_signature"), "{}", vector["id"]);
            let opened = decrypt(text("encoding_aes_key"), &encrypted, text("appid"));
            assert_eq!(opened.as_deref(), Some(text("message")), "{}", vector["id"]);
            assert_eq!(decrypt(text("encoding_aes_key"), &encrypted, "wx1"), None);
            checked += 1;
        }

        assert!(checked > 10);
    }

    #[test]
    fn a_key_that_is_not_thirty_two_bytes_encrypts_nothing() {
        for key in ["", "AAAA", "not base64", "AAAAAAAAAAAAAAAAAAAAAA"] {
            assert_eq!(encrypt(key, [0; 16], "{}", "wx1"), None);
        }
    }
}

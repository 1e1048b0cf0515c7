//! WeChat's signatures, each over its own text: `rawData`, a user's state, a payment, a push.

use aws_lc_rs::{
    digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest},
    hmac,
};
use subtle::{Choice, ConstantTimeEq as _};

use crate::secret_text::{AppKey, SessionKey, SessionKeys};

/// Whether `signature` is the lower-case hex of SHA-1 over the exact `rawData` and the text of either key.
///
/// WeChat prescribes SHA-1. The signature covers nickname and avatar, which identify nobody.
#[must_use]
pub fn of_raw_data(raw_data: &str, signature: &str, keys: &SessionKeys) -> bool {
    let [current, previous] = keys.both().map(|key| {
        let text = key.map_or("", SessionKey::expose);
        Choice::from(u8::from(key.is_some())) & sha1(&[raw_data, text]).as_bytes().ct_eq(signature.as_bytes())
    });
    bool::from(current | previous)
}

/// The signature of a user's state over a message (empty for a GET): HMAC-SHA256 in lower-case hex, whose key is the
/// base64 text of the `session_key` itself.
#[must_use]
pub fn of_user_state(key: &SessionKey, message: &[u8]) -> String {
    hmac_sha256(key.expose(), &[message])
}

/// The signature of a virtual payment over a message: the same under the AppKey, with what the call is named before it.
#[must_use]
pub fn of_payment(key: &AppKey, uri: &str, message: &[u8]) -> String {
    hmac_sha256(key.expose(), &[uri.as_bytes(), b"&", message])
}

fn hmac_sha256(key: &str, texts: &[&[u8]]) -> String {
    let mut signing = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()));
    for text in texts {
        signing.update(text);
    }
    hex(signing.sign().as_ref())
}

/// What `checkencryptedmsg` wants to know encrypted data by: the lower-case hex of SHA-256.
///
/// WeChat does not say whether it hashes the base64 text or the bytes; the one SDK that hashes for its caller takes the text.
pub(super) fn hash_of_data(base64: &str) -> String {
    hex(digest(&SHA256, base64.as_bytes()).as_ref())
}

/// Whether `signature` is the lower-case hex of SHA-1 over these texts in the order of their bytes: WeChat's signature
/// of a push, in which one text is a secret.
#[must_use]
pub fn of_push(texts: Vec<&str>, signature: &str) -> bool {
    bool::from(push(texts).as_bytes().ct_eq(signature.as_bytes()))
}

/// That signature.
#[must_use]
pub fn push(mut texts: Vec<&str>) -> String {
    texts.sort_unstable();
    sha1(&texts)
}

fn sha1(texts: &[&str]) -> String {
    hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, texts.concat().as_bytes()).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wechat::opendata::vectors;

    fn keys(current: Option<&str>, previous: Option<&str>) -> SessionKeys {
        SessionKeys { current: current.map(SessionKey::new), previous: previous.map(SessionKey::new) }
    }

    #[test]
    fn every_raw_signature_verifies_or_does_not() {
        for vector in vectors("raw_signature") {
            let given = |member: &str| vector[member].as_str().unwrap();
            let ok = vector["expect"]["result"] == "ok";
            for keys in [keys(Some(given("session_key")), None), keys(None, Some(given("session_key")))] {
                assert_eq!(of_raw_data(given("raw_data"), given("signature"), &keys), ok, "{}", vector["id"]);
            }
        }
    }

    #[test]
    fn no_key_signs_nothing() {
        assert!(!of_raw_data("{}", &sha1(&["{}"]), &keys(None, None)));
    }

    #[test]
    fn a_signature_by_either_key_or_by_both_is_good() {
        let signature = sha1(&["{}", "k"]);
        for (current, previous, good) in [
            (Some("k"), None, true),
            (Some("k"), Some("other"), true),
            (Some("other"), Some("k"), true),
            (Some("k"), Some("k"), true),
            (Some("other"), Some("other"), false),
        ] {
            assert_eq!(of_raw_data("{}", &signature, &keys(current, previous)), good, "{current:?} {previous:?}");
        }
    }

    #[test]
    fn every_signature_of_a_users_state_is_wechats() {
        for vector in vectors("session_signature") {
            let given = |member: &str| vector[member].as_str().unwrap();
            let signature = of_user_state(&SessionKey::new(given("session_key")), given("message").as_bytes());

            assert_eq!(signature, given("signature"), "{}", vector["id"]);
        }
    }
}

//! What follows from a name: a user's openid in one mini program, the phone number until another is set, an app's ids.
//!
//! All are functions of their arguments alone, so a database written before a restart still fits.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::signature::lower_hex;

/// 28 characters of `[A-Za-z0-9_-]`: `o`, five that the app's openids have in common, 22 of the user.
pub(crate) fn openid(appid: &str, user: &str) -> String {
    format!("{}{}", prefix(appid), &text(&["openid", appid, user])[..22])
}

/// Whether the app could have given out this openid, also to a user whom this process has not met.
pub(crate) fn is_openid_of(appid: &str, openid: &str) -> bool {
    openid.len() == 28 && openid.starts_with(&prefix(appid))
}

/// The app's name in pushes: `gh_` and twelve hex digits.
pub(crate) fn original_id(appid: &str) -> String {
    format!("gh_{}", lower_hex(&sha256(&["original id", appid]).as_ref()[..6]))
}

/// The sender of an app's events: the platform itself, which has an openid in that app.
pub(crate) fn push_service(appid: &str) -> String {
    format!("{}{}", prefix(appid), &text(&["push service", appid])[..22])
}

/// A mainland mobile number, 11 digits.
pub(crate) fn default_number(user: &str) -> String {
    let hash = sha256(&["number", user]);
    let digits = hash.as_ref().iter().fold(0_u64, |number, byte| (number * 256 + u64::from(*byte)) % 100_000_000);
    format!("138{digits:08}")
}

/// What tells that a simulator made a code from these bytes.
pub(crate) fn mark<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(b"code of a simulator");
    hash.update(bytes);
    let hash = hash.finish();
    std::array::from_fn(|at| hash.as_ref().get(at).copied().unwrap_or_default())
}

fn prefix(appid: &str) -> String {
    format!("o{}", &text(&["app", appid])[..5])
}

fn text(parts: &[&str]) -> String {
    URL_SAFE_NO_PAD.encode(sha256(parts))
}

/// Every part is followed by a separator: ("a", "bc") and ("ab", "c") are not the same user.
fn sha256(parts: &[&str]) -> digest::Digest {
    let mut hash = digest::Context::new(&digest::SHA256);
    for part in parts {
        hash.update(part.as_bytes());
        hash.update(&[0xff]);
    }
    hash.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_openid_looks_like_wechats_and_is_stable_per_app_and_user() {
        let ada = openid("wx1", "ada");

        assert_eq!(ada.len(), 28);
        assert!(ada.starts_with('o'));
        assert!(ada.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'));
        assert_eq!(ada, openid("wx1", "ada"));
        assert_ne!(ada, openid("wx1", "bob"));
        assert_ne!(ada, openid("wx2", "ada"));
    }

    #[test]
    fn openids_of_other_apps_are_told_apart() {
        assert!(is_openid_of("wx1", &openid("wx1", "ada")));
        assert!(!is_openid_of("wx1", &openid("wx2", "ada")));
        assert!(!is_openid_of("wx1", "nobody"));
    }

    #[test]
    fn the_names_in_a_push_look_like_wechats() {
        let id = original_id("wx1");

        assert!(id.len() == 15 && id.starts_with("gh_") && id[3..].bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert!(is_openid_of("wx1", &push_service("wx1")));
        assert_ne!((original_id("wx2"), push_service("wx2")), (id, push_service("wx1")));
    }

    #[test]
    fn a_default_number_has_eleven_digits() {
        let number = default_number("ada");

        assert!(number.len() == 11 && number.starts_with("138") && number.bytes().all(|byte| byte.is_ascii_digit()));
        assert_eq!(number, default_number("ada"));
    }
}

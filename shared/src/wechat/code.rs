//! What a code of WeChat looks like: letters, digits, `-` and `_`.
//!
//! WeChat does not document it; all codes that were ever seen, of `wx.login` and of the phone button, are of these characters.
//! No other text is sent: a gateway in front of WeChat may cut off the connection for a character that it takes for an
//! attack, which looks like a failure of WeChat. Should WeChat ever make other codes, the owner has to see it, so the first
//! text of another form is a warning in the log of each process, without the text.

use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Deserializer, de};
use zeroize::Zeroizing;

use crate::{
    request_log,
    secret_text::{LoginCode, PhoneCode},
};

/// The longest seen has 64 characters.
const LONGEST: usize = 512;

/// The metric of the first code of another form.
const WARNING: &str = "other_code_form";

static WARNED: AtomicBool = AtomicBool::new(false);

/// Why a text is no code of WeChat.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("not 1 to 512 letters, digits, hyphens and underscores")]
struct OtherForm;

fn check(text: &str) -> Result<&str, OtherForm> {
    let fits = (1..=LONGEST).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if fits { Ok(text) } else { Err(OtherForm) }
}

fn read<'de, D: Deserializer<'de>>(text: D) -> Result<Zeroizing<String>, D::Error> {
    let text = Zeroizing::new(String::deserialize(text)?);
    if let Err(other) = check(&text) {
        if !WARNED.swap(true, Ordering::Relaxed) {
            request_log::record(|fields| fields.warning = Some(WARNING));
        }
        return Err(de::Error::custom(other));
    }
    Ok(text)
}

impl<'de> Deserialize<'de> for LoginCode {
    fn deserialize<D: Deserializer<'de>>(text: D) -> Result<Self, D::Error> {
        read(text).map(|text| Self::new(text.as_str()))
    }
}

impl<'de> Deserialize<'de> for PhoneCode {
    fn deserialize<D: Deserializer<'de>>(text: D) -> Result<Self, D::Error> {
        read(text).map(|text| Self::new(text.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn is_read(code: &str) -> bool {
        let (login, phone) =
            (serde_json::from_value::<LoginCode>(json!(code)), serde_json::from_value::<PhoneCode>(json!(code)));
        assert_eq!(login.is_ok(), phone.is_ok(), "{code}");
        login.is_ok_and(|login| login.expose() == code)
    }

    #[test]
    fn a_code_is_of_letters_digits_hyphens_and_underscores() {
        for good in
            ["0b3-Xy_9", "-", &"x".repeat(512), "e31968a7f94cc5ee25fafc2aef2773f0bb8c3937b22520eb8ee345274d00c144"]
        {
            assert!(is_read(good), "{good}");
        }
        for bad in
            ["", "a b", "a\n", "代码", &"x".repeat(513), "the code is a mock one", "a<b", "a=", "a.b", "a%20", "a&b"]
        {
            assert!(!is_read(bad), "{bad:?}");
        }
    }

    #[tokio::test]
    async fn of_texts_of_another_form_the_first_is_a_warning() {
        let refused = async || {
            let (read, fields) = request_log::collect(async { serde_json::from_value::<LoginCode>(json!("<")) }).await;
            assert!(read.is_err());
            fields.warning
        };
        // Another test may have been first.
        WARNED.store(false, Ordering::Relaxed);

        let warnings = [refused().await, refused().await, refused().await];

        assert!(warnings.iter().flatten().count() <= 1, "{warnings:?}");
        assert_eq!(request_log::collect(async { is_read("good") }).await.1.warning, None);
        assert!(serde_json::from_value::<LoginCode>(Value::Null).is_err());
    }
}

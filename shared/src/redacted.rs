//! Texts that must not be seen: no `Display`, no `Serialize`, redacted `Debug`, zeroed on drop.
//!
//! It limits exposure and no more: copies in the buffers of TLS or of a JSON parser are not undone.

use secrecy::{ExposeSecret, SecretString};

/// Declares a secret text. `expose` is the one way to its value, so every use can be found by that word.
macro_rules! secret_text {
    ($($(#[$meta:meta])* $name:ident;)*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug)]
        pub struct $name(SecretString);

        impl $name {
            /// Takes the value in.
            #[must_use]
            pub fn new(value: impl Into<String>) -> Self {
                Self(SecretString::from(value.into()))
            }

            /// The value itself; never for a log, an error or an answer that is not meant to carry it.
            #[must_use]
            pub fn expose(&self) -> &str {
                self.0.expose_secret()
            }
        }
    )*};
}

secret_text! {
    /// A mini program's AppSecret.
    AppSecret;
    /// WeChat's `session_key`: the base64 text of a 16-byte AES key.
    SessionKey;
    /// What `wx.login` gave: valid once, for five minutes.
    LoginCode;
    /// What the phone-number button gave: valid once, for five minutes; not a login code.
    PhoneCode;
    /// WeChat's own `access_token` for its server API.
    PlatformToken;
    /// The token that signs WeChat's pushes.
    PushToken;
    /// One of our access tokens, signed or as it came in.
    AccessToken;
    /// One of our refresh tokens, encoded or as it came in.
    RefreshText;
    /// The `Idempotency-Key` of a login.
    IdempotencyKey;
}

/// Why a code from WeChat, or a key from the client, was refused before anybody was asked.
#[derive(Debug, thiserror::Error)]
#[error("not 1 to {longest} printable ASCII characters")]
pub struct NotPrintable {
    longest: usize,
}

/// The inner form of WeChat's codes is not documented; the longest seen have 32 characters.
const LONGEST_CODE: usize = 512;

fn printable(text: &str, shortest: usize, longest: usize) -> Result<&str, NotPrintable> {
    let fits = (shortest..=longest).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if fits { Ok(text) } else { Err(NotPrintable { longest }) }
}

impl LoginCode {
    /// Takes 1 to 512 printable characters, so that nonsense never costs a call to WeChat.
    pub fn parse(text: &str) -> Result<Self, NotPrintable> {
        printable(text, 1, LONGEST_CODE).map(Self::new)
    }
}

impl PhoneCode {
    /// Takes 1 to 512 printable characters, so that nonsense never costs a call to WeChat.
    pub fn parse(text: &str) -> Result<Self, NotPrintable> {
        printable(text, 1, LONGEST_CODE).map(Self::new)
    }
}

impl AccessToken {
    /// Takes the token out of an `Authorization` header's value (RFC 6750 section 2.1).
    #[must_use]
    pub fn from_authorization(value: &str) -> Option<Self> {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| Self::new(token.trim_start()))
    }
}

impl IdempotencyKey {
    /// Takes 16 to 128 printable characters (draft-ietf-httpapi-idempotency-key-header leaves the form to us).
    pub fn parse(text: &str) -> Result<Self, NotPrintable> {
        printable(text, 16, 128).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Display;

    static_assertions::assert_not_impl_any!(AppSecret: Display, serde::Serialize);
    static_assertions::assert_not_impl_any!(SessionKey: Display, serde::Serialize);
    static_assertions::assert_not_impl_any!(LoginCode: Display, serde::Serialize);
    static_assertions::assert_not_impl_any!(PhoneCode: Display, serde::Serialize);
    static_assertions::assert_not_impl_any!(PlatformToken: Display, serde::Serialize);
    static_assertions::assert_not_impl_any!(PushToken: Display, serde::Serialize);
    static_assertions::assert_not_impl_any!(AccessToken: Display, serde::Serialize);
    static_assertions::assert_not_impl_any!(RefreshText: Display, serde::Serialize);
    static_assertions::assert_not_impl_any!(IdempotencyKey: Display, serde::Serialize);

    #[test]
    fn debug_of_a_secret_does_not_show_it() {
        assert!(!format!("{:?}", AppSecret::new("MARKER")).contains("MARKER"));
    }

    #[test]
    fn a_code_is_printable_and_bounded() {
        assert!(LoginCode::parse("0b3-Xy_9").is_ok());
        for bad in ["", "a b", "a\n", "代码", &"x".repeat(513)] {
            assert!(LoginCode::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_idempotency_key_has_16_to_128_characters() {
        assert!(IdempotencyKey::parse(&"k".repeat(16)).is_ok());
        assert!(IdempotencyKey::parse(&"k".repeat(128)).is_ok());
        assert!(IdempotencyKey::parse(&"k".repeat(15)).is_err());
        assert!(IdempotencyKey::parse(&"k".repeat(129)).is_err());
    }
}

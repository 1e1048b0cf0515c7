//! Secret texts: no `Display`, no `Serialize`, redacted `Debug`, zeroed on drop.
//!
//! This limits where a secret can appear. It does not erase copies in the buffers of TLS or of a JSON parser.

use secrecy::{ExposeSecret, SecretString};

/// Declares secret texts. `expose` is the one way to the value, so that a search for that word finds every use.
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

            /// The value itself; never for a log, an error or a response that is not meant to carry it.
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
    /// The AppKey of virtual payment, of one environment.
    AppKey;
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
    RefreshTokenText;
    /// The `Idempotency-Key` of a login.
    IdempotencyKey;
    /// What the proxy in front of the API adds to each request to show that it is the one.
    ProxyProof;
}

/// A value that somebody copied from a page, without what came along at its ends: blanks, line breaks, invisible characters.
/// What WeChat's console shows is printable ASCII.
#[must_use]
pub fn trimmed(pasted: &str) -> &str {
    pasted.trim_matches(|at: char| !at.is_ascii_graphic())
}

/// Why a text is no `Idempotency-Key`.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("not 16 to 128 printable ASCII characters")]
pub struct NotPrintable;

impl IdempotencyKey {
    /// Takes 16 to 128 printable characters (draft-ietf-httpapi-idempotency-key-header leaves the form to us).
    pub fn parse(text: &str) -> Result<Self, NotPrintable> {
        let fits = (16..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits { Ok(Self::new(text)) } else { Err(NotPrintable) }
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

/// The `session_key`s under which a user's data may be signed or encrypted.
#[derive(Clone, Debug, Default)]
pub struct SessionKeys {
    /// The key of the last login.
    pub current: Option<SessionKey>,
    /// The one before it, for a while.
    pub previous: Option<SessionKey>,
}

impl SessionKeys {
    /// Both, in the order in which they are tried; always two, so that a missing one costs what a wrong one costs.
    pub(crate) fn both(&self) -> [Option<&SessionKey>; 2] {
        [self.current.as_ref(), self.previous.as_ref()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Display;

    static_assertions::assert_not_impl_any!(AppSecret: Display, serde::Serialize);
    static_assertions::assert_not_impl_any!(AppKey: Display, serde::Serialize);
    static_assertions::assert_not_impl_any!(SessionKey: Display, serde::Serialize);
    static_assertions::assert_not_impl_any!(LoginCode: Display, serde::Serialize);
    static_assertions::assert_not_impl_any!(PhoneCode: Display, serde::Serialize);
    static_assertions::assert_not_impl_any!(PlatformToken: Display, serde::Serialize);
    static_assertions::assert_not_impl_any!(PushToken: Display, serde::Serialize);
    static_assertions::assert_not_impl_any!(AccessToken: Display, serde::Serialize);
    static_assertions::assert_not_impl_any!(RefreshTokenText: Display, serde::Serialize);
    static_assertions::assert_not_impl_any!(IdempotencyKey: Display, serde::Serialize);
    static_assertions::assert_not_impl_any!(ProxyProof: Display, serde::Serialize);

    #[test]
    fn debug_of_a_secret_does_not_show_it() {
        assert!(!format!("{:?}", AppSecret::new("MARKER")).contains("MARKER"));
    }

    #[test]
    fn an_idempotency_key_has_16_to_128_characters() {
        assert!(IdempotencyKey::parse(&"k".repeat(16)).is_ok());
        assert!(IdempotencyKey::parse(&"k".repeat(128)).is_ok());
        assert!(IdempotencyKey::parse(&"k".repeat(15)).is_err());
        assert!(IdempotencyKey::parse(&"k".repeat(129)).is_err());
    }
}

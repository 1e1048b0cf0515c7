//! Claims: what a single-use code gave, so that the same request again gets the same answer.
//!
//! The table never holds a code, only its hash; what a claim says is sealed.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{KeepClaim, StoreError};
use crate::{
    clock::{Clock, Secs},
    ids::AppId,
    redacted::{LoginCode, PhoneCode},
};

/// How long a login may be repeated.
pub const LOGIN: Secs = 120;

/// How long a phone number may be asked for again: as long as its code lives at WeChat.
pub const PHONE: Secs = 5 * 60;

/// Another request with the same code may be about to write the claim: how long to wait before each look.
pub const LOOKS: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(150), Duration::from_millis(300), Duration::from_millis(600)];

/// A claim as the table holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The hash of the code.
    pub code: CodeHash,
    /// The answer, sealed.
    pub sealed: Vec<u8>,
    /// It counts until here.
    pub until: Secs,
}

/// A code's SHA-256, over its kind and appid too: what is stored of a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeHash(String);

impl CodeHash {
    /// The hash of a login code.
    #[must_use]
    pub fn of_login(appid: &AppId, code: &LoginCode) -> Self {
        Self::of("login", appid, code.expose())
    }

    /// The hash of a phone code.
    #[must_use]
    pub fn of_phone(appid: &AppId, code: &PhoneCode) -> Self {
        Self::of("phone", appid, code.expose())
    }

    fn of(kind: &str, appid: &AppId, code: &str) -> Self {
        let text = format!("wxauth|{kind} code|{appid}|{code}");
        Self(URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes())))
    }

    /// The hash as the table holds it.
    #[must_use]
    pub fn stored(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// base64url without padding.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The claim of a code that WeChat says was used, if it still counts.
pub async fn wait_for(claims: &dyn KeepClaim, code: &CodeHash, clock: &dyn Clock) -> Result<Option<Claim>, StoreError> {
    for pause in LOOKS {
        tokio::time::sleep(pause).await;
        if let Some(claim) = claims.get(code).await? {
            return Ok(Some(claim).filter(|claim| claim.until > clock.now()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_text_as_another_kind_or_of_another_app_has_another_hash() {
        let (one, two) = (AppId::parse("wx1").unwrap(), AppId::parse("wx2").unwrap());
        let login = CodeHash::of_login(&one, &LoginCode::new("c"));

        assert_ne!(login, CodeHash::of_login(&two, &LoginCode::new("c")));
        assert_ne!(login, CodeHash::of_phone(&one, &PhoneCode::new("c")));
    }
}

//! Claims: what a single-use code gave, so that the same request again gets the same answer.
//!
//! The table never holds a code, only its hash; what a claim says is sealed.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{KeepClaim, StoreError, UserRef};
use crate::{
    clock::{Clock, Secs},
    ids::AppId,
    redacted::{LoginCode, PhoneCode},
};

/// How long a login may be repeated.
pub const LOGIN: Secs = 120;

/// How long a phone number may be asked for again: as long as its code lives at WeChat.
pub const PHONE: Secs = 300;

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

    /// The hash of a phone code that this user sent: whoever sends another's code touches nothing of the other's.
    #[must_use]
    pub fn of_phone(user: &UserRef, code: &PhoneCode) -> Self {
        // An openid has no blank, so no two pairs of openid and code give the same text.
        Self::of("phone", &user.appid, &format!("{} {}", user.openid.expose(), code.expose()))
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
    use crate::{ids::OpenId, session::memory::MemoryTable};

    #[test]
    fn the_same_text_as_another_kind_or_of_another_app_or_user_has_another_hash() {
        let user = |appid: &str, openid: &str| UserRef {
            appid: AppId::parse(appid).unwrap(),
            openid: OpenId::parse(openid).unwrap(),
        };
        let (one, two) = (user("wx1", "oA"), user("wx2", "oA"));
        let login = |user: &UserRef| CodeHash::of_login(&user.appid, &LoginCode::new("c"));
        let phone = |user: &UserRef| CodeHash::of_phone(user, &PhoneCode::new("c"));

        assert_ne!(login(&one), login(&two));
        assert_ne!(login(&one), phone(&one));
        assert_ne!(phone(&one), phone(&two));
        assert_ne!(phone(&one), phone(&user("wx1", "oB")));
    }

    #[test]
    fn what_is_stored_of_a_code_is_its_sha_256() {
        // printf %s 'wxauth|login code|wx1|c' | openssl dgst -sha256 -binary | basenc --base64url
        let expected = "i0kYnINUKIBYyogRMG3xqARxuN64a58a7faQ6mm1rBY";

        let hash = CodeHash::of_login(&AppId::parse("wx1").unwrap(), &LoginCode::new("c"));

        assert_eq!(hash.as_str(), expected);
        assert_eq!(CodeHash::stored(expected), hash);
    }

    #[tokio::test]
    async fn a_claim_is_found_until_its_time_is_over() {
        struct At(Secs);
        impl Clock for At {
            fn now(&self) -> Secs {
                self.0
            }
        }
        let (table, code) = (MemoryTable::default(), CodeHash::stored("hash"));
        let claim = Claim { code: code.clone(), sealed: vec![1], until: 100 };
        table.put(&claim).await.unwrap();

        assert_eq!(wait_for(&table, &code, &At(98)).await.unwrap(), Some(claim));
        assert_eq!(wait_for(&table, &code, &At(100)).await.unwrap(), None);
        assert_eq!(wait_for(&table, &code, &At(102)).await.unwrap(), None);
    }
}

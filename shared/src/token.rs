//! Tokens: what we sign, what we MAC, and the keys for both. Nothing here waits or stores.

pub mod access;
pub mod jwks;
pub mod keyring;
pub mod refresh;

use serde::{Deserialize, Serialize};
use zeroize::ZeroizeOnDrop;

use crate::{
    clock::Secs,
    redacted::{AccessToken, RefreshText},
    session::Session,
};

/// A key, or a part of one, as its secret spells it. Zeroed on drop.
#[derive(PartialEq, Eq, Serialize, Deserialize, ZeroizeOnDrop)]
#[serde(transparent)]
struct KeyText(String);

/// The answer that carries tokens (RFC 6749 section 5.1). It holds them in the clear: it is made to be sent.
#[derive(Serialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
pub struct TokenAnswer {
    /// For the `Authorization` header, as `Bearer`. A JWT, which the published keys verify.
    access_token: String,
    #[cfg_attr(feature = "contract", schemars(extend("const" = "Bearer")))]
    token_type: &'static str,
    /// Seconds until the access token expires.
    expires_in: Secs,
    /// For the next refresh, once. Store it before using it.
    refresh_token: String,
    /// Seconds until the session ends unless it is used.
    refresh_expires_in: Secs,
}

impl TokenAnswer {
    /// The tokens of a session, with what is left of their time in seconds.
    #[must_use]
    pub fn new(access: &AccessToken, expires_in: Secs, refresh: &RefreshText, session: &Session, now: Secs) -> Self {
        Self {
            access_token: access.expose().to_owned(),
            token_type: "Bearer",
            expires_in,
            refresh_token: refresh.expose().to_owned(),
            refresh_expires_in: session.expires_at().saturating_sub(now),
        }
    }
}

//! Tokens: what we sign, what we authenticate with a MAC, and the keys for both. Nothing here waits or stores.

pub mod access;
pub mod device;
pub mod jwks;
pub mod keyring;
pub mod refresh;

use serde::{Deserialize, Serialize};
use zeroize::ZeroizeOnDrop;

use crate::{
    clock::Secs,
    secret_text::{AccessToken, RefreshTokenText},
};

/// A key must be known to verifiers and warm functions for this long before it is used; verifiers keep what they
/// fetched for hours.
const MIN_AGE_OF_NEXT_KEY: Secs = 86_400;

/// How long after its key was made a pending version may become current: a rotation takes seconds, a repeated one
/// minutes.
const PENDING_LIFETIME: Secs = 3_600;

/// Whether a key was made by a rotation that is still under way.
fn made_recently(made_at: Secs, now: Secs) -> bool {
    made_at <= now && now - made_at <= PENDING_LIFETIME
}

/// A key, or a part of one, as its secret spells it. Zeroed on drop.
#[derive(PartialEq, Eq, Serialize, Deserialize, ZeroizeOnDrop)]
#[serde(transparent)]
struct KeyText(String);

/// The response that carries tokens (RFC 6749 section 5.1). It holds them in the clear, because it is made to be sent.
#[derive(Serialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
pub struct TokenResponse {
    /// For the `Authorization` header, as `Bearer`. A JWT, which the published keys verify.
    access_token: String,
    #[cfg_attr(feature = "contract", schemars(extend("const" = "Bearer")))]
    token_type: &'static str,
    /// Seconds until the access token expires.
    expires_in: Secs,
    /// For the next refresh, once. Store it before using it.
    refresh_token: String,
    /// Seconds until the session ends unless it is used; counted from now in a repeated response, too.
    refresh_expires_in: Secs,
}

impl TokenResponse {
    /// The two tokens, each with the seconds that it has left.
    #[must_use]
    pub fn new(access: &AccessToken, expires_in: Secs, refresh: &RefreshTokenText, refresh_expires_in: Secs) -> Self {
        Self {
            access_token: access.expose().to_owned(),
            token_type: "Bearer",
            expires_in,
            refresh_token: refresh.expose().to_owned(),
            refresh_expires_in,
        }
    }
}

//! The tokens of a session: one response for login and refresh.

use crate::{
    clock::Secs,
    entropy::Entropy,
    ids::UserRef,
    problem::{Code, Problem},
    session::Session,
    token::{
        TokenResponse,
        access::{AccessSigner, AccessTokenConfig, SignError, Subject},
        keyring::Keyring,
        refresh::RefreshToken,
    },
};

/// Why no tokens could be made.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The access token could not be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The refresh token names a key that this process has not read yet, or that has left the ring.
    #[error("the session's key is not in the ring")]
    KeyNotInRing,
}

impl From<IssueError> for Problem {
    fn from(error: IssueError) -> Self {
        match error {
            IssueError::Sign(_) => Self::new(Code::Internal),
            IssueError::KeyNotInRing => Self::new(Code::Unavailable).retry_after(1),
        }
        .because(error)
    }
}

/// Makes the tokens of sessions. All that can be missing is at hand before anything is written.
#[derive(Clone, Copy)]
pub struct TokenIssuer<'a> {
    /// The keys that authenticate refresh tokens.
    pub keyring: &'a Keyring,
    /// The key that signs access tokens.
    pub signer: &'a AccessSigner,
    /// How access tokens are filled in.
    pub config: &'a AccessTokenConfig,
    /// The `iss`.
    pub issuer: &'a str,
    /// Randomness for the `jti`.
    pub entropy: &'a dyn Entropy,
}

impl TokenIssuer<'_> {
    /// The response with this refresh token and a new access token.
    pub fn issue(&self, refresh: &RefreshToken, session: &Session, now: Secs) -> Result<TokenResponse, IssueError> {
        let at = refresh.session();
        let subject = Subject {
            appid: at.user.appid,
            openid: at.user.openid,
            sid: at.sid,
            auth_time: session.created_at,
            millisecond: u16::try_from(session.arrived_ms % 1_000).ok(),
            unionid: session.unionid.clone(),
        };
        // An access token does not outlive its session.
        let left = session.expires_at().saturating_sub(now);
        let lifetime = self.config.access.min(left);
        let access = self.signer.sign(&self.config.claims(&subject, self.issuer, now, lifetime, self.entropy))?;
        let refresh = refresh.encode(self.keyring).ok_or(IssueError::KeyNotInRing)?;
        Ok(TokenResponse::new(&access, lifetime, &refresh, session.lasts(now)))
    }
}

impl Session {
    /// The refresh token of this session at its present generation.
    #[must_use]
    pub fn refresh_token(&self, user: &UserRef) -> RefreshToken {
        RefreshToken {
            key_id: self.key_id,
            generation: self.generation,
            family: self.family,
            device: self.device,
            appid: user.appid.clone(),
            openid: user.openid.clone(),
        }
    }
}

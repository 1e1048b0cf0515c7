//! Authentication of requests: the subject of an access token, and the session that it was issued for.
//!
//! Every route of ours that takes an access token reads the session behind it, so a logout takes effect at once.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use http::request::Parts;

use crate::{
    clock::Clock,
    http::extract::{Bearer, Host},
    problem::{Code, Problem},
    secret_text::AccessToken,
    secrets::{Secret, SecretError},
    session::Session,
    store::{StoreError, grants::ReadSession},
    token::access::{AccessDefect, AccessTokenConfig, AccessVerifier, Subject},
};

/// What authenticates a request.
#[derive(Clone)]
pub struct Authenticator {
    /// The keys that verify access tokens.
    pub verifier: Arc<Secret<AccessVerifier>>,
    /// The sessions that access tokens are issued for.
    pub sessions: Arc<dyn ReadSession>,
    /// What access tokens must say.
    pub config: AccessTokenConfig,
    /// Tells whether a token or session has expired.
    pub clock: Arc<dyn Clock>,
}

/// Why a request is not authenticated.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// A secret cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The table failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The access token is refused.
    #[error(transparent)]
    Token(#[from] AccessDefect),
    /// The session of the access token is over.
    #[error("the session is gone")]
    SessionGone,
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        let code = match error {
            AuthError::Secret(error) => return error.into(),
            AuthError::Store(error) => return error.into(),
            AuthError::Token(AccessDefect::Expired) => Code::TokenExpired,
            AuthError::Token(AccessDefect::Invalid) | AuthError::SessionGone => Code::TokenInvalid,
        };
        Self::new(code).because(error)
    }
}

impl Authenticator {
    /// The subject of a token. Without an issuer any `iss` is accepted: only we hold the keys.
    pub async fn subject(&self, token: &AccessToken, issuer: Option<&str>) -> Result<Subject, AuthError> {
        let verifier = self.verifier.get().await?;
        Ok(verifier.verify(token, &self.config, issuer, self.clock.now())?)
    }

    /// The session that a token was issued for, while it lives.
    pub async fn session(&self, subject: &Subject) -> Result<Session, AuthError> {
        let session = self.sessions.read_session(&subject.session()).await?.ok_or(AuthError::SessionGone)?;
        let is_the_tokens = session.created_at == subject.auth_time;
        let lives = session.is_alive(self.clock.now(), self.config.not_before);
        if is_the_tokens && lives { Ok(session) } else { Err(AuthError::SessionGone) }
    }
}

/// The subject of the request's access token, verified; its session is not read yet.
impl<S: Sync> FromRequestParts<S> for Subject
where
    Authenticator: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Bearer(token) = Bearer::from_request_parts(parts, state).await?;
        let host = Host::from_request_parts(parts, state).await?;
        let authenticator = Authenticator::from_ref(state);
        let issuer = host.issuer(&authenticator.config);
        Ok(authenticator.subject(&token, Some(&issuer)).await?)
    }
}

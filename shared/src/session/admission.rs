//! Whom an access token speaks for, and whether its session is still there.
//!
//! A logout is seen at once: every route of ours that takes an access token reads the session behind it.

use std::sync::Arc;

use super::{ReadSession, Session, StoreError};
use crate::{
    clock::Clock,
    config::Issuing,
    problem::{Code, Problem},
    redacted::AccessToken,
    secrets::{Secret, SecretError},
    token::access::{AccessDefect, AccessVerifier, Subject},
};

/// What admits a request: the keys that verify, and the sessions.
#[derive(Clone)]
pub struct Admission {
    /// The keys that verify access tokens.
    pub verifier: Arc<Secret<AccessVerifier>>,
    /// Whether the session is still there.
    pub sessions: Arc<dyn ReadSession>,
    /// How access tokens are filled.
    pub issuing: Issuing,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Why a request is not admitted.
#[derive(Debug, thiserror::Error)]
pub enum NotAdmitted {
    /// A secret cannot be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The table failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The access token is refused.
    #[error(transparent)]
    Token(#[from] AccessDefect),
    /// The access token's session is not there any more.
    #[error("the session is gone")]
    SessionGone,
}

impl From<NotAdmitted> for Problem {
    fn from(error: NotAdmitted) -> Self {
        let problem = match error {
            NotAdmitted::Secret(error) => return error.into(),
            NotAdmitted::Store(error) => return error.into(),
            NotAdmitted::Token(AccessDefect::Expired) => Self::new(Code::TokenExpired),
            NotAdmitted::Token(AccessDefect::Invalid) | NotAdmitted::SessionGone => Self::new(Code::TokenInvalid),
        };
        problem.because(error)
    }
}

impl Admission {
    /// Whom the token speaks for, by the token alone; without an issuer any is taken, as the keys are ours alone.
    pub async fn subject(&self, token: &AccessToken, issuer: Option<&str>) -> Result<Subject, NotAdmitted> {
        let verifier = self.verifier.get().await?;
        Ok(verifier.verify(token, &self.issuing, issuer, self.clock.now())?)
    }

    /// The session of a token: there, the very one of the token, and not run out.
    pub async fn session(&self, subject: &Subject) -> Result<Session, NotAdmitted> {
        let session = self.sessions.read(&subject.session()).await?.ok_or(NotAdmitted::SessionGone)?;
        let lives =
            session.created_at == subject.auth_time && session.is_alive(self.clock.now(), self.issuing.not_before);
        if lives { Ok(session) } else { Err(NotAdmitted::SessionGone) }
    }
}

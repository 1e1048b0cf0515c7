//! Authentication of requests: the subject of an access token, and the session that it was issued for.
//!
//! Every route of ours that takes an access token reads the session behind it, so a logout takes effect at once.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use http::request::Parts;

use crate::{
    brake::Brake,
    clock::Clock,
    http::extract::{Bearer, Origin},
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
    /// Ends the sessions that were made before it.
    pub brake: Brake,
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
    /// The subject of a token whose session is not one that the brake ended. Without an issuer any `iss` is accepted: only we hold
    /// the keys.
    pub async fn subject(&self, token: &AccessToken, issuer: Option<&str>) -> Result<Subject, AuthError> {
        let (verifier, not_before) = tokio::try_join!(self.verifier.get(), self.brake.not_before())?;
        let subject = verifier.verify(token, &self.config, issuer, self.clock.now())?;
        if subject.auth_time < not_before { Err(AuthError::SessionGone) } else { Ok(subject) }
    }

    /// The session that a token was issued for, while it lives. It began when the [subject](Self::subject) says, so the brake has
    /// been looked at.
    pub async fn session(&self, subject: &Subject) -> Result<Session, AuthError> {
        let session = self.sessions.read_session(&subject.session()).await?.ok_or(AuthError::SessionGone)?;
        let lives = !session.has_run_out(self.clock.now());
        if session.is_of(subject) && lives { Ok(session) } else { Err(AuthError::SessionGone) }
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
        let origin = Origin::from_request_parts(parts, state).await?;
        let authenticator = Authenticator::from_ref(state);
        let issuer = origin.issuer(&authenticator.config);
        Ok(authenticator.subject(&token, Some(&issuer)).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;

    use crate::{
        clock::{Millis, Secs},
        ids::{AppId, DeviceId, Family, OpenId, SessionRef, UserRef},
        secrets::SecretFile,
        token::keyring::KeyId,
    };

    struct At(Secs);

    impl Clock for At {
        fn now_ms(&self) -> Millis {
            self.0 * 1_000
        }
    }

    /// A table with one session.
    struct One(SessionRef, Session);

    #[async_trait]
    impl ReadSession for One {
        async fn read_session(&self, at: &SessionRef) -> Result<Option<Session>, StoreError> {
            Ok((*at == self.0).then(|| self.1.clone()))
        }
    }

    /// An authenticator at this time. It needs no key here, as only the session is asked for.
    async fn authenticator(sessions: &Arc<One>, now: Secs) -> Authenticator {
        let clock = Arc::new(At(now));
        let config = AccessTokenConfig { issuer: None, audience: None, access: 900, unionid: false };
        let verifier = Secret::open("WXAUTH_JWKS", Box::new(SecretFile("none".into())), clock.clone()).await.unwrap();
        Authenticator { verifier, sessions: sessions.clone(), config, brake: Brake::default(), clock }
    }

    #[tokio::test]
    async fn a_token_speaks_for_the_very_session_that_it_was_made_for_while_that_lives() {
        let user = UserRef { appid: AppId::parse("wx1").unwrap(), openid: OpenId::parse("oA").unwrap() };
        let device = DeviceId([1; 16]);
        let session = Session::new(device, Family([1; 16]), KeyId(1), 50_007, 50, 150);
        let table = Arc::new(One(user.session(device), session.clone()));
        let token = |device, auth_time| Subject {
            appid: user.appid.clone(),
            openid: user.openid.clone(),
            sid: user.sid(device),
            auth_time,
            millisecond: Some(7),
            unionid: None,
        };
        let within = |millisecond| Subject { millisecond, ..token(device, 50) };
        let (now, late) = (authenticator(&table, 99).await, authenticator(&table, 100).await);

        assert_eq!(now.session(&token(device, 50)).await.unwrap(), session);
        assert_eq!(now.session(&within(None)).await.unwrap(), session, "as tokens of earlier releases are");
        for (authenticator, token) in [
            (&now, token(device, 49)),
            (&now, token(device, 51)),
            (&now, within(Some(6))),
            (&now, token(DeviceId([2; 16]), 50)),
            (&late, token(device, 50)),
        ] {
            assert!(matches!(authenticator.session(&token).await, Err(AuthError::SessionGone)), "{token:?}");
        }
    }
}

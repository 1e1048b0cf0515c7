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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Secs,
        config::Vars,
        ids::{AppId, DeviceId, Family, OpenId},
        secrets::SecretFile,
        session::{OpenSession as _, SessionRef, UserRef, memory::MemoryTable},
        token::keyring::KeyId,
    };

    struct At(Secs);

    impl Clock for At {
        fn now(&self) -> Secs {
            self.0
        }
    }

    /// A door at this time. It needs no key here: what is asked for is the session.
    async fn door(table: &MemoryTable, not_before: &str, now: Secs) -> Admission {
        let vars: Vars = [("WXAUTH_NOT_BEFORE", not_before)].into_iter().collect();
        let clock = Arc::new(At(now));
        Admission {
            verifier: Secret::open("WXAUTH_JWKS", Box::new(SecretFile("none".into())), clock.clone()).await.unwrap(),
            sessions: Arc::new(table.clone()),
            issuing: Issuing::from_vars(&vars).unwrap(),
            clock,
        }
    }

    #[tokio::test]
    async fn a_token_speaks_for_the_very_session_that_it_was_made_for_while_that_lives() {
        let user = UserRef { appid: AppId::parse("wx1").unwrap(), openid: OpenId::parse("oA").unwrap() };
        let device = DeviceId([1; 16]);
        let session = Session {
            device,
            family: Family([1; 16]),
            generation: 0,
            key_id: KeyId(1),
            created_at: 50,
            rotated_at: 50,
            rotated_before: 0,
            idle: 100,
            absolute: 200,
            unionid: None,
        };
        let table = MemoryTable::default();
        table.open(&SessionRef { sid: user.sid(device), user: user.clone() }, &session).await.unwrap();
        let token = |device, auth_time| Subject {
            appid: user.appid.clone(),
            openid: user.openid.clone(),
            sid: user.sid(device),
            auth_time,
            unionid: None,
        };
        let (now, late) = (door(&table, "50", 99).await, door(&table, "50", 100).await);
        let braked = door(&table, "51", 99).await;

        assert_eq!(now.session(&token(device, 50)).await.unwrap(), session);
        for (door, token) in [
            (&now, token(device, 49)),
            (&now, token(device, 51)),
            (&now, token(DeviceId([2; 16]), 50)),
            (&late, token(device, 50)),
            (&braked, token(device, 50)),
        ] {
            assert!(matches!(door.session(&token).await, Err(NotAdmitted::SessionGone)), "{token:?}");
        }
    }
}

//! The refresh: parse, one conditional write, judge, answer.
//!
//! What may fail is done before the write: keys are at hand and parsed. The access token is signed after it, because the
//! session's `created_at` and unionid stand in the item that the write gives back; should that fail, the same token asks
//! again and gets the same successor.

use std::time::Duration;

use shared::{
    clock::{Deadline, Secs},
    notes,
    problem::{Code, Problem},
    redacted::AccessToken,
    secrets::SecretError,
    session::{
        Attempt, Session, StoreError,
        rotation::{Verdict, judge},
    },
    token::{
        TokenAnswer,
        access::{AccessSigner, SignError, Subject},
        refresh::{RefreshToken, TokenDefect},
    },
};

use crate::Deps;

/// Why there is no new token.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// A secret cannot be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The table failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The access token could not be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The item names a key that is not in this process's ring yet.
    #[error("the session's key is not in the ring")]
    KeyUnknown,
    /// Not a token of ours.
    #[error(transparent)]
    Token(#[from] TokenDefect),
    /// The session is not there, is another, or has run out.
    #[error("verdict GONE")]
    Gone,
    /// The token is newer than the session.
    #[error("verdict ALARM: a token from the future, so a restored table or a leaked key")]
    Alarm,
    /// The token was rotated away before.
    #[error("verdict REUSE, {behind} behind")]
    Reuse {
        /// How many generations.
        behind: u32,
    },
}

impl From<RefreshError> for Problem {
    fn from(error: RefreshError) -> Self {
        match error {
            RefreshError::Secret(error) => error.into(),
            RefreshError::Store(error) => error.into(),
            RefreshError::Sign(_) => Self::new(Code::Internal).because(error),
            RefreshError::KeyUnknown => Self::new(Code::Unavailable).retry_after(1).because(error),
            RefreshError::Token(_) | RefreshError::Gone | RefreshError::Alarm => {
                Self::new(Code::LoginRequired).because(error)
            }
            RefreshError::Reuse { .. } => Self::new(Code::TokenReused).because(error),
        }
    }
}

/// What was found out must be told, and not be lost to the deadline.
const LAST_MOMENT: Duration = Duration::from_millis(100);

/// Exchanges a refresh token: at most one call to the table, two where reuse is found.
pub async fn refresh(deps: &Deps, text: &str, issuer: &str, by: Deadline) -> Result<TokenAnswer, RefreshError> {
    // Side by side: each may take a while to find out that its source is down.
    let (keyring, signer) = tokio::try_join!(deps.keyring.get(), deps.signer.get())?;
    let presented = RefreshToken::parse(text, &keyring)?;
    notes::note(|notes| notes.user = keyring.pseudonym(&presented.appid, &presented.openid));
    let now = deps.clock.now();

    let attempt = deps.rotate.rotate(&deps.policy.rotation(&presented, keyring.current(), now)).await?;

    let verdict = judge(&presented, &attempt, &deps.policy, now);
    notes::note(|notes| notes.verdict = Some(verdict.as_str()));
    let (session, token) = match (verdict, attempt) {
        (Verdict::Rotated | Verdict::Replay, Attempt::Applied(session) | Attempt::Refused(Some(session))) => {
            let successor = presented.next(session.key_id);
            (session, successor)
        }
        (Verdict::Echo, Attempt::Refused(Some(session))) => (session, presented),
        (Verdict::Reuse { behind }, _) => {
            notes::note(|notes| notes.behind = Some(behind));
            // Should this fail or take too long, the next use finds the reuse again.
            let left = by.before(LAST_MOMENT).left();
            drop(tokio::time::timeout(left, deps.end.end(&presented.session(), presented.family)).await);
            return Err(RefreshError::Reuse { behind });
        }
        (Verdict::Alarm, _) => return Err(RefreshError::Alarm),
        (Verdict::Gone | Verdict::Rotated | Verdict::Replay | Verdict::Echo, _) => return Err(RefreshError::Gone),
    };
    let access = access_token(deps, &signer, (&token, &session), issuer, now)?;
    let refresh = token.encode(&keyring).ok_or(RefreshError::KeyUnknown)?;
    Ok(TokenAnswer::new(&access, deps.issuing.access, &refresh, &session, now))
}

fn access_token(
    deps: &Deps,
    signer: &AccessSigner,
    (token, session): (&RefreshToken, &Session),
    issuer: &str,
    now: Secs,
) -> Result<AccessToken, SignError> {
    let subject = Subject {
        appid: token.appid.clone(),
        openid: token.openid.clone(),
        sid: token.session().sid,
        auth_time: session.created_at,
        unionid: session.unionid.clone(),
    };
    signer.sign(&deps.issuing.claims(&subject, issuer, now, &*deps.entropy))
}

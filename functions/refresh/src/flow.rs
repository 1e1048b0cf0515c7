//! The refresh: parse the token, make one conditional write, judge its result, respond.
//!
//! Everything that may fail is done before the write: the keys are at hand and parsed. Only the access token is signed
//! after it, because it holds the session's `created_at` and unionid, which the write gives back. If signing fails, the
//! same token can be sent again and gets the same successor.

use std::time::Duration;

use shared::{
    clock::Deadline,
    problem::{Code, Problem},
    request_log,
    secrets::SecretError,
    session::{
        WriteResult,
        issue::{IssueError, TokenIssuer},
        refresh::{Verdict, judge},
    },
    store::StoreError,
    token::{
        TokenResponse,
        refresh::{RefreshToken, TokenDefect},
    },
};

use crate::Deps;

/// Why there is no new token.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// Not a token of ours.
    #[error(transparent)]
    Token(#[from] TokenDefect),
    #[error("verdict GONE")]
    Gone,
    #[error("verdict ALARM: a token from the future, so a restored table or a leaked key")]
    Alarm,
    #[error("verdict REUSE, {behind} behind")]
    Reuse {
        /// How many generations.
        behind: u32,
    },
}

impl From<RefreshError> for Problem {
    fn from(error: RefreshError) -> Self {
        let code = match error {
            RefreshError::Secret(error) => return error.into(),
            RefreshError::Store(error) => return error.into(),
            RefreshError::Issue(error) => return error.into(),
            RefreshError::Token(_) | RefreshError::Gone | RefreshError::Alarm => Code::LoginRequired,
            RefreshError::Reuse { .. } => Code::TokenReused,
        };
        Self::new(code).because(error)
    }
}

/// Reserved for telling the client about a reuse when the table is slow.
const LAST_MOMENT: Duration = Duration::from_millis(100);

/// Exchanges a refresh token. It makes one call to the table, or two if it finds reuse.
pub async fn refresh(deps: &Deps, text: &str, issuer: &str, deadline: Deadline) -> Result<TokenResponse, RefreshError> {
    let (keyring, signer, not_before) =
        tokio::try_join!(deps.keyring.get(), deps.signer.get(), deps.brake.not_before())?;
    let presented = RefreshToken::parse(text, &keyring)?;
    let at = presented.session();
    request_log::record(|fields| fields.user = keyring.pseudonym(&at.user));
    let now = deps.clock.now();

    let write = deps.policy.write(&presented, keyring.current(), now, not_before);
    let result = deps.table.refresh_session(&write).await?;

    let verdict = judge(&presented, &write, &result, &deps.policy);
    request_log::record(|fields| fields.verdict = Some(verdict.as_str()));
    let (session, token) = match (verdict, result) {
        (Verdict::Rotated | Verdict::Replay, WriteResult::Applied(session) | WriteResult::Refused(Some(session))) => {
            let successor = presented.next(session.key_id);
            (session, successor)
        }
        (Verdict::Echo, WriteResult::Refused(Some(session))) => (session, presented),
        (Verdict::Reuse { behind }, _) => {
            request_log::record(|fields| fields.behind = Some(behind));
            // If this fails or takes too long, the next use of a replaced token of this family finds the reuse again.
            let revocation = deps.table.revoke_session(&at, presented.family, now);
            drop(deadline.before(LAST_MOMENT).limit(revocation).await);
            return Err(RefreshError::Reuse { behind });
        }
        (Verdict::Alarm, _) => return Err(RefreshError::Alarm),
        (Verdict::Gone | Verdict::Rotated | Verdict::Replay | Verdict::Echo, _) => return Err(RefreshError::Gone),
    };
    let entropy = &*deps.entropy;
    let tokens = TokenIssuer { keyring: &keyring, signer: &signer, config: &deps.access_tokens, issuer, entropy };
    Ok(tokens.issue(&token, &session, now)?)
}

//! Whom a token speaks for, if its session is still there.

use shared::{
    redacted::AccessToken,
    secrets::SecretError,
    session::{self, StoreError},
    token::access::Subject,
};

use crate::Deps;

/// A failure of ours. It is thrown; it is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum AuthorizerError {
    /// A secret cannot be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The table failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The token's subject; `None` is the "no".
pub async fn authorize(deps: &Deps, token: Option<AccessToken>) -> Result<Option<Subject>, AuthorizerError> {
    let Some(token) = token else { return Ok(None) };
    let verifier = deps.verifier.get().await?;
    let now = deps.clock.now();
    let issuer = deps.issuing.issuer.as_deref();
    let Ok(subject) = verifier.verify(&token, &deps.issuing, issuer, now) else { return Ok(None) };
    let lives = session::lives(&*deps.sessions, &subject, now, deps.issuing.not_before).await?;
    Ok(lives.then_some(subject))
}

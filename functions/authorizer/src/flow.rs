//! Whom a token speaks for, if its session is still there.

use shared::{
    redacted::AccessToken,
    secrets::SecretError,
    session::{StoreError, admission::NotAdmitted},
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
    match admit(deps, &token).await {
        Ok(subject) => Ok(Some(subject)),
        Err(NotAdmitted::Token(_) | NotAdmitted::SessionGone) => Ok(None),
        Err(NotAdmitted::Secret(error)) => Err(error.into()),
        Err(NotAdmitted::Store(error)) => Err(error.into()),
    }
}

async fn admit(deps: &Deps, token: &AccessToken) -> Result<Subject, NotAdmitted> {
    let issuer = deps.admission.issuing.issuer.as_deref();
    let subject = deps.admission.subject(token, issuer).await?;
    deps.admission.session(&subject).await?;
    Ok(subject)
}

//! The subject of a token whose session lives.

use shared::{authenticator::AuthError, secret_text::AccessToken, token::access::Subject};

use crate::Deps;

/// The token's subject; `None` is the "no". A failure of ours is an error, so that it is never taken for one.
pub async fn authorize(deps: &Deps, token: Option<AccessToken>) -> Result<Option<Subject>, AuthError> {
    let Some(token) = token else { return Ok(None) };
    match authenticate(deps, &token).await {
        Ok(subject) => Ok(Some(subject)),
        Err(AuthError::Token(_) | AuthError::SessionGone) => Ok(None),
        Err(failure @ (AuthError::Secret(_) | AuthError::Store(_))) => Err(failure),
    }
}

async fn authenticate(deps: &Deps, token: &AccessToken) -> Result<Subject, AuthError> {
    // The request came to another API, whose host says nothing about our issuer: only a configured one is compared.
    let issuer = deps.authenticator.config.issuer.as_deref();
    let subject = deps.authenticator.subject(token, issuer).await?;
    deps.authenticator.session(&subject).await?;
    Ok(subject)
}

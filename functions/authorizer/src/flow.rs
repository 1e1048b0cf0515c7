//! The subject of a token whose session lives.

use shared::{
    authenticator::AuthError, problem::Problem, secret_text::AccessToken, secrets::SecretError, store::StoreError,
    token::access::Subject,
};

use crate::Deps;

/// A failure of ours. It is thrown, so that it is never taken for a "no".
#[derive(Debug, thiserror::Error)]
pub enum AuthorizerError {
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<AuthorizerError> for Problem {
    fn from(error: AuthorizerError) -> Self {
        match error {
            AuthorizerError::Secret(error) => error.into(),
            AuthorizerError::Store(error) => error.into(),
        }
    }
}

/// The token's subject; `None` is the "no".
pub async fn authorize(deps: &Deps, token: Option<AccessToken>) -> Result<Option<Subject>, AuthorizerError> {
    let Some(token) = token else { return Ok(None) };
    match authenticate(deps, &token).await {
        Ok(subject) => Ok(Some(subject)),
        Err(AuthError::Token(_) | AuthError::SessionGone) => Ok(None),
        Err(AuthError::Secret(error)) => Err(error.into()),
        Err(AuthError::Store(error)) => Err(error.into()),
    }
}

async fn authenticate(deps: &Deps, token: &AccessToken) -> Result<Subject, AuthError> {
    // The request came to another API, whose host says nothing about our issuer: only a configured one is compared.
    let issuer = deps.authenticator.config.issuer.as_deref();
    let subject = deps.authenticator.subject(token, issuer).await?;
    deps.authenticator.session(&subject).await?;
    Ok(subject)
}

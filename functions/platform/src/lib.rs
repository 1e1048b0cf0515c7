//! WeChat's `access_token` for the owner's other services, which invoke this by their IAM rights (`lambda:InvokeFunction`).
//!
//! `{"appid": "wx..."}`, with `"refused"` where WeChat refused one, is answered by `{"access_token": "...", "expires_in":
//! 5400}`. It is the token that `phone` and `session` use, so no other service needs the AppSecret and no token is fetched
//! twice. It is a function of its own, because the item in the table is sealed by the keyring, which opens every
//! `session_key` too, and because `admin` does not need an AppSecret.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use shared::{
    clock::{Deadline, Secs},
    env::Env,
    ids::AppId,
    lambda,
    platform_token::{GivePlatformToken, PlatformError},
    problem::Problem,
    request_log,
    secret_text::PlatformToken,
    secrets::{Secret, SecretError},
    vars::ConfigError,
    wechat::app::Apps,
};

#[derive(Clone)]
pub struct Deps {
    pub platform: Arc<dyn GivePlatformToken>,
    pub apps: Arc<Secret<Apps>>,
}

impl Deps {
    pub async fn from_env(env: Env) -> Result<Self, ConfigError> {
        let table = env.table()?;
        let (apps, keyring) = tokio::try_join!(env.apps(), env.keyring())?;
        Ok(Self { platform: env.platform_tokens(&table, &keyring)?, apps })
    }
}

/// Which mini program's token is wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlatformTokenRequest {
    /// Needed only where several are configured.
    appid: Option<String>,
    /// A token that WeChat has just refused (40001, 40014, 42001): another one is given, but WeChat is never forced to make
    /// one.
    refused: Option<String>,
}

/// The token, in WeChat's own words.
#[derive(Serialize)]
pub struct PlatformTokenResponse {
    access_token: String,
    /// Seconds that it has left.
    expires_in: Secs,
}

/// Why there is no token. It is thrown: the invocation fails with this sentence.
#[derive(Debug, thiserror::Error)]
pub enum PlatformTokenError {
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The mini program is not one of the owner's, or must be named.
    #[error("the appid is not configured, or is missing")]
    AppUnknown,
    #[error(transparent)]
    Platform(#[from] PlatformError),
}

impl From<PlatformTokenError> for Problem {
    fn from(error: PlatformTokenError) -> Self {
        match error {
            PlatformTokenError::Secret(error) => error.into(),
            PlatformTokenError::AppUnknown => Self::invalid("appid").because(error),
            PlatformTokenError::Platform(error) => error.into(),
        }
    }
}

/// The function: a token that has at least some seconds left.
pub async fn handle(deps: Deps, request: PlatformTokenRequest) -> Result<PlatformTokenResponse, PlatformTokenError> {
    let apps = deps.apps.get().await?;
    let appid = request.appid.as_deref().map(AppId::parse).transpose().map_err(|_| PlatformTokenError::AppUnknown)?;
    let app = apps.find(appid.as_ref()).ok_or(PlatformTokenError::AppUnknown)?;
    let refused = request.refused.map(PlatformToken::new);
    let given = deps.platform.give(app, refused.as_ref(), Deadline::after(lambda::LIMIT)).await;
    let misconfigured = given.as_ref().is_err_and(PlatformError::is_misconfigured);
    request_log::record(|fields| fields.misconfigured = misconfigured);
    let (token, expires_in) = given?;
    Ok(PlatformTokenResponse { access_token: token.expose().to_owned(), expires_in })
}

//! WeChat's `access_token` for the owner's other services, which invoke this by their IAM rights (`lambda:InvokeFunction`).
//!
//! `{"appid": "wx..."}`, and `"refused"` where WeChat refused one, is answered by `{"access_token": "...", "expires_in": 5400}`: the token that `phone` and `session`
//! use, so that nobody else needs the AppSecret and nobody fetches twice. It is a function of its own, because the item in
//! the table is sealed by the keyring, which opens every `session_key` too; and `admin` has no need of an AppSecret.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use shared::{
    clock::{Deadline, Secs},
    config::ConfigError,
    env::Env,
    http::record::{self, Log},
    ids::AppId,
    lambda, notes,
    redacted::PlatformToken,
    secrets::{Secret, SecretError},
    wechat::{Apps, GivePlatformToken, PlatformError, Upstream},
};

/// All that this function may touch.
#[derive(Clone)]
pub struct Deps {
    /// The tokens.
    pub tokens: Arc<dyn GivePlatformToken>,
    /// The mini programs.
    pub apps: Arc<Secret<Apps>>,
    /// The log.
    pub log: Log,
}

impl Deps {
    /// Reads the variables and secrets that this function needs.
    pub async fn from_env(env: Env) -> Result<Self, ConfigError> {
        let table = env.table()?;
        let (apps, keyring) = tokio::try_join!(env.apps(), env.keyring())?;
        let tokens = env.platform_tokens(&table, &keyring)?;
        Ok(Self { tokens, apps, log: env.log() })
    }
}

/// Which mini program's token is wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// Needed only where several are configured.
    appid: Option<String>,
    /// A token that WeChat has just refused (40001, 40014, 42001): another is given, which is never forced.
    refused: Option<String>,
}

/// The token, in WeChat's own words for it.
#[derive(Serialize)]
pub struct TokenAnswer {
    access_token: String,
    /// Seconds that it has left.
    expires_in: Secs,
}

/// Why there is no token. It is thrown: the invocation fails with this sentence.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// A secret cannot be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The mini program is not one of the owner's, or must be named.
    #[error("the appid is not configured, or is missing")]
    AppUnknown,
    /// WeChat refused, or something on the way failed.
    #[error(transparent)]
    Platform(#[from] PlatformError),
}

/// The function: a token that has at least some seconds left.
pub async fn handle(deps: Deps, request: TokenRequest) -> Result<TokenAnswer, TokenError> {
    record::event(&deps.log, give(&deps, request)).await
}

async fn give(deps: &Deps, request: TokenRequest) -> Result<TokenAnswer, TokenError> {
    let apps = deps.apps.get().await?;
    let appid = request.appid.as_deref().map(AppId::parse).transpose().map_err(|_| TokenError::AppUnknown)?;
    let app = apps.find(appid.as_ref()).ok_or(TokenError::AppUnknown)?;
    let refused = request.refused.map(PlatformToken::new);
    let given = deps.tokens.give(app, refused.as_ref(), Deadline::after(lambda::LIMIT)).await;
    let ours = matches!(&given, Err(PlatformError::Wechat(Upstream::Misconfigured { .. })));
    notes::note(|notes| notes.misconfigured = ours);
    let (token, expires_in) = given?;
    Ok(TokenAnswer { access_token: token.expose().to_owned(), expires_in })
}

//! The user-state signature of a message, for the owner's backend, which invokes this by its IAM right
//! (`lambda:InvokeFunction`). No route.
//!
//! `{"appid": "wx...", "openid": "o...", "message": "..."}` is answered by `{"signature": "..."}`, made with the user's current
//! `session_key`, which never leaves. Where that cannot be, the answer is `{"refused": "...", "action": "..."}`.
//!
//! It is a function of its own, because it needs the keyring, which opens every `session_key`, and nothing of the table but to
//! read a user.

pub mod flow;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use shared::{
    env::Env,
    platform_token::calls::CheckSession,
    problem::{Action, Code},
    secrets::Secret,
    store::grants::ReadUser,
    token::keyring::Keyring,
    vars::ConfigError,
    wechat::app::Apps,
};

use flow::SignError;

shared::grants! {
    /// What this function may do with the table, beyond WeChat's `access_token`.
    pub trait Table = ReadUser;
}

#[derive(Clone)]
pub struct Deps {
    pub table: Arc<dyn Table>,
    pub platform: Arc<dyn CheckSession>,
    /// Hold the AppKeys.
    pub apps: Arc<Secret<Apps>>,
    /// Opens `session_key`s.
    pub keyring: Arc<Secret<Keyring>>,
}

impl Deps {
    pub async fn from_env(env: Env) -> Result<Self, ConfigError> {
        let table = env.table()?;
        let (apps, keyring) = tokio::try_join!(env.apps(), env.keyring())?;
        let platform = env.platform_tokens(&table, &keyring)?;
        Ok(Self { table, platform, apps, keyring })
    }
}

/// What is to be signed for whom.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignRequest {
    appid: String,
    openid: String,
    /// The text as WeChat will get it, byte for byte in UTF-8; at most 16 KiB. It may be empty.
    message: String,
    /// Whether WeChat is asked first if the key is still valid.
    #[serde(default)]
    check: bool,
    /// Asks for `paySig` too: `requestVirtualPayment`, or the path of a call of the server.
    uri: Option<String>,
}

/// What the owner's backend is answered.
#[derive(Serialize)]
#[serde(untagged)]
pub enum SignResponse {
    /// Lower-case hex.
    Signed {
        signature: String,
        /// Of the same message and the request's `uri`, by the AppKey of the message's `env`.
        #[serde(rename = "paySig", skip_serializing_if = "Option::is_none")]
        pay_sig: Option<String>,
    },
    /// Nothing was signed, and the same request again would come to the same.
    Refused { refused: Refusal, action: Action },
}

impl std::fmt::Debug for SignResponse {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("SignResponse([REDACTED])")
    }
}

/// Why nothing was signed for a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// There is no key that WeChat accepts: it says so, or no key of the ring opens the stored one. A login brings one.
    Stale,
    /// Nobody of this openid has logged in, or the user was deleted.
    NoUser,
    /// The owner has blocked the user.
    UserBlocked,
}

impl Refusal {
    /// What the client is to do, in the words of the HTTP contract.
    #[must_use]
    pub fn action(self) -> Action {
        match self {
            Self::Stale | Self::NoUser => Action::Relogin,
            Self::UserBlocked => Code::UserBlocked.action(),
        }
    }
}

/// The function: the signature of a message for a user.
pub async fn handle(deps: Deps, request: SignRequest) -> Result<SignResponse, SignError> {
    flow::handle(&deps, request).await
}

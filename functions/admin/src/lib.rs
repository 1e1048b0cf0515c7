//! The owner's backend reads, blocks, exports and deletes users, and resets their `session_key`s. No route: it is invoked by IAM right
//! (`lambda:InvokeFunction`).
//!
//! A request is `{"operation": "...", "appid": "wx...", "openid": "o..."}`. Each operation may be repeated. A request that
//! is none, and a failure of ours, fail the invocation with a sentence.

pub mod flow;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use shared::{
    brake::Brake,
    clock::{Clock, Secs},
    entropy::Entropy,
    env::Env,
    ids::{AppId, DeviceId},
    platform_token::calls::ResetSessionKey,
    revocation::RevocationTable,
    secrets::Secret,
    store::grants::{BlockUser, ReplaceSessionKey},
    token::keyring::Keyring,
    vars::ConfigError,
    wechat::app::Apps,
};

use flow::AdminError;

shared::grants! {
    /// What this function may do with the table.
    pub trait Table = RevocationTable, BlockUser, ReplaceSessionKey;
}

/// All that this function may touch. Only the reset of a `session_key` needs secrets and WeChat.
#[derive(Clone)]
pub struct Deps {
    pub table: Arc<dyn Table>,
    pub platform: Arc<dyn ResetSessionKey>,
    pub apps: Arc<Secret<Apps>>,
    /// Opens and seals `session_key`s.
    pub keyring: Arc<Secret<Keyring>>,
    pub brake: Brake,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
}

impl Deps {
    /// Reads the variables that this function needs.
    pub async fn from_env(env: Env) -> Result<Self, ConfigError> {
        let table = env.table()?;
        let (apps, keyring, brake) = tokio::try_join!(env.apps(), env.keyring(), env.brake())?;
        let platform = env.platform_tokens(&table, &keyring)?;
        Ok(Self { table, platform, apps, keyring, brake, clock: env.clock(), entropy: env.entropy() })
    }
}

/// What the owner wants done.
#[derive(Deserialize)]
#[serde(tag = "operation", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// The user and the devices that are logged in.
    Read(UserKey),
    /// Logs one device out.
    EndSession(DeviceKey),
    /// Logs all devices out.
    EndSessions(UserKey),
    /// Logs all devices out, and refuses every login from now on.
    Block(UserKey),
    /// Lets the user log in again.
    Unblock(UserKey),
    /// All that is stored about the user, for a request of theirs to see it.
    Export(UserKey),
    /// Deletes all that is stored about the user.
    Delete(UserKey),
    /// Has WeChat replace the user's `session_key`, because somebody may know it. All devices stay logged in.
    ResetSessionKey(UserKey),
}

/// A user.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserKey {
    appid: String,
    openid: String,
}

/// A device of a user.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceKey {
    appid: String,
    openid: String,
    /// Its id, or the `device` of a login as it is.
    device: String,
}

/// The result of an operation.
#[derive(Serialize)]
#[serde(untagged)]
pub enum Response {
    Read {
        /// `null` if there is no such user.
        user: Option<ReadUser>,
    },
    EndSession {
        /// Whether the device was logged in.
        ended: bool,
    },
    EndSessions {
        /// How many sessions there were.
        ended: usize,
    },
    Block {
        /// Since when, in Unix seconds.
        blocked_at: Secs,
        /// How many sessions there were.
        ended: usize,
    },
    Unblock {
        /// Whether there was a block.
        unblocked: bool,
    },
    Export(Box<Export>),
    Delete {
        /// Whether there was anything but a count or a block.
        deleted: bool,
    },
    ResetSessionKey {
        /// What became of the key.
        session_key: KeyReset,
    },
}

/// What a reset made of a user's `session_key`. Nothing is read or signed with the old one any more, whichever it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyReset {
    /// Another is stored: WeChat made it, or a login brought it meanwhile.
    Replaced,
    /// It was not the user's valid key any more, and is not stored any more. The next login brings one.
    Dropped,
    /// There is no such user, or no key of theirs that can be opened.
    Absent,
}

impl std::fmt::Debug for Response {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Response([REDACTED])")
    }
}

/// A user, as an owner wants to see them. All times are Unix seconds.
#[derive(Serialize)]
pub struct ReadUser {
    appid: AppId,
    openid: String,
    unionid: Option<String>,
    first_login: Option<Secs>,
    last_login: Option<Secs>,
    blocked_at: Option<Secs>,
    sessions: Vec<LoggedInDevice>,
}

/// A device that is logged in.
#[derive(Serialize)]
pub struct LoggedInDevice {
    device: DeviceId,
    created_at: Secs,
    last_seen_at: Secs,
    expires_at: Secs,
}

/// All that is stored under a user's key. A sealed `session_key` is mentioned but not shown: it is WeChat's, not the user's
/// data.
#[derive(Serialize)]
pub struct Export {
    appid: AppId,
    openid: String,
    user: Option<ExportedUser>,
    sessions: Vec<ExportedSession>,
}

/// The user item.
#[derive(Serialize)]
pub struct ExportedUser {
    unionid: Option<String>,
    first_login: Option<Secs>,
    last_login: Option<Secs>,
    blocked_at: Option<Secs>,
    /// Whether a `session_key` is stored, sealed.
    session_key: bool,
    /// Attempts with encrypted data in the hour that began at `tries_from`.
    tries: Option<u32>,
    tries_from: Option<Secs>,
    /// The same of profiles in logins.
    login_tries: Option<u32>,
    login_tries_from: Option<Secs>,
    /// The same of phone codes.
    phone_tries: Option<u32>,
    phone_tries_from: Option<Secs>,
    /// How many phone codes were used in that hour and the one before it; each number was kept for five minutes, sealed.
    phone_codes: usize,
}

/// A session item.
#[derive(Serialize)]
pub struct ExportedSession {
    device: DeviceId,
    created_at: Secs,
    rotated_at: Secs,
    rotated_before: Secs,
    generation: u32,
    idle: Secs,
    absolute: Secs,
    unionid: Option<String>,
}

/// The function: does what the owner wants.
pub async fn handle(deps: Deps, request: Request) -> Result<Response, AdminError> {
    flow::handle(&deps, request).await
}

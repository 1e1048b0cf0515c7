//! The owner's backend reads, blocks, exports and deletes users. No route: it is invoked by IAM right
//! (`lambda:InvokeFunction`).
//!
//! A request is `{"operation": "...", "appid": "wx...", "openid": "o..."}`. Each operation may be repeated. A request that
//! is none, and a failure of ours, fail the invocation with a sentence.

pub mod flow;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use shared::{
    clock::{Clock, Secs},
    config::{ConfigError, Issuing},
    env::Env,
    http::record::{self, Log},
    session::{BlockUser, ending::Ending},
};

use flow::AdminError;

/// All that this function may touch. It reads no secret: what is sealed stays sealed.
#[derive(Clone)]
pub struct Deps {
    /// What is stored of a user, and the end of it.
    pub ending: Ending,
    /// The block of a user.
    pub block: Arc<dyn BlockUser>,
    /// Sessions from before this instant are over.
    pub not_before: Secs,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The log.
    pub log: Log,
}

impl Deps {
    /// Reads the variables that this function needs.
    #[expect(clippy::unused_async, reason = "every function is built alike")]
    pub async fn from_env(env: Env) -> Result<Self, ConfigError> {
        let (table, Issuing { not_before, .. }) = (env.table()?, env.issuing()?);
        Ok(Self { ending: Ending::over(&table), block: table, not_before, clock: env.clock(), log: env.log() })
    }
}

/// What the owner wants done.
#[derive(Deserialize)]
#[serde(tag = "operation", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// The user and the devices that are logged in.
    Read(Of),
    /// Logs one device out.
    EndSession(OfDevice),
    /// Logs all devices out.
    EndSessions(Of),
    /// Logs all devices out, and refuses every login from now on.
    Block(Of),
    /// Lets the user log in again.
    Unblock(Of),
    /// All that is stored about the user, for a request of theirs to see it.
    Export(Of),
    /// Deletes all that is stored about the user.
    Delete(Of),
}

/// A user.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Of {
    appid: String,
    openid: String,
}

/// A device of a user.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfDevice {
    appid: String,
    openid: String,
    device: String,
}

/// What came of it.
#[derive(Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// Of `read`.
    Read {
        /// Nothing if there is no such user.
        user: Option<ReadUser>,
    },
    /// Of `end_session`.
    EndSession {
        /// Whether the device was logged in.
        ended: bool,
    },
    /// Of `end_sessions`.
    EndSessions {
        /// How many sessions there were.
        ended: usize,
    },
    /// Of `block`.
    Block {
        /// Since when, in Unix seconds.
        blocked_at: Secs,
        /// How many sessions there were.
        ended: usize,
    },
    /// Of `unblock`.
    Unblock {
        /// Whether there was a block.
        unblocked: bool,
    },
    /// Of `export`.
    Export(Box<Export>),
    /// Of `delete`.
    Delete {
        /// Whether there was anything but a count or a block.
        deleted: bool,
    },
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Answer([REDACTED])")
    }
}

/// A user, as an owner wants to see them. All times are Unix seconds.
#[derive(Serialize)]
pub struct ReadUser {
    appid: String,
    openid: String,
    unionid: Option<String>,
    first_login: Option<Secs>,
    last_login: Option<Secs>,
    blocked_at: Option<Secs>,
    sessions: Vec<LoggedIn>,
}

/// A device that is logged in.
#[derive(Serialize)]
pub struct LoggedIn {
    device: String,
    created_at: Secs,
    last_seen_at: Secs,
    expires_at: Secs,
}

/// All that is stored under a user's key. What is sealed is named, not shown: it is WeChat's key, not the user's data.
#[derive(Serialize)]
pub struct Export {
    appid: String,
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
    /// Attempts to decrypt in the hour that began at `tries_from`.
    tries: Option<u32>,
    tries_from: Option<Secs>,
    /// How many phone codes were used in that hour and the one before it; each number was kept for five minutes, sealed.
    phone_codes: usize,
}

/// A session item.
#[derive(Serialize)]
pub struct ExportedSession {
    device: String,
    created_at: Secs,
    rotated_at: Secs,
    rotated_before: Secs,
    generation: u32,
    idle: Secs,
    absolute: Secs,
    unionid: Option<String>,
}

/// The function: does what the owner wants.
pub async fn handle(deps: Deps, request: Request) -> Result<Answer, AdminError> {
    record::event(&deps.log, flow::answer(&deps, request)).await
}

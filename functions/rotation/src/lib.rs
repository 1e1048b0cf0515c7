//! A Secrets Manager rotation function for the keyring and the signing keys.
//!
//! Four steps, each of which can be repeated: make a pending version, write the public half, test it, make it current.
//! A key becomes current only after it was known as `next` for a day: a second deployment or an impatient click leaves
//! the value as it is.

pub mod flow;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use shared::{
    clock::{Clock, Secs},
    entropy::Entropy,
    env::Env,
    request_log,
    secrets::key_rotation::{RotateSecret, WriteSecret},
    token::jwks::KeyKind,
    vars::ConfigError,
};

use flow::RotationError;

#[derive(Clone)]
pub struct Deps {
    /// The secrets that are rotated.
    pub secrets: Arc<dyn RotateSecret>,
    /// The secret of the public half.
    pub jwks: Arc<dyn WriteSecret>,
    /// The kind of new signing keys.
    pub kind: KeyKind,
    /// How long a key of the ring is kept after it was current: longer than any session.
    pub keep: Secs,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
}

/// A session that began in the last second of a key's time must be able to end by itself.
const MARGIN: Secs = 86_400;

impl Deps {
    /// Reads the variables that this function needs.
    #[expect(clippy::unused_async, reason = "every function is built alike")]
    pub async fn from_env(env: Env) -> Result<Self, ConfigError> {
        Ok(Self {
            secrets: env.rotated_secrets()?,
            jwks: env.public_half()?,
            kind: env.signing_algorithm()?,
            keep: env.refresh_policy()?.absolute + MARGIN,
            clock: env.clock(),
            entropy: env.entropy(),
        })
    }
}

/// What Secrets Manager sends.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Event {
    step: Step,
    secret_id: String,
    client_request_token: String,
}

#[derive(Clone, Copy, Debug, Deserialize)]
enum Step {
    #[serde(rename = "createSecret")]
    Create,
    #[serde(rename = "setSecret")]
    Set,
    #[serde(rename = "testSecret")]
    Test,
    #[serde(rename = "finishSecret")]
    Finish,
}

impl Step {
    /// Its name in the log: Secrets Manager's own.
    fn as_str(self) -> &'static str {
        match self {
            Self::Create => "createSecret",
            Self::Set => "setSecret",
            Self::Test => "testSecret",
            Self::Finish => "finishSecret",
        }
    }
}

/// Nothing is answered: a step is done, or it failed.
#[derive(Debug, Serialize)]
pub struct Done {}

/// The function: one step of a rotation.
pub async fn handle(deps: Deps, event: Event) -> Result<Done, RotationError> {
    let (secret, version) = (event.secret_id.as_str(), event.client_request_token.as_str());
    request_log::record(|fields| fields.verdict = Some(event.step.as_str()));
    let current = deps.secrets.current(secret).await?;
    if current.id == version {
        // The step comes late or once more: the rotation is done.
        return Ok(Done {});
    }
    if let Step::Create = event.step {
        flow::create(&deps, secret, version, &current).await?;
        return Ok(Done {});
    }
    let pending = flow::pending(&deps, secret, version, &current).await?;
    match event.step {
        Step::Create => {}
        Step::Set => flow::set(&deps, &pending).await?,
        Step::Test => flow::test(&deps, &pending).await?,
        Step::Finish => flow::finish(&deps, secret, version, &current).await?,
    }
    Ok(Done {})
}

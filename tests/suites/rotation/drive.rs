//! Rotations as Secrets Manager drives them, and a laptop whose secrets are rotated.

use std::sync::Arc;

use ::rotation::{Deps, flow::RotationError};
use serde_json::json;
use shared::{entropy::OsEntropy, env::Env, http::record::Log, vars::Vars};

use super::secrets_manager::SecretsManager;
use crate::{Laptop, ManualClock, Start};

/// A day in seconds: what `next` must be old before it becomes `current`.
pub const DAY: u64 = 86_400;

/// The secrets as the template makes them.
pub const EMPTY: [(&str, &str); 3] =
    [("keyring", r#"{"keys":{}}"#), ("signing", r#"{"keys":[]}"#), ("jwks", r#"{"keys":[]}"#)];

pub const STEPS: [&str; 4] = ["createSecret", "setSecret", "testSecret", "finishSecret"];

/// The rotation function, which makes keys for ES256.
pub async fn deps(manager: &SecretsManager, clock: &ManualClock) -> Deps {
    deps_for("ES256", manager, clock).await
}

/// The rotation function, which makes keys for this algorithm.
pub async fn deps_for(algorithm: &str, manager: &SecretsManager, clock: &ManualClock) -> Deps {
    let vars: Vars = [
        ("WXAUTH_JWKS", "jwks"),
        ("WXAUTH_SIGNING_ALGORITHM", algorithm),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "key"),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", &manager.url),
    ]
    .into_iter()
    .collect();
    let env = Env::new(vars, Arc::new(clock.clone()), Arc::new(OsEntropy), Log::new(|_| ())).unwrap();
    Deps::from_env(env).await.unwrap()
}

pub async fn step(deps: &Deps, step: &str, secret: &str, version: &str) -> Result<(), RotationError> {
    let event = json!({ "Step": step, "SecretId": secret, "ClientRequestToken": version });
    ::rotation::handle(deps.clone(), serde_json::from_value(event).unwrap()).await.map(drop)
}

/// A whole rotation of both secrets, as Secrets Manager drives it.
pub async fn rotate(manager: &SecretsManager, deps: &Deps, version: &str) {
    for secret in ["keyring", "signing"] {
        manager.begin_rotation(secret, version);
        for name in STEPS {
            step(deps, name, secret, version).await.unwrap_or_else(|error| panic!("{secret} {name}: {error}"));
        }
    }
}

/// A laptop whose functions read their secrets from this Secrets Manager.
#[must_use]
pub fn start(manager: &SecretsManager) -> Start {
    Start::default()
        .var("WXAUTH_KEYRING", "keyring")
        .var("WXAUTH_SIGNING_KEYS", "signing")
        .var("WXAUTH_JWKS", "jwks")
        .var("AWS_ENDPOINT_URL_SECRETS_MANAGER", &manager.url)
}

/// A started laptop with the settings above.
pub async fn laptop(manager: &SecretsManager) -> Laptop {
    start(manager).go().await
}

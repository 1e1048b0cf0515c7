//! The four steps. The value itself tells which of the two secrets it is: a keyring or a JWK set.

use shared::{
    problem::{Code, Problem},
    secrets::{
        FromSecret as _, SecretDefect,
        key_rotation::{ManageError, Version},
    },
    token::{
        access::AccessSigner,
        jwks::{MakeError, PrivateJwks, PublicJwks},
        keyring::{Keyring, StoredKeyring},
    },
};
use zeroize::Zeroizing;

use crate::Deps;

/// Why a step failed. Secrets Manager tries again, and the alarm tells the owner.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// Secrets Manager failed.
    #[error(transparent)]
    Manage(#[from] ManageError),
    /// No key could be made.
    #[error(transparent)]
    Make(#[from] MakeError),
    /// The value is neither a keyring nor a private JWK set.
    #[error("the secret is neither a keyring nor a private JWK set")]
    Foreign,
    /// There is no pending version of this token: the steps came in another order.
    #[error("there is no pending version")]
    NothingPending,
    /// The pending version was made from another value, or too long ago.
    #[error("the pending version is stale and was put aside; the next rotation starts anew")]
    Stale,
    /// The public half does not hold all keys of the pending version.
    #[error("the public half is not published")]
    Unpublished,
    /// The pending version does not work.
    #[error("the pending version does not work: {0}")]
    Unfit(#[from] SecretDefect),
}

impl From<RotationError> for Problem {
    fn from(error: RotationError) -> Self {
        let code = match &error {
            RotationError::Manage(_) => Code::Unavailable,
            RotationError::Foreign => Code::Misconfigured,
            RotationError::Make(_)
            | RotationError::NothingPending
            | RotationError::Stale
            | RotationError::Unpublished
            | RotationError::Unfit(_) => Code::Internal,
        };
        Self::new(code).because(error)
    }
}

/// One of the two secrets.
pub enum Value {
    /// The keyring.
    Keyring(StoredKeyring),
    /// The signing keys.
    SigningKeys(PrivateJwks),
}

impl Value {
    fn read(text: &str) -> Result<Self, RotationError> {
        let ring = serde_json::from_str(text).map(Self::Keyring);
        ring.or_else(|_| serde_json::from_str(text).map(Self::SigningKeys)).map_err(|_| RotationError::Foreign)
    }

    fn text(&self) -> Result<Zeroizing<String>, RotationError> {
        let text = match self {
            Self::Keyring(ring) => serde_json::to_string(ring),
            Self::SigningKeys(set) => serde_json::to_string(set),
        };
        text.map(Zeroizing::new).map_err(|_| RotationError::Foreign)
    }

    /// The value after a rotation; `None` while the next key is too young.
    fn rotated(self, deps: &Deps) -> Result<Option<Self>, RotationError> {
        let now = deps.clock.now();
        Ok(match self {
            Self::Keyring(ring) => ring.rotated(now, deps.keep, &*deps.entropy).map(Self::Keyring),
            Self::SigningKeys(set) => set.rotated(deps.kind, now)?.map(Self::SigningKeys),
        })
    }

    fn follows(&self, before: &Self, deps: &Deps) -> bool {
        let now = deps.clock.now();
        match (self, before) {
            (Self::Keyring(after), Self::Keyring(before)) => after.follows(before, now),
            (Self::SigningKeys(after), Self::SigningKeys(before)) => after.follows(before, now),
            (Self::Keyring(_), Self::SigningKeys(_)) | (Self::SigningKeys(_), Self::Keyring(_)) => false,
        }
    }
}

/// Makes the pending version from the current one, never from one that an earlier rotation left pending. Such a version may
/// hold keys that the owner has replaced since, or keys that look old enough but were never published.
pub async fn create(deps: &Deps, secret: &str, version: &str, current: &Version) -> Result<(), RotationError> {
    if deps.secrets.pending(secret, version).await?.is_some() {
        return pending(deps, secret, version, current).await.map(drop);
    }
    let text = match Value::read(&current.text)?.rotated(deps)? {
        Some(rotated) => rotated.text()?,
        None => current.text.clone(),
    };
    Ok(deps.secrets.put_pending(secret, version, &text).await?)
}

/// Writes the public half of signing keys, before the private half becomes current.
pub async fn set(deps: &Deps, pending: &Value) -> Result<(), RotationError> {
    match pending {
        Value::Keyring(_) => Ok(()),
        Value::SigningKeys(set) => {
            let public = serde_json::to_string(&set.public()).map_err(|_| RotationError::Foreign)?;
            Ok(deps.jwks.write(&public).await?)
        }
    }
}

/// Reads the pending version and its published half, as the functions will.
pub async fn test(deps: &Deps, pending: &Value) -> Result<(), RotationError> {
    let text = pending.text()?;
    match pending {
        Value::Keyring(_) => drop(Keyring::from_secret(&text)?),
        Value::SigningKeys(set) => {
            drop(AccessSigner::from_secret(&text)?);
            let published = PublicJwks::from_secret(&deps.jwks.read().await?)?;
            if !set.kids().is_subset(&published.kids()) {
                return Err(RotationError::Unpublished);
            }
        }
    }
    Ok(())
}

/// Makes the pending version current.
pub async fn finish(deps: &Deps, secret: &str, version: &str, current: &Version) -> Result<(), RotationError> {
    Ok(deps.secrets.finish(secret, version, &current.id).await?)
}

/// The pending version, if it may still become current: it is a copy of the current value, or was made from it a moment
/// ago. Any other one loses its stage, so that the next rotation starts anew.
pub async fn pending(deps: &Deps, secret: &str, version: &str, current: &Version) -> Result<Value, RotationError> {
    let text = deps.secrets.pending(secret, version).await?.ok_or(RotationError::NothingPending)?;
    let value = Value::read(&text)?;
    if text == current.text || value.follows(&Value::read(&current.text)?, deps) {
        return Ok(value);
    }
    deps.secrets.discard(secret, version).await?;
    Err(RotationError::Stale)
}

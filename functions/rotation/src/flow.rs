//! The four steps. The value itself tells which of the two secrets it is: a keyring or a JWK set.

use shared::{
    secrets::{FromSecret as _, SecretDefect, rotation::ManageError},
    token::{
        access::{AccessSigner, AccessVerifier},
        jwks::{MakeError, PrivateJwks},
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
    /// The pending version does not work.
    #[error("the pending version does not work: {0}")]
    Unfit(#[from] SecretDefect),
}

/// One of the two secrets.
enum Value {
    Keyring(StoredKeyring),
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

    /// The value after a rotation; `None` while it must stay as it is.
    fn rotated(self, deps: &Deps) -> Result<Option<Self>, RotationError> {
        let now = deps.clock.now();
        Ok(match self {
            Self::Keyring(ring) => ring.rotated(now, deps.keep, &*deps.entropy).map(Self::Keyring),
            Self::SigningKeys(set) => set.rotated(deps.kind, now)?.map(Self::SigningKeys),
        })
    }

    fn follows(&self, before: &Self) -> bool {
        match (self, before) {
            (Self::Keyring(after), Self::Keyring(before)) => after.follows(before),
            (Self::SigningKeys(after), Self::SigningKeys(before)) => after.follows(before),
            (Self::Keyring(_), Self::SigningKeys(_)) | (Self::SigningKeys(_), Self::Keyring(_)) => false,
        }
    }
}

/// Makes the pending version. What an earlier rotation left pending is used again, if it follows the current value: its
/// public half may be known already.
pub async fn create(deps: &Deps, secret: &str, version: &str) -> Result<(), RotationError> {
    if deps.secrets.pending(secret, Some(version)).await?.is_some() {
        return Ok(());
    }
    let current_text = deps.secrets.current(secret).await?.text;
    let current = Value::read(&current_text)?;
    if let Some(left) = deps.secrets.pending(secret, None).await?
        && Value::read(&left).is_ok_and(|value| value.follows(&current))
    {
        return Ok(deps.secrets.put_pending(secret, version, &left).await?);
    }
    let text = match current.rotated(deps)? {
        Some(rotated) => rotated.text()?,
        None => current_text,
    };
    Ok(deps.secrets.put_pending(secret, version, &text).await?)
}

/// Writes the public half of signing keys, before the private half counts.
pub async fn set(deps: &Deps, secret: &str, version: &str) -> Result<(), RotationError> {
    match pending(deps, secret, version).await? {
        Value::Keyring(_) => Ok(()),
        Value::SigningKeys(set) => {
            let public = serde_json::to_string(&set.public()).map_err(|_| RotationError::Foreign)?;
            Ok(deps.jwks.write(&public).await?)
        }
    }
}

/// Reads the pending version as the functions will.
pub async fn test(deps: &Deps, secret: &str, version: &str) -> Result<(), RotationError> {
    let value = pending(deps, secret, version).await?;
    let text = value.text()?;
    match value {
        Value::Keyring(_) => drop(Keyring::from_secret(&text)?),
        Value::SigningKeys(set) => {
            let public = serde_json::to_string(&set.public()).map_err(|_| RotationError::Foreign)?;
            drop((AccessSigner::from_secret(&text)?, AccessVerifier::from_secret(&public)?));
        }
    }
    Ok(())
}

/// Makes the pending version current.
pub async fn finish(deps: &Deps, secret: &str, version: &str) -> Result<(), RotationError> {
    let current = deps.secrets.current(secret).await?;
    if current.id == version {
        return Ok(());
    }
    pending(deps, secret, version).await?;
    Ok(deps.secrets.finish(secret, version, &current.id).await?)
}

async fn pending(deps: &Deps, secret: &str, version: &str) -> Result<Value, RotationError> {
    let text = deps.secrets.pending(secret, Some(version)).await?.ok_or(RotationError::NothingPending)?;
    Value::read(&text)
}

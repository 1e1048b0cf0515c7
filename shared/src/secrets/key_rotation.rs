//! Secrets as the `rotation` function handles them: their versions, and the stage that makes one current.

use async_trait::async_trait;
use aws_sdk_secretsmanager::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
};
use zeroize::Zeroizing;

const CURRENT: &str = "AWSCURRENT";
const PENDING: &str = "AWSPENDING";

/// Secrets Manager refused or failed, with its own error code.
#[derive(Debug, thiserror::Error)]
#[error("Secrets Manager: {0}")]
pub struct ManageError(String);

/// The current version of a secret.
pub struct Version {
    /// Secrets Manager's `VersionId`.
    pub id: String,
    /// Secrets Manager's `SecretString`.
    pub text: Zeroizing<String>,
}

/// `GetSecretValue`, `PutSecretValue` and `UpdateSecretVersionStage` on a rotated secret.
#[async_trait]
pub trait RotateSecret: Send + Sync {
    /// The version at `AWSCURRENT`.
    async fn current(&self, secret: &str) -> Result<Version, ManageError>;

    /// The text of this version, if it is the pending one and has a text.
    async fn pending(&self, secret: &str, version: &str) -> Result<Option<Zeroizing<String>>, ManageError>;

    /// Takes the pending stage from a version that must not become current.
    async fn discard(&self, secret: &str, version: &str) -> Result<(), ManageError>;

    /// Makes a version at `AWSPENDING`.
    async fn put_pending(&self, secret: &str, version: &str, text: &str) -> Result<(), ManageError>;

    /// Makes a version current in place of another.
    async fn finish(&self, secret: &str, version: &str, instead_of: &str) -> Result<(), ManageError>;
}

/// `GetSecretValue` and `PutSecretValue` on a secret that has no rotation of its own.
#[async_trait]
pub trait WriteSecret: Send + Sync {
    /// The present text.
    async fn read(&self) -> Result<String, ManageError>;

    /// Replaces the text, unless it is this one already.
    async fn write(&self, text: &str) -> Result<(), ManageError>;
}

/// AWS Secrets Manager.
#[derive(Clone, Debug)]
pub struct SecretsManager(pub Client);

/// One secret in AWS Secrets Manager.
#[derive(Clone, Debug)]
pub struct WrittenSecret {
    /// The client.
    pub client: Client,
    /// Name or ARN.
    pub id: String,
}

fn failed<E: ProvideErrorMetadata>(error: &SdkError<E>) -> ManageError {
    let service = error.as_service_error().and_then(ProvideErrorMetadata::code);
    ManageError(service.unwrap_or("no answer").to_owned())
}

fn is_absent<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    error.as_service_error().and_then(ProvideErrorMetadata::code) == Some("ResourceNotFoundException")
}

#[async_trait]
impl RotateSecret for SecretsManager {
    async fn current(&self, secret: &str) -> Result<Version, ManageError> {
        let request = self.0.get_secret_value().secret_id(secret).version_stage(CURRENT);
        let value = request.send().await.map_err(|error| failed(&error))?;
        match (value.version_id, value.secret_string) {
            (Some(id), Some(text)) => Ok(Version { id, text: Zeroizing::new(text) }),
            _ => Err(ManageError("the secret has no text".to_owned())),
        }
    }

    async fn pending(&self, secret: &str, version: &str) -> Result<Option<Zeroizing<String>>, ManageError> {
        // Only the stage is asked for: AWS does not document the response to a version and a stage that do not match.
        let request = self.0.get_secret_value().secret_id(secret).version_stage(PENDING);
        match request.send().await {
            Ok(value) if value.version_id.as_deref() == Some(version) => Ok(value.secret_string.map(Zeroizing::new)),
            Ok(_) => Ok(None),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(failed(&error)),
        }
    }

    async fn discard(&self, secret: &str, version: &str) -> Result<(), ManageError> {
        let request = self.0.update_secret_version_stage().secret_id(secret).version_stage(PENDING);
        request.remove_from_version_id(version).send().await.map(drop).map_err(|error| failed(&error))
    }

    async fn put_pending(&self, secret: &str, version: &str, text: &str) -> Result<(), ManageError> {
        let request = self.0.put_secret_value().secret_id(secret).client_request_token(version);
        let request = request.secret_string(text).version_stages(PENDING);
        request.send().await.map(drop).map_err(|error| failed(&error))
    }

    async fn finish(&self, secret: &str, version: &str, instead_of: &str) -> Result<(), ManageError> {
        let request = self.0.update_secret_version_stage().secret_id(secret).version_stage(CURRENT);
        match request.move_to_version_id(version).remove_from_version_id(instead_of).send().await {
            Ok(_) => Ok(()),
            // The SDK's own repetition after a lost acknowledgement finds the stage moved.
            Err(_) if self.current(secret).await.is_ok_and(|current| current.id == version) => Ok(()),
            Err(error) => Err(failed(&error)),
        }
    }
}

#[async_trait]
impl WriteSecret for WrittenSecret {
    async fn read(&self) -> Result<String, ManageError> {
        let value = self.client.get_secret_value().secret_id(&self.id).send().await.map_err(|error| failed(&error))?;
        value.secret_string.ok_or_else(|| ManageError("the secret has no text".to_owned()))
    }

    async fn write(&self, text: &str) -> Result<(), ManageError> {
        if self.read().await? == text {
            return Ok(());
        }
        let request = self.client.put_secret_value().secret_id(&self.id).secret_string(text);
        request.send().await.map(drop).map_err(|error| failed(&error))
    }
}

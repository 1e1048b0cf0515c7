//! The emergency brake: all sessions that were made before one instant are over, at once.
//!
//! Whoever pulls it writes that instant into a secret of its own. No deployment writes that secret again, and functions that run
//! read it within minutes, so pulling the brake is no deployment, and no deployment lifts it.

use std::sync::Arc;

use serde::Deserialize;

use crate::{
    clock::Secs,
    secrets::{FromSecret, Secret, SecretDefect, SecretError},
};

/// What the secret of the brake holds.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct PulledBrake {
    not_before: u32,
}

impl FromSecret for PulledBrake {
    const EXPECTED_FORMAT: &'static str = r#"the emergency brake: {"not_before": Unix seconds}"#;

    // Together with the time that a new value takes to be seen everywhere, less than the five minutes that are promised.
    const FRESH: Secs = 2 * 60;
    const OLD: Secs = 4 * 60;

    fn from_secret(text: &str) -> Result<Self, SecretDefect> {
        serde_json::from_str(text).map_err(|_| SecretDefect::Malformed)
    }
}

/// The emergency brake as a function reads it.
#[derive(Clone, Debug, Default)]
pub struct Brake {
    /// `WXAUTH_NOT_BEFORE`, in Unix seconds.
    pub at_least: Secs,
    /// What `WXAUTH_BRAKE` names, if it is set.
    pub pulled: Option<Arc<Secret<PulledBrake>>>,
}

impl Brake {
    /// Sessions that were created before this instant, in Unix seconds, are over.
    ///
    /// Without the secret nothing can be said of a session, so that is an error and no verdict.
    pub async fn not_before(&self) -> Result<Secs, SecretError> {
        match &self.pulled {
            Some(pulled) => Ok(self.at_least.max(pulled.get().await?.not_before.into())),
            None => Ok(self.at_least),
        }
    }
}

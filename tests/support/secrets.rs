//! Secrets that never change.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use serde_json::json;
use shared::{
    secrets::{FromSecret, ReadSecret, Secret},
    token::jwks::{KeyKind, PrivateJwks},
};

use crate::{BEGIN, ManualClock};

struct Fixed(String);

#[async_trait]
impl ReadSecret for Fixed {
    async fn read(&self) -> Result<String, &'static str> {
        Ok(self.0.clone())
    }
}

pub(crate) async fn secret<T: FromSecret>(text: String) -> Arc<Secret<T>> {
    // The clock does not move, so the secret is never read again.
    Secret::open("WXAUTH_GIVEN", Box::new(Fixed(text)), Arc::new(ManualClock::at(0))).await.expect("a secret")
}

/// A ring of two keys.
pub(crate) fn ring(current: usize) -> String {
    let key = |letter: &str| format!("{}A", letter.repeat(42));
    json!({ "current": current, "keys": { "1": key("A"), "2": key("Q") } }).to_string()
}

/// Made once, because making a key takes longer than all the rest.
pub(crate) fn signing_keys() -> &'static PrivateJwks {
    static KEYS: OnceLock<PrivateJwks> = OnceLock::new();
    KEYS.get_or_init(|| PrivateJwks { keys: Vec::new() }.rotated(KeyKind::Ec, BEGIN).ok().flatten().expect("keys"))
}

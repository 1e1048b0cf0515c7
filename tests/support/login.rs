//! The login function on the table in memory.

use std::sync::Arc;

use serde_json::json;
use shared::{
    clock::Clock,
    config::{Issuing, Vars},
    entropy::Entropy,
    http::record::Log,
    session::{memory::MemoryTable, rotation::RefreshPolicy},
    wechat::ExchangeCode,
};

use crate::{
    APPID,
    secrets::{ring, secret, signing_keys},
};

/// With one mini program, secrets that never change, and a log that nobody reads.
pub(crate) async fn login_deps(
    table: Arc<MemoryTable>,
    wechat: Arc<dyn ExchangeCode>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> login::Deps {
    login::Deps {
        wechat,
        users: table.clone(),
        unionids: table.clone(),
        sessions: table.clone(),
        claims: table.clone(),
        erase: table.clone(),
        list: table.clone(),
        end: table.clone(),
        read: table.clone(),
        user: table.clone(),
        keys: table,
        apps: secret(json!({ "apps": { APPID: { "secret": "s" } } }).to_string()).await,
        keyring: secret(ring(1)).await,
        signer: secret(serde_json::to_string(signing_keys()).expect("JSON")).await,
        quota: Arc::default(),
        issuing: Issuing::from_vars(&Vars::from_iter([("WXAUTH_ISSUER", "https://a.example")])).expect("variables"),
        policy: RefreshPolicy::default(),
        clock,
        entropy,
        log: Log::new(|_| {}),
    }
}

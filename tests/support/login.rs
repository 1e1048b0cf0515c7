//! The login function on the table in memory.

use std::sync::Arc;

use serde_json::json;
use shared::{
    brake::Brake, clock::Clock, entropy::Entropy, http::extract::Senders, session::refresh::RefreshPolicy,
    token::access::AccessTokenConfig, vars::Vars, wechat::api::ExchangeCode,
};

use crate::APPID;
use crate::secrets::{ring, secret, signing_keys};

/// With one mini program and secrets that never change.
pub(crate) async fn login_deps(
    table: Arc<dyn login::Table>,
    wechat: Arc<dyn ExchangeCode>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> login::Deps {
    let keyring = secret(ring(1)).await;
    login::Deps {
        wechat,
        table,
        apps: secret(json!({ "apps": { APPID: { "secret": "s" } } }).to_string()).await,
        senders: Senders { proxy: None, keyring: keyring.clone() },
        keyring,
        signer: secret(serde_json::to_string(signing_keys()).expect("JSON")).await,
        codes: Arc::new(login::codes::LoginCodes::new(100, entropy.clone())),
        access_tokens: AccessTokenConfig::from_vars(&Vars::from_iter([("WXAUTH_ISSUER", "https://a.example")]))
            .expect("variables"),
        policy: RefreshPolicy::default(),
        brake: Brake::default(),
        clock,
        entropy,
    }
}

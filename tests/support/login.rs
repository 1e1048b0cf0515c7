//! The login function on the table in memory.

use std::sync::Arc;

use serde_json::json;
use shared::{
    clock::Clock, entropy::Entropy, session::refresh::RefreshPolicy, token::access::AccessTokenConfig, vars::Vars,
    wechat::api::ExchangeCode,
};

use crate::{
    APPID,
    secrets::{ring, secret, signing_keys},
};

/// With one mini program and secrets that never change.
pub(crate) async fn login_deps(
    table: Arc<dyn login::Table>,
    wechat: Arc<dyn ExchangeCode>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> login::Deps {
    login::Deps {
        wechat,
        table,
        apps: secret(json!({ "apps": { APPID: { "secret": "s" } } }).to_string()).await,
        keyring: secret(ring(1)).await,
        signer: secret(serde_json::to_string(signing_keys()).expect("JSON")).await,
        refused_codes: Arc::default(),
        access_tokens: AccessTokenConfig::from_vars(&Vars::from_iter([("WXAUTH_ISSUER", "https://a.example")]))
            .expect("variables"),
        policy: RefreshPolicy::default(),
        clock,
        entropy,
    }
}

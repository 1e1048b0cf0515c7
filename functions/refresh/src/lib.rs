//! `POST /v1/refresh`: a refresh token for its successor and a new access token.

pub mod flow;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{FromRef, State},
};
use serde::Deserialize;
use shared::{
    brake::Brake,
    clock::{Clock, Deadline},
    entropy::Entropy,
    env::Env,
    http::{
        JsonResponse, Route, RouterExt as _,
        body::JsonBody,
        extract::{Issuer, Senders},
        named, within,
    },
    problem::Problem,
    secrets::Secret,
    session::refresh::RefreshPolicy,
    store::grants::{RefreshSession, RevokeSession},
    token::{
        TokenResponse,
        access::{AccessSigner, AccessTokenConfig},
        keyring::Keyring,
    },
    vars::ConfigError,
};

pub const REFRESH: Route = Route::post("/v1/refresh");

pub const ROUTES: &[Route] = &[REFRESH];

/// A client waits 10 s and tries three times, so an early failure is better than a late success.
const LONGEST: Duration = Duration::from_millis(2_500);

shared::grants! {
    /// What a refresh may do with the table.
    pub trait Table = RefreshSession, RevokeSession;
}

/// All that a refresh may touch: session items and our own keys. It does not need WeChat.
#[derive(Clone)]
pub struct Deps {
    pub table: Arc<dyn Table>,
    /// Authenticates refresh tokens.
    pub keyring: Arc<Secret<Keyring>>,
    /// Signs access tokens.
    pub signer: Arc<Secret<AccessSigner>>,
    pub access_tokens: AccessTokenConfig,
    pub policy: RefreshPolicy,
    pub brake: Brake,
    pub senders: Senders,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
}

impl Deps {
    pub async fn from_env(env: Env) -> Result<Self, ConfigError> {
        let (table, access_tokens, policy) = (env.table()?, env.access_token_config()?, env.refresh_policy()?);
        let (keyring, signer, brake, proxy) = tokio::try_join!(env.keyring(), env.signer(), env.brake(), env.proxy())?;
        let (clock, entropy, senders) = (env.clock(), env.entropy(), Senders { proxy, keyring: keyring.clone() });
        Ok(Self { table, keyring, signer, access_tokens, policy, brake, senders, clock, entropy })
    }
}

impl FromRef<Deps> for AccessTokenConfig {
    fn from_ref(deps: &Deps) -> Self {
        deps.access_tokens.clone()
    }
}

pub fn router(deps: Deps) -> Router {
    let senders = deps.senders.clone();
    within(LONGEST, named(senders, Router::new().on(REFRESH, refresh).with_state(deps)))
}

#[derive(Deserialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
struct RefreshRequest {
    /// The newest one that login or refresh gave.
    refresh_token: String,
}

async fn refresh(
    State(deps): State<Deps>,
    Issuer(issuer): Issuer,
    deadline: Deadline,
    JsonBody { value, .. }: JsonBody<RefreshRequest>,
) -> Result<JsonResponse<TokenResponse>, Problem> {
    Ok(JsonResponse(flow::refresh(&deps, &value.refresh_token, &issuer, deadline).await?))
}

/// What the contract says about the route.
#[cfg(feature = "contract")]
#[must_use]
pub fn operations() -> Vec<shared::contract::Operation> {
    use shared::{contract::Operation, problem::Code};
    vec![
        Operation::new(REFRESH, "refresh", "A refresh token for its successor and a new access token")
            .takes::<RefreshRequest>()
            .gives::<TokenResponse>()
            .refuses(&[Code::LoginRequired, Code::TokenReused]),
    ]
}

//! `POST /v1/refresh`: a refresh token for its successor and a new access token.

#[cfg(feature = "contract")]
pub mod contract;
pub mod flow;

use std::{sync::Arc, time::Duration};

use axum::{Router, extract::State, routing::post};
use serde::Deserialize;
use shared::{
    clock::{Clock, Deadline},
    config::{ConfigError, Issuing},
    entropy::Entropy,
    env::Env,
    http::{Answer, Domain, Route, body::JsonBody, record::Log, stack, within},
    problem::Problem,
    secrets::Secret,
    session::{EndSession, RotateSession, rotation::RefreshPolicy},
    token::{TokenAnswer, access::AccessSigner, keyring::Keyring},
};

/// What the template routes here.
pub const ROUTES: &[Route] = &[Route::post("/v1/refresh")];

/// What the one write takes at most. A client waits 10 s and tries three times: sooner is better than surer.
const LONGEST: Duration = Duration::from_millis(2_500);

/// All that a refresh may touch: the session item and our own keys. Not WeChat.
#[derive(Clone)]
pub struct Deps {
    /// The one conditional write.
    pub rotate: Arc<dyn RotateSession>,
    /// The end of a reused family.
    pub end: Arc<dyn EndSession>,
    /// The keys that MAC refresh tokens.
    pub keyring: Arc<Secret<Keyring>>,
    /// The key that signs access tokens.
    pub signer: Arc<Secret<AccessSigner>>,
    /// How access tokens are filled.
    pub issuing: Issuing,
    /// The times that decide.
    pub policy: RefreshPolicy,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness for the access token's id.
    pub entropy: Arc<dyn Entropy>,
    /// The log.
    pub log: Log,
}

impl Deps {
    /// Reads the variables and secrets that this function needs.
    pub async fn from_env(env: Env) -> Result<Self, ConfigError> {
        let table = env.table()?;
        let (issuing, policy) = (env.issuing()?, env.refresh_policy()?);
        let (keyring, signer) = tokio::try_join!(env.keyring(), env.signer())?;
        Ok(Self {
            rotate: table.clone(),
            end: table,
            keyring,
            signer,
            issuing,
            policy,
            clock: env.clock(),
            entropy: env.entropy(),
            log: env.log(),
        })
    }
}

/// The function, to be mounted anywhere.
pub fn router(deps: Deps) -> Router {
    let log = deps.log.clone();
    let routes = Router::new().route(ROUTES[0].path, post(refresh)).with_state(deps);
    stack(within(LONGEST, routes), log)
}

#[derive(Deserialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
struct RefreshRequest {
    /// The newest one that login or refresh gave.
    refresh_token: String,
}

async fn refresh(
    State(deps): State<Deps>,
    domain: Domain,
    by: Deadline,
    JsonBody { value, .. }: JsonBody<RefreshRequest>,
) -> Result<Answer<TokenAnswer>, Problem> {
    Ok(Answer(flow::refresh(&deps, &value.refresh_token, &domain.issuer(&deps.issuing), by).await?))
}

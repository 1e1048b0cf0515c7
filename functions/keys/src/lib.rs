//! The well-known documents: who issues our access tokens, and the keys that verify them.
//!
//! They are answered from memory: an authorizer that starts cold gives up after 1.5 seconds.

#[cfg(feature = "contract")]
pub mod contract;

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Serialize;
use shared::{
    config::{ConfigError, Issuing},
    env::Env,
    http::{Answer, Domain, Route, cached, record::Log, stack},
    problem::Problem,
    secrets::Secret,
    token::jwks::PublicJwks,
};

/// What the template routes here.
pub const ROUTES: &[Route] = &[Route::get("/.well-known/openid-configuration"), Route::get("/.well-known/jwks.json")];

/// All that this function may touch: the public keys.
#[derive(Clone)]
pub struct Deps {
    /// The public halves of all signing keys.
    pub jwks: Arc<Secret<PublicJwks>>,
    /// The issuer.
    pub issuing: Issuing,
    /// The log.
    pub log: Log,
}

impl Deps {
    /// Reads the variables and secrets that this function needs.
    pub async fn from_env(env: Env) -> Result<Self, ConfigError> {
        Ok(Self { issuing: env.issuing()?, jwks: env.jwks().await?, log: env.log() })
    }
}

/// The function, to be mounted anywhere.
pub fn router(deps: Deps) -> Router {
    let log = deps.log.clone();
    let routes = Router::new().route(ROUTES[0].path, get(discovery)).route(ROUTES[1].path, get(jwks));
    stack(routes.with_state(deps), log)
}

/// The provider's metadata (OpenID Connect Discovery 1.0 section 3), as far as there is something to say.
#[derive(Serialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
struct Discovery<'a> {
    issuer: &'a str,
    jwks_uri: String,
    response_types_supported: [&'static str; 1],
    subject_types_supported: [&'static str; 1],
    id_token_signing_alg_values_supported: Vec<&'a str>,
}

async fn discovery(State(deps): State<Deps>, domain: Domain) -> Result<Response, Problem> {
    let keys = deps.jwks.get().await?;
    let issuer = domain.issuer(&deps.issuing);
    let document = Discovery {
        jwks_uri: format!("{issuer}{}", ROUTES[1].path),
        issuer: &issuer,
        response_types_supported: ["none"],
        // An openid names a user to one mini program only (OpenID Connect Core section 8.1).
        subject_types_supported: ["pairwise"],
        id_token_signing_alg_values_supported: keys.algorithms().into_iter().collect(),
    };
    Ok(cached(Answer(document).into_response()))
}

async fn jwks(State(deps): State<Deps>) -> Result<Response, Problem> {
    let keys = deps.jwks.get().await?;
    Ok(cached(Answer(&*keys).into_response()))
}

//! The well-known documents: who issues our access tokens, and the keys that verify them.
//!
//! They are answered from memory, because an authorizer that starts cold gives up after 1.5 seconds.

use std::sync::Arc;

use axum::{
    Router,
    extract::{FromRef, State},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use shared::{
    env::Env,
    http::{JsonResponse, Route, RouterExt as _, cached, extract::Issuer},
    problem::Problem,
    secrets::Secret,
    token::{access::AccessTokenConfig, jwks::PublicJwks},
    vars::ConfigError,
};

pub const DISCOVERY: Route = Route::get("/.well-known/openid-configuration");
pub const JWKS: Route = Route::get("/.well-known/jwks.json");

pub const ROUTES: &[Route] = &[DISCOVERY, JWKS];

#[derive(Clone)]
pub struct Deps {
    pub jwks: Arc<Secret<PublicJwks>>,
    pub access_tokens: AccessTokenConfig,
}

impl Deps {
    pub async fn from_env(env: Env) -> Result<Self, ConfigError> {
        Ok(Self { access_tokens: env.access_token_config()?, jwks: env.jwks().await? })
    }
}

impl FromRef<Deps> for AccessTokenConfig {
    fn from_ref(deps: &Deps) -> Self {
        deps.access_tokens.clone()
    }
}

pub fn router(deps: Deps) -> Router {
    Router::new().on(DISCOVERY, discovery).on(JWKS, jwks).with_state(deps)
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

async fn discovery(State(deps): State<Deps>, Issuer(issuer): Issuer) -> Result<Response, Problem> {
    let keys = deps.jwks.get().await?;
    let document = Discovery {
        jwks_uri: format!("{issuer}{}", JWKS.path),
        issuer: &issuer,
        response_types_supported: ["none"],
        // An openid names a user to one mini program only (OpenID Connect Core section 8.1).
        subject_types_supported: ["pairwise"],
        id_token_signing_alg_values_supported: keys.algorithms().into_iter().collect(),
    };
    Ok(cached(JsonResponse(document).into_response()))
}

async fn jwks(State(deps): State<Deps>) -> Result<Response, Problem> {
    let keys = deps.jwks.get().await?;
    Ok(cached(JsonResponse(&*keys).into_response()))
}

/// What the contract says about the routes.
#[cfg(feature = "contract")]
#[must_use]
pub fn operations() -> Vec<shared::contract::Operation> {
    use shared::contract::Operation;
    vec![
        Operation::new(DISCOVERY, "openid-configuration", "Who issues the access tokens")
            .gives::<Discovery<'_>>()
            .cached(),
        Operation::new(JWKS, "jwks", "The keys that verify the access tokens").gives::<PublicJwks>().cached(),
    ]
}

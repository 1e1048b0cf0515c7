//! `GET` and `POST /v1/push`: WeChat's message push. What a user took back at WeChat is forgotten here.
//!
//! `success` is said only when it is done: WeChat sends the message again otherwise. An owner who has another address
//! for pushes forwards these requests as they are, query and body.

#[cfg(feature = "contract")]
pub mod contract;
pub mod flow;

use std::sync::Arc;

use axum::{Router, extract::State, response::IntoResponse, routing::get};
use shared::{
    clock::Clock,
    config::ConfigError,
    env::Env,
    http::{Query, Route, body::RawBody, record::Log, stack},
    problem::Problem,
    secrets::Secret,
    session::ending::Ending,
    wechat::{Apps, push::Signed},
};

/// What the template routes here.
pub const ROUTES: &[Route] = &[Route::get("/v1/push"), Route::post("/v1/push")];

/// All that this function may touch.
#[derive(Clone)]
pub struct Deps {
    /// What is stored of a user, and the end of it.
    pub ending: Ending,
    /// The mini programs, and what signs their pushes.
    pub apps: Arc<Secret<Apps>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The log.
    pub log: Log,
}

impl Deps {
    /// Reads the variables and secrets that this function needs.
    pub async fn from_env(env: Env) -> Result<Self, ConfigError> {
        let table = env.table()?;
        Ok(Self { ending: Ending::over(&table), apps: env.apps().await?, clock: env.clock(), log: env.log() })
    }
}

/// The function, to be mounted anywhere.
pub fn router(deps: Deps) -> Router {
    let log = deps.log.clone();
    stack(Router::new().route(ROUTES[0].path, get(verify).post(push)).with_state(deps), log)
}

/// WeChat asks once, when the address is set in its console.
async fn verify(State(deps): State<Deps>, Query(signed): Query<Signed>) -> Result<impl IntoResponse, Problem> {
    Ok(flow::verify(&deps, signed).await?)
}

async fn push(
    State(deps): State<Deps>,
    Query(signed): Query<Signed>,
    RawBody(body): RawBody,
) -> Result<impl IntoResponse, Problem> {
    flow::push(&deps, &signed, &body).await?;
    Ok("success")
}

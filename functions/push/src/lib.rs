//! `GET` and `POST /v1/push`: WeChat's message push. What a user revoked at WeChat is deleted here.
//!
//! `success` is said only of a message that was read whole, and when that is done; otherwise WeChat sends the message again.
//! An owner who has another URL for pushes forwards these requests as they are, query and body.

pub mod flow;

use std::sync::Arc;

use axum::{Router, extract::State, response::IntoResponse};
use shared::{
    clock::Clock,
    env::Env,
    http::{Route, RouterExt as _, body::RawBody, extract::Query},
    problem::Problem,
    revocation::RevocationTable,
    secrets::Secret,
    store::grants::BeginExchange,
    vars::ConfigError,
    wechat::{app::Apps, push::PushQuery},
};

pub const VERIFY: Route = Route::get("/v1/push");
pub const PUSH: Route = Route::post("/v1/push");

pub const ROUTES: &[Route] = &[VERIFY, PUSH];

shared::grants! {
    /// What this function may do with the table.
    pub trait Table = RevocationTable, BeginExchange;
}

#[derive(Clone)]
pub struct Deps {
    pub table: Arc<dyn Table>,
    /// The mini programs, with what their pushes are verified and decrypted with.
    pub apps: Arc<Secret<Apps>>,
    pub clock: Arc<dyn Clock>,
}

impl Deps {
    pub async fn from_env(env: Env) -> Result<Self, ConfigError> {
        Ok(Self { table: env.table()?, apps: env.apps().await?, clock: env.clock() })
    }
}

pub fn router(deps: Deps) -> Router {
    Router::new().on(VERIFY, verify).on(PUSH, push).with_state(deps)
}

/// WeChat asks once, when the URL is set in its console.
async fn verify(State(deps): State<Deps>, Query(query): Query<PushQuery>) -> Result<impl IntoResponse, Problem> {
    Ok(flow::verify(&deps, &query).await?)
}

async fn push(
    State(deps): State<Deps>,
    Query(query): Query<PushQuery>,
    RawBody(body): RawBody,
) -> Result<impl IntoResponse, Problem> {
    flow::push(&deps, &query, &body).await?;
    Ok("success")
}

/// What the contract says about the routes.
#[cfg(feature = "contract")]
#[must_use]
pub fn operations() -> Vec<shared::contract::Operation> {
    use shared::contract::Operation;
    vec![
        Operation::new(VERIFY, "push-verify", "WeChat's console asks whose URL this is; answers `echostr`")
            .query::<PushQuery>()
            .gives_text(),
        Operation::new(PUSH, "push", "WeChat's message push; answers `success`")
            .query::<PushQuery>()
            .takes_anything(&["application/json", "text/xml"])
            .gives_text(),
    ]
}

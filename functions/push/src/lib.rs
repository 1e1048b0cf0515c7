//! `GET` and `POST /v1/push`: WeChat's message push. What a user revoked at WeChat is deleted here, and every message is handed to
//! the owner's function, if there is one, whose answer goes back to WeChat.
//!
//! A message is acknowledged only when it was read whole, and when all that is done; otherwise WeChat sends it again.
//! An owner who has another URL for pushes forwards these requests as they are, query and body.

pub mod flow;

use std::sync::Arc;

use axum::{Router, extract::State, http::header, response::IntoResponse};
use shared::{
    clock::{Clock, Deadline},
    entropy::Entropy,
    env::Env,
    http::{Route, RouterExt as _, body::RawBody, extract::Query},
    owner_function::AskOwner,
    problem::Problem,
    revocation::RevocationTable,
    secrets::Secret,
    store::grants::{BeginExchange, BindSignature, GiveUpExchange, KeepIdempotencyRecord},
    vars::ConfigError,
    wechat::push::{Format, PushApps, PushQuery},
};

pub const VERIFY: Route = Route::get("/v1/push");
pub const PUSH: Route = Route::post("/v1/push");

pub const ROUTES: &[Route] = &[VERIFY, PUSH];

shared::grants! {
    /// What this function may do with the table.
    pub trait Table = RevocationTable, BindSignature, BeginExchange, GiveUpExchange, KeepIdempotencyRecord;
}

#[derive(Clone)]
pub struct Deps {
    pub table: Arc<dyn Table>,
    /// The mini programs, with what their pushes are verified and decrypted with.
    pub apps: Arc<Secret<PushApps>>,
    /// The owner's function; without one, nobody gets the messages.
    pub target: Option<Arc<dyn AskOwner>>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
}

impl Deps {
    pub async fn from_env(env: Env) -> Result<Self, ConfigError> {
        let (table, target) = (env.table()?, env.push_target()?);
        Ok(Self { table, apps: env.push_apps().await?, target, clock: env.clock(), entropy: env.entropy() })
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
    deadline: Deadline,
    RawBody(body): RawBody,
) -> Result<impl IntoResponse, Problem> {
    let reply = flow::push(&deps, &query, &body, deadline).await?;
    let media_type = match reply.format {
        None => "text/plain; charset=utf-8",
        Some(Format::Json) => "application/json",
        Some(Format::Xml) => "text/xml; charset=utf-8",
    };
    Ok(([(header::CONTENT_TYPE, media_type)], reply.text))
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
        Operation::new(PUSH, "push", "WeChat's message push; answers `success`, or what the owner's function answers")
            .query::<PushQuery>()
            .takes_anything(&["application/json", "text/xml"])
            .gives_text_or(&["application/json", "text/xml"]),
    ]
}

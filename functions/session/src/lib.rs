//! This session, all sessions, logout, deletion of the user.
//!
//! `GET` and `DELETE /v1/session`, `GET` and `DELETE /v1/sessions`, `DELETE /v1/user`. Every route of ours and the
//! `authorizer` see a logout at once; elsewhere an access token is good until it expires.

pub mod flow;

use std::sync::Arc;

use axum::{
    Router,
    extract::{FromRef, State},
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shared::{
    authenticator::Authenticator,
    clock::{Clock, Deadline, Secs},
    env::Env,
    expiring::LeakyBuckets,
    http::{
        JsonResponse, Route, RouterExt as _,
        body::JsonBody,
        extract::{Query, Senders},
        named,
    },
    ids::{AppId, DeviceId, Sid},
    platform_token::calls::CheckSession,
    problem::Problem,
    revocation::RevocationTable,
    secrets::Secret,
    session::Session,
    store::grants::ReadUser,
    token::{access::Subject, keyring::Keyring},
    vars::ConfigError,
    wechat::app::Apps,
};

pub const SESSION: Route = Route::get("/v1/session");
pub const LOG_OUT: Route = Route::delete("/v1/session");
pub const SESSIONS: Route = Route::get("/v1/sessions");
pub const LOG_OUT_ALL: Route = Route::delete("/v1/sessions");
pub const DELETE_USER: Route = Route::delete("/v1/user");

pub const ROUTES: &[Route] = &[SESSION, LOG_OUT, SESSIONS, LOG_OUT_ALL, DELETE_USER];

shared::grants! {
    /// What this function may do with the table, beyond authentication.
    pub trait Table = RevocationTable, ReadUser;
}

#[derive(Clone)]
pub struct Deps {
    pub authenticator: Authenticator,
    pub table: Arc<dyn Table>,
    pub platform: Arc<dyn CheckSession>,
    /// How often each session had WeChat asked.
    pub checks: Arc<LeakyBuckets<Sid>>,
    pub apps: Arc<Secret<Apps>>,
    /// Opens `session_key`s and authenticates refresh tokens.
    pub keyring: Arc<Secret<Keyring>>,
    pub senders: Senders,
    pub clock: Arc<dyn Clock>,
}

impl Deps {
    pub async fn from_env(env: Env) -> Result<Self, ConfigError> {
        let table = env.table()?;
        let (authenticator, apps, keyring, proxy) =
            tokio::try_join!(env.authenticator(&table), env.apps(), env.keyring(), env.proxy())?;
        let platform = env.platform_tokens(&table, &keyring)?;
        let (clock, senders) = (env.clock(), Senders { proxy, keyring: keyring.clone() });
        Ok(Self { authenticator, table, platform, checks: Arc::default(), apps, keyring, senders, clock })
    }
}

impl FromRef<Deps> for Authenticator {
    fn from_ref(deps: &Deps) -> Self {
        deps.authenticator.clone()
    }
}

pub fn router(deps: Deps) -> Router {
    let senders = deps.senders.clone();
    let routes = Router::new()
        .on(SESSION, read)
        .on(LOG_OUT, log_out)
        .on(SESSIONS, list)
        .on(LOG_OUT_ALL, log_out_all)
        .on(DELETE_USER, delete_user)
        .with_state(deps);
    named(senders, routes)
}

#[derive(Clone, Copy, Deserialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
struct SessionQuery {
    /// `check` asks WeChat whether the `session_key` is still valid.
    wechat: Option<WechatQuery>,
}

#[derive(Clone, Copy, Deserialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
enum WechatQuery {
    /// `checksession`.
    Check,
}

/// What is known about the `session_key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum WechatSessionState {
    /// WeChat was not asked.
    Unchecked,
    /// WeChat says that it is valid.
    Ok,
    /// WeChat says that it is not, or there is none.
    Stale,
    /// WeChat did not say. No reason to log in again.
    Unknown,
}

/// The session of the request.
#[derive(Serialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
struct SessionResponse {
    #[cfg_attr(feature = "contract", schemars(with = "shared::ids::OpenId"))]
    openid: String,
    appid: AppId,
    /// Its id: what stands before the dot in the `device` of its login.
    device: DeviceId,
    /// Unix seconds.
    created_at: Secs,
    /// Unix seconds: the earlier of its absolute end and the end of its idle time, counted from now and to the day.
    expires_at: Secs,
    wechat_session: WechatSessionState,
}

/// The user's sessions.
#[derive(Serialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
struct SessionsResponse {
    /// The last used first, by `last_seen_at`.
    sessions: Vec<LoggedInDevice>,
}

/// A device that is logged in.
#[derive(Serialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
struct LoggedInDevice {
    /// Its id: what stands before the dot in the `device` of its login.
    device: DeviceId,
    /// Whether it is the one that asks.
    current: bool,
    /// Unix seconds.
    created_at: Secs,
    /// Unix seconds: its login, or the beginning of a later day (UTC) on which it was refreshed. Today is not told: yesterday
    /// stands for both.
    last_seen_at: Secs,
}

async fn read(
    State(deps): State<Deps>,
    subject: Subject,
    deadline: Deadline,
    Query(query): Query<SessionQuery>,
) -> Result<JsonResponse<SessionResponse>, Problem> {
    let session = flow::session(&deps, &subject).await?;
    let wechat_session = match query.wechat {
        None => WechatSessionState::Unchecked,
        Some(WechatQuery::Check) => flow::check(&deps, &subject, deadline).await,
    };
    Ok(JsonResponse(SessionResponse {
        openid: subject.openid.expose().to_owned(),
        appid: subject.appid,
        device: session.device,
        created_at: session.created_at,
        expires_at: session.told_expires_at(deps.clock.now()),
        wechat_session,
    }))
}

/// Whose session ends, where the access token has run out (RFC 7009).
#[derive(Deserialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
struct LogOutRequest {
    /// Any one of the session.
    refresh_token: String,
}

async fn log_out(
    State(deps): State<Deps>,
    subject: Result<Subject, Problem>,
    body: Option<JsonBody<LogOutRequest>>,
) -> Result<StatusCode, Problem> {
    match body {
        Some(JsonBody { value, .. }) => flow::revoke(&deps, &value.refresh_token).await?,
        None => flow::log_out(&deps, &subject?).await?,
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn list(State(deps): State<Deps>, subject: Subject) -> Result<JsonResponse<SessionsResponse>, Problem> {
    let (user, now) = (subject.session().user, deps.clock.now());
    let device = |session: Session| LoggedInDevice {
        device: session.device,
        current: user.sid(session.device) == subject.sid,
        created_at: session.created_at,
        last_seen_at: session.told_last_seen_at(now),
    };
    let sessions = flow::list(&deps, &subject).await?;
    Ok(JsonResponse(SessionsResponse { sessions: sessions.into_iter().map(device).collect() }))
}

async fn log_out_all(State(deps): State<Deps>, subject: Subject) -> Result<StatusCode, Problem> {
    flow::log_out_all(&deps, &subject).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn delete_user(State(deps): State<Deps>, subject: Subject) -> Result<StatusCode, Problem> {
    flow::delete_user(&deps, &subject).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What the contract says about the routes.
#[cfg(feature = "contract")]
#[must_use]
pub fn operations() -> Vec<shared::contract::Operation> {
    use shared::contract::Operation;
    vec![
        Operation::new(SESSION, "session", "The session of the access token")
            .bearer()
            .query::<SessionQuery>()
            .gives::<SessionResponse>(),
        Operation::new(LOG_OUT, "session-delete", "Logs this device out; also if it already was")
            .bearer()
            .or_takes::<LogOutRequest>(),
        Operation::new(SESSIONS, "sessions", "All sessions of the user").bearer().gives::<SessionsResponse>(),
        Operation::new(LOG_OUT_ALL, "sessions-delete", "Logs all devices of the user out").bearer(),
        Operation::new(DELETE_USER, "user-delete", "Deletes everything that is stored about the user").bearer(),
    ]
}

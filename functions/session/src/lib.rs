//! This session, all sessions, log out, forget the user.
//!
//! `GET` and `DELETE /v1/session`, `GET` and `DELETE /v1/sessions`, `DELETE /v1/user`. A logout is seen at once by every
//! route of ours and by `authorizer`; elsewhere an access token is good until it expires.

#[cfg(feature = "contract")]
pub mod contract;
pub mod flow;

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    routing::{delete, get},
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shared::{
    clock::{Clock, Deadline, Secs},
    config::ConfigError,
    env::Env,
    http::{Answer, Domain, Query, Route, bearer::Bearer, record::Log, stack},
    ids::Sid,
    problem::Problem,
    recent::Recent,
    redacted::AccessToken,
    secrets::Secret,
    session::{ReadUser, Session, admission::Admission, ending::Ending},
    token::{access::Subject, keyring::Keyring},
    wechat::{Apps, CheckSession},
};

/// What the template routes here.
pub const ROUTES: &[Route] = &[
    Route::get("/v1/session"),
    Route::delete("/v1/session"),
    Route::get("/v1/sessions"),
    Route::delete("/v1/sessions"),
    Route::delete("/v1/user"),
];

/// All that this function may touch.
#[derive(Clone)]
pub struct Deps {
    /// Who asks, and whether their session is still there.
    pub admission: Admission,
    /// The user's sessions, and the end of them and of all else.
    pub ending: Ending,
    /// The `session_key` that WeChat is asked about.
    pub user: Arc<dyn ReadUser>,
    /// WeChat's answer to that.
    pub check: Arc<dyn CheckSession>,
    /// How often each session has asked for that.
    pub checks: Arc<Recent<Sid, ()>>,
    /// The mini programs.
    pub apps: Arc<Secret<Apps>>,
    /// The keys that seal.
    pub keyring: Arc<Secret<Keyring>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The log.
    pub log: Log,
}

impl Deps {
    /// Reads the variables and secrets that this function needs.
    pub async fn from_env(env: Env) -> Result<Self, ConfigError> {
        let (table, issuing) = (env.table()?, env.issuing()?);
        let (apps, keyring, verifier) = tokio::try_join!(env.apps(), env.keyring(), env.verifier())?;
        let tokens = env.platform_tokens(&table, &keyring)?;
        Ok(Self {
            admission: Admission { verifier, sessions: table.clone(), issuing, clock: env.clock() },
            ending: Ending::over(&table),
            user: table,
            check: tokens,
            checks: Arc::default(),
            apps,
            keyring,
            clock: env.clock(),
            log: env.log(),
        })
    }

    /// Whom the token speaks for, by the token alone.
    async fn subject(&self, token: &AccessToken, domain: &Domain) -> Result<Subject, Problem> {
        let issuer = domain.issuer(&self.admission.issuing);
        Ok(self.admission.subject(token, Some(&issuer)).await?)
    }
}

/// The function, to be mounted anywhere.
pub fn router(deps: Deps) -> Router {
    let log = deps.log.clone();
    let routes = Router::new()
        .route(ROUTES[0].path, get(read).delete(log_out))
        .route(ROUTES[2].path, get(list).delete(end_all))
        .route(ROUTES[4].path, delete(forget));
    stack(routes.with_state(deps), log)
}

/// What may be asked of `GET /v1/session` beside the session itself.
#[derive(Clone, Copy, Deserialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
struct Asked {
    /// `check` asks WeChat whether the `session_key` is still valid.
    wechat: Option<AskedOfWechat>,
}

#[derive(Clone, Copy, Deserialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
enum AskedOfWechat {
    /// `checksession`.
    Check,
}

/// What is known of the `session_key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum WechatSession {
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
struct SessionAnswer {
    #[cfg_attr(feature = "contract", schemars(with = "shared::ids::OpenId"))]
    openid: String,
    #[cfg_attr(feature = "contract", schemars(with = "shared::ids::AppId"))]
    appid: String,
    #[cfg_attr(feature = "contract", schemars(with = "shared::ids::DeviceId"))]
    device: String,
    /// Unix seconds.
    created_at: Secs,
    /// Unix seconds: the earlier of its idle and its absolute end.
    expires_at: Secs,
    wechat_session: WechatSession,
}

/// The user's sessions.
#[derive(Serialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
struct SessionsAnswer {
    /// The last used first.
    sessions: Vec<Listed>,
}

/// A device that is logged in.
#[derive(Serialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
struct Listed {
    #[cfg_attr(feature = "contract", schemars(with = "shared::ids::DeviceId"))]
    device: String,
    /// Whether it is the one that asks.
    current: bool,
    /// Unix seconds.
    created_at: Secs,
    /// Unix seconds: its last refresh, or its login.
    last_seen_at: Secs,
}

impl Listed {
    fn of(session: &Session, current: bool) -> Self {
        let (created_at, last_seen_at) = (session.created_at, session.rotated_at);
        Self { device: session.device.encode(), current, created_at, last_seen_at }
    }
}

async fn read(
    State(deps): State<Deps>,
    domain: Domain,
    by: Deadline,
    Bearer(token): Bearer,
    Query(asked): Query<Asked>,
) -> Result<Answer<SessionAnswer>, Problem> {
    let subject = deps.subject(&token, &domain).await?;
    let session = flow::session(&deps, &subject).await?;
    let wechat_session = match asked.wechat {
        None => WechatSession::Unchecked,
        Some(AskedOfWechat::Check) => flow::check(&deps, &subject, by).await,
    };
    Ok(Answer(SessionAnswer {
        openid: subject.openid.expose().to_owned(),
        appid: subject.appid.to_string(),
        device: session.device.encode(),
        created_at: session.created_at,
        expires_at: session.expires_at(),
        wechat_session,
    }))
}

async fn log_out(State(deps): State<Deps>, domain: Domain, Bearer(token): Bearer) -> Result<StatusCode, Problem> {
    let subject = deps.subject(&token, &domain).await?;
    flow::log_out(&deps, &subject).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn list(
    State(deps): State<Deps>,
    domain: Domain,
    Bearer(token): Bearer,
) -> Result<Answer<SessionsAnswer>, Problem> {
    let subject = deps.subject(&token, &domain).await?;
    let sessions = flow::list(&deps, &subject).await?;
    let device = |session: &Session| Listed::of(session, subject.session().user.sid(session.device) == subject.sid);
    Ok(Answer(SessionsAnswer { sessions: sessions.iter().map(device).collect() }))
}

async fn end_all(State(deps): State<Deps>, domain: Domain, Bearer(token): Bearer) -> Result<StatusCode, Problem> {
    let subject = deps.subject(&token, &domain).await?;
    flow::end_all(&deps, &subject).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn forget(State(deps): State<Deps>, domain: Domain, Bearer(token): Bearer) -> Result<StatusCode, Problem> {
    let subject = deps.subject(&token, &domain).await?;
    flow::forget(&deps, &subject).await?;
    Ok(StatusCode::NO_CONTENT)
}

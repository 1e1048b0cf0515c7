//! `POST /v1/login`: a code of `wx.login` for our tokens.

mod attempt;
pub mod codes;
pub mod error;
pub mod flow;
mod profile;
mod replay;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{FromRef, State},
};
use serde::{Deserialize, Serialize};
use shared::{
    brake::Brake,
    clock::{Clock, Deadline},
    entropy::Entropy,
    env::Env,
    http::{
        JsonResponse, Route, RouterExt as _,
        body::JsonBody,
        extract::{Issuer, Senders},
        within,
    },
    ids::{AppId, Network},
    json::{Lenient, Optional},
    problem::Problem,
    secret_text::{IdempotencyKey, LoginCode},
    secrets::Secret,
    session::{idempotency::RequestHash, refresh::RefreshPolicy},
    store::grants::{
        EraseIdempotencyRecord, KeepIdempotencyRecord, ListUserItems, PutSession, ReadSession, ReadUser,
        RememberUnionid, RevokeSession, StoreUserLogin, TakeSessionKeys,
    },
    token::{
        TokenResponse,
        access::{AccessSigner, AccessTokenConfig},
        device::{PresentedDevice, ProvenDevice},
        keyring::Keyring,
    },
    vars::ConfigError,
    wechat::{
        api::ExchangeCode,
        app::Apps,
        opendata::{Profile, UserInfo},
    },
};

use codes::LoginCodes;

pub const LOGIN: Route = Route::post("/v1/login");

pub const ROUTES: &[Route] = &[LOGIN];

/// A client waits 15 s: these 8.2 for us, the rest for the network and a cold start. Secrets take 2 at most, the writes have the
/// last 1.5, and WeChat the time between.
const LONGEST: Duration = Duration::from_millis(8_200);

shared::grants! {
    /// What a login may do with the table.
    pub trait Table =
        StoreUserLogin, RememberUnionid, ReadUser, TakeSessionKeys, PutSession, ReadSession, ListUserItems, RevokeSession,
        KeepIdempotencyRecord, EraseIdempotencyRecord;
}

/// All that a login may touch.
#[derive(Clone)]
pub struct Deps {
    pub wechat: Arc<dyn ExchangeCode>,
    pub table: Arc<dyn Table>,
    pub apps: Arc<Secret<Apps>>,
    /// Seals `session_key`s and authenticates refresh tokens.
    pub keyring: Arc<Secret<Keyring>>,
    /// Signs access tokens.
    pub signer: Arc<Secret<AccessSigner>>,
    pub codes: Arc<LoginCodes>,
    pub senders: Senders,
    pub access_tokens: AccessTokenConfig,
    /// How long sessions live.
    pub policy: RefreshPolicy,
    pub brake: Brake,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
}

impl Deps {
    pub async fn from_env(env: Env) -> Result<Self, ConfigError> {
        let (table, wechat) = (env.table()?, env.wechat()?);
        let (access_tokens, policy) = (env.access_token_config()?, env.refresh_policy()?);
        let (apps, keyring, signer, brake, proxy) =
            tokio::try_join!(env.apps(), env.keyring(), env.signer(), env.brake(), env.proxy())?;
        let senders = Senders { proxy, keyring: keyring.clone() };
        let (clock, entropy) = (env.clock(), env.entropy());
        let codes = Arc::new(LoginCodes::new(env.login_refusals()?, entropy.clone()));
        Ok(Self { wechat, table, apps, keyring, signer, codes, senders, access_tokens, policy, brake, clock, entropy })
    }
}

impl FromRef<Deps> for AccessTokenConfig {
    fn from_ref(deps: &Deps) -> Self {
        deps.access_tokens.clone()
    }
}

impl FromRef<Deps> for Senders {
    fn from_ref(deps: &Deps) -> Self {
        deps.senders.clone()
    }
}

pub fn router(deps: Deps) -> Router {
    within(LONGEST, Router::new().on(LOGIN, login).with_state(deps))
}

#[derive(Deserialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
pub(crate) struct LoginRequest {
    /// What `wx.login` gave: valid once, for five minutes.
    code: LoginCode,
    /// The mini program; needed where the owner has several.
    appid: Optional<AppId>,
    /// The `device` of an earlier response, kept in the client's storage; made here where there is none that can be read.
    device: Lenient<PresentedDevice>,
    /// What does not verify, or is something else, never refuses a login: the response lacks `userInfo` then.
    #[serde(rename = "userInfo")]
    user_info: Lenient<UserInfo>,
}

/// A login request, where it came from, and what makes it repeatable.
pub struct Presented {
    network: Network,
    request: LoginRequest,
    /// Names this very request, by its `Idempotency-Key` and its bytes. Without a key it cannot be repeated.
    hash: Option<RequestHash>,
}

/// The response to a login.
#[derive(Serialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
pub struct LoginResponse {
    #[serde(flatten)]
    pub(crate) tokens: TokenResponse,
    /// The user, inside this mini program.
    #[cfg_attr(feature = "contract", schemars(with = "shared::ids::OpenId"))]
    pub(crate) openid: String,
    /// To be kept in the client's storage and sent with its next login: the id that lists of sessions show, a dot, and proof
    /// that this user logged in here.
    pub(crate) device: ProvenDevice,
    /// Whether it is the user's first login.
    pub(crate) new_user: bool,
    /// The profile that came with the login, if it verified.
    #[serde(rename = "userInfo", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "contract", schemars(with = "Profile"))]
    pub(crate) user_info: Option<Profile>,
}

async fn login(
    State(deps): State<Deps>,
    network: Network,
    Issuer(issuer): Issuer,
    deadline: Deadline,
    key: Option<IdempotencyKey>,
    JsonBody { value: request, bytes }: JsonBody<LoginRequest>,
) -> Result<JsonResponse<LoginResponse>, Problem> {
    let hash = key.map(|key| RequestHash::of(&key, &bytes));
    let presented = Presented { network, request, hash };
    Ok(JsonResponse(flow::login(&deps, &presented, &issuer, deadline).await?))
}

/// What the contract says about the route.
#[cfg(feature = "contract")]
#[must_use]
pub fn operations() -> Vec<shared::contract::Operation> {
    use shared::problem::Code::{
        CodeInvalid, CodeUsed, RateLimited, RetryLogin, UserBlocked, WechatBusy, WechatError, WechatTimeout,
    };
    use shared::{contract::Operation, problem::Action};
    vec![
        Operation::new(LOGIN, "login", "A code of `wx.login` for tokens")
            .header::<IdempotencyKey>(
                "Idempotency-Key",
                "Makes the login repeatable for 120 seconds: with the same key and the same bytes",
            )
            .takes::<LoginRequest>()
            .gives::<LoginResponse>()
            .refuses(&[CodeInvalid, CodeUsed, UserBlocked, RateLimited, RetryLogin, WechatBusy])
            .refuses_to(WechatError, Action::Relogin)
            .refuses_to(WechatTimeout, Action::Relogin),
    ]
}

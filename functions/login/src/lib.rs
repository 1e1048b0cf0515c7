//! `POST /v1/login`: a code of `wx.login` for our tokens.

#[cfg(feature = "contract")]
pub mod contract;
pub mod flow;
mod profile;
mod quota;
mod replay;

use std::{sync::Arc, time::Duration};

use axum::{Router, extract::State, routing::post};
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use shared::{
    clock::{Clock, Deadline},
    config::{ConfigError, Issuing},
    entropy::Entropy,
    env::Env,
    http::{Answer, Domain, Route, Source, body::JsonBody, record::Log, stack, within},
    ids::{AppId, DeviceId},
    json,
    problem::{Code, Problem},
    redacted::{IdempotencyKey, LoginCode},
    secrets::Secret,
    session::{
        EndSession, EraseClaim, KeepClaim, ListItems, OpenSession, ReadSession, ReadUser, RecordUser, RememberUnionid,
        TakeKeys, claim::CodeHash, rotation::RefreshPolicy,
    },
    token::{TokenAnswer, access::AccessSigner, keyring::Keyring},
    wechat::{Apps, ExchangeCode, opendata::Profile},
};

pub use quota::Quota;

/// What the template routes here.
pub const ROUTES: &[Route] = &[Route::post("/v1/login")];

/// A client waits 15 s for a login. Secrets may take 2 s of it, storing has the last 2 s, and WeChat what is between.
const LONGEST: Duration = Duration::from_millis(8_700);

/// All that a login may touch.
#[derive(Clone)]
pub struct Deps {
    /// WeChat's answer to a code.
    pub wechat: Arc<dyn ExchangeCode>,
    /// The user item.
    pub users: Arc<dyn RecordUser>,
    /// A unionid that the profile tells.
    pub unionids: Arc<dyn RememberUnionid>,
    /// The session item.
    pub sessions: Arc<dyn OpenSession>,
    /// What a code gave.
    pub claims: Arc<dyn KeepClaim>,
    /// The end of a claim that nobody may use.
    pub erase: Arc<dyn EraseClaim>,
    /// The user's devices, and whether the owner has blocked the user meanwhile.
    pub list: Arc<dyn ListItems>,
    /// The end of a device beyond the cap.
    pub end: Arc<dyn EndSession>,
    /// The session of a repeated login.
    pub read: Arc<dyn ReadSession>,
    /// The user of a repeated login.
    pub user: Arc<dyn ReadUser>,
    /// The keys for `userInfo`, counted.
    pub keys: Arc<dyn TakeKeys>,
    /// The mini programs.
    pub apps: Arc<Secret<Apps>>,
    /// The keys that seal and MAC.
    pub keyring: Arc<Secret<Keyring>>,
    /// The key that signs access tokens.
    pub signer: Arc<Secret<AccessSigner>>,
    /// What refused codes may cost.
    pub quota: Arc<Quota>,
    /// How access tokens are filled.
    pub issuing: Issuing,
    /// How long sessions live.
    pub policy: RefreshPolicy,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness for families, devices and seals.
    pub entropy: Arc<dyn Entropy>,
    /// The log.
    pub log: Log,
}

impl Deps {
    /// Reads the variables and secrets that this function needs.
    pub async fn from_env(env: Env) -> Result<Self, ConfigError> {
        let (table, wechat) = (env.table()?, env.wechat()?);
        let (issuing, policy) = (env.issuing()?, env.refresh_policy()?);
        let (apps, keyring, signer) = tokio::try_join!(env.apps(), env.keyring(), env.signer())?;
        Ok(Self {
            wechat,
            users: table.clone(),
            unionids: table.clone(),
            sessions: table.clone(),
            claims: table.clone(),
            erase: table.clone(),
            list: table.clone(),
            end: table.clone(),
            read: table.clone(),
            user: table.clone(),
            keys: table,
            apps,
            keyring,
            signer,
            quota: Arc::default(),
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
    let routes = Router::new().route(ROUTES[0].path, post(login)).with_state(deps);
    stack(within(LONGEST, routes), log)
}

#[derive(Deserialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
struct LoginRequest {
    /// What `wx.login` gave: valid once, for five minutes.
    #[cfg_attr(feature = "contract", schemars(with = "LoginCode"))]
    code: String,
    /// The mini program; needed where the owner has several.
    #[cfg_attr(feature = "contract", schemars(with = "Option<AppId>"))]
    appid: Option<String>,
    /// The `device` of an earlier answer, kept in the client's storage; made here where there is none yet.
    #[cfg_attr(feature = "contract", schemars(with = "Option<DeviceId>"))]
    device: Option<String>,
    /// One that does not verify never refuses a login: the answer lacks `userInfo` then.
    #[serde(default, rename = "userInfo", deserialize_with = "user_info")]
    user_info: Option<GivenUserInfo>,
}

/// What `wx.getUserInfo` gave.
#[derive(Deserialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
pub struct GivenUserInfo {
    #[serde(rename = "rawData")]
    raw_data: String,
    signature: String,
    #[serde(rename = "encryptedData")]
    encrypted_data: String,
    iv: String,
}

/// An object, or nothing: some clients send `null` for a profile that they do not have.
fn user_info<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<GivenUserInfo>, D::Error> {
    #[derive(Deserialize)]
    struct Given(#[serde(deserialize_with = "json::object")] GivenUserInfo);
    Ok(Option::<Given>::deserialize(value)?.map(|given| given.0))
}

/// A login request, checked.
pub struct Login {
    /// The address it came from.
    source: String,
    code: LoginCode,
    appid: Option<AppId>,
    device: Option<DeviceId>,
    user_info: Option<GivenUserInfo>,
    /// Names this very request: its `Idempotency-Key` and its bytes. Without a key there is no replay.
    request: Option<replay::RequestHash>,
}

/// The answer to a login.
#[derive(Serialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
pub struct LoginAnswer {
    #[serde(flatten)]
    tokens: TokenAnswer,
    /// The user, inside this mini program.
    #[cfg_attr(feature = "contract", schemars(with = "shared::ids::OpenId"))]
    openid: String,
    /// To be kept in the client's storage and sent with its next login.
    #[cfg_attr(feature = "contract", schemars(with = "DeviceId"))]
    device: String,
    /// Whether it is the user's first login.
    new_user: bool,
    /// The profile that came with the login, if it verified.
    #[serde(rename = "userInfo", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "contract", schemars(with = "Profile"))]
    user_info: Option<Profile>,
}

fn malformed<E>(_: E) -> Problem {
    Problem::new(Code::InvalidRequest)
}

impl Login {
    fn read(source: String, headers: &HeaderMap, body: JsonBody<LoginRequest>) -> Result<Self, Problem> {
        let request = body.value;
        let mut keys = headers.get_all("idempotency-key").iter();
        let key = match (keys.next(), keys.next()) {
            (None, _) => None,
            (Some(key), None) => Some(IdempotencyKey::parse(key.to_str().map_err(malformed)?).map_err(malformed)?),
            (Some(_), Some(_)) => return Err(malformed(())),
        };
        Ok(Self {
            source,
            code: LoginCode::parse(&request.code).map_err(malformed)?,
            appid: request.appid.as_deref().map(AppId::parse).transpose().map_err(malformed)?,
            device: request.device.as_deref().map(DeviceId::parse).transpose().map_err(malformed)?,
            user_info: request.user_info,
            request: key.map(|key| replay::RequestHash::of(&key, &body.bytes)),
        })
    }
}

impl Login {
    /// What is stored of its code.
    fn hash(&self, appid: &AppId) -> CodeHash {
        CodeHash::of_login(appid, &self.code)
    }
}

async fn login(
    State(deps): State<Deps>,
    (domain, Source(source)): (Domain, Source),
    by: Deadline,
    headers: HeaderMap,
    body: JsonBody<LoginRequest>,
) -> Result<Answer<LoginAnswer>, Problem> {
    let login = Login::read(source, &headers, body)?;
    Ok(Answer(flow::login(&deps, &login, &domain.issuer(&deps.issuing), by).await?))
}

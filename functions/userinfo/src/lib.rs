//! `POST /v1/userinfo`: what `wx.getUserInfo` gave, verified and decrypted. `POST /v1/opendata`: other data that WeChat
//! encrypted for the user.
//!
//! Only the unionid is stored. Since 2022 WeChat gives everybody the same placeholder name and grey avatar, which must not
//! overwrite what a user once chose, wherever the owner keeps that.

pub mod flow;

use std::sync::Arc;

use axum::{
    Router,
    extract::{FromRef, State},
};
use serde::Deserialize;
use shared::{
    authenticator::Authenticator,
    clock::Clock,
    env::Env,
    http::{JsonResponse, Route, RouterExt as _, body::JsonBody, extract::Senders, named},
    problem::Problem,
    secrets::Secret,
    store::grants::{RememberUnionid, TakeSessionKeys},
    token::{access::Subject, keyring::Keyring},
    vars::ConfigError,
    wechat::opendata::{Ciphertext, EncryptedData, Iv, OpenData, Profile, SignedProfile},
};

pub const USERINFO: Route = Route::post("/v1/userinfo");
pub const OPENDATA: Route = Route::post("/v1/opendata");

pub const ROUTES: &[Route] = &[USERINFO, OPENDATA];

shared::grants! {
    /// What this function may do with the table, beyond authentication.
    pub trait Table = TakeSessionKeys, RememberUnionid;
}

#[derive(Clone)]
pub struct Deps {
    pub authenticator: Authenticator,
    pub table: Arc<dyn Table>,
    /// Opens `session_key`s.
    pub keyring: Arc<Secret<Keyring>>,
    pub senders: Senders,
    pub clock: Arc<dyn Clock>,
}

impl Deps {
    pub async fn from_env(env: Env) -> Result<Self, ConfigError> {
        let table = env.table()?;
        let (authenticator, keyring, proxy) = tokio::try_join!(env.authenticator(&table), env.keyring(), env.proxy())?;
        let (clock, senders) = (env.clock(), Senders { proxy, keyring: keyring.clone() });
        Ok(Self { authenticator, table, keyring, senders, clock })
    }
}

impl FromRef<Deps> for Authenticator {
    fn from_ref(deps: &Deps) -> Self {
        deps.authenticator.clone()
    }
}

pub fn router(deps: Deps) -> Router {
    let senders = deps.senders.clone();
    named(senders, Router::new().on(USERINFO, userinfo).on(OPENDATA, opendata).with_state(deps))
}

/// What `wx.getUserInfo` gave: the two encrypted values, and `rawData` with its `signature` or neither.
#[derive(Deserialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "contract", schemars(extend("oneOf" = shared::contract::one_of(&[&["rawData", "signature"], &[]]))))]
struct UserInfoRequest {
    #[serde(rename = "rawData")]
    raw_data: Option<String>,
    signature: Option<String>,
    #[serde(rename = "encryptedData")]
    encrypted_data: EncryptedData,
    iv: Iv,
}

async fn userinfo(
    State(deps): State<Deps>,
    subject: Subject,
    JsonBody { value, .. }: JsonBody<UserInfoRequest>,
) -> Result<JsonResponse<Profile>, Problem> {
    let signed = match (&value.raw_data, &value.signature) {
        (Some(raw_data), Some(signature)) => Some((raw_data.as_str(), signature.as_str())),
        (None, None) => None,
        (Some(_), None) => return Err(Problem::invalid("signature")),
        (None, Some(_)) => return Err(Problem::invalid("rawData")),
    };
    let data = &Ciphertext { encrypted_data: value.encrypted_data, iv: value.iv };
    Ok(JsonResponse(flow::profile(&deps, &subject, &SignedProfile { signed, data }).await?))
}

async fn opendata(
    State(deps): State<Deps>,
    subject: Subject,
    JsonBody { value: data, .. }: JsonBody<Ciphertext>,
) -> Result<JsonResponse<OpenData>, Problem> {
    Ok(JsonResponse(flow::other(&deps, &subject, &data).await?))
}

/// What the contract says about the routes.
#[cfg(feature = "contract")]
#[must_use]
pub fn operations() -> Vec<shared::contract::Operation> {
    use shared::{contract::Operation, problem::Code};
    let refusals = [Code::WrongDataKind, Code::DataRejected, Code::SessionKeyExpired, Code::RateLimited];
    vec![
        Operation::new(USERINFO, "userinfo", "What `wx.getUserInfo` gave, verified and decrypted")
            .bearer()
            .takes::<UserInfoRequest>()
            .gives::<Profile>()
            .refuses(&refusals),
        Operation::new(
            OPENDATA,
            "opendata",
            "Other data that WeChat encrypted for the user, such as WeRun's steps, decrypted",
        )
        .bearer()
        .takes::<Ciphertext>()
        .gives::<OpenData>()
        .refuses(&refusals),
    ]
}

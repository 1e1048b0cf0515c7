//! `POST /v1/userinfo`: what `wx.getUserInfo` gave, verified and decrypted.
//!
//! Nothing of the profile is stored but the unionid: since 2022 WeChat gives the same placeholder name and grey avatar
//! for everybody, which must not overwrite what a user once chose, wherever the owner keeps that.

#[cfg(feature = "contract")]
pub mod contract;
pub mod flow;

use std::sync::Arc;

use axum::{Router, extract::State, routing::post};
use serde::Deserialize;
#[cfg(feature = "contract")]
use shared::contract::{EncryptedData, Iv, one_of};
use shared::{
    clock::Clock,
    config::ConfigError,
    env::Env,
    http::{Answer, Domain, Route, bearer::Bearer, body::JsonBody, record::Log, stack},
    problem::{Code, Problem},
    secrets::Secret,
    session::{RememberUnionid, TakeKeys, admission::Admission},
    token::keyring::Keyring,
    wechat::opendata::{Ciphertext, Profile},
};

/// What the template routes here.
pub const ROUTES: &[Route] = &[Route::post("/v1/userinfo")];

/// All that this function may touch.
#[derive(Clone)]
pub struct Deps {
    /// Who asks, and whether their session is still there.
    pub admission: Admission,
    /// The user's session keys, counted.
    pub keys: Arc<dyn TakeKeys>,
    /// The unionid that the data tells.
    pub unionids: Arc<dyn RememberUnionid>,
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
        let (keyring, verifier) = tokio::try_join!(env.keyring(), env.verifier())?;
        Ok(Self {
            admission: Admission { verifier, sessions: table.clone(), issuing, clock: env.clock() },
            keys: table.clone(),
            unionids: table,
            keyring,
            clock: env.clock(),
            log: env.log(),
        })
    }
}

/// The function, to be mounted anywhere.
pub fn router(deps: Deps) -> Router {
    let log = deps.log.clone();
    stack(Router::new().route(ROUTES[0].path, post(userinfo)).with_state(deps), log)
}

/// What `wx.getUserInfo` gave: the two encrypted values, and `rawData` with its `signature` or neither.
#[derive(Deserialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "contract", schemars(extend("oneOf" = one_of(&[&["rawData", "signature"], &[]]))))]
struct UserInfoRequest {
    #[serde(rename = "rawData")]
    raw_data: Option<String>,
    signature: Option<String>,
    #[serde(rename = "encryptedData")]
    #[cfg_attr(feature = "contract", schemars(with = "EncryptedData"))]
    encrypted_data: String,
    #[cfg_attr(feature = "contract", schemars(with = "Iv"))]
    iv: String,
}

/// A request, checked.
pub struct Given {
    signed: Option<(String, String)>,
    data: Ciphertext,
}

impl TryFrom<UserInfoRequest> for Given {
    type Error = Problem;

    fn try_from(request: UserInfoRequest) -> Result<Self, Problem> {
        let malformed = || Problem::new(Code::InvalidRequest);
        let signed = match (request.raw_data, request.signature) {
            (Some(raw_data), Some(signature)) => Some((raw_data, signature)),
            (None, None) => None,
            _ => return Err(malformed()),
        };
        let data = Ciphertext::parse(&request.encrypted_data, &request.iv).map_err(|_| malformed())?;
        Ok(Self { signed, data })
    }
}

async fn userinfo(
    State(deps): State<Deps>,
    domain: Domain,
    Bearer(token): Bearer,
    JsonBody { value, .. }: JsonBody<UserInfoRequest>,
) -> Result<Answer<Profile>, Problem> {
    let issuer = domain.issuer(&deps.admission.issuing);
    let subject = deps.admission.subject(&token, Some(&issuer)).await?;
    Ok(Answer(flow::profile(&deps, &subject, &value.try_into()?).await?))
}

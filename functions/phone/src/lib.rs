//! `POST /v1/phone`: the user's phone number, from encrypted data or from a phone code.

#[cfg(feature = "contract")]
pub mod contract;
pub mod flow;

use std::sync::Arc;

use axum::{Router, extract::State, routing::post};
use serde::Deserialize;
#[cfg(feature = "contract")]
use shared::contract::{EncryptedData, Iv, one_of};
use shared::{
    clock::{Clock, Deadline},
    config::ConfigError,
    entropy::Entropy,
    env::Env,
    http::{Answer, Domain, Route, bearer::Bearer, body::JsonBody, record::Log, stack},
    problem::{Code, Problem},
    redacted::PhoneCode,
    secrets::Secret,
    session::{EraseClaim, KeepClaim, TakeKeys, admission::Admission},
    token::keyring::Keyring,
    wechat::{
        Apps, RedeemPhone,
        opendata::{Ciphertext, Phone},
    },
};

/// What the template routes here.
pub const ROUTES: &[Route] = &[Route::post("/v1/phone")];

/// All that this function may touch.
#[derive(Clone)]
pub struct Deps {
    /// Who asks, and whether their session is still there.
    pub admission: Admission,
    /// The user's session keys, counted.
    pub keys: Arc<dyn TakeKeys>,
    /// What a phone code gave before.
    pub claims: Arc<dyn KeepClaim>,
    /// The end of a number whose user is gone.
    pub erase: Arc<dyn EraseClaim>,
    /// WeChat's number for a phone code.
    pub redeem: Arc<dyn RedeemPhone>,
    /// The mini programs.
    pub apps: Arc<Secret<Apps>>,
    /// The keys that seal.
    pub keyring: Arc<Secret<Keyring>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness for sealing.
    pub entropy: Arc<dyn Entropy>,
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
            keys: table.clone(),
            claims: table.clone(),
            erase: table,
            redeem: tokens,
            apps,
            keyring,
            clock: env.clock(),
            entropy: env.entropy(),
            log: env.log(),
        })
    }
}

/// The function, to be mounted anywhere.
pub fn router(deps: Deps) -> Router {
    let log = deps.log.clone();
    stack(Router::new().route(ROUTES[0].path, post(phone)).with_state(deps), log)
}

/// What the button gave: `encryptedData` and `iv`, or `code`.
#[derive(Deserialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "contract", schemars(extend("oneOf" = one_of(&[&["encryptedData", "iv"], &["code"]]))))]
struct PhoneRequest {
    #[serde(rename = "encryptedData")]
    #[cfg_attr(feature = "contract", schemars(with = "Option<EncryptedData>"))]
    encrypted_data: Option<String>,
    #[cfg_attr(feature = "contract", schemars(with = "Option<Iv>"))]
    iv: Option<String>,
    /// The phone code: valid once, for five minutes; not the code of `wx.login`.
    #[cfg_attr(feature = "contract", schemars(with = "Option<PhoneCode>"))]
    code: Option<String>,
}

/// What the button gave: one of the two. Each costs something else, so that guessing is not for us.
pub enum Given {
    /// Encrypted with the user's session key.
    Data(Ciphertext),
    /// To be redeemed at WeChat, for money.
    Code(PhoneCode),
}

impl TryFrom<PhoneRequest> for Given {
    type Error = Problem;

    fn try_from(request: PhoneRequest) -> Result<Self, Problem> {
        let malformed = || Problem::new(Code::InvalidRequest);
        match (request.encrypted_data, request.iv, request.code) {
            (Some(data), Some(iv), None) => Ciphertext::parse(&data, &iv).map(Self::Data).map_err(|_| malformed()),
            (None, None, Some(code)) => PhoneCode::parse(&code).map(Self::Code).map_err(|_| malformed()),
            _ => Err(malformed()),
        }
    }
}

async fn phone(
    State(deps): State<Deps>,
    domain: Domain,
    by: Deadline,
    Bearer(token): Bearer,
    JsonBody { value, .. }: JsonBody<PhoneRequest>,
) -> Result<Answer<Phone>, Problem> {
    let issuer = domain.issuer(&deps.admission.issuing);
    let subject = deps.admission.subject(&token, Some(&issuer)).await?;
    Ok(Answer(match Given::try_from(value)? {
        Given::Data(data) => flow::decrypt(&deps, &subject, &data).await?,
        Given::Code(code) => flow::redeem(&deps, &subject, &code, by).await?,
    }))
}

//! `POST /v1/phone`: the user's phone number, from encrypted data or from a phone code.

pub mod flow;

use std::sync::Arc;

use axum::{
    Router,
    extract::{FromRef, State},
};
use serde::Deserialize;
use shared::{
    authenticator::Authenticator,
    clock::{Clock, Deadline},
    entropy::Entropy,
    env::Env,
    http::{JsonResponse, Route, RouterExt as _, body::JsonBody, extract::Senders},
    ids::Network,
    platform_token::calls::{CheckData, RedeemPhoneCode},
    problem::Problem,
    secret_text::PhoneCode,
    secrets::Secret,
    store::grants::{BeginExchange, EraseIdempotencyRecord, GiveUpExchange, KeepIdempotencyRecord, TakeSessionKeys},
    token::{access::Subject, keyring::Keyring},
    vars::ConfigError,
    wechat::{
        app::Apps,
        opendata::{Ciphertext, EncryptedData, Iv, Phone},
    },
};

pub const PHONE: Route = Route::post("/v1/phone");

pub const ROUTES: &[Route] = &[PHONE];

shared::grants! {
    /// What this function may do with the table, beyond authentication.
    pub trait Table = TakeSessionKeys, BeginExchange, GiveUpExchange, KeepIdempotencyRecord, EraseIdempotencyRecord;
}

#[derive(Clone)]
pub struct Deps {
    pub authenticator: Authenticator,
    pub table: Arc<dyn Table>,
    pub platform: Arc<dyn RedeemPhoneCode>,
    /// Asks WeChat whether data is its own; absent where the owner does not want that.
    pub data_check: Option<Arc<dyn CheckData>>,
    pub apps: Arc<Secret<Apps>>,
    /// Opens `session_key`s and seals idempotency records.
    pub keyring: Arc<Secret<Keyring>>,
    pub senders: Senders,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
}

impl Deps {
    pub async fn from_env(env: Env) -> Result<Self, ConfigError> {
        let table = env.table()?;
        let (authenticator, apps, keyring, proxy) =
            tokio::try_join!(env.authenticator(&table), env.apps(), env.keyring(), env.proxy())?;
        let platform = env.platform_tokens(&table, &keyring)?;
        let data_check = env.phone_data_check()?.then(|| -> Arc<dyn CheckData> { platform.clone() });
        let (clock, entropy, senders) = (env.clock(), env.entropy(), Senders { proxy, keyring: keyring.clone() });
        Ok(Self { authenticator, table, platform, data_check, apps, keyring, senders, clock, entropy })
    }
}

impl FromRef<Deps> for Authenticator {
    fn from_ref(deps: &Deps) -> Self {
        deps.authenticator.clone()
    }
}

impl FromRef<Deps> for Senders {
    fn from_ref(deps: &Deps) -> Self {
        deps.senders.clone()
    }
}

pub fn router(deps: Deps) -> Router {
    Router::new().on(PHONE, phone).with_state(deps)
}

/// What the button gave: `encryptedData` and `iv`, or `code`.
#[derive(Deserialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "contract", schemars(extend("oneOf" = shared::contract::one_of(&[&["encryptedData", "iv"], &["code"]]))))]
struct PhoneRequest {
    #[serde(rename = "encryptedData")]
    encrypted_data: Option<EncryptedData>,
    iv: Option<Iv>,
    /// The phone code: valid once, for five minutes; not the code of `wx.login`.
    code: Option<PhoneCode>,
}

async fn phone(
    State(deps): State<Deps>,
    network: Network,
    subject: Subject,
    deadline: Deadline,
    JsonBody { value, .. }: JsonBody<PhoneRequest>,
) -> Result<JsonResponse<Phone>, Problem> {
    let phone = match (value.encrypted_data, value.iv, value.code) {
        (Some(encrypted_data), Some(iv), None) => {
            flow::decrypt(&deps, &subject, &Ciphertext { encrypted_data, iv }, &network, deadline).await?
        }
        (None, None, Some(code)) => flow::redeem(&deps, &subject, &code, &network, deadline).await?,
        (Some(_), None, None) => return Err(Problem::invalid("iv")),
        (None, Some(_), None) => return Err(Problem::invalid("encryptedData")),
        // The two cost different things, an attempt or the owner's money, so the client has to choose.
        _ => return Err(Problem::invalid("code")),
    };
    Ok(JsonResponse(phone))
}

/// What the contract says about the route.
#[cfg(feature = "contract")]
#[must_use]
pub fn operations() -> Vec<shared::contract::Operation> {
    use shared::{contract::Operation, problem::Code};
    vec![
        Operation::new(PHONE, "phone", "The user's phone number, from encrypted data or from a phone code")
            .bearer()
            .takes::<PhoneRequest>()
            .gives::<Phone>()
            .refuses(&[
                Code::WrongDataKind,
                Code::DataRejected,
                Code::SessionKeyExpired,
                Code::PhoneCodeInvalid,
                Code::RateLimited,
                Code::WechatError,
                Code::WechatBusy,
                Code::WechatTimeout,
            ]),
    ]
}

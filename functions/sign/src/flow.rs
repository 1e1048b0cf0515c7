//! The user's current key is read, asked about if that is wanted, and signs. The previous one never does: WeChat would refuse it.

use serde::Deserialize;
use shared::{
    clock::Deadline,
    ids::{AppId, IdDefect, OpenId, UserRef},
    json, lambda,
    platform_token::PlatformError,
    problem::{Code, Problem},
    request_log,
    secret_text::SessionKey,
    secrets::SecretError,
    store::StoreError,
    token::keyring::Keyring,
    wechat::{
        app::{App, AppKeysDefect},
        signature,
    },
};

use crate::{Deps, Refusal, SignRequest, SignResponse};

/// More than any body or `signData` of WeChat's has.
const LONGEST_MESSAGE: usize = 16 * 1024;

const LONGEST_URI: usize = 128;

/// As deep as a message may nest that says its `env`.
const DEEPEST: usize = 16;

/// What the client's call is named in its signature: neither a slash nor a path.
const CLIENT_CALL: &str = "requestVirtualPayment";

/// Why there is no answer. It is thrown: the invocation fails with this sentence.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// An appid or openid is malformed.
    #[error(transparent)]
    Id(#[from] IdDefect),
    #[error("the message is longer than 16 KiB")]
    TooLong,
    #[error("the uri is neither requestVirtualPayment nor the path of a call, without host and query")]
    Uri,
    #[error("the message is no JSON object whose env is 0 or 1, or absent")]
    PaymentEnv,
    /// The mini program is not one of the owner's.
    #[error("the appid is not configured")]
    AppUnknown,
    #[error("the apps secret has no app_keys for env {0} of this mini program")]
    NoAppKey(u8),
    #[error(transparent)]
    AppKeys(#[from] AppKeysDefect),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// WeChat was to be asked, and did not say.
    #[error(transparent)]
    Platform(#[from] PlatformError),
}

impl From<SignError> for Problem {
    fn from(error: SignError) -> Self {
        let code = match error {
            SignError::Secret(error) => return error.into(),
            SignError::Store(error) => return error.into(),
            SignError::Platform(error) => return error.into(),
            SignError::AppUnknown => return Self::invalid("appid").because(error),
            SignError::Uri => return Self::invalid("uri").because(error),
            SignError::PaymentEnv => return Self::invalid("message").because(error),
            SignError::Id(_) => Code::InvalidRequest,
            SignError::TooLong => Code::PayloadTooLarge,
            SignError::NoAppKey(_) | SignError::AppKeys(_) => Code::Misconfigured,
        };
        Self::new(code).because(error)
    }
}

pub(crate) async fn handle(deps: &Deps, request: SignRequest) -> Result<SignResponse, SignError> {
    let signed = sign(deps, request).await;
    let misconfigured = match &signed {
        Err(SignError::Platform(error)) => error.is_misconfigured(),
        Err(SignError::NoAppKey(_) | SignError::AppKeys(_)) => true,
        _ => false,
    };
    request_log::record(|fields| fields.misconfigured = misconfigured);
    signed
}

async fn sign(deps: &Deps, request: SignRequest) -> Result<SignResponse, SignError> {
    let SignRequest { appid, openid, message, check, uri } = request;
    let user = UserRef { appid: AppId::parse(&appid)?, openid: OpenId::parse(&openid)? };
    if message.len() > LONGEST_MESSAGE {
        return Err(SignError::TooLong);
    }
    let (keyring, apps) = tokio::try_join!(deps.keyring.get(), deps.apps.get())?;
    request_log::record(|fields| fields.user = keyring.pseudonym(&user));
    let app = apps.find(Some(&user.appid)).ok_or(SignError::AppUnknown)?;
    // What can be wrong with the request is said before WeChat is asked.
    let pay_sig = uri.map(|uri| payment_signature(app, &uri, &message)).transpose()?;
    let key = if check {
        accepted_key(deps, app, &user, &keyring).await?
    } else {
        current_key(deps, &user, &keyring).await?
    };
    Ok(match key {
        UserKey::Current(key) => {
            request_log::record(|fields| fields.verdict = Some("SIGNED"));
            SignResponse::Signed { signature: signature::of_user_state(&key, message.as_bytes()), pay_sig }
        }
        UserKey::Refused(refused) => {
            request_log::record(|fields| fields.verdict = Some(refused.verdict()));
            SignResponse::Refused { refused, action: refused.action() }
        }
    })
}

impl Refusal {
    /// Its name in the log.
    fn verdict(self) -> &'static str {
        match self {
            Self::Stale => "SIGN_STALE",
            Self::NoUser => "SIGN_NO_USER",
            Self::UserBlocked => "SIGN_BLOCKED",
        }
    }
}

/// The key to sign with.
enum UserKey {
    Current(SessionKey),
    Refused(Refusal),
}

/// The key of the user's last login.
async fn current_key(deps: &Deps, user: &UserRef, keyring: &Keyring) -> Result<UserKey, SignError> {
    let item = deps.table.read_user(user).await?.unwrap_or_default();
    Ok(if item.blocked_at.is_some() {
        UserKey::Refused(Refusal::UserBlocked)
    } else if item.first_login.is_none() {
        UserKey::Refused(Refusal::NoUser)
    } else {
        item.session_key(user, keyring).map_or(UserKey::Refused(Refusal::Stale), UserKey::Current)
    })
}

/// The current key, if WeChat accepts it. Where a login has replaced the key since it was read, the new one is asked about: each
/// further question takes a login more.
async fn accepted_key(deps: &Deps, app: &App, user: &UserRef, keyring: &Keyring) -> Result<UserKey, SignError> {
    let deadline = Deadline::after(lambda::LIMIT);
    let mut asked: Option<SessionKey> = None;
    loop {
        let key = match current_key(deps, user, keyring).await? {
            UserKey::Current(key) => key,
            refused @ UserKey::Refused(_) => return Ok(refused),
        };
        if asked.is_some_and(|asked| asked.expose() == key.expose()) {
            return Ok(UserKey::Refused(Refusal::Stale));
        }
        if deps.platform.check(app, &user.openid, &key, deadline).await? {
            return Ok(UserKey::Current(key));
        }
        asked = Some(key);
    }
}

/// What WeChat reads of a message to choose the AppKey by which it verifies.
#[derive(Deserialize)]
struct PaymentMessage {
    /// 0 production, 1 sandbox.
    #[serde(default)]
    env: u8,
}

/// `paySig`: under the AppKey of the message's own `env`, so that the two cannot differ.
fn payment_signature(app: &App, uri: &str, message: &str) -> Result<String, SignError> {
    if !is_uri(uri) {
        return Err(SignError::Uri);
    }
    let read = json::nested(message.as_bytes(), DEEPEST);
    let PaymentMessage { env } = read.map_err(|_| SignError::PaymentEnv)?;
    let keys = app.app_keys.as_ref().map_err(|defect| *defect)?;
    let key = match env {
        0 => &keys.production,
        1 => &keys.sandbox,
        _ => return Err(SignError::PaymentEnv),
    };
    let key = key.as_ref().ok_or(SignError::NoAppKey(env))?;
    Ok(signature::of_payment(key, uri, message.as_bytes()))
}

/// Whether WeChat could verify a signature with this name: the word of the client's call as it is, or the path alone of a call of
/// the server, such as `/xpay/query_order`.
fn is_uri(uri: &str) -> bool {
    let is_path = || {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        let is_name = |part: &str| !part.is_empty() && part != CLIENT_CALL && part.bytes().all(is_plain);
        let mut parts = uri.split('/');
        parts.next() == Some("") && uri.len() <= LONGEST_URI && parts.clone().count() > 1 && parts.all(is_name)
    };
    uri == CLIENT_CALL || is_path()
}

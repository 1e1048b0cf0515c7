//! All I/O of the doctor. This file only gathers facts; the files next to it make findings of them.
//!
//! An error becomes one of a few fixed words, because the texts of HTTP errors contain addresses.

pub(super) mod openapi;

use std::{error::Error, time::Duration};

use aws_sdk_dynamodb::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    primitives::{DateTime, DateTimeFormat},
    types::{PointInTimeRecoveryStatus, TimeToLiveStatus},
};
use rustls::CertificateError;
use shared::{
    clock::{Clock, Deadline, Secs},
    env::Env,
    ids::AppId,
    platform_token,
    secret_text::{AppSecret, PlatformToken},
    store::grants::KeepPlatformToken,
    tls,
    token::keyring::Keyring,
    vars::Vars,
    wechat::{api::PlatformApi, app::App, error::WechatError},
};

use super::{forms, platform_token::Stored};

/// Longer than a cold start takes.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The deadline of `stable_token`. The WeChat client has its own, shorter limits for each attempt.
const STABLE_TOKEN_TIMEOUT: Duration = Duration::from_secs(6);
/// The documents of a deployment are shorter than 4 KiB.
const MAX_DOCUMENT: usize = 64 * 1024;

/// Why a call to AWS failed: the error code, or `None` if AWS did not respond.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal(pub(super) Option<String>);

impl<E: ProvideErrorMetadata, R> From<SdkError<E, R>> for Refusal {
    fn from(error: SdkError<E, R>) -> Self {
        Self(error.as_service_error().and_then(ProvideErrorMetadata::code).map(str::to_owned))
    }
}

/// The result of reading a secret. It has no `Debug`, because it holds the secret.
pub(super) enum SecretText {
    Read(String),
    NoFile,
    Binary,
    Refused(Refusal),
}

/// The secrets whose variables are set.
#[derive(Default)]
pub(super) struct SecretTexts {
    pub(super) apps: Option<SecretText>,
    pub(super) push: Option<SecretText>,
    pub(super) keyring: Option<SecretText>,
    pub(super) signing_keys: Option<SecretText>,
    pub(super) jwks: Option<SecretText>,
    pub(super) brake: Option<SecretText>,
    pub(super) proxy: Option<SecretText>,
}

pub(super) async fn secrets(vars: &Vars, env: &Env) -> SecretTexts {
    let read = |name| Box::pin(async move { secret(vars.get(name)?, env).await });
    let (apps, push, keyring, signing_keys, jwks, brake, proxy) = tokio::join!(
        read("WXAUTH_APPS"),
        read("WXAUTH_PUSH"),
        read("WXAUTH_KEYRING"),
        read("WXAUTH_SIGNING_KEYS"),
        read("WXAUTH_JWKS"),
        read("WXAUTH_BRAKE"),
        read("WXAUTH_PROXY")
    );
    SecretTexts { apps, push, keyring, signing_keys, jwks, brake, proxy }
}

/// One secret, or `None` if a variable that the client needs is missing: that has its own line.
async fn secret(source: &str, env: &Env) -> Option<SecretText> {
    if let Some(path) = source.strip_prefix("file:") {
        return (!path.is_empty()).then(|| std::fs::read_to_string(path).map_or(SecretText::NoFile, SecretText::Read));
    }
    let client = &env.rotated_secrets().ok()?.0;
    Some(match client.get_secret_value().secret_id(source).send().await {
        Ok(value) => value.secret_string.map_or(SecretText::Binary, SecretText::Read),
        Err(error) => SecretText::Refused(error.into()),
    })
}

/// The table as DynamoDB describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    /// The name of each attribute, and `HASH` or `RANGE`.
    pub(super) keys: Vec<(String, String)>,
    /// The attribute with the time at which an item expires, if TTL is on.
    pub(super) ttl: Result<Option<String>, Refusal>,
    /// `None` for an emulator.
    pub(super) is_protected: Option<bool>,
    /// `None` for an emulator.
    pub(super) has_recovery: Option<Result<bool, Refusal>>,
}

pub(super) async fn table(client: &Client, name: &str, emulated: bool) -> Result<Table, Refusal> {
    let described = client.describe_table().table_name(name).send().await?.table;
    let described = described.ok_or(Refusal(None))?;
    let keys = described.key_schema().iter();
    let keys = keys.map(|key| (key.attribute_name().to_owned(), key.key_type().as_str().to_owned())).collect();
    let (ttl, has_recovery) =
        tokio::join!(ttl(client, name), async { if emulated { None } else { Some(recovery(client, name).await) } });
    let is_protected = described.deletion_protection_enabled().unwrap_or_default();
    Ok(Table { keys, ttl, is_protected: (!emulated).then_some(is_protected), has_recovery })
}

async fn ttl(client: &Client, name: &str) -> Result<Option<String>, Refusal> {
    let described = client.describe_time_to_live().table_name(name).send().await?.time_to_live_description;
    let is_on = [TimeToLiveStatus::Enabled, TimeToLiveStatus::Enabling].map(Some);
    Ok(described.filter(|ttl| is_on.contains(&ttl.time_to_live_status)).and_then(|ttl| ttl.attribute_name))
}

async fn recovery(client: &Client, name: &str) -> Result<bool, Refusal> {
    let described = client.describe_continuous_backups().table_name(name).send().await?;
    let recovery =
        described.continuous_backups_description.and_then(|backups| backups.point_in_time_recovery_description);
    let status = recovery.and_then(|recovery| recovery.point_in_time_recovery_status);
    Ok(status == Some(PointInTimeRecoveryStatus::Enabled))
}

/// Whether WeChat accepts each AppSecret of an app.
pub(super) struct AppSecretCheck {
    pub(super) appid: AppId,
    /// Whether the current one looks like an AppSecret at all.
    pub(super) has_form: bool,
    pub(super) current: Result<PlatformToken, WechatError>,
    /// Checked only if the current one is refused.
    pub(super) previous: Option<Result<PlatformToken, WechatError>>,
}

impl AppSecretCheck {
    /// The token that WeChat gave for either.
    pub(super) fn token(&self) -> Option<&PlatformToken> {
        self.current.as_ref().ok().or_else(|| self.previous.as_ref()?.as_ref().ok())
    }
}

/// Asks WeChat for the app's platform token with one AppSecret at a time.
pub(super) async fn app_secrets(wechat: &dyn PlatformApi, app: &App) -> AppSecretCheck {
    let check = async |secret: &AppSecret| {
        let app = App { secret: secret.clone(), previous_secret: None, ..app.clone() };
        wechat.stable_token(&app, Deadline::after(STABLE_TOKEN_TIMEOUT)).await.map(|(token, _)| token)
    };
    let current = check(&app.secret).await;
    let previous = match (&current, &app.previous_secret) {
        (Err(WechatError::Misconfigured { errcode: 40001 | 40125, .. }), Some(secret)) => Some(check(secret).await),
        _ => None,
    };
    AppSecretCheck { appid: app.appid.clone(), has_form: forms::is_app_secret(&app.secret), current, previous }
}

/// The app's platform token in the table.
pub(super) async fn stored_token(table: &dyn KeepPlatformToken, keyring: &Keyring, appid: &AppId) -> Stored {
    match table.stored(appid).await {
        Err(_) => Stored::Refused,
        Ok(stored) => stored
            .and_then(|stored| Some((platform_token::open(keyring, appid, &stored)?, stored.expires_at)))
            .map_or(Stored::Nothing, |(text, expires_at)| Stored::Token { text, expires_at }),
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) body: String,
    /// The `Date` header, in Unix seconds.
    pub(super) date: Option<Secs>,
    pub(super) sent_at: Secs,
    pub(super) received_at: Secs,
}

impl Response {
    /// By how many seconds the other clock is ahead of ours. A time between request and response is no difference.
    pub(super) fn skew(&self) -> Option<i64> {
        let date = self.date?.cast_signed();
        let nearest = date.clamp(self.sent_at.cast_signed(), self.received_at.max(self.sent_at).cast_signed());
        Some(date - nearest)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FetchError {
    /// TLS fails, with the reason.
    Tls(&'static str),
    NoConnection,
    TooLate,
    Lost,
}

/// Fetches a public document. `url` has neither user nor query.
pub(super) async fn fetch(url: &str, vars: &Vars, clock: &dyn Clock) -> Result<Response, FetchError> {
    let client = client(vars).ok_or(FetchError::Lost)?;
    let sent_at = clock.now();
    let mut response = client.get(url).send().await.map_err(|error| reason(&error))?;
    let received_at = clock.now();
    let date = response.headers().get(http::header::DATE).and_then(|date| date.to_str().ok());
    let date = date.and_then(|text| DateTime::from_str(text, DateTimeFormat::HttpDate).ok());
    let date = date.and_then(|date| Secs::try_from(date.secs()).ok());
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| reason(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_DOCUMENT {
            break;
        }
    }
    Ok(Response { status, body: String::from_utf8_lossy(&body).into_owned(), date, sent_at, received_at })
}

/// A client that trusts the same roots as the functions, and follows no redirect.
fn client(vars: &Vars) -> Option<reqwest::Client> {
    let roots = tls::extra_roots(vars).ok()?;
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls::client_config(&roots).ok()?)
        .redirect(reqwest::redirect::Policy::none())
        .timeout(TIMEOUT)
        .build()
        .ok()
}

fn reason(error: &reqwest::Error) -> FetchError {
    match tls_error(error) {
        Some(tls) => FetchError::Tls(tls_reason(tls)),
        None if error.is_timeout() => FetchError::TooLate,
        None if error.is_connect() => FetchError::NoConnection,
        None => FetchError::Lost,
    }
}

/// The TLS error among the causes. `source` skips the error inside an I/O error, so `get_ref` is used for that.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref() {
            return Some(tls);
        }
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

fn tls_reason(error: &rustls::Error) -> &'static str {
    let rustls::Error::InvalidCertificate(defect) = error else {
        return match error {
            rustls::Error::InvalidMessage(_) => "what listens there does not speak TLS",
            _ => "the TLS handshake fails",
        };
    };
    match defect {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "its certificate has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is for another name"
        }
        CertificateError::UnknownIssuer => {
            "its certificate is not from a public authority, or its chain is not complete"
        }
        CertificateError::Revoked => "its certificate is revoked",
        _ => "its certificate is not accepted",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_clock_is_compared_with_the_time_from_question_to_answer() {
        let skew = |date| {
            let (status, body) = (200, String::new());
            Response { status, body, date, sent_at: 100, received_at: 103 }.skew()
        };

        assert_eq!([99, 100, 103, 110].map(|date| skew(Some(date))), [Some(-1), Some(0), Some(0), Some(7)]);
        assert_eq!(skew(None), None);
    }

    #[test]
    fn a_tls_error_is_found_below_other_errors() {
        let expired = rustls::Error::InvalidCertificate(CertificateError::Expired);
        let wrapped = std::io::Error::other(std::io::Error::other(expired));

        assert_eq!(tls_error(&wrapped).map(tls_reason), Some("its certificate has expired"));
        assert!(tls_error(&std::io::Error::other("refused")).is_none());
    }

    #[test]
    fn each_certificate_problem_has_its_own_words() {
        let defects = [
            CertificateError::Expired,
            CertificateError::NotValidYet,
            CertificateError::NotValidForName,
            CertificateError::UnknownIssuer,
        ];
        let words: std::collections::BTreeSet<_> =
            defects.into_iter().map(|defect| tls_reason(&rustls::Error::InvalidCertificate(defect))).collect();
        assert_eq!(words.len(), 4);
    }
}

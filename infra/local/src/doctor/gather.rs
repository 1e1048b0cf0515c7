//! What the doctor sees: the one file here that reads, asks and waits. It judges nothing and prints nothing.
//!
//! An address is never formatted into an error, and what is kept of an error is a fixed word.

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
    tls,
    vars::Vars,
    wechat::{api::PlatformApi, app::App, error::WechatError},
};

/// Longer than a cold start takes.
const PATIENCE: Duration = Duration::from_secs(10);
/// For `stable_token`, which has its own limits below it.
const WECHAT_PATIENCE: Duration = Duration::from_secs(6);
/// The documents of a deployment stay below 4 KiB.
const LONGEST_DOCUMENT: usize = 64 * 1024;

/// Why AWS gave nothing: its own word for it, or none where it did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal(pub(super) Option<String>);

impl<E: ProvideErrorMetadata, R> From<SdkError<E, R>> for Refusal {
    fn from(error: SdkError<E, R>) -> Self {
        Self(error.as_service_error().and_then(ProvideErrorMetadata::code).map(str::to_owned))
    }
}

/// What reading a secret gave. No `Debug`: it holds the text.
pub(super) enum Text {
    Read(String),
    NoFile,
    Binary,
    Refused(Refusal),
}

/// The secrets whose variables are set.
#[derive(Default)]
pub(super) struct Texts {
    pub(super) apps: Option<Text>,
    pub(super) keyring: Option<Text>,
    pub(super) signing_keys: Option<Text>,
    pub(super) jwks: Option<Text>,
}

/// Reads the four secrets.
pub(super) async fn secrets(vars: &Vars, env: &Env) -> Texts {
    let read = |name| Box::pin(async move { secret(vars.get(name)?, env).await });
    let (apps, keyring, signing_keys, jwks) =
        tokio::join!(read("WXAUTH_APPS"), read("WXAUTH_KEYRING"), read("WXAUTH_SIGNING_KEYS"), read("WXAUTH_JWKS"));
    Texts { apps, keyring, signing_keys, jwks }
}

/// One secret; `None` without the variables that a client needs.
async fn secret(source: &str, env: &Env) -> Option<Text> {
    if let Some(path) = source.strip_prefix("file:") {
        return (!path.is_empty()).then(|| std::fs::read_to_string(path).map_or(Text::NoFile, Text::Read));
    }
    let client = &env.rotated_secrets().ok()?.0;
    Some(match client.get_secret_value().secret_id(source).send().await {
        Ok(value) => value.secret_string.map_or(Text::Binary, Text::Read),
        Err(error) => Text::Refused(error.into()),
    })
}

/// The table as it is described.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    /// Attribute and `HASH` or `RANGE`.
    pub(super) keys: Vec<(String, String)>,
    /// The attribute that items run out by.
    pub(super) ttl: Result<Option<String>, Refusal>,
    /// `None` where it has no meaning.
    pub(super) is_protected: Option<bool>,
    /// `None` where it has no meaning.
    pub(super) has_recovery: Option<Result<bool, Refusal>>,
}

/// Describes the table.
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

/// What WeChat says of each AppSecret of one app.
pub(super) struct Pair {
    pub(super) appid: AppId,
    pub(super) current: Result<(), WechatError>,
    /// Asked for only where the current one is refused.
    pub(super) previous: Option<Result<(), WechatError>>,
}

/// Asks WeChat for the app's platform token, with each AppSecret by itself.
pub(super) async fn pair(wechat: &dyn PlatformApi, app: &App) -> Pair {
    let ask = async |secret: &shared::secret_text::AppSecret| {
        let app = App { secret: secret.clone(), previous_secret: None, ..app.clone() };
        wechat.stable_token(&app, Deadline::after(WECHAT_PATIENCE)).await.map(drop)
    };
    let current = ask(&app.secret).await;
    let previous = match (&current, &app.previous_secret) {
        (Err(WechatError::Misconfigured { errcode: 40001 | 40125, .. }), Some(secret)) => Some(ask(secret).await),
        _ => None,
    };
    Pair { appid: app.appid.clone(), current, previous }
}

/// An answer over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
    /// The `Date` header, in Unix seconds.
    pub(super) date: Option<Secs>,
    pub(super) asked_at: Secs,
    pub(super) answered_at: Secs,
}

impl Answer {
    /// By how many seconds the other clock is ahead of ours; what the way took is no difference.
    pub(super) fn skew(&self) -> Option<i64> {
        let date = self.date?.cast_signed();
        let nearest = date.clamp(self.asked_at.cast_signed(), self.answered_at.max(self.asked_at).cast_signed());
        Some(date - nearest)
    }
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// TLS fails for this reason.
    Tls(&'static str),
    NoConnection,
    TooLate,
    Lost,
}

/// Gets a public document. `url` has neither user nor query.
pub(super) async fn fetch(url: &str, vars: &Vars, clock: &dyn Clock) -> Result<Answer, NoAnswer> {
    let client = client(vars).ok_or(NoAnswer::Lost)?;
    let asked_at = clock.now();
    let mut response = client.get(url).send().await.map_err(|error| why(&error))?;
    let answered_at = clock.now();
    let date = response.headers().get(http::header::DATE).and_then(|date| date.to_str().ok());
    let date = date.and_then(|text| DateTime::from_str(text, DateTimeFormat::HttpDate).ok());
    let date = date.and_then(|date| Secs::try_from(date.secs()).ok());
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| why(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() > LONGEST_DOCUMENT {
            break;
        }
    }
    Ok(Answer { status, body: String::from_utf8_lossy(&body).into_owned(), date, asked_at, answered_at })
}

/// A client that trusts the same roots as the functions, and follows no redirect.
fn client(vars: &Vars) -> Option<reqwest::Client> {
    let roots = tls::extra_roots(vars).ok()?;
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls::client_config(&roots).ok()?)
        .redirect(reqwest::redirect::Policy::none())
        .timeout(PATIENCE)
        .build()
        .ok()
}

fn why(error: &reqwest::Error) -> NoAnswer {
    match tls_error(error) {
        Some(tls) => NoAnswer::Tls(tls_reason(tls)),
        None if error.is_timeout() => NoAnswer::TooLate,
        None if error.is_connect() => NoAnswer::NoConnection,
        None => NoAnswer::Lost,
    }
}

/// The TLS error among the causes. An I/O error hides what it was made of from `source`.
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
            Answer { status, body, date, asked_at: 100, answered_at: 103 }.skew()
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

//! WeChat: one trait per thing that a function may ask of it, and what can come of asking.

pub mod answer;
pub mod breaker;
pub mod client;
pub mod errcode;
pub mod opendata;
pub mod platform_token;
pub mod push;
pub mod signature;

use std::{collections::BTreeMap, error::Error, sync::Arc};

use async_trait::async_trait;
use serde::Deserialize;

use crate::{
    clock::{Deadline, Secs},
    ids::{AppId, OpenId, UnionId},
    redacted::{AppSecret, LoginCode, PhoneCode, PlatformToken, SessionKey},
    secrets::{FromSecret, SecretDefect},
};
use opendata::Phone;

/// A mini program of the owner.
#[derive(Clone, Debug)]
pub struct App {
    /// Its AppID.
    pub appid: AppId,
    /// Its AppSecret.
    pub secret: AppSecret,
    /// The AppSecret before it was changed in WeChat's console: used while WeChat refuses the other.
    pub previous_secret: Option<AppSecret>,
    /// What was set in WeChat's console for its pushes. A slip in it must not end every login, so it stands here.
    pub push: Option<Result<push::Config, push::ConfigDefect>>,
}

/// The owner's mini programs: what `WXAUTH_APPS` names.
#[derive(Debug)]
pub struct Apps(BTreeMap<AppId, App>);

impl Apps {
    /// The app of this id; without an id, the only one.
    #[must_use]
    pub fn find(&self, appid: Option<&AppId>) -> Option<&App> {
        match appid {
            Some(appid) => self.0.get(appid),
            None if self.0.len() == 1 => self.0.values().next(),
            None => None,
        }
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &App> {
        self.0.values()
    }
}

#[derive(Deserialize)]
struct StoredApps {
    apps: BTreeMap<String, StoredApp>,
}

#[derive(Deserialize)]
struct StoredApp {
    secret: String,
    previous_secret: Option<String>,
    push: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct StoredPush {
    token: String,
    encoding_aes_key: Option<String>,
}

impl FromSecret for Apps {
    const SHOULD: &'static str = r#"the mini programs: {"apps": {"wx...": {"secret": "..."}}}"#;

    fn from_secret(text: &str) -> Result<Self, SecretDefect> {
        if matches!(text.trim(), "" | "{}") {
            return Err(SecretDefect::NotFilled);
        }
        let stored: StoredApps = serde_json::from_str(text).map_err(|_| SecretDefect::Malformed)?;
        let mut apps = BTreeMap::new();
        for (appid, app) in stored.apps {
            if app.secret.is_empty() {
                return Err(SecretDefect::NotFilled);
            }
            let appid = AppId::parse(&appid).map_err(|_| SecretDefect::Malformed)?;
            let secret = AppSecret::new(app.secret);
            let previous_secret = app.previous_secret.filter(|text| !text.is_empty()).map(AppSecret::new);
            let push = app.push.map(|push| {
                let stored = StoredPush::deserialize(push).map_err(|_| push::ConfigDefect)?;
                push::Config::parse(stored.token, stored.encoding_aes_key)
            });
            apps.insert(appid.clone(), App { appid, secret, previous_secret, push });
        }
        if apps.is_empty() { Err(SecretDefect::NotFilled) } else { Ok(Self(apps)) }
    }
}

/// What WeChat gives for a login code.
#[derive(Clone, Debug)]
pub struct WechatSession {
    /// The user.
    pub openid: OpenId,
    /// The key that signs and encrypts the user's data.
    pub session_key: SessionKey,
    /// The user across accounts, where the mini program is bound to an open-platform account.
    pub unionid: Option<UnionId>,
}

/// WeChat's id of a request of ours, which its support asks for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Rid(pub String);

/// What went wrong at WeChat: the cases that callers tell apart.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Upstream {
    /// 40029: wrong, expired, used, or of another app.
    #[error("wechat refuses the code as invalid")]
    CodeInvalid,
    /// 40163.
    #[error("wechat says the code was used")]
    CodeUsed,
    /// 40226.
    #[error("wechat blocks this user")]
    Blocked,
    /// -1, 45009, 45011.
    #[error("wechat is busy (errcode {errcode})")]
    Busy {
        /// The number.
        errcode: i64,
        /// When another try makes sense.
        retry_after: Secs,
    },
    /// 40001, 40014, 42001: the platform token, not the user, is refused.
    #[error("wechat refuses the platform token (errcode {errcode})")]
    TokenRefused {
        /// The number.
        errcode: i64,
    },
    /// Our AppID, AppSecret, address or permission.
    #[error("wechat refuses our configuration (errcode {errcode}{})", rid_text(rid.as_ref()))]
    Misconfigured {
        /// The number.
        errcode: i64,
        /// WeChat's id of the request.
        rid: Option<Rid>,
    },
    /// 87009, 87007: the `session_key` is not the user's valid one any more.
    #[error("wechat says the session key is not valid any more")]
    SessionKeyStale,
    /// 40003, or a watermark of another app.
    #[error("wechat says the data is another user's or app's")]
    WrongUser,
    /// WeChat failed too often just now: it is not asked.
    #[error("wechat failed too often and is not asked for a moment")]
    BreakerOpen,
    /// A number that the documents do not explain.
    #[error("wechat answered errcode {errcode}{}", rid_text(rid.as_ref()))]
    Unknown {
        /// The number.
        errcode: i64,
        /// WeChat's id of the request.
        rid: Option<Rid>,
    },
    /// Not the JSON that it should be.
    #[error("wechat answered something unreadable ({0})")]
    Unreadable(&'static str),
    /// No connection: the request did not leave.
    #[error("wechat cannot be reached")]
    Unreachable(#[source] Arc<dyn Error + Send + Sync>),
    /// Something on the way failed with this HTTP status; whether WeChat saw the request is not known.
    #[error("wechat answered HTTP status {0}")]
    Failed(u16),
    /// The request left, and what became of it is not known.
    #[error("wechat did not answer ({0})")]
    NoAnswer(&'static str),
}

impl Upstream {
    /// Whether WeChat itself failed, rather than refused: what one user can cause is no failure.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Failed(500..) | Self::NoAnswer(_) => true,
            Self::Busy { errcode, .. } => *errcode == -1,
            Self::CodeInvalid
            | Self::CodeUsed
            | Self::Blocked
            | Self::TokenRefused { .. }
            | Self::Misconfigured { .. }
            | Self::SessionKeyStale
            | Self::WrongUser
            | Self::BreakerOpen
            | Self::Unknown { .. }
            | Self::Unreadable(_)
            | Self::Failed(_) => false,
        }
    }
}

fn rid_text(rid: Option<&Rid>) -> String {
    rid.map(|rid| format!(", rid {rid}")).unwrap_or_default()
}

/// code2Session.
#[async_trait]
pub trait ExchangeCode: Send + Sync {
    /// Exchanges a login code; the first call that reaches WeChat consumes it.
    async fn exchange(&self, app: &App, code: &LoginCode, by: Deadline) -> Result<WechatSession, Upstream>;
}

/// The phone number by code.
#[async_trait]
pub trait RedeemPhone: Send + Sync {
    /// Redeems a phone code of this user; each success costs the owner money.
    async fn redeem(&self, app: &App, code: &PhoneCode, openid: &OpenId, by: Deadline) -> Result<Phone, PlatformError>;
}

/// Whether a `session_key` is still the user's valid one.
#[async_trait]
pub trait CheckSession: Send + Sync {
    /// Asks WeChat; false only if WeChat says that it is not.
    async fn check(&self, app: &App, openid: &OpenId, key: &SessionKey, by: Deadline) -> Result<bool, PlatformError>;
}

/// WeChat's `access_token`, for whoever may have it.
#[async_trait]
pub trait GivePlatformToken: Send + Sync {
    /// The token of an app that is not the refused one, and how many seconds it has left.
    async fn give(
        &self,
        app: &App,
        refused: Option<&PlatformToken>,
        by: Deadline,
    ) -> Result<(PlatformToken, Secs), PlatformError>;
}

/// Why a call with a platform token failed.
#[derive(Debug, thiserror::Error)]
pub enum PlatformError {
    /// WeChat refused or failed.
    #[error(transparent)]
    Wechat(#[from] Upstream),
    /// The platform token could not be kept.
    #[error(transparent)]
    Store(#[from] crate::session::StoreError),
    /// The keys for the platform token cannot be read.
    #[error(transparent)]
    Secret(#[from] crate::secrets::SecretError),
}

/// The calls that the platform-token broker makes.
#[async_trait]
pub trait PlatformApi: Send + Sync {
    /// `stable_token`, never forced: the same token for everybody until it is renewed; and its remaining seconds.
    async fn stable_token(&self, app: &App, by: Deadline) -> Result<(PlatformToken, Secs), Upstream>;

    /// `getuserphonenumber`.
    async fn phone_number(&self, call: &Call<'_>, code: &PhoneCode, by: Deadline) -> Result<Phone, Upstream>;

    /// `checksession`.
    async fn check_session(&self, call: &Call<'_>, key: &SessionKey, by: Deadline) -> Result<bool, Upstream>;
}

/// A call about a user, with a platform token.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The mini program.
    pub appid: &'a AppId,
    /// Its platform token.
    pub token: &'a PlatformToken,
    /// The user.
    pub openid: &'a OpenId,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apps(text: &str) -> Result<Apps, SecretDefect> {
        Apps::from_secret(text)
    }

    #[test]
    fn an_app_is_found_by_its_id_and_the_only_one_without() {
        let one = apps(r#"{"apps":{"wx1":{"secret":"s"}}}"#).unwrap();
        let two = apps(r#"{"apps":{"wx1":{"secret":"s"},"wx2":{"secret":"t","previous_secret":"u"}}}"#).unwrap();
        let wx2 = AppId::parse("wx2").unwrap();

        assert!(one.find(None).is_some() && one.find(Some(&wx2)).is_none());
        assert!(two.find(None).is_none());
        assert_eq!(two.find(Some(&wx2)).unwrap().previous_secret.as_ref().unwrap().expose(), "u");
    }

    #[test]
    fn a_slip_in_what_pushes_need_spoils_nothing_else() {
        for push in ["1", "{}", r#"{"token":""}"#, r#"{"token":"t","encoding_aes_key":"short"}"#] {
            let one = apps(&format!(r#"{{"apps":{{"wx1":{{"secret":"s","push":{push}}}}}}}"#)).unwrap();
            assert!(matches!(one.find(None).unwrap().push, Some(Err(_))), "{push}");
        }
    }

    #[test]
    fn an_empty_secret_waits_for_its_owner_and_another_form_is_malformed() {
        for empty in ["", "{}", r#"{"apps":{}}"#, r#"{"apps":{"wx1":{"secret":""}}}"#] {
            assert_eq!(apps(empty).unwrap_err(), SecretDefect::NotFilled, "{empty}");
        }
        for bad in ["[]", r#"{"apps":[]}"#, r#"{"apps":{"w x":{"secret":"s"}}}"#, r#"{"apps":{"wx1":"s"}}"#] {
            assert_eq!(apps(bad).unwrap_err(), SecretDefect::Malformed, "{bad}");
        }
    }
}

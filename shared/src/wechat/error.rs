//! What can go wrong at WeChat, and what a client is told about it.

use std::{error::Error, sync::Arc, time::Duration};

use crate::{
    clock::Secs,
    ids::Rid,
    problem::{Code, Problem},
};

/// How long WeChat is not asked after it failed too often.
pub const BREAKER_OPEN: Duration = Duration::from_secs(5);

/// What went wrong at WeChat: the cases that callers tell apart.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WechatError {
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
    /// 1: encrypted data that WeChat did not make for this app, or not in the last three days.
    #[error("wechat does not know this encrypted data")]
    DataUnknown,
    /// 40003, a phone code of another app (40013), or a watermark of another app.
    #[error("wechat says the data is another user's or app's")]
    WrongUser,
    /// WeChat failed too often just now, so it is not asked.
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
    /// The response is not the JSON that it should be.
    #[error("wechat answered something unreadable ({0})")]
    Unreadable(&'static str),
    /// No connection: the request did not leave.
    #[error("wechat cannot be reached")]
    Unreachable(#[source] Arc<dyn Error + Send + Sync>),
    /// A gateway on the way failed with this HTTP status. Whether WeChat saw the request is not known.
    #[error("wechat answered HTTP status {0}")]
    Failed(u16),
    /// There was no time to ask.
    #[error("wechat was not asked ({0})")]
    NotAsked(&'static str),
    /// The request was sent, and its fate is not known.
    #[error("wechat did not answer ({0})")]
    NoAnswer(&'static str),
}

impl WechatError {
    /// Whether WeChat itself failed, rather than refused. What one user can cause is no failure.
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
            | Self::DataUnknown
            | Self::WrongUser
            | Self::BreakerOpen
            | Self::NotAsked(_)
            | Self::Unknown { .. }
            | Self::Unreadable(_)
            | Self::Failed(_) => false,
        }
    }
}

fn rid_text(rid: Option<&Rid>) -> String {
    rid.map(|rid| format!(", rid {rid}")).unwrap_or_default()
}

impl From<WechatError> for Problem {
    fn from(error: WechatError) -> Self {
        let problem = match &error {
            WechatError::Misconfigured { .. } => Self::new(Code::Misconfigured),
            WechatError::Busy { retry_after, .. } => Self::new(Code::WechatBusy).retry_after(*retry_after),
            WechatError::BreakerOpen => Self::new(Code::WechatBusy).retry_after(BREAKER_OPEN.as_secs()),
            WechatError::Unreachable(_) | WechatError::NotAsked(_) | WechatError::NoAnswer(_) => {
                Self::new(Code::WechatTimeout)
            }
            WechatError::TokenRefused { .. }
            | WechatError::SessionKeyStale
            | WechatError::Unknown { .. }
            | WechatError::Unreadable(_)
            | WechatError::Failed(_) => Self::new(Code::WechatError),
            // What cannot be read, and what was not WeChat's: one answer.
            WechatError::DataUnknown => Self::new(Code::SessionKeyExpired),
            WechatError::WrongUser => Self::new(Code::DataRejected),
            WechatError::CodeInvalid => Self::new(Code::CodeInvalid),
            WechatError::CodeUsed => Self::new(Code::CodeUsed),
            WechatError::Blocked => Self::new(Code::UserBlocked),
        };
        problem.because(error)
    }
}

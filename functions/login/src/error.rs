//! Why a login gives no tokens, and what the client is told.

use shared::{
    clock::Secs,
    problem::{Action, Code, Problem},
    secrets::SecretError,
    session::issue::IssueError,
    store::StoreError,
    token::keyring::SealError,
    wechat::error::WechatError,
};

#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// While the response of an earlier request with this code was looked for.
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Issue(#[from] IssueError),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error("the code is spent, and the session was not stored")]
    NotStored(#[source] StoreError),
    #[error("the code is spent, and no time was left to store the session or to find the one that the code gave")]
    OutOfTime,
    #[error("the code is spent, and a newer login of the device, or more devices than there may be, ended the session")]
    Ended,
    #[error("the appid is not configured, or is missing")]
    AppUnknown,
    #[error(
        "WXAUTH_NOT_BEFORE, or what WXAUTH_BRAKE names, is in the future: every session would be over before it begins"
    )]
    BrakeInTheFuture,
    #[error(transparent)]
    Wechat(#[from] WechatError),
    #[error("the user is blocked")]
    Blocked,
    #[error("the user was deleted or logged out everywhere meanwhile, or has another session_key")]
    Overtaken,
    #[error("too many codes of this network gave no session")]
    TooManyCharged { retry_after: Secs },
    #[error("the code was used by another request, or the login that it gave is over")]
    CodeUsed,
}

impl From<LoginError> for Problem {
    fn from(error: LoginError) -> Self {
        let code = match error {
            LoginError::Secret(error) => return error.into(),
            LoginError::Store(error) => return error.into(),
            LoginError::Issue(error) => return error.into(),
            // A new code costs the user nothing, where this one may be spent.
            LoginError::Wechat(error) => {
                let problem = Self::from(error);
                let may_be_spent = matches!(problem.code(), Code::WechatError | Code::WechatTimeout);
                return if may_be_spent { problem.action(Action::Relogin) } else { problem };
            }
            LoginError::TooManyCharged { retry_after } => {
                return Self::new(Code::RateLimited).retry_after(retry_after).because(error);
            }
            LoginError::Seal(_) => Code::Internal,
            LoginError::NotStored(_) | LoginError::OutOfTime | LoginError::Ended | LoginError::Overtaken => {
                Code::RetryLogin
            }
            LoginError::AppUnknown => return Self::invalid("appid").because(error),
            LoginError::BrakeInTheFuture => Code::Misconfigured,
            LoginError::CodeUsed => Code::CodeUsed,
            LoginError::Blocked => Code::UserBlocked,
        };
        Self::new(code).because(error)
    }
}

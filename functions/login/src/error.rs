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

/// Why a login gives no tokens.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The table failed before anything was spent.
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// The session key could not be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The code is spent, and the session is not stored.
    #[error("the login was not stored")]
    NotStored(#[source] StoreError),
    /// The code is spent, and there was no time left to store the session, or to find the one that the code gave.
    #[error("the login was not stored in time")]
    OutOfTime,
    /// The code is spent, and the table holds a newer login of the same device.
    #[error("a newer login of this device is there")]
    SupersededByNewerLogin,
    /// The mini program is not one of the owner's, or must be named.
    #[error("the appid is not configured, or is missing")]
    AppUnknown,
    /// WeChat refused or failed.
    #[error(transparent)]
    Wechat(#[from] WechatError),
    /// The owner has blocked the user.
    #[error("the user is blocked")]
    Blocked,
    /// The user was deleted during the login.
    #[error("the user was deleted meanwhile")]
    Erased,
    #[error("too many refused codes from this address")]
    TooManyRefusedCodes {
        /// Seconds until the next code may be sent.
        retry_after: Secs,
    },
    /// The code was used by another request, or the login that it gave is over.
    #[error("the code was used and this request cannot be repeated")]
    CodeUsed,
}

impl From<LoginError> for Problem {
    fn from(error: LoginError) -> Self {
        let problem = match error {
            LoginError::Secret(error) => return error.into(),
            LoginError::Store(error) => return error.into(),
            LoginError::Issue(error) => return error.into(),
            LoginError::Wechat(error) => return of_code2session(error),
            LoginError::Seal(_) => Self::new(Code::Internal),
            LoginError::NotStored(_)
            | LoginError::OutOfTime
            | LoginError::SupersededByNewerLogin
            | LoginError::Erased => Self::new(Code::RetryLogin),
            LoginError::AppUnknown => Self::new(Code::InvalidRequest),
            LoginError::CodeUsed => Self::new(Code::CodeUsed),
            LoginError::Blocked => Self::new(Code::UserBlocked),
            LoginError::TooManyRefusedCodes { retry_after } => Self::new(Code::RateLimited).retry_after(retry_after),
        };
        problem.because(error)
    }
}

/// Where the code may be spent, the client logs in with a new one, which costs the user nothing.
fn of_code2session(error: WechatError) -> Problem {
    match error {
        WechatError::Unreachable(_) | WechatError::NoAnswer(_) | WechatError::Failed(_) => {
            Problem::from(error).action(Action::Relogin)
        }
        WechatError::WrongUser => Problem::new(Code::WechatError).because(error),
        error => error.into(),
    }
}

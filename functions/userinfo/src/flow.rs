//! The profile: is the session alive, is there an attempt left, and then signature and data.

use shared::{
    notes,
    problem::{Code, Problem},
    secrets::SecretError,
    session::{StoreError, TakeError, admission::NotAdmitted},
    token::access::Subject,
    wechat::opendata::{self, OpenDataDefect, Profile, UserInfo},
};

use crate::{Deps, Given};

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
pub enum UserInfoError {
    /// A secret cannot be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The table failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The access token is refused, or its session is gone.
    #[error(transparent)]
    NotAdmitted(#[from] NotAdmitted),
    /// No attempt is left in this hour.
    #[error("too many attempts within the hour")]
    RateLimited {
        /// Seconds until the next one.
        retry_after: u64,
    },
    /// The signature or the data is refused.
    #[error(transparent)]
    Data(#[from] OpenDataDefect),
}

impl From<TakeError> for UserInfoError {
    fn from(error: TakeError) -> Self {
        match error {
            TakeError::RateLimited { retry_after } => Self::RateLimited { retry_after },
            // The session is there but its user is not: a new login puts that right.
            TakeError::NoUser => Self::Data(OpenDataDefect::Unreadable),
            TakeError::Store(error) => Self::Store(error),
        }
    }
}

impl From<UserInfoError> for Problem {
    fn from(error: UserInfoError) -> Self {
        let problem = match error {
            UserInfoError::Secret(error) => return error.into(),
            UserInfoError::Store(error) => return error.into(),
            UserInfoError::NotAdmitted(error) => return error.into(),
            UserInfoError::RateLimited { retry_after } => Self::new(Code::RateLimited).retry_after(retry_after),
            UserInfoError::Data(OpenDataDefect::Unreadable) => Self::new(Code::SessionKeyExpired),
            UserInfoError::Data(OpenDataDefect::Foreign) => Self::new(Code::DataRejected),
        };
        problem.because(error)
    }
}

/// The profile that was given, if it is this user's.
pub async fn profile(deps: &Deps, subject: &Subject, given: &Given) -> Result<Profile, UserInfoError> {
    let keyring = deps.keyring.get().await?;
    notes::note(|notes| notes.user = keyring.pseudonym(&subject.appid, &subject.openid));
    // First the session: a token whose session is gone must not use up its owner's attempts.
    deps.admission.session(subject).await?;
    let user = subject.session().user;
    let keys = deps.keys.take(&user, None, deps.clock.now()).await?.open(&user, &keyring);
    let signed = given.signed.as_ref().map(|(raw_data, signature)| (raw_data.as_str(), signature.as_str()));
    let given = UserInfo { signed, data: &given.data };
    let profile = opendata::profile(&given, &keys, &user.appid, &user.openid)?;
    if let Some(unionid) = profile.unionid() {
        deps.unionids.remember_unionid(&user, unionid).await?;
    }
    Ok(profile)
}

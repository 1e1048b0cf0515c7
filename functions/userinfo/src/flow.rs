//! Profile and other data: the session must live, an attempt must be left, and then signature and data are checked.

use shared::{
    authenticator::AuthError,
    ids::UserRef,
    problem::Problem,
    request_log,
    secret_text::SessionKeys,
    secrets::SecretError,
    session::Attempt,
    store::{StoreError, TakeError},
    token::access::Subject,
    wechat::opendata::{self, Ciphertext, OpenData, OpenDataDefect, Profile, SignedProfile},
};

use crate::Deps;

/// Why there is no profile, or no other data.
#[derive(Debug, thiserror::Error)]
pub enum UserInfoError {
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Auth(#[from] AuthError),
    #[error(transparent)]
    Take(#[from] TakeError),
    /// The signature or the data is refused.
    #[error(transparent)]
    Data(#[from] OpenDataDefect),
}

impl From<UserInfoError> for Problem {
    fn from(error: UserInfoError) -> Self {
        match error {
            UserInfoError::Secret(error) => error.into(),
            UserInfoError::Store(error) => error.into(),
            UserInfoError::Auth(error) => error.into(),
            UserInfoError::Take(error) => error.into(),
            UserInfoError::Data(defect) => defect.into(),
        }
    }
}

/// The profile that was sent, if it is this user's. A new unionid is stored.
pub async fn profile(deps: &Deps, subject: &Subject, sent: &SignedProfile<'_>) -> Result<Profile, UserInfoError> {
    let (user, keys) = attempt(deps, subject).await?;
    let profile = opendata::profile(sent, &keys, &user.appid, &user.openid)?;
    if let Some(unionid) = profile.unionid() {
        deps.table.remember_unionid(&user, unionid).await?;
    }
    Ok(profile)
}

/// Other data that was sent, if it is not another user's.
pub async fn other(deps: &Deps, subject: &Subject, sent: &Ciphertext) -> Result<OpenData, UserInfoError> {
    let (user, keys) = attempt(deps, subject).await?;
    Ok(opendata::other(sent, &keys, &user.appid, &user.openid)?)
}

/// The user and the keys, once an attempt is counted.
async fn attempt(deps: &Deps, subject: &Subject) -> Result<(UserRef, SessionKeys), UserInfoError> {
    let keyring = deps.keyring.get().await?;
    let user = subject.session().user;
    request_log::record(|fields| fields.user = keyring.pseudonym(&user));
    // The session comes first: a token whose session is gone must not use up its owner's attempts.
    deps.authenticator.session(subject).await?;
    let keys = deps.table.take_session_keys(&user, &Attempt::OpenData, deps.clock.now()).await?.open(&user, &keyring);
    Ok((user, keys))
}

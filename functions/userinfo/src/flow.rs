//! Profile and other data: the session must live, an attempt must be left, and then signature and data are checked.

use shared::{
    ids::UserRef,
    problem::Problem,
    request_log,
    secret_text::SessionKeys,
    session::Attempt,
    token::access::Subject,
    wechat::opendata::{self, Ciphertext, OpenData, Profile, SignedProfile},
};

use crate::Deps;

/// The profile that was sent, if it is this user's. A new unionid is stored.
pub async fn profile(deps: &Deps, subject: &Subject, sent: &SignedProfile<'_>) -> Result<Profile, Problem> {
    let (user, keys) = attempt(deps, subject).await?;
    let profile = opendata::profile(sent, &keys, &user.appid, &user.openid)?;
    if let Some(unionid) = profile.unionid() {
        deps.table.remember_unionid(&user, unionid).await?;
    }
    Ok(profile)
}

/// Other data that was sent, if it is not another user's.
pub async fn other(deps: &Deps, subject: &Subject, sent: &Ciphertext) -> Result<OpenData, Problem> {
    let (user, keys) = attempt(deps, subject).await?;
    Ok(opendata::other(sent, &keys, &user.appid, &user.openid)?)
}

/// The user and the keys, once an attempt is counted.
async fn attempt(deps: &Deps, subject: &Subject) -> Result<(UserRef, SessionKeys), Problem> {
    let keyring = deps.keyring.get().await?;
    let user = subject.session().user;
    request_log::record(|fields| fields.user = keyring.pseudonym(&user));
    // The session comes first: a token whose session is gone must not use up its owner's attempts.
    deps.authenticator.session(subject).await?;
    let keys = deps.table.take_session_keys(&user, &Attempt::OpenData, deps.clock.now()).await?.open(&user, &keyring);
    Ok((user, keys))
}

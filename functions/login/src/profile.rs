//! The optional `userInfo` of a login: verified, or left out. It never refuses the login.

use shared::{
    clock::Deadline,
    ids::{UnionId, UserRef},
    session::Attempt,
    wechat::opendata::{self, Profile},
};

use crate::attempt::{Login, OPTIONAL_WORK_LIMIT};

/// The profile, if signature, data, app and user are right, the user has an attempt left, and there is time. A unionid other
/// than the `known` one is stored.
pub(crate) async fn read(
    login: &Login<'_>,
    user: &UserRef,
    known: Option<&UnionId>,
    deadline: Deadline,
) -> Option<Profile> {
    let verified = async {
        let (deps, sent) = (login.deps, login.presented.request.user_info.0.as_ref()?);
        let data = sent.ciphertext().ok()?;
        let sealed = deps.table.take_session_keys(user, &Attempt::LoginProfile, deps.clock.now()).await.ok()?;
        let keys = sealed.open(user, login.tokens.keyring);
        let profile = opendata::profile(&sent.signed(&data), &keys, &user.appid, &user.openid).ok()?;
        if let Some(unionid) = profile.unionid().filter(|unionid| Some(*unionid) != known) {
            // If this fails, the next login's profile brings it again.
            drop(deps.table.remember_unionid(user, unionid).await);
        }
        Some(profile)
    };
    deadline.optional(OPTIONAL_WORK_LIMIT, verified).await.flatten()
}

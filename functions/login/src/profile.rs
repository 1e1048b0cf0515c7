//! The optional `userInfo` of a login: verified, or left out. It never refuses the login.

use shared::{
    ids::UnionId,
    session::UserRef,
    token::keyring::Keyring,
    wechat::opendata::{self, Ciphertext, Profile},
};

use crate::{Deps, UserInfo};

/// The profile, if signature, data, app and user are right and the user has an attempt left; a new unionid is stored.
pub(crate) async fn read(
    deps: &Deps,
    keyring: &Keyring,
    user: &UserRef,
    given: Option<&UserInfo>,
    known: Option<&UnionId>,
) -> Option<Profile> {
    let given = given?;
    let data = Ciphertext::parse(&given.encrypted_data, &given.iv).ok()?;
    let keys = deps.keys.take(user, deps.clock.now()).await.ok()?.open(user, keyring);
    if !opendata::signed(&given.raw_data, &given.signature, &keys) {
        return None;
    }
    let profile = opendata::profile(&data, &keys, &user.appid, &user.openid).ok()?;
    if let Some(unionid) = profile.unionid().filter(|unionid| Some(*unionid) != known) {
        // The data will tell it again at the next login.
        drop(deps.users.remember_unionid(user, unionid).await);
    }
    Some(profile)
}

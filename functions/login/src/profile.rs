//! The optional `userInfo` of a login: verified, or left out. It never refuses the login.

use shared::{
    ids::UnionId,
    session::UserRef,
    token::keyring::Keyring,
    wechat::opendata::{self, Ciphertext, Profile, UserInfo},
};

use crate::{Deps, GivenUserInfo};

/// The profile, if signature, data, app and user are right and the user has an attempt left; a new unionid is stored.
pub(crate) async fn read(
    deps: &Deps,
    keyring: &Keyring,
    user: &UserRef,
    given: Option<&GivenUserInfo>,
    known: Option<&UnionId>,
) -> Option<Profile> {
    let given = given?;
    let data = Ciphertext::parse(&given.encrypted_data, &given.iv).ok()?;
    let keys = deps.keys.take(user, None, deps.clock.now()).await.ok()?.open(user, keyring);
    let given = UserInfo { signed: Some((&given.raw_data, &given.signature)), data: &data };
    let profile = opendata::profile(&given, &keys, &user.appid, &user.openid).ok()?;
    if let Some(unionid) = profile.unionid().filter(|unionid| Some(*unionid) != known) {
        // The data will tell it again at the next login.
        drop(deps.unionids.remember_unionid(user, unionid).await);
    }
    Some(profile)
}

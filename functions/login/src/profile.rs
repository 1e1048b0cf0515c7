//! The optional `userInfo` of a login: verified, or left out. It never refuses the login.

use shared::{
    ids::{UnionId, UserRef},
    token::keyring::Keyring,
    wechat::opendata::{self, Ciphertext, Profile, SignedProfile},
};

use crate::{Deps, UserInfo};

/// The profile, if signature, data, app and user are right and the user has an attempt left. A unionid other than the
/// `known` one is stored.
pub(crate) async fn read(
    deps: &Deps,
    keyring: &Keyring,
    user: &UserRef,
    sent: Option<&UserInfo>,
    known: Option<&UnionId>,
) -> Option<Profile> {
    let sent = sent?;
    let data = Ciphertext::parse(&sent.encrypted_data, &sent.iv).ok()?;
    let keys = deps.table.take_session_keys(user, None, deps.clock.now()).await.ok()?.open(user, keyring);
    let signed = SignedProfile { signed: Some((&sent.raw_data, &sent.signature)), data: &data };
    let profile = opendata::profile(&signed, &keys, &user.appid, &user.openid).ok()?;
    if let Some(unionid) = profile.unionid().filter(|unionid| Some(*unionid) != known) {
        // If this fails, the next login's profile brings it again.
        drop(deps.table.remember_unionid(user, unionid).await);
    }
    Some(profile)
}

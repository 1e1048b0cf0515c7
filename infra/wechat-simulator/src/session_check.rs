//! `GET /wxa/checksession` and `GET /wxa/resetusersessionkey`: both want a signature by the current `session_key`.

use serde_json::json;

use crate::call::{Call, Outcome, Refusal};
use crate::signature;
use crate::state::State;
use crate::users::User;

pub(crate) fn check(state: &mut State, call: &Call, now: u64) -> Outcome {
    signed_by(state, call, now)?;
    Ok(json!({ "errcode": 0, "errmsg": "ok" }))
}

/// The old key is wrong at once.
pub(crate) fn reset(state: &mut State, call: &Call, now: u64) -> Outcome {
    let key = state.random.session_key();
    let (openid, user) = signed_by(state, call, now)?;
    user.session_key = Some(key.clone());
    Ok(json!({ "errcode": 0, "errmsg": "ok", "openid": openid, "session_key": key }))
}

/// The user whose current key made the signature over the empty message, with its openid.
fn signed_by<'a>(state: &'a mut State, call: &'a Call, now: u64) -> Result<(&'a str, &'a mut User), Refusal> {
    let appid = state.tokens.app_of(call, now)?;
    if call.query("sig_method") != Some("hmac_sha256") {
        return Err(Refusal(87008));
    }
    // This process does not know a user from before a restart, whose openid is right all the same: the key is wrong.
    let openid = call.query("openid").filter(|id| state.users.is_openid_of(appid, id)).ok_or(Refusal(40003))?;
    let is_signed = |user: &User| {
        let key = user.session_key.as_deref();
        key.is_some_and(|key| call.query("signature") == Some(signature::of_session(key, b"").as_str()))
    };
    let user = state.users.with_openid(appid, openid).filter(|user| is_signed(user));
    Ok((openid, user.ok_or(Refusal(state.settings.stale_key_errcode))?))
}

//! `GET /wxa/checksession` and `GET /wxa/resetusersessionkey`: both want a signature by the current `session_key`.

use serde_json::json;

use crate::answer::{Outcome, Refusal};
use crate::api::Call;
use crate::state::State;
use crate::users::User;
use crate::{platform_token, signature};

pub(crate) fn check(state: &mut State, call: &Call, now: u64) -> Outcome {
    signed_by(state, call, now)?;
    Ok(json!({ "errcode": 0, "errmsg": "ok" }))
}

/// The old key dies at once.
pub(crate) fn reset(state: &mut State, call: &Call, now: u64) -> Outcome {
    let key = state.fresh_session_key();
    let (openid, user) = signed_by(state, call, now)?;
    user.session_key = Some(key.clone());
    Ok(json!({ "errcode": 0, "errmsg": "ok", "openid": openid, "session_key": key }))
}

/// The user whose current key made the signature over the empty message, with its openid.
fn signed_by<'a>(state: &'a mut State, call: &'a Call, now: u64) -> Result<(&'a str, &'a mut User), Refusal> {
    let appid = platform_token::app_of(state, call, now)?;
    if call.query("sig_method") != Some("hmac_sha256") {
        return Err(Refusal(87008));
    }
    // A user from before a restart is nobody that this process knows, but the openid is not wrong: its key is.
    let openid = call.query("openid").filter(|id| state.users.is_openid_of(&appid, id)).ok_or(Refusal(40003))?;
    let is_signed = |user: &User| {
        let key = user.session_key.as_deref();
        key.is_some_and(|key| call.query("signature") == Some(signature::of_session(key, b"").as_str()))
    };
    let user = state.users.with_openid(&appid, openid).filter(|user| is_signed(user));
    Ok((openid, user.ok_or(Refusal(state.settings.stale_key_errcode))?))
}

//! `GET /wxa/checksession` and `GET /wxa/resetusersessionkey`: both want a signature by the current `session_key`.

use serde_json::json;

use crate::answer::{Outcome, Refusal};
use crate::api::Call;
use crate::state::State;
use crate::{identity, platform_token, signature};

pub(crate) fn check(state: &mut State, call: &Call, now: u64) -> Outcome {
    signed_by(state, call, now)?;
    Ok(json!({ "errcode": 0, "errmsg": "ok" }))
}

/// The old key dies at once.
pub(crate) fn reset(state: &mut State, call: &Call, now: u64) -> Outcome {
    let openid = signed_by(state, call, now)?.to_owned();
    let key = state.fresh_session_key();
    if let Some(user) = state.users.get_mut(&openid) {
        user.session_key = Some(key.clone());
    }
    Ok(json!({ "errcode": 0, "errmsg": "ok", "openid": openid, "session_key": key }))
}

/// The openid whose current key made the signature over the empty message.
fn signed_by<'a>(state: &State, call: &'a Call, now: u64) -> Result<&'a str, Refusal> {
    let appid = platform_token::app_of(state, call, now)?;
    if call.query("sig_method") != Some("hmac_sha256") {
        return Err(Refusal(87008));
    }
    // A user from before a restart is nobody that this process knows, but the openid is not wrong: its key is.
    let openid = call.query("openid").filter(|id| identity::is_openid_of(&appid, id)).ok_or(Refusal(40003))?;
    let key = state.users.get(openid).and_then(|user| user.session_key.as_deref()).ok_or(Refusal(87009))?;
    if call.query("signature") == Some(signature::of_session(key, b"").as_str()) {
        Ok(openid)
    } else {
        Err(Refusal(87009))
    }
}

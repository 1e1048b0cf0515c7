//! `GET /sns/jscode2session`: a login code for openid and the user's current `session_key`.
//!
//! A call that fails before the code is looked at (parameters, appid, secret) leaves the code unused, and so does
//! one with another app's appid.

use serde_json::json;

use crate::call::{Call, Outcome, Refusal};
use crate::state::State;

pub(crate) fn exchange(state: &mut State, call: &Call, now: u64) -> Outcome {
    let appid = call.query("appid").ok_or(Refusal(41002))?;
    let secret = call.query("secret").ok_or(Refusal(41004))?;
    let text = call.query("js_code").ok_or(Refusal(41008))?;
    if call.query("grant_type") != Some("authorization_code") {
        return Err(Refusal(40002));
    }
    state.authenticate(appid, secret)?;
    state.admit_login_code(text, appid, now);

    let code = state.login_codes.find(text, now).filter(|code| code.appid == appid).ok_or(Refusal(40029))?;
    if code.used {
        return Err(Refusal(state.settings.used_code_errcode));
    }
    code.used = true;

    let (openid, user) = state.users.named(appid, &code.user);
    if user.blocked {
        return Err(Refusal(40226));
    }
    // The current key, not that of the login: with two codes in flight both exchanges get the later key.
    let mut body = json!({ "openid": openid, "session_key": user.session_key });
    if let Some(unionid) = &user.unionid {
        body["unionid"] = json!(unionid);
    }
    Ok(body)
}

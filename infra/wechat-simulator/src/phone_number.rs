//! `POST /wxa/business/getuserphonenumber`: a phone code for the number.
//!
//! The platform token is looked at first, so a call with a stale one leaves the code unused.

use serde_json::{Value, json};

use crate::call::{Call, Outcome, Refusal};
use crate::opendata::PhoneInfo;
use crate::state::State;

pub(crate) fn redeem(state: &mut State, call: &Call, now: u64) -> Outcome {
    let appid = state.tokens.app_of(call, now)?.to_owned();
    let body = call.json()?;
    let text = body.get("code").and_then(Value::as_str).ok_or(Refusal(40029))?;

    state.admit_phone_code(text, &appid, body.get("openid"), now);
    let code = state.phone_codes.find(text, now).filter(|code| !code.used).ok_or(Refusal(40029))?;
    if code.appid != appid {
        return Err(Refusal(40013));
    }
    let (openid, user) = state.users.named(&appid, &code.user);
    // Not documented for a code of somebody else; 40003 is what a wrong openid gets. The code stays unused.
    if body.get("openid").is_some_and(|given| given.as_str() != Some(&openid)) {
        return Err(Refusal(40003));
    }
    code.used = true;

    Ok(json!({ "errcode": 0, "errmsg": "ok", "phone_info": PhoneInfo::of(user, &appid, now) }))
}

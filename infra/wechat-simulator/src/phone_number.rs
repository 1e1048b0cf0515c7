//! `POST /wxa/business/getuserphonenumber`: a phone code for the number.
//!
//! The platform token is looked at first, so a call with a stale one leaves the code unused.

use serde_json::{Value, json};

use crate::answer::{Outcome, Refusal};
use crate::api::Call;
use crate::opendata::{PhoneInfo, Watermark};
use crate::platform_token;
use crate::state::State;
use crate::users::User;

pub(crate) fn answer(state: &mut State, call: &Call, now: u64) -> Outcome {
    let appid = platform_token::app_of(state, call, now)?;
    let body = call.json()?;
    let text = body.get("code").and_then(Value::as_str).ok_or(Refusal(40029))?;

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

    Ok(json!({ "errcode": 0, "errmsg": "ok", "phone_info": phone_info(user, &appid, now) }))
}

/// What both ways to a phone number tell.
pub(crate) fn phone_info<'a>(user: &'a User, appid: &'a str, now: u64) -> PhoneInfo<'a> {
    PhoneInfo {
        phone_number: &user.phone_number,
        pure_phone_number: &user.pure_phone_number,
        country_code: &user.country_code,
        watermark: Watermark { timestamp: now, appid },
    }
}

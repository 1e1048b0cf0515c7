//! What WeChat says: JSON in HTTP 200, whatever happened, under a content type that is often not JSON's.

use serde_json::{Value, json};

use crate::api::Api;
use crate::call::{Outcome, Refusal};
use crate::state::State;

/// The outcome in the shape that the settings ask for.
pub(crate) fn body(api: Api, state: &mut State, outcome: Outcome, now: u64) -> String {
    match outcome {
        Ok(body) => text(state, success(api, state, body)),
        Err(refusal) => refusal_body(state, refusal, None, now),
    }
}

/// An errcode with the given text or, without one, the usual text and a request id.
pub(crate) fn refusal_body(state: &mut State, refusal: Refusal, errmsg: Option<String>, now: u64) -> String {
    let Refusal(errcode) = refusal;
    let errmsg = errmsg.unwrap_or_else(|| format!("{}, {}", usual_text(errcode), rid(state, now)));
    text(state, json!({ "errcode": errcode, "errmsg": errmsg }))
}

fn text(state: &State, mut body: Value) -> String {
    if state.settings.errcode_as_text
        && let Some(errcode) = body.get_mut("errcode")
    {
        *errcode = Value::from(errcode.to_string());
    }
    body.to_string()
}

fn success(api: Api, state: &State, mut body: Value) -> Value {
    if api == Api::Jscode2session && state.settings.success_errcode {
        body["errcode"] = json!(0);
        body["errmsg"] = json!("ok");
    }
    if state.settings.extra_fields {
        body["in_no_document"] = json!({ "list": [1, null, "x"], "flag": true });
        if body.get("expires_in").is_none() {
            // code2Session once had this field; it never was a promise about session_key.
            body["expires_in"] = json!(7200);
        }
    }
    body
}

/// WeChat's request id in the newer of its two spellings: time, then two numbers, in hex.
fn rid(state: &mut State, now: u64) -> String {
    let number = state.random.number();
    format!("rid: {now:08x}-{:08x}-{:08x}", number >> 32, number & 0xffff_ffff)
}

fn usual_text(errcode: i64) -> &'static str {
    match errcode {
        -1 => "system error",
        0 => "ok",
        // As WeChat spells it.
        1 => "data not exit",
        40001 => "invalid credential, access_token is invalid or not latest",
        40002 => "invalid grant_type",
        40003 => "invalid openid",
        40013 => "invalid appid",
        40014 => "invalid access_token",
        40029 => "invalid code",
        40097 => "invalid args",
        40125 => "invalid appsecret",
        40163 => "code been used",
        40164 => "invalid ip, not in whitelist",
        40226 => "code blocked",
        40243 => "appsecret is frozen",
        41001 => "access_token missing",
        41002 => "appid missing",
        41004 => "appsecret missing",
        41008 => "missing code",
        42001 => "access_token expired",
        43001 => "require GET method",
        43002 => "require POST method",
        44002 => "empty post data",
        45009 => "reach max api daily quota limit",
        45011 => "api minute-quota reach limit, must slower, retry next minute",
        47001 => "data format error",
        48001 => "api unauthorized",
        50004 => "forbid to use token interface",
        50007 => "user is in login limit",
        87007 => "session_key is not existed or expired",
        87008 => "invalid sig_method",
        87009 => "invalid signature",
        76001 => "rid not found",
        76003 => "cgi_path must start with a slash",
        76021 => "cgi_path not found, please check",
        76022 => "could not use this cgi_path, no permission",
        _ => "unknown error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        State::new(Vec::new())
    }

    fn json(api: Api, state: &mut State, outcome: Outcome) -> Value {
        serde_json::from_str(&body(api, state, outcome, 0)).unwrap()
    }

    #[test]
    fn a_success_of_code2session_has_no_errcode_unless_asked_for() {
        let mut state = state();
        let plain = json(Api::Jscode2session, &mut state, Ok(json!({ "openid": "o" })));
        state.settings.success_errcode = true;
        let with_errcode = json(Api::Jscode2session, &mut state, Ok(json!({ "openid": "o" })));

        assert_eq!(plain, json!({ "openid": "o" }));
        assert_eq!(with_errcode, json!({ "openid": "o", "errcode": 0, "errmsg": "ok" }));
    }

    #[test]
    fn an_errcode_is_written_as_text_when_asked_for() {
        let mut state = state();
        state.settings.errcode_as_text = true;

        let response = json(Api::Jscode2session, &mut state, Err(Refusal(40029)));

        assert_eq!(response["errcode"], "40029");
    }

    #[test]
    fn extra_fields_do_not_hide_the_true_life_time_of_a_token() {
        let mut state = state();
        state.settings.extra_fields = true;

        let response = json(Api::StableToken, &mut state, Ok(json!({ "expires_in": 31 })));

        assert_eq!(response["expires_in"], 31);
        assert!(response["in_no_document"].is_object());
    }
}

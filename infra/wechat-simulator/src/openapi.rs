//! `POST /cgi-bin/openapi/quota/get` and `/cgi-bin/openapi/rid/get`: what WeChat counts, and what it knows of one request.

use serde_json::{Value, json};

use crate::api::Api;
use crate::call::{Call, Outcome, Refusal};
use crate::state::State;

/// How often the app may make a call today, and how often it was made. Here the calls of all apps since the start count.
pub(crate) fn quota(state: &mut State, call: &Call, now: u64) -> Outcome {
    state.tokens.app_of(call, now)?;
    let path = text(call, "cgi_path")?;
    if !path.starts_with('/') {
        return Err(Refusal(76003));
    }
    // WeChat's page excepts "/xxx/sns/xxx", which code2Session is.
    if path.contains("/sns/") {
        return Err(Refusal(76022));
    }
    let api = Api::ALL.into_iter().find(|api| api.path() == path).ok_or(Refusal(76021))?;
    let (limit, used) = (state.settings.daily_limit, state.calls(api));
    let quota = json!({ "daily_limit": limit, "used": used, "remain": limit.saturating_sub(used) });
    let rate_limit = json!({ "call_count": 5000, "refresh_second": 60 });
    Ok(json!({ "errcode": 0, "errmsg": "ok", "quota": quota, "rate_limit": rate_limit }))
}

/// A request that was refused, with everything in it: the token, the code, the address of its sender.
pub(crate) fn request(state: &mut State, call: &Call, now: u64) -> Outcome {
    let appid = state.tokens.app_of(call, now)?;
    let request = state.requests.of(appid, &text(call, "rid")?, now).ok_or(Refusal(76001))?;
    let told = json!({
        "invoke_time": request.at,
        "cost_in_ms": 30,
        "request_url": request.query,
        "request_body": request.body,
        "response_body": request.response,
        "client_ip": "127.0.0.1",
    });
    Ok(json!({ "errcode": 0, "errmsg": "ok", "request": told }))
}

fn text(call: &Call, name: &str) -> Result<String, Refusal> {
    let body = call.json()?;
    body.get(name).and_then(Value::as_str).map(str::to_owned).ok_or(Refusal(47001))
}

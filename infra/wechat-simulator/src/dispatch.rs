//! From a call to the module of its API, and from the outcome to the body of the response.

use crate::api::Api;
use crate::call::{Call, Outcome, Refusal};
use crate::requests::Request;
use crate::state::{SharedState, State};
use crate::{code2session, data_check, openapi, phone_number, platform_token, response, session_check};

/// One request on its way. A fault decides whether and when it takes effect.
pub(crate) struct Exchange {
    pub(crate) state: SharedState,
    pub(crate) api: Api,
    pub(crate) call: Call,
}

impl Exchange {
    /// The true response, with all effects of the call.
    pub(crate) fn perform(&self) -> String {
        self.state.with(|state, now| {
            let outcome = outcome(self.api, state, &self.call, now);
            let response = response::body(self.api, state, outcome, now);
            self.remember(state, response, now)
        })
    }

    /// An errcode, without any effect.
    pub(crate) fn refuse(&self, errcode: i64, errmsg: Option<String>) -> String {
        self.state.with(|state, now| {
            let response = response::refusal_body(state, Refusal(errcode), errmsg, now);
            self.remember(state, response, now)
        })
    }

    /// Keeps the request for who asks about it by the id in its response.
    fn remember(&self, state: &mut State, response: String, now: u64) -> String {
        let named = self.call.query("appid").map(str::to_owned);
        let appid = named.or_else(|| state.tokens.app_of(&self.call, now).ok().map(str::to_owned));
        let mut query: Vec<_> = self.call.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        query.sort();
        let body = String::from_utf8_lossy(&self.call.body).into_owned();
        let request = Request { appid, at: now, query: query.join("&"), body, response: response.clone() };
        state.requests.remember(request);
        response
    }
}

fn outcome(api: Api, state: &mut State, call: &Call, now: u64) -> Outcome {
    if api.wants_post() != call.is_post {
        return Err(Refusal(if api.wants_post() { 43002 } else { 43001 }));
    }
    match api {
        Api::Jscode2session => code2session::exchange(state, call, now),
        Api::Checksession => session_check::check(state, call, now),
        Api::Resetusersessionkey => session_check::reset(state, call, now),
        Api::Getuserphonenumber => phone_number::redeem(state, call, now),
        Api::Checkencryptedmsg => data_check::check(state, call, now),
        Api::StableToken => platform_token::stable(state, call, now),
        Api::Token => platform_token::plain(state, call, now),
        Api::OpenapiQuota => openapi::quota(state, call, now),
        Api::OpenapiRid => openapi::request(state, call, now),
    }
}

//! From a call to the module of its API, and from the outcome to the body of the response.

use crate::api::Api;
use crate::call::{Call, Outcome, Refusal};
use crate::state::{SharedState, State};
use crate::{code2session, data_check, phone_number, platform_token, response, session_check};

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
            response::body(self.api, state, outcome, now)
        })
    }

    /// An errcode, without any effect.
    pub(crate) fn refuse(&self, errcode: i64, errmsg: Option<String>) -> String {
        self.state.with(|state, now| response::refusal_body(state, Refusal(errcode), errmsg, now))
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
    }
}

//! WeChat's APIs as far as they are simulated: names, paths, and which module answers.

use std::collections::HashMap;

use crate::answer::{Outcome, Refusal};
use crate::state::State;
use crate::{code2session, phone_number, platform_token, session_check};

/// One API, named as the last part of its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Api {
    Jscode2session,
    Checksession,
    Resetusersessionkey,
    Getuserphonenumber,
    StableToken,
    Token,
}

impl Api {
    pub(crate) const ALL: [Self; 6] = [
        Self::Jscode2session,
        Self::Checksession,
        Self::Resetusersessionkey,
        Self::Getuserphonenumber,
        Self::StableToken,
        Self::Token,
    ];

    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Jscode2session => "/sns/jscode2session",
            Self::Checksession => "/wxa/checksession",
            Self::Resetusersessionkey => "/wxa/resetusersessionkey",
            Self::Getuserphonenumber => "/wxa/business/getuserphonenumber",
            Self::StableToken => "/cgi-bin/stable_token",
            Self::Token => "/cgi-bin/token",
        }
    }

    pub(crate) fn name(self) -> &'static str {
        self.path().rsplit('/').next().unwrap_or_default()
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|api| api.name() == name)
    }

    /// The one for code2Session is why clients that insist on JSON's own type break on it.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Jscode2session => "text/plain",
            Self::StableToken | Self::Token => "application/json",
            Self::Checksession | Self::Resetusersessionkey | Self::Getuserphonenumber => {
                "application/json; encoding=utf-8"
            }
        }
    }

    fn wants_post(self) -> bool {
        matches!(self, Self::Getuserphonenumber | Self::StableToken)
    }

    /// The true answer, with all its effects.
    pub(crate) fn answer(self, state: &mut State, call: &Call, now: u64) -> Outcome {
        if self.wants_post() != call.is_post {
            return Err(Refusal(if self.wants_post() { 43002 } else { 43001 }));
        }
        match self {
            Self::Jscode2session => code2session::answer(state, call, now),
            Self::Checksession => session_check::check(state, call, now),
            Self::Resetusersessionkey => session_check::reset(state, call, now),
            Self::Getuserphonenumber => phone_number::answer(state, call, now),
            Self::StableToken => platform_token::stable(state, call, now),
            Self::Token => platform_token::plain(state, call, now),
        }
    }
}

/// A request as the APIs read it.
pub(crate) struct Call {
    pub(crate) is_post: bool,
    pub(crate) query: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Call {
    /// A query value; an empty one counts as missing.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The body as a JSON object: 44002 for none, 47001 for a form or anything else.
    pub(crate) fn json(&self) -> Result<serde_json::Map<String, serde_json::Value>, Refusal> {
        if self.body.is_empty() {
            return Err(Refusal(44002));
        }
        serde_json::from_slice(&self.body).map_err(|_| Refusal(47001))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_api_is_found_by_its_name() {
        for api in Api::ALL {
            assert_eq!(Api::named(api.name()), Some(api));
        }
        assert_eq!(Api::StableToken.name(), "stable_token");
    }
}

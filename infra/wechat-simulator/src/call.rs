//! A call of one of WeChat's APIs, and what comes of it.

use std::collections::HashMap;

use serde_json::{Map, Value};

/// An errcode. Its text follows from it and is for people: no program may depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal(pub(crate) i64);

/// The JSON object of a success, or an errcode.
pub(crate) type Outcome = Result<Value, Refusal>;

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
    pub(crate) fn json(&self) -> Result<Map<String, Value>, Refusal> {
        if self.body.is_empty() {
            return Err(Refusal(44002));
        }
        serde_json::from_slice(&self.body).map_err(|_| Refusal(47001))
    }
}

//! Requests that were refused, by the request id (`rid`) in the text of the refusal.

use std::collections::{HashMap, VecDeque};

use serde_json::Value;

/// WeChat tells of a request for seven days.
const KEPT_SECONDS: u64 = 7 * 24 * 3600;
/// This process forgets the oldest beyond these.
const KEPT: usize = 1_000;

pub(crate) struct Request {
    /// Of the mini program whose AppID or token came with it, which alone may ask about it.
    pub(crate) appid: Option<String>,
    pub(crate) at: u64,
    /// With its secrets, as WeChat has it.
    pub(crate) query: String,
    pub(crate) body: String,
    pub(crate) response: String,
}

#[derive(Default)]
pub(crate) struct Requests {
    by_rid: HashMap<String, Request>,
    order: VecDeque<String>,
}

impl Requests {
    /// Remembers a request whose response names a request id.
    pub(crate) fn remember(&mut self, request: Request) {
        let Some(rid) = rid_of(&request.response) else { return };
        if self.by_rid.insert(rid.clone(), request).is_none() {
            self.order.push_back(rid);
        }
        if self.order.len() > KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_rid.remove(&oldest);
        }
    }

    /// The request of this mini program with this id, of the last seven days.
    pub(crate) fn of(&self, appid: &str, rid: &str, now: u64) -> Option<&Request> {
        let request = self.by_rid.get(rid)?;
        let is_own = request.appid.as_deref() == Some(appid);
        (is_own && now < request.at + KEPT_SECONDS).then_some(request)
    }
}

fn rid_of(response: &str) -> Option<String> {
    let response: Value = serde_json::from_str(response).ok()?;
    let (_, rid) = response.get("errmsg")?.as_str()?.split_once("rid: ")?;
    Some(rid.to_owned())
}

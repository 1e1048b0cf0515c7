//! Faults on demand: which call meets which, in the order they were scripted.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::api::Api;

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Fault {
    /// HTTP 200 with this errcode.
    Errcode { errcode: i64, errmsg: Option<String> },
    /// This HTTP status; a gateway's HTML page if there is no body.
    Status { status: u16, body: Option<String> },
    /// HTTP 200 with a gateway's HTML page.
    Html,
    /// HTTP 200 with no body.
    Empty,
    /// HTTP 200 with the first half of the JSON, as a complete message.
    Truncated,
    /// TCP reset before any byte of a response.
    Reset,
    /// Headers and half of the body, then the connection is closed.
    Cut,
    /// No response, ever; the connection stays open.
    Silence,
    /// The true response, late.
    Latency { ms: u64 },
    /// The true response: headers and half of the body at once, the rest late.
    SlowBody { ms: u64 },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Any API, if absent.
    pub(crate) api: Option<Api>,
    pub(crate) fault: Fault,
    /// Until cleared, if absent.
    pub(crate) times: Option<u32>,
    /// Whether the call takes effect before its response is lost.
    pub(crate) after: bool,
}

#[derive(Default)]
pub(crate) struct Script(VecDeque<Entry>);

impl Script {
    pub(crate) fn push(&mut self, entry: Entry) {
        self.0.push_back(entry);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// What is still to come, each fault as a control request may script it.
    pub(crate) fn to_come(&self) -> Value {
        let request = |Entry { api, fault, times, after }: &Entry| {
            let api = api.map_or("*", Api::name);
            json!({ "api": api, "fault": fault, "times": times, "after": after })
        };
        self.0.iter().map(request).collect()
    }

    /// The fault that this call meets. Faults for the API itself come before those for any.
    pub(crate) fn take(&mut self, api: Api) -> Option<Entry> {
        let own = self.0.iter().position(|entry| entry.api == Some(api));
        let at = own.or_else(|| self.0.iter().position(|entry| entry.api.is_none()))?;
        let entry = self.0.get_mut(at)?;
        let taken = entry.clone();
        if let Some(times) = &mut entry.times {
            *times = times.saturating_sub(1);
            if *times == 0 {
                self.0.remove(at);
            }
        }
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(api: Option<Api>, fault: Fault, times: Option<u32>) -> Entry {
        Entry { api, fault, times, after: false }
    }

    fn next(script: &mut Script, api: Api) -> Option<Fault> {
        script.take(api).map(|entry| entry.fault)
    }

    #[test]
    fn faults_come_in_order_and_as_often_as_scripted() {
        let mut script = Script::default();
        script.push(entry(Some(Api::Token), Fault::Empty, Some(2)));
        script.push(entry(Some(Api::Token), Fault::Html, Some(1)));

        let met: Vec<_> = (0..4).map(|_| next(&mut script, Api::Token)).collect();

        assert_eq!(met, [Some(Fault::Empty), Some(Fault::Empty), Some(Fault::Html), None]);
    }

    #[test]
    fn a_fault_for_any_api_waits_behind_those_for_the_api_itself() {
        let mut script = Script::default();
        script.push(entry(None, Fault::Silence, None));
        script.push(entry(Some(Api::Token), Fault::Html, Some(1)));

        assert_eq!(next(&mut script, Api::Token), Some(Fault::Html));
        assert_eq!(next(&mut script, Api::Token), Some(Fault::Silence));
        assert_eq!(next(&mut script, Api::StableToken), Some(Fault::Silence));

        script.clear();
        assert_eq!(next(&mut script, Api::Token), None);
    }
}

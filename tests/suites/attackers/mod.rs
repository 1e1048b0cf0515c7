//! Attackers, with the means that each has in truth. What does not hold against them is let loose on too: an attack that
//! never succeeds anywhere proves nothing.

pub mod access_tokens;
pub mod cbc_r;
pub mod figures;
pub mod phone_numbers;
pub mod refresh_tokens;
pub mod timing;

use crate::Response;

/// All that a client can compare of two responses: without what differs in every response.
fn comparable(answer: &Response) -> String {
    let mut body: serde_json::Value = serde_json::from_str(&answer.text).unwrap_or_default();
    if let Some(members) = body.as_object_mut() {
        members.remove("request_id");
    }
    let told = |name: &str| !["date", "x-request-id"].contains(&name);
    let mut headers: Vec<_> = answer.headers.iter().filter(|(name, _)| told(name.as_str())).collect();
    headers.sort_by_key(|(name, _)| name.as_str());
    format!("{} {headers:?} {body}", answer.status)
}

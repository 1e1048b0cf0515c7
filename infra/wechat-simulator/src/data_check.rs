//! `POST /wxa/business/checkencryptedmsg`: whether this WeChat made encrypted phone data, in the last three days.
//!
//! What the hash is taken over is not documented; here it is the base64 text of `encryptedData`, as the one SDK takes it that
//! hashes for its caller.

use std::collections::HashMap;

use aws_lc_rs::digest;
use serde_json::{Value, json};

use crate::call::{Call, Outcome, Refusal};
use crate::signature;
use crate::state::State;

/// How long data is known.
const THREE_DAYS: u64 = 3 * 86_400;

/// When phone data was made, by appid and hash.
#[derive(Default)]
pub(crate) struct PhoneData(HashMap<(String, String), u64>);

impl PhoneData {
    pub(crate) fn remember(&mut self, appid: &str, encrypted_data: &str, now: u64) {
        self.0.retain(|_, made| now < *made + THREE_DAYS);
        let hash = digest::digest(&digest::SHA256, encrypted_data.as_bytes());
        self.0.insert((appid.to_owned(), signature::lower_hex(hash.as_ref())), now);
    }
}

pub(crate) fn check(state: &mut State, call: &Call, now: u64) -> Outcome {
    let appid = state.tokens.app_of(call, now)?.to_owned();
    let body = call.json()?;
    let hash = body.get("encrypted_msg_hash").and_then(Value::as_str).filter(|hash| !hash.is_empty());
    let key = (appid, hash.ok_or(Refusal(40097))?.to_owned());
    let made = state.phone_data.0.get(&key).filter(|made| now < **made + THREE_DAYS).ok_or(Refusal(1))?;
    // The name is as WeChat spells it.
    Ok(json!({ "errcode": 0, "errmsg": "ok", "vaild": true, "create_time": made }))
}

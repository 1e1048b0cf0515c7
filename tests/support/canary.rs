//! A canary over all tests: no log line holds a secret, nor does an answer that is not meant to carry it, in any spelling.
//!
//! When a [`Laptop`](crate::Laptop) is dropped, what it logged and answered is searched for all that its WeChat knows and all
//! that was sent in the same test. The suite `canary` builds on it.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap, VecDeque},
    sync::PoisonError,
};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use serde_json::Value;

use crate::{Lines, Response, Simulator};

/// Shorter texts occur in other texts by chance, so they are not searched for.
const SHORTEST: usize = 8;

/// So many secrets and so many responses of a test are kept; older ones are dropped.
const MEMORY: usize = 2_000;

/// The secrets that a successful response may carry by the contract.
const ANSWERED: [&str; 5] = ["access token", "refresh token", "openid", "unionid", "phone number"];

/// The secret in hex, percent-encoding, base64 and as `Debug` prints bytes.
#[must_use]
pub fn spellings(secret: &str) -> Vec<String> {
    let bytes = secret.as_bytes();
    let each = |write: fn(u8) -> String| bytes.iter().map(|byte| write(*byte)).collect::<String>();
    let mut spellings = vec![
        secret.to_owned(),
        each(|byte| format!("{byte:02x}")),
        each(|byte| format!("{byte:02X}")),
        each(|byte| format!("%{byte:02x}")),
        each(|byte| format!("%{byte:02X}")),
        // As an address has it: only what is no letter, digit or `-._~` is encoded.
        each(|byte| match byte {
            b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        }),
        // As `Debug` has bytes.
        each(|byte| format!("{byte}, ")).trim_end_matches(", ").to_owned(),
    ];
    for before in 0..3 {
        spellings.extend([within(&STANDARD, bytes, before), within(&URL_SAFE, bytes, before)]);
    }
    spellings
}

/// The part of the base64 of a longer text that depends on the secret alone, when `before` bytes (modulo 3) precede it.
fn within(base64: &impl Engine, secret: &[u8], before: usize) -> String {
    let text = base64.encode([&[0; 3][..before], secret].concat());
    // The characters at both ends are made of other bytes, too.
    text[(before * 8).div_ceil(6)..(before + secret.len()) * 8 / 6].to_owned()
}

/// Secrets, each with its kind, in every spelling.
#[derive(Default)]
pub struct Canary {
    /// By their first bytes.
    spellings: HashMap<[u8; SHORTEST], Vec<(&'static str, String)>>,
}

impl Canary {
    /// Adds a secret, unless it is so short that other texts contain it by chance.
    pub fn add(&mut self, kind: &'static str, secret: &str) {
        if secret.len() < SHORTEST {
            return;
        }
        for spelling in spellings(secret) {
            let start = spelling.as_bytes().first_chunk().expect("no spelling is shorter");
            let same = self.spellings.entry(*start).or_default();
            if !same.iter().any(|(_, known)| *known == spelling) {
                same.push((kind, spelling));
            }
        }
    }

    /// The kind and the spelling of each secret in the text.
    pub fn find<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = (&'static str, &'a str)> + 'a {
        let at = (0..text.len()).map(|at| &text[at..]);
        at.flat_map(|text| {
            let like = text.first_chunk::<SHORTEST>().and_then(|start| self.spellings.get(start));
            let found = like.into_iter().flatten().filter(|(_, spelling)| text.starts_with(spelling.as_bytes()));
            found.map(|(kind, spelling)| (*kind, spelling.as_str()))
        })
    }
}

/// What the requests and responses of a test carried.
#[derive(Default)]
struct Heard {
    secrets: VecDeque<(&'static str, String)>,
    answers: VecDeque<Response>,
}

thread_local! {
    /// A test has a thread of its own.
    static HEARD: RefCell<Heard> = RefCell::default();
}

fn remember<T>(queue: &mut VecDeque<T>, heard: T) {
    if queue.len() == MEMORY {
        queue.pop_front();
    }
    queue.push_back(heard);
}

fn hear(kind: &'static str, secret: &str) {
    HEARD.with_borrow_mut(|heard| remember(&mut heard.secrets, (kind, secret.to_owned())));
}

/// Remembers the `session_key` that a user has before a control request, because a login replaces it.
pub(crate) fn hear_session_key(simulator: &Simulator, request: &Value) {
    let key = request["user"].as_str().and_then(|user| simulator.session_key(request["appid"].as_str(), user));
    if let Some(key) = key {
        hear("session_key", &key);
    }
}

/// Remembers the secrets that only requests carry.
pub(crate) fn hear_request(request: &reqwest::Request) {
    if let Some(Ok(key)) = request.headers().get("idempotency-key").map(http::HeaderValue::to_str) {
        hear("idempotency key", key);
    }
}

/// Remembers a response of the API, and the tokens in it.
pub(crate) fn hear_response(path: &str, answer: &Response) {
    if !path.starts_with("/v1/") {
        return;
    }
    let body: Value = serde_json::from_str(&answer.text).unwrap_or_default();
    for (kind, member) in [("access token", "access_token"), ("refresh token", "refresh_token")] {
        if let Some(token) = body[member].as_str() {
            hear(kind, token);
        }
    }
    HEARD.with_borrow_mut(|heard| remember(&mut heard.answers, answer.clone()));
}

/// The log of a laptop. When it is dropped, the log and all responses so far are searched for secrets.
pub(crate) struct Watched {
    lines: Lines,
    simulator: Simulator,
}

impl Watched {
    pub(crate) fn new(lines: Lines, simulator: &Simulator) -> Self {
        Self { lines, simulator: simulator.clone() }
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The kinds, the spellings and the texts of what was found.
    fn search(&self) -> Vec<(&'static str, String, String)> {
        let (secrets, answers) =
            HEARD.with_borrow_mut(|heard| (heard.secrets.clone(), std::mem::take(&mut heard.answers)));
        let secrets: BTreeMap<_, _> =
            secrets.into_iter().chain(self.simulator.secrets()).map(|(kind, text)| (text, kind)).collect();
        let mut canary = Canary::default();
        for (secret, kind) in &secrets {
            canary.add(kind, secret);
        }
        let mut found = Vec::new();
        for line in self.lines() {
            found
                .extend(canary.find(line.as_bytes()).map(|(kind, spelling)| (kind, spelling.to_owned(), line.clone())));
        }
        for answer in answers {
            let text = format!("{} {:?}", answer.text, answer.headers);
            let wrong = canary
                .find(text.as_bytes())
                .filter(|(kind, _)| !(answer.status.is_success() && ANSWERED.contains(kind)));
            found.extend(wrong.map(|(kind, spelling)| (kind, spelling.to_owned(), text.clone())));
        }
        found
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let found = self.search();
            assert!(found.is_empty(), "what nobody may see: {found:#?}");
        }
    }
}

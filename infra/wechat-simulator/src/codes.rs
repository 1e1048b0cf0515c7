//! One-use codes of five minutes, for login and for phone numbers alike.
//!
//! An expired code is forgotten, since WeChat answers it like one that never existed. A code of any simulator carries a mark,
//! so an expired one, or one from before a restart, does not pass for a foreign code.

use std::collections::{HashMap, HashSet, VecDeque};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::identity;
use crate::random::Random;

/// The documents' life time of both kinds of code.
const LIFE_SECONDS: u64 = 300;

/// How many bytes of a code are its mark. A foreign code has one by chance once in 2^64.
const MARK_BYTES: usize = 8;

/// The longest text that is taken for a code; WeChat's have 32 and 64 characters.
const LONGEST: usize = 512;

/// So many foreign codes are remembered. An older one would log in once more.
const MAX_FOREIGN: usize = 10_000;

/// A new code: `N` random bytes and the mark, in the alphabet of WeChat's codes.
pub(crate) fn new_text<const N: usize>(random: &mut Random) -> String {
    let mut bytes = random.bytes::<N>().to_vec();
    bytes.extend(identity::mark::<MARK_BYTES>(&bytes));
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Whether a simulator made this code, at whatever time.
fn is_marked(text: &str) -> bool {
    let bytes = URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
    bytes.split_last_chunk().is_some_and(|(random, mark)| *mark == identity::mark::<MARK_BYTES>(random))
}

/// The codes that came from elsewhere: from the developer tools, or from a phone.
#[derive(Default)]
pub(crate) struct ForeignCodes {
    /// Whether they are good: those of one user.
    pub(crate) are_admitted: bool,
    seen: HashSet<String>,
    order: VecDeque<String>,
}

impl ForeignCodes {
    /// Whether this looks like a code of WeChat's, no simulator made it, and it was not asked about before.
    pub(crate) fn is_new(&mut self, text: &str) -> bool {
        let is_code = (1..=LONGEST).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        if !is_code || is_marked(text) || !self.seen.insert(text.to_owned()) {
            return false;
        }
        self.order.push_back(text.to_owned());
        if self.order.len() > MAX_FOREIGN
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        true
    }
}

/// A code belongs to a user name, not to an openid, which may change before the exchange.
pub(crate) struct Code {
    pub(crate) appid: String,
    pub(crate) user: String,
    pub(crate) used: bool,
    expires_at: u64,
}

#[derive(Default)]
pub(crate) struct Codes {
    by_text: HashMap<String, Code>,
    /// In the order of issue, which is the order of expiry, so that no code is looked at before its time.
    issued: VecDeque<String>,
}

impl Codes {
    pub(crate) fn issue(&mut self, text: &str, appid: &str, user: &str, now: u64) {
        self.forget_expired(now);
        let (appid, user) = (appid.to_owned(), user.to_owned());
        self.by_text.insert(text.to_owned(), Code { appid, user, used: false, expires_at: now + LIFE_SECONDS });
        self.issued.push_back(text.to_owned());
    }

    /// The code, used or not, within its life time. The caller that redeems it sets `used`.
    pub(crate) fn find(&mut self, text: &str, now: u64) -> Option<&mut Code> {
        self.by_text.get_mut(text).filter(|code| now < code.expires_at)
    }

    pub(crate) fn texts(&self) -> impl Iterator<Item = &String> {
        self.by_text.keys()
    }

    fn forget_expired(&mut self, now: u64) {
        while let Some(text) = self.issued.front() {
            if self.by_text.get(text).is_some_and(|code| now < code.expires_at) {
                return;
            }
            self.by_text.remove(text);
            self.issued.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_lives_for_five_minutes_and_not_a_second_longer() {
        let mut codes = Codes::default();

        codes.issue("c", "wx1", "ada", 1000);

        assert!(codes.find("c", 1299).is_some());
        assert!(codes.find("c", 1300).is_none());
    }

    #[test]
    fn a_code_carries_its_mark_and_a_changed_one_does_not() {
        let text = new_text::<16>(&mut Random::new());

        assert_eq!((text.len(), is_marked(&text)), (32, true));
        assert!(is_marked(&new_text::<40>(&mut Random::new())));
        let changed = text.replacen(|_| true, if text.starts_with('A') { "B" } else { "A" }, 1);
        for foreign in [changed.as_str(), "", "AAAAAAAAAAA", "the code is a mock one"] {
            assert!(!is_marked(foreign), "{foreign}");
        }
    }

    #[test]
    fn so_many_foreign_codes_are_remembered_and_no_more() {
        let mut foreign = ForeignCodes::default();
        let news = (0..=MAX_FOREIGN).filter(|number| foreign.is_new(&format!("code-{number}"))).count();

        assert_eq!((news, foreign.seen.len(), foreign.order.len()), (MAX_FOREIGN + 1, MAX_FOREIGN, MAX_FOREIGN));
        assert!(foreign.is_new("code-0") && !foreign.is_new("code-2"));
    }

    #[test]
    fn expired_codes_are_forgotten_when_others_are_issued() {
        let mut codes = Codes::default();
        codes.issue("old", "wx1", "ada", 1000);

        codes.issue("new", "wx1", "ada", 1300);

        assert_eq!(codes.by_text.len(), 1);
        assert_eq!(codes.issued.len(), 1);
    }
}

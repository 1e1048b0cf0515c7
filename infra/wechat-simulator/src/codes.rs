//! One-use codes of five minutes, for login and for phone numbers alike.
//!
//! An expired code is forgotten, since WeChat answers it like one that never existed.

use std::collections::{HashMap, VecDeque};

/// The documents' life time of both kinds of code.
const LIFE_SECONDS: u64 = 300;

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
    fn expired_codes_are_forgotten_when_others_are_issued() {
        let mut codes = Codes::default();
        codes.issue("old", "wx1", "ada", 1000);

        codes.issue("new", "wx1", "ada", 1300);

        assert_eq!(codes.by_text.len(), 1);
        assert_eq!(codes.issued.len(), 1);
    }
}

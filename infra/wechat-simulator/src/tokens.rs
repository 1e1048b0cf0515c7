//! WeChat's `access_token`s: how long they live and overlap, for two issuers that do not disturb each other.

use std::collections::HashMap;

use crate::call::{Call, Refusal};

/// What the documents give every token.
const LIFE_SECONDS: u64 = 7200;
/// How long the old and the new token both work, for either issuer.
const OVERLAP_SECONDS: u64 = 300;
/// Between two forced refreshes (45011 otherwise), and how many a day (45009 beyond).
const FORCED_APART_SECONDS: u64 = 30;
const FORCED_PER_DAY: u32 = 20;
/// The quota's day begins at midnight in China.
const CHINA_OFFSET_SECONDS: u64 = 8 * 3600;

struct Token {
    appid: String,
    expires_at: u64,
    /// Earlier than `expires_at` once a newer token has taken its place.
    works_until: u64,
}

/// What one app has: the newest token of each issuer, and its forced refreshes.
#[derive(Default)]
struct AppTokens {
    stable: Option<String>,
    plain: Option<String>,
    forced_at: Option<u64>,
    forced_today: u32,
}

#[derive(Default)]
pub(crate) struct Tokens {
    /// Every token ever issued, since an expired one gets another errcode than one that never was.
    by_text: HashMap<String, Token>,
    by_app: HashMap<String, AppTokens>,
}

impl Tokens {
    /// The app whose `access_token` came with the call: 41001 missing, 42001 expired, 40001 unknown or not the latest.
    pub(crate) fn app_of(&self, call: &Call, now: u64) -> Result<&str, Refusal> {
        let text = call.query("access_token").ok_or(Refusal(41001))?;
        let token = self.by_text.get(text).ok_or(Refusal(40001))?;
        if now >= token.expires_at {
            Err(Refusal(42001))
        } else if now >= token.works_until {
            Err(Refusal(40001))
        } else {
            Ok(&token.appid)
        }
    }

    /// The app's stable token and its remaining seconds: the current token until its last five minutes; then, or if
    /// forced, `fresh`.
    pub(crate) fn stable(
        &mut self,
        appid: &str,
        is_forced: bool,
        fresh: String,
        now: u64,
    ) -> Result<(String, u64), Refusal> {
        let app = self.by_app.entry(appid.to_owned()).or_default();
        if is_forced {
            app.count_forced(now)?;
        }
        if let Some(text) = &app.stable
            && let Some(token) = self.by_text.get_mut(text)
        {
            if is_forced {
                token.works_until = token.works_until.min(now);
            } else if now + OVERLAP_SECONDS < token.expires_at {
                return Ok((text.clone(), token.expires_at - now));
            }
            // A token that is renewed in its last five minutes works until it expires: that is the overlap.
        }
        app.stable = Some(fresh.clone());
        Ok(self.issue(appid, fresh, now))
    }

    /// Issues `fresh` with its seconds of life; the plain token before it works for five more minutes.
    pub(crate) fn plain(&mut self, appid: &str, fresh: String, now: u64) -> (String, u64) {
        let app = self.by_app.entry(appid.to_owned()).or_default();
        let before = app.plain.replace(fresh.clone());
        if let Some(token) = before.and_then(|text| self.by_text.get_mut(&text)) {
            token.works_until = token.works_until.min(now + OVERLAP_SECONDS);
        }
        self.issue(appid, fresh, now)
    }

    pub(crate) fn texts(&self) -> impl Iterator<Item = &String> {
        self.by_text.keys()
    }

    fn issue(&mut self, appid: &str, text: String, now: u64) -> (String, u64) {
        let expires_at = now + LIFE_SECONDS;
        self.by_text.insert(text.clone(), Token { appid: appid.to_owned(), expires_at, works_until: expires_at });
        (text, LIFE_SECONDS)
    }
}

impl AppTokens {
    fn count_forced(&mut self, now: u64) -> Result<(), Refusal> {
        let day = |at: u64| (at + CHINA_OFFSET_SECONDS) / (24 * 3600);
        if self.forced_at.is_some_and(|at| day(at) != day(now)) {
            self.forced_today = 0;
        }
        if self.forced_today >= FORCED_PER_DAY {
            return Err(Refusal(45009));
        }
        if self.forced_at.is_some_and(|at| now < at + FORCED_APART_SECONDS) {
            return Err(Refusal(45011));
        }
        self.forced_at = Some(now);
        self.forced_today += 1;
        Ok(())
    }
}

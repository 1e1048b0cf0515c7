//! Whether somebody else ends WeChat's `access_token` before its time.
//!
//! `stable_token` gives everybody the same token until its last five minutes. If it gives another one earlier than the table
//! expects, the one in the table was ended, and every call with it is refused once.

use shared::{clock::Secs, ids::AppId, secret_text::PlatformToken};

use super::{
    finding::{Finding, ok, warn},
    forms,
};

/// In its last five minutes a token has a successor. A minute more, because clocks differ.
const OVERLAP: Secs = 6 * 60;

/// The token in the table.
pub(super) enum Stored {
    Token {
        text: PlatformToken,
        expires_at: Secs,
    },
    /// There is none, or no key of the ring opens it: nothing can be compared.
    Nothing,
    /// The table does not give it.
    Refused,
}

/// A line about the token in the table, next to the one that WeChat has just given.
pub(super) fn another_fetcher(appid: &AppId, stored: &Stored, given: &PlatformToken, now: Secs) -> Option<Finding> {
    let appid = forms::shown(appid);
    match stored {
        Stored::Refused => Some(warn(
            format_args!("whether somebody else ends the access_token of {appid} cannot be seen"),
            "let these credentials do dynamodb:GetItem on the table",
        )),
        Stored::Token { text, expires_at } if *expires_at > now => {
            if text.expose() == given.expose() {
                return Some(ok(format!("WeChat gives the access_token of {appid} that the table holds")));
            }
            let left = expires_at - now;
            (left > OVERLAP).then(|| {
                warn(
                    format_args!("somebody ended the access_token of {appid}, {} minutes before its time", left / 60),
                    "find who calls stable_token with force_refresh for it, or who reset its AppSecret: other services \
                     should ask the function platform",
                )
            })
        }
        Stored::Token { .. } | Stored::Nothing => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Level;

    #[test]
    fn a_token_that_has_a_successor_before_its_time_was_ended() {
        let appid = AppId::parse("wx0123456789abcdef").unwrap();
        let given = PlatformToken::new("MARKER-given".to_owned());
        let found = |text: &str, expires_at| {
            let stored = Stored::Token { text: PlatformToken::new(text.to_owned()), expires_at };
            another_fetcher(&appid, &stored, &given, 1000)
        };

        assert_eq!(found("MARKER-given", 5000).unwrap().level, Level::Ok);
        let ended = found("MARKER-other", 1000 + 3600).unwrap();
        assert!(ended.level == Level::Warn && ended.text.contains("60 minutes before"), "{ended}");
        assert!(!ended.text.contains("MARKER"), "{ended}");
        // In its last minutes, or after its end, another one is what WeChat promises.
        assert_eq!([found("MARKER-other", 1000 + OVERLAP), found("MARKER-other", 900)], [None, None]);
        assert_eq!(another_fetcher(&appid, &Stored::Nothing, &given, 1000), None);
        assert_eq!(another_fetcher(&appid, &Stored::Refused, &given, 1000).unwrap().level, Level::Warn);
    }
}

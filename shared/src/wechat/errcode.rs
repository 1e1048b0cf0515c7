//! What WeChat's `errcode`s mean, by API. `errmsg` decides nothing: it is for people.

use super::error::WechatError;
use crate::{clock::Secs, ids::Rid};

/// Which call an `errcode` answers: the same number means different things to different calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// code2Session.
    Code2Session,
    /// `getuserphonenumber`.
    PhoneNumber,
    /// `checksession`.
    CheckSession,
    /// `resetusersessionkey`.
    ResetSessionKey,
    /// `checkencryptedmsg`.
    CheckData,
    /// `stable_token`.
    StableToken,
}

/// A quota per minute is back after a minute. A quota per day is back after midnight, so a caller comes back later.
const MINUTE: Secs = 60;
const QUARTER: Secs = 15 * 60;

/// Numbers that are about our AppID, AppSecret, address, permission or request, never about a user.
const OURS: [i64; 22] = [
    40002, 40013, 40097, 40125, 40164, 40243, 41001, 41002, 41004, 43002, 44002, 47001, 48001, 50004, 50007, 61003,
    61007, 61024, 87008, 89503, 89506, 89507,
];

/// What a number other than 0 means.
#[must_use]
pub fn meaning(api: Api, errcode: i64, rid: Option<Rid>) -> WechatError {
    match (errcode, api) {
        (-1, _) => WechatError::Busy { errcode, retry_after: 1 },
        (45011, _) => WechatError::Busy { errcode, retry_after: MINUTE },
        (45009, _) => WechatError::Busy { errcode, retry_after: QUARTER },
        (40029, Api::Code2Session | Api::PhoneNumber) => WechatError::CodeInvalid,
        (40163, Api::Code2Session | Api::PhoneNumber) => WechatError::CodeUsed,
        (40226, Api::Code2Session) => WechatError::Blocked,
        (87007 | 87009, Api::CheckSession | Api::ResetSessionKey) => WechatError::SessionKeyStale,
        // A platform token was fetched with this AppID, so WeChat knows it: 40013 is a phone code of another mini program.
        (40003, Api::PhoneNumber | Api::CheckSession | Api::ResetSessionKey) | (40013, Api::PhoneNumber) => {
            WechatError::WrongUser
        }
        (1, Api::CheckData) => WechatError::DataUnknown,
        (40001 | 40014 | 42001, Api::PhoneNumber | Api::CheckSession | Api::ResetSessionKey | Api::CheckData) => {
            WechatError::TokenRefused { errcode }
        }
        // The caller of `stable_token` has no token: 40001 speaks of the AppSecret.
        (40001, Api::StableToken) => WechatError::Misconfigured { errcode, rid },
        _ if OURS.contains(&errcode) => WechatError::Misconfigured { errcode, rid },
        _ => WechatError::Unknown { errcode, rid },
    }
}

/// The request id in an `errmsg`: `..., rid: 5f...` or `... hints: [ req_id: X ]`. For the log.
#[must_use]
pub fn rid(errmsg: &str) -> Option<Rid> {
    let after = errmsg.split_once("rid: ").or_else(|| errmsg.split_once("req_id: "))?.1;
    let id: String = after.chars().take_while(|at| at.is_ascii_alphanumeric() || matches!(at, '-' | '_')).collect();
    (1..=64).contains(&id.len()).then_some(Rid(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_the_request_id_are_found() {
        assert_eq!(rid("invalid code, rid: 5f0c-11aa").unwrap().0, "5f0c-11aa");
        assert_eq!(rid("invalid code, hints: [ req_id: GfXaB_ ]").unwrap().0, "GfXaB_");
        assert_eq!(rid("invalid code"), None);
        assert_eq!(rid("rid: "), None);
    }

    /// The case, without its fields.
    fn case(api: Api, errcode: i64) -> String {
        let text = format!("{:?}", meaning(api, errcode, None));
        text.split(' ').next().unwrap().to_owned()
    }

    #[test]
    fn the_same_number_means_what_its_call_says() {
        let ours: Vec<_> = OURS.into_iter().filter(|errcode| *errcode != 40013).collect();
        for (errcodes, code2session, phone, check, stable) in [
            (&[40029][..], "CodeInvalid", "CodeInvalid", "Unknown", "Unknown"),
            (&[40163], "CodeUsed", "CodeUsed", "Unknown", "Unknown"),
            (&[40226], "Blocked", "Unknown", "Unknown", "Unknown"),
            (&[87007, 87009], "Unknown", "Unknown", "SessionKeyStale", "Unknown"),
            (&[40003], "Unknown", "WrongUser", "WrongUser", "Unknown"),
            (&[40001], "Unknown", "TokenRefused", "TokenRefused", "Misconfigured"),
            (&[40014, 42001], "Unknown", "TokenRefused", "TokenRefused", "Unknown"),
            (&[40013], "Misconfigured", "WrongUser", "Misconfigured", "Misconfigured"),
            (&ours, "Misconfigured", "Misconfigured", "Misconfigured", "Misconfigured"),
            (&[1, 40000, 99_999, i64::MAX], "Unknown", "Unknown", "Unknown", "Unknown"),
        ] {
            for errcode in errcodes {
                assert_eq!(case(Api::Code2Session, *errcode), code2session, "{errcode}");
                assert_eq!(case(Api::PhoneNumber, *errcode), phone, "{errcode}");
                assert_eq!(case(Api::CheckSession, *errcode), check, "{errcode}");
                assert_eq!(case(Api::ResetSessionKey, *errcode), check, "{errcode}");
                assert_eq!(case(Api::StableToken, *errcode), stable, "{errcode}");
            }
        }
    }

    #[test]
    fn data_that_wechat_does_not_know_is_told_from_a_check_that_failed() {
        for (errcode, expected) in [
            (1, "DataUnknown"),
            (-1, "Busy"),
            (45009, "Busy"),
            (40001, "TokenRefused"),
            (42001, "TokenRefused"),
            (40097, "Misconfigured"),
            (44002, "Misconfigured"),
            (47001, "Misconfigured"),
            (48001, "Misconfigured"),
            (87009, "Unknown"),
            (40003, "Unknown"),
            (2, "Unknown"),
        ] {
            assert_eq!(case(Api::CheckData, errcode), expected, "{errcode}");
        }
    }

    #[test]
    fn a_busy_wechat_says_by_its_number_when_to_come_back() {
        for api in [
            Api::Code2Session,
            Api::PhoneNumber,
            Api::CheckSession,
            Api::ResetSessionKey,
            Api::CheckData,
            Api::StableToken,
        ] {
            for (number, seconds) in [(-1, 1), (45011, 60), (45009, 900)] {
                let busy = meaning(api, number, None);
                assert!(
                    matches!(busy, WechatError::Busy { errcode, retry_after } if (errcode, retry_after) == (number, seconds)),
                    "{busy:?}"
                );
            }
        }
    }
}

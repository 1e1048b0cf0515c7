//! Checks of WeChat: whether it is reached, whether the clocks agree, and whether it accepts AppID and AppSecret.

use shared::wechat::error::WechatError;
use url::Url;

use super::{
    finding::{Finding, ok, warn, wrong},
    forms,
    gather::{AppSecretCheck, FetchError, Response},
};

/// In seconds. With a larger difference, tokens made on one side look too young or too old on the other.
const MAX_SKEW: i64 = 5;

/// The page of WeChat's console with the settings of a mini program.
pub(super) const CONSOLE: &str = "公众平台 → 开发管理 → 开发设置";

pub(super) fn host(origin: &str) -> String {
    Url::parse(origin).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}

/// Whether WeChat's base URL responds. Any status will do, because the root is no API.
pub(super) fn base_url(base: &str, fetched: &Result<Response, FetchError>) -> Finding {
    let host = host(base);
    match fetched {
        Ok(_) => ok(format!("WeChat answers at {host}")),
        Err(error) => unreachable(&format!("WeChat at {host}"), *error, "WXAUTH_WECHAT_URL, SSL_CERT_FILE and proxies"),
    }
}

/// The line for a host that cannot be reached. `what_to_check` follows "look at".
pub(super) fn unreachable(who: &str, error: FetchError, what_to_check: &str) -> Finding {
    let fact = match error {
        FetchError::Tls(reason) => {
            return wrong(format_args!("TLS with {who} fails, {reason}"), format_args!("look at {what_to_check}"));
        }
        FetchError::NoConnection => "cannot be connected to",
        FetchError::TooLate => "does not answer in time",
        FetchError::Lost => "breaks off",
    };
    wrong(format_args!("{who} {fact}"), format_args!("look at {what_to_check}, and at the network"))
}

/// Compares this machine's clock with that of `host`, which is `skew` seconds ahead.
pub(super) fn clock(host: &str, skew: Option<i64>) -> Finding {
    match skew {
        None => warn(format_args!("{host} says no time"), "compare this machine's clock with another one"),
        Some(skew) if skew.abs() <= MAX_SKEW => ok(format!("this machine's clock agrees with that of {host}")),
        Some(skew) => {
            let direction = if skew > 0 { "behind" } else { "ahead of" };
            wrong(
                format_args!("this machine's clock is {} s {direction} that of {host}", skew.unsigned_abs()),
                "synchronize it (NTP); AWS refuses signatures and verifiers refuse tokens of another time",
            )
        }
    }
}

/// Whether WeChat accepts each AppSecret of an app.
pub(super) fn app_secrets(check: &AppSecretCheck) -> Finding {
    let appid = forms::shown(&check.appid);
    match (&check.current, &check.previous) {
        (Ok(_), _) => ok(format!("WeChat accepts the AppSecret of {appid}")),
        (Err(_), Some(Ok(_))) => warn(
            format_args!("WeChat refuses the secret of {appid} and accepts its previous_secret"),
            format_args!("reset the AppSecret to the new one in {CONSOLE}, or fill the secret again"),
        ),
        // A reset ends the secret that other services may use: not for what was only copied wrong.
        (Err(WechatError::Misconfigured { errcode: errcode @ (40001 | 40125), .. }), _) if !check.has_form => wrong(
            format_args!("WeChat refuses the AppSecret of {appid} (errcode {errcode}), which is not 32 of 0-9 a-f"),
            format_args!("it was not copied whole: fill WXAUTH_APPS again, no reset is needed ({CONSOLE})"),
        ),
        (Err(error), _) => refused(appid, error),
    }
}

fn refused(appid: &str, error: &WechatError) -> Finding {
    let (fact, advice) = match error {
        WechatError::Misconfigured { errcode, .. } | WechatError::Unknown { errcode, .. } => {
            return misconfigured(appid, *errcode);
        }
        WechatError::Busy { errcode: 45009, .. } => {
            return wrong(
                format_args!("WeChat's daily quota for {appid} is used up (errcode 45009)"),
                "it begins anew at midnight in China; find out who else fetches tokens for this app",
            );
        }
        WechatError::Busy { errcode, .. } => (
            format!("WeChat is too busy to judge the AppSecret of {appid} (errcode {errcode})"),
            "try again in a minute",
        ),
        other => {
            (format!("WeChat does not judge the AppSecret of {appid}, {other}"), "try again, then look at the network")
        }
    };
    warn(fact, advice)
}

/// The meaning of an errcode, and advice. Both hold for `stable_token` only: another call may use the same errcode with another meaning.
fn misconfigured(appid: &str, errcode: i64) -> Finding {
    let (fact, advice) = match errcode {
        40001 | 40125 => ("WeChat refuses the AppSecret of", "copy it again, or reset it, and fill WXAUTH_APPS again"),
        40013 => ("WeChat does not know the AppID", "compare it, letter by letter, and fill WXAUTH_APPS again"),
        40243 => ("the AppSecret is frozen for", "unfreeze it there"),
        40164 => (
            "this machine's IP address is not in the allow list of",
            "Lambda calls from other addresses than this machine: give it fixed ones (VPC, NAT gateway) and list those, or \
             switch the list off",
        ),
        50004 => ("WeChat forbids the token interface to", "ask WeChat's support why"),
        50007 => ("WeChat has frozen the account of", "read its notices there"),
        61024 => ("a third-party platform manages", "its token is fetched by that platform: take the app back"),
        89503 => ("WeChat waits for the administrator of", "let the administrator confirm the call in WeChat"),
        89506 => ("the administrator refused this IP address for", "try again after 24 hours"),
        89507 => ("the administrator refused this IP address for", "try again after an hour"),
        _ => ("WeChat gives no token for", "look the errcode up on WeChat's page of getStableAccessToken"),
    };
    wrong(format_args!("{fact} {appid} (errcode {errcode})"), format_args!("{advice} ({CONSOLE})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Level;
    use shared::{
        ids::AppId,
        secret_text::PlatformToken,
        wechat::errcode::{self, Api},
    };

    fn answered(result: Result<(), i64>) -> Result<PlatformToken, WechatError> {
        match result {
            Ok(()) => Ok(PlatformToken::new("MARKER".to_owned())),
            Err(errcode) => Err(errcode::meaning(Api::StableToken, errcode, None)),
        }
    }

    fn checked(current: Result<(), i64>, previous: Option<Result<(), i64>>) -> Finding {
        let appid = AppId::parse("wx0123456789abcdef").unwrap();
        let (current, previous) = (answered(current), previous.map(answered));
        app_secrets(&AppSecretCheck { appid, has_form: true, current, previous })
    }

    #[test]
    fn each_number_says_what_is_wrong_and_how_to_mend_it() {
        for (errcode, level, fact, advice) in [
            (40001, Level::Wrong, "refuses the AppSecret", "reset it"),
            (40125, Level::Wrong, "refuses the AppSecret", "reset it"),
            (40013, Level::Wrong, "does not know the AppID", "compare"),
            (40243, Level::Wrong, "frozen", "unfreeze"),
            (40164, Level::Wrong, "allow list", "Lambda calls from other addresses"),
            (45009, Level::Wrong, "daily quota", "midnight in China"),
            (45011, Level::Warn, "too busy", "in a minute"),
            (-1, Level::Warn, "too busy", "in a minute"),
            (50004, Level::Wrong, "forbids", "support"),
            (50007, Level::Wrong, "frozen the account", "notices"),
            (61024, Level::Wrong, "third-party", "take the app back"),
            (89503, Level::Wrong, "waits for the administrator", "confirm"),
            (89506, Level::Wrong, "refused this IP", "24 hours"),
            (89507, Level::Wrong, "refused this IP", "an hour"),
            (48001, Level::Wrong, "gives no token", "getStableAccessToken"),
            (99_999, Level::Wrong, "gives no token", "getStableAccessToken"),
        ] {
            let finding = checked(Err(errcode), None);
            assert_eq!(finding.level, level, "{finding}");
            assert!(finding.text.contains(fact) && finding.text.contains(advice), "{finding}");
            assert!(
                finding.text.contains("wx0123456789abcdef") && finding.text.contains(&errcode.to_string()),
                "{finding}"
            );
        }
    }

    #[test]
    fn an_appsecret_in_the_place_of_the_appid_is_not_shown() {
        let swapped = "0123456789abcdef0123456789abcdef";
        for errcode in [None, Some(-1), Some(40001), Some(40013), Some(40164), Some(45009), Some(99_999)] {
            for (has_form, previous) in [(true, None), (false, None), (true, Some(Ok(())))] {
                let (current, previous) = (answered(errcode.map_or(Ok(()), Err)), previous.map(answered));
                let appid = AppId::parse(swapped).unwrap();
                let finding = app_secrets(&AppSecretCheck { appid, has_form, current, previous });
                assert!(!finding.text.contains(swapped), "{finding}");
            }
        }
    }

    #[test]
    fn the_previous_secret_that_is_still_good_is_a_warning() {
        assert_eq!(checked(Ok(()), None).level, Level::Ok);
        assert_eq!(checked(Err(40125), Some(Ok(()))).level, Level::Warn);
        assert_eq!(checked(Err(40125), Some(Err(40125))).level, Level::Wrong);
    }

    #[test]
    fn a_secret_that_wechat_did_not_check_is_a_warning() {
        let appid = AppId::parse("wx1").unwrap();
        let current = Err(WechatError::NoAnswer("timeout"));
        let silent = app_secrets(&AppSecretCheck { appid, has_form: true, current, previous: None });
        assert_eq!(silent.level, Level::Warn, "{silent}");
    }

    #[test]
    fn a_secret_that_was_not_copied_whole_needs_no_reset() {
        for errcode in [40001, 40125] {
            let current = Err(errcode::meaning(Api::StableToken, errcode, None));
            let appid = AppId::parse("wx1").unwrap();
            let finding = app_secrets(&AppSecretCheck { appid, has_form: false, current, previous: None });
            assert!(finding.level == Level::Wrong && finding.text.contains("no reset is needed"), "{finding}");
        }
    }

    #[test]
    fn five_seconds_are_the_bound_of_the_clock() {
        let level = |skew| clock("api.example.com", skew).level;
        assert_eq!([-6, -5, 0, 5, 6].map(|skew| level(Some(skew)) == Level::Ok), [false, true, true, true, false]);
        assert_eq!(level(None), Level::Warn);
        assert!(clock("h", Some(9)).text.contains("9 s behind that of h"));
        assert!(clock("h", Some(-9)).text.contains("9 s ahead of that of h"));
    }

    #[test]
    fn a_base_url_that_is_not_reached_says_why() {
        let line = |error| base_url("https://api.example.com", &Err(error));
        let tls = line(FetchError::Tls("its certificate has expired")).text;
        assert!(tls.starts_with("TLS with WeChat at api.example.com fails, its certificate has expired: "), "{tls}");
        for error in [FetchError::NoConnection, FetchError::TooLate, FetchError::Lost] {
            assert_eq!(line(error).level, Level::Wrong);
        }
    }
}

//! Checks of the form of what the owner copied from WeChat's console. They need no answer of WeChat, and show no value but
//! an AppID, which is public, and that only where it has WeChat's form: what stands in its place may be the AppSecret.

use shared::{
    ids::AppId,
    secret_text::AppSecret,
    wechat::{
        app::{App, AppKeys},
        push::{Config, ConfigDefect},
    },
};

use super::{
    finding::{Finding, warn, wrong},
    wechat::CONSOLE,
};

/// A line for each value of a mini program whose form is not WeChat's.
pub(super) fn findings(app: &App) -> Vec<Finding> {
    let appid = shown(&app.appid);
    let copied = [
        (!is_appid(&app.appid)).then(|| warn("an AppID is not wx and 16 of 0-9 a-f", compare())),
        (!is_app_secret(&app.secret)).then(|| not_hex("AppSecret", appid)),
        app.previous_secret.as_ref().filter(|secret| !is_app_secret(secret)).map(|_| not_hex("previous_secret", appid)),
    ];
    copied.into_iter().flatten().chain(app_keys(app)).collect()
}

/// Whether this has the form of an AppSecret, so that it was at least copied whole.
pub(super) fn is_app_secret(secret: &AppSecret) -> bool {
    secret.expose().len() == 32 && is_hex(secret.expose())
}

/// The AppID for a line: the owner may have put something else in its place.
pub(super) fn shown(appid: &AppId) -> &str {
    if is_appid(appid) { appid.as_str() } else { "an AppID of another form" }
}

fn is_appid(appid: &AppId) -> bool {
    appid.as_str().strip_prefix("wx").is_some_and(|rest| rest.len() == 16 && is_hex(rest))
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|at| at.is_ascii_digit() || (b'a'..=b'f').contains(&at))
}

fn not_hex(name: &str, appid: &str) -> Finding {
    warn(format_args!("the {name} of {appid} is not 32 of 0-9 a-f"), compare())
}

fn compare() -> String {
    format!("compare it with {CONSOLE}")
}

fn app_keys(app: &App) -> Option<Finding> {
    let appid = shown(&app.appid);
    match &app.app_keys {
        Err(defect) => Some(wrong(format_args!("the app_keys of {appid} in WXAUTH_APPS are malformed"), defect)),
        Ok(AppKeys { production: Some(one), sandbox: Some(other) }) if one.expose() == other.expose() => Some(warn(
            format_args!("the app_keys of {appid} are the same for production and sandbox"),
            "WeChat's console shows two, under 虚拟支付 (virtual payment), 基本配置: copy each",
        )),
        Ok(_) => None,
    }
}

/// A line for each value that a mini program's pushes need and that cannot be right, in the secret of this variable.
pub(super) fn push(variable: &str, appid: &AppId, config: &Result<Config, ConfigDefect>) -> Vec<Finding> {
    let appid = shown(appid);
    let malformed =
        |defect: &ConfigDefect| wrong(format_args!("the push of {appid} in {variable} is malformed"), defect);
    let config = match config {
        Ok(config) => config,
        Err(defect) => return vec![malformed(defect)],
    };
    let key = match config.encoding_aes_key() {
        Some(Ok(())) => None,
        Some(Err(defect)) => Some(malformed(&defect)),
        None => Some(warn(
            format_args!("the push of {appid} has no encoding_aes_key"),
            "the secure mode (安全模式) of WeChat's console needs it: without it every push of that mode is refused",
        )),
    };
    token(appid, config).into_iter().chain(key).collect()
}

fn token(appid: &str, config: &Config) -> Option<Finding> {
    let token = config.token().expose();
    let fits = (3..=32).contains(&token.len()) && token.bytes().all(|at| at.is_ascii_alphanumeric());
    (!fits).then(|| {
        warn(
            format_args!("the push token of {appid} is not 3 to 32 of A-Z a-z 0-9"),
            "compare it with the Token of the message push in WeChat's console",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{doctor::finding::Level, secrets::push_part};
    use shared::{
        secrets::FromSecret as _,
        wechat::{app::Apps, push::PushApps},
    };

    const APPID: &str = "wx0123456789abcdef";
    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    const KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";

    fn lines(appid: &str, app: &serde_json::Value) -> Vec<(Level, String)> {
        let text = serde_json::json!({ "apps": { appid: app } }).to_string();
        let (apps, push_apps) = (Apps::from_secret(&text).unwrap(), push_part(&text).unwrap());
        let push_apps = PushApps::from_secret(&push_apps).unwrap();
        let of_push = push_apps.all().flat_map(|(appid, config)| push("WXAUTH_PUSH", appid, config));
        let lines = findings(apps.find(None).unwrap()).into_iter().chain(of_push);
        lines.map(|line| (line.level, line.text)).collect()
    }

    #[test]
    fn values_of_wechats_form_need_no_line() {
        let app = serde_json::json!({
            "secret": format!(" {SECRET}\n"),
            "previous_secret": SECRET,
            "push": { "token": "\u{200b}Token3\r\n", "encoding_aes_key": format!("{KEY} ") },
        });
        assert_eq!(lines(APPID, &app), []);
    }

    #[test]
    fn each_value_of_another_form_is_named_and_not_shown() {
        let push = |token: &str, key: Option<&str>| serde_json::json!({ "secret": SECRET, "push": { "token": token, "encoding_aes_key": key } });
        let secret = |secret: &str| serde_json::json!({ "secret": secret });
        let (long, short) = (SECRET.replace('0', "00"), &SECRET[1..]);
        let (upper, inside) = (SECRET.to_uppercase(), SECRET.replace('0', "\u{200b}"));
        for (app, level, words) in [
            (secret(&long), Level::Warn, "the AppSecret of"),
            (secret(short), Level::Warn, "the AppSecret of"),
            (secret(&upper), Level::Warn, "the AppSecret of"),
            (secret(&inside), Level::Warn, "the AppSecret of"),
            (
                serde_json::json!({ "secret": SECRET, "previous_secret": "MARKER" }),
                Level::Warn,
                "the previous_secret of",
            ),
            (push("MARKERtoken", None), Level::Warn, "has no encoding_aes_key"),
            (push("MARKERtoken", Some(&KEY[1..])), Level::Wrong, "encoding_aes_key is not 43 characters"),
            (push("MARKERtoken", Some("MARKER")), Level::Wrong, "encoding_aes_key is not 43 characters"),
            (push("ab", Some(KEY)), Level::Warn, "the push token of"),
            (push("MARKER token", Some(KEY)), Level::Warn, "the push token of"),
            (push(&"t".repeat(33), Some(KEY)), Level::Warn, "the push token of"),
            (push(" ", Some(KEY)), Level::Wrong, "token is missing or empty"),
            (serde_json::json!({ "secret": SECRET, "push": "MARKER" }), Level::Wrong, "it should be"),
            (serde_json::json!({ "secret": SECRET, "app_keys": "MARKER" }), Level::Wrong, "are malformed"),
            (serde_json::json!({ "secret": SECRET, "app_keys": { "prod": "MARKER" } }), Level::Wrong, "are malformed"),
            (
                serde_json::json!({ "secret": SECRET, "app_keys": { "production": "MARKER", "sandbox": "MARKER " } }),
                Level::Warn,
                "the same for production and sandbox",
            ),
        ] {
            let lines = lines(APPID, &app);
            assert_eq!(lines.len(), 1, "{lines:?}");
            let (given, text) = &lines[0];
            assert!(*given == level && text.contains(words) && text.contains(APPID), "{text}");
            assert!(!text.contains("MARKER") && !text.contains(&KEY[1..]) && !text.contains(short), "{text}");
        }
    }

    #[test]
    fn an_appid_of_another_form_is_a_warning() {
        for odd in ["wx0123456789ABCDEF", "wx0123456789abcde", "wx0123456789abcdeff", "gh_123456789abcdef"] {
            let lines = lines(odd, &serde_json::json!({ "secret": SECRET }));
            assert!(matches!(lines.as_slice(), [(Level::Warn, text)] if text.contains("an AppID is not")), "{lines:?}");
        }
    }

    #[test]
    fn what_stands_in_the_place_of_an_appid_is_never_shown() {
        for pasted in [SECRET, "wx0123456789abcde", "MARKERtoken", KEY, "wx0123456789abcdefwx0123456789abcdef"] {
            for push in [
                serde_json::json!(1),
                serde_json::json!({ "token": "a b" }),
                serde_json::json!({ "token": "Token3", "encoding_aes_key": "short" }),
            ] {
                let app = serde_json::json!({ "secret": APPID, "previous_secret": APPID, "push": push });
                let lines = lines(pasted, &app);
                assert!(lines.len() > 3, "{lines:?}");
                assert!(lines.iter().all(|(_, text)| !text.contains(pasted) && !text.contains(APPID)), "{lines:?}");
            }
        }
    }
}

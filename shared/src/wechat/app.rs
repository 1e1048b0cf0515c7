//! The owner's mini programs.

use std::collections::BTreeMap;

use serde::Deserialize;
use zeroize::Zeroizing;

use crate::{
    ids::AppId,
    secret_text::{self, AppSecret},
    secrets::{FromSecret, SecretDefect},
};

/// A mini program of the owner.
#[derive(Clone, Debug)]
pub struct App {
    /// Its AppID.
    pub appid: AppId,
    /// Its AppSecret.
    pub secret: AppSecret,
    /// The AppSecret before it was changed in WeChat's console: used while WeChat refuses the other.
    pub previous_secret: Option<AppSecret>,
}

/// The owner's mini programs, as the secret that `WXAUTH_APPS` names holds them.
#[derive(Debug)]
pub struct Apps(BTreeMap<AppId, App>);

impl Apps {
    /// The app of this id; without an id, the only one.
    #[must_use]
    pub fn find(&self, appid: Option<&AppId>) -> Option<&App> {
        match appid {
            Some(appid) => self.0.get(appid),
            None if self.0.len() == 1 => self.0.values().next(),
            None => None,
        }
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &App> {
        self.0.values()
    }
}

#[derive(Deserialize)]
struct StoredApps {
    apps: BTreeMap<String, StoredApp>,
}

#[derive(Deserialize)]
struct StoredApp {
    secret: String,
    previous_secret: Option<String>,
}

/// An AppSecret as it was pasted, unless it is empty.
fn app_secret(pasted: String) -> Option<AppSecret> {
    let pasted = Zeroizing::new(pasted);
    let secret = secret_text::trimmed(&pasted);
    (!secret.is_empty()).then(|| AppSecret::new(secret))
}

impl FromSecret for Apps {
    const EXPECTED_FORMAT: &'static str = r#"the mini programs: {"apps": {"wx...": {"secret": "..."}}}"#;

    fn from_secret(text: &str) -> Result<Self, SecretDefect> {
        if matches!(text.trim(), "" | "{}") {
            return Err(SecretDefect::NotFilled);
        }
        let stored: StoredApps = serde_json::from_str(text).map_err(|_| SecretDefect::Malformed)?;
        let mut apps = BTreeMap::new();
        for (appid, app) in stored.apps {
            let appid = AppId::parse(secret_text::trimmed(&appid)).map_err(|_| SecretDefect::Malformed)?;
            let secret = app_secret(app.secret).ok_or(SecretDefect::NotFilled)?;
            let previous_secret = app.previous_secret.and_then(app_secret);
            let app = App { appid: appid.clone(), secret, previous_secret };
            // Two spellings of one AppID: nobody knows which secret is meant.
            if apps.insert(appid, app).is_some() {
                return Err(SecretDefect::Malformed);
            }
        }
        if apps.is_empty() { Err(SecretDefect::NotFilled) } else { Ok(Self(apps)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apps(text: &str) -> Result<Apps, SecretDefect> {
        Apps::from_secret(text)
    }

    #[test]
    fn an_app_is_found_by_its_id_and_the_only_one_without() {
        let one = apps(r#"{"apps":{"wx1":{"secret":"s"}}}"#).unwrap();
        let two = apps(r#"{"apps":{"wx1":{"secret":"s"},"wx2":{"secret":"t","previous_secret":"u"}}}"#).unwrap();
        let wx2 = AppId::parse("wx2").unwrap();

        assert!(one.find(None).is_some() && one.find(Some(&wx2)).is_none());
        assert!(two.find(None).is_none());
        assert_eq!(two.find(Some(&wx2)).unwrap().previous_secret.as_ref().unwrap().expose(), "u");
    }

    #[test]
    fn appid_and_secrets_are_taken_without_what_was_pasted_around_them() {
        for (before, after) in [(" ", "\\n"), ("\u{feff}", "\u{200b}"), ("\\t", "\\r\\n"), ("\u{3000}", "\u{a0}")] {
            let around = |text: &str| format!("\"{before}{text}{after}\"");
            let (appid, secret, previous) = (around("wx1"), around("s"), around("p"));
            let text = format!(r#"{{"apps":{{{appid}:{{"secret":{secret},"previous_secret":{previous}}}}}}}"#);
            let apps = apps(&text).unwrap();
            let app = apps.find(None).unwrap();
            let previous = app.previous_secret.as_ref().unwrap();
            assert_eq!((app.appid.as_str(), app.secret.expose(), previous.expose()), ("wx1", "s", "p"));
        }
        assert_eq!(apps(r#"{"apps":{"wx1":{"secret":" \n"}}}"#).unwrap_err(), SecretDefect::NotFilled);
        let twice = r#"{"apps":{"wx1":{"secret":"s"},"wx1 ":{"secret":"t"}}}"#;
        assert_eq!(apps(twice).unwrap_err(), SecretDefect::Malformed);
    }

    #[test]
    fn an_empty_secret_waits_for_its_owner_and_another_form_is_malformed() {
        for empty in ["", "{}", r#"{"apps":{}}"#, r#"{"apps":{"wx1":{"secret":""}}}"#] {
            assert_eq!(apps(empty).unwrap_err(), SecretDefect::NotFilled, "{empty}");
        }
        for bad in ["[]", r#"{"apps":[]}"#, r#"{"apps":{"w x":{"secret":"s"}}}"#, r#"{"apps":{"wx1":"s"}}"#] {
            assert_eq!(apps(bad).unwrap_err(), SecretDefect::Malformed, "{bad}");
        }
    }
}

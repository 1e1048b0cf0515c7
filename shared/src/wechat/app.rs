//! The owner's mini programs.

use std::collections::BTreeMap;

use serde::Deserialize;
use zeroize::Zeroizing;

use crate::{
    ids::AppId,
    secret_text::{self, AppKey, AppSecret},
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
    /// The AppKeys of virtual payment. A mistake in them must not end every login.
    pub app_keys: Result<AppKeys, AppKeysDefect>,
}

/// The AppKeys of virtual payment, as far as the owner stored them: WeChat's console shows one for each environment.
#[derive(Clone, Debug, Default)]
pub struct AppKeys {
    /// `env` 0.
    pub production: Option<AppKey>,
    /// `env` 1.
    pub sandbox: Option<AppKey>,
}

/// The member `app_keys` of an app is no object of texts with these two names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(r#"app_keys should be {{"production": "...", "sandbox": "..."}}, where either may be left out"#)]
pub struct AppKeysDefect;

impl AppKeys {
    fn parse(stored: Option<serde_json::Value>) -> Result<Self, AppKeysDefect> {
        let Some(stored) = stored else { return Ok(Self::default()) };
        let StoredAppKeys { production, sandbox } = StoredAppKeys::deserialize(stored).map_err(|_| AppKeysDefect)?;
        let key = |pasted| pasted_secret(pasted, |text| AppKey::new(text));
        Ok(Self { production: production.and_then(key), sandbox: sandbox.and_then(key) })
    }
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
    app_keys: Option<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredAppKeys {
    production: Option<String>,
    sandbox: Option<String>,
}

/// A secret as it was pasted, unless it is empty.
fn pasted_secret<T>(pasted: String, secret: impl FnOnce(&str) -> T) -> Option<T> {
    let pasted = Zeroizing::new(pasted);
    let text = secret_text::trimmed(&pasted);
    (!text.is_empty()).then(|| secret(text))
}

fn app_secret(pasted: String) -> Option<AppSecret> {
    pasted_secret(pasted, |text| AppSecret::new(text))
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
            let app_keys = AppKeys::parse(app.app_keys);
            let app = App { appid: appid.clone(), secret, previous_secret, app_keys };
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
    fn a_slip_in_the_app_keys_spoils_nothing_else() {
        let keys = |text: &str| {
            let one = apps(&format!(r#"{{"apps":{{"wx1":{{"secret":"s"{text}}}}}}}"#)).unwrap();
            one.find(None)
                .unwrap()
                .app_keys
                .clone()
                .map(|keys| [keys.production, keys.sandbox].map(|key| key.map(|key| key.expose().to_owned())))
        };
        assert_eq!(keys("").unwrap(), [None, None]);
        assert_eq!(keys(r#","app_keys":null"#).unwrap(), [None, None]);
        assert_eq!(keys(r#","app_keys":{"sandbox":" k\n"}"#).unwrap(), [None, Some("k".to_owned())]);
        assert_eq!(keys(r#","app_keys":{"production":"p","sandbox":" "}"#).unwrap(), [Some("p".to_owned()), None]);
        for slip in ["1", "[]", r#""k""#, r#"{"production":1}"#, r#"{"produktion":"p"}"#] {
            assert_eq!(keys(&format!(r#","app_keys":{slip}"#)), Err(AppKeysDefect), "{slip}");
        }
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

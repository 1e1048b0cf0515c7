//! The mini programs whose pushes are taken.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Config, ConfigDefect};
use crate::{
    ids::AppId,
    secret_text,
    secrets::{FromSecret, SecretDefect},
};

/// The mini programs whose pushes are taken, as the secret that `WXAUTH_PUSH` names holds them: no AppSecret is among it. A
/// mistake in what one needs must not refuse the pushes of the others, so it is kept here.
#[derive(Debug, Default)]
pub struct PushApps(BTreeMap<AppId, Result<Config, ConfigDefect>>);

impl PushApps {
    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = (&AppId, &Result<Config, ConfigDefect>)> {
        self.0.iter()
    }

    /// Those whose pushes can be verified.
    pub fn usable(&self) -> impl Iterator<Item = (&AppId, &Config)> {
        self.0.iter().filter_map(|(appid, config)| Some((appid, config.as_ref().ok()?)))
    }
}

#[derive(Deserialize)]
struct StoredApps {
    apps: BTreeMap<String, serde_json::Value>,
}

#[derive(Deserialize)]
struct StoredApp {
    token: Option<String>,
    encoding_aes_key: Option<String>,
}

impl FromSecret for PushApps {
    const EXPECTED_FORMAT: &'static str =
        r#"the mini programs: {"apps": {"wx...": {"token": "...", "encoding_aes_key": "..."}}}"#;

    /// A secret that nobody has filled is one without mini programs: an owner without pushes must not hear of it each time that
    /// a stranger sends one.
    fn from_secret(text: &str) -> Result<Self, SecretDefect> {
        if matches!(text.trim(), "" | "{}") {
            return Ok(Self::default());
        }
        let stored: StoredApps = serde_json::from_str(text).map_err(|_| SecretDefect::Malformed)?;
        let mut apps = BTreeMap::new();
        for (appid, app) in stored.apps {
            let appid = AppId::parse(secret_text::trimmed(&appid)).map_err(|_| SecretDefect::Malformed)?;
            let config = StoredApp::deserialize(app).map_err(|_| ConfigDefect::Form);
            let config =
                config.and_then(|app| Config::parse(app.token.ok_or(ConfigDefect::Token)?, app.encoding_aes_key));
            // Two spellings of one AppID: nobody knows which token is meant.
            if apps.insert(appid, config).is_some() {
                return Err(SecretDefect::Malformed);
            }
        }
        Ok(Self(apps))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apps(text: &str) -> Result<PushApps, SecretDefect> {
        PushApps::from_secret(text)
    }

    #[test]
    fn a_slip_in_what_one_app_needs_spoils_nothing_else() {
        for (app, defect) in [
            ("1", ConfigDefect::Form),
            (r#"{"token":1}"#, ConfigDefect::Form),
            ("{}", ConfigDefect::Token),
            (r#"{"token":" "}"#, ConfigDefect::Token),
        ] {
            let two = apps(&format!(r#"{{"apps":{{"wx1":{app},"wx2":{{"token":"t"}}}}}}"#)).unwrap();
            assert_eq!(two.all().next().unwrap().1.as_ref().unwrap_err(), &defect, "{app}");
            assert_eq!(two.usable().map(|(appid, _)| appid.as_str()).collect::<Vec<_>>(), ["wx2"], "{app}");
        }
        let short = apps(r#"{"apps":{"wx1":{"token":"t","encoding_aes_key":"short"}}}"#).unwrap();
        assert_eq!(short.usable().next().unwrap().1.encoding_aes_key(), Some(Err(ConfigDefect::AesKey)));
    }

    #[test]
    fn an_empty_secret_has_no_apps_and_another_form_is_malformed() {
        for empty in ["", " \n", "{}", r#"{"apps":{}}"#] {
            assert_eq!(apps(empty).unwrap().all().count(), 0, "{empty}");
        }
        for bad in ["[]", r#"{"apps":[]}"#, r#"{"apps":{"w x":{"token":"t"}}}"#, r#"{"apps":{"wx1":{},"wx1 ":{}}}"#] {
            assert_eq!(apps(bad).unwrap_err(), SecretDefect::Malformed, "{bad}");
        }
        assert_eq!(apps(r#"{"apps":{" wx1\n":{"token":"t"}}}"#).unwrap().usable().next().unwrap().0.as_str(), "wx1");
    }
}

//! The mini programs that the simulator knows, as WeChat's console has them. `Debug` shows none of their secrets.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

#[derive(Clone, Deserialize)]
pub struct App {
    /// `wx` and 16 hex digits.
    #[serde(skip)]
    pub appid: String,
    pub secret: String,
    /// Absent where no message push is configured.
    pub push: Option<Push>,
    /// Absent where virtual payment is not set up, or not rightly: that ends no login.
    #[serde(default, deserialize_with = "if_well_formed")]
    pub app_keys: Option<AppKeys>,
}

/// The AppKeys of virtual payment, as the console shows them, in the form of `WXAUTH_APPS`.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct AppKeys {
    /// `env` 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub production: Option<String>,
    /// `env` 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<String>,
}

/// The message push of an app without its address, in the form of `WXAUTH_PUSH`.
#[derive(Clone, Serialize, Deserialize)]
pub struct Push {
    pub token: String,
    /// 43 characters; absent where pushes are not encrypted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding_aes_key: Option<String>,
}

fn if_well_formed<'de, D: Deserializer<'de>>(stored: D) -> Result<Option<AppKeys>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(stored)?).ok())
}

impl App {
    /// The app of a simulator that was given no other.
    #[must_use]
    pub fn demo() -> Self {
        Self {
            appid: "wx0123456789abcdef".to_owned(),
            secret: "0123456789abcdef0123456789abcdef".to_owned(),
            push: Some(Push {
                token: "demoPushToken".to_owned(),
                // As in most keys of the console, the last character is not canonical base64.
                encoding_aes_key: Some("abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG".to_owned()),
            }),
            app_keys: Some(AppKeys {
                production: Some("demoAppKeyOfProduction0123456789".to_owned()),
                sandbox: Some("demoAppKeyOfTheSandbox0123456789".to_owned()),
            }),
        }
    }

    /// Reads `{"apps":{"wx...":{"secret":"..."}}}`. Unknown fields are ignored: the backend's own file has more of them.
    pub fn read_all(json: &[u8]) -> serde_json::Result<Vec<Self>> {
        #[derive(Deserialize)]
        struct File {
            apps: BTreeMap<String, App>,
        }
        let File { apps } = serde_json::from_slice(json)?;
        Ok(apps.into_iter().map(|(appid, app)| Self { appid, ..app }.trimmed()).collect())
    }

    /// The values as WeChat's console has them: what somebody pasted around them is not there.
    fn trimmed(self) -> Self {
        let trimmed = |text: String| text.trim_matches(|at: char| !at.is_ascii_graphic()).to_owned();
        let push = self.push.map(|push| {
            let encoding_aes_key = push.encoding_aes_key.map(trimmed).filter(|key| !key.is_empty());
            Push { token: trimmed(push.token), encoding_aes_key }
        });
        let key = |pasted: Option<String>| pasted.map(trimmed).filter(|key| !key.is_empty());
        let app_keys =
            self.app_keys.map(|keys| AppKeys { production: key(keys.production), sandbox: key(keys.sandbox) });
        Self { appid: trimmed(self.appid), secret: trimmed(self.secret), push, app_keys }
    }

    /// The AppKey of this `env` of a payment.
    pub(crate) fn app_key(&self, env: u64) -> Option<&str> {
        let keys = self.app_keys.as_ref()?;
        match env {
            0 => keys.production.as_deref(),
            1 => keys.sandbox.as_deref(),
            _ => None,
        }
    }
}

impl fmt::Debug for App {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = out.debug_struct("App");
        shown.field("appid", &self.appid).field("secret", &"[redacted]").field("push", &self.push);
        shown.field("app_keys", &self.app_keys).finish()
    }
}

impl fmt::Debug for AppKeys {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("[redacted]")
    }
}

impl fmt::Debug for Push {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_in_the_app_keys_ends_nothing_else() {
        for (stored, production) in [
            ("null", None),
            (r#""key""#, None),
            (r#"{"production":" k\n"}"#, Some("k")),
            (r#"{"production":" "}"#, None),
        ] {
            let file = format!(r#"{{"apps":{{"wx1":{{"secret":"s","app_keys":{stored}}}}}}}"#);
            let apps = App::read_all(file.as_bytes()).unwrap();
            assert_eq!((apps[0].secret.as_str(), apps[0].app_key(0)), ("s", production), "{stored}");
        }
    }
}

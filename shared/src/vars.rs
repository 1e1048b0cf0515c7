//! The variables of a process, and the sentence that is said of a wrong one.

use std::{collections::HashMap, fmt};

use url::Url;

use crate::clock::Secs;

/// Every variable of ours that a function may read. Documents, template and doctor are checked against this list.
pub const VARIABLES: &[&str] = &[
    "WXAUTH_TABLE",
    "WXAUTH_WECHAT_URL",
    "WXAUTH_ISSUER",
    "WXAUTH_AUDIENCE",
    "WXAUTH_ACCESS_SECONDS",
    "WXAUTH_IDLE_SECONDS",
    "WXAUTH_ABSOLUTE_SECONDS",
    "WXAUTH_GRACE_SECONDS",
    "WXAUTH_MIN_AGE_SECONDS",
    "WXAUTH_NOT_BEFORE",
    "WXAUTH_UNIONID_CLAIM",
    "WXAUTH_LOGIN_REFUSALS",
    "WXAUTH_PHONE_DATA_CHECK",
    "WXAUTH_SIGNING_ALGORITHM",
    "WXAUTH_APPS",
    "WXAUTH_KEYRING",
    "WXAUTH_SIGNING_KEYS",
    "WXAUTH_JWKS",
    "WXAUTH_BRAKE",
    "WXAUTH_PROXY",
    "WXAUTH_PUSH",
    "WXAUTH_PUSH_TARGET",
];

/// Which variable is wrong and what it should be; never the value it has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable} should be {expected}")]
pub struct ConfigError {
    variable: String,
    expected: String,
}

impl ConfigError {
    /// Says that `variable` should be something else.
    pub fn new(variable: &str, expected: impl Into<String>) -> Self {
        Self { variable: variable.to_owned(), expected: expected.into() }
    }
}

/// The variables that a function was started with.
#[derive(Clone, Default)]
pub struct Vars(HashMap<String, String>);

impl fmt::Debug for Vars {
    /// Names only: some values are credentials.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_set().entries(self.0.keys()).finish()
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Vars {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(vars: I) -> Self {
        Self(vars.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl Vars {
    /// The value of a variable that is set and not empty. A template cannot leave a variable out, only empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The value of a variable that must be set.
    pub fn required(&self, name: &str, expected: &str) -> Result<&str, ConfigError> {
        self.get(name).ok_or_else(|| ConfigError::new(name, format!("set to {expected}")))
    }

    pub(crate) fn number(&self, name: &str, default: Secs, least: Secs, most: Secs) -> Result<Secs, ConfigError> {
        let Some(text) = self.get(name) else { return Ok(default) };
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(number) if digits && (least..=most).contains(&number) => Ok(number),
            _ => Err(ConfigError::new(name, format!("a whole number from {least} to {most}"))),
        }
    }

    pub(crate) fn flag(&self, name: &str) -> Result<bool, ConfigError> {
        match self.get(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(ConfigError::new(name, "true or false")),
        }
    }

    /// A URL without path or query, as text without a slash at its end; https unless the host is loopback.
    pub(crate) fn origin(&self, name: &str) -> Result<Option<String>, ConfigError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let origin = Url::parse(text).ok().filter(|url| {
            let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
            let anonymous = url.username().is_empty() && url.password().is_none();
            bare && anonymous && (url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url)))
        });
        match origin {
            // Others compare an issuer byte for byte, so no other spelling of the same origin is taken.
            Some(url) if url.as_str().trim_end_matches('/') == text => Ok(Some(text.to_owned())),
            _ => Err(ConfigError::new(
                name,
                "an https origin such as https://auth.example.com, without a path or a slash at its end (http for loopback)",
            )),
        }
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

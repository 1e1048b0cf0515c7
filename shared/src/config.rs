//! What the environment may say, checked once: each wrong variable is one sentence that names it.

use std::{collections::HashMap, fmt};

use url::Url;

use crate::{clock::Secs, session::rotation::RefreshPolicy, token::jwks::KeyKind};

/// Which variable is wrong and what it should be; never the value it has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable} should be {should}")]
pub struct ConfigError {
    variable: String,
    should: String,
}

impl ConfigError {
    /// Says that `variable` should be something else.
    pub fn new(variable: &str, should: impl Into<String>) -> Self {
        Self { variable: variable.to_owned(), should: should.into() }
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
    /// The value of a variable that is set and not empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The value of a variable that must be set.
    pub fn required(&self, name: &str, should: &str) -> Result<&str, ConfigError> {
        self.get(name).ok_or_else(|| ConfigError::new(name, format!("set to {should}")))
    }

    fn number(&self, name: &str, default: Secs, least: Secs, most: Secs) -> Result<Secs, ConfigError> {
        let Some(text) = self.get(name) else { return Ok(default) };
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(number) if digits && (least..=most).contains(&number) => Ok(number),
            _ => Err(ConfigError::new(name, format!("a whole number from {least} to {most}"))),
        }
    }

    fn flag(&self, name: &str) -> Result<bool, ConfigError> {
        match self.get(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(ConfigError::new(name, "true or false")),
        }
    }

    /// An address without path or query, as text without a slash at its end; https unless the host is loopback.
    fn origin(&self, name: &str) -> Result<Option<String>, ConfigError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let origin = Url::parse(text).ok().filter(|url| {
            let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
            let anonymous = url.username().is_empty() && url.password().is_none();
            bare && anonymous && (url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url)))
        });
        match origin {
            // Byte for byte what others compare with: no other spelling of the same origin.
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

/// Ten years: longer than any lifetime that makes sense, short enough that no sum of times overflows.
const TEN_YEARS: Secs = 10 * 365 * 86_400;

/// How an access token is filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuing {
    /// `WXAUTH_ISSUER`: the `iss`; without it, `https://` and the domain that the request came to.
    pub issuer: Option<String>,
    /// `WXAUTH_AUDIENCE`: the `aud`; without it, the appid.
    pub audience: Option<String>,
    /// `WXAUTH_ACCESS_SECONDS`: how long an access token lives.
    pub access: Secs,
    /// `WXAUTH_UNIONID_CLAIM`: whether the unionid stands in access tokens.
    pub unionid: bool,
    /// `WXAUTH_NOT_BEFORE`: sessions made before this instant count as ended (the emergency brake).
    pub not_before: Secs,
}

impl Issuing {
    /// Reads the variables.
    pub fn from_vars(vars: &Vars) -> Result<Self, ConfigError> {
        Ok(Self {
            issuer: vars.origin("WXAUTH_ISSUER")?,
            audience: audience(vars)?,
            access: vars.number("WXAUTH_ACCESS_SECONDS", 900, 1, TEN_YEARS)?,
            unionid: vars.flag("WXAUTH_UNIONID_CLAIM")?,
            not_before: not_before(vars)?,
        })
    }
}

impl RefreshPolicy {
    /// Reads `WXAUTH_MIN_AGE_SECONDS`, `WXAUTH_GRACE_SECONDS`, `WXAUTH_IDLE_SECONDS`, `WXAUTH_ABSOLUTE_SECONDS` and
    /// `WXAUTH_NOT_BEFORE`.
    pub fn from_vars(vars: &Vars) -> Result<Self, ConfigError> {
        Ok(Self {
            min_age: vars.number("WXAUTH_MIN_AGE_SECONDS", 120, 0, TEN_YEARS)?,
            grace: vars.number("WXAUTH_GRACE_SECONDS", 60, 0, TEN_YEARS)?,
            idle: vars.number("WXAUTH_IDLE_SECONDS", 7 * 86_400, 1, TEN_YEARS)?,
            absolute: vars.number("WXAUTH_ABSOLUTE_SECONDS", 30 * 86_400, 1, TEN_YEARS)?,
            not_before: not_before(vars)?,
            ..Self::default()
        })
    }
}

fn audience(vars: &Vars) -> Result<Option<String>, ConfigError> {
    match vars.get("WXAUTH_AUDIENCE") {
        Some(text) if !text.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err(ConfigError::new("WXAUTH_AUDIENCE", "printable ASCII without spaces"))
        }
        given => Ok(given.map(str::to_owned)),
    }
}

fn not_before(vars: &Vars) -> Result<Secs, ConfigError> {
    vars.number("WXAUTH_NOT_BEFORE", 0, 0, Secs::from(u32::MAX))
}

/// Reads `WXAUTH_TABLE`.
pub fn table(vars: &Vars) -> Result<String, ConfigError> {
    let should = "the name of the DynamoDB table: 3 to 255 of A-Z a-z 0-9 _ . -";
    let name = vars.required("WXAUTH_TABLE", should)?;
    let fits = (3..=255).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'));
    if fits { Ok(name.to_owned()) } else { Err(ConfigError::new("WXAUTH_TABLE", should)) }
}

/// Reads `WXAUTH_SIGNING_ALGORITHM`, which only `rotation` needs; without it, RS256.
pub fn signing_algorithm(vars: &Vars) -> Result<KeyKind, ConfigError> {
    match vars.get("WXAUTH_SIGNING_ALGORITHM") {
        None | Some("RS256") => Ok(KeyKind::Rsa),
        Some("ES256") => Ok(KeyKind::Ec),
        Some(_) => Err(ConfigError::new("WXAUTH_SIGNING_ALGORITHM", "RS256 or ES256")),
    }
}

/// Reads `WXAUTH_WECHAT_URL`; without it, WeChat itself.
pub fn wechat_url(vars: &Vars) -> Result<String, ConfigError> {
    Ok(vars.origin("WXAUTH_WECHAT_URL")?.unwrap_or_else(|| "https://api.weixin.qq.com".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars(name: &str, value: &str) -> Vars {
        Vars::from_iter([(name, value)])
    }

    #[test]
    fn defaults_are_those_of_the_contract() {
        let (issuing, policy) =
            (Issuing::from_vars(&Vars::default()).unwrap(), RefreshPolicy::from_vars(&Vars::default()).unwrap());

        assert_eq!(issuing, Issuing { issuer: None, audience: None, access: 900, unionid: false, not_before: 0 });
        assert_eq!((policy.min_age, policy.grace, policy.in_flight), (120, 60, 60));
        assert_eq!((policy.idle, policy.absolute, policy.not_before), (604_800, 2_592_000, 0));
        assert_eq!(wechat_url(&Vars::default()).unwrap(), "https://api.weixin.qq.com");
    }

    #[test]
    fn a_wrong_value_is_a_sentence_that_names_the_variable_and_not_the_value() {
        for (name, value) in [
            ("WXAUTH_ACCESS_SECONDS", "MARKER"),
            ("WXAUTH_ACCESS_SECONDS", "0"),
            ("WXAUTH_ACCESS_SECONDS", "+5"),
            ("WXAUTH_AUDIENCE", " "),
            ("WXAUTH_UNIONID_CLAIM", "MARKER"),
            ("WXAUTH_ISSUER", "http://MARKER.example.com"),
            ("WXAUTH_NOT_BEFORE", "-1"),
        ] {
            let sentence = Issuing::from_vars(&vars(name, value)).unwrap_err().to_string();
            assert!(sentence.starts_with(name) && !sentence.contains("MARKER"), "{sentence}");
        }
        for name in ["WXAUTH_IDLE_SECONDS", "WXAUTH_ABSOLUTE_SECONDS", "WXAUTH_GRACE_SECONDS", "WXAUTH_MIN_AGE_SECONDS"]
        {
            let sentence = RefreshPolicy::from_vars(&vars(name, "1.5")).unwrap_err().to_string();
            assert!(sentence.starts_with(name), "{sentence}");
        }
    }

    #[test]
    fn a_table_name_is_required_and_checked() {
        assert!(table(&Vars::default()).unwrap_err().to_string().starts_with("WXAUTH_TABLE should be set to"));
        assert!(table(&vars("WXAUTH_TABLE", "a/b")).is_err());
        assert!(table(&vars("WXAUTH_TABLE", "ab")).is_err());
        assert_eq!(table(&vars("WXAUTH_TABLE", "wxauth-dev")).unwrap(), "wxauth-dev");
    }

    #[test]
    fn an_issuer_is_an_origin() {
        let issuer = |value| Issuing::from_vars(&vars("WXAUTH_ISSUER", value)).map(|issuing| issuing.issuer);

        assert_eq!(issuer("https://auth.example.com").unwrap().unwrap(), "https://auth.example.com");
        assert_eq!(issuer("http://127.0.0.1:9000").unwrap().unwrap(), "http://127.0.0.1:9000");
        assert_eq!(issuer("http://[::1]:9000").unwrap().unwrap(), "http://[::1]:9000");
        for bad in [
            "auth.example.com",
            "https://auth.example.com/",
            "https://Auth.example.com",
            "https://auth.example.com:443",
            "https://auth.example.com/v1",
            "https://u:p@auth.example.com",
            "https://auth.example.com?x=1",
            "http://auth.example.com",
            "ftp://127.0.0.1",
        ] {
            assert!(issuer(bad).is_err(), "{bad}");
        }
    }
}

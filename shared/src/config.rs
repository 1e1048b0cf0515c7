//! What the environment says, checked once.

use crate::{
    clock::Secs,
    session::refresh::RefreshPolicy,
    token::{access::AccessTokenConfig, jwks::KeyKind},
    vars::{ConfigError, Vars},
};

/// Ten years: longer than any lifetime that makes sense, short enough that no sum of times overflows.
const TEN_YEARS: Secs = 10 * 365 * 86_400;

/// With a grace or a minimum age of hours a thief who refreshes now and then would often not be noticed for days: `cargo figures
/// thefts`.
const HOUR: Secs = 3_600;

/// With access tokens of a day the owner's client refreshes once a day, too seldom for a thief to be noticed within a day:
/// `cargo figures thefts`.
const LONGEST_ACCESS: Secs = 43_200;

/// A client renews its tokens this long before the access token ends.
const CLIENT_MARGIN: Secs = 60;

impl AccessTokenConfig {
    /// Reads the variables.
    pub fn from_vars(vars: &Vars) -> Result<Self, ConfigError> {
        Ok(Self {
            issuer: vars.origin("WXAUTH_ISSUER")?,
            audience: audience(vars)?,
            access: access(vars)?,
            unionid: vars.flag("WXAUTH_UNIONID_CLAIM")?,
        })
    }
}

impl RefreshPolicy {
    /// Reads `WXAUTH_MIN_AGE_SECONDS`, `WXAUTH_GRACE_SECONDS`, `WXAUTH_ACCESS_SECONDS`, `WXAUTH_IDLE_SECONDS` and
    /// `WXAUTH_ABSOLUTE_SECONDS`. Times with which reuse would not be noticed, or a session would end before its access token,
    /// are refused.
    pub fn from_vars(vars: &Vars) -> Result<Self, ConfigError> {
        Self::numbers(vars)?.checked()
    }

    /// Reads the numbers, each for itself.
    pub fn numbers(vars: &Vars) -> Result<Self, ConfigError> {
        Ok(Self {
            min_age: vars.number("WXAUTH_MIN_AGE_SECONDS", 120, 0, HOUR)?,
            grace: vars.number("WXAUTH_GRACE_SECONDS", 60, 0, HOUR)?,
            access: access(vars)?,
            idle: vars.number("WXAUTH_IDLE_SECONDS", 7 * 86_400, 1, TEN_YEARS)?,
            absolute: vars.number("WXAUTH_ABSOLUTE_SECONDS", 30 * 86_400, 1, TEN_YEARS)?,
            ..Self::default()
        })
    }

    fn checked(self) -> Result<Self, ConfigError> {
        let Self { min_age, grace, in_flight, access, idle, absolute, .. } = self;
        let refusals = [
            (
                2 * grace + CLIENT_MARGIN > access,
                "WXAUTH_GRACE_SECONDS",
                "at most half of WXAUTH_ACCESS_SECONDS less 60, or a copied refresh token is not noticed",
            ),
            (
                min_age + in_flight + CLIENT_MARGIN >= access,
                "WXAUTH_ACCESS_SECONDS",
                "more than WXAUTH_MIN_AGE_SECONDS and 120, or a copied refresh token is not noticed",
            ),
            (access > idle, "WXAUTH_IDLE_SECONDS", "at least WXAUTH_ACCESS_SECONDS"),
            (idle > absolute, "WXAUTH_ABSOLUTE_SECONDS", "at least WXAUTH_IDLE_SECONDS"),
        ];
        match refusals.into_iter().find(|(refused, ..)| *refused) {
            Some((_, name, expected)) => Err(ConfigError::new(name, expected)),
            None => Ok(self),
        }
    }
}

fn access(vars: &Vars) -> Result<Secs, ConfigError> {
    vars.number("WXAUTH_ACCESS_SECONDS", 900, 1, LONGEST_ACCESS)
}

fn audience(vars: &Vars) -> Result<Option<String>, ConfigError> {
    match vars.get("WXAUTH_AUDIENCE") {
        Some(text) if !text.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err(ConfigError::new("WXAUTH_AUDIENCE", "printable ASCII without spaces"))
        }
        given => Ok(given.map(str::to_owned)),
    }
}

/// Reads `WXAUTH_NOT_BEFORE`, in Unix seconds; without it, 0.
pub fn not_before(vars: &Vars) -> Result<Secs, ConfigError> {
    vars.number("WXAUTH_NOT_BEFORE", 0, 0, Secs::from(u32::MAX))
}

/// Reads `WXAUTH_TABLE`.
pub fn table(vars: &Vars) -> Result<String, ConfigError> {
    let expected = "the name of the DynamoDB table: 3 to 255 of A-Z a-z 0-9 _ . -";
    let name = vars.required("WXAUTH_TABLE", expected)?;
    let fits = (3..=255).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'));
    if fits { Ok(name.to_owned()) } else { Err(ConfigError::new("WXAUTH_TABLE", expected)) }
}

/// Reads `WXAUTH_LOGIN_REFUSALS`: how many codes that gave no session a network may owe; 0 is without limit.
pub fn login_refusals(vars: &Vars) -> Result<u64, ConfigError> {
    vars.number("WXAUTH_LOGIN_REFUSALS", 100, 0, 1_000_000)
}

/// Reads `WXAUTH_PHONE_DATA_CHECK`: whether WeChat is asked if encrypted phone data is its own; without it, no.
pub fn phone_data_check(vars: &Vars) -> Result<bool, ConfigError> {
    vars.flag("WXAUTH_PHONE_DATA_CHECK")
}

/// Reads `WXAUTH_SIGNING_ALGORITHM`, which only `rotation` needs; without it, RS256.
pub fn signing_algorithm(vars: &Vars) -> Result<KeyKind, ConfigError> {
    match vars.get("WXAUTH_SIGNING_ALGORITHM") {
        None | Some("RS256") => Ok(KeyKind::Rsa),
        Some("ES256") => Ok(KeyKind::Ec),
        Some(_) => Err(ConfigError::new("WXAUTH_SIGNING_ALGORITHM", "RS256 or ES256")),
    }
}

/// Reads `WXAUTH_PUSH_TARGET`, the owner's function; without it, nobody gets what WeChat pushes.
pub fn push_target(vars: &Vars) -> Result<Option<&str>, ConfigError> {
    let Some(function) = vars.get("WXAUTH_PUSH_TARGET") else { return Ok(None) };
    let fits =
        function.len() <= 256 && function.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_:.$".contains(&byte));
    if fits { Ok(Some(function)) } else { Err(ConfigError::new("WXAUTH_PUSH_TARGET", "the name or ARN of a function")) }
}

/// WeChat itself.
pub const WECHAT_URL: &str = "https://api.weixin.qq.com";

/// Reads `WXAUTH_WECHAT_URL`; without it, WeChat itself.
pub fn wechat_url(vars: &Vars) -> Result<String, ConfigError> {
    Ok(vars.origin("WXAUTH_WECHAT_URL")?.unwrap_or_else(|| WECHAT_URL.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars(name: &str, value: &str) -> Vars {
        Vars::from_iter([(name, value)])
    }

    #[test]
    fn defaults_are_those_of_the_contract() {
        let (access, policy) = (
            AccessTokenConfig::from_vars(&Vars::default()).unwrap(),
            RefreshPolicy::from_vars(&Vars::default()).unwrap(),
        );

        assert_eq!(access, AccessTokenConfig { issuer: None, audience: None, access: 900, unionid: false });
        assert_eq!((policy.min_age, policy.grace, policy.in_flight), (120, 60, 60));
        assert_eq!((policy.idle, policy.absolute, not_before(&Vars::default()).unwrap()), (604_800, 2_592_000, 0));
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
        ] {
            let sentence = AccessTokenConfig::from_vars(&vars(name, value)).unwrap_err().to_string();
            assert!(sentence.starts_with(name) && !sentence.contains("MARKER"), "{sentence}");
        }
        let sentence = not_before(&vars("WXAUTH_NOT_BEFORE", "-1")).unwrap_err().to_string();
        assert!(sentence.starts_with("WXAUTH_NOT_BEFORE"), "{sentence}");
        for name in ["WXAUTH_IDLE_SECONDS", "WXAUTH_ABSOLUTE_SECONDS", "WXAUTH_GRACE_SECONDS", "WXAUTH_MIN_AGE_SECONDS"]
        {
            let sentence = RefreshPolicy::from_vars(&vars(name, "1.5")).unwrap_err().to_string();
            assert!(sentence.starts_with(name), "{sentence}");
        }
    }

    #[test]
    fn times_at_which_reuse_cannot_be_seen_or_a_session_is_over_before_its_token_are_refused() {
        let refused = |vars: &[(&'static str, &'static str)]| {
            let policy = RefreshPolicy::from_vars(&vars.iter().copied().collect());
            policy.err().map(|error| error.to_string().split(' ').next().unwrap_or_default().to_owned())
        };

        for (vars, name) in [
            (&[("WXAUTH_ACCESS_SECONDS", "240")][..], Some("WXAUTH_ACCESS_SECONDS")),
            (&[("WXAUTH_ACCESS_SECONDS", "241")], None),
            (&[("WXAUTH_MIN_AGE_SECONDS", "780")], Some("WXAUTH_ACCESS_SECONDS")),
            (&[("WXAUTH_MIN_AGE_SECONDS", "779")], None),
            (&[("WXAUTH_GRACE_SECONDS", "421")], Some("WXAUTH_GRACE_SECONDS")),
            (&[("WXAUTH_GRACE_SECONDS", "420")], None),
            (&[("WXAUTH_ACCESS_SECONDS", "43201")], Some("WXAUTH_ACCESS_SECONDS")),
            (&[("WXAUTH_ACCESS_SECONDS", "43200")], None),
            (&[("WXAUTH_ACCESS_SECONDS", "43200"), ("WXAUTH_GRACE_SECONDS", "3601")], Some("WXAUTH_GRACE_SECONDS")),
            (&[("WXAUTH_ACCESS_SECONDS", "43200"), ("WXAUTH_GRACE_SECONDS", "3600")], None),
            (&[("WXAUTH_ACCESS_SECONDS", "43200"), ("WXAUTH_MIN_AGE_SECONDS", "3601")], Some("WXAUTH_MIN_AGE_SECONDS")),
            (&[("WXAUTH_IDLE_SECONDS", "899")], Some("WXAUTH_IDLE_SECONDS")),
            (&[("WXAUTH_IDLE_SECONDS", "900")], None),
            (&[("WXAUTH_ABSOLUTE_SECONDS", "604799")], Some("WXAUTH_ABSOLUTE_SECONDS")),
            (&[("WXAUTH_ABSOLUTE_SECONDS", "604800")], None),
        ] {
            assert_eq!(refused(vars).as_deref(), name, "{vars:?}");
        }
    }

    #[test]
    fn a_push_target_is_optional_and_checked() {
        let target = |value| push_target(&vars("WXAUTH_PUSH_TARGET", value)).map(|name| name.map(str::to_owned));
        assert_eq!(target(""), Ok(None));
        for good in ["pay", "arn:aws:lambda:eu-central-1:123456789012:function:pay:live", "pay:$LATEST"] {
            assert_eq!(target(good).unwrap().as_deref(), Some(good));
        }
        for bad in ["https://example.com/MARKER", "a b", "a/b", "\u{e9}"] {
            assert_eq!(
                target(bad).unwrap_err().to_string(),
                "WXAUTH_PUSH_TARGET should be the name or ARN of a function"
            );
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
        let issuer = |value| AccessTokenConfig::from_vars(&vars("WXAUTH_ISSUER", value)).map(|access| access.issuer);

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

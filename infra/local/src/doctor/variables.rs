//! Verdicts on the variables, each by itself: one that is wrong does not hide the next.

use std::sync::Arc;

use shared::{
    clock::SystemClock,
    config,
    entropy::OsEntropy,
    env::Env,
    http::record::Log,
    session::refresh::RefreshPolicy,
    token::access::AccessTokenConfig,
    vars::{ConfigError, VARIABLES, Vars},
};
use url::Url;

use super::{Finding, ok, warn, wrong};

/// Without these no deployment works.
const SECRETS: [&str; 4] = ["WXAUTH_APPS", "WXAUTH_KEYRING", "WXAUTH_SIGNING_KEYS", "WXAUTH_JWKS"];

/// What only `rotation` reads.
const ALGORITHM: &str = "WXAUTH_SIGNING_ALGORITHM";

/// What only the test of a deployment reads (`tests/deployed`).
const SMOKE_TEST: &str = "WXAUTH_URL";

/// How a developer gets what Lambda gives a function.
const CREDENTIALS: &str = r#"in a shell: eval "$(aws configure export-credentials --format env)""#;

/// A line for each variable that is missing, wrong or read by nobody; or one that says that all are well.
pub(super) fn verdicts(given: &[(String, String)]) -> Vec<Finding> {
    let vars: Vars = given.iter().cloned().collect();
    let mut findings: Vec<_> =
        independent().filter_map(|name| alone(name, &vars)).map(|error| sentence(&error)).collect();
    findings.extend(config::signing_algorithm(&vars).err().map(|error| sentence(&error)));
    findings.extend(SECRETS.iter().filter_map(|name| secret(name, &vars)).map(|error| sentence(&error)));
    findings.extend(certificates(given).map(|error| sentence(&error)));
    findings.extend(aws(&vars));
    findings.extend(
        given
            .iter()
            .filter(|(name, value)| is_foreign(name) && !value.is_empty())
            .map(|(name, _)| warn(format_args!("{name} is read by nobody"), "correct its name or remove it")),
    );
    if findings.is_empty() {
        let names: Vec<_> = VARIABLES.iter().copied().filter(|name| vars.get(name).is_some()).collect();
        findings.push(ok(format!("well-formed: {}", names.join(", "))));
    }
    findings
}

fn sentence(error: &ConfigError) -> Finding {
    Finding { level: super::Level::Wrong, text: error.to_string() }
}

/// The variables that are checked without any other.
fn independent() -> impl Iterator<Item = &'static str> {
    VARIABLES.iter().copied().filter(|name| !SECRETS.contains(name) && *name != ALGORITHM)
}

fn is_foreign(name: &str) -> bool {
    name.starts_with("WXAUTH_") && name != SMOKE_TEST && !VARIABLES.contains(&name)
}

/// Whether there is a configuration to look at.
pub(super) fn is_configured(given: &[(String, String)]) -> bool {
    given.iter().any(|(name, value)| VARIABLES.contains(&name.as_str()) && !value.is_empty())
}

/// What is wrong with one variable, whatever the others are.
fn alone(name: &str, vars: &Vars) -> Option<ConfigError> {
    let only: Vars = vars.get(name).map(|value| (name, value)).into_iter().collect();
    match name {
        "WXAUTH_TABLE" => config::table(&only).err(),
        "WXAUTH_WECHAT_URL" => config::wechat_url(&only).err(),
        _ => AccessTokenConfig::from_vars(&only).err().or_else(|| RefreshPolicy::from_vars(&only).err()),
    }
}

fn secret(name: &str, vars: &Vars) -> Option<ConfigError> {
    let should = "the name or ARN of a secret, or file:PATH";
    match vars.required(name, should) {
        Ok("file:") => Some(ConfigError::new(name, should)),
        Ok(_) => None,
        Err(error) => Some(error),
    }
}

/// What is wrong with the file of certificates.
pub(super) fn certificates(given: &[(String, String)]) -> Option<ConfigError> {
    let only: Vars = given.iter().filter(|(name, _)| name == "SSL_CERT_FILE").cloned().collect();
    only.get("SSL_CERT_FILE")?;
    environment(only).and_then(|env| env.wechat()).err()
}

fn environment(vars: Vars) -> Result<Env, ConfigError> {
    Env::new(vars, Arc::new(SystemClock), Arc::new(OsEntropy), Log::new(|_| ()))
}

/// Region, credentials and endpoints, in the order in which a client asks for them.
fn aws(vars: &Vars) -> Vec<Finding> {
    let mut findings = Vec::new();
    if vars.get("AWS_REGION").or_else(|| vars.get("AWS_DEFAULT_REGION")).is_none() {
        findings.push(wrong("AWS_REGION is not set", "set it to the region of the table and secrets"));
    }
    if ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].iter().any(|name| vars.get(name).is_none()) {
        findings.push(wrong("AWS_ACCESS_KEY_ID or AWS_SECRET_ACCESS_KEY is not set", CREDENTIALS));
    }
    for name in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_SECRETS_MANAGER"] {
        let scheme = vars.get(name).map(|url| Url::parse(url).map(|url| url.scheme().to_owned()));
        if !matches!(scheme.as_ref().map(|scheme| scheme.as_deref()), None | Some(Ok("http" | "https"))) {
            let should = "the URL of an endpoint, such as http://127.0.0.1:8000";
            findings.push(sentence(&ConfigError::new(name, should)));
        }
    }
    findings
}

/// Whether the table is not on AWS: what protects it there has no meaning here.
pub(super) fn is_emulated(vars: &Vars) -> bool {
    let endpoint = vars.get("AWS_ENDPOINT_URL_DYNAMODB").or_else(|| vars.get("AWS_ENDPOINT_URL"));
    endpoint.is_some_and(|url| url.starts_with("http://"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    const GOOD: [(&str, &str); 8] = [
        ("WXAUTH_TABLE", "wxauth"),
        ("WXAUTH_APPS", "apps"),
        ("WXAUTH_KEYRING", "keyring"),
        ("WXAUTH_SIGNING_KEYS", "signing"),
        ("WXAUTH_JWKS", "file:jwks.json"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "key"),
    ];

    fn with(more: &[(&str, &str)]) -> Vec<(String, String)> {
        let all = GOOD.iter().filter(|(name, _)| more.iter().all(|(other, _)| other != name)).chain(more);
        all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn lines(more: &[(&str, &str)]) -> Vec<String> {
        verdicts(&with(more)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn good_variables_are_one_line_with_names_and_no_values() {
        assert_eq!(
            lines(&[("WXAUTH_AUDIENCE", "MARKER")]),
            [
                "ok    well-formed: WXAUTH_TABLE, WXAUTH_AUDIENCE, WXAUTH_APPS, WXAUTH_KEYRING, WXAUTH_SIGNING_KEYS, WXAUTH_JWKS"
            ]
        );
    }

    #[test]
    fn each_wrong_variable_has_its_own_line_without_its_value() {
        let wrong = [
            ("WXAUTH_TABLE", "MARKER/"),
            ("WXAUTH_WECHAT_URL", "http://MARKER.example.com"),
            ("WXAUTH_ISSUER", "MARKER"),
            ("WXAUTH_AUDIENCE", "MARKER "),
            ("WXAUTH_ACCESS_SECONDS", "MARKER"),
            ("WXAUTH_IDLE_SECONDS", "MARKER"),
            ("WXAUTH_ABSOLUTE_SECONDS", "MARKER"),
            ("WXAUTH_GRACE_SECONDS", "MARKER"),
            ("WXAUTH_MIN_AGE_SECONDS", "MARKER"),
            ("WXAUTH_NOT_BEFORE", "MARKER"),
            ("WXAUTH_UNIONID_CLAIM", "MARKER"),
            ("WXAUTH_SIGNING_ALGORITHM", "MARKER"),
            ("WXAUTH_JWKS", "file:"),
            ("SSL_CERT_FILE", "/nowhere/MARKER"),
            ("AWS_ENDPOINT_URL", "MARKER"),
        ];

        let lines = lines(&wrong);

        assert_eq!(lines.len(), wrong.len(), "{lines:#?}");
        for (line, (name, _)) in lines.iter().zip(wrong) {
            assert!(line.starts_with(&format!("wrong {name} should be ")), "{line}");
            assert!(!line.contains("MARKER"), "{line}");
        }
    }

    #[test]
    fn each_missing_variable_is_named() {
        for (missing, _) in GOOD {
            let lines = lines(&[(missing, "")]);
            assert_eq!(lines.len(), 1, "{lines:?}");
            assert!(lines[0].starts_with("wrong ") && lines[0].contains(missing), "{lines:?}");
        }
    }

    #[test]
    fn a_misspelt_variable_is_a_warning() {
        let findings = verdicts(&with(&[("WXAUTH_ISUER", "MARKER")]));
        assert_eq!(findings[0].level, Level::Warn);
        assert_eq!(findings[0].text, "WXAUTH_ISUER is read by nobody: correct its name or remove it");
        assert!(!is_foreign("WXAUTH_URL") && !is_configured(&[("WXAUTH_URL".to_owned(), "x".to_owned())]));
    }

    #[test]
    fn every_variable_that_is_read_is_known() {
        let shared = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/src/");
        for file in ["config.rs", "env.rs"] {
            let text = std::fs::read_to_string(format!("{shared}{file}")).unwrap();
            let quoted = text.split("\"WXAUTH_").skip(1).filter_map(|rest| rest.split('"').next());
            for found in quoted.filter(|name| !name.is_empty() && !name.contains(' ')) {
                assert!(!is_foreign(&format!("WXAUTH_{found}")), "{found}");
            }
        }
    }

    #[test]
    fn a_table_over_plain_http_is_emulated() {
        let emulated = |name: &str, value: &str| is_emulated(&Vars::from_iter([(name, value)]));
        assert!(emulated("AWS_ENDPOINT_URL", "http://127.0.0.1:8000"));
        assert!(!emulated("AWS_ENDPOINT_URL_DYNAMODB", "https://dynamodb.eu-central-1.amazonaws.com"));
    }
}

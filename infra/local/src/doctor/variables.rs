//! Checks of the variables. Each is checked without the others, so that one that is wrong does not hide the next.

use shared::{
    config,
    session::refresh::RefreshPolicy,
    tls,
    token::access::AccessTokenConfig,
    vars::{ConfigError, VARIABLES, Vars},
    wechat::{app::App, push::PushApps},
};
use url::Url;

use super::finding::{Finding, ok, warn, wrong};

/// Only the test of a deployment reads it (`tests/deployed`).
const SMOKE_TEST: &str = "WXAUTH_URL";

/// How a developer gets credentials; Lambda gives them to a function by itself.
const CREDENTIALS: &str = r#"in a shell: eval "$(aws configure export-credentials --format env)""#;

/// A line for each variable that is missing, wrong or unknown; one line in total if there is none.
pub(super) fn findings(all: &[(String, String)]) -> Vec<Finding> {
    let vars: Vars = all.iter().cloned().collect();
    let mut findings: Vec<_> = VARIABLES.iter().filter_map(|name| defect(name, &vars)).map(Finding::from).collect();
    findings.extend(certificates(&vars).map(Finding::from));
    findings.extend(aws(&vars));
    findings.extend(
        all.iter()
            .filter(|(name, value)| is_unknown(name) && !value.is_empty())
            .map(|(name, _)| warn(format_args!("{name} is read by nobody"), "correct its name or remove it")),
    );
    if RefreshPolicy::numbers(&vars).is_ok() {
        // Each number is in order; whether they go together is asked only then.
        findings.extend(RefreshPolicy::from_vars(&vars).err().map(Finding::from));
    }
    if findings.is_empty() {
        let names: Vec<_> = VARIABLES.iter().copied().filter(|name| vars.get(name).is_some()).collect();
        findings.push(ok(format!("well-formed: {}", names.join(", "))));
    }
    findings
}

fn is_unknown(name: &str) -> bool {
    name.starts_with("WXAUTH_") && name != SMOKE_TEST && !VARIABLES.contains(&name)
}

/// Whether any variable of a function is set.
pub(super) fn is_configured(vars: &Vars) -> bool {
    VARIABLES.iter().any(|name| vars.get(name).is_some())
}

/// The variable without the others.
fn only(name: &str, vars: &Vars) -> Vars {
    vars.get(name).map(|value| (name, value)).into_iter().collect()
}

/// What is wrong with one of our variables.
fn defect(name: &str, vars: &Vars) -> Option<ConfigError> {
    let vars = only(name, vars);
    match name {
        "WXAUTH_TABLE" => config::table(&vars).err(),
        "WXAUTH_WECHAT_URL" => config::wechat_url(&vars).err(),
        "WXAUTH_SIGNING_ALGORITHM" => config::signing_algorithm(&vars).err(),
        "WXAUTH_LOGIN_REFUSALS" => config::login_refusals(&vars).err(),
        "WXAUTH_PHONE_DATA_CHECK" => config::phone_data_check(&vars).err(),
        "WXAUTH_PUSH_TARGET" => config::push_target(&vars).err(),
        "WXAUTH_NOT_BEFORE" => config::not_before(&vars).err(),
        // On the laptop, the file of mini programs holds what pushes need.
        "WXAUTH_BRAKE" | "WXAUTH_PROXY" | "WXAUTH_PUSH" if vars.get(name).is_none() => None,
        "WXAUTH_APPS"
        | "WXAUTH_KEYRING"
        | "WXAUTH_SIGNING_KEYS"
        | "WXAUTH_JWKS"
        | "WXAUTH_BRAKE"
        | "WXAUTH_PROXY"
        | "WXAUTH_PUSH" => secret(name, &vars),
        _ => AccessTokenConfig::from_vars(&vars).err().or_else(|| RefreshPolicy::numbers(&vars).err()),
    }
}

fn secret(name: &str, vars: &Vars) -> Option<ConfigError> {
    let expected = "the name or ARN of a secret, or file:PATH";
    match vars.required(name, expected) {
        Ok("file:") => Some(ConfigError::new(name, expected)),
        Ok(_) => None,
        Err(error) => Some(error),
    }
}

/// What is wrong with the file of certificates in `SSL_CERT_FILE`.
pub(super) fn certificates(vars: &Vars) -> Option<ConfigError> {
    let roots = tls::extra_roots(vars);
    roots.and_then(|roots| tls::client_config(&roots)).err()
}

/// Whether several mini programs have one audience. A service that looks at `aud` alone takes the users of all for its own.
pub(super) fn shared_audience(vars: &Vars, apps: usize) -> Option<Finding> {
    (apps > 1 && vars.get("WXAUTH_AUDIENCE").is_some()).then(|| {
        warn(
            format_args!("WXAUTH_AUDIENCE is one for {apps} mini programs"),
            "remove it, so that each has its AppID as aud, or let every service that verifies tokens compare client_id",
        )
    })
}

/// Whether a mini program sells and has its messages pushed to us, and nobody is there to deliver. On the laptop the page is.
pub(super) fn no_push_target(vars: &Vars, apps: &[App], pushed: &PushApps) -> Option<Finding> {
    let is_ours = vars.get("WXAUTH_PUSH").is_some() && vars.get("WXAUTH_PUSH_TARGET").is_none();
    let sells = |app: &App| app.app_keys.as_ref().is_ok_and(|keys| keys.production.is_some() || keys.sandbox.is_some());
    let sold = pushed.all().any(|(appid, _)| apps.iter().any(|app| app.appid == *appid && sells(app)));
    (is_ours && sold).then(|| {
        warn(
            "a mini program has app_keys, and WXAUTH_PUSH_TARGET names no function",
            "name the one that delivers (PushTargetArn): without it no message about a payment is acknowledged",
        )
    })
}

/// Region, credentials and endpoints, in the order in which a client reads them.
fn aws(vars: &Vars) -> Vec<Finding> {
    let mut findings = Vec::new();
    if vars.get("AWS_REGION").or_else(|| vars.get("AWS_DEFAULT_REGION")).is_none() {
        findings.push(wrong("AWS_REGION is not set", "set it to the region of the table and secrets"));
    }
    if ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].iter().any(|name| vars.get(name).is_none()) {
        findings.push(wrong("AWS_ACCESS_KEY_ID or AWS_SECRET_ACCESS_KEY is not set", CREDENTIALS));
    }
    let services = ["_DYNAMODB", "_LAMBDA", "_SECRETS_MANAGER"].map(|service| format!("AWS_ENDPOINT_URL{service}"));
    for name in services.iter().map(String::as_str).chain(["AWS_ENDPOINT_URL"]) {
        let scheme = vars.get(name).map(|url| Url::parse(url).map(|url| url.scheme().to_owned()));
        if !matches!(scheme.as_ref().map(|scheme| scheme.as_deref()), None | Some(Ok("http" | "https"))) {
            let expected = "the URL of an endpoint, such as http://127.0.0.1:8000";
            findings.push(ConfigError::new(name, expected).into());
        }
    }
    findings
}

/// Whether the table is not on AWS: an emulator has neither deletion protection nor recovery.
pub(super) fn is_emulated(vars: &Vars) -> bool {
    let endpoint = vars.get("AWS_ENDPOINT_URL_DYNAMODB").or_else(|| vars.get("AWS_ENDPOINT_URL"));
    endpoint.is_some_and(|url| url.starts_with("http://"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Level;

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
        findings(&with(more)).iter().map(ToString::to_string).collect()
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
            ("WXAUTH_LOGIN_REFUSALS", "MARKER"),
            ("WXAUTH_PHONE_DATA_CHECK", "MARKER"),
            ("WXAUTH_SIGNING_ALGORITHM", "MARKER"),
            ("WXAUTH_JWKS", "file:"),
            ("WXAUTH_BRAKE", "file:"),
            ("WXAUTH_PROXY", "file:"),
            ("WXAUTH_PUSH", "file:"),
            ("WXAUTH_PUSH_TARGET", "https://MARKER"),
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
    fn times_that_do_not_go_together_are_told_beside_whatever_else_is_said() {
        let lines = lines(&[("WXAUTH_ACCESS_SECONDS", "180"), ("WXAUTH_ISUER", "x")]);

        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[1].starts_with("wrong WXAUTH_ACCESS_SECONDS should be more than "), "{lines:?}");
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
        let findings = findings(&with(&[("WXAUTH_ISUER", "MARKER")]));
        assert_eq!(findings[0].level, Level::Warn);
        assert_eq!(findings[0].text, "WXAUTH_ISUER is read by nobody: correct its name or remove it");
        assert!(!is_unknown("WXAUTH_URL") && !is_configured(&Vars::from_iter([("WXAUTH_URL", "x")])));
    }

    #[test]
    fn a_table_over_plain_http_is_emulated() {
        let emulated = |name: &str, value: &str| is_emulated(&Vars::from_iter([(name, value)]));
        assert!(emulated("AWS_ENDPOINT_URL", "http://127.0.0.1:8000"));
        assert!(!emulated("AWS_ENDPOINT_URL_DYNAMODB", "https://dynamodb.eu-central-1.amazonaws.com"));
    }
}

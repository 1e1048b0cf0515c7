//! The doctor: what is wrong with a configuration or a deployment, in one line each, and how to mend it.
//!
//! It changes nothing: it reads secrets, describes the table, asks WeChat for the platform token that everybody shares
//! (never a forced one) and fetches public documents. No line holds a secret, a variable's value or an address with a
//! path. It does not promise that what holds here holds in Lambda: the address that WeChat sees is another one there.

mod deployment;
mod gather;
mod secrets;
mod table;
mod variables;
mod wechat;

use std::{fmt, sync::Arc};

use shared::{
    clock::Clock, config, entropy::OsEntropy, env::Env, http::record::Log, token::access::AccessTokenConfig, vars::Vars,
};

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, or cannot be told from here.
    Warn,
    /// It has to be mended.
    Wrong,
}

impl Level {
    /// The word at the beginning of a line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Wrong => "wrong",
        }
    }
}

/// One line: how a check came out, what was seen, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How it came out.
    pub level: Level,
    /// What was looked at and what was seen, and unless it is well, how to mend it.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:<6}{}", self.level.as_str(), self.text)
    }
}

fn ok(seen: impl Into<String>) -> Finding {
    Finding { level: Level::Ok, text: seen.into() }
}

fn warn(seen: impl fmt::Display, mend: impl fmt::Display) -> Finding {
    Finding { level: Level::Warn, text: format!("{seen}: {mend}") }
}

fn wrong(seen: impl fmt::Display, mend: impl fmt::Display) -> Finding {
    Finding { level: Level::Wrong, text: format!("{seen}: {mend}") }
}

/// What the doctor found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// One line for each check, in the order in which things depend on each other.
    pub findings: Vec<Finding>,
    /// What nobody but the owner can look at.
    pub reminder: String,
}

impl Report {
    /// Whether anything has to be mended.
    #[must_use]
    pub fn is_wrong(&self) -> bool {
        self.findings.iter().any(|finding| finding.level == Level::Wrong)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(out, "{finding}")?;
        }
        write!(out, "note  {}", self.reminder)
    }
}

/// What is looked at beside the variables.
pub struct Options {
    /// The URL of a deployment.
    pub url: Option<String>,
    /// What is compared with the clocks of others.
    pub clock: Arc<dyn Clock>,
}

/// Looks at everything that the variables and the options name.
pub async fn examine(vars: Vec<(String, String)>, options: Options) -> Report {
    let mut findings = Vec::new();
    let mut seen = Seen::default();
    if variables::is_configured(&vars) || options.url.is_none() {
        findings.extend(variables::verdicts(&vars));
        seen = configuration(&vars, &options, &mut findings).await;
    } else {
        findings.push(warn(
            "no WXAUTH_ variable is set, so only the deployment is looked at",
            "set the variables of its functions to have table, secrets and WeChat looked at too",
        ));
    }
    let origin = options.url.as_deref().map(deployment::origin);
    if let Some(origin) = &origin {
        let date = deployment_at(origin.as_ref(), &vars, &options, &mut findings).await;
        seen.date = seen.date.or(date);
    }
    findings.extend(seen.date.map(|(host, skew)| wechat::clock(&host, skew)));
    Report { findings, reminder: deployment::reminder(origin.and_then(Result::ok).as_ref()) }
}

/// What one step saw that a later one needs.
#[derive(Default)]
struct Seen {
    /// A host, and by how many seconds its clock is ahead of ours.
    date: Option<(String, Option<i64>)>,
}

/// Secrets, table and WeChat. What needs a variable that is missing or wrong is left out: its own line says so.
async fn configuration(vars: &[(String, String)], options: &Options, findings: &mut Vec<Finding>) -> Seen {
    let vars: Vars = vars.iter().filter(|(name, _)| usable(name, vars)).cloned().collect();
    let made = Env::new(vars.clone(), Arc::clone(&options.clock), Arc::new(OsEntropy), Log::new(|_| ()));
    // A file of certificates that cannot be used has its line; it is left out of `vars`.
    let Ok(env) = made else { return Seen::default() };

    let texts = gather::secrets(&vars, &env).await;
    findings.extend(secrets::verdicts(&texts));
    if let Ok((client, name)) = env.dynamodb() {
        let emulated = variables::is_emulated(&vars);
        findings.extend(table::verdicts(&gather::table(&client, &name, emulated).await));
    }
    let (Ok(wechat), Ok(base)) = (env.wechat(), config::wechat_url(&vars)) else { return Seen::default() };
    let fetched = gather::fetch(&base, &vars, options.clock.as_ref()).await;
    findings.push(wechat::reached(&base, &fetched));
    if fetched.is_ok() {
        for app in secrets::apps(&texts) {
            findings.extend(wechat::appid_form(app.appid.as_str()));
            findings.push(wechat::pair(&gather::pair(wechat.as_ref(), &app).await));
        }
    }
    Seen { date: fetched.ok().map(|answer| (wechat::host(&base), answer.skew())) }
}

/// Whether a variable stands for the rest of the examination: one file of certificates that is wrong hides nothing else.
fn usable(name: &str, vars: &[(String, String)]) -> bool {
    name != "SSL_CERT_FILE" || variables::certificates(vars).is_none()
}

/// The public documents of a deployment.
async fn deployment_at(
    origin: Result<&deployment::Origin, &Finding>,
    vars: &[(String, String)],
    options: &Options,
    findings: &mut Vec<Finding>,
) -> Option<(String, Option<i64>)> {
    let origin = match origin {
        Ok(origin) => origin,
        Err(finding) => {
            findings.push(finding.clone());
            return None;
        }
    };
    let vars: Vars = vars.iter().filter(|(name, _)| usable(name, vars)).cloned().collect();
    let issuer = AccessTokenConfig::from_vars(&vars).ok().and_then(|config| config.issuer);
    findings.extend(deployment::address(origin));
    let discovery = gather::fetch(&origin.path(keys::DISCOVERY.path), &vars, options.clock.as_ref()).await;
    findings.extend(deployment::discovery(origin, &discovery, issuer.as_deref()));
    if discovery.is_ok() {
        let jwks = gather::fetch(&origin.path(keys::JWKS.path), &vars, options.clock.as_ref()).await;
        findings.push(deployment::jwks(&jwks));
    }
    discovery.ok().map(|answer| (origin.host.clone(), answer.skew()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_one_line_for_each_check_and_the_reminder_last() {
        let mut report = Report {
            findings: vec![ok("the clock is right"), warn("a", "b"), wrong("it is off", "switch it on")],
            reminder: "remember".to_owned(),
        };

        assert_eq!(
            report.to_string(),
            "ok    the clock is right\nwarn  a: b\nwrong it is off: switch it on\nnote  remember"
        );
        assert!(report.is_wrong());
        report.findings.pop();
        assert!(!report.is_wrong());
    }
}

//! The doctor: it checks a configuration or a deployment and reports one line for each check, with advice.
//!
//! It changes nothing: it reads secrets, describes the table, asks WeChat for the platform token that all processes share
//! (and never forces a new one) and fetches public documents. No line holds a secret, a variable's value or an address
//! with a path. A check that passes here may fail in Lambda: WeChat sees another IP address there.

mod deployment;
mod finding;
mod forms;
mod gather;
mod openapi;
mod platform_token;
mod secrets;
mod table;
mod variables;
mod wechat;

use std::{fmt, sync::Arc};

use shared::{
    clock::{Clock, Secs},
    config,
    entropy::OsEntropy,
    env::Env,
    http::record::Log,
    ids::AppId,
    token::access::AccessTokenConfig,
    vars::Vars,
};

use deployment::Origin;
pub use finding::{Finding, Level};
use finding::{warn, wrong};
use gather::{Response, openapi::Account};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// One line for each check. A check comes after those that it depends on.
    pub findings: Vec<Finding>,
    /// What only the owner of the mini program can check.
    pub reminder: String,
}

impl Report {
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

pub struct Options {
    /// The URL of a deployment that is checked as well.
    pub url: Option<String>,
    /// Whether WeChat is asked how often each call may be made today, and was.
    pub quota: bool,
    /// The id of a request that WeChat refused: what it knows of it.
    pub rid: Option<String>,
    /// It is compared with the clocks of other hosts.
    pub clock: Arc<dyn Clock>,
}

/// Checks everything that the variables and the options name.
pub async fn examine(vars: Vec<(String, String)>, options: Options) -> Report {
    let asked = Asked { quota: options.quota, rid: options.rid };
    let mut examination = Examination::new(&vars, options.clock, asked);
    if variables::is_configured(&examination.vars) || options.url.is_none() {
        examination.findings.extend(variables::findings(&vars));
        examination.check_configuration().await;
    } else {
        examination.findings.push(warn(
            "no WXAUTH_ variable is set, so only the deployment is looked at",
            "set the variables of its functions to have table, secrets and WeChat looked at too",
        ));
    }
    let origin = match options.url.as_deref().map(deployment::origin).transpose() {
        Ok(origin) => origin,
        Err(finding) => {
            examination.findings.push(finding);
            None
        }
    };
    if let Some(origin) = &origin {
        examination.check_deployment(origin).await;
    }
    let Examination { mut findings, remote_clock, .. } = examination;
    findings.extend(remote_clock.map(|clock| wechat::clock(&clock.host, clock.skew)));
    Report { findings, reminder: deployment::reminder(origin.as_ref()) }
}

/// What else WeChat is asked than whether it accepts each `AppSecret`.
struct Asked {
    quota: bool,
    rid: Option<String>,
}

struct Examination {
    asked: Asked,
    /// Without `SSL_CERT_FILE` if its file is wrong: that has its own line and must not prevent the other checks.
    vars: Vars,
    clock: Arc<dyn Clock>,
    findings: Vec<Finding>,
    /// The clock of the first host that responded.
    remote_clock: Option<RemoteClock>,
}

struct RemoteClock {
    host: String,
    /// By how many seconds it is ahead of ours; absent if the response has no `Date`.
    skew: Option<i64>,
}

impl RemoteClock {
    fn of(host: &str, response: &Response) -> Self {
        Self { host: host.to_owned(), skew: response.skew() }
    }
}

impl Asked {
    /// The lines that were asked for about one mini program.
    async fn account(&self, appid: &AppId, account: Account<'_>) -> Vec<Finding> {
        let mut findings = Vec::new();
        if self.quota {
            for path in openapi::COUNTED {
                findings.push(openapi::quota(appid, path, &account.quota(path).await));
            }
        }
        if let Some(rid) = &self.rid {
            findings.push(openapi::request(rid, &account.request(rid).await));
        }
        findings
    }
}

impl Examination {
    fn new(vars: &[(String, String)], clock: Arc<dyn Clock>, asked: Asked) -> Self {
        let all: Vars = vars.iter().cloned().collect();
        let is_usable = |name: &str| name != "SSL_CERT_FILE" || variables::certificates(&all).is_none();
        let usable = vars.iter().filter(|(name, _)| is_usable(name)).cloned().collect();
        Self { asked, vars: usable, clock, findings: Vec::new(), remote_clock: None }
    }

    /// Checks secrets, table and WeChat. A check is left out if its variable is missing or wrong, which has its own line.
    async fn check_configuration(&mut self) {
        let Self { asked, vars, clock, findings, remote_clock } = self;
        let Ok(env) = Env::new(vars.clone(), Arc::clone(clock), Arc::new(OsEntropy), Log::new(|_| ())) else { return };

        let texts = gather::secrets(vars, &env).await;
        findings.extend(secrets::findings(&texts));
        findings.extend(future_brake(&env, clock.now()).await);
        let apps = secrets::apps(&texts);
        findings.extend(apps.iter().flat_map(forms::findings));
        let (variable, push_apps) = secrets::push_apps(&texts);
        findings.extend(push_apps.all().flat_map(|(appid, config)| forms::push(variable, appid, config)));
        findings.extend(secrets::misplaced_push(&texts, vars));
        findings.extend(variables::shared_audience(vars, apps.len()));
        findings.extend(variables::no_push_target(vars, &apps, &push_apps));
        if let Ok((client, name)) = env.dynamodb() {
            let table = gather::table(&client, &name, variables::is_emulated(vars)).await;
            findings.extend(table::findings(&table));
        }

        let (Ok(wechat), Ok(base)) = (env.wechat(), config::wechat_url(vars)) else { return };
        let fetched = gather::fetch(&base, vars, clock.as_ref()).await;
        findings.push(wechat::base_url(&base, &fetched));
        let Ok(response) = fetched else { return };
        let keyring = secrets::keyring(&texts);
        for app in apps {
            let check = gather::app_secrets(wechat.as_ref(), &app).await;
            findings.push(wechat::app_secrets(&check));
            let Some(token) = check.token() else { continue };
            if let (Some(keyring), Ok(table)) = (&keyring, env.table()) {
                let stored = gather::stored_token(table.as_ref(), keyring, &app.appid).await;
                findings.extend(platform_token::another_fetcher(&app.appid, &stored, token, clock.now()));
            }
            findings.extend(asked.account(&app.appid, Account { base: &base, vars, token }).await);
        }
        *remote_clock = Some(RemoteClock::of(&wechat::host(&base), &response));
    }

    /// Checks the public documents of a deployment.
    async fn check_deployment(&mut self, origin: &Origin) {
        let Self { vars, clock, findings, remote_clock, .. } = self;
        let issuer = AccessTokenConfig::from_vars(vars).ok().and_then(|config| config.issuer);
        findings.extend(deployment::address(origin));
        let discovery = gather::fetch(&origin.path(keys::DISCOVERY.path), vars, clock.as_ref()).await;
        findings.extend(deployment::discovery(origin, &discovery, issuer.as_deref()));
        let Ok(response) = discovery else { return };
        let jwks = gather::fetch(&origin.path(keys::JWKS.path), vars, clock.as_ref()).await;
        findings.push(deployment::jwks(&jwks));
        remote_clock.get_or_insert_with(|| RemoteClock::of(&origin.host, &response));
    }
}

/// Whether the emergency brake is in the future, so that nobody can log in.
async fn future_brake(env: &Env, now: Secs) -> Option<Finding> {
    let not_before = env.brake().await.ok()?.not_before().await.ok()?;
    (not_before > now).then(|| {
        wrong(
            "WXAUTH_NOT_BEFORE, or what WXAUTH_BRAKE names, is in the future, so every login is misconfigured",
            "set it to the present",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use finding::ok;

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

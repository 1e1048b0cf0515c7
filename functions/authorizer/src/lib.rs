//! A Lambda authorizer for the owner's other APIs: those that want ES256, or must see a logout at once.
//!
//! Its "no" is about the token. A failure of ours is thrown, so that the gateway answers 500 and never "no". The owner sets
//! the result cache to 0; otherwise a logout takes effect only when the cached result expires.

pub mod flow;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared::{
    authenticator::{AuthError, Authenticator},
    env::Env,
    secret_text::AccessToken,
    token::access::Subject,
    vars::ConfigError,
};

#[derive(Clone)]
pub struct Deps {
    pub authenticator: Authenticator,
}

impl Deps {
    pub async fn from_env(env: Env) -> Result<Self, ConfigError> {
        Ok(Self { authenticator: env.authenticator(&env.table()?).await? })
    }
}

/// An authorizer's event: of an HTTP API (payload 2.0), or of a REST or WebSocket API (`TOKEN` and `REQUEST`).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    #[serde(default)]
    version: Option<String>,
    /// The resource of a REST or WebSocket API's policy.
    #[serde(default)]
    method_arn: Option<String>,
    #[serde(default)]
    route_arn: Option<String>,
    #[serde(default)]
    headers: Option<BTreeMap<String, String>>,
    #[serde(default)]
    authorization_token: Option<String>,
}

impl Event {
    /// The bearer token, wherever this kind of event has it.
    fn bearer(&self) -> Option<AccessToken> {
        let header = self.headers.iter().flatten().find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        let value = self.authorization_token.as_ref().or(header.map(|(_, value)| value))?;
        AccessToken::from_authorization(value)
    }
}

/// The answer, in the form that the event's API wants.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Decision {
    /// For HTTP APIs: the simple response of payload 2.0.
    #[serde(rename_all = "camelCase")]
    Simple { is_authorized: bool, context: BTreeMap<&'static str, String> },
    /// For REST and WebSocket APIs: a policy.
    #[serde(rename_all = "camelCase")]
    Policy { principal_id: String, policy_document: serde_json::Value, context: BTreeMap<&'static str, String> },
}

/// The function: verifies the token, reads its session, and says yes or no.
pub async fn handle(deps: Deps, event: Event) -> Result<Decision, AuthError> {
    let subject = flow::authorize(&deps, event.bearer()).await?;
    Ok(decision(&event, subject.as_ref()))
}

fn decision(event: &Event, subject: Option<&Subject>) -> Decision {
    let context: BTreeMap<_, _> = subject
        .map(|subject| {
            [
                ("openid", subject.openid.expose().to_owned()),
                ("appid", subject.appid.to_string()),
                ("sid", subject.sid.encode()),
            ]
        })
        .into_iter()
        .flatten()
        .collect();
    let resource = match event.version.as_deref() {
        Some("2.0") => None,
        _ => event.method_arn.as_ref().or(event.route_arn.as_ref()),
    };
    match resource {
        None => Decision::Simple { is_authorized: subject.is_some(), context },
        Some(resource) => Decision::Policy {
            // Never the openid: the gateway may log it.
            principal_id: subject.map_or_else(|| "nobody".to_owned(), |subject| subject.sid.encode()),
            policy_document: serde_json::json!({
                "Version": "2012-10-17",
                "Statement": [{
                    "Action": "execute-api:Invoke",
                    "Effect": if subject.is_some() { "Allow" } else { "Deny" },
                    "Resource": resource,
                }],
            }),
            context,
        },
    }
}

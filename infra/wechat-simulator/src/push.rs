//! WeChat's message push (消息推送): what it sends to a mini program's server when a user's authorization changes.
//!
//! The simulator calls nobody. A push is given to the caller of the control route, who sends it.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::ControlError;
use crate::state::State;
use crate::{identity, msg_crypt, signature};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PushRequest {
    /// Every event is about a user; `verify` is about nobody.
    user: Option<String>,
    appid: Option<String>,
    event: Event,
    mode: Option<Mode>,
    #[serde(default)]
    format: Format,
    #[serde(rename = "RevokeInfo")]
    revoke_info: Option<String>,
    echostr: Option<String>,
    /// The `EncodingAESKey` of the console, where the server of the mini program has another one or none.
    encoding_aes_key: Option<String>,
    /// The mini program for which the message is encrypted, where its server is not the one that gets it.
    encrypted_for: Option<String>,
    /// What is encrypted, instead of the event; it may be empty.
    message: Option<String>,
    /// The members that the event lacks.
    #[serde(default)]
    without: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Event {
    /// Not an event: the GET that WeChat sends when the address is entered.
    Verify,
    UserInfoModified,
    UserAuthorizationRevoke,
    UserAuthorizationCancellation,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Plain,
    /// The fields and `Encrypt`.
    Compatible,
    Secure,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Json,
    Xml,
}

/// In WeChat's order, which XML keeps.
type Fields = Vec<(&'static str, Value)>;

/// The request that WeChat would send: method, query, content type and body.
pub(crate) fn compose(state: &mut State, request: &PushRequest, now: u64) -> Result<Value, ControlError> {
    let appid = state.appid(request.appid.as_deref())?;
    let push = state.apps.get(&appid).and_then(|app| app.push.clone()).ok_or(ControlError::NoPush)?;
    let (timestamp, nonce) = (now.to_string(), (state.random.number() % 10_000_000_000).to_string());
    // An empty text changes nothing of a concatenation.
    let sign = |encrypted: &str| signature::of_push([&push.token, &timestamp, &nonce, encrypted]);
    let mut query = vec![("signature", sign("")), ("timestamp", timestamp.clone()), ("nonce", nonce.clone())];
    if request.event == Event::Verify {
        query.push(("echostr", request.echostr.clone().unwrap_or_else(|| state.random.number().to_string())));
        return Ok(json!({ "method": "GET", "query": query_text(&query) }));
    }

    let mut fields = fields(state, &appid, request, now)?;
    query.push(("openid", identity::push_service(&appid)));
    let key = request.encoding_aes_key.as_ref().or(push.encoding_aes_key.as_ref());
    let usual = if key.is_some() { Mode::Secure } else { Mode::Plain };
    let mode = request.mode.unwrap_or(usual);
    if mode != Mode::Plain {
        let message = request.message.clone().unwrap_or_else(|| request.format.text(&fields));
        let to = request.encrypted_for.as_deref().unwrap_or(&appid);
        let encrypted = key.and_then(|key| msg_crypt::encrypt(key, state.random.bytes(), &message, to));
        let encrypted = encrypted.ok_or(ControlError::UnusableAesKey)?;
        query.extend([("encrypt_type", "aes".to_owned()), ("msg_signature", sign(&encrypted))]);
        if mode == Mode::Secure {
            fields.retain(|(name, _)| *name == "ToUserName");
        }
        fields.push(("Encrypt", Value::from(encrypted)));
    }
    let (content_type, body) = (request.format.content_type(), request.format.text(&fields));
    Ok(json!({ "method": "POST", "query": query_text(&query), "content_type": content_type, "body": body }))
}

fn fields(state: &mut State, appid: &str, request: &PushRequest, now: u64) -> Result<Fields, ControlError> {
    let name =
        request.user.as_deref().ok_or(ControlError::OutOfBounds("user is missing: every event is somebody's"))?;
    let (openid, user) = state.users.named(appid, name);
    let mut fields = vec![
        ("ToUserName", json!(identity::original_id(appid))),
        // In these events the sender is the platform itself; OpenID is the user.
        ("FromUserName", json!(identity::push_service(appid))),
        ("CreateTime", json!(now)),
        ("MsgType", json!("event")),
        ("Event", json!(request.event)),
        ("OpenID", json!(openid)),
    ];
    fields.extend(user.unionid.as_ref().map(|unionid| ("UnionID", json!(unionid))));
    fields.push(("AppID", json!(appid)));
    fields.extend(request.revoke_info.as_ref().map(|info| ("RevokeInfo", json!(info))));
    fields.retain(|(name, _)| !request.without.iter().any(|left_out| left_out == name));
    Ok(fields)
}

impl Format {
    fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Xml => "text/xml",
        }
    }

    fn text(self, fields: &Fields) -> String {
        match self {
            Self::Json => fields.iter().cloned().collect::<Value>().to_string(),
            Self::Xml => format!("<xml>{}</xml>", fields.iter().map(element).collect::<String>()),
        }
    }
}

fn element((name, value): &(&'static str, Value)) -> String {
    match value.as_str() {
        // The end of a CDATA section may not occur inside one.
        Some(text) => format!("<{name}><![CDATA[{}]]></{name}>", text.replace("]]>", "]]]]><![CDATA[>")),
        None => format!("<{name}>{value}</{name}>"),
    }
}

fn query_text(query: &[(&str, String)]) -> String {
    let pairs: Vec<_> = query.iter().map(|(name, value)| format!("{name}={}", percent_encoded(value))).collect();
    pairs.join("&")
}

fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::{App, Push};

    fn pushed(app: App, request: Value) -> Result<Value, ControlError> {
        compose(&mut State::new(vec![app]), &serde_json::from_value(request).unwrap(), 1_700_000_000)
    }

    fn demo_but(change: impl FnOnce(&mut Push)) -> App {
        let mut app = App::demo();
        change(app.push.as_mut().unwrap());
        app
    }

    #[test]
    fn the_mode_follows_the_configuration_unless_asked_for() {
        let unkeyed = || demo_but(|push| push.encoding_aes_key = None);
        let plain = json!({ "user": "ada", "event": "user_info_modified" });
        let secure = json!({ "user": "ada", "event": "user_info_modified", "mode": "secure" });
        let has_encrypt = |pushed: Value| pushed["body"].as_str().unwrap().contains("Encrypt");

        assert!(has_encrypt(pushed(App::demo(), plain.clone()).unwrap()));
        assert!(!has_encrypt(pushed(unkeyed(), plain).unwrap()));
        assert!(matches!(pushed(unkeyed(), secure), Err(ControlError::UnusableAesKey)));
        let key = App::demo().push.unwrap().encoding_aes_key;
        let in_the_console = json!({ "user": "ada", "event": "user_info_modified", "encoding_aes_key": key });
        assert!(has_encrypt(pushed(unkeyed(), in_the_console).unwrap()));
    }

    #[test]
    fn an_app_without_push_and_an_event_of_nobody_are_refused() {
        let silent = App { push: None, ..App::demo() };

        assert!(matches!(pushed(silent, json!({ "event": "verify" })), Err(ControlError::NoPush)));
        let nobody = pushed(App::demo(), json!({ "event": "user_info_modified" }));
        assert!(matches!(nobody, Err(ControlError::OutOfBounds(_))));
    }

    #[test]
    fn the_end_of_a_cdata_section_does_not_end_the_text() {
        let text = Format::Xml.text(&vec![("OpenID", json!("a]]>b")), ("CreateTime", json!(1))]);

        assert_eq!(text, "<xml><OpenID><![CDATA[a]]]]><![CDATA[>b]]></OpenID><CreateTime>1</CreateTime></xml>");
    }

    #[test]
    fn query_values_are_percent_encoded() {
        assert_eq!(
            query_text(&[("a", "1-._~".to_owned()), ("b", " +&=%/é".to_owned())]),
            "a=1-._~&b=%20%2B%26%3D%25%2F%C3%A9"
        );
    }
}

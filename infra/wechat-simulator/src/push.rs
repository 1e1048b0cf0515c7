//! WeChat's message push (消息推送): what it sends to a mini program's server when a user's authorization changes, money moves, or a
//! customer writes.
//!
//! A push is given to the caller of the control route, who sends it, or does so by `sender`.

use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::error::ControlError;
use crate::event::{self, Event};
use crate::messages::{Fields, Format, Message, Mode};
use crate::orders::Order;
use crate::state::State;
use crate::{answer, identity, msg_crypt, signature};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PushRequest {
    /// `verify` is about nobody, and an event about a payment that was made is about its user.
    user: Option<String>,
    appid: Option<String>,
    event: Event,
    mode: Option<Mode>,
    #[serde(default)]
    format: Format,
    #[serde(rename = "RevokeInfo")]
    revoke_info: Option<String>,
    /// The order that an event about money is about; one that nobody paid is made up.
    #[serde(rename = "outTradeNo")]
    out_trade_no: Option<String>,
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
    /// Members that the event has in addition, or with another value.
    #[serde(default)]
    with: Map<String, Value>,
    /// Whether the simulator sends it, where it was told an address.
    #[serde(default)]
    send: bool,
}

/// How a delivery is pushed; the rest is as in the console.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    mode: Option<Mode>,
    #[serde(default)]
    format: Format,
}

/// The request that WeChat would send: method, query, content type and body. With the `id`, it is repeated and answered.
pub(crate) fn compose(state: &mut State, request: PushRequest, now: u64) -> Result<Value, ControlError> {
    let appid = state.appid(request.appid.as_deref())?;
    let app = state.apps.get(&appid).cloned().ok_or_else(|| ControlError::UnknownApp(appid.clone()))?;
    let push = app.push.as_ref().ok_or(ControlError::NoPush)?;
    let (timestamp, nonce) = stamp(state, now);
    if request.event == Event::Verify {
        let echostr = request.echostr.unwrap_or_else(|| state.random.number().to_string());
        let signature = signature::of_push([&push.token, &timestamp, &nonce]);
        let query = [("signature", signature), ("timestamp", timestamp), ("nonce", nonce), ("echostr", echostr)];
        return Ok(json!({ "method": "GET", "query": query_text(&query) }));
    }

    let sender = sender(state, &appid, &request)?;
    let mut fields = event::common(&appid, request.event, &sender, now);
    if request.event.is_of_a_customer() {
        fields.extend(event::of_customer(&appid, request.event, state.random.number() >> 1));
    } else if request.event.is_about_an_order() {
        let order = order(state, &appid, &request, now)?;
        let number = state.random.number();
        fields.extend(event::of_order(&app, request.event, &order, number, now)?);
    } else {
        fields.extend(of_user(state, &appid, &request)?);
    }
    fields.retain(|(name, _)| !request.without.iter().any(|left_out| left_out == name));
    for (name, value) in request.with {
        match fields.iter_mut().find(|(known, _)| *known == name) {
            Some((_, other)) => *other = value,
            None => fields.push((name, value)),
        }
    }
    let has_key = request.encoding_aes_key.is_some() || push.encoding_aes_key.is_some();
    let message = Message {
        kind: request.event.kind(),
        fields,
        format: request.format,
        mode: request.mode.unwrap_or(if has_key { Mode::Secure } else { Mode::Plain }),
        aes_key: request.encoding_aes_key,
        encrypted_for: request.encrypted_for.unwrap_or_else(|| appid.clone()),
        text: request.message,
        timestamp,
        nonce,
        tries: 0,
        last_try: now,
        acknowledged: false,
        sends: request.send,
        appid,
    };
    first_try(state, message, now)
}

/// The push that follows a payment; `None` where the app has none configured.
pub(crate) fn delivery(
    state: &mut State,
    appid: &str,
    order: &Order,
    form: &Form,
    send: bool,
    now: u64,
) -> Result<Option<Value>, ControlError> {
    if state.apps.get(appid).is_none_or(|app| app.push.is_none()) {
        return Ok(None);
    }
    let event = if order.product_id.is_some() { Event::XpayGoodsDeliverNotify } else { Event::XpayCoinPayNotify };
    let request = PushRequest {
        user: None,
        appid: Some(appid.to_owned()),
        event,
        mode: form.mode,
        format: form.format,
        revoke_info: None,
        out_trade_no: Some(order.out_trade_no.clone()),
        echostr: None,
        encoding_aes_key: None,
        encrypted_for: None,
        message: None,
        without: Vec::new(),
        with: Map::new(),
        send,
    };
    compose(state, request, now).map(Some)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RepeatRequest {
    id: u64,
    /// Whether it has the first try's timestamp and nonce: it is not known which WeChat sends.
    #[serde(default)]
    first_timestamp: bool,
}

impl RepeatRequest {
    pub(crate) fn of(id: u64) -> Self {
        Self { id, first_timestamp: false }
    }
}

/// The same message once more, as WeChat sends it after a pause.
pub(crate) fn repeat(state: &mut State, request: &RepeatRequest, now: u64) -> Result<Value, ControlError> {
    let (timestamp, nonce) = stamp(state, now);
    let message = state.messages.find(request.id).ok_or(ControlError::UnknownMessage)?;
    message.count(now);
    let message = message.clone();
    let stamp =
        if request.first_timestamp { (message.timestamp.clone(), message.nonce.clone()) } else { (timestamp, nonce) };
    written(state, request.id, &message, &stamp)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AnswerRequest {
    pub(crate) id: u64,
    pub(crate) status: u16,
    #[serde(default)]
    pub(crate) body: String,
}

/// What the app's server answered to the last try: whether WeChat is content, and if not, when the message comes again.
pub(crate) fn answered(state: &mut State, request: &AnswerRequest) -> Result<Value, ControlError> {
    let message = state.messages.find(request.id).ok_or(ControlError::UnknownMessage)?;
    let push = state.apps.get(&message.appid).and_then(|app| app.push.as_ref()).ok_or(ControlError::NoPush)?;
    message.acknowledged = answer::acknowledges(push, message, request.status, &request.body);
    let mut told = json!({ "acknowledged": message.acknowledged });
    if let Some(seconds) = message.again_in() {
        told["again_in"] = json!(seconds);
    }
    Ok(told)
}

fn stamp(state: &mut State, now: u64) -> (String, String) {
    (now.to_string(), (state.random.number() % 10_000_000_000).to_string())
}

fn first_try(state: &mut State, mut message: Message, now: u64) -> Result<Value, ControlError> {
    let stamp = (message.timestamp.clone(), message.nonce.clone());
    if !message.sends {
        message.count(now);
    }
    let id = state.messages.remember(message.clone());
    written(state, id, &message, &stamp)
}

/// One try of a message as it goes over the wire.
fn written(
    state: &mut State,
    id: u64,
    message: &Message,
    (timestamp, nonce): &(String, String),
) -> Result<Value, ControlError> {
    let push = state.apps.get(&message.appid).and_then(|app| app.push.clone()).ok_or(ControlError::NoPush)?;
    // An empty text changes nothing of a concatenation.
    let sign = |encrypted: &str| signature::of_push([&push.token, timestamp, nonce, encrypted]);
    let mut query = vec![("signature", sign("")), ("timestamp", timestamp.clone()), ("nonce", nonce.clone())];
    let sender = message.fields.iter().find(|(name, _)| name == "FromUserName").and_then(|(_, sender)| sender.as_str());
    query.push(("openid", sender.map_or_else(|| identity::push_service(&message.appid), str::to_owned)));
    let mut fields = message.fields.clone();
    if message.mode != Mode::Plain {
        let text = message.text.clone().unwrap_or_else(|| message.format.text(&fields));
        let key = message.aes_key.as_ref().or(push.encoding_aes_key.as_ref());
        let encrypted =
            key.and_then(|key| msg_crypt::encrypt(key, state.random.bytes(), &text, &message.encrypted_for));
        let encrypted = encrypted.ok_or(ControlError::UnusableAesKey)?;
        query.extend([("encrypt_type", "aes".to_owned()), ("msg_signature", sign(&encrypted))]);
        if message.mode == Mode::Secure {
            fields.retain(|(name, _)| name == "ToUserName");
        }
        fields.push(("Encrypt".to_owned(), Value::from(encrypted)));
    }
    let (content_type, body) = (message.format.content_type(), message.format.text(&fields));
    let query = query_text(&query);
    Ok(json!({ "id": id, "method": "POST", "query": query, "content_type": content_type, "body": body }))
}

/// Who is in `FromUserName`.
fn sender(state: &mut State, appid: &str, request: &PushRequest) -> Result<String, ControlError> {
    if !request.event.is_of_a_customer() {
        return Ok(identity::push_service(appid));
    }
    Ok(state.users.named(appid, request.user.as_deref().ok_or(NOBODY)?).0)
}

fn of_user(state: &mut State, appid: &str, request: &PushRequest) -> Result<Fields, ControlError> {
    let name = request.user.as_deref().ok_or(NOBODY)?;
    let (openid, user) = state.users.named(appid, name);
    let mut fields = vec![("OpenID".to_owned(), json!(openid))];
    fields.extend(user.unionid.as_ref().map(|unionid| ("UnionID".to_owned(), json!(unionid))));
    fields.push(("AppID".to_owned(), json!(appid)));
    fields.extend(request.revoke_info.as_ref().map(|info| ("RevokeInfo".to_owned(), json!(info))));
    Ok(fields)
}

const NOBODY: ControlError = ControlError::OutOfBounds("user is missing: the event is somebody's");

/// The order that was paid, or one that is made up.
fn order(state: &mut State, appid: &str, request: &PushRequest, now: u64) -> Result<Order, ControlError> {
    let paid = request.out_trade_no.as_deref().and_then(|number| state.orders.find(appid, number)).cloned();
    if let Some(order) = paid {
        return Ok(order);
    }
    let user = request.user.as_deref().or_else(|| (!request.event.is_somebodys()).then_some("")).ok_or(NOBODY)?;
    let number = state.random.number();
    let is_about_coins = request.event.is_about_coins();
    Ok(Order {
        out_trade_no: request.out_trade_no.clone().unwrap_or_else(|| format!("SIM{number:020}")),
        openid: state.users.named(appid, user).0,
        env: 0,
        product_id: (!is_about_coins).then(|| "vip_month".to_owned()),
        quantity: if is_about_coins { 100 } else { 1 },
        price: 1000,
        paid: 1000,
        attach: String::new(),
        paid_at: now,
        number,
    })
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

fn element((name, value): &(String, Value)) -> String {
    let inside = match value {
        // The end of a CDATA section may not occur inside one.
        Value::String(text) => format!("<![CDATA[{}]]>", text.replace("]]>", "]]]]><![CDATA[>")),
        Value::Object(members) => {
            members.iter().map(|(name, value)| element(&(name.clone(), value.clone()))).collect::<String>()
        }
        other => other.to_string(),
    };
    format!("<{name}>{inside}</{name}>")
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
        compose(&mut State::new(vec![app]), serde_json::from_value(request).unwrap(), 1_700_000_000)
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
        let text = Format::Xml.text(&vec![("OpenID".to_owned(), json!("a]]>b")), ("CreateTime".to_owned(), json!(1))]);

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

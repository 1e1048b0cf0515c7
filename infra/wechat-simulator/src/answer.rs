//! Whether the answer to a push says that the message is taken, as WeChat reads it.

use serde_json::{Map, Value};

use crate::app::Push;
use crate::messages::{Kind, Message};
use crate::{msg_crypt, signature};

/// Anything else than 200 and one of WeChat's forms has the message sent again.
pub(crate) fn acknowledges(push: &Push, message: &Message, status: u16, body: &str) -> bool {
    let body = body.trim();
    if status != 200 {
        return false;
    }
    if matches!(body, "" | "success") {
        return message.kind != Kind::Refund;
    }
    let Some(mut said) = members(body) else { return false };
    if said.contains_key("Encrypt") {
        let Some(opened) = opened(push, message, &said).and_then(|text| members(&text)) else { return false };
        said = opened;
    }
    let number = |name: &str| said.get(name).and_then(|value| value.as_i64().or_else(|| value.as_str()?.parse().ok()));
    match message.kind {
        Kind::Money | Kind::MiniGame => number("ErrCode") == Some(0),
        Kind::Refund => {
            matches!(number("result_code"), Some(0 | 1)) && said.get("evidence").is_some_and(Value::is_string)
        }
        Kind::Other => said.get("MsgType").is_some_and(|kind| kind == "transfer_customer_service"),
    }
}

/// What was encrypted, if it is signed and of this mini program.
fn opened(push: &Push, message: &Message, said: &Map<String, Value>) -> Option<String> {
    let text = |name: &str| match said.get(name)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let encrypted = text("Encrypt")?;
    let expected = signature::of_push([&push.token, &text("TimeStamp")?, &text("Nonce")?, &encrypted]);
    let key = message.aes_key.as_ref().or(push.encoding_aes_key.as_ref())?;
    (text("MsgSignature")? == expected).then(|| msg_crypt::decrypt(key, &encrypted, &message.appid))?
}

/// The members of an object of JSON, or of the root element of XML.
fn members(text: &str) -> Option<Map<String, Value>> {
    if let Ok(members) = serde_json::from_str(text) {
        return Some(members);
    }
    let document = roxmltree::Document::parse(text).ok()?;
    let elements = document.root_element().children().filter(roxmltree::Node::is_element);
    let member = |node: roxmltree::Node<'_, '_>| {
        let text: String = node.children().filter_map(|part| part.text()).collect();
        (node.tag_name().name().to_owned(), Value::from(text))
    };
    Some(elements.map(member).collect())
}

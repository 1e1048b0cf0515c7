//! What a pushed message says, in JSON or XML, and what that means for what is stored here.

use aws_lc_rs::digest::{Context, SHA256};
use serde_json::{Map, Value as Json};

use crate::{ids::OpenId, json};

/// Messages of other kinds nest deeper than those that we act on.
const DEEPEST: usize = 32;

/// A message that was read whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Push {
    /// One of the events that concern what is stored.
    User {
        /// The user that it is about.
        openid: OpenId,
        /// What happened.
        event: Event,
    },
    /// A message of another kind, or about the user of a plugin. Nothing about it is stored here.
    Other,
    /// A message of another kind in the clear, beside an `Encrypt` that is not read here, and it does not name this mini
    /// program: to one with a key it may be another message.
    OtherBesideEncrypt,
}

/// What happened to a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// `user_info_modified`: WeChat has cleaned nickname or avatar.
    UserInfoModified,
    /// `user_authorization_revoke`: the user has revoked an authorization.
    UserAuthorizationRevoke {
        /// Whether the phone number is among it (`RevokeInfo` 8).
        phone: bool,
    },
    /// `user_authorization_cancellation`: the user's account is gone.
    UserAuthorizationCancellation,
}

/// Why a message is not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum MessageDefect {
    /// It is neither JSON nor XML, does not say what kind of message it is, or a member that is needed is no text.
    Unreadable,
    /// It is one of the events that concern a user, and names none.
    NoUser,
}

/// The members of a message.
pub(super) struct Members(Vec<(String, Value)>);

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    /// A text or a number.
    Text(String),
    /// Anything else, as it is written.
    Nested(String),
}

/// Members that say nothing here and that WeChat may write anew when it repeats a message: the count of its tries, and what is
/// encrypted of a message that is read in the clear.
const VARYING: [&str; 2] = ["RetryTimes", "Encrypt"];

impl Members {
    pub(super) fn read(body: &[u8]) -> Result<Self, MessageDefect> {
        let members = match body.trim_ascii_start().first() {
            Some(b'<') => std::str::from_utf8(body).ok().and_then(Self::from_xml),
            _ => Self::from_json(body),
        };
        members.ok_or(MessageDefect::Unreadable)
    }

    fn from_json(body: &[u8]) -> Option<Self> {
        let members: Map<String, Json> = json::nested(body, DEEPEST).ok()?;
        let text = |value: Json| match value {
            Json::String(text) => Value::Text(text.trim().to_owned()),
            Json::Number(number) => Value::Text(number.to_string()),
            nested => Value::Nested(nested.to_string()),
        };
        let given = members.into_iter().filter(|(_, value)| !value.is_null());
        // Samples in WeChat's documents have names with a blank before them.
        Some(Self(given.map(|(name, value)| (name.trim().to_owned(), text(value))).collect()))
    }

    fn from_xml(body: &str) -> Option<Self> {
        let document = roxmltree::Document::parse(body).ok()?;
        let children = document.root_element().children().filter(roxmltree::Node::is_element);
        let text = |node: roxmltree::Node<'_, '_>| {
            if node.children().any(|child| child.is_element()) {
                return Value::Nested(document.input_text()[node.range()].to_owned());
            }
            let parts = node.children().filter(roxmltree::Node::is_text).filter_map(|part| part.text());
            Value::Text(parts.collect::<String>().trim().to_owned())
        };
        Some(Self(children.map(|child| (child.tag_name().name().to_owned(), text(child))).collect()))
    }

    /// A member that is not empty. WeChat spells some names in several ways (`OpenID`, `openid`), so case does not count.
    pub(super) fn get(&self, name: &str) -> Result<Option<&str>, MessageDefect> {
        let mut given = self.0.iter().filter(|(given, _)| given.eq_ignore_ascii_case(name));
        match (given.next(), given.next()) {
            (None, _) => Ok(None),
            (Some((_, Value::Text(text))), None) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            _ => Err(MessageDefect::Unreadable),
        }
    }

    /// Whether there is a member of this name, whatever is in it.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(given, _)| given.eq_ignore_ascii_case(name))
    }

    /// A hash of all that the message says. A repetition by WeChat has the same, although it may be written otherwise.
    pub(super) fn hash(&self) -> [u8; 32] {
        let is_said = |name: &str| !VARYING.iter().any(|varying| name.eq_ignore_ascii_case(varying));
        let mut members: Vec<_> = self.0.iter().filter(|(name, _)| is_said(name)).collect();
        members.sort();
        hash_of(members.into_iter().flat_map(|(name, value)| {
            let (kind, text) = match value {
                Value::Text(text) => ("text", text),
                Value::Nested(text) => ("nested", text),
            };
            [name.as_bytes(), kind.as_bytes(), text.as_bytes()]
        }))
    }

    /// Whether this says what kind of message it is: an envelope with `Encrypt` does not.
    pub(super) fn has_kind(&self) -> bool {
        self.event().is_ok()
    }

    /// The name of the event; a message of another kind has none. What says no kind was not read whole: the message may stand
    /// deeper in it.
    fn event(&self) -> Result<Option<&str>, MessageDefect> {
        let event = self.get("Event")?;
        match self.get("MsgType")? {
            Some(kind) if event.is_some() || !kind.eq_ignore_ascii_case("event") => Ok(event),
            // By its table of members, Apple's question about a refund is the one message without a kind.
            None if self.get("channel_bill")?.is_some() && self.get("bundleid")?.is_some() => Ok(event),
            _ => Err(MessageDefect::Unreadable),
        }
    }

    pub(super) fn push(&self) -> Result<Push, MessageDefect> {
        let Some(name @ ("user_info_modified" | "user_authorization_revoke" | "user_authorization_cancellation")) =
            self.event()?
        else {
            return Ok(Push::Other);
        };
        let Some(openid) = self.get("OpenID")? else {
            let is_of_a_plugin = self.get("OpenPID")?.is_some();
            return if is_of_a_plugin { Ok(Push::Other) } else { Err(MessageDefect::NoUser) };
        };
        let openid = OpenId::parse(openid).map_err(|_| MessageDefect::NoUser)?;
        let event = match name {
            "user_info_modified" => Event::UserInfoModified,
            "user_authorization_revoke" => Event::UserAuthorizationRevoke { phone: self.revoked()?.contains(&8) },
            _ => Event::UserAuthorizationCancellation,
        };
        Ok(Push::User { openid, event })
    }

    /// What was revoked. `RevokeInfo` may hold several numbers, separated by commas.
    fn revoked(&self) -> Result<Vec<u32>, MessageDefect> {
        let info = self.get("RevokeInfo")?.ok_or(MessageDefect::Unreadable)?;
        info.split(',').map(|kind| kind.trim().parse().map_err(|_| MessageDefect::Unreadable)).collect()
    }
}

/// SHA-256 of these parts. The length before each keeps two lists from giving the same bytes.
pub(super) fn hash_of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut digest = Context::new(&SHA256);
    for part in parts {
        digest.update(&(part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(digest.finish().as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(text: &str) -> Result<Push, MessageDefect> {
        Members::read(text.as_bytes())?.push()
    }

    fn cancelled(openid: &str) -> Push {
        Push::User { openid: OpenId::parse(openid).unwrap(), event: Event::UserAuthorizationCancellation }
    }

    #[test]
    fn a_name_with_a_blank_before_it_and_several_numbers_are_read() {
        let Ok(Push::User { openid, event }) =
            push(r#"{" MsgType":"event"," OpenID":"oA"," Event":"user_authorization_revoke"," RevokeInfo":"6, 8"}"#)
        else {
            panic!("it is not read")
        };

        assert_eq!(openid.expose(), "oA");
        assert_eq!(event, Event::UserAuthorizationRevoke { phone: true });
    }

    #[test]
    fn a_user_is_found_by_each_spelling_in_both_formats() {
        for name in ["OpenID", "OpenId", "openid"] {
            let json = format!(r#"{{"MsgType":"event","Event":"user_authorization_cancellation","{name}":" oA\n"}}"#);
            let xml = format!(
                "<xml><MsgType>event</MsgType><Event>user_authorization_cancellation</Event><{name}>\n<![CDATA[o]]><!-- -->A</{name}></xml>"
            );
            assert_eq!([push(&json), push(&xml)], [Ok(cancelled("oA")), Ok(cancelled("oA"))], "{name}");
        }
    }

    #[test]
    fn an_event_of_ours_without_a_usable_user_is_not_understood() {
        for event in ["user_info_modified", "user_authorization_revoke", "user_authorization_cancellation"] {
            for user in ["", r#","OpenID":null"#, r#","OpenID":"""#, r#","OpenID":" ""#, r#","OpenID":"o A""#] {
                let defect = push(&format!(r#"{{"MsgType":"event","Event":"{event}","RevokeInfo":"8"{user}}}"#));
                assert_eq!(defect, Err(MessageDefect::NoUser), "{event} {user}");
            }
            for user in [r#","OpenID":["oA"]"#, r#","OpenID":{"a":1}"#, r#","OpenID":"oA","openid":"oB""#] {
                let defect = push(&format!(r#"{{"MsgType":"event","Event":"{event}","RevokeInfo":"8"{user}}}"#));
                assert_eq!(defect, Err(MessageDefect::Unreadable), "{event} {user}");
            }
            let of_a_plugin =
                format!(r#"{{"MsgType":"event","Event":"{event}","OpenPID":"pA","PluginID":"wx1","OpenID":""}}"#);
            assert_eq!(push(&of_a_plugin), Ok(Push::Other), "{event}");
        }
    }

    #[test]
    fn a_message_has_the_hash_of_its_repetition_and_of_no_other() {
        let hash = |text: &str| Members::read(text.as_bytes()).map(|members| members.hash()).unwrap();
        let same = hash(r#"{"MsgType":"event","Event":"e","a":{"b":[1]},"RetryTimes":0}"#);
        for repeated in [
            r#"{ "Event" : "e", "MsgType": " event", "a": {"b": [1]}, "retrytimes": "1", "Encrypt": "x" }"#,
            r#"{"MsgType":"event","Event":"e","a":{"b":[1]},"none":null}"#,
        ] {
            assert_eq!(hash(repeated), same, "{repeated}");
        }
        for other in [
            "{}",
            r#"{"MsgType":"event","Event":"f","a":{"b":[1]}}"#,
            r#"{"MsgType":"event","Event":"e","a":{"b":[2]}}"#,
            r#"{"MsgType":"event","Event":"e","a":"{\"b\":[1]}"}"#,
            r#"{"MsgType":"event","Event":"e","a":{"b":[1]},"more":""}"#,
            r#"{"MsgType":"event","Event":"e","A":{"b":[1]}}"#,
            r#"{"Event":"event","MsgType":"e","a":{"b":[1]}}"#,
        ] {
            assert_ne!(hash(other), same, "{other}");
        }
        let xml = |team: &str| hash(&format!("<xml><a><![CDATA[1]]></a><Team><Id>{team}</Id></Team></xml>"));
        assert_eq!([xml("1"), xml("1")], [hash("<xml>\n<Team><Id>1</Id></Team>\n<a>1</a></xml>"); 2]);
        assert_ne!(xml("1"), xml("2"));
    }

    #[test]
    fn a_revocation_says_what_was_revoked() {
        let revoked = |info: &str| {
            let event = r#""MsgType":"event","Event":"user_authorization_revoke""#;
            match push(&format!(r#"{{{event},"OpenID":"oA"{info}}}"#)) {
                Ok(Push::User { event: Event::UserAuthorizationRevoke { phone }, .. }) => Some(phone),
                Ok(push) => panic!("{push:?}"),
                Err(_) => None,
            }
        };
        for (info, expected) in [
            (r#","RevokeInfo":"8""#, Some(true)),
            (r#","RevokeInfo":8"#, Some(true)),
            (r#","RevokeInfo":"1, 8,12""#, Some(true)),
            (r#","RevokeInfo":"18,80,88""#, Some(false)),
            (r#","RevokeInfo":"phone""#, None),
            (r#","RevokeInfo":[8]"#, None),
            (r#","RevokeInfo":"""#, None),
            ("", None),
        ] {
            assert_eq!(revoked(info), expected, "{info}");
        }
    }

    #[test]
    fn an_envelope_without_content_is_no_message() {
        for empty in [
            "{}",
            r#"{"ToUserName":"gh_1"}"#,
            r#"{"ToUserName":"gh_1","Encrypt":"x","CreateTime":1}"#,
            "<xml></xml>",
            "<xml><ToUserName>gh_1</ToUserName><Encrypt>x</Encrypt></xml>",
            "",
            "success",
        ] {
            assert_eq!(push(empty), Err(MessageDefect::Unreadable), "{empty}");
        }
    }

    /// The whole message may stand where it is not looked for.
    #[test]
    fn what_does_not_say_of_what_kind_it_is_is_no_message() {
        let json = r#"{"MsgType":"event","Event":"user_authorization_cancellation","OpenID":"oA"}"#;
        let xml = "<MsgType>event</MsgType><Event>user_authorization_cancellation</Event><OpenID>oA</OpenID>";
        let mut unsaid = vec![
            format!(r#"{{"xml":{json}}}"#),
            format!(r#"{{"ToUserName":"gh_1","xml":{json}}}"#),
            format!(r#"{{"Message":{}}}"#, serde_json::json!(json)),
            format!("<root><xml>{xml}</xml></root>"),
            format!("<xml><ToUserName>gh_1</ToUserName><xml>{xml}</xml></xml>"),
            format!("<xml><![CDATA[<xml>{xml}</xml>]]></xml>"),
            r#"{"errcode":0,"errmsg":"ok"}"#.to_owned(),
            r#"{"Event":"user_authorization_cancellation","OpenID":"oA"}"#.to_owned(),
            r#"{"channel_bill":"1"}"#.to_owned(),
            r#"{"channel_bill":"1","bundleid":""}"#.to_owned(),
            "<xml><MsgType>event</MsgType><Event/></xml>".to_owned(),
            "<xml><MsgType/><Event>other</Event></xml>".to_owned(),
        ];
        for nothing in ["", r#","{}":null"#, r#","{}":"""#, r#","{}":" ""#, r#","{}":{"a":"b"}"#, r#","{}":["c"]"#] {
            for (given, lacks) in [(r#""MsgType":"event""#, "Event"), (r#""Event":"other""#, "MsgType")] {
                let nothing = nothing.replacen("{}", lacks, 1);
                unsaid.push(format!(r#"{{"ToUserName":"gh_1","OpenID":"oA",{given}{nothing}}}"#));
            }
        }
        for unsaid in unsaid {
            assert_eq!(push(&unsaid), Err(MessageDefect::Unreadable), "{unsaid}");
        }
    }

    #[test]
    fn every_other_kind_of_message_that_wechat_sends_is_one() {
        for other in [
            r#"{"ToUserName":"gh_1","MsgType":"text","Content":"<xml></xml>","MsgId":1234567890123456}"#,
            r#"{"MsgType":"image","PicUrl":"https://example.com/p","MediaId":"m","MsgId":"1"}"#,
            r#"{"MsgType":"miniprogrampage","AppId":"wx1","ThumbUrl":""}"#,
            r#"{"MsgType":"event","Event":"debug_demo","debug_str":"hello world"}"#,
            r#"{"MsgType":"event","Event":"xpay_goods_deliver_notify","OpenId":"oA","GoodsInfo":{"Quantity":1}}"#,
            r#"{"MsgType":"event","Event":"subscribe_msg_popup_event","List":[{"TemplateId":"t"}]}"#,
            r#"{"channel_bill":"1","bundleid":"2","provide_status":"1"}"#,
            r#"{"MsgType":"event","Event":"xpay_subscribe_ios_refund_query_notify","channel_bill":"1","bundleid":"2"}"#,
            "<xml><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[hi]]></Content></xml>",
            "<xml><channel_bill><![CDATA[1]]></channel_bill><bundleid><![CDATA[2]]></bundleid></xml>",
            "<xml><MsgType>event</MsgType><Event>wxa_media_check</Event><result><label>1</label></result></xml>",
        ] {
            assert_eq!(push(other), Ok(Push::Other), "{other}");
        }
    }
}

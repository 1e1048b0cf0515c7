//! What a pushed message says, in JSON or XML, and what that means for what is stored here.

use serde_json::{Map, Value};

use crate::{ids::OpenId, json};

/// Messages of other kinds nest deeper than those that we act on.
const DEEPEST: usize = 32;

/// What every message and every encrypted envelope has: these alone say nothing.
const ENVELOPE: [&str; 4] = ["ToUserName", "FromUserName", "CreateTime", "Encrypt"];

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
    /// It is neither JSON nor XML, has no content, or a member that is needed is no text.
    Unreadable,
    /// It is one of the events that concern a user, and names none.
    NoUser,
}

/// The members of a message. One that is not a text or a number is kept by its name alone.
pub(super) struct Members(Vec<(String, Option<String>)>);

impl Members {
    pub(super) fn read(body: &[u8]) -> Result<Self, MessageDefect> {
        let members = match body.trim_ascii_start().first() {
            Some(b'<') => std::str::from_utf8(body).ok().and_then(Self::from_xml),
            _ => Self::from_json(body),
        };
        members.ok_or(MessageDefect::Unreadable)
    }

    fn from_json(body: &[u8]) -> Option<Self> {
        let members: Map<String, Value> = json::nested(body, DEEPEST).ok()?;
        let text = |value: Value| match value {
            Value::String(text) => Some(text.trim().to_owned()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let given = members.into_iter().filter(|(_, value)| !value.is_null());
        // Samples in WeChat's documents have names with a blank before them.
        Some(Self(given.map(|(name, value)| (name.trim().to_owned(), text(value))).collect()))
    }

    fn from_xml(body: &str) -> Option<Self> {
        let document = roxmltree::Document::parse(body).ok()?;
        let children = document.root_element().children().filter(roxmltree::Node::is_element);
        let text = |node: roxmltree::Node<'_, '_>| {
            let is_text = !node.children().any(|child| child.is_element());
            is_text.then(|| {
                node.children()
                    .filter(roxmltree::Node::is_text)
                    .filter_map(|part| part.text())
                    .collect::<String>()
                    .trim()
                    .to_owned()
            })
        };
        Some(Self(children.map(|child| (child.tag_name().name().to_owned(), text(child))).collect()))
    }

    /// A member that is not empty. WeChat spells some names in several ways (`OpenID`, `openid`), so case does not count.
    pub(super) fn get(&self, name: &str) -> Result<Option<&str>, MessageDefect> {
        let mut given = self.0.iter().filter(|(given, _)| given.eq_ignore_ascii_case(name));
        match (given.next(), given.next()) {
            (None, _) => Ok(None),
            (Some((_, Some(text))), None) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            _ => Err(MessageDefect::Unreadable),
        }
    }

    /// Whether there is a member of this name, whatever is in it.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(given, _)| given.eq_ignore_ascii_case(name))
    }

    /// Whether this says what kind of message it is: an envelope with `Encrypt` does not.
    pub(super) fn has_kind(&self) -> bool {
        ["MsgType", "Event"].iter().any(|name| matches!(self.get(name), Ok(Some(_))))
    }

    pub(super) fn push(&self) -> Result<Push, MessageDefect> {
        if self.0.iter().all(|(name, _)| ENVELOPE.iter().any(|known| name.eq_ignore_ascii_case(known))) {
            return Err(MessageDefect::Unreadable);
        }
        let Some(name @ ("user_info_modified" | "user_authorization_revoke" | "user_authorization_cancellation")) =
            self.get("Event")?
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
            push(r#"{" OpenID":"oA"," Event":"user_authorization_revoke"," RevokeInfo":"6, 8"}"#)
        else {
            panic!("it is not read")
        };

        assert_eq!(openid.expose(), "oA");
        assert_eq!(event, Event::UserAuthorizationRevoke { phone: true });
    }

    #[test]
    fn a_user_is_found_by_each_spelling_in_both_formats() {
        for name in ["OpenID", "OpenId", "openid"] {
            let json = format!(r#"{{"Event":"user_authorization_cancellation","{name}":" oA\n"}}"#);
            let xml = format!(
                "<xml><Event>user_authorization_cancellation</Event><{name}>\n<![CDATA[o]]><!-- -->A</{name}></xml>"
            );
            assert_eq!([push(&json), push(&xml)], [Ok(cancelled("oA")), Ok(cancelled("oA"))], "{name}");
        }
    }

    #[test]
    fn an_event_of_ours_without_a_usable_user_is_not_understood() {
        for event in ["user_info_modified", "user_authorization_revoke", "user_authorization_cancellation"] {
            for user in ["", r#","OpenID":null"#, r#","OpenID":"""#, r#","OpenID":" ""#, r#","OpenID":"o A""#] {
                let defect = push(&format!(r#"{{"Event":"{event}","RevokeInfo":"8"{user}}}"#));
                assert_eq!(defect, Err(MessageDefect::NoUser), "{event} {user}");
            }
            for user in [r#","OpenID":["oA"]"#, r#","OpenID":{"a":1}"#, r#","OpenID":"oA","openid":"oB""#] {
                let defect = push(&format!(r#"{{"Event":"{event}","RevokeInfo":"8"{user}}}"#));
                assert_eq!(defect, Err(MessageDefect::Unreadable), "{event} {user}");
            }
            let of_a_plugin = format!(r#"{{"Event":"{event}","OpenPID":"pA","PluginID":"wx1","OpenID":""}}"#);
            assert_eq!(push(&of_a_plugin), Ok(Push::Other), "{event}");
        }
    }

    #[test]
    fn a_revocation_says_what_was_revoked() {
        let revoked =
            |info: &str| match push(&format!(r#"{{"Event":"user_authorization_revoke","OpenID":"oA"{info}}}"#)) {
                Ok(Push::User { event: Event::UserAuthorizationRevoke { phone }, .. }) => Some(phone),
                Ok(push) => panic!("{push:?}"),
                Err(_) => None,
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
        for other in [r#"{"MsgType":"text","Content":"hi"}"#, r#"{"channel_bill":"1","bundleid":"2"}"#] {
            assert_eq!(push(other), Ok(Push::Other), "{other}");
        }
    }
}

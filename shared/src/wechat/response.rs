//! What WeChat's responses say: any bytes become a value or a [`WechatError`].

use serde::Deserialize;

use super::{
    api::CodeExchange,
    errcode::{self, Api},
    error::WechatError,
    opendata::{OpenDataDefect, Phone, PhoneInfo},
};
use crate::{
    clock::Secs,
    ids::{AppId, OpenId, UnionId},
    request_log,
    secret_text::{PlatformToken, SessionKey},
};

/// WeChat promises two hours at most.
const LONGEST_TOKEN: Secs = 7_200;

/// The user and the key that code2Session gives.
pub fn code_exchange(body: &[u8]) -> Result<CodeExchange, WechatError> {
    read::<Code2Session>(body, Api::Code2Session)?.try_into()
}

/// The platform token that `stable_token` gives, and its remaining seconds.
pub fn platform_token(body: &[u8]) -> Result<(PlatformToken, Secs), WechatError> {
    let response: StableToken = read(body, Api::StableToken)?;
    if response.access_token.is_empty() || response.expires_in == 0 {
        return Err(WechatError::Unreadable("a platform token without text or time"));
    }
    Ok((PlatformToken::new(response.access_token), response.expires_in.min(LONGEST_TOKEN)))
}

/// The number that `getuserphonenumber` gives to this mini program.
pub fn phone(body: &[u8], appid: &AppId) -> Result<Phone, WechatError> {
    let response: PhoneNumber = read(body, Api::PhoneNumber)?;
    response.phone_info.of(appid).map_err(|defect| match defect {
        OpenDataDefect::Unreadable | OpenDataDefect::OtherKind => {
            WechatError::Unreadable("a phone number of another form")
        }
        OpenDataDefect::Foreign => WechatError::WrongUser,
    })
}

/// Whether `checksession` says that the `session_key` is still valid.
pub fn session_check(body: &[u8]) -> Result<bool, WechatError> {
    match read(body, Api::CheckSession) {
        Ok(SessionCheck { .. }) => Ok(true),
        Err(WechatError::SessionKeyStale) => Ok(false),
        Err(error) => Err(error),
    }
}

/// What every response may say. WeChat writes `errcode` as a number, seldom as text, and mostly not at all on success.
#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    errcode: Option<Errcode>,
    #[serde(default)]
    errmsg: serde_json::Value,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Errcode {
    Number(i64),
    Text(String),
}

/// Reads a response by its content, not by its `Content-Type`, which is `text/plain` for JSON.
///
/// Raw control characters and bytes that are no UTF-8 were seen in WeChat's texts. They must not hide an `errcode`.
fn read<T: for<'de> Deserialize<'de>>(body: &[u8], api: Api) -> Result<T, WechatError> {
    let body: Vec<u8> = body.iter().map(|byte| (*byte).max(b' ')).collect();
    let body = String::from_utf8_lossy(&body);
    let no_object = || WechatError::Unreadable("not a JSON object");
    // serde reads a struct from an array too: `[]` would be a yes to whatever was asked.
    let body = Some(body).filter(|body| body.trim_start().starts_with('{')).ok_or_else(no_object)?;
    let status: Status = serde_json::from_str(&body).map_err(|_| no_object())?;
    let errcode = match status.errcode {
        None => 0,
        Some(Errcode::Number(number)) => number,
        Some(Errcode::Text(text)) => {
            text.trim().parse().map_err(|_| WechatError::Unreadable("errcode is no number"))?
        }
    };
    if errcode != 0 {
        let rid = status.errmsg.as_str().and_then(errcode::rid);
        request_log::record(|fields| (fields.errcode, fields.rid) = (Some(errcode), rid.clone()));
        return Err(errcode::meaning(api, errcode, rid));
    }
    serde_json::from_str(&body).map_err(|_| WechatError::Unreadable("a member is missing or of another type"))
}

#[derive(Deserialize)]
struct Code2Session {
    openid: String,
    session_key: String,
    #[serde(default)]
    unionid: serde_json::Value,
}

impl TryFrom<Code2Session> for CodeExchange {
    type Error = WechatError;

    fn try_from(response: Code2Session) -> Result<Self, WechatError> {
        let session_key = SessionKey::new(response.session_key);
        if session_key.aes_key().is_none() {
            return Err(WechatError::Unreadable("session_key is not base64 of 16 bytes"));
        }
        Ok(Self {
            openid: OpenId::parse(&response.openid).map_err(|_| WechatError::Unreadable("openid"))?,
            session_key,
            // A login does not need it, so a wrong one never refuses the login.
            unionid: response.unionid.as_str().and_then(|text| UnionId::parse(text).ok()),
        })
    }
}

#[derive(Deserialize)]
struct StableToken {
    access_token: String,
    expires_in: Secs,
}

/// The `errcode` is all that this response says, so it must be there.
#[derive(Deserialize)]
struct SessionCheck {
    #[serde(rename = "errcode")]
    _errcode: Errcode,
}

#[derive(Deserialize)]
struct PhoneNumber {
    phone_info: PhoneInfo,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn code2session(body: &str) -> Result<CodeExchange, WechatError> {
        read::<Code2Session>(body.as_bytes(), Api::Code2Session)?.try_into()
    }

    #[test]
    fn success_is_an_openid_and_a_session_key_whatever_errcode_says_of_it() {
        for errcode in ["", r#""errcode":0,"errmsg":"ok","#, r#""errcode":"0","#, r#""errcode":null,"#] {
            let body =
                format!(r#"{{{errcode}"openid":"oA","session_key":"tiihtNczf5v6AKRyjwEUhQ==","expires_in":7200}}"#);
            assert_eq!(code2session(&body).unwrap().openid.expose(), "oA", "{body}");
        }
    }

    #[test]
    fn an_errcode_counts_as_number_and_as_text() {
        for body in [r#"{"errcode":40029,"errmsg":"invalid code"}"#, r#"{"errcode":"40029"}"#] {
            assert!(matches!(code2session(body), Err(WechatError::CodeInvalid)), "{body}");
        }
    }

    #[test]
    fn an_odd_errmsg_or_unionid_hides_nothing() {
        let invalid =
            |body: &[u8]| matches!(read::<Code2Session>(body, Api::Code2Session), Err(WechatError::CodeInvalid));
        assert!(invalid(br#"{"errcode":40029,"errmsg":1}"#));
        assert!(invalid(b"{\"errcode\":40029,\"errmsg\":\"a\xffb\"}"));
        assert!(invalid(b"{\"errcode\":40029,\r\n\"errmsg\":\"a\x01b\"}"));

        for unionid in ["1", "null", r#""""#, "\"\u{4f60}\""] {
            let body = format!(r#"{{"openid":"oA","session_key":"tiihtNczf5v6AKRyjwEUhQ==","unionid":{unionid}}}"#);
            assert!(code2session(&body).unwrap().unionid.is_none(), "{unionid}");
        }
    }

    #[test]
    fn an_unknown_errcode_keeps_its_number_and_rid() {
        let Err(WechatError::Unknown { errcode, rid }) = code2session(r#"{"errcode":99999,"errmsg":"x, rid: 5f-1"}"#)
        else {
            panic!("not unknown")
        };
        assert_eq!((errcode, rid.unwrap().0.as_str()), (99_999, "5f-1"));
    }

    #[test]
    fn what_is_not_the_response_is_unreadable() {
        for body in [
            "",
            "<html>",
            "[]",
            r#"{"openid":"oA"}"#,
            r#"{"openid":"","session_key":"tiihtNczf5v6AKRyjwEUhQ=="}"#,
            r#"{"openid":"oA","session_key":"AAAA"}"#,
            r#"{"openid":"oA","session_key":"tiihtNczf5v6AKRyjwEUhQ=="#,
            r#"{"errcode":"forty"}"#,
        ] {
            assert!(matches!(code2session(body), Err(WechatError::Unreadable(_))), "{body}");
        }
    }

    #[test]
    fn what_is_no_object_answers_nothing() {
        // serde reads a struct from an array too: `[]` said that a session_key is valid.
        for body in ["[]", "[0]", r#"["0",7200]"#, "null", "0", "", " [] "] {
            assert!(matches!(code_exchange(body.as_bytes()), Err(WechatError::Unreadable(_))), "{body}");
            assert!(matches!(platform_token(body.as_bytes()), Err(WechatError::Unreadable(_))), "{body}");
            assert!(matches!(session_check(body.as_bytes()), Err(WechatError::Unreadable(_))), "{body}");
        }
    }

    #[test]
    fn a_session_key_is_valid_only_if_errcode_says_so() {
        assert!(session_check(br#"{"errcode":0,"errmsg":"ok"}"#).unwrap());
        assert!(!session_check(br#"{"errcode":87009,"errmsg":"invalid signature"}"#).unwrap());
        for body in ["{}", r#"{"errcode":null}"#, r#"{"message":"maintenance"}"#] {
            assert!(matches!(session_check(body.as_bytes()), Err(WechatError::Unreadable(_))), "{body}");
        }
    }

    proptest! {
        #[test]
        fn any_response_is_read_without_a_panic(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read::<Code2Session>(&body, Api::Code2Session);
            let _ = read::<PhoneNumber>(&body, Api::PhoneNumber);
        }
    }
}

//! What WeChat's responses say: any bytes become a value or a [`WechatError`].
//!
//! `null` and `""` are as good as absent, and only what is used has to be there.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    api::CodeExchange,
    errcode::{self, Api},
    error::WechatError,
    opendata::Phone,
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

/// The number that `getuserphonenumber` gives to this mini program, in whatever form.
///
/// It came over a channel that proves whose it is, and the owner has paid for it. So it is refused only if it says that it is
/// another app's.
pub fn phone(body: &[u8], appid: &AppId) -> Result<Phone, WechatError> {
    let PhoneNumber { phone_info } = read(body, Api::PhoneNumber)?;
    let member = |name| phone_info.get(name).map(as_text).unwrap_or_default();
    let owner = phone_info.get("watermark").and_then(|watermark| watermark.get("appid")).map(as_text);
    if owner.is_some_and(|owner| !owner.is_empty() && owner != appid.as_str()) {
        return Err(WechatError::WrongUser);
    }
    let phone = Phone {
        phone_number: member("phoneNumber"),
        pure_phone_number: member("purePhoneNumber"),
        country_code: member("countryCode"),
    };
    if phone.phone_number.is_empty() { Err(WechatError::Unreadable("no phone number")) } else { Ok(phone) }
}

/// A text or a number as text; anything else is as good as absent.
fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => String::new(),
    }
}

/// Whether `checksession` says that the `session_key` is still valid.
pub fn session_check(body: &[u8]) -> Result<bool, WechatError> {
    match read(body, Api::CheckSession) {
        Ok(SessionCheck { errcode: Errcode::Text(text) }) if text.trim().is_empty() => {
            Err(WechatError::Unreadable("errcode is missing"))
        }
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
    errmsg: Value,
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
        Some(Errcode::Text(text)) if text.trim().is_empty() => 0,
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
    unionid: Value,
}

impl TryFrom<Code2Session> for CodeExchange {
    type Error = WechatError;

    fn try_from(response: Code2Session) -> Result<Self, WechatError> {
        // A blank or a line break around it would otherwise end every login.
        let session_key = SessionKey::new(response.session_key.trim());
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
    errcode: Errcode,
}

#[derive(Deserialize)]
struct PhoneNumber {
    phone_info: Map<String, Value>,
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
        for errcode in
            ["", r#""errcode":0,"errmsg":"ok","#, r#""errcode":"0","#, r#""errcode":null,"#, r#""errcode":"","#]
        {
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
    fn blanks_and_line_breaks_around_a_session_key_are_not_part_of_it() {
        let exchange = code2session(r#"{"openid":"oA","session_key":" tiihtNczf5v6AKRyjwEUhQ==\n"}"#).unwrap();
        assert_eq!(exchange.session_key.expose(), "tiihtNczf5v6AKRyjwEUhQ==");
    }

    #[test]
    fn what_is_not_the_response_is_unreadable() {
        for body in [
            "",
            "<html>",
            "[]",
            r#"{"openid":"oA"}"#,
            r#"{"openid":"","session_key":"tiihtNczf5v6AKRyjwEUhQ=="}"#,
            r#"{"openid":null,"session_key":"tiihtNczf5v6AKRyjwEUhQ=="}"#,
            r#"{"openid":"oA","session_key":""}"#,
            r#"{"openid":"oA","session_key":null}"#,
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
        for body in ["{}", r#"{"errcode":null}"#, r#"{"errcode":""}"#, r#"{"message":"maintenance"}"#] {
            assert!(matches!(session_check(body.as_bytes()), Err(WechatError::Unreadable(_))), "{body}");
        }
    }

    #[test]
    fn a_platform_token_needs_its_text_and_its_time() {
        let token =
            |text, seconds| platform_token(format!(r#"{{"access_token":{text},"expires_in":{seconds}}}"#).as_bytes());
        assert_eq!(token(r#""t""#, "7200").unwrap().1, 7_200);
        for (text, seconds) in
            [(r#""""#, "7200"), ("null", "7200"), (r#""t""#, "null"), (r#""t""#, r#""""#), (r#""t""#, "0")]
        {
            assert!(matches!(token(text, seconds), Err(WechatError::Unreadable(_))), "{text} {seconds}");
        }
    }

    fn phone_of(phone_info: &Value) -> Result<Value, WechatError> {
        let body = serde_json::json!({ "errcode": 0, "errmsg": "ok", "phone_info": phone_info }).to_string();
        phone(body.as_bytes(), &AppId::parse("wx1").unwrap()).map(|phone| serde_json::to_value(phone).unwrap())
    }

    #[test]
    fn a_phone_number_is_what_names_no_other_app_and_is_not_empty() {
        let ours = serde_json::json!({ "appid": "wx1", "timestamp": 1 });
        for watermark in [ours, Value::Null, serde_json::json!({}), serde_json::json!({ "appid": "" })] {
            let given = serde_json::json!({ "phoneNumber": "1", "countryCode": 86, "watermark": watermark });
            let expected = serde_json::json!({ "phoneNumber": "1", "purePhoneNumber": "", "countryCode": "86" });
            assert_eq!(phone_of(&given).unwrap(), expected, "{given}");
        }
        let foreign = serde_json::json!({ "phoneNumber": "1", "watermark": { "appid": "wx2" } });
        assert!(matches!(phone_of(&foreign), Err(WechatError::WrongUser)));
        for none in [Value::Null, "".into(), true.into(), serde_json::json!([1]), serde_json::json!({ "a": 1 })] {
            let given = serde_json::json!({ "phoneNumber": none, "purePhoneNumber": "13800138000" });
            assert!(matches!(phone_of(&given), Err(WechatError::Unreadable(_))), "{given}");
        }
        for none in [Value::Null, "".into(), serde_json::json!([])] {
            assert!(matches!(phone_of(&none), Err(WechatError::Unreadable(_))), "{none}");
        }
    }

    /// Any JSON, at most a few levels deep.
    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(2, 8, 3, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                proptest::collection::hash_map(".{0,6}", inner, 0..3).prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_text_that_wechat_gives_as_a_number_is_handed_on_as_it_is(
            number in ".{1,40}", pure in json(), code in json(), more in json()
        ) {
            let given = serde_json::json!({
                "phoneNumber": number, "purePhoneNumber": pure, "countryCode": code, "more": more,
                "watermark": { "appid": "wx1" },
            });
            let phone = phone_of(&given).unwrap();

            prop_assert_eq!(&phone["phoneNumber"], &given["phoneNumber"]);
            for (name, given) in [("purePhoneNumber", pure), ("countryCode", code)] {
                let text = given.as_str().map(str::to_owned);
                let expected = text.or_else(|| given.as_i64().map(|number| number.to_string())).unwrap_or_default();
                prop_assert_eq!(phone[name].as_str(), Some(expected.as_str()));
            }
        }

        #[test]
        fn any_response_is_read_without_a_panic(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read::<Code2Session>(&body, Api::Code2Session);
            let _ = read::<PhoneNumber>(&body, Api::PhoneNumber);
        }
    }
}

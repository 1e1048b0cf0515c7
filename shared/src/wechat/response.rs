//! What WeChat's responses say: any bytes become a value or a [`WechatError`].
//!
//! `null` and `""` are as good as absent, and only what is used has to be there.

use std::collections::BTreeMap;

use serde_json::{Value, value::RawValue};

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
    let members = read(body, Api::Code2Session)?;
    let session_key = members.session_key()?;
    Ok(CodeExchange {
        openid: OpenId::parse(&members.text("openid")).map_err(|_| WechatError::Unreadable("openid"))?,
        session_key,
        // A login does not need it, so a wrong one never refuses the login.
        unionid: members.value("unionid").as_str().and_then(|text| UnionId::parse(text).ok()),
    })
}

/// The platform token that `stable_token` gives, and its remaining seconds.
pub fn platform_token(body: &[u8]) -> Result<(PlatformToken, Secs), WechatError> {
    let members = read(body, Api::StableToken)?;
    let (token, seconds) = (members.text("access_token"), members.text("expires_in").parse().unwrap_or(0));
    if token.is_empty() || seconds == 0 {
        return Err(WechatError::Unreadable("a platform token without text or time"));
    }
    Ok((PlatformToken::new(token), LONGEST_TOKEN.min(seconds)))
}

/// The number that `getuserphonenumber` gives to this mini program, in whatever form.
///
/// It came over a channel that proves whose it is, and the owner has paid for it. So it is refused only if it says that it is
/// another app's.
pub fn phone(body: &[u8], appid: &AppId) -> Result<Phone, WechatError> {
    let info = read(body, Api::PhoneNumber)?.object("phone_info").unwrap_or_default();
    let owner = info.object("watermark").unwrap_or_default().text("appid");
    if !owner.is_empty() && owner != appid.as_str() {
        return Err(WechatError::WrongUser);
    }
    let phone = Phone {
        phone_number: info.text("phoneNumber"),
        pure_phone_number: info.text("purePhoneNumber"),
        country_code: info.text("countryCode"),
    };
    if phone.phone_number.is_empty() { Err(WechatError::Unreadable("no phone number")) } else { Ok(phone) }
}

/// Whether `checksession` says that the `session_key` is still valid.
pub fn session_check(body: &[u8]) -> Result<bool, WechatError> {
    let errcode = match read(body, Api::CheckSession) {
        Err(WechatError::SessionKeyStale) => return Ok(false),
        read => read?.errcode()?,
    };
    // It is all that this response says, so it must be there.
    errcode.map(|_| true).ok_or(WechatError::Unreadable("errcode is missing"))
}

/// The key that `resetusersessionkey` gives in the place of another.
pub fn new_session_key(body: &[u8]) -> Result<SessionKey, WechatError> {
    read(body, Api::ResetSessionKey)?.session_key()
}

/// Whether `checkencryptedmsg` says that WeChat made the data. Only its own word is a verdict.
pub fn data_check(body: &[u8]) -> Result<bool, WechatError> {
    let members = match read(body, Api::CheckData) {
        Err(WechatError::DataUnknown) => return Ok(false),
        read => read?,
    };
    // WeChat spells it like that.
    let said = ["vaild", "valid"].into_iter().find_map(|name| members.value(name).as_bool());
    said.ok_or(WechatError::Unreadable("vaild is missing"))
}

/// The members of an object, each as it was written. One that nobody uses may hold anything: half an emoji, a number without
/// bounds, any depth.
#[derive(Default)]
struct Members(BTreeMap<String, Box<RawValue>>);

impl Members {
    fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok().map(Self)
    }

    fn object(&self, name: &str) -> Option<Self> {
        Self::parse(self.0.get(name)?.get())
    }

    /// `null` if it is absent or cannot be read.
    fn value(&self, name: &str) -> Value {
        self.0.get(name).and_then(|value| serde_json::from_str(value.get()).ok()).unwrap_or_default()
    }

    /// A text, or a number as text; anything else is as good as absent, which is the empty text.
    fn text(&self, name: &str) -> String {
        match self.value(name) {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => String::new(),
        }
    }

    fn session_key(&self) -> Result<SessionKey, WechatError> {
        // A blank or a line break around it would otherwise end every login.
        let session_key = SessionKey::new(self.text("session_key").trim());
        match session_key.aes_key() {
            Some(_) => Ok(session_key),
            None => Err(WechatError::Unreadable("session_key is not base64 of 16 bytes")),
        }
    }

    /// WeChat writes it as a number, seldom as text, and mostly not at all on success.
    fn errcode(&self) -> Result<Option<i64>, WechatError> {
        let is_absent = matches!(self.0.get("errcode").map(|value| value.get()), None | Some("null" | r#""""#));
        let text = self.text("errcode");
        let number = text.trim().trim_end_matches(".0");
        if is_absent || (number.is_empty() && !text.is_empty()) {
            return Ok(None);
        }
        number.parse().map(Some).map_err(|_| WechatError::Unreadable("errcode is no number"))
    }
}

/// Reads a response by its content, not by its `Content-Type`, which is `text/plain` for JSON.
///
/// Raw control characters and bytes that are no UTF-8 were seen in WeChat's texts. They must not hide an `errcode`.
fn read(body: &[u8], api: Api) -> Result<Members, WechatError> {
    let body: Vec<u8> = body.iter().map(|byte| (*byte).max(b' ')).collect();
    let body = String::from_utf8_lossy(&body);
    // serde reads a struct from an array too, but no map: `[]` would be a yes to whatever was asked.
    let members = Members::parse(body.trim_start_matches('\u{feff}'));
    let members = members.ok_or(WechatError::Unreadable("not a JSON object"))?;
    match members.errcode()? {
        None | Some(0) => Ok(members),
        Some(errcode) => {
            let rid = errcode::rid(&members.text("errmsg"));
            request_log::record(|fields| (fields.errcode, fields.rid) = (Some(errcode), rid.clone()));
            Err(errcode::meaning(api, errcode, rid))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn code2session(body: &str) -> Result<CodeExchange, WechatError> {
        code_exchange(body.as_bytes())
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
        let invalid = |body: &[u8]| matches!(code_exchange(body), Err(WechatError::CodeInvalid));
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
    fn a_member_that_nobody_uses_may_hold_anything() {
        let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
        for odd in [r#""\ud83d""#, "1e999", r#"{"a":1,"a":2}"#, &deep] {
            let session = format!(
                r#"{{"openid":"oA","session_key":"tiihtNczf5v6AKRyjwEUhQ==","unionid":{odd},"errmsg":{odd},"note":{odd}}}"#
            );
            assert!(code2session(&session).unwrap().unionid.is_none(), "{odd}");
            let number = format!(
                r#"{{"errcode":0,"errmsg":{odd},"phone_info":{{"phoneNumber":"1","note":{odd},"countryCode":{odd}}}}}"#
            );
            assert!(phone(number.as_bytes(), &AppId::parse("wx1").unwrap()).is_ok(), "{odd}");
            let refusal = format!(r#"{{"errcode":40029,"errmsg":{odd}}}"#);
            assert!(matches!(code2session(&refusal), Err(WechatError::CodeInvalid)), "{odd}");
        }
        let marked = "\u{feff}{\"errcode\":0.0,\"openid\":\"oA\",\"session_key\":\"tiihtNczf5v6AKRyjwEUhQ==\"}";
        assert!(code2session(marked).is_ok());
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
    fn a_key_in_the_place_of_another_is_one_that_can_be_used() {
        let reset = |body: &str| new_session_key(body.as_bytes());
        let good = r#"{"errcode":0,"errmsg":"ok","openid":"oA","session_key":"tiihtNczf5v6AKRyjwEUhQ=="}"#;
        assert_eq!(reset(good).unwrap().expose(), "tiihtNczf5v6AKRyjwEUhQ==");
        assert!(matches!(reset(r#"{"errcode":87009}"#), Err(WechatError::SessionKeyStale)));
        for body in ["{}", "[]", r#"{"errcode":0}"#, r#"{"session_key":null}"#, r#"{"session_key":"AAAA"}"#] {
            assert!(matches!(reset(body), Err(WechatError::Unreadable(_))), "{body}");
        }
    }

    #[test]
    fn data_is_wechats_or_not_only_by_wechats_own_word() {
        let check = |body: &str| data_check(body.as_bytes());
        for (body, expected) in [
            (r#"{"errcode":0,"errmsg":"ok","vaild":true,"create_time":1655558701}"#, true),
            (r#"{"errcode":0,"errmsg":"ok","valid":true}"#, true),
            (r#"{"errcode":0,"vaild":false,"valid":true}"#, false),
            (r#"{"errcode":0,"errmsg":"ok","vaild":false}"#, false),
            (r#"{"errcode":1,"errmsg":"data not exit"}"#, false),
            (r#"{"errcode":"1"}"#, false),
        ] {
            assert_eq!(check(body).unwrap(), expected, "{body}");
        }
        for body in ["", "[]", "{}", r#"{"errcode":0}"#, r#"{"vaild":1}"#, r#"{"vaild":"true"}"#, r#"{"vaild":null}"#] {
            assert!(matches!(check(body), Err(WechatError::Unreadable(_))), "{body}");
        }
        assert!(matches!(check(r#"{"errcode":-1,"vaild":false}"#), Err(WechatError::Busy { .. })));
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
            let _ = code_exchange(&body);
            let _ = phone(&body, &AppId::parse("wx1").unwrap());
        }
    }
}

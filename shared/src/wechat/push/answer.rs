//! What the owner's function answers to a message, and how WeChat is told.

use serde_json::{Map, Value as Json, json};

use super::message::{AnswerForm, DEEPEST, Format, Message};
use crate::{clock::Secs, entropy::Entropy, ids::AppId, json};

/// WeChat's limit is not known. Whatever is to be said fits into this.
const LONGEST: usize = 16 * 1024;

/// What encrypting an answer takes beside the mini program's key.
#[derive(Clone, Copy)]
pub struct Sealing<'a> {
    /// The mini program.
    pub appid: &'a AppId,
    /// The present time, which is signed.
    pub now: Secs,
    /// The random bytes before the answer.
    pub entropy: &'a dyn Entropy,
}

/// What WeChat gets to read.
#[derive(Debug)]
pub struct Reply {
    /// How it is written; a mere word has no format.
    pub format: Option<Format>,
    /// The body.
    pub text: String,
}

/// What WeChat is told of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// `success`.
    Success,
    /// An object of WeChat's own form.
    Object(Map<String, Json>),
}

/// Why what the owner's function answered is none of the answers that WeChat understands. Never holds any of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerDefect {
    /// It is of another form than WeChat wants for this message.
    #[error("it is not what WeChat wants to hear of this message")]
    Form,
    /// It is an `ErrCode` other than 0, of a message for which WeChat knows none.
    #[error("it is an ErrCode other than 0")]
    Refused,
    /// It is what a function answers to API Gateway, which is not here.
    #[error(
        "it has a statusCode, as an answer to API Gateway: return WeChat's answer itself, or nothing where the message is taken"
    )]
    OfApiGateway,
    /// It is too long.
    #[error("it is longer than 16 KiB")]
    TooLong,
}

impl Answer {
    /// Reads what the owner's function gave. Nothing, `null`, an empty text and `success` mean that the
    /// message is taken, where WeChat wants to hear no more.
    pub fn read(given: &[u8], message: &Message, now: u64) -> Result<Self, AnswerDefect> {
        if given.len() > LONGEST {
            return Err(AnswerDefect::TooLong);
        }
        let given = match given.trim_ascii() {
            b"" => Json::Null,
            // Of a member that is given twice, another reader would take the other one.
            object if object.starts_with(b"{") => json::nested(object, DEEPEST).map_err(|_| AnswerDefect::Form)?,
            word => serde_json::from_slice(word).map_err(|_| AnswerDefect::Form)?,
        };
        let is_taken = match &given {
            Json::Null => true,
            Json::String(text) => matches!(text.trim(), "" | "success"),
            _ => false,
        };
        let code = given.get("ErrCode").map(|code| whole(code).ok_or(AnswerDefect::Form)).transpose()?;
        let answer = match (message.answer_form(), code) {
            (AnswerForm::ErrCode, _) if is_taken => Some(Self::of(json!({ "ErrCode": 0, "ErrMsg": "success" }))),
            (AnswerForm::ErrCode, Some(code)) => {
                let otherwise = if code == 0 { "success" } else { "failed" };
                let said = given["ErrMsg"].as_str().unwrap_or(otherwise);
                Some(Self::of(json!({ "ErrCode": code, "ErrMsg": said })))
            }
            (AnswerForm::Success, _) if is_taken || code == Some(0) => Some(Self::Success),
            (_, Some(code)) if code != 0 => return Err(AnswerDefect::Refused),
            (AnswerForm::ErrCode, None) => None,
            (AnswerForm::Success, _) => transfer(&given, message, now),
            (AnswerForm::RefundVerdict, _) => refund_verdict(&given),
        };
        let is_for_a_gateway = given.get("statusCode").is_some();
        answer.ok_or(if is_for_a_gateway { AnswerDefect::OfApiGateway } else { AnswerDefect::Form })
    }

    /// Whether the message is done. Any other `ErrCode` than 0 has WeChat send it again.
    #[must_use]
    pub fn is_final(&self) -> bool {
        !matches!(self, Self::Object(members) if members.get("ErrCode").is_some_and(|code| *code != 0))
    }

    /// As it is kept for repetitions of the message.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Success => b"null".to_vec(),
            Self::Object(members) => Json::Object(members.clone()).to_string().into_bytes(),
        }
    }

    /// What was kept: [`to_bytes`](Self::to_bytes) made it.
    #[must_use]
    pub fn kept(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().map(Self::of)
    }

    /// As WeChat reads it in this format; `None` for `success`, which has no format and is never encrypted.
    #[must_use]
    pub fn text(&self, format: Format) -> Option<String> {
        let Self::Object(members) = self else { return None };
        Some(written(members, format))
    }

    fn of(object: Json) -> Self {
        match object {
            Json::Object(members) => Self::Object(members),
            _ => Self::Success,
        }
    }
}

/// That WeChat's web console takes a customer's message over. What the message says itself need not be said again.
fn transfer(given: &Json, message: &Message, now: u64) -> Option<Answer> {
    (given["MsgType"] == "transfer_customer_service" && !message.is_event()).then_some(())?;
    let member = |name: &str, other: &str| match &given[name] {
        Json::String(text) => Some(text.clone()),
        Json::Null => message.get(other).ok().flatten().map(std::borrow::Cow::into_owned),
        _ => None,
    };
    let at = if given["CreateTime"].is_null() { Some(now.into()) } else { whole(&given["CreateTime"]).map(Json::from) };
    Some(Answer::of(json!({
        "ToUserName": member("ToUserName", "FromUserName")?,
        "FromUserName": member("FromUserName", "ToUserName")?,
        "CreateTime": at?,
        "MsgType": "transfer_customer_service",
    })))
}

/// Whether Apple may pay the user back. The evidence is wanted either way.
fn refund_verdict(given: &Json) -> Option<Answer> {
    let code = whole(&given["result_code"]).filter(|code| matches!(code, 0 | 1))?;
    let evidence = given["evidence"].as_str().filter(|evidence| !evidence.is_empty())?;
    let info = if given["result_info"].is_null() { "" } else { given["result_info"].as_str()? };
    Some(Answer::of(json!({ "result_code": code, "result_info": info, "evidence": evidence })))
}

/// A whole number, or a text of one.
fn whole(value: &Json) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// The members in this format. In XML, texts are CDATA, in which no text can end it, and numbers are as they are.
pub(super) fn written(members: &Map<String, Json>, format: Format) -> String {
    if format == Format::Json {
        return Json::Object(members.clone()).to_string();
    }
    let elements = members.iter().map(|(name, value)| match value {
        Json::String(text) => {
            // XML has neither these nor other control characters than three.
            let is_none = |letter: char| {
                matches!(letter, '\u{fffe}' | '\u{ffff}') || (letter < ' ' && !"\t\n\r".contains(letter))
            };
            let text = text.replace(is_none, "").replace("]]>", "]]]]><![CDATA[>");
            format!("<{name}><![CDATA[{text}]]></{name}>")
        }
        other => format!("<{name}>{other}</{name}>"),
    });
    format!("<xml>{}</xml>", elements.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Message {
        Message::read(text.as_bytes()).unwrap()
    }

    fn delivery() -> Message {
        message(r#"{"MsgType":"event","Event":"xpay_goods_deliver_notify","OutTradeNo":"1"}"#)
    }

    fn refund() -> Message {
        message(r#"{"channel_bill":"1","bundleid":"2"}"#)
    }

    fn event() -> Message {
        message(r#"{"MsgType":"event","Event":"wxa_media_check"}"#)
    }

    fn text() -> Message {
        message(r#"{"ToUserName":"gh_1","FromUserName":"oA","MsgType":"text","Content":"hi","MsgId":1}"#)
    }

    fn told(given: &str, message: &Message) -> Result<String, AnswerDefect> {
        let answer = Answer::read(given.as_bytes(), message, 1_700_000_000)?;
        assert_eq!(Answer::kept(&answer.to_bytes()).as_ref(), Some(&answer), "{given}");
        Ok(answer.text(Format::Json).unwrap_or_else(|| "success".to_owned()))
    }

    #[test]
    fn a_function_that_ends_without_a_word_has_taken_the_message() {
        for nothing in ["", "null", " \n", "\"\"", "\"success\"", "\" success\\n\""] {
            assert_eq!(told(nothing, &event()).unwrap(), "success", "{nothing}");
            assert_eq!(told(nothing, &text()).unwrap(), "success", "{nothing}");
            assert_eq!(told(nothing, &delivery()).unwrap(), r#"{"ErrCode":0,"ErrMsg":"success"}"#, "{nothing}");
            assert_eq!(told(nothing, &refund()), Err(AnswerDefect::Form), "{nothing}");
        }
    }

    #[test]
    fn an_err_code_is_handed_on_where_wechat_knows_one() {
        assert_eq!(told(r#"{"ErrCode":0}"#, &delivery()).unwrap(), r#"{"ErrCode":0,"ErrMsg":"success"}"#);
        assert_eq!(told(r#"{"ErrCode":"0","ErrMsg":"ok"}"#, &delivery()).unwrap(), r#"{"ErrCode":0,"ErrMsg":"ok"}"#);
        assert_eq!(told(r#"{"ErrCode":7}"#, &delivery()).unwrap(), r#"{"ErrCode":7,"ErrMsg":"failed"}"#);
        let failed = Answer::read(br#"{"ErrCode":7}"#, &delivery(), 0).unwrap();
        assert!(!failed.is_final() && Answer::read(b"", &delivery(), 0).unwrap().is_final());
        assert_eq!(told(r#"{"ErrCode":0}"#, &event()).unwrap(), "success");
        for message in [event(), text(), refund()] {
            assert_eq!(told(r#"{"ErrCode":7}"#, &message), Err(AnswerDefect::Refused));
        }
    }

    #[test]
    fn a_refund_needs_a_verdict_and_its_evidence() {
        let good = r#"{"evidence":"已发货","result_code":1,"result_info":"拒绝退款"}"#;
        assert_eq!(told(good, &refund()).unwrap(), good);
        let brief = told(r#"{"result_code":"0","evidence":"e","more":[1]}"#, &refund()).unwrap();
        assert_eq!(brief, r#"{"evidence":"e","result_code":0,"result_info":""}"#);
        for bad in [
            r#"{"result_code":2,"evidence":"e"}"#,
            r#"{"result_code":1}"#,
            r#"{"result_code":1,"evidence":""}"#,
            r#"{"result_code":1,"evidence":["e"]}"#,
            r#"{"result_code":1,"evidence":"e","result_info":1}"#,
            r#"{"result_code":1.5,"evidence":"e"}"#,
            r#"{"ErrCode":0}"#,
        ] {
            assert_eq!(told(bad, &refund()), Err(AnswerDefect::Form), "{bad}");
        }
        assert_eq!(told(good, &delivery()), Err(AnswerDefect::Form));
    }

    #[test]
    fn a_customers_message_can_be_given_to_the_console_and_an_event_cannot() {
        let brief = r#"{"MsgType":"transfer_customer_service"}"#;
        let whole = r#"{"CreateTime":1700000000,"FromUserName":"gh_1","MsgType":"transfer_customer_service","ToUserName":"oA"}"#;
        assert_eq!(told(brief, &text()).unwrap(), whole);
        assert_eq!(told(whole, &text()).unwrap(), whole);
        for message in [event(), delivery(), refund()] {
            assert_eq!(told(brief, &message), Err(AnswerDefect::Form));
        }
    }

    #[test]
    fn what_is_none_of_these_is_not_handed_on() {
        for garbage in [
            "1",
            "true",
            "[]",
            "{}",
            "\"ok\"",
            "{",
            "<xml/>",
            "\u{0}",
            // Nobody knows which is meant.
            r#"{"ErrCode":0,"ErrCode":0}"#,
            r#"{"ErrCode":1,"ErrCode":0}"#,
            r#"{"ErrCode":0,"ErrMsg":"a","ErrMsg":"b"}"#,
            r#"{"result_code":0,"evidence":"e","result_code":1}"#,
            r#"{"MsgType":"transfer_customer_service","more":{"a":1,"a":2}}"#,
            &format!(r#"{{"ErrCode":0,"more":{}{}}}"#, "[".repeat(40), "]".repeat(40)),
        ] {
            for message in [event(), text(), delivery(), refund()] {
                assert_eq!(told(garbage, &message), Err(AnswerDefect::Form), "{garbage}");
            }
        }
        for message in [event(), text(), delivery(), refund()] {
            let given = r#"{"statusCode":200,"body":"success"}"#;
            assert_eq!(told(given, &message), Err(AnswerDefect::OfApiGateway));
        }
        let long = format!(r#"{{"ErrCode":0,"ErrMsg":"{}"}}"#, "x".repeat(LONGEST));
        assert_eq!(told(&long, &delivery()), Err(AnswerDefect::TooLong));
    }

    #[test]
    fn an_answer_of_the_greatest_length_is_given_again() {
        let bare = r#"{"result_code":0,"evidence":""}"#;
        let longest = bare.replace(r#""""#, &format!("\"{}\"", "e".repeat(LONGEST - bare.len())));
        assert_eq!(longest.len(), LONGEST);

        // `told` reads what is kept, too, which has a member more.
        assert!(told(&longest, &refund()).is_ok());
    }

    #[test]
    fn in_xml_no_text_leaves_its_element() {
        let hostile = r#"{"result_code":0,"result_info":"]]><a>&\u0000\u000b","evidence":"]]]]>x"}"#;
        let answer = Answer::read(hostile.as_bytes(), &refund(), 0).unwrap();
        let xml = answer.text(Format::Xml).unwrap();
        let document = roxmltree::Document::parse(&xml).unwrap();
        let texts = |name: &str| {
            let node = document.root_element().children().find(|node| node.has_tag_name(name)).unwrap();
            node.children().filter_map(|part| part.text()).collect::<String>()
        };
        assert_eq!((texts("result_info"), texts("evidence")), ("]]><a>&".to_owned(), "]]]]>x".to_owned()));
        assert_eq!(texts("result_code"), "0");
        let code = Answer::read(b"", &delivery(), 0).unwrap().text(Format::Xml).unwrap();
        assert_eq!(code, "<xml><ErrCode>0</ErrCode><ErrMsg><![CDATA[success]]></ErrMsg></xml>");
    }
}

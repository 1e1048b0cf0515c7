//! Messages that are handed to the owner's function, and what comes back.

mod answers;
mod purchases;
mod repeats;
mod trouble;

use http::StatusCode;
use serde_json::{Value, json};
use tests::{APPID, Laptop, Response, Start, suites::kill::owner::Owner};

use super::{AES_KEY, app, pushed, send_push};

/// The modes of WeChat's console, each with the key that the mini program has here.
const MODES: [(&str, Option<&str>); 4] =
    [("plain", None), ("compatible", None), ("compatible", Some(AES_KEY)), ("secure", Some(AES_KEY))];

const ERR_CODE: &str = r#"{"ErrCode":0,"ErrMsg":"success"}"#;

async fn laptop_with(owner: &Owner, key: Option<&str>) -> Laptop {
    Start::default().apps(json!({ "apps": { APPID: app("token", key) } })).push_target(&owner.url).go().await
}

/// One mini program in the secure mode, and the function of its owner.
async fn secure() -> (Laptop, Owner) {
    let owner = Owner::start().await;
    (laptop_with(&owner, Some(AES_KEY)).await, owner)
}

/// A request with this message, as WeChat sends it in this mode.
fn in_mode(laptop: &Laptop, mode: &str, message: &str) -> Value {
    let is_xml = message.starts_with('<');
    let wanted = json!({
        "user": "nobody", "event": "user_info_modified", "mode": mode, "format": if is_xml { "xml" } else { "json" },
        "encoding_aes_key": AES_KEY, "message": message,
    });
    let mut push = pushed(laptop, wanted);
    let body = push["body"].as_str().unwrap().to_owned();
    push["body"] = match mode {
        "plain" => message.to_owned(),
        // Message and `Encrypt`: without a key, the members in the clear are what is read.
        "compatible" if is_xml => {
            let encrypted = body.split("<Encrypt>").nth(1).unwrap().split("</Encrypt>").next().unwrap();
            message.replacen("<xml>", &format!("<xml><Encrypt>{encrypted}</Encrypt>"), 1)
        }
        "compatible" => {
            let encrypted = serde_json::from_str::<Value>(&body).unwrap()["Encrypt"].clone();
            message.replacen('{', &format!("{{\"Encrypt\":{encrypted},"), 1)
        }
        _ => body,
    }
    .into();
    push
}

async fn send_message(laptop: &Laptop, message: &str) -> Response {
    send_push(laptop, &in_mode(laptop, "secure", message)).await
}

/// The message is not acknowledged, so WeChat sends it again; the log says why.
#[track_caller]
fn is_untaken(laptop: &Laptop, answer: &Response, verdict: &str) {
    answer.is_problem(503, "unavailable", "retry");
    let line: Value = serde_json::from_str(&laptop.line(answer)).unwrap();
    assert_eq!((&line["level"], &line["verdict"]), (&json!("ERROR"), &json!(verdict)), "{line}");
}

#[track_caller]
fn is_acknowledged(answer: &Response) {
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
}

fn delivery(order: &str) -> String {
    json!({
        "ToUserName": "gh_1", "FromUserName": "oPlatform", "CreateTime": 1, "MsgType": "event",
        "Event": "xpay_goods_deliver_notify", "OpenId": "oAlice", "OutTradeNo": order, "Env": 0,
    })
    .to_string()
}

fn refund_query(order: &str) -> String {
    json!({ "channel_bill": "1", "bundleid": "b", "pay_order_id": order, "refund_time": "1" }).to_string()
}

fn customers_words(id: u64) -> String {
    json!({ "ToUserName": "gh_1", "FromUserName": "oAlice", "CreateTime": 1, "MsgType": "text", "Content": "hi", "MsgId": id })
        .to_string()
}

fn media_check(trace: &str) -> String {
    json!({ "MsgType": "event", "Event": "wxa_media_check", "FromUserName": "oAlice", "trace_id": trace }).to_string()
}

//! Messages about money: their members, and how they are repeated until somebody acknowledges them.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use wechat_simulator::App;

use crate::client::Wire;

async fn pushed(wire: &Wire, request: Value) -> (u64, Value) {
    let push = wire.sim("push", request).await;
    (push["id"].as_u64().unwrap(), body(&push))
}

fn body(push: &Value) -> Value {
    serde_json::from_str(push["body"].as_str().unwrap()).unwrap()
}

async fn answered(wire: &Wire, id: u64, status: u16, body: &str) -> Value {
    wire.sim("answer", json!({ "id": id, "status": status, "body": body })).await
}

#[tokio::test]
async fn each_event_about_money_has_the_members_of_the_vectors() {
    let wire = Wire::start().await;
    let file: Value = serde_json::from_str(include_str!("../../../../tests/fixtures/wechat-push-2.json")).unwrap();
    let mut seen = 0;
    for sample in file["events"].as_array().unwrap() {
        let expected: Value = serde_json::from_str(sample["json"].as_str().unwrap()).unwrap();
        let event = expected["Event"].as_str().unwrap_or_default();
        let is_usual = sample["id"] == event || sample["id"] == "minigame_game_pay_goods_deliver_notify";
        if !is_usual || !(event.starts_with("xpay_") || event.starts_with("minigame_")) {
            continue;
        }
        let (_, message) = pushed(&wire, json!({ "user": "ada", "event": event, "mode": "plain" })).await;
        let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(names(&message), names(&expected), "{event}");
        for (name, value) in expected.as_object().unwrap() {
            match (value, &message[name]) {
                (Value::Object(_), inner) => assert!(names(inner).is_superset(&names(value)), "{event}: {name}"),
                (Value::String(_), other) => assert!(other.is_string(), "{event}: {name}"),
                (_, other) => assert!(other.is_number(), "{event}: {name}"),
            }
        }
        seen += 1;
    }
    assert_eq!(seen, 7);
}

#[tokio::test]
async fn members_are_on_demand_also_nested_in_xml() {
    let wire = Wire::start().await;
    let request = json!({
        "user": "ada", "event": "xpay_goods_deliver_notify", "mode": "plain", "format": "xml",
        "without": ["WeChatPayInfo"], "with": { "Env": 1, "TeamInfo": { "TeamId": "t1]]>", "TeamType": 1 } },
    });

    let push = wire.sim("push", request).await;

    let text = push["body"].as_str().unwrap();
    assert!(text.contains("<Env>1</Env>") && !text.contains("WeChatPayInfo"), "{text}");
    assert!(text.contains("<GoodsInfo><ActualPrice>1000</ActualPrice>"), "{text}");
    let team = "<TeamInfo><TeamId><![CDATA[t1]]]]><![CDATA[>]]></TeamId><TeamType>1</TeamType></TeamInfo></xml>";
    assert!(text.ends_with(team), "{text}");
}

#[tokio::test]
async fn a_refund_is_about_the_order_that_it_names() {
    let wire = Wire::start().await;
    let nobody = json!({ "event": "xpay_refund_notify", "outTradeNo": "WX20260101-0001" }).to_string();

    assert_eq!(wire.send("POST", "/sim/push", &nobody).await.status, 400);
    let request =
        json!({ "user": "ada", "event": "xpay_refund_notify", "outTradeNo": "WX20260101-0001", "mode": "plain" });
    let (_, message) = pushed(&wire, request).await;
    assert_eq!((&message["MchOrderId"], &message["RefundFee"]), (&json!("WX20260101-0001"), &json!(1000)));
}

#[tokio::test]
async fn what_is_not_acknowledged_comes_again_with_the_next_number_and_another_signature() {
    let wire = Wire::start().await;
    let (id, first) = pushed(&wire, json!({ "user": "ada", "event": "xpay_refund_notify", "mode": "plain" })).await;
    assert_eq!(first["RetryTimes"], 0);

    assert_eq!(answered(&wire, id, 503, "").await, json!({ "acknowledged": false, "again_in": 2 }));
    wire.advance(2);
    let again = wire.sim("repeat", json!({ "id": id })).await;

    let mut second = body(&again);
    assert_eq!(second["RetryTimes"].take(), 1);
    second["RetryTimes"] = json!(0);
    assert_eq!(second, first);
    assert!(again["query"].as_str().unwrap().contains("timestamp=1700000002&"));
    assert_eq!(answered(&wire, id, 200, r#"{"ErrCode":1,"ErrMsg":"later"}"#).await["again_in"], 4);
    let as_first = wire.sim("repeat", json!({ "id": id, "first_timestamp": true })).await;
    assert!(as_first["query"].as_str().unwrap().contains("timestamp=1700000000&"));
    assert_eq!(answered(&wire, id, 200, r#"{"ErrCode":0,"ErrMsg":"success"}"#).await, json!({ "acknowledged": true }));
    assert_eq!(wire.send("POST", "/sim/repeat", r#"{"id":99}"#).await.status, 400);
}

#[tokio::test]
async fn an_answer_counts_in_the_forms_that_wechat_takes() {
    let wire = Wire::start().await;
    let xml = "<xml><ErrCode>0</ErrCode><ErrMsg><![CDATA[success]]></ErrMsg></xml>";
    let verdict = r#"{"result_code":1,"result_info":"","evidence":"e"}"#;
    for (event, taken, not_taken) in [
        (
            "xpay_goods_deliver_notify",
            vec!["", "success", r#"{"ErrCode":0}"#, r#"{"ErrCode":"0"}"#, xml],
            vec!["ok", r#"{"ErrCode":7}"#, "{}", "<xml/>", &xml.replace('0', "1"), verdict],
        ),
        ("xpay_subscribe_ios_refund_query_notify", vec![verdict], vec!["", "success", r#"{"result_code":1}"#, xml]),
        ("user_info_modified", vec!["", "success"], vec!["ok", r#"{"ErrCode":0}"#]),
    ] {
        let (id, _) = pushed(&wire, json!({ "user": "ada", "event": event, "mode": "plain" })).await;
        for text in not_taken {
            assert_eq!(answered(&wire, id, 200, text).await["acknowledged"], false, "{event}: {text}");
        }
        for text in taken {
            assert_eq!(answered(&wire, id, 500, text).await["acknowledged"], false, "{event}: {text}");
            assert_eq!(answered(&wire, id, 200, text).await["acknowledged"], true, "{event}: {text}");
        }
    }
}

#[tokio::test]
async fn an_encrypted_answer_is_opened() {
    let file: Value = serde_json::from_str(include_str!("../../../../tests/fixtures/wechat-push-2.json")).unwrap();
    let reply = |id: &str| {
        let vectors = file["vectors"].as_array().unwrap();
        vectors.iter().find(|vector| vector["id"] == id).unwrap().clone()
    };
    for id in ["reply-json-errcode", "reply-xml-errcode"] {
        let vector = reply(id);
        let text = |name: &str| vector[name].as_str().unwrap();
        let push = wechat_simulator::Push {
            token: text("token").to_owned(),
            encoding_aes_key: Some(text("encoding_aes_key").to_owned()),
        };
        let app = App { appid: text("appid").to_owned(), push: Some(push), ..App::demo() };
        let wire = Wire::with_app(app).await;
        let (id, _) = pushed(&wire, json!({ "user": "ada", "event": "xpay_goods_deliver_notify" })).await;

        assert_eq!(answered(&wire, id, 200, text("body")).await["acknowledged"], true, "{id}");
        let forged = text("body").replace(text("msg_signature"), &text("msg_signature").replace('a', "b"));
        assert_eq!(answered(&wire, id, 200, &forged).await["acknowledged"], false, "{id}");
    }
}

/// Answers each request with the next of these, and gives their bodies.
async fn server(listener: TcpListener, answers: &[&str]) -> Vec<String> {
    let mut bodies = Vec::new();
    for answer in answers {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut read = vec![0; 64 * 1024];
        let mut text = String::new();
        while !text.contains("</xml>") {
            let count = stream.read(&mut read).await.unwrap();
            text.push_str(str::from_utf8(&read[..count]).unwrap());
        }
        assert!(text.starts_with("POST /v1/push?signature="), "{text}");
        bodies.push(text.split_once("\r\n\r\n").unwrap().1.to_owned());
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
    bodies
}

#[tokio::test]
async fn a_message_is_sent_until_it_is_acknowledged() {
    let wire = Wire::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/push", listener.local_addr().unwrap()).parse().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let sender = tokio::spawn(wire.simulator.clone().push_to(url, async {
        let _ = stopped.await;
    }));
    let request =
        json!({ "user": "ada", "event": "xpay_refund_notify", "mode": "plain", "format": "xml", "send": true });
    let id = wire.sim("push", request).await["id"].as_u64().unwrap();
    let refusal = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    let consent = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nsuccess";

    // A clock on which every pause is over at once.
    let ticking = async {
        loop {
            wire.advance(60);
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let answers = [refusal, refusal, consent];
    let bodies = tokio::select! {
        bodies = server(listener, &answers) => bodies,
        () = ticking => unreachable!(),
    };

    for (number, body) in bodies.iter().enumerate() {
        assert!(body.contains(&format!("<RetryTimes>{number}</RetryTimes>")), "{body}");
    }
    // Of the answers that came, the last one counts.
    assert_eq!(wire.simulator.control("repeat", json!({ "id": id })).unwrap()["id"], id);
    drop(stop);
    sender.await.unwrap();
}

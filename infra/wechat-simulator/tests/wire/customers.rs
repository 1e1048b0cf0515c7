//! What customers send, and auto-renewals: their members, and what acknowledges them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::client::Wire;

const CUSTOMERS: [&str; 4] = ["text", "image", "miniprogrampage", "user_enter_tempsession"];

fn names(message: &Value) -> BTreeSet<&String> {
    message.as_object().unwrap().keys().collect()
}

fn body(push: &Value) -> Value {
    serde_json::from_str(push["body"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn what_a_customer_sends_has_the_members_of_the_vectors_and_is_from_the_customer() {
    let wire = Wire::start().await;
    let openid = wire.openid("ada").await;
    let file: Value = serde_json::from_str(include_str!("../../../../tests/fixtures/wechat-push-2.json")).unwrap();
    for kind in CUSTOMERS {
        let sample = file["events"].as_array().unwrap().iter().find(|sample| sample["id"] == kind).unwrap();
        let expected: Value = serde_json::from_str(sample["json"].as_str().unwrap()).unwrap();

        let push = wire.sim("push", json!({ "user": "ada", "event": kind, "mode": "plain" })).await;

        let message = body(&push);
        assert_eq!(names(&message), names(&expected), "{kind}");
        assert_eq!((&message["FromUserName"], &message["MsgType"]), (&json!(openid), &expected["MsgType"]), "{kind}");
        assert!(push["query"].as_str().unwrap().contains(&format!("openid={openid}")));
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(value.is_string(), message[name].is_string(), "{kind}: {name}");
        }
        // What counts every number as a double would take two messages for one.
        assert!(message.get("MsgId").is_none_or(|id| id.as_u64().unwrap() > 1 << 53), "{message}");
    }
}

#[tokio::test]
async fn two_messages_of_a_customer_have_two_ids_and_a_repetition_has_the_same() {
    let wire = Wire::start().await;
    let request = json!({ "user": "ada", "event": "text", "mode": "plain", "with": { "Content": "]]> <a>" } });
    let (one, two) = (wire.sim("push", request.clone()).await, wire.sim("push", request).await);
    let again = wire.sim("repeat", json!({ "id": one["id"] })).await;

    assert_eq!(body(&one)["Content"], "]]> <a>");
    assert_ne!(body(&one)["MsgId"], body(&two)["MsgId"]);
    assert_eq!(body(&again), body(&one));
}

#[tokio::test]
async fn every_kind_is_pushed_in_every_mode_and_form() {
    let wire = Wire::start().await;
    for event in CUSTOMERS.into_iter().chain(["xpay_subscribe_signing_result_notify", "xpay_subscribe_pay_fail_notify"])
    {
        for mode in ["plain", "compatible", "secure"] {
            for (format, begin) in [("json", '{'), ("xml", '<')] {
                let push =
                    wire.sim("push", json!({ "user": "ada", "event": event, "mode": mode, "format": format })).await;

                let text = push["body"].as_str().unwrap();
                assert!(text.starts_with(begin), "{text}");
                assert_eq!(text.contains(event), mode != "secure", "{text}");
                assert_eq!(text.contains("Encrypt"), mode != "plain", "{text}");
            }
        }
    }
}

#[tokio::test]
async fn a_customers_message_is_acknowledged_by_a_word_and_an_auto_renewal_as_money_is() {
    let wire = Wire::start().await;
    let transfer = r#"{"ToUserName":"oA","FromUserName":"gh_1","CreateTime":1,"MsgType":"transfer_customer_service"}"#;
    let code = r#"{"ErrCode":0,"ErrMsg":"success"}"#;
    for (event, taken, not_taken) in [
        ("text", ["success", transfer], code),
        ("xpay_subscribe_signing_result_notify", ["success", code], transfer),
        ("xpay_subscribe_pay_fail_notify", ["", code], transfer),
    ] {
        let push = wire.sim("push", json!({ "user": "ada", "event": event, "mode": "plain" })).await;
        let answered = async |body: &str| {
            wire.sim("answer", json!({ "id": push["id"], "status": 200, "body": body })).await["acknowledged"].clone()
        };
        assert_eq!(answered(not_taken).await, false, "{event}");
        for text in taken {
            assert_eq!(answered(text).await, true, "{event}: {text}");
        }
    }
    let nobody = json!({ "event": "text" }).to_string();
    assert_eq!(wire.send("POST", "/sim/push", &nobody).await.status, 400);
}

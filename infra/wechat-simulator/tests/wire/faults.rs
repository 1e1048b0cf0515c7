//! Scripted faults, as the caller sees them.

use std::io;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;

use crate::client::Wire;

#[tokio::test]
async fn a_scripted_errcode_leaves_the_code_unused() {
    let wire = Wire::start().await;
    let code = wire.code("ada").await;
    wire.fault("jscode2session", json!({ "kind": "errcode", "errcode": -1 }), false).await;
    wire.fault("*", json!({ "kind": "errcode", "errcode": 99999, "errmsg": "odd" }), false).await;

    let (busy, odd) = (wire.exchange(&code).await, wire.exchange(&code).await);

    assert_eq!(busy.errcode(), -1);
    assert_eq!((odd.errcode(), odd.text("errmsg")), (99999, "odd".to_owned()));
    assert!(wire.exchange(&code).await.is_success());
}

#[tokio::test]
async fn gateways_answer_with_html_nothing_or_half() {
    let wire = Wire::start().await;
    let code = wire.code("ada").await;
    for fault in [
        json!({ "kind": "status", "status": 502 }),
        json!({ "kind": "status", "status": 200, "body": "{\"openid\":\"o\"}" }),
        json!({ "kind": "html" }),
        json!({ "kind": "empty" }),
        json!({ "kind": "truncated" }),
    ] {
        wire.fault("jscode2session", fault, false).await;
    }

    let status = wire.exchange(&code).await;
    assert_eq!(status.status, 502);
    assert!(status.head.contains("text/html") && status.body.contains("<html>"));
    let lie = wire.exchange(&code).await;
    assert_eq!((lie.status, lie.body.as_str()), (200, "{\"openid\":\"o\"}"));
    assert!(lie.head.contains("text/plain"));
    let html = wire.exchange(&code).await;
    assert!(html.status == 200 && html.body.contains("<html>"));
    let empty = wire.exchange(&code).await;
    assert_eq!((empty.status, empty.body.as_str()), (200, ""));
    let truncated = wire.exchange(&code).await;
    assert!(truncated.status == 200 && truncated.body.starts_with('{'));
    assert!(serde_json::from_str::<Value>(&truncated.body).is_err());

    assert!(wire.exchange(&code).await.is_success());
}

#[tokio::test]
async fn a_reset_comes_before_any_byte_of_an_answer() {
    let wire = Wire::start().await;
    wire.fault("jscode2session", json!({ "kind": "reset" }), false).await;

    let (received, ended) = wire.raw("GET", &wire.exchange_target("c"), "").await;

    assert!(received.is_empty());
    assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_cut_answer_promises_more_than_it_sends() {
    let wire = Wire::start().await;
    let code = wire.code("ada").await;
    wire.fault("jscode2session", json!({ "kind": "cut" }), true).await;

    let cut = wire.exchange(&code).await;

    let promised = cut.head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    assert_eq!(promised.parse::<usize>().unwrap() / 2, cut.body.len());
    assert!(cut.body.starts_with(r#"{"openid":"#));
    assert_eq!(wire.exchange(&code).await.errcode(), 40163);
}

#[tokio::test]
async fn a_call_can_take_effect_and_its_answer_be_lost() {
    let wire = Wire::start().await;
    let code = wire.code("ada").await;

    wire.fault("jscode2session", json!({ "kind": "silence" }), true).await;
    assert!(timeout(Duration::from_millis(200), wire.exchange(&code)).await.is_err());
    assert_eq!(wire.exchange(&code).await.errcode(), 40163);

    let code = wire.code("ada").await;
    wire.fault("jscode2session", json!({ "kind": "silence" }), false).await;
    assert!(timeout(Duration::from_millis(200), wire.exchange(&code)).await.is_err());
    assert!(wire.exchange(&code).await.is_success());
}

#[tokio::test]
async fn late_answers_are_true_and_late() {
    let wire = Wire::start().await;
    for fault in [json!({ "kind": "latency", "ms": 150 }), json!({ "kind": "slow_body", "ms": 150 })] {
        let code = wire.code("ada").await;
        wire.fault("jscode2session", fault, false).await;
        let exchange = wire.exchange(&code);
        tokio::pin!(exchange);

        assert!(timeout(Duration::from_millis(50), exchange.as_mut()).await.is_err());
        assert!(exchange.await.is_success());
    }
}

#[tokio::test]
async fn a_caller_that_gives_up_on_a_late_answer_has_made_the_call_only_with_after() {
    let wire = Wire::start().await;
    for (after, errcode) in [(false, None), (true, Some(40163))] {
        let code = wire.code("ada").await;
        wire.fault("jscode2session", json!({ "kind": "latency", "ms": 200 }), after).await;

        assert!(timeout(Duration::from_millis(50), wire.exchange(&code)).await.is_err());
        tokio::time::sleep(Duration::from_millis(300)).await;

        assert_eq!(wire.exchange(&code).await.json()["errcode"].as_i64(), errcode, "after: {after}");
    }
}

#[tokio::test]
async fn a_fault_without_times_stays_until_cleared() {
    let wire = Wire::start().await;
    wire.sim("script", json!({ "api": "*", "fault": { "kind": "empty" } })).await;

    for _ in 0..3 {
        assert_eq!(wire.exchange("c").await.body, "");
    }
    assert_eq!(wire.send("DELETE", "/sim/script", "").await.status, 200);

    assert_eq!(wire.exchange("c").await.errcode(), 40029);
}

#[tokio::test]
async fn what_is_scripted_and_still_to_come_can_be_read() {
    let wire = Wire::start().await;
    wire.sim("script", json!({ "api": "*", "fault": { "kind": "errcode", "errcode": -1 } })).await;
    wire.sim("script", json!({ "api": "jscode2session", "fault": { "kind": "html" }, "times": 2 })).await;
    wire.exchange("c").await;

    let script = wire.send("GET", "/sim/script", "").await.json()["script"].clone();

    assert_eq!(
        script,
        json!([
            { "api": "*", "fault": { "kind": "errcode", "errcode": -1, "errmsg": null }, "times": null, "after": false },
            { "api": "jscode2session", "fault": { "kind": "html" }, "times": 1, "after": false },
        ])
    );
}

//! The breaker in front of WeChat: what opens it, and what does not.

use serde_json::json;
use tests::Laptop;

use crate::quota::{ELSEWHERE, FLOOD, asked_of, calls, login, process};

#[tokio::test]
async fn one_users_45011_shuts_the_door_for_nobody_else() {
    let laptop = Laptop::start().await;
    let process = process(&laptop).await;
    for wave in 0..5 {
        laptop.script("jscode2session", &json!({ "kind": "errcode", "errcode": 45011 }), Some(40));
        for _ in 0..40 {
            let busy = login(&process, FLOOD, &laptop.code("mallory")).await;
            busy.is_problem(503, "wechat_busy", "retry");
            assert_eq!(busy.body["retry_after"], 60);
        }

        assert_eq!(login(&process, ELSEWHERE, &laptop.code("alice")).await.status, 200, "wave {wave}");
    }
    assert_eq!(calls(&laptop), 5 * 41, "the breaker never opened");
}

/// A code whose text WeChat's front cuts off is its sender's doing, like any other failure that one network alone meets.
#[tokio::test]
async fn what_one_network_provokes_at_wechat_refuses_nobody_elsewhere() {
    let laptop = Laptop::start().await;
    let process = process(&laptop).await;
    for kind in ["reset", "html", "status"] {
        laptop.script("jscode2session", &json!({ "kind": kind, "status": 502 }), Some(30));
        for number in 0..30 {
            let refused = login(&process, FLOOD, &format!("{kind}-{number}")).await;
            assert!(matches!(refused.code(), "wechat_error" | "wechat_timeout"), "{}", refused.body);
        }

        for number in 0..20 {
            let answer = login(&process, &format!("192.0.2.{number}"), &laptop.code(&format!("user{number}"))).await;
            assert_eq!(answer.status, 200, "{kind}: {}", answer.body);
        }
    }
    assert!(asked_of(&process, FLOOD, "charged", 300).await < 300, "they are charged to their sender");
}

#[tokio::test]
async fn five_failures_of_wechat_open_the_breaker_and_refreshes_go_on() {
    let laptop = Laptop::start().await;
    let process = process(&laptop).await;
    let alice = laptop.login("alice").await;
    let before = calls(&laptop);
    laptop.script("jscode2session", &json!({ "kind": "status", "status": 500 }), None);
    for number in 0..5 {
        let failed = login(&process, &format!("192.0.2.{number}"), &laptop.code(&format!("user{number}"))).await;
        failed.is_problem(502, "wechat_error", "relogin");
    }

    for number in 0..50 {
        let spared = login(&process, ELSEWHERE, &laptop.code(&format!("user{number}"))).await;
        spared.is_problem(503, "wechat_busy", "retry");
        assert_eq!((&spared.body["retry_after"], &spared.headers["retry-after"]), (&json!(5), &json!("5")));
    }

    assert_eq!(calls(&laptop), before + 5, "WeChat has room to recover");
    laptop.clock.advance(200);
    laptop.refresh(&alice.refresh).await.ok();
}

//! What is not acknowledged: a message that nobody takes, or about which nobody knows whether it was taken.

use std::{sync::Arc, time::Duration};

use local::doctor::{Options, examine};
use serde_json::{Value, json};
use shared::{clock::SystemClock, wechat::push::PushDefect};
use tests::{
    APPID, Folder, Start,
    suites::kill::owner::{Does, Owner},
};

use super::{
    AES_KEY, MODES, app, customers_words, delivery, in_mode, is_acknowledged, is_untaken, laptop_with, media_check,
    refund_query, secure, send_message, send_push,
};

#[tokio::test]
async fn without_a_target_money_and_questions_are_not_acknowledged_and_all_else_is() {
    for (mode, key) in MODES {
        let laptop = Start::default().apps(json!({ "apps": { APPID: app("token", key) } })).go().await;
        let game = json!({ "MsgType": "event", "Event": "minigame_coin_deliver_completed" }).to_string();
        for money in [delivery("1"), refund_query("1"), game] {
            let answer = send_push(&laptop, &in_mode(&laptop, mode, &money)).await;
            is_untaken(&laptop, &answer, "PUSH_NO_TARGET");
        }
        for other in [customers_words(1), media_check("1")] {
            let answer = send_push(&laptop, &in_mode(&laptop, mode, &other)).await;
            assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, "success"), "{mode} {other}");
        }
    }
}

/// Each is asked again at once: nothing is known of a message that was not taken.
#[tokio::test]
async fn a_message_that_the_function_did_not_take_is_asked_again() {
    let (laptop, owner) = secure().await;
    let long = format!(r#"{{"ErrCode":0,"ErrMsg":"{}"}}"#, "x".repeat(20_000));
    let answers = |text: &str| Does::Answers(text.to_owned());
    for (does, verdict) in [
        (Does::Fails, "PUSH_OWNER_FAILED"),
        (answers("{"), "PUSH_OWNER_ANSWER"),
        (answers("[]"), "PUSH_OWNER_ANSWER"),
        (answers(r#"{"statusCode":200,"body":"success"}"#), "PUSH_OWNER_ANSWER"),
        (answers(&long), "PUSH_OWNER_ANSWER"),
    ] {
        for message in [delivery("1"), customers_words(1)] {
            owner.will([does.clone()]);
            is_untaken(&laptop, &send_message(&laptop, &message).await, verdict);
        }
    }
    let asked = owner.asked().len();
    for message in [delivery("1"), customers_words(1)] {
        is_acknowledged(&send_message(&laptop, &message).await);
        is_acknowledged(&send_message(&laptop, &message).await);
    }
    assert_eq!(owner.asked().len(), asked + 2);
}

/// The function says that it failed: WeChat hears it, and asks again.
#[tokio::test]
async fn another_err_code_than_0_is_handed_on_and_not_kept() {
    let owner = Owner::start().await;
    let laptop = laptop_with(&owner, None).await;
    owner.answers(r#"{"ErrCode":7,"ErrMsg":"no stock"}"#);
    let answer = send_push(&laptop, &in_mode(&laptop, "plain", &delivery("1"))).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, r#"{"ErrCode":7,"ErrMsg":"no stock"}"#));
    let line = laptop.line(&answer);
    assert!(line.contains("\"WARN\"") && line.contains("PUSH_OWNER_REFUSED"), "{line}");

    let again = send_push(&laptop, &in_mode(&laptop, "plain", &delivery("1"))).await;
    assert_eq!((again.text.as_str(), owner.asked().len()), (super::ERR_CODE, 2));
    owner.answers(r#"{"ErrCode":7}"#);
    is_untaken(&laptop, &send_push(&laptop, &in_mode(&laptop, "plain", &media_check("1"))).await, "PUSH_OWNER_ANSWER");
}

#[tokio::test]
async fn a_function_that_is_not_there_did_not_run() {
    let owner = Owner::start().await;
    let laptop = laptop_with(&owner, Some(AES_KEY)).await;
    drop(owner);
    tokio::time::sleep(Duration::from_millis(50)).await;
    for _ in 0..2 {
        is_untaken(&laptop, &send_message(&laptop, &delivery("1")).await, "PUSH_OWNER_NOT_RUN");
    }
}

/// As a process that dies over the message: Lambda says that the function failed, and not that there is none.
#[tokio::test]
async fn a_server_that_hangs_up_is_a_function_that_failed() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let _ = connection.readable().await;
        }
    });
    let apps = json!({ "apps": { APPID: app("token", Some(AES_KEY)) } });
    let laptop = Start::default().apps(apps).push_target(&url).go().await;

    is_untaken(&laptop, &send_message(&laptop, &delivery("1")).await, "PUSH_OWNER_FAILED");
}

/// It may run still, so it is not asked again while a request can live.
#[tokio::test]
async fn a_function_that_never_answers_is_asked_again_when_nobody_waits_for_it_any_more() {
    let (laptop, owner) = secure().await;
    owner.will([Does::Later(Duration::from_mins(1), "null".to_owned())]);
    is_untaken(&laptop, &send_message(&laptop, &delivery("1")).await, "PUSH_OWNER_LATE");

    let pending = send_message(&laptop, &delivery("1")).await;
    assert!(laptop.line(&pending).contains("PUSH_PENDING") && pending.status == 503);
    laptop.clock.advance(12);
    is_acknowledged(&send_message(&laptop, &delivery("1")).await);
    assert_eq!(owner.asked().len(), 2);
}

#[tokio::test]
async fn without_the_table_nothing_is_told_and_nothing_is_acknowledged() {
    let owner = Owner::start().await;
    let dead = Start::default()
        .apps(json!({ "apps": { APPID: app("token", Some(AES_KEY)) } }))
        .push_target(&owner.url)
        .var("WXAUTH_TABLE", "absent")
        .go()
        .await;
    let (client, _) = dead.dynamodb();
    client.delete_table().table_name("absent").send().await.unwrap();

    send_message(&dead, &delivery("1")).await.is_problem(503, "unavailable", "retry");

    assert!(owner.asked().is_empty());
}

/// A stranger has no token: nothing reaches the function, and the table is not asked.
#[tokio::test]
async fn what_is_not_wechats_is_told_to_nobody() {
    let (laptop, owner) = secure().await;
    let stranger = Start::default().apps(json!({ "apps": { APPID: app("other", Some(AES_KEY)) } })).go().await;
    let forged = send_push(&laptop, &in_mode(&stranger, "secure", &delivery("1"))).await;
    forged.is_problem(400, "invalid_request", "fix");
    assert!(laptop.line(&forged).contains(PushDefect::Unsigned.verdict()));
    // What stands beside `Encrypt` in the clear is anybody's.
    let mut beside = in_mode(&laptop, "compatible", &media_check("1"));
    beside["body"] = beside["body"].as_str().unwrap().replace("wxa_media_check", "xpay_goods_deliver_notify").into();
    is_acknowledged(&send_push(&laptop, &beside).await);
    let asked = owner.asked();
    assert!(asked.len() == 1 && asked[0]["message"]["Event"] == "wxa_media_check", "{asked:?}");
}

#[tokio::test]
async fn the_doctor_tells_a_seller_whose_deliveries_nobody_would_get() {
    for (app_keys, target, is_told) in [
        (json!({ "production": "a" }), "", true),
        (json!({ "sandbox": "b" }), "", true),
        (json!({ "production": "a" }), "deliver", false),
        (json!({}), "", false),
        (json!(null), "", false),
    ] {
        let folder = Folder::new();
        let file = |name: &str, app: Value| {
            std::fs::write(folder.0.join(name), json!({ "apps": { APPID: app } }).to_string()).unwrap();
            format!("file:{}", folder.0.join(name).display())
        };
        let vars = [
            ("WXAUTH_APPS", file("apps.json", json!({ "secret": "s", "app_keys": app_keys }))),
            ("WXAUTH_PUSH", file("push.json", app("token", Some(AES_KEY))["push"].take())),
            ("WXAUTH_PUSH_TARGET", target.to_owned()),
            ("WXAUTH_WECHAT_URL", "http://127.0.0.1:9".to_owned()),
        ];
        let options = Options { url: None, quota: false, rid: None, clock: Arc::new(SystemClock) };

        let report = examine(vars.map(|(name, value)| (name.to_owned(), value)).into(), options).await.to_string();

        assert_eq!(report.contains("WXAUTH_PUSH_TARGET names no function"), is_told, "{report}");
    }
}

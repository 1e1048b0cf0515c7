//! A message that WeChat repeats reaches the owner's function once, and each repetition gets the same answer.

use std::time::Duration;

use serde_json::{Value, json};
use tests::{
    APPID, Start,
    suites::kill::owner::{Does, Owner},
};

use super::{
    AES_KEY, MODES, answers::read, app, customers_words, delivery, in_mode, is_acknowledged, is_untaken, laptop_with,
    media_check, pushed, refund_query, secure, send_message, send_push,
};
use crate::push::{CANCELLATION, OTHER, event, login};

#[tokio::test]
async fn every_event_is_told_once_however_often_it_is_repeated() {
    let file: Value = serde_json::from_str(include_str!("../../../fixtures/wechat-push-2.json")).unwrap();
    for mode in MODES {
        let owner = Owner::start().await;
        let laptop = laptop_with(&owner, mode.1).await;
        let mut told = 0;
        for event in file["events"].as_array().unwrap() {
            for text in
                [&event["json"], &event["xml"]].into_iter().filter_map(Value::as_str).filter(|text| !text.is_empty())
            {
                owner.answers(r#"{"ErrCode":0,"result_code":0,"evidence":"e"}"#);
                let mut answers = Vec::new();
                for tries in 0..3 {
                    let text = text.replace("\"RetryTimes\":0", &format!("\"RetryTimes\":{tries}"));
                    let text = text.replace("<RetryTimes>0<", &format!("<RetryTimes>{tries}<"));
                    let push = in_mode(&laptop, mode.0, &text);
                    let answer = send_push(&laptop, &push).await;
                    is_acknowledged(&answer);
                    answers.push(read(&answer, &push));
                    laptop.clock.advance(60);
                }
                assert!(answers.iter().all(|answer| *answer == answers[0]), "{} {answers:?}", event["id"]);
                told += 1;
            }
        }
        // The samples of one order or one refund are one message, and so are the two forms of most.
        let asked = owner.asked();
        assert!(asked.len() < told && asked.len() > 25, "{} of {told}", asked.len());
        assert!(asked.iter().all(|asked| !asked["message"]["RetryTimes"].to_string().contains(['1', '2'])));
    }
}

#[tokio::test]
async fn a_delivery_that_comes_again_for_a_day_gets_the_same_good_answer() {
    let (laptop, owner) = secure().await;
    let first = in_mode(&laptop, "secure", &delivery("1"));
    for hours in 0..24 {
        // The very same request, and one that WeChat signed anew.
        is_acknowledged(&send_push(&laptop, &first).await);
        is_acknowledged(&send_message(&laptop, &delivery("1")).await);
        assert_eq!(owner.asked().len(), 1, "{hours}");
        laptop.clock.advance(3_600);
    }
    laptop.clock.advance(1);
    let stale = send_push(&laptop, &first).await;
    stale.is_problem(400, "invalid_request", "fix");
    assert!(laptop.line(&stale).contains("PUSH_STALE"));
}

#[tokio::test]
async fn what_deletes_something_and_what_no_signature_covers_is_taken_for_ten_minutes() {
    let owner = Owner::start().await;
    for (key, message) in [(Some(AES_KEY), customers_words(1)), (None, delivery("1")), (None, refund_query("1"))] {
        let laptop = laptop_with(&owner, key).await;
        let push = in_mode(&laptop, if key.is_some() { "secure" } else { "plain" }, &message);
        laptop.clock.advance(601);
        send_push(&laptop, &push).await.is_problem(400, "invalid_request", "fix");
    }
    let laptop = laptop_with(&owner, Some(AES_KEY)).await;
    let alice = laptop.login("alice").await;
    let push = pushed(&laptop, event("alice", CANCELLATION));
    laptop.clock.advance(601);
    send_push(&laptop, &push).await.is_problem(400, "invalid_request", "fix");
    laptop.refresh(&alice.refresh).await.ok();
    assert!(owner.asked().is_empty());
}

#[tokio::test]
async fn a_repetition_waits_for_the_answer_to_the_first() {
    let (laptop, owner) = secure().await;
    owner.will([Does::Later(Duration::from_millis(900), r#"{"ErrCode":0,"ErrMsg":"one"}"#.to_owned())]);
    let (first, second) = (in_mode(&laptop, "secure", &delivery("1")), in_mode(&laptop, "secure", &delivery("1")));

    let (one, two, three) =
        tokio::join!(send_push(&laptop, &first), send_push(&laptop, &second), send_push(&laptop, &first));

    for answer in [one, two, three] {
        is_acknowledged(&answer);
    }
    assert_eq!(owner.asked().len(), 1);
}

/// As at a cold start of the function. WeChat cuts the first delivery off after five seconds and repeats the message.
#[tokio::test]
async fn an_answer_that_comes_after_wechat_is_gone_is_found_by_the_repetition() {
    let (laptop, owner) = secure().await;
    owner.will([Does::Later(Duration::from_millis(6_500), "null".to_owned())]);
    let push = in_mode(&laptop, "secure", &refund_query("1"));
    owner.will([Does::Answers("never asked".to_owned())]);

    // A repetition that cannot wait any longer is not acknowledged.
    let delivered = in_mode(&laptop, "secure", &delivery("1"));
    let late = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        send_push(&laptop, &delivered).await
    };
    let (first, pending) = tokio::join!(send_push(&laptop, &delivered), late);

    is_acknowledged(&first);
    pending.is_problem(503, "unavailable", "retry");
    let line: Value = serde_json::from_str(&laptop.line(&pending)).unwrap();
    assert_eq!(line["verdict"], "PUSH_PENDING");
    is_acknowledged(&send_push(&laptop, &delivered).await);
    assert_eq!(owner.asked().len(), 1);
    // The next question is another message.
    is_untaken(&laptop, &send_push(&laptop, &push).await, "PUSH_OWNER_ANSWER");
}

#[tokio::test]
async fn a_message_that_says_something_else_is_told_on_its_own() {
    let (laptop, owner) = secure().await;
    let other_user = delivery("1").replace("oAlice", "oMallory");
    let sandbox = delivery("1").replace("\"Env\":0", "\"Env\":1");
    for (number, message) in [
        delivery("1"),
        delivery("2"),
        other_user,
        sandbox,
        delivery("1").replace("goods_deliver", "coin_pay"),
        customers_words(1),
        customers_words(2),
        media_check("1"),
        media_check("2"),
    ]
    .iter()
    .enumerate()
    {
        is_acknowledged(&send_message(&laptop, message).await);
        assert_eq!(owner.asked().len(), number + 1, "{message}");
    }
}

#[tokio::test]
async fn of_two_mini_programs_each_is_told_its_own_order_of_one_number() {
    let owner = Owner::start().await;
    let other_key = &AES_KEY.replace('a', "b");
    let apps = json!({ "apps": { APPID: app("same", Some(AES_KEY)), OTHER: app("same", Some(other_key)) } });
    let laptop = Start::default().apps(apps).push_target(&owner.url).go().await;
    for (appid, key) in [(APPID, AES_KEY), (OTHER, other_key)] {
        let wanted = json!({
            "user": "nobody", "event": "user_info_modified", "appid": appid, "message": delivery("1"), "encoding_aes_key": key,
        });
        is_acknowledged(&send_push(&laptop, &pushed(&laptop, wanted)).await);
    }
    let told: Vec<_> = owner.asked().iter().map(|asked| asked["appid"].clone()).collect();
    assert_eq!(told, [APPID, OTHER]);
}

/// In the clear only the message says for which mini program it is. Which one a user's card names is the user's choice.
#[tokio::test]
async fn a_message_that_may_be_for_either_of_two_mini_programs_is_told_to_nobody() {
    let owner = Owner::start().await;
    let apps = json!({ "apps": { APPID: app("same", None), OTHER: app("same", None) } });
    let laptop = Start::default().apps(apps.clone()).push_target(&owner.url).go().await;
    let untargeted = Start::default().apps(apps).go().await;
    let card = json!({ "MsgType": "miniprogrampage", "MsgId": 1, "FromUserName": "oA", "AppId": OTHER }).to_string();
    for message in [delivery("1"), media_check("1"), customers_words(1), card.clone()] {
        let refused = send_push(&laptop, &in_mode(&laptop, "plain", &message)).await;
        refused.is_problem(400, "invalid_request", "fix");
        assert!(laptop.line(&refused).contains("PUSH_OTHER_APP"), "{message}");
    }
    send_push(&untargeted, &in_mode(&untargeted, "plain", &delivery("1"))).await.is_problem(
        400,
        "invalid_request",
        "fix",
    );
    is_acknowledged(&send_push(&untargeted, &in_mode(&untargeted, "plain", &card)).await);
    let named = media_check("1").replacen('{', &format!("{{\"appid\":\"{OTHER}\","), 1);
    is_acknowledged(&send_push(&laptop, &in_mode(&laptop, "plain", &named)).await);
    assert_eq!(owner.asked()[0]["appid"], OTHER);
}

#[tokio::test]
async fn what_is_ours_is_obeyed_before_the_owner_is_told() {
    let (laptop, owner) = secure().await;
    let alice = login(&laptop, APPID, "alice").await;
    owner.will([Does::Fails]);
    let push = pushed(&laptop, event("alice", CANCELLATION));
    is_untaken(&laptop, &send_push(&laptop, &push).await, "PUSH_OWNER_FAILED");
    laptop.refresh(&alice.refresh).await.is_problem(400, "login_required", "relogin");

    let answer = send_push(&laptop, &push).await;
    assert_eq!(answer.text, "success");
    assert!(laptop.line(&answer).contains("USER_AUTHORIZATION_CANCELLATION"));
    assert_eq!(owner.asked()[1]["message"]["OpenID"], alice.openid.as_str());
}

//! What WeChat answers to a code, and when: slow answers, odd forms, and the same request again before the answer.

use std::time::Duration;

use futures_util::future::join_all;
use proptest::{
    prelude::any,
    prop_oneof,
    strategy::{Just, Strategy as _},
    test_runner::{Config, TestRunner},
};
use serde_json::{Value, json};
use tests::{
    Laptop, Response, Tokens,
    suites::faults::proxy::{Fault, Proxy, Then},
    wire,
};
use tokio::time::Instant;

fn cases(text: &str) -> Vec<Value> {
    serde_json::from_str::<Value>(text).unwrap()["cases"].as_array().unwrap().clone()
}

fn case(name: &str) -> Value {
    let all = cases(include_str!("../fixtures/login-upstream.json"));
    all.into_iter().find(|case| case["name"] == name).unwrap()
}

/// Makes an API answer this once, after it has done its work: the code is spent.
fn answer_once(laptop: &Laptop, api: &str, text: &str) {
    laptop.script_after(api, &json!({ "kind": "status", "status": 200, "body": text }), Some(1));
}

fn late(laptop: &Laptop, api: &str, ms: u64) {
    laptop.script(api, &json!({ "kind": "latency", "ms": ms }), None);
}

fn tap(laptop: &Laptop) -> Value {
    json!({ "code": laptop.sim("phone", json!({ "user": "alice" }))["code"] })
}

async fn phone(laptop: &Laptop, user: &Tokens, tap: &Value) -> Response {
    laptop.post_as(&user.access, "/v1/phone", tap).await
}

fn redeemed(laptop: &Laptop) -> u64 {
    laptop.simulator.calls("getuserphonenumber")
}

/// A user who is logged in, and whose first number has brought the platform token.
async fn alice(laptop: &Laptop) -> Tokens {
    let alice = laptop.login("alice").await;
    phone(laptop, &alice, &tap(laptop)).await.ok();
    alice
}

#[tokio::test]
async fn an_answer_that_gives_no_session_asks_for_a_new_login() {
    let laptop = Laptop::start().await;
    let odd: Vec<_> = cases(include_str!("../fixtures/login-upstream.json"))
        .into_iter()
        .filter(|case| case["world"]["jscode2session"]["text"].is_string())
        .collect();
    assert_eq!(odd.len(), 6);

    for case in odd {
        answer_once(&laptop, "jscode2session", case["world"]["jscode2session"]["text"].as_str().unwrap());
        let answer = laptop.post("/v1/login", &json!({ "code": laptop.code("alice") })).await;
        if case["right"]["action"] == "relogin" {
            answer.is_problem(502, "wechat_error", "relogin");
        } else {
            assert_eq!(case["right"]["either"], json!(["logged in", "action relogin"]));
            answer.ok();
        }
    }

    laptop.login("alice").await;
}

#[test]
fn whatever_code2session_answers_a_login_is_made_or_the_action_fits_what_is_known_of_the_code() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let laptop = runtime.block_on(Laptop::start());
    let value = prop_oneof![
        Just(Value::Null),
        Just(json!("")),
        Just(json!("oAda")),
        Just(json!("AQIDBAUGBwgJCgsMDQ4PEA==")),
        any::<i64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
    ];
    let names = prop_oneof!["openid|session_key|unionid|errcode|errmsg", "[a-z]{1,6}"];
    let object = proptest::collection::hash_map(names, value, 0..6)
        .prop_map(|members| Value::Object(members.into_iter().collect()).to_string());
    let bodies = prop_oneof![4 => object, 1 => ".{0,60}"];

    let config = Config { cases: 300, failure_persistence: None, ..Config::default() };
    let checked = TestRunner::new(config).run(&bodies, |body| {
        // What a code provokes is charged to its sender; a second forgives it.
        laptop.clock.advance(1);
        answer_once(&laptop, "jscode2session", &body);
        let answer = runtime.block_on(laptop.post("/v1/login", &json!({ "code": laptop.code("alice") })));
        let told = (answer.status.as_u16(), answer.json()["action"].as_str().map(str::to_owned));
        let action = told.1.as_deref();
        proptest::prop_assert!(
            matches!(
                (told.0, action),
                (200, None) | (400 | 502, Some("relogin")) | (403 | 500, Some("stop")) | (503, Some("retry"))
            ),
            "{body}: {answer:?}"
        );
        Ok(())
    });

    checked.unwrap();
}

#[tokio::test]
async fn a_slow_code2session_is_waited_for_and_the_breaker_stays_shut() {
    let slow = async |name: &str, at_once: usize| {
        let ms = case(name)["world"]["jscode2session"]["latency_ms"].as_u64().unwrap();
        let laptop = Laptop::start().await;
        late(&laptop, "jscode2session", ms);
        let logins = (0..at_once).map(async |user| {
            let began = Instant::now();
            laptop.login(&format!("user{user}")).await;
            began.elapsed()
        });
        let worst = join_all(logins).await.into_iter().max().unwrap();
        assert!(worst < Duration::from_secs(9), "{worst:?}");
        assert_eq!(laptop.simulator.calls("jscode2session"), at_once as u64, "each code is sent once");

        laptop.simulator.clear_script();
        laptop.login("next").await;
        assert!(laptop.log().iter().all(|line| !line.contains("not asked")), "the breaker is shut");
    };

    tokio::join!(slow("every answer after 3 s", 8), slow("every answer after 4.5 s", 6));
}

#[tokio::test]
async fn after_six_seconds_login_and_phone_code_still_succeed() {
    let laptop = Laptop::start().await;
    let alice = alice(&laptop).await;
    late(&laptop, "*", 6_000);

    let tap = tap(&laptop);
    let (bob, number) = tokio::join!(laptop.login("bob"), phone(&laptop, &alice, &tap));

    assert_ne!(bob.openid, alice.openid);
    number.ok();
}

#[tokio::test]
async fn a_code_that_wechat_was_too_busy_for_is_not_sent_again_where_a_second_answer_would_come_too_late() {
    let laptop = Laptop::start().await;
    let way = Proxy::to(&laptop.world.wechat_url).await;
    let process = laptop.beside_with(&[("WXAUTH_WECHAT_URL", &way.url)], &laptop.clock).await;
    way.fail(Fault::after(Then::Late(Duration::from_secs(4))));
    laptop.script("jscode2session", &json!({ "kind": "errcode", "errcode": -1 }), None);
    let login = json!({ "code": laptop.code("alice") });

    process.post("/v1/login", &login).await.is_problem(503, "wechat_busy", "retry");

    assert_eq!(laptop.simulator.calls("jscode2session"), 1);
    laptop.simulator.clear_script();
    way.heal();
    process.post("/v1/login", &login).await.ok();
}

#[tokio::test]
async fn a_number_that_comes_late_is_paid_once_though_the_client_asks_again_meanwhile() {
    assert_eq!(case("a call that costs money, after some seconds")["right"]["status"], 200);
    let laptop = Laptop::start().await;
    let (alice, beside) = (alice(&laptop).await, laptop.beside().await);
    let before = redeemed(&laptop);
    // The code is spent at once, and what it gave comes late.
    laptop.script_after("getuserphonenumber", &json!({ "kind": "latency", "ms": 3_000 }), None);

    let tap = tap(&laptop);
    let again = async |laptop: &Laptop, after| {
        tokio::time::sleep(Duration::from_millis(after)).await;
        phone(laptop, &alice, &tap).await
    };
    let answers =
        join_all([again(&laptop, 0), again(&laptop, 500), again(&beside, 1_000), again(&beside, 2_900)]).await;

    for answer in &answers {
        assert_eq!(answer.ok(), answers[0].ok());
    }
    assert_eq!(redeemed(&laptop), before + 1);
}

#[tokio::test]
async fn a_request_again_asks_wechat_itself_once_the_first_has_failed() {
    let laptop = Laptop::start().await;
    let alice = alice(&laptop).await;
    let before = redeemed(&laptop);
    for fault in [json!({ "kind": "status", "status": 500 }), json!({ "kind": "errcode", "errcode": 45011 })] {
        laptop.script("getuserphonenumber", &fault, Some(1));
        let tap = tap(&laptop);
        let began = Instant::now();
        assert_eq!(phone(&laptop, &alice, &tap).await.json()["action"], "retry");

        phone(&laptop, &alice, &tap).await.ok();

        assert!(began.elapsed() < Duration::from_secs(2), "nobody waits for a request that is over");
    }
    assert_eq!(redeemed(&laptop), before + 4);
}

/// A refusal never takes an instance longer than a success.
#[tokio::test]
async fn an_invented_phone_code_is_refused_at_once_however_often_it_is_sent() {
    let laptop = Laptop::start().await;
    let alice = alice(&laptop).await;
    let invented = json!({ "code": "invented" });
    let began = Instant::now();

    let answers = join_all((0..8).map(|_| phone(&laptop, &alice, &invented))).await;

    for answer in answers {
        answer.is_problem(409, "phone_code_invalid", "relogin_then_retap");
    }
    // Those that came at once waited for each other, each for the time of one refusal.
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let began = Instant::now();
    phone(&laptop, &alice, &invented).await.is_problem(409, "phone_code_invalid", "relogin_then_retap");
    assert!(began.elapsed() < Duration::from_millis(900), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_code_whose_process_was_killed_is_free_again_when_no_request_can_live_any_more() {
    let mut laptop = Laptop::start().await;
    let alice = alice(&laptop).await;
    let (beside, mut wire) = wire::beside(&mut laptop).await;
    let tap = tap(&laptop);
    {
        // It dies with the mark in the table, before it asks WeChat.
        let killed = wire.step(phone(&beside, &alice, &tap), async |waiting: wire::Waiting| {
            let begins = waiting.puts("code");
            waiting.pass().await;
            if begins {
                std::future::pending::<()>().await;
            }
        });
        assert!(tokio::time::timeout(Duration::from_secs(2), killed).await.is_err());
    }

    let freed = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        laptop.clock.advance(12);
    };
    let (number, ()) = tokio::join!(phone(&laptop, &alice, &tap), freed);

    number.ok();
}

#[tokio::test]
async fn a_paid_code_is_kept_where_the_platform_token_took_the_time() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    laptop.script("stable_token", &json!({ "kind": "latency", "ms": 5_200 }), Some(1));
    let tap = tap(&laptop);

    phone(&laptop, &alice, &tap).await.is_problem(504, "wechat_timeout", "retry");

    assert_eq!(redeemed(&laptop), 0);
    phone(&laptop, &alice, &tap).await.ok();
}

#[tokio::test]
async fn a_platform_token_that_comes_late_is_waited_for() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    late(&laptop, "*", 3_000);

    phone(&laptop, &alice, &tap(&laptop)).await.ok();

    assert_eq!((laptop.simulator.calls("stable_token"), redeemed(&laptop)), (1, 1));
}

#[tokio::test]
async fn a_number_that_is_paid_for_is_handed_on_though_it_cannot_be_kept() {
    let mut laptop = Laptop::start().await;
    let alice = alice(&laptop).await;
    let (beside, mut wire) = wire::beside(&mut laptop).await;
    let (tap, mut puts) = (tap(&laptop), 0);

    let number = wire.step(phone(&beside, &alice, &tap), async |waiting: wire::Waiting| {
        puts += u32::from(waiting.puts("code"));
        if waiting.puts("code") && puts == 2 {
            return waiting.fail();
        }
        waiting.pass().await;
    });
    let number = Box::pin(number).await;

    number.ok();
    assert!(beside.line(&number).contains(r#""verdict":"PHONE_NOT_KEPT""#));
}

#[tokio::test]
async fn one_code_in_eight_requests_with_one_key_is_one_session() {
    let case = case("one code, eight requests at once, one Idempotency-Key");
    let (key, times) = (&case["sent"]["headers"]["Idempotency-Key"], case["sent"]["times"].as_u64().unwrap());
    let laptop = Laptop::start().await;
    let body = json!({ "code": laptop.code("alice") });

    let answers = join_all((0..times).map(|_| laptop.login_with_key(key.as_str().unwrap(), &body))).await;

    let tokens: Vec<_> = answers.iter().map(Tokens::of).collect();
    assert!(tokens.iter().all(|one| one.refresh == tokens[0].refresh));
    let sessions = laptop.get(&tokens[0].access, "/v1/sessions").await.ok();
    assert_eq!(sessions["sessions"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_code_of_developer_tools_without_an_appid_is_refused_and_wechat_not_asked() {
    let laptop = Laptop::start().await;
    let body = case("the code of the developer tools without AppID")["sent"]["body"].clone();

    laptop.post("/v1/login", &body).await.is_problem(400, "invalid_request", "fix");

    assert_eq!(laptop.simulator.calls("jscode2session"), 0);
}

//! What strangers may cost: refused codes and WeChat's quota, and floods while users go on.
//!
//! A process of Lambda has one request at a time, and so have the routers here, called one after the other.

use axum::Router;
use proptest::{
    prelude::Strategy,
    test_runner::{Config, TestRunner},
};
use serde_json::{Value, json};
use shared::{http::stack, lambda};
use tests::{Laptop, event};

pub(crate) const FLOOD: &str = "198.51.100.7";
pub(crate) const ELSEWHERE: &str = "192.0.2.1";
const KEY: &str = "one-login-one-key";

/// Charged codes that a network may owe a process; one is forgiven each second.
const LIMIT: u64 = 100;

/// So many charged codes are few for a process: strangers at a network that owes too much are let through still.
const FEW: u64 = 150;

/// The login function in a process of its own.
pub(crate) async fn process(laptop: &Laptop) -> Router {
    let env = &laptop.world.env;
    stack(login::router(login::Deps::from_env(env.clone()).await.unwrap()), env.log())
}

/// Status and body of the function's response.
pub(crate) struct Response {
    pub(crate) status: u64,
    pub(crate) body: Value,
    pub(crate) headers: Value,
}

impl Response {
    pub(crate) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    #[track_caller]
    pub(crate) fn is_problem(&self, status: u64, code: &str, action: &str) {
        let action = action.into();
        assert_eq!((self.status, self.code(), &self.body["action"]), (status, code, &action), "{}", self.body);
    }
}

/// A login from this address, with or without a key.
async fn login_by(process: &Router, source: &str, key: Option<&str>, body: &Value) -> Response {
    let mut event = event("POST", "/v1/login", &body.to_string());
    event["requestContext"]["http"]["sourceIp"] = source.into();
    if let Some(key) = key {
        event["headers"]["idempotency-key"] = key.into();
    }
    let answer = lambda::call(process, event, "lambda-1").await.unwrap();
    Response {
        status: answer["statusCode"].as_u64().unwrap(),
        body: serde_json::from_str(answer["body"].as_str().unwrap()).unwrap(),
        headers: answer["headers"].clone(),
    }
}

pub(crate) async fn login(process: &Router, source: &str, code: &str) -> Response {
    login_by(process, source, None, &json!({ "code": code })).await
}

pub(crate) fn calls(laptop: &Laptop) -> u64 {
    laptop.simulator.calls("jscode2session")
}

/// Invented codes from this address, until the process lets one in three through.
async fn flood(process: &Router, source: &str, name: &str) {
    for number in 0..FEW {
        login(process, source, &format!("{name}{number}")).await.is_problem(400, "code_invalid", "relogin");
    }
}

/// How many of so many invented codes WeChat is asked about.
pub(crate) async fn asked_of(process: &Router, source: &str, name: &str, count: u64) -> u64 {
    let mut asked = 0;
    for number in 0..count {
        let answer = login(process, source, &format!("{name}{number}")).await;
        if answer.code() == "code_invalid" {
            asked += 1;
            continue;
        }
        answer.is_problem(429, "rate_limited", "retry");
        let waits = (&answer.body["retry_after"], &answer.headers["retry-after"]);
        assert_eq!(waits, (&json!(1), &json!("1")));
    }
    asked
}

/// In how many tries this code gets in, when each heeds `retry_after`.
async fn tries(laptop: &Laptop, process: &Router, source: &str, user: &str) -> u32 {
    let code = laptop.code(user);
    for number in 1..=40 {
        let answer = login(process, source, &code).await;
        if answer.status == 200 {
            return number;
        }
        answer.is_problem(429, "rate_limited", "retry");
    }
    panic!("{user} does not get in")
}

/// Bound: a code that is not 1 to 512 letters, digits, hyphens and underscores costs no call, whatever it is.
#[test]
fn a_malformed_code_never_reaches_wechat() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (laptop, process) = runtime.block_on(async {
        let laptop = Laptop::start().await;
        let process = process(&laptop).await;
        (laptop, process)
    });
    let fits = |text: &str| {
        let of_the_alphabet = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        (1..=512).contains(&text.len()) && text.bytes().all(of_the_alphabet)
    };
    let text = proptest::prop_oneof![
        "\\PC{0,40}",
        "[a-zA-Z0-9_-]{0,20}[^a-zA-Z0-9_-][a-zA-Z0-9_-]{0,20}",
        "[!-~]{0,20}[^\\x00-\\x7f][!-~]{0,20}",
        "[!-~]{1,40}",
        "[a-zA-Z0-9_-]{513,600}",
        ".{0,600}",
    ];
    let text = text.prop_filter("a code might look like this", move |text| !fits(text)).prop_map(Value::from);
    let other = proptest::prop_oneof![
        proptest::prelude::Just(Value::Null),
        proptest::prelude::any::<bool>().prop_map(Value::from),
        proptest::prelude::any::<i64>().prop_map(Value::from),
        "[!-~]{1,32}".prop_map(|text| json!([text])),
        "[!-~]{1,32}".prop_map(|text| json!({ "code": text })),
    ];
    let codes = proptest::prop_oneof![4 => text, 1 => other];

    let config = Config { cases: 1_000, failure_persistence: None, ..Config::default() };
    let checked = TestRunner::new(config).run(&codes, |code| {
        let answer = runtime.block_on(login_by(&process, FLOOD, None, &json!({ "code": code })));
        proptest::prop_assert_eq!((answer.status, answer.code()), (400, "invalid_request"));
        Ok(())
    });

    checked.unwrap();
    assert_eq!(calls(&laptop), 0);
    runtime.block_on(async {
        let code = laptop.code("alice");
        assert_eq!(login(&process, FLOOD, &code).await.status, 200, "nor do they count against the address");
    });
}

/// Bound: 150 calls at once for each process, then a third of what comes, 3,000 in all; then one a second.
#[tokio::test]
async fn ten_thousand_codes_of_nobody_cost_three_thousand_calls_and_one_a_second() {
    let laptop = Laptop::start().await;
    let process = process(&laptop).await;

    assert_eq!(asked_of(&process, FLOOD, "first", FEW).await, FEW);
    let third = asked_of(&process, FLOOD, "second", 3_000).await;
    assert!((800..1_200).contains(&third), "{third}");
    assert_eq!(asked_of(&process, FLOOD, "third", 6_800).await, 2_850 - third);

    laptop.clock.advance(20);
    assert_eq!(asked_of(&process, FLOOD, "later", 400).await, 20);
    assert_eq!(calls(&laptop), 3_020);
}

#[tokio::test]
async fn the_owner_sets_the_limit_or_switches_it_off() {
    for (limit, asked) in [("0", 400..401), ("300", 300..360)] {
        let laptop = tests::Start::default().var("WXAUTH_LOGIN_REFUSALS", limit).go().await;
        let process = process(&laptop).await;
        let invented = asked_of(&process, FLOOD, "nobody", 400).await;
        assert!(asked.contains(&invented), "{limit}: {invented}");
    }
}

#[tokio::test]
async fn a_charged_code_is_forgiven_each_second() {
    let laptop = Laptop::start().await;
    let process = process(&laptop).await;
    flood(&process, FLOOD, "nobody").await;
    assert!(asked_of(&process, FLOOD, "more", 60).await < 60);

    // What it owes beyond its limit is a minute at most.
    laptop.clock.advance(61);

    assert_eq!(asked_of(&process, FLOOD, "later", 1).await, 1);
    assert_eq!(tries(&laptop, &process, FLOOD, "alice").await, 1);
}

/// Bound: no call within 30 seconds, whoever sends the code.
#[tokio::test]
async fn the_same_refused_code_costs_one_call_in_half_a_minute() {
    let laptop = Laptop::start().await;
    let process = process(&laptop).await;
    let used = laptop.code("alice");
    assert_eq!(login(&process, ELSEWHERE, &used).await.status, 200);
    let codes = [("nobody", "code_invalid"), (used.as_str(), "code_used")];
    for (code, refusal) in codes {
        login(&process, FLOOD, code).await.is_problem(400, refusal, "relogin");
    }
    let before = calls(&laptop);

    for _ in 0..10 {
        for (code, refusal) in codes {
            login(&process, FLOOD, code).await.is_problem(400, refusal, "relogin");
            login(&process, ELSEWHERE, code).await.is_problem(400, refusal, "relogin");
        }
        laptop.clock.advance(2);
    }
    assert_eq!(calls(&laptop), before);

    laptop.clock.advance(27);
    login(&process, ELSEWHERE, "nobody").await.is_problem(400, "code_invalid", "relogin");
    assert_eq!(calls(&laptop), before, "29 seconds after it was refused");

    laptop.clock.advance(30);
    for (code, refusal) in codes {
        login(&process, "203.0.113.9", code).await.is_problem(400, refusal, "relogin");
    }
    assert_eq!(calls(&laptop), before + 2);
}

#[tokio::test]
async fn a_code_remembered_for_one_app_is_not_refused_for_another() {
    let apps = json!({ "apps": {
        "wx0000000000000001": { "secret": "one" },
        "wx0000000000000002": { "secret": "two" },
    } });
    let laptop = tests::Start::default().apps(apps).go().await;
    let process = process(&laptop).await;
    let code = laptop.sim("login", json!({ "user": "alice", "appid": "wx0000000000000001" }))["code"].clone();

    let crossed = json!({ "code": code, "appid": "wx0000000000000002" });
    login_by(&process, FLOOD, None, &crossed).await.is_problem(400, "code_invalid", "relogin");

    let right = json!({ "code": code, "appid": "wx0000000000000001" });
    assert_eq!(login_by(&process, FLOOD, None, &right).await.status, 200);
}

#[tokio::test]
async fn users_at_other_addresses_log_in_while_a_flood_goes_on() {
    let laptop = Laptop::start().await;
    let process = process(&laptop).await;

    for wave in 0..20 {
        asked_of(&process, FLOOD, &format!("nobody-{wave}-"), 100).await;
        let user = format!("user{wave}");
        let answer = login(&process, &format!("192.0.2.{wave}"), &laptop.code(&user)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}

#[tokio::test]
async fn a_good_code_beside_a_flood_gets_in_within_some_tries_unspent() {
    let laptop = Laptop::start().await;
    let process = process(&laptop).await;
    flood(&process, FLOOD, "nobody").await;
    let mut within_three = 0;

    for number in 0..60 {
        within_three += u32::from(tries(&laptop, &process, FLOOD, &format!("user{number}")).await <= 3);
    }

    // Of sixty, forty-two are expected; fewer than thirty are a chance of one in a thousand.
    assert!(within_three >= 30, "{within_three} of 60");
}

#[tokio::test]
async fn a_user_who_logged_in_before_is_not_refused_for_a_flood_beside_them() {
    let laptop = Laptop::start().await;
    let process = process(&laptop).await;
    let alice = laptop.login("alice").await;
    flood(&process, FLOOD, "nobody").await;

    for _ in 0..30 {
        let body = json!({ "code": laptop.code("alice"), "device": alice.device });
        assert_eq!(login_by(&process, FLOOD, None, &body).await.status, 200);
    }
}

/// Bound: ten at once. Beyond them a user's codes count as a stranger's, on however many devices.
#[tokio::test]
async fn a_users_allowance_is_one_for_all_their_devices() {
    let laptop = Laptop::start().await;
    let process = process(&laptop).await;
    flood(&process, FLOOD, "nobody").await;
    let devices = [laptop.login("mallory").await.device, laptop.login("mallory").await.device];
    let mut asked = 0;

    for number in 0..100 {
        let body = json!({ "code": format!("made-up-{number}"), "device": devices[number % 2] });
        asked += u64::from(login_by(&process, FLOOD, None, &body).await.code() == "code_invalid");
    }

    assert!((10..70).contains(&asked), "{asked}: ten and a third of the others");
}

#[tokio::test]
async fn a_flood_of_one_app_is_not_counted_for_another() {
    let apps = json!({ "apps": {
        "wx0000000000000001": { "secret": "one" },
        "wx0000000000000002": { "secret": "two" },
    } });
    let laptop = tests::Start::default().apps(apps).go().await;
    let process = process(&laptop).await;
    let (mut asked, all) = (0, 2 * FEW);
    for number in 0..all {
        let body = json!({ "code": format!("nobody{number}"), "appid": "wx0000000000000001" });
        asked += u64::from(login_by(&process, FLOOD, None, &body).await.code() == "code_invalid");
    }
    assert!(asked < all);

    for _ in 0..30 {
        laptop.clock.tick();
        let code = laptop.sim("login", json!({ "user": "alice", "appid": "wx0000000000000002" }))["code"].clone();
        let body = json!({ "code": code, "appid": "wx0000000000000002" });
        assert_eq!(login_by(&process, FLOOD, None, &body).await.status, 200);
    }
}

/// Bound: none. A school, a company or a carrier behind one address logs in as often as it likes.
#[tokio::test]
async fn good_codes_of_one_address_are_never_counted() {
    let laptop = Laptop::start().await;
    let process = process(&laptop).await;

    for number in 0..100 {
        let answer = login(&process, FLOOD, &laptop.code(&format!("user{number}"))).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    flood(&process, ELSEWHERE, "nobody").await;
    assert_eq!(asked_of(&process, FLOOD, "nobody", LIMIT).await, LIMIT, "none of them is owed");
}

/// Bound: that of one address for a /56, which is what a provider gives to one customer.
#[tokio::test]
async fn addresses_of_one_ipv6_network_count_together() {
    let laptop = Laptop::start().await;
    let process = process(&laptop).await;
    for number in 0..FEW {
        let neighbour = format!("2001:db8:1:2{:02x}:{number:x}::{number:x}", number % 256);
        login(&process, &neighbour, &format!("nobody{number}")).await;
    }
    assert_eq!(calls(&laptop), FEW);

    assert!(asked_of(&process, "2001:DB8:1:2FF::ffff", "same", 60).await < 60);
    for (name, elsewhere) in [("one", "2001:db8:1:300::1"), ("two", "2001:db8:2:200::1")] {
        assert_eq!(asked_of(&process, elsewhere, name, LIMIT).await, LIMIT);
    }
}

#[tokio::test]
async fn a_repeated_login_is_never_charged() {
    for errcode in [40163, 40029] {
        let laptop = Laptop::start().await;
        let _ = laptop.sim("settings", json!({ "used_code_errcode": errcode }));
        let process = process(&laptop).await;
        let body = json!({ "code": laptop.code("alice") });
        let first = login_by(&process, FLOOD, Some(KEY), &body).await;
        assert_eq!(first.status, 200, "{}", first.body);

        for _ in 0..2 * LIMIT {
            let again = login_by(&process, FLOOD, Some(KEY), &body).await;
            assert_eq!(again.body["refresh_token"], first.body["refresh_token"], "{}", again.body);
        }

        flood(&process, ELSEWHERE, "nobody").await;
        assert_eq!(asked_of(&process, FLOOD, "bob", LIMIT).await, LIMIT);
    }
}

#[tokio::test]
async fn a_login_is_repeated_though_its_code_is_remembered_as_used() {
    for (errcode, refusal) in [(40163, "code_used"), (40029, "code_invalid")] {
        let laptop = Laptop::start().await;
        let _ = laptop.sim("settings", json!({ "used_code_errcode": errcode }));
        let process = process(&laptop).await;
        let body = json!({ "code": laptop.code("alice") });
        let first = login_by(&process, ELSEWHERE, Some(KEY), &body).await;
        // Somebody found the code in a log.
        login_by(&process, FLOOD, None, &body).await.is_problem(400, refusal, "relogin");
        let before = calls(&laptop);

        let again = login_by(&process, ELSEWHERE, Some(KEY), &body).await;

        assert_eq!(again.body["refresh_token"], first.body["refresh_token"], "{}", again.body);
        assert_eq!(calls(&laptop), before);
    }
}

/// Bound: one call in half a minute. A code that was sent twice is no evidence of abuse, so nobody is charged.
#[tokio::test]
async fn a_used_code_under_other_keys_or_after_its_session_costs_one_call_and_is_not_charged() {
    let laptop = Laptop::start().await;
    let process = process(&laptop).await;
    let body = json!({ "code": laptop.code("mallory") });
    let first = login_by(&process, FLOOD, Some(KEY), &body).await;
    assert_eq!(first.status, 200);

    for number in 0..2 * LIMIT {
        let refused = login_by(&process, FLOOD, Some(&format!("another-key-{number:06}")), &body).await;
        refused.is_problem(400, "code_used", "relogin");
    }
    laptop.clock.advance(120);
    laptop.refresh(first.body["refresh_token"].as_str().unwrap()).await.ok();
    for _ in 0..2 * LIMIT {
        login_by(&process, FLOOD, Some(KEY), &body).await.is_problem(400, "code_used", "relogin");
    }

    assert!(calls(&laptop) <= 3, "one code cost {} calls", calls(&laptop));
    flood(&process, ELSEWHERE, "nobody").await;
    assert_eq!(asked_of(&process, FLOOD, "new", LIMIT).await, LIMIT);
}

#[tokio::test]
async fn a_code_that_wechat_did_not_judge_is_not_remembered() {
    let laptop = Laptop::start().await;
    let process = process(&laptop).await;
    for fault in [
        json!({ "kind": "errcode", "errcode": 45011 }),
        json!({ "kind": "errcode", "errcode": 45009 }),
        json!({ "kind": "errcode", "errcode": 99_999 }),
        json!({ "kind": "html" }),
        json!({ "kind": "status", "status": 500 }),
    ] {
        let code = laptop.code("alice");
        laptop.script("jscode2session", &fault, Some(1));
        assert_ne!(login(&process, FLOOD, &code).await.status, 200, "{fault}");

        assert_eq!(login(&process, FLOOD, &code).await.status, 200, "{fault}");
    }
}

/// Bound: some thousand addresses and codes; beyond them a process forgets, and its memory does not grow.
#[tokio::test]
async fn an_address_is_counted_though_thousands_of_others_were_before_it() {
    let laptop = Laptop::start().await;
    let process = process(&laptop).await;

    for number in 0..5_000_u32 {
        let address = format!("10.{}.{}.1", number >> 8, number & 255);
        login(&process, &address, &format!("nobody{number}")).await.is_problem(400, "code_invalid", "relogin");
    }

    assert_eq!(login(&process, ELSEWHERE, &laptop.code("alice")).await.status, 200);
    assert_eq!(asked_of(&process, FLOOD, "after", LIMIT).await, LIMIT);
    assert_eq!(asked_of(&process, FLOOD, "more", 60).await, 0);
}

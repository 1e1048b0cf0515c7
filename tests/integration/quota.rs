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

const FLOOD: &str = "198.51.100.7";
const ELSEWHERE: &str = "192.0.2.1";
const KEY: &str = "one-login-one-key";

/// Refused codes that an address may owe a process; one is forgiven each second.
const MOST: u64 = 100;

/// The login function in a process of its own.
async fn process(laptop: &Laptop) -> Router {
    let env = &laptop.world.env;
    stack(login::router(login::Deps::from_env(env.clone()).await.unwrap()), env.log())
}

/// Status and body of the function's response.
struct Response {
    status: u64,
    body: Value,
    headers: Value,
}

impl Response {
    fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    #[track_caller]
    fn is_problem(&self, status: u64, code: &str, action: &str) {
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

async fn login(process: &Router, source: &str, code: &str) -> Response {
    login_by(process, source, None, &json!({ "code": code })).await
}

fn calls(laptop: &Laptop) -> u64 {
    laptop.simulator.calls("jscode2session")
}

/// Lets an address owe all that it may.
async fn flood(process: &Router, source: &str, name: &str) {
    for number in 0..MOST {
        login(process, source, &format!("{name}{number}")).await.is_problem(400, "code_invalid", "relogin");
    }
}

/// Bound: a code that is not 1 to 512 printable characters costs no call, whatever it is.
#[test]
fn a_malformed_code_never_reaches_wechat() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (laptop, process) = runtime.block_on(async {
        let laptop = Laptop::start().await;
        let process = process(&laptop).await;
        (laptop, process)
    });
    let printable = |text: &str| (1..=512).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    let text = proptest::prop_oneof![
        "\\PC{0,40}",
        "[!-~]{0,20}[\\x00-\\x20\\x7f][!-~]{0,20}",
        "[!-~]{0,20}[^\\x00-\\x7f][!-~]{0,20}",
        "[!-~]{513,600}",
        ".{0,600}",
    ];
    let text = text.prop_filter("a code might look like this", move |text| !printable(text)).prop_map(Value::from);
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

/// Bound: 100 calls at once and then one a second for each address and process, however many codes come.
#[tokio::test]
async fn ten_thousand_codes_of_nobody_cost_a_hundred_calls_and_one_a_second() {
    let laptop = Laptop::start().await;
    let process = process(&laptop).await;

    for minute in 0..5 {
        let (mut invalid, mut limited) = (0, 0);
        for number in 0..2_000 {
            let answer = login(&process, FLOOD, &format!("nobody-{minute}-{number}")).await;
            if answer.code() == "code_invalid" {
                invalid += 1;
                continue;
            }
            answer.is_problem(429, "rate_limited", "retry");
            let waits = (&answer.body["retry_after"], &answer.headers["retry-after"]);
            assert_eq!(waits, (&json!(1), &json!("1")));
            limited += 1;
        }
        let calls_allowed = if minute == 0 { MOST } else { 60 };
        assert_eq!((invalid, limited), (calls_allowed, 2_000 - calls_allowed), "minute {minute}");
        assert_eq!(calls(&laptop), MOST + 60 * minute);
        laptop.clock.advance(60);
    }
}

#[tokio::test]
async fn a_refused_code_is_forgiven_each_second() {
    let laptop = Laptop::start().await;
    let process = process(&laptop).await;
    flood(&process, FLOOD, "nobody").await;

    for second in 0..5 {
        login(&process, FLOOD, &format!("early{second}")).await.is_problem(429, "rate_limited", "retry");
        laptop.clock.advance(1);
        login(&process, FLOOD, &format!("late{second}")).await.is_problem(400, "code_invalid", "relogin");
    }

    assert_eq!(calls(&laptop), MOST + 5);
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
        for number in 0..100 {
            let refused = login(&process, FLOOD, &format!("nobody-{wave}-{number}")).await;
            assert!(matches!(refused.code(), "code_invalid" | "rate_limited"), "{}", refused.body);
        }
        let user = format!("user{wave}");
        let answer = login(&process, &format!("192.0.2.{wave}"), &laptop.code(&user)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    assert_eq!(calls(&laptop), MOST + 20);
}

#[tokio::test]
async fn a_good_code_of_a_flooded_address_waits_a_second_unspent() {
    let laptop = Laptop::start().await;
    let process = process(&laptop).await;
    flood(&process, FLOOD, "nobody").await;
    let code = laptop.code("alice");

    let limited = login(&process, FLOOD, &code).await;
    limited.is_problem(429, "rate_limited", "retry");
    assert_eq!(limited.body["retry_after"], 1);
    assert_eq!(calls(&laptop), MOST);

    laptop.clock.advance(1);
    assert_eq!(login(&process, FLOOD, &code).await.status, 200);
}

#[tokio::test]
async fn a_flood_of_one_app_is_not_counted_for_another() {
    let apps = json!({ "apps": {
        "wx0000000000000001": { "secret": "one" },
        "wx0000000000000002": { "secret": "two" },
    } });
    let laptop = tests::Start::default().apps(apps).go().await;
    let process = process(&laptop).await;
    for number in 0..=MOST {
        let body = json!({ "code": format!("nobody{number}"), "appid": "wx0000000000000001" });
        assert_ne!(login_by(&process, FLOOD, None, &body).await.status, 200);
    }

    let code = laptop.sim("login", json!({ "user": "alice", "appid": "wx0000000000000002" }))["code"].clone();
    let body = json!({ "code": code, "appid": "wx0000000000000002" });
    assert_eq!(login_by(&process, FLOOD, None, &body).await.status, 200);
    let limited = json!({ "code": "nobody", "appid": "wx0000000000000001" });
    login_by(&process, FLOOD, None, &limited).await.is_problem(429, "rate_limited", "retry");
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
    for number in 1..MOST {
        login(&process, FLOOD, &format!("nobody{number}")).await;
    }
    assert_eq!(login(&process, FLOOD, &laptop.code("alice")).await.status, 200, "99 refused codes are not too many");
}

/// Bound: that of one address for a /56, which is what a provider gives to one customer.
#[tokio::test]
async fn addresses_of_one_ipv6_network_count_together() {
    let laptop = Laptop::start().await;
    let process = process(&laptop).await;
    for number in 0..2 * MOST {
        let neighbour = format!("2001:db8:1:2{:02x}:{number:x}::{number:x}", number % 256);
        login(&process, &neighbour, &format!("nobody{number}")).await;
    }
    assert_eq!(calls(&laptop), MOST);

    let limited = login(&process, "2001:DB8:1:2FF::ffff", &laptop.code("alice")).await;
    limited.is_problem(429, "rate_limited", "retry");
    assert_eq!(login(&process, "2001:db8:1:300::1", &laptop.code("bob")).await.status, 200);
    assert_eq!(login(&process, "2001:db8:2:200::1", &laptop.code("carol")).await.status, 200);
}

/// `::ffff:192.0.2.1` is `192.0.2.1`; all of IPv4 written like this is one /64.
#[tokio::test]
async fn an_ipv4_address_in_ipv6_spelling_counts_as_itself() {
    let laptop = Laptop::start().await;
    let process = process(&laptop).await;
    flood(&process, "::ffff:198.51.100.7", "nobody").await;

    assert_eq!(login(&process, "::ffff:192.0.2.1", &laptop.code("alice")).await.status, 200, "a user elsewhere");
    login(&process, FLOOD, &laptop.code("mallory")).await.is_problem(429, "rate_limited", "retry");
}

#[tokio::test]
async fn a_repeated_login_is_never_counted() {
    for errcode in [40163, 40029] {
        let laptop = Laptop::start().await;
        let _ = laptop.sim("settings", json!({ "used_code_errcode": errcode }));
        let process = process(&laptop).await;
        let body = json!({ "code": laptop.code("alice") });
        let first = login_by(&process, FLOOD, Some(KEY), &body).await;
        assert_eq!(first.status, 200, "{}", first.body);

        for _ in 0..2 * MOST {
            let again = login_by(&process, FLOOD, Some(KEY), &body).await;
            assert_eq!(again.body["refresh_token"], first.body["refresh_token"], "{}", again.body);
        }

        assert_eq!(login(&process, FLOOD, &laptop.code("bob")).await.status, 200);
        login(&process, FLOOD, "nobody").await.is_problem(400, "code_invalid", "relogin");
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

/// Bound: as for any other code. An idempotency record of somebody else's request is a refused code like any other.
#[tokio::test]
async fn a_used_code_under_other_keys_is_remembered_and_counted() {
    let laptop = Laptop::start().await;
    let process = process(&laptop).await;
    let body = json!({ "code": laptop.code("mallory") });
    assert_eq!(login_by(&process, FLOOD, Some(KEY), &body).await.status, 200);

    for number in 0..2 * MOST {
        let refused = login_by(&process, FLOOD, Some(&format!("another-key-{number:06}")), &body).await;
        assert!(matches!(refused.code(), "code_used" | "rate_limited"), "{}", refused.body);
    }

    assert!(calls(&laptop) <= 2, "one code cost {} calls", calls(&laptop));
}

/// Bound: as above. A login whose session is over is refused each time it is sent.
#[tokio::test]
async fn a_repetition_whose_session_is_over_is_remembered_and_counted() {
    let laptop = Laptop::start().await;
    let process = process(&laptop).await;
    let body = json!({ "code": laptop.code("mallory") });
    let first = login_by(&process, FLOOD, Some(KEY), &body).await;
    laptop.clock.advance(120);
    laptop.refresh(first.body["refresh_token"].as_str().unwrap()).await.ok();

    for _ in 0..2 * MOST {
        let refused = login_by(&process, FLOOD, Some(KEY), &body).await;
        assert!(matches!(refused.code(), "code_used" | "rate_limited"), "{}", refused.body);
    }

    assert!(calls(&laptop) <= 2, "one code cost {} calls", calls(&laptop));
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

#[tokio::test]
async fn five_failures_of_wechat_open_the_breaker_and_refreshes_go_on() {
    let laptop = Laptop::start().await;
    let process = process(&laptop).await;
    let alice = laptop.login("alice").await;
    let before = calls(&laptop);
    laptop.script("jscode2session", &json!({ "kind": "status", "status": 500 }), None);
    for number in 0..5 {
        let failed = login(&process, ELSEWHERE, &laptop.code(&format!("user{number}"))).await;
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
    flood(&process, FLOOD, "after").await;
    login(&process, FLOOD, "more").await.is_problem(429, "rate_limited", "retry");
}

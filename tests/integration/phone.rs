//! `POST /v1/phone`.

use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};
use tests::{Laptop, Response, Start, Tokens, send, wire};

async fn phone(laptop: &Laptop, user: &Tokens, body: &Value) -> Response {
    laptop.post_as(&user.access, "/v1/phone", body).await
}

/// What the button gives, as the two ways to send it.
fn button(laptop: &Laptop, user: &str) -> (Value, Value) {
    let event = laptop.sim("phone", json!({ "user": user }));
    (json!({ "encryptedData": event["encryptedData"], "iv": event["iv"] }), json!({ "code": event["code"] }))
}

/// Any plaintext under the user's present key.
fn encrypted(laptop: &Laptop, plaintext: &str) -> Value {
    laptop.sim("encrypt", json!({ "user": "alice", "plaintext": plaintext }))
}

#[tokio::test]
async fn both_ways_give_the_number() {
    let laptop = Start::default().rsa().go().await;
    let alice = laptop.login("alice").await;
    let number =
        json!({ "user": "alice", "phoneNumber": "+85251234567", "purePhoneNumber": "51234567", "countryCode": "852" });
    let _ = laptop.sim("user", number);
    let (data, code) = button(&laptop, "alice");

    for way in [data, code] {
        let answer = phone(&laptop, &alice, &way).await.ok();
        let number = json!({ "phoneNumber": "+85251234567", "purePhoneNumber": "51234567", "countryCode": "852" });
        assert_eq!(answer, number);
    }
}

#[tokio::test]
async fn data_under_the_key_before_the_last_login_is_read_for_ten_minutes() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let (data, _) = button(&laptop, "alice");
    laptop.login("alice").await;

    laptop.clock.advance(599);
    phone(&laptop, &alice, &data).await.ok();

    laptop.clock.advance(1);
    phone(&laptop, &alice, &data).await.is_problem(409, "session_key_expired", "relogin_then_retap");
}

#[tokio::test]
async fn the_same_key_given_again_does_not_push_out_the_previous_one() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let (data, _) = button(&laptop, "alice");
    laptop.login("alice").await;
    let _ = laptop.sim("settings", json!({ "session_key": "keep" }));
    laptop.login("alice").await;

    phone(&laptop, &alice, &data).await.ok();
}

#[tokio::test]
async fn a_key_that_wechat_replaced_behind_our_back_asks_for_a_login_and_a_tap() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let _unsent = laptop.code("alice");
    let (data, _) = button(&laptop, "alice");

    phone(&laptop, &alice, &data).await.is_problem(409, "session_key_expired", "relogin_then_retap");
}

#[tokio::test]
async fn data_of_another_app_is_rejected() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let foreign = json!({
        "phoneNumber": "13800138000", "purePhoneNumber": "13800138000", "countryCode": "86",
        "watermark": { "timestamp": 1_800_000_000, "appid": "wxffffffffffffffff" },
    });

    let answer = phone(&laptop, &alice, &encrypted(&laptop, &foreign.to_string())).await;

    answer.is_problem(403, "data_rejected", "stop");
}

#[tokio::test]
async fn a_phone_code_sent_again_gives_the_number_without_a_second_call() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let (_, code) = button(&laptop, "alice");
    let first = phone(&laptop, &alice, &code).await.ok();

    laptop.clock.advance(299);
    let again = phone(&laptop, &alice, &code).await.ok();

    assert_eq!(first, again);
    assert_eq!(laptop.simulator.calls("getuserphonenumber"), 1);
    laptop.clock.advance(1);
    phone(&laptop, &alice, &code).await.is_problem(409, "phone_code_invalid", "relogin_then_retap");
}

#[tokio::test]
async fn a_phone_code_sent_twice_at_once_gives_the_number_twice() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let (_, code) = button(&laptop, "alice");

    let (one, two) = tokio::join!(phone(&laptop, &alice, &code), phone(&laptop, &alice, &code));

    assert_eq!(one.ok(), two.ok());
}

/// Whoever waits for the answer to a code that WeChat refuses has it at once, and needs no turn of its own.
#[tokio::test]
async fn a_phone_code_that_wechat_refuses_is_asked_about_once_however_often_it_is_sent() {
    let laptop = Laptop::start().await;
    let (alice, other) = (laptop.login("alice").await, laptop.beside().await);
    let invented = json!({ "code": "invented" });
    laptop.script("getuserphonenumber", &json!({ "kind": "latency", "ms": 200 }), None);

    let at_once = (0..8).map(|number| phone(if number % 2 == 0 { &laptop } else { &other }, &alice, &invented));
    for refused in join_all(at_once).await {
        refused.is_problem(409, "phone_code_invalid", "relogin_then_retap");
    }
    phone(&other, &alice, &invented).await.is_problem(409, "phone_code_invalid", "relogin_then_retap");
    assert_eq!(laptop.simulator.calls("getuserphonenumber"), 1);

    // As long as a code may live at WeChat.
    laptop.clock.advance(299);
    phone(&laptop, &alice, &invented).await.is_problem(409, "phone_code_invalid", "relogin_then_retap");
    assert_eq!(laptop.simulator.calls("getuserphonenumber"), 1);
}

/// A text of the phone button that WeChat's front cuts off is its sender's doing, and refuses nobody else.
#[tokio::test]
async fn phone_codes_that_wechat_cuts_off_open_the_breaker_for_nobody() {
    let laptop = Laptop::start().await;
    let (mallory, alice) = (laptop.login("mallory").await, laptop.login("alice").await);
    laptop.script("getuserphonenumber", &json!({ "kind": "reset" }), Some(10));
    for number in 0..10 {
        let code = json!({ "code": format!("made-up-{number}") });
        phone(&laptop, &mallory, &code).await.is_problem(504, "wechat_timeout", "retry");
    }

    phone(&laptop, &alice, &button(&laptop, "alice").1).await.ok();
}

#[tokio::test]
async fn a_phone_code_of_another_user_gives_nothing() {
    let laptop = Laptop::start().await;
    let (alice, bob) = (laptop.login("alice").await, laptop.login("bob").await);
    let (_, code) = button(&laptop, "alice");

    let before = phone(&laptop, &bob, &code).await;
    phone(&laptop, &alice, &code).await.ok();
    let after = phone(&laptop, &bob, &code).await;

    before.is_problem(403, "data_rejected", "stop");
    after.is_problem(409, "phone_code_invalid", "relogin_then_retap");
}

#[tokio::test]
async fn each_answer_of_wechat_has_its_own_code() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    for (errcode, status, code, action) in [
        (40029, 409, "phone_code_invalid", "relogin_then_retap"),
        (40163, 409, "phone_code_invalid", "relogin_then_retap"),
        (40003, 403, "data_rejected", "stop"),
        (40013, 403, "data_rejected", "stop"),
        (40125, 500, "misconfigured", "stop"),
        (48001, 500, "misconfigured", "stop"),
        (45011, 503, "wechat_busy", "retry"),
        (99_999, 502, "wechat_error", "retry"),
    ] {
        laptop.script("getuserphonenumber", &json!({ "kind": "errcode", "errcode": errcode }), Some(1));
        phone(&laptop, &alice, &button(&laptop, "alice").1).await.is_problem(status, code, action);
    }
    for (fault, status, code) in [
        (json!({ "kind": "silence" }), 504, "wechat_timeout"),
        (json!({ "kind": "reset" }), 504, "wechat_timeout"),
        (json!({ "kind": "html" }), 502, "wechat_error"),
        (json!({ "kind": "status", "status": 503 }), 502, "wechat_error"),
    ] {
        laptop.script("getuserphonenumber", &fault, Some(1));
        phone(&laptop, &alice, &button(&laptop, "alice").1).await.is_problem(status, code, "retry");
    }
    assert_eq!(laptop.simulator.calls("getuserphonenumber"), 12, "a code is never sent twice");
}

#[tokio::test]
async fn a_refused_platform_token_is_replaced_once_and_never_forced() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    phone(&laptop, &alice, &button(&laptop, "alice").1).await.ok();
    for errcode in [40001, 40014, 42001] {
        laptop.script("getuserphonenumber", &json!({ "kind": "errcode", "errcode": errcode }), None);
        let before = laptop.simulator.calls("getuserphonenumber");

        phone(&laptop, &alice, &button(&laptop, "alice").1).await.is_problem(502, "wechat_error", "retry");

        assert_eq!(laptop.simulator.calls("getuserphonenumber"), before + 1, "WeChat still gives the same token");
        laptop.simulator.clear_script();
    }
    phone(&laptop, &alice, &button(&laptop, "alice").1).await.ok();
}

#[tokio::test]
async fn a_token_whose_session_is_gone_does_not_use_up_its_owners_attempts() {
    let laptop = Laptop::start().await;
    let before = laptop.login("alice").await;
    laptop.clock.advance(1);
    let now = laptop.login_with(&json!({ "code": laptop.code("alice"), "device": before.device })).await;
    let (data, code) = button(&laptop, "alice");

    for attempt in 0..40 {
        let way = if attempt % 2 == 0 { &data } else { &code };
        phone(&laptop, &before, way).await.is_problem(401, "token_invalid", "refresh");
    }

    phone(&laptop, &now, &data).await.ok();
}

#[tokio::test]
async fn a_failed_fetch_of_the_platform_token_keeps_nobody_waiting() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    laptop.script("stable_token", &json!({ "kind": "errcode", "errcode": 40164 }), Some(2));
    let began = std::time::Duration::from_secs(3);

    let both = async {
        for _ in 0..2 {
            phone(&laptop, &alice, &button(&laptop, "alice").1).await.is_problem(500, "misconfigured", "stop");
        }
        phone(&laptop, &alice, &button(&laptop, "alice").1).await.ok();
    };
    tokio::time::timeout(began, both).await.unwrap();
}

#[tokio::test]
async fn a_platform_token_near_its_end_is_used_and_not_fetched_for_every_request() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let short = json!({ "access_token": "short", "expires_in": 200 }).to_string();
    laptop.script("stable_token", &json!({ "kind": "status", "status": 200, "body": short }), None);

    for _ in 0..5 {
        // The simulator knows no such token: what counts is how often it was asked for one.
        let refused = phone(&laptop, &alice, &button(&laptop, "alice").1).await;
        refused.is_problem(502, "wechat_error", "retry");
    }

    assert!(laptop.simulator.calls("stable_token") <= 6, "{}", laptop.simulator.calls("stable_token"));
}

#[tokio::test]
async fn an_absurd_lifetime_of_the_platform_token_is_not_believed() {
    for seconds in ["18446744073709551615", "0", "-1", "1.5"] {
        let laptop = Laptop::start().await;
        let alice = laptop.login("alice").await;
        let body = format!("{{\"access_token\":\"absurd\",\"expires_in\":{seconds}}}");
        laptop.script("stable_token", &json!({ "kind": "status", "status": 200, "body": body }), None);

        let answer = phone(&laptop, &alice, &button(&laptop, "alice").1).await;

        answer.is_problem(502, "wechat_error", "retry");
    }
}

#[tokio::test]
async fn one_platform_token_serves_many_processes_at_once() {
    let one = Laptop::start().await;
    let (two, three) = (one.beside().await, one.beside().await);
    let mut users = Vec::new();
    for number in 0..12 {
        let user = format!("user{number}");
        users.push((one.login(&user).await, button(&one, &user).1));
    }

    let requests = users.iter().enumerate().map(|(number, (user, code))| {
        let laptop = [&one, &two, &three][number % 3];
        phone(laptop, user, code)
    });
    let answers = futures_util::future::join_all(requests).await;

    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    assert_eq!(one.simulator.calls("stable_token"), 1);
}

#[tokio::test]
async fn one_platform_token_serves_many_requests_at_once() {
    let laptop = Laptop::start().await;
    let users: Vec<String> = (0..20).map(|number| format!("user{number}")).collect();
    let mut requests = Vec::new();
    for user in &users {
        let tokens = laptop.login(user).await;
        requests.push((tokens, button(&laptop, user).1));
    }

    let answers = futures_util::future::join_all(requests.iter().map(|(user, code)| phone(&laptop, user, code))).await;

    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    assert_eq!(laptop.simulator.calls("stable_token"), 1);
}

#[tokio::test]
async fn a_request_gives_the_data_or_the_code_in_the_right_form() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let iv = "AAAAAAAAAAAAAAAAAAAAAA==";
    for body in [
        json!({}),
        json!({ "encryptedData": iv }),
        json!({ "iv": iv }),
        json!({ "encryptedData": iv, "iv": iv, "code": "c" }),
        json!({ "encryptedData": "", "iv": iv }),
        json!({ "encryptedData": "AAAA", "iv": iv }),
        json!({ "encryptedData": iv, "iv": "AAAA" }),
        json!({ "encryptedData": "!", "iv": iv }),
        json!({ "encryptedData": iv, "iv": 1 }),
        json!({ "code": "" }),
        json!({ "code": "a b" }),
        json!({ "code": ["c"] }),
    ] {
        phone(&laptop, &alice, &body).await.is_problem(400, "invalid_request", "fix");
    }
    assert_eq!(laptop.simulator.calls("getuserphonenumber"), 0);
}

#[tokio::test]
async fn only_a_living_access_token_of_ours_is_accepted() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let stranger = Laptop::start().await.login("alice").await;
    let (data, _) = button(&laptop, "alice");
    let with = |value: &str| laptop.request("/v1/phone").header("authorization", value).json(&data);

    send(laptop.request("/v1/phone").json(&data)).await.is_problem(401, "token_invalid", "refresh");
    for bad in ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer x.y.z", &alice.access] {
        send(with(bad)).await.is_problem(401, "token_invalid", "refresh");
    }
    for bad in [&stranger.access, &alice.refresh, &format!("{}A", alice.access)] {
        send(with(&format!("Bearer {bad}"))).await.is_problem(401, "token_invalid", "refresh");
    }
    send(with(&format!("bearer {}", alice.access))).await.ok();

    laptop.clock.advance(930);
    send(with(&format!("Bearer {}", alice.access))).await.is_problem(401, "token_expired", "refresh");
}

#[tokio::test]
async fn an_access_token_whose_session_is_gone_is_refused_at_once() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let (data, code) = button(&laptop, "alice");
    laptop.clock.advance(1);
    laptop.login_with(&json!({ "code": laptop.code("alice"), "device": alice.device })).await;

    for body in [data, code] {
        phone(&laptop, &alice, &body).await.is_problem(401, "token_invalid", "refresh");
    }
    assert_eq!(laptop.simulator.calls("getuserphonenumber"), 0);
}

#[tokio::test]
async fn other_methods_and_paths_are_answered_by_the_gateway() {
    let laptop = Laptop::start().await;
    for (method, path) in [(Method::GET, "/v1/phone"), (Method::POST, "/v1/phones"), (Method::POST, "/v1/phone/")] {
        let answer = send(laptop.method(method, path)).await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (404, "{\"message\":\"Not Found\"}"));
    }
}

/// The user is deleted while WeChat gives the number.
#[tokio::test]
async fn a_number_that_is_fetched_beside_a_deletion_does_not_stay() {
    let mut laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let (beside, mut wire) = wire::beside(&mut laptop).await;
    let code = json!({ "code": laptop.sim("phone", json!({ "user": "alice" }))["code"] });

    // The mark that the code is being exchanged is put before WeChat is asked, and the number after.
    let mut puts = 0;
    let phone = wire.step(beside.post_as(&alice.access, "/v1/phone", &code), async |waiting: wire::Waiting| {
        puts += u32::from(waiting.puts("code"));
        if waiting.puts("code") && puts == 2 {
            let deleted = laptop.method(Method::DELETE, "/v1/user").bearer_auth(&alice.access);
            assert_eq!(send(deleted).await.status, 204);
        }
        waiting.pass().await;
    });
    let phone = Box::pin(phone).await;

    phone.is_problem(401, "token_invalid", "refresh");
    let left: Vec<_> = laptop.items().await.values().map(|item| item["sk"].as_s().unwrap().clone()).collect();
    assert!(!left.contains(&"code".to_owned()), "{left:?}");
}

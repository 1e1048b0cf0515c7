//! `POST /v1/login`.

use aws_sdk_dynamodb::types::AttributeValue;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tests::{APPID, BEGIN, Laptop, ManualClock, Start, jwt_claims, send};

const KEY: &str = "one-login-one-key";

/// A login that can be repeated.
#[tokio::test]
async fn a_code_of_wx_login_gives_tokens() {
    let laptop = Start::default().rsa().go().await;

    let answer = laptop.post("/v1/login", &json!({ "code": laptop.code("alice") })).await;

    let body = answer.ok();
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["expires_in"], 900);
    assert_eq!(body["refresh_expires_in"], 604_800);
    assert_eq!(body["new_user"], true);
    let (id, proof) = body["device"].as_str().unwrap().split_once('.').unwrap();
    assert_eq!((id.len(), proof.len()), (22, 48));
    assert!(body["refresh_token"].as_str().unwrap().starts_with("wxr1_"));
    assert!(body.get("userInfo").is_none());
    assert_eq!(answer.header("content-type").unwrap(), "application/json");
    assert_eq!(answer.header("cache-control").unwrap(), "no-store");
    assert!(answer.header("x-request-id").is_some());
    let claims = jwt_claims(body["access_token"].as_str().unwrap());
    assert_eq!(claims["sub"], body["openid"]);
    assert_eq!(claims["aud"], APPID);
    assert_eq!(claims["iss"], laptop.world.url);
    assert_eq!(claims["auth_time"], BEGIN);
}

#[tokio::test]
async fn a_user_is_new_once() {
    let laptop = Laptop::start().await;

    let new =
        async |user| laptop.post("/v1/login", &json!({ "code": laptop.code(user) })).await.ok()["new_user"].clone();

    assert_eq!([new("alice").await, new("alice").await, new("bob").await], [json!(true), json!(false), json!(true)]);
}

#[tokio::test]
async fn a_login_whose_answer_was_lost_is_repeated_and_gives_the_same_refresh_token() {
    let laptop = Laptop::start().await;
    let body = json!({ "code": laptop.code("alice") });
    let first = laptop.login_with_key(KEY, &body).await.ok();

    laptop.clock.advance(119);
    let again = laptop.login_with_key(KEY, &body).await.ok();

    for same in ["refresh_token", "device", "openid", "new_user"] {
        assert_eq!(first[same], again[same], "{same}");
    }
    assert_ne!(first["access_token"], again["access_token"]);
    assert_eq!(jwt_claims(again["access_token"].as_str().unwrap())["auth_time"], BEGIN);
}

#[tokio::test]
async fn a_repetition_with_another_key_or_body_or_without_a_key_is_a_used_code() {
    let laptop = Laptop::start().await;
    let body = json!({ "code": laptop.code("alice") });
    laptop.login_with_key(KEY, &body).await.ok();

    let other_key = laptop.login_with_key("fedcba9876543210", &body).await;
    let other_body = json!({ "code": body["code"], "device": "AAAAAAAAAAAAAAAAAAAAAA" });
    let other_body = laptop.login_with_key(KEY, &other_body).await;
    let without = laptop.post("/v1/login", &body).await;

    for refused in [other_key, other_body, without] {
        refused.is_problem(400, "code_used", "relogin");
    }
}

#[tokio::test]
async fn a_login_is_not_repeated_after_two_minutes_or_after_its_session_has_moved_on() {
    let laptop = Laptop::start().await;
    let (old, moved) = (json!({ "code": laptop.code("alice") }), json!({ "code": laptop.code("bob") }));
    laptop.login_with_key(KEY, &old).await.ok();
    laptop.clock.advance(1);
    let refresh = laptop.login_with_key(KEY, &moved).await.text_of("refresh_token");

    laptop.clock.advance(119);
    laptop.login_with_key(KEY, &old).await.is_problem(400, "code_used", "relogin");

    laptop.clock.advance(1);
    laptop.refresh(&refresh).await.ok();
    laptop.login_with_key(KEY, &moved).await.is_problem(400, "code_used", "relogin");
}

#[tokio::test]
async fn an_idempotency_record_left_alone_gives_no_tokens_that_are_dead_on_arrival() {
    let laptop = Laptop::start().await;
    let body = json!({ "code": laptop.code("alice") });
    laptop.login_with_key(KEY, &body).await.ok();
    let (client, table) = laptop.dynamodb();
    for item in laptop.items().await.into_values() {
        if item["sk"].as_s().unwrap().starts_with("session#") {
            let delete = client.delete_item().table_name(&table).key("pk", item["pk"].clone());
            delete.key("sk", item["sk"].clone()).send().await.unwrap();
        }
    }

    laptop.login_with_key(KEY, &body).await.is_problem(400, "code_used", "relogin");
}

#[tokio::test]
async fn the_same_request_sent_twice_at_once_gives_one_session() {
    let laptop = Laptop::start().await;
    let body = json!({ "code": laptop.code("alice") });

    let (one, two) = tokio::join!(laptop.login_with_key(KEY, &body), laptop.login_with_key(KEY, &body));

    assert_eq!(one.ok()["refresh_token"], two.ok()["refresh_token"]);
    assert_eq!(laptop.simulator.calls("jscode2session"), 1, "a process sends a code once");
}

#[tokio::test]
async fn a_login_whose_wechat_answer_was_lost_asks_for_a_new_code() {
    let laptop = Laptop::start().await;
    let body = json!({ "code": laptop.code("alice") });
    laptop.script_after("jscode2session", &json!({ "kind": "reset" }), Some(1));

    laptop.login_with_key(KEY, &body).await.is_problem(504, "wechat_timeout", "relogin");

    assert_eq!(laptop.simulator.calls("jscode2session"), 1, "a code is never sent twice");
    laptop.login_with_key(KEY, &body).await.is_problem(400, "code_used", "relogin");
}

#[tokio::test]
async fn each_answer_of_wechat_has_its_own_code() {
    let laptop = Laptop::start().await;
    for (errcode, status, code, action) in [
        (40029, 400, "code_invalid", "relogin"),
        (40163, 400, "code_used", "relogin"),
        (40226, 403, "user_blocked", "stop"),
        (40013, 500, "misconfigured", "stop"),
        (40125, 500, "misconfigured", "stop"),
        (40164, 500, "misconfigured", "stop"),
        (45009, 503, "wechat_busy", "retry"),
        (45011, 503, "wechat_busy", "retry"),
        (99_999, 502, "wechat_error", "relogin"),
    ] {
        laptop.script("jscode2session", &json!({ "kind": "errcode", "errcode": errcode }), Some(1));
        laptop.post("/v1/login", &json!({ "code": laptop.code("alice") })).await.is_problem(status, code, action);
    }
    assert_eq!(laptop.simulator.calls("jscode2session"), 9, "none of them is tried again");
}

#[tokio::test]
async fn minus_one_is_tried_once_more() {
    let laptop = Laptop::start().await;
    laptop.script("jscode2session", &json!({ "kind": "errcode", "errcode": -1 }), Some(1));
    laptop.login("alice").await;
    assert_eq!(laptop.simulator.calls("jscode2session"), 2);

    laptop.script("jscode2session", &json!({ "kind": "errcode", "errcode": -1 }), None);
    let answer = laptop.post("/v1/login", &json!({ "code": laptop.code("alice") })).await;

    answer.is_problem(503, "wechat_busy", "retry");
    assert_eq!(laptop.simulator.calls("jscode2session"), 4);
}

#[tokio::test]
async fn an_unreadable_answer_is_wechats_error_and_never_the_users() {
    let laptop = Laptop::start().await;
    for (fault, status, code, action) in [
        (json!({ "kind": "html" }), 502, "wechat_error", "relogin"),
        (json!({ "kind": "empty" }), 502, "wechat_error", "relogin"),
        (json!({ "kind": "truncated" }), 502, "wechat_error", "relogin"),
        (json!({ "kind": "status", "status": 500 }), 502, "wechat_error", "relogin"),
        (json!({ "kind": "cut" }), 504, "wechat_timeout", "relogin"),
        (json!({ "kind": "silence" }), 504, "wechat_timeout", "relogin"),
    ] {
        laptop.script("jscode2session", &fault, Some(1));
        laptop.post("/v1/login", &json!({ "code": laptop.code("alice") })).await.is_problem(status, code, action);
    }
    assert_eq!(laptop.simulator.calls("jscode2session"), 6);
}

/// What one address alone meets may be its own doing; `proxy.rs` has a failure that several meet.
#[tokio::test]
async fn a_wechat_that_fails_for_one_address_is_asked_again() {
    let laptop = Laptop::start().await;
    laptop.script("jscode2session", &json!({ "kind": "status", "status": 502 }), Some(10));
    for _ in 0..10 {
        let failed = laptop.post("/v1/login", &json!({ "code": laptop.code("alice") })).await;
        failed.is_problem(502, "wechat_error", "relogin");
    }

    laptop.login("alice").await;
}

#[tokio::test]
async fn no_errcode_that_a_user_can_cause_shuts_the_door_for_others() {
    let laptop = Laptop::start().await;
    for errcode in [45011, 40029, 40163, 40226, 99_999] {
        laptop.script("jscode2session", &json!({ "kind": "errcode", "errcode": errcode }), Some(6));
        for _ in 0..6 {
            let _ = laptop.post("/v1/login", &json!({ "code": laptop.code("mallory") })).await;
        }
    }

    laptop.login("alice").await;
}

#[tokio::test]
async fn every_spelling_of_success_is_one() {
    let laptop = Laptop::start().await;
    for settings in [
        json!({ "success_errcode": true }),
        json!({ "success_errcode": true, "errcode_as_text": true }),
        json!({ "extra_fields": true }),
    ] {
        let _ = laptop.sim("settings", settings);
        laptop.login("alice").await;
    }
}

#[tokio::test]
async fn an_expired_code_and_a_code_of_nobody_are_invalid() {
    let laptop = Laptop::start().await;
    let code = laptop.code("alice");
    laptop.clock.advance(301);

    for code in [code, "nobody".to_owned()] {
        laptop.post("/v1/login", &json!({ "code": code })).await.is_problem(400, "code_invalid", "relogin");
    }
}

#[tokio::test]
async fn a_malformed_request_never_reaches_wechat() {
    let laptop = Laptop::start().await;
    for body in [
        json!({}),
        json!([]),
        json!({ "code": 1 }),
        json!({ "code": null }),
        json!({ "code": "" }),
        json!({ "code": "a b" }),
        json!({ "code": "代码" }),
        json!({ "code": "c".repeat(513) }),
        json!({ "code": "c", "appid": "wx other" }),
        json!({ "code": "c", "appid": "wxffffffffffffffff" }),
        json!({ "code": "c", "later": [[[[1]]]] }),
    ] {
        laptop.post("/v1/login", &body).await.is_problem(400, "invalid_request", "fix");
    }
    for text in ["", "{", "{\"code\":\"c\",\"code\":\"d\"}", "{\"code\":\"c\"} x", "null", "\u{feff}{\"code\":\"c\"}"] {
        let request = laptop.request("/v1/login").header("content-type", "application/json").body(text);
        send(request).await.is_problem(400, "invalid_request", "fix");
    }
    for key in ["short", &"k".repeat(129), "with a space in it"] {
        laptop.login_with_key(key, &json!({ "code": "c" })).await.is_problem(400, "invalid_request", "fix");
    }
    assert_eq!(laptop.simulator.calls("jscode2session"), 0);
}

#[tokio::test]
async fn unknown_members_are_ignored() {
    let laptop = Laptop::start().await;
    laptop.login_with(&json!({ "code": laptop.code("alice"), "later": { "x": [1] }, "userInfo": null })).await;
}

#[tokio::test]
async fn another_media_type_and_a_large_body_are_refused() {
    let laptop = Laptop::start().await;
    let form = laptop.request("/v1/login").header("content-type", "application/x-www-form-urlencoded").body("code=c");
    send(form).await.is_problem(415, "unsupported_media_type", "fix");
    send(laptop.request("/v1/login").body("{}")).await.is_problem(415, "unsupported_media_type", "fix");

    let exactly = json!({ "code": "c", "x": "y".repeat(16 * 1024 - 19) });
    assert_eq!(exactly.to_string().len(), 16 * 1024);
    laptop.post("/v1/login", &exactly).await.is_problem(400, "code_invalid", "relogin");
    let over = json!({ "code": "c", "x": "y".repeat(16 * 1024 - 18) });
    laptop.post("/v1/login", &over).await.is_problem(413, "payload_too_large", "fix");
}

#[tokio::test]
async fn an_app_must_be_named_where_there_are_several() {
    let apps = json!({ "apps": {
        "wx0000000000000001": { "secret": "one" },
        "wx0000000000000002": { "secret": "two" },
    } });
    let laptop = Start::default().apps(apps).go().await;
    let code = |appid| laptop.sim("login", json!({ "user": "alice", "appid": appid }))["code"].clone();

    let unnamed = laptop.post("/v1/login", &json!({ "code": code("wx0000000000000001") })).await;
    unnamed.is_problem(400, "invalid_request", "fix");
    let mut users = Vec::new();
    for appid in ["wx0000000000000001", "wx0000000000000002"] {
        let tokens = laptop.login_with(&json!({ "code": code(appid), "appid": appid })).await;
        assert_eq!(jwt_claims(&tokens.access)["client_id"], appid);
        users.push(tokens.openid);
    }
    assert_ne!(users[0], users[1]);
    let crossed = json!({ "code": code("wx0000000000000001"), "appid": "wx0000000000000002" });
    laptop.post("/v1/login", &crossed).await.is_problem(400, "code_invalid", "relogin");
}

#[tokio::test]
async fn the_previous_secret_serves_while_wechat_refuses_the_new_one() {
    let apps = json!({ "apps": { APPID: { "secret": "new", "previous_secret": "old" } } });
    let laptop = Start::default().apps(apps).go().await;
    let _ = laptop.sim("secret", json!({ "appid": APPID, "secret": "old" }));
    laptop.login("alice").await;

    let _ = laptop.sim("secret", json!({ "appid": APPID, "secret": "new" }));
    laptop.login("alice").await;
}

#[tokio::test]
async fn an_apps_secret_that_its_owner_has_not_filled_is_a_misconfiguration() {
    let laptop = Start::default().apps(json!({ "apps": {} })).go().await;
    laptop.post("/v1/login", &json!({ "code": "c" })).await.is_problem(500, "misconfigured", "stop");
}

#[tokio::test]
async fn a_table_that_fails_after_the_code_was_spent_asks_for_a_new_login() {
    let laptop = Laptop::start().await;
    let (client, table) = laptop.dynamodb();
    client.delete_table().table_name(table).send().await.unwrap();

    let answer = laptop.post("/v1/login", &json!({ "code": laptop.code("alice") })).await;

    answer.is_problem(503, "retry_login", "relogin");
}

#[tokio::test]
async fn the_table_holds_neither_a_key_nor_a_code_nor_a_token_in_the_clear() {
    let laptop = Laptop::start().await;
    let session_key = "tiihtNczf5v6AKRyjwEUhQ==";
    let code = laptop.code("alice");
    let _ = laptop.sim("user", json!({ "user": "alice", "session_key": session_key }));
    let answer = laptop.login_with_key(KEY, &json!({ "code": code })).await;

    let items = laptop.items().await;

    assert_eq!(items.len(), 3, "user, session and record");
    let kept: Vec<u8> = items.values().flat_map(|item| item.values().flat_map(bytes_of)).collect();
    let raw_key = STANDARD.decode(session_key).unwrap();
    let refresh = answer.text_of("refresh_token");
    for secret in [session_key.as_bytes(), &raw_key, code.as_bytes(), KEY.as_bytes(), refresh.as_bytes()] {
        assert!(!kept.windows(secret.len()).any(|window| window == secret));
    }
    for item in items.into_values() {
        let ttl = item.get("ttl").map(|ttl| ttl.as_n().unwrap().parse::<u64>().unwrap());
        assert_eq!(ttl.is_none(), item["sk"] == AttributeValue::S("user".to_owned()), "only users stay");
    }
}

fn bytes_of(value: &AttributeValue) -> Vec<u8> {
    match value {
        AttributeValue::S(text) | AttributeValue::N(text) => [text.as_bytes(), b"\n"].concat(),
        AttributeValue::B(blob) => blob.as_ref().to_vec(),
        _ => Vec::new(),
    }
}

#[tokio::test]
async fn a_profile_that_verifies_is_answered_without_its_watermark() {
    let laptop = Laptop::start().await;
    let code = laptop.code("alice");
    let _ = laptop.sim("user", json!({ "user": "alice", "nickName": "小明👀", "unionid": "uAlice" }));
    let info = laptop.sim("userinfo", json!({ "user": "alice" }));

    let body = laptop.post("/v1/login", &json!({ "code": code, "userInfo": info })).await.ok();

    assert_eq!(body["userInfo"]["nickName"], "小明👀");
    assert_eq!(body["userInfo"]["unionId"], "uAlice");
    assert_eq!(body["userInfo"]["openId"], body["openid"]);
    assert!(body["userInfo"].get("watermark").is_none());
    assert!(
        laptop.items().await.values().any(|item| item.get("unionid") == Some(&AttributeValue::S("uAlice".to_owned())))
    );
}

#[tokio::test]
async fn a_profile_that_does_not_verify_is_left_out_and_the_login_stands() {
    let laptop = Laptop::start().await;
    let _ = laptop.sim("settings", json!({ "session_key": "keep" }));
    let good = laptop.sim("userinfo", json!({ "user": "alice" }));
    let of_bob = laptop.sim("userinfo", json!({ "user": "bob" }));
    let with = |member: &str, value: Value| {
        let mut info = good.clone();
        info[member] = value;
        info
    };

    for bad in [
        of_bob.clone(),
        with("signature", "0".repeat(40).into()),
        with("signature", "".into()),
        with("rawData", "{}".into()),
        with("encryptedData", "!".into()),
        with("encryptedData", of_bob["encryptedData"].clone()),
        with("iv", "AAAA".into()),
    ] {
        let body = laptop.post("/v1/login", &json!({ "code": laptop.code("alice"), "userInfo": bad })).await.ok();
        assert!(body.get("userInfo").is_none(), "{bad}");
    }
    let body = laptop.post("/v1/login", &json!({ "code": laptop.code("alice"), "userInfo": good })).await.ok();
    assert!(body.get("userInfo").is_some());
}

#[tokio::test]
async fn a_unionid_stands_in_tokens_only_where_the_owner_wants_it() {
    for (switch, expected) in [("false", None), ("true", Some("uAlice"))] {
        let laptop = Start::default().var("WXAUTH_UNIONID_CLAIM", switch).go().await;
        let _ = laptop.sim("user", json!({ "user": "alice", "unionid": "uAlice" }));
        let login = laptop.login("alice").await;
        laptop.clock.advance(200);
        let refreshed = laptop.refresh(&login.refresh).await.text_of("access_token");

        for token in [login.access, refreshed] {
            assert_eq!(jwt_claims(&token).get("unionid").and_then(Value::as_str), expected);
        }
    }
}

#[tokio::test]
async fn issuer_and_audience_come_from_the_environment() {
    let laptop = Start::default()
        .var("WXAUTH_ISSUER", "https://auth.example.com")
        .var("WXAUTH_AUDIENCE", "https://api.example.com")
        .go()
        .await;

    let claims = jwt_claims(&laptop.login("alice").await.access);

    assert_eq!(claims["iss"], "https://auth.example.com");
    assert_eq!(claims["aud"], "https://api.example.com");
    assert_eq!(claims["client_id"], APPID);
}

#[tokio::test]
async fn a_login_is_repeated_though_another_by_a_slower_clock_was_recorded_after_it() {
    let laptop = Laptop::start().await;
    let slower = laptop.beside_with(&[], &ManualClock::at(BEGIN - 2)).await;
    let body = json!({ "code": laptop.code("alice") });
    let first = laptop.login_with_key(KEY, &body).await;
    slower.login("alice").await;

    let again = laptop.login_with_key(KEY, &body).await;

    assert_eq!(again.text_of("refresh_token"), first.text_of("refresh_token"));
}

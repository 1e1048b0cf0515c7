//! The optional parts of a login: whatever JSON stands there, it never refuses the login.

use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};
use serde_json::{Value, json};
use tests::{Laptop, Response, Start, send};

/// A login with this text in the place of a member.
async fn login_with(laptop: &Laptop, name: &str, text: &str) -> Response {
    let body = format!(r#"{{"code":"{}","{name}":{text}}}"#, laptop.code("alice"));
    send(laptop.request("/v1/login").header("content-type", "application/json").body(body)).await
}

/// All that a login gives, but for the profile.
#[track_caller]
fn is_whole(answer: &Response, sent: &str) {
    assert_eq!(answer.status, 200, "{sent}: {answer:?}");
    let login = answer.json();
    for name in ["access_token", "refresh_token", "openid", "device"] {
        assert!(login[name].is_string(), "{sent}");
    }
    assert_eq!((login["device"].as_str().unwrap().len(), login.get("userInfo")), (22, None), "{sent}");
}

/// Any JSON as it may be written, with what a strict reader does not take: half an emoji, a number without bounds, a key
/// given twice, any nesting.
fn any_json() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        r"[ -!#-\[\]-~]{0,12}",
        "[一-龥👀]{0,4}",
        r"\\u(d83d|dc00|DBFF|0000|[0-9a-f]{4})",
        Just(String::new()),
    ]
    .prop_map(|text| format!("\"{text}\""));
    let number = prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>()
            .prop_filter("JSON has no others", |number| number.is_finite())
            .prop_map(|number| format!("{number:e}")),
        Just("1e999".to_owned()),
        Just("-0".to_owned()),
    ];
    let leaf = prop_oneof![text.clone(), number, "null|true|false"];
    leaf.prop_recursive(8, 40, 5, move |inner| {
        let known = prop::sample::select(vec!["rawData", "signature", "encryptedData", "iv", "userInfo", "watermark"]);
        let key = prop_oneof![known.prop_map(|name| format!("\"{name}\"")), text.clone()];
        let member = (key, inner.clone()).prop_map(|(key, value)| format!("{key} : {value}"));
        prop_oneof![
            prop::collection::vec(inner, 0..5).prop_map(|items| format!("[{}]", items.join(" , "))),
            prop::collection::vec(member, 0..6).prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    })
}

#[tokio::test]
async fn any_json_beside_a_good_code_logs_in() {
    let laptop = Laptop::start().await;
    let mut runner = TestRunner::default();
    for _ in 0..150 {
        let text = any_json().new_tree(&mut runner).unwrap().current();
        for name in ["userInfo", "device"] {
            is_whole(&login_with(&laptop, name, &text).await, &format!("{name}: {text}"));
        }
    }
}

#[tokio::test]
async fn the_oddest_json_beside_a_good_code_logs_in_and_no_json_does_not() {
    let laptop = Laptop::start().await;
    let nested = format!("{}{}", "[".repeat(8_000), "]".repeat(8_000));
    for text in
        ["null", "{}", "[]", "\"\"", "1e999", "\"\\ud83d\"", "{\"rawData\":\"\\ud83d\"}", "{\"a\":1,\"a\":2}", &nested]
    {
        for name in ["userInfo", "device"] {
            is_whole(&login_with(&laptop, name, text).await, text);
        }
    }
    let good = json!({ "rawData": "{}", "signature": "", "encryptedData": "AAAAAAAAAAAAAAAAAAAAAA==", "iv": "AAAAAAAAAAAAAAAAAAAAAA==" });
    for name in ["rawData", "signature", "encryptedData", "iv"] {
        for odd in [json!(null), json!(""), json!(1), json!([]), json!({})] {
            let mut odd_one = good.clone();
            odd_one[name] = odd;
            is_whole(&login_with(&laptop, "userInfo", &odd_one.to_string()).await, &odd_one.to_string());
        }
    }

    for text in ["", "{", "\"\\x\"", "\"\u{1}\"", "01", "{}}", "{},\"userInfo\":{}", "{\"a\":1,}", "'x'"] {
        login_with(&laptop, "userInfo", text).await.is_problem(400, "invalid_request", "fix");
    }
    // What is needed is read as strictly as ever.
    for (name, text) in [
        ("code", "\"x\""),
        ("later", "{\"a\":1,\"a\":2}"),
        ("later", "[[[[1]]]]"),
        ("appid", "\"a b\""),
        ("appid", "1"),
    ] {
        login_with(&laptop, name, text).await.is_problem(400, "invalid_request", "fix");
    }
    for code in ["\"\\ud83d\"", "1", "null", "\"\"", "{}"] {
        let body = format!(r#"{{"code":{code},"userInfo":{{}}}}"#);
        let request = laptop.request("/v1/login").header("content-type", "application/json").body(body);
        send(request).await.is_problem(400, "invalid_request", "fix");
    }
}

/// A client may be set up with the text that a build left empty.
#[tokio::test]
async fn an_empty_appid_is_none() {
    let laptop = Laptop::start().await;
    let two = json!({ "apps": { "wx1": { "secret": "a" }, "wx2": { "secret": "b" } } });
    let several = Start::default().apps(two).go().await;

    for none in ["\"\"", "null"] {
        is_whole(&login_with(&laptop, "appid", none).await, none);
        login_with(&several, "appid", none).await.is_problem(400, "invalid_request", "fix");
    }
}

#[tokio::test]
async fn every_given_login_with_an_odd_part_is_whole() {
    let file: Value = serde_json::from_str(include_str!("../fixtures/userinfo-shapes.json")).unwrap();
    let appid = file["appid"].as_str().unwrap();
    let laptop = Start::default().apps(json!({ "apps": { appid: { "secret": "secret" } } })).go().await;
    let _ = laptop.sim("settings", json!({ "session_key": "keep" }));
    let key = &file["cases"][0]["world"]["session_key"];
    let _ = laptop.sim("user", json!({ "user": "ada", "openid": "oAda", "session_key": key }));
    let logins = file["cases"].as_array().unwrap().iter().filter(|case| case["sent"]["route"] == "POST /v1/login");
    let mut given = 0;
    for (number, case) in logins.enumerate() {
        // The data names this user, if its key is the user's.
        let user =
            if case["world"]["session_key"] == "another one" { format!("user{number}") } else { "ada".to_owned() };
        let mut body = case["sent"]["body"].clone();
        body["code"] = laptop.code(&user).into();

        let answer = laptop.post("/v1/login", &body).await;

        if case["right"]["userInfo"] == "answered" {
            assert!(answer.ok()["userInfo"]["nickName"].is_string(), "{}", case["name"]);
            given += 1;
        } else {
            is_whole(&answer, case["name"].as_str().unwrap());
        }
    }
    assert_eq!(given, 2);
}

#[tokio::test]
async fn a_device_that_a_damaged_storage_gave_is_replaced() {
    let file: Value = serde_json::from_str(include_str!("../fixtures/login-upstream.json")).unwrap();
    let mut cases = file["cases"].as_array().unwrap().iter();
    let case = cases.find(|case| case["name"] == "a device that a damaged storage gave").unwrap();
    let laptop = Laptop::start().await;
    let mut body = case["sent"]["body"].clone();
    body["code"] = laptop.code("alice").into();

    let first = laptop.post("/v1/login", &body).await;

    is_whole(&first, "abc");
    assert_ne!(first.json()["device"], "abc");
    let again = json!({ "code": laptop.code("alice"), "device": first.json()["device"] });
    assert_eq!(laptop.post("/v1/login", &again).await.ok()["device"], first.json()["device"]);
}

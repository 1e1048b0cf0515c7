//! The optional parts of a login, and what is read strictly beside them; the suite `forms` puts any JSON there.

use serde_json::{Value, json};
use tests::{
    Laptop, Start, send,
    suites::forms::optional::{is_whole, login_with},
};

#[tokio::test]
async fn what_is_no_json_and_what_a_login_needs_are_read_as_strictly_as_ever() {
    let laptop = Laptop::start().await;
    for text in ["", "{", "\"\\x\"", "\"\u{1}\"", "01", "{}}", "{},\"userInfo\":{}", "{\"a\":1,}", "'x'"] {
        login_with(&laptop, "alice", "userInfo", text).await.is_problem(400, "invalid_request", "fix");
    }
    for (name, text) in [
        ("code", "\"x\""),
        ("later", "{\"a\":1,\"a\":2}"),
        ("later", "[[[[1]]]]"),
        ("appid", "\"a b\""),
        ("appid", "1"),
    ] {
        login_with(&laptop, "alice", name, text).await.is_problem(400, "invalid_request", "fix");
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
        let answer = login_with(&laptop, "alice", "appid", none).await;
        assert!(is_whole(&answer, false), "{none}: {answer:?}");
        login_with(&several, "alice", "appid", none).await.is_problem(400, "invalid_request", "fix");
    }
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

    assert!(is_whole(&first, false), "{first:?}");
    assert_ne!(first.json()["device"], "abc");
    let again = json!({ "code": laptop.code("alice"), "device": first.json()["device"] });
    assert_eq!(laptop.post("/v1/login", &again).await.ok()["device"], first.json()["device"]);
}

//! A request that is nearly right: the response and the log say which value is wrong, and never what it is.

use serde_json::{Value, json};
use tests::{APPID, KEY, Laptop, Response, Start, send};

const TWO: [&str; 2] = ["wx0000000000000001", "wx0000000000000002"];

/// What the developer tools give where no AppID is set.
const MOCK: &str = "the code is a mock one";

async fn with_two_apps() -> Laptop {
    Start::default().apps(json!({ "apps": { TWO[0]: { "secret": "one" }, TWO[1]: { "secret": "two" } } })).go().await
}

/// The response is a 400 that names the member; so does its log line.
#[track_caller]
fn names(laptop: &Laptop, answer: &Response, member: &str) {
    answer.is_problem(400, "invalid_request", "fix");
    let body = answer.json();
    assert_eq!(body["title"], format!("The request is malformed: {member} is missing or does not fit"));
    assert_eq!(body["title_zh"], format!("请求格式不正确：缺少 {member}，或者它不符合要求"));
    let line = laptop.line(answer);
    assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["member"], member, "{line}");
    assert!(!line.contains("MARKER") && !answer.text.contains("MARKER"), "{line} {answer:?}");
}

#[tokio::test]
async fn every_case_that_names_a_value_or_utf_8() {
    let file: Value = serde_json::from_str(include_str!("../fixtures/login-upstream.json")).unwrap();
    let mut seen = 0;
    for case in file["cases"].as_array().unwrap() {
        let (name, sent, right) = (case["name"].as_str().unwrap(), &case["sent"], &case["right"]);
        let is_of_this_kind = right["title or log"].is_string()
            || sent["headers"]["Content-Type"].is_string()
            || right["deployed"].is_string();
        if !is_of_this_kind {
            continue;
        }
        let laptop = if case["world"]["apps"] == 2 { with_two_apps().await } else { Laptop::start().await };
        let mut body = sent["body"].clone();
        if body["code"] == "a good code" {
            let appid = if case["world"]["apps"] == 2 { TWO[0] } else { APPID };
            body["code"] = laptop.sim("login", json!({ "user": "ada", "appid": appid }))["code"].clone();
        }
        let content_type = sent["headers"]["Content-Type"].as_str().unwrap_or("application/json");

        let answer =
            send(laptop.request("/v1/login").header("content-type", content_type).body(body.to_string())).await;

        match right["title or log"].as_str() {
            Some(named) => names(&laptop, &answer, named.strip_prefix("names ").unwrap()),
            None if right["deployed"].is_string() => {
                assert_eq!(body["code"], MOCK, "{name}");
                names(&laptop, &answer, "code");
                assert_eq!(laptop.simulator.calls("jscode2session"), 0);
            }
            None => assert_eq!(answer.status, 200, "{name}: {answer:?}"),
        }
        seen += 1;
    }
    assert_eq!(seen, 5);
}

#[tokio::test]
async fn each_member_of_each_body_is_named() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let data = laptop.sim("phone", json!({ "user": "alice" }));
    let (encrypted, iv) = (&data["encryptedData"], &data["iv"]);
    for (route, body, member) in [
        ("/v1/login", json!({}), "code"),
        ("/v1/login", json!({ "js_code": "MARKER" }), "code"),
        ("/v1/login", json!({ "code": null }), "code"),
        ("/v1/login", json!({ "code": "MARKER MARKER" }), "code"),
        ("/v1/login", json!({ "code": ["MARKER"] }), "code"),
        ("/v1/login", json!({ "code": "c", "appid": "MARKER MARKER" }), "appid"),
        ("/v1/login", json!({ "code": "c", "appid": 1 }), "appid"),
        ("/v1/login", json!({ "code": "c", "appid": "wxMARKER" }), "appid"),
        ("/v1/refresh", json!({ "token": "MARKER" }), "refresh_token"),
        ("/v1/refresh", json!({ "refresh_token": 1 }), "refresh_token"),
        ("/v1/phone", json!({}), "code"),
        ("/v1/phone", json!({ "code": "MARKER MARKER" }), "code"),
        ("/v1/phone", json!({ "code": "c", "encryptedData": encrypted, "iv": iv }), "code"),
        ("/v1/phone", json!({ "encryptedData": encrypted }), "iv"),
        ("/v1/phone", json!({ "iv": iv }), "encryptedData"),
        ("/v1/phone", json!({ "encryptedData": encrypted, "iv": "MARKER" }), "iv"),
        ("/v1/phone", json!({ "encryptedData": "MARKER", "iv": iv }), "encryptedData"),
        ("/v1/userinfo", json!({ "iv": iv }), "encryptedData"),
        ("/v1/userinfo", json!({ "encryptedData": encrypted, "iv": 1 }), "iv"),
        ("/v1/userinfo", json!({ "encryptedData": encrypted, "iv": iv, "rawData": "MARKER" }), "signature"),
        ("/v1/userinfo", json!({ "encryptedData": encrypted, "iv": iv, "signature": "MARKER" }), "rawData"),
    ] {
        let answer = laptop.post_as(&alice.access, route, &body).await;
        names(&laptop, &answer, member);
    }
}

#[tokio::test]
async fn headers_and_queries_are_named_too() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;

    names(&laptop, &laptop.login_with_key("MARKER", &json!({ "code": "c" })).await, "Idempotency-Key");
    names(&laptop, &laptop.get(&alice.access, "/v1/session?wechat=MARKER").await, "wechat");
    names(&laptop, &laptop.get(&alice.access, "/v1/session?wechat=check&wechat=check").await, "wechat");
    names(&laptop, &send(laptop.request("/v1/push?nonce=MARKER").body("{}")).await, "timestamp");
    laptop.get(&alice.access, "/v1/session?MARKER=1&MARKER=2").await.ok();
}

/// A name that the client made up is a value of the client.
#[tokio::test]
async fn only_names_of_the_contract_are_said() {
    let laptop = Laptop::start().await;
    for text in [
        r#"{"MARKER":1,"MARKER":2}"#,
        r#"{"code":"c","MARKER":[[[[1]]]]}"#,
        r#"["MARKER"]"#,
        r#"{"code":"MARKER""#,
        "MARKER",
    ] {
        let answer = send(laptop.request("/v1/login").header("content-type", "application/json").body(text)).await;
        answer.is_problem(400, "invalid_request", "fix");
        assert_eq!(answer.json()["title"], "The request is malformed", "{text}");
        let line = laptop.line(&answer);
        assert!(line.contains("it is not one JSON object") && !line.contains("MARKER"), "{line}");
    }
}

#[tokio::test]
async fn an_appid_that_is_missing_or_unknown_is_named_where_there_are_several() {
    let laptop = with_two_apps().await;
    for body in [json!({ "code": "c" }), json!({ "code": "c", "appid": null }), json!({ "code": "c", "appid": APPID })]
    {
        names(&laptop, &laptop.post("/v1/login", &body).await, "appid");
    }
    assert_eq!(laptop.simulator.calls("jscode2session"), 0);
}

/// What a clipboard adds at the ends of AppID, AppSecret, Token and key is not part of them.
#[tokio::test]
async fn values_are_used_without_what_was_pasted_around_them() {
    let aes_key = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
    for (before, after) in [(" ", ""), ("", "\n"), ("\t", "\r\n"), ("\u{feff}", "\u{200b}"), ("\u{a0}", "\u{3000}")] {
        let around = |text: &str| format!("{before}{text}{after}");
        let push = json!({ "token": around("token"), "encoding_aes_key": around(aes_key) });
        let secret = around("0123456789abcdef0123456789abcdef");
        let apps = json!({ "apps": { around(APPID): { "secret": secret, "push": push } } });
        let laptop = Start::default().apps(apps).go().await;
        // The console has the values as they are.
        let _ = laptop
            .sim("secret", json!({ "appid": APPID, "secret": secret.trim_matches(|at: char| !at.is_ascii()).trim() }));

        let body = json!({ "code": laptop.code("alice") });
        let alice = tests::Tokens::of(&laptop.login_with_key(KEY, &body).await);
        let push = laptop.sim(
            "push",
            json!({ "user": "alice", "event": "user_authorization_cancellation", "encoding_aes_key": aes_key }),
        );
        let path = format!("/v1/push?{}", push["query"].as_str().unwrap());
        let answer = send(laptop.request(&path).body(push["body"].as_str().unwrap().to_owned())).await;

        assert_eq!(answer.text, "success", "{before:?} {after:?}");
        laptop.refresh(&alice.refresh).await.is_problem(400, "login_required", "relogin");
    }
}

//! Nothing secret is seen: neither in a log line nor in an answer that is not meant to carry it.

use std::{io::Read as _, process::Stdio};

use axum::{Router, routing::post};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};
use shared::{contract::Operation, env::Env, store::StoreError, vars::ConfigError};
use tests::{
    APPID, Folder, Laptop, Response, Start,
    canary::{Canary, spellings},
    contract, event,
    runtime_api::{Function, build, function},
    send,
    suites::canary::{
        trace,
        types::{ANSWERS, HOLDERS, PUBLIC},
    },
};

const SECRET: &str = "MARKERsecretMARKERsecretMARKER00";
const SESSION_KEY: &str = "TUFSS0VSc2Vzc2lvbmtleQ==";
const NUMBER: &str = "13912345678";
const UNIONID: &str = "uMARKERunionid";
const KEY: &str = "MARKERidempotencykey";
const PUSH_TOKEN: &str = "MARKERpushtoken";
const AES_KEY: &str = "MARKERencodingaeskeyMARKERencodingaeskeyMAR";
const NICK_NAME: &str = "MARKERnickname";

#[track_caller]
fn absent(value: &str, texts: &[String]) {
    for spelling in spellings(value) {
        for text in texts {
            assert!(!text.contains(&spelling), "{spelling} stands in {text}");
        }
    }
}

/// Everything that is secret, and every refusal on the way.
struct Journey {
    secrets: Vec<String>,
    refusals: Vec<Response>,
    login: Response,
}

/// Gives the user of the next login every marker; a code before it would replace the `session_key`.
fn mark(laptop: &Laptop) {
    let user = json!({
        "user": "alice", "session_key": SESSION_KEY, "phoneNumber": NUMBER, "unionid": UNIONID, "nickName": NICK_NAME,
    });
    let _ = laptop.sim("user", user);
}

/// Every route, with a marker for every kind of secret.
async fn marked(laptop: &Laptop) -> Journey {
    let code = laptop.code("alice");
    mark(laptop);
    let body = json!({ "code": code, "userInfo": laptop.sim("userinfo", json!({ "user": "alice" })) });
    let login = send(laptop.request("/v1/login").header("idempotency-key", KEY).json(&body)).await;
    let (access, refresh) = (login.text_of("access_token"), login.text_of("refresh_token"));
    let tap = laptop.sim("phone", json!({ "user": "alice" }));
    let (phone_code, data) =
        (tap["code"].as_str().unwrap().to_owned(), tap["encryptedData"].as_str().unwrap().to_owned());
    laptop.post_as(&access, "/v1/phone", &json!({ "encryptedData": data, "iv": tap["iv"] })).await.ok();
    laptop.post_as(&access, "/v1/phone", &json!({ "code": phone_code })).await.ok();
    let profile = laptop.sim("userinfo", json!({ "user": "alice" }));
    laptop.clock.advance(200);
    let successor = laptop.refresh(&refresh).await.text_of("refresh_token");

    let mut refusals = vec![
        laptop.post("/v1/login", &body).await,
        laptop.post("/v1/login", &json!({ "code": code, "appid": SECRET })).await,
        laptop.post_as(&refresh, "/v1/phone", &json!({ "code": phone_code })).await,
        laptop.post_as(&access, "/v1/phone", &json!({ "code": format!("{phone_code} ") })).await,
        laptop.refresh(&format!("{refresh}A")).await,
    ];
    for fault in ["reset", "html", "truncated", "cut", "silence"] {
        laptop.script("*", &json!({ "kind": fault }), Some(2));
        refusals.push(laptop.post("/v1/login", &json!({ "code": laptop.code("alice") })).await);
        let other = json!({ "code": format!("{phone_code}x") });
        refusals.push(laptop.post_as(&access, "/v1/phone", &other).await);
        laptop.simulator.clear_script();
    }
    let forged = json!({ "rawData": profile["rawData"], "signature": SECRET, "encryptedData": data, "iv": tap["iv"] });
    refusals.push(laptop.post_as(&access, "/v1/userinfo", &forged).await);
    let push = laptop.sim("push", json!({ "user": "alice", "event": "user_info_modified" }));
    for query in [push["query"].as_str().unwrap().to_owned(), format!("signature={PUSH_TOKEN}&timestamp=1&nonce=1")] {
        let body = push["body"].as_str().unwrap().to_owned();
        let answer = send(laptop.request(&format!("/v1/push?{query}")).body(body)).await;
        refusals.push(answer);
    }
    let errmsg = format!("{SECRET} {code}");
    laptop.script("*", &json!({ "kind": "errcode", "errcode": 40125, "errmsg": errmsg }), Some(1));
    refusals.push(laptop.post("/v1/login", &json!({ "code": laptop.code("alice") })).await);

    let openid = login.text_of("openid");
    let mut secrets = vec![code, access, refresh, successor, phone_code, data, openid];
    let markers = [SECRET, SESSION_KEY, KEY, NUMBER, UNIONID, PUSH_TOKEN, AES_KEY, NICK_NAME];
    secrets.extend(markers.map(str::to_owned));
    for example in contract::done().into_iter().flat_map(|(_, examples)| examples) {
        let code = laptop.code("alice");
        mark(laptop);
        let user = laptop.login_with(&json!({ "code": code })).await;
        let request = example.request_of(laptop, "alice", Some(&user));
        let answer = contract::exchange(laptop, &request).await;
        assert_eq!(answer.status.as_u16(), example.response["status"], "{}: {answer:?}", example.name());
        secrets.extend([code, user.access, user.refresh]);
    }
    Journey { secrets, refusals, login }
}

#[tokio::test]
async fn no_log_line_and_no_refusal_holds_a_secret() {
    let push = json!({ "token": PUSH_TOKEN, "encoding_aes_key": AES_KEY });
    let laptop = Start::default().apps(json!({ "apps": { APPID: { "secret": SECRET, "push": push } } })).go().await;

    let Journey { secrets, refusals, login } = marked(&laptop).await;

    let log = laptop.log();
    let lines: Vec<Value> = log.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    for Operation { route, .. } in local::mounts::operations() {
        let is_done = |line: &Value| {
            (&line["method"], &line["route"]) == (&json!(route.method), &json!(route.path))
                && line["status"].as_u64().unwrap() < 300
        };
        assert!(lines.iter().any(is_done), "{} {} did not do its work", route.method, route.path);
    }
    let refusals: Vec<_> = refusals.iter().map(|refusal| format!("{} {:?}", refusal.text, refusal.headers)).collect();
    for secret in &secrets {
        absent(secret, &log);
        absent(secret, &refusals);
    }
    for secret in [SECRET, SESSION_KEY, KEY] {
        absent(secret, std::slice::from_ref(&login.text));
    }
}

/// What the owner's services are answered is theirs to see; what is logged of it, and why it failed, is not.
#[tokio::test]
async fn no_log_line_and_no_failure_of_an_invoked_function_holds_a_secret() {
    let laptop = Start::default().apps(json!({ "apps": { APPID: { "secret": SECRET } } })).go().await;
    let login = laptop.login("alice").await;
    let deps = admin::Deps::from_env(laptop.world.env.clone()).await.unwrap();
    laptop.script("stable_token", &json!({ "kind": "errcode", "errcode": 40125, "errmsg": SECRET }), Some(2));
    let mut failures = Vec::new();
    for operation in ["read", "reset_session_key", "end_sessions", "block", "unblock", "export", "delete"] {
        let request = json!({ "operation": operation, "appid": APPID, "openid": login.openid });
        let done = laptop.logged(admin::handle(deps.clone(), serde_json::from_value(request).unwrap())).await;
        failures.extend(done.err().map(|error| error.to_string()));
    }
    let platform = platform::Deps::from_env(laptop.world.env.clone()).await.unwrap();
    let request = || serde_json::from_value(json!({ "appid": APPID })).unwrap();
    let give = || laptop.logged(platform::handle(platform.clone(), request()));
    failures.push(give().await.err().unwrap().to_string());
    let token = serde_json::to_value(give().await.unwrap()).unwrap()["access_token"].as_str().unwrap().to_owned();

    let unreadable = json!({ "operation": "read", "appid": APPID, "openid": [login.openid] });
    assert!(serde_json::from_value::<admin::Request>(unreadable).is_err(), "what the seam to Lambda keeps to itself");
    assert_eq!(failures.len(), 2, "{failures:?}");
    for secret in [SECRET, &login.openid, &token] {
        absent(secret, &laptop.log());
        absent(secret, &failures);
    }
}

#[tokio::test]
async fn a_log_line_says_what_happened_and_to_which_request() {
    let laptop = Laptop::start().await;
    let login = laptop.login("alice").await;
    laptop.refresh(&login.refresh).await.ok();
    let refused = laptop.post("/v1/login", &json!({ "code": "nobody" })).await;
    let _ = send(laptop.request("/v1/login?MARKER=1").json(&json!({}))).await;

    let log: Vec<serde_json::Value> = laptop.log().iter().map(|line| serde_json::from_str(line).unwrap()).collect();

    assert_eq!(log.len(), 4);
    assert_eq!(
        (&log[0]["route"], &log[0]["status"], &log[0]["cold_start"]),
        (&json!("/v1/login"), &json!(200), &json!(true))
    );
    assert_eq!((&log[1]["route"], &log[1]["verdict"]), (&json!("/v1/refresh"), &json!("ECHO")));
    assert_eq!((&log[2]["code"], &log[2]["status"]), (&json!("code_invalid"), &json!(400)));
    assert_eq!(log[2]["request_id"], refused.json()["request_id"]);
    assert_eq!(log[2]["cause"], "wechat refuses the code as invalid");
    assert!(!log[3].to_string().contains("MARKER"));
}

#[test]
fn the_canary_finds_a_secret_in_any_spelling_and_at_any_place_of_a_longer_text() {
    let mut canary = Canary::default();
    canary.add("AppSecret", SECRET);
    let base64 = |before: &str| STANDARD.encode(format!("{before}{SECRET} and more"));
    let bytes = format!("{:?}", SECRET.as_bytes());
    let hex = tests::hex(SECRET.as_bytes());

    for text in [SECRET, &base64(""), &base64("1"), &base64("12"), &base64("1234"), &bytes, &hex, &hex.to_uppercase()] {
        assert!(canary.find(format!("\"message\":\"{text}\"").as_bytes()).count() > 0, "{text}");
    }
    assert!(spellings(SECRET).iter().all(|spelling| canary.find(spelling.as_bytes()).count() > 0));
    assert_eq!(canary.find(&SECRET.as_bytes()[1..]).count(), 0);
    assert!(canary.find(URL_SAFE_NO_PAD.encode(format!("?{SECRET}?")).as_bytes()).count() > 0);
}

#[tokio::test]
#[should_panic(expected = "what nobody may see")]
async fn a_laptop_that_logged_a_secret_does_not_go_quietly() {
    let laptop = Laptop::start().await;
    let log = laptop.world.env.log();

    let said = shared::http::record::event(&log, async { Err::<(), _>(std::io::Error::other(laptop.code("alice"))) });
    said.await.unwrap_err();
}

#[tokio::test]
async fn no_binary_writes_a_secret_at_the_highest_log_level() {
    let searched = trace::search(&build()).await;

    assert!(searched.found.is_empty(), "{:#?}", searched.found);
    assert!(searched.kinds >= 14 && searched.lines > 60, "{searched:?}");
}

/// This very test as a function under a Runtime API, or `None` if it is one.
async fn itself(test: &str, event: &Value) -> Option<(Value, String)> {
    if Env::process_vars().unwrap().iter().any(|(name, _)| name == "AWS_LAMBDA_RUNTIME_API") {
        return None;
    }
    let (laptop, secrets) = (Laptop::start().await, Folder::new());
    let mut command = function(&std::env::current_exe().unwrap(), &laptop, &secrets);
    command.args(["--exact", test, "--nocapture"]).env("RUST_BACKTRACE", "full").stderr(Stdio::piped());
    let mut function = Function::start(command).await;
    let mut written = function.stderr();
    let answer = function.invoke(event).await;
    function.kill();
    let mut said = String::new();
    written.read_to_string(&mut said).unwrap();
    Some((answer, said))
}

#[track_caller]
fn only_says_where(said: &str) {
    let line = said.lines().find(|line| line.contains(r#""message":"panic""#));
    assert!(line.is_some_and(|line| line.contains("canary/tests.rs:")), "{said}");
    absent(SECRET, &[said.to_owned()]);
}

#[tokio::test]
async fn a_panic_over_a_request_says_where_it_was_and_nothing_of_what_it_was_about() {
    let test = "secrecy::a_panic_over_a_request_says_where_it_was_and_nothing_of_what_it_was_about";
    let Some((answer, said)) = itself(test, &event("POST", "/v1/login", SECRET)).await else {
        let panics = post(async |body: String| {
            assert_ne!(body, SECRET, "{body}");
        });
        let router = |()| Router::new().route("/v1/login", panics);
        return shared::lambda::serve(async |_| Ok::<_, ConfigError>(()), router).await.unwrap();
    };

    assert_eq!(answer["statusCode"], 500);
    absent(SECRET, &[answer.to_string()]);
    only_says_where(&said);
}

#[tokio::test]
async fn a_panic_over_an_event_says_where_it_was_and_nothing_of_what_it_was_about() {
    let test = "secrecy::a_panic_over_an_event_says_where_it_was_and_nothing_of_what_it_was_about";
    let Some((answer, said)) = itself(test, &json!({ "text": SECRET })).await else {
        let panics = async |(), event: Value| {
            assert_ne!(event["text"], SECRET, "{event}");
            Ok::<_, StoreError>(())
        };
        return shared::lambda::serve_event(async |_| Ok::<_, ConfigError>(()), panics).await.unwrap();
    };

    assert_eq!(answer["errorMessage"], "the function panicked");
    absent(SECRET, &[answer.to_string()]);
    only_says_where(&said);
}

#[test]
fn no_type_that_holds_a_secret_can_be_shown_or_sent_but_the_answers() {
    let shown: Vec<_> = HOLDERS.iter().chain(ANSWERS).filter(|holder| holder.is_shown).collect();
    let sent: Vec<_> = HOLDERS.iter().filter(|holder| holder.is_sent).collect();

    assert!(shown.is_empty() && sent.is_empty(), "{shown:?} {sent:?}");
    assert!(PUBLIC.iter().all(|public| public.is_shown), "who looks is not blind");
    assert!(ANSWERS.iter().all(|answer| answer.is_sent), "an exception that is none: {ANSWERS:?}");
}

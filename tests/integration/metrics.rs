//! The log line of a deployed function: an object of CloudWatch's embedded metric format.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use shared::http::{record::Log, stack};
use tests::{Laptop, event};

/// A log of the function `wxauth-test`, and its lines.
fn log() -> (Log, Arc<Mutex<Vec<Value>>>) {
    let lines = Arc::<Mutex<Vec<Value>>>::default();
    let written = Arc::clone(&lines);
    let log = Log::new(move |line| written.lock().unwrap().push(serde_json::from_str(line).unwrap()));
    (log.of_function("wxauth-test"), lines)
}

/// The metrics of a line by name, each with its unit and its value.
#[track_caller]
fn metrics(line: &Value) -> Vec<(String, u64)> {
    let directive = &line["_aws"]["CloudWatchMetrics"][0];
    assert_eq!(directive["Namespace"], "wxauth");
    assert_eq!(directive["Dimensions"], json!([["function"]]));
    assert_eq!(line["function"], "wxauth-test");
    assert!(line["_aws"]["Timestamp"].as_u64().unwrap() > 1_600_000_000_000, "milliseconds");
    let named = directive["Metrics"].as_array().unwrap();
    named
        .iter()
        .map(|metric| {
            let name = metric["Name"].as_str().unwrap();
            let unit = if name.ends_with("_ms") { "Milliseconds" } else { "Count" };
            assert_eq!(metric["Unit"], unit, "{name}");
            (name.to_owned(), line[name].as_u64().unwrap_or_else(|| panic!("{name} has no value")))
        })
        .collect()
}

fn names(line: &Value) -> Vec<String> {
    metrics(line).into_iter().map(|(name, _)| name).collect()
}

#[tokio::test]
async fn a_login_counts_itself_and_times_wechat_and_dynamodb() {
    let laptop = Laptop::start().await;
    let deps = login::Deps::from_env(laptop.world.env.clone()).await.unwrap();
    let (log, lines) = log();
    let router = stack(login::router(deps), log);
    laptop.script("jscode2session", &json!({ "kind": "latency", "ms": 30 }), Some(1));

    for code in [laptop.code("alice"), "nobody".to_owned()] {
        let body = json!({ "code": code }).to_string();
        shared::lambda::call(&router, event("POST", "/v1/login", &body), "lambda-1").await.unwrap();
    }

    let lines = lines.lock().unwrap().clone();
    assert_eq!(names(&lines[0]), ["requests", "duration_ms", "cold_starts", "wechat_ms", "dynamodb_ms"]);
    assert!(lines[0]["wechat_ms"].as_u64().unwrap() >= 30);
    assert!(lines[0]["duration_ms"].as_u64() >= lines[0]["wechat_ms"].as_u64());
    let (hash, openid) = (lines[0]["user.hash"].as_str().unwrap(), laptop.login("alice").await.openid);
    assert_eq!(hash.len(), 12);
    assert!(!lines[0].to_string().contains(&openid));
    assert_eq!(lines[0]["verdict"], "LOGIN");
    assert!(lines[0].get("source.hash").is_none() && lines[1].get("verdict").is_none());
    assert_eq!(names(&lines[1]), ["requests", "duration_ms", "refused", "codes_refused", "wechat_ms"]);
    assert_eq!(lines[1]["source.hash"].as_str().unwrap().len(), 12);
    assert_eq!((&lines[1]["wechat.errcode"], &lines[1]["code"]), (&json!(40029), &json!("code_invalid")));
}

#[tokio::test]
async fn each_verdict_on_a_refresh_is_a_metric() {
    let laptop = Laptop::start().await;
    let deps = refresh::Deps::from_env(laptop.world.env.clone()).await.unwrap();
    let (log, lines) = log();
    let router = stack(refresh::router(deps), log);
    let refresh = async |token: &str| {
        let body = json!({ "refresh_token": token }).to_string();
        let answer = shared::lambda::call(&router, event("POST", "/v1/refresh", &body), "lambda-1").await.unwrap();
        let answer: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        let line = lines.lock().unwrap().last().unwrap().clone();
        (answer["refresh_token"].as_str().unwrap_or_default().to_owned(), line)
    };
    let verdict_of = |line: &Value| {
        let known = ["rotated", "echo", "replay", "gone", "reuse", "reuse_parent", "alarm"];
        names(line).into_iter().filter(|name| known.contains(&name.as_str())).collect::<Vec<_>>()
    };
    let first = laptop.login("alice").await.refresh;

    assert_eq!(verdict_of(&refresh(&first).await.1), ["echo"]);
    laptop.clock.advance(1_000);
    let (second, line) = refresh(&first).await;
    assert_eq!(verdict_of(&line), ["rotated"]);
    assert_eq!(verdict_of(&refresh(&first).await.1), ["replay"]);
    laptop.clock.advance(1_000);
    refresh(&second).await;
    let (_, line) = refresh(&first).await;
    assert_eq!((verdict_of(&line), &line["behind"]), (vec!["reuse".to_owned()], &json!(2)));
    assert_eq!(verdict_of(&refresh(&second).await.1), ["gone"]);
    let other = laptop.login("alice").await.refresh;
    laptop.clock.advance(1_000);
    refresh(&other).await;
    laptop.clock.advance(1_000);
    assert_eq!(verdict_of(&refresh(&other).await.1), ["reuse_parent"]);
}

/// The alarm of the template watches the metric by its name.
#[tokio::test]
async fn a_push_that_is_refused_is_a_metric_with_an_alarm() {
    let laptop = Laptop::start().await;
    let deps = push::Deps::from_env(laptop.world.env.clone()).await.unwrap();
    let (log, lines) = log();
    let router = stack(push::router(deps), log);
    let sent = async |push: Value| {
        let mut event = event("POST", "/v1/push", push["body"].as_str().unwrap());
        event["rawQueryString"] = push["query"].clone();
        shared::lambda::call(&router, event, "lambda-1").await.unwrap();
        lines.lock().unwrap().last().unwrap().clone()
    };
    let wanted = json!({ "user": "alice", "event": "user_info_modified" });
    let without_user = json!({ "user": "alice", "event": "user_info_modified", "without": ["OpenID"] });

    let taken = sent(laptop.sim("push", wanted)).await;
    let refused = sent(laptop.sim("push", without_user)).await;
    let unsigned = sent(json!({ "query": "timestamp=1&nonce=1", "body": "{}" })).await;
    let delivery = r#"{"MsgType":"event","Event":"xpay_coin_pay_notify"}"#;
    let untaken = json!({ "user": "alice", "event": "user_info_modified", "message": delivery });
    let untaken = sent(laptop.sim("push", untaken)).await;

    let counted = |line: &Value| names(line).into_iter().find(|name| name.starts_with("push_"));
    assert_eq!((counted(&taken), &taken["level"]), (None, &json!("INFO")));
    assert_eq!((counted(&refused), &refused["level"]), (Some("push_refused".to_owned()), &json!("WARN")));
    assert_eq!((counted(&unsigned), &unsigned["level"]), (Some("push_unsigned".to_owned()), &json!("WARN")));
    assert_eq!((&refused["verdict"], &unsigned["verdict"]), (&json!("PUSH_NO_USER"), &json!("PUSH_UNSIGNED")));
    assert_eq!((counted(&untaken), &untaken["level"]), (Some("push_untaken".to_owned()), &json!("ERROR")));
    let alarms = local::template::TEXT.split("\n\n").filter(|block| block.contains("AWS::CloudWatch::Alarm"));
    for metric in ["push_refused", "push_untaken"] {
        let named = |alarm: &&str| alarm.contains(&format!("MetricName: {metric}\n"));
        assert_eq!(alarms.clone().filter(named).count(), 1, "{metric}");
    }
}

#[tokio::test]
async fn our_failures_and_misconfigurations_are_metrics_and_a_laptop_has_none() {
    let laptop = Laptop::start().await;
    let deps = login::Deps::from_env(laptop.world.env.clone()).await.unwrap();
    let (log, lines) = log();
    let router = stack(login::router(deps), log);
    laptop.script("jscode2session", &json!({ "kind": "errcode", "errcode": 40125 }), Some(1));
    let body = json!({ "code": laptop.code("alice") }).to_string();
    shared::lambda::call(&router, event("POST", "/v1/login", &body), "lambda-1").await.unwrap();
    laptop.script("jscode2session", &json!({ "kind": "reset" }), None);
    for number in 0..6 {
        let mut event = event("POST", "/v1/login", &json!({ "code": laptop.code("alice") }).to_string());
        event["requestContext"]["http"]["sourceIp"] = format!("192.0.2.{number}").into();
        shared::lambda::call(&router, event, "lambda-1").await.unwrap();
    }

    let lines = lines.lock().unwrap().clone();
    assert!(names(&lines[0]).contains(&"misconfigured".to_owned()) && names(&lines[0]).contains(&"errors".to_owned()));
    assert!(names(&lines[1]).contains(&"wechat_failures".to_owned()));
    assert!(names(&lines[6]).contains(&"breaker_open".to_owned()));
    let _ = laptop.post("/v1/login", &json!({ "code": "nobody" })).await;
    assert!(!laptop.log().join("").contains("_aws"), "without a function's name there is nobody to count for");
}

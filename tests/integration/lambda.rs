//! The binaries that are deployed, each under a Lambda Runtime API of its own.

use std::{path::Path, process::Command};

use serde_json::{Value, json};
use tests::{
    APPID, Folder, Laptop, event,
    runtime_api::{Function, binaries, build, function},
};

fn body(answer: &Value) -> Value {
    assert_eq!(answer["statusCode"], 200, "{answer}");
    assert_eq!(answer["headers"]["x-request-id"], "invocation-1");
    serde_json::from_str(answer["body"].as_str().unwrap()).unwrap()
}

/// Login, refresh and phone through the three binaries of a folder.
async fn login_refresh_phone(folder: &Path) {
    let (laptop, secrets) = (Laptop::start().await, Folder::new());
    local::secrets::SecretFiles::in_folder(&secrets.0, shared::token::jwks::KeyKind::Rsa).unwrap();
    let run = async |name: &str, event| {
        let mut function = Function::start(function(&folder.join(name), &laptop, &secrets)).await;
        body(&function.invoke(&event).await)
    };

    let request = json!({ "code": laptop.code("alice") }).to_string();
    let login = run("login", event("POST", "/v1/login", &request)).await;
    let request = json!({ "refresh_token": login["refresh_token"] }).to_string();
    let refresh = run("refresh", event("POST", "/v1/refresh", &request)).await;
    let tap = laptop.sim("phone", json!({ "user": "alice" }));
    let request = json!({ "encryptedData": tap["encryptedData"], "iv": tap["iv"] }).to_string();
    let mut event = event("POST", "/v1/phone", &request);
    event["headers"]["authorization"] = format!("Bearer {}", refresh["access_token"].as_str().unwrap()).into();
    let phone = run("phone", event).await;

    assert!(phone["phoneNumber"].is_string());
}

#[tokio::test]
async fn the_binaries_do_login_refresh_and_phone_under_the_runtime_api() {
    login_refresh_phone(&build()).await;
}

/// Needs `cargo build --release -p login -p refresh -p phone`.
#[tokio::test]
#[ignore = "needs the release binaries"]
async fn the_release_binaries_do_login_refresh_and_phone_under_the_runtime_api() {
    login_refresh_phone(&binaries("release")).await;
}

#[tokio::test]
async fn a_broken_environment_ends_the_start_with_one_sentence() {
    let output = Command::new(build().join("refresh")).env_clear().output().unwrap();

    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("WXAUTH_TABLE should be set to the name of the DynamoDB table"), "{said}");
}

/// Should WeChat ever make codes of another form, the owner sees it, once for each process.
#[tokio::test]
async fn the_first_code_of_another_form_is_a_warning_without_its_text() {
    let (laptop, secrets) = (Laptop::start().await, Folder::new());
    local::secrets::SecretFiles::in_folder(&secrets.0, shared::token::jwks::KeyKind::Ec).unwrap();
    let log = secrets.0.join("log");
    let mut command = function(&build().join("login"), &laptop, &secrets);
    command.stdout(std::fs::File::create(&log).unwrap());
    let mut login = Function::start(command).await;

    for code in ["MARKER<1", "MARKER.2", "MARKER 3"] {
        let refused = login.invoke(&event("POST", "/v1/login", &json!({ "code": code }).to_string())).await;
        assert!(refused["body"].as_str().unwrap().contains("\"invalid_request\""), "{refused}");
    }

    let text = std::fs::read_to_string(&log).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let levels: Vec<_> = lines.iter().map(|line| line["level"].as_str().unwrap()).collect();
    assert_eq!((levels, &lines[0]["other_code_form"]), (vec!["WARN", "INFO", "INFO"], &json!(1)));
    assert!(lines.iter().all(|line| line["member"] == "code" && line["source.hash"].is_string()), "{text}");
    assert!(!text.contains("MARKER"), "{text}");
}

#[tokio::test]
async fn an_event_in_which_a_member_is_given_twice_does_nothing_and_every_error_has_a_type() {
    let (laptop, secrets) = (Laptop::start().await, Folder::new());
    local::secrets::SecretFiles::in_folder(&secrets.0, shared::token::jwks::KeyKind::Ec).unwrap();
    // A mini program that sells nothing.
    std::fs::write(secrets.0.join("apps.json"), format!(r#"{{"apps":{{"{APPID}":{{"secret":"s"}}}}}}"#)).unwrap();
    let alice = laptop.login("alice").await;
    let user = format!(r#""appid":"{APPID}","openid":"{}""#, alice.openid);
    let before = laptop.items().await;
    let mut admin = Function::start(function(&build().join("admin"), &laptop, &secrets)).await;

    for (event, error_type) in [
        (format!(r#"{{"operation":"read",{user},"operation":"delete"}}"#), "invalid_request"),
        (format!(r#"{{"operation":"delete",{user},"openid":"oBob"}}"#), "invalid_request"),
        (format!(r#"{{"operation":"erase",{user}}}"#), "invalid_request"),
        (format!(r#"{{"operation":"delete","appid":"{APPID}","openid":"o Alice"}}"#), "invalid_request"),
    ] {
        assert_eq!(admin.invoke_text(&event).await["errorType"], error_type, "{event}");
    }
    let mut sign = Function::start(function(&build().join("sign"), &laptop, &secrets)).await;
    for (event, answer) in [
        (format!(r#"{{{user},"message":"one","message":"other"}}"#), ("errorType", "invalid_request")),
        (format!(r#"{{{user},"message":"one","openid":"oBob"}}"#), ("errorType", "invalid_request")),
        (format!(r#"{{{user},"message":"{}"}}"#, "x".repeat(16_385)), ("errorType", "payload_too_large")),
        (format!(r#"{{{user},"message":"{{}}","uri":"requestVirtualPayment"}}"#), ("errorType", "misconfigured")),
        (format!(r#"{{"appid":"{APPID}","openid":"oBob","message":"one"}}"#), ("refused", "no_user")),
        // Another ring than the laptop's.
        (format!(r#"{{{user},"message":"one"}}"#), ("refused", "stale")),
    ] {
        assert_eq!(sign.invoke_text(&event).await[answer.0], answer.1, "{event:.99}");
    }
    for name in ["authorizer", "platform", "rotation"] {
        let mut command = function(&build().join(name), &laptop, &secrets);
        if name == "rotation" {
            command.env("WXAUTH_JWKS", "public-half");
        }
        let mut other = Function::start(command).await;
        assert_eq!(other.invoke_text(r#"{"appid":"a","appid":"b"}"#).await["errorType"], "invalid_request", "{name}");
    }
    assert_eq!(laptop.items().await, before);
    let read = admin.invoke_text(&format!(r#"{{"operation":"read",{user}}}"#)).await;
    assert!(read["user"]["first_login"].is_number(), "{read}");
    let mut command = function(&build().join("admin"), &laptop, &secrets);
    command.env("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:9");
    let mut without_table = Function::start(command).await;
    let failure = without_table.invoke_text(&format!(r#"{{"operation":"read",{user}}}"#)).await;
    assert_eq!(failure["errorType"], "unavailable", "{failure}");
}

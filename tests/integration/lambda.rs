//! The binaries that are deployed, each under a Lambda Runtime API of its own.

use std::{path::Path, process::Command};

use serde_json::{Value, json};
use shared::{
    clock::{Clock as _, SystemClock},
    token::jwks::KeyKind,
};
use tests::{
    APPID, Folder, Laptop, Start, event,
    runtime_api::{Function, binaries, binary, build, function},
    suites::kill::owner::Owner,
};

fn body(answer: &Value) -> Value {
    assert_eq!(answer["statusCode"], 200, "{answer}");
    assert_eq!(answer["headers"]["x-request-id"], "invocation-1");
    serde_json::from_str(answer["body"].as_str().unwrap()).unwrap()
}

/// Login, refresh and phone through the three binaries of a folder.
async fn login_refresh_phone(folder: &Path) {
    let (laptop, secrets) = (Laptop::start().await, Folder::new());
    local::secrets::SecretFiles::in_folder(&secrets.0, KeyKind::Rsa).unwrap();
    let run = async |name: &str, event| {
        let mut function = Function::start(function(&binary(folder, name), &laptop, &secrets)).await;
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

/// A payment is signed and delivered, and the user leaves, through the binaries of a folder and a function of the owner's.
async fn sign_and_push(folder: &Path) {
    let (laptop, secrets, owner) =
        (Start::default().at(SystemClock.now()).go().await, Folder::new(), Owner::start().await);
    local::secrets::SecretFiles::in_folder(&secrets.0, KeyKind::Ec).unwrap();
    let command = |name: &str| {
        let mut command = function(&binary(folder, name), &laptop, &secrets);
        command.env("WXAUTH_PUSH_TARGET", "owner").env("AWS_ENDPOINT_URL_LAMBDA", &owner.url);
        command
    };
    let run = async |name: &str, event: &Value| Function::start(command(name)).await.invoke(event).await;
    let request = json!({ "code": laptop.code("alice") }).to_string();
    let alice = body(&run("login", &event("POST", "/v1/login", &request)).await);
    let sign_data = json!({
        "offerId": "1450000001", "buyQuantity": 1, "env": 0, "currencyType": "CNY", "productId": "vip_month",
        "goodsPrice": 1000, "outTradeNo": "ORDER-00001", "attach": "",
    });
    let sign_data = sign_data.to_string();

    let request = json!({
        "appid": APPID, "openid": alice["openid"], "message": sign_data, "check": true, "uri": "requestVirtualPayment",
    });
    let signed = run("sign", &request).await;
    let paid = laptop.sim(
        "purchase",
        json!({
            "user": "alice", "mode": "short_series_goods", "signData": sign_data, "paySig": signed["paySig"],
            "signature": signed["signature"], "send": false,
        }),
    );
    assert_eq!(paid["errMsg"], "requestVirtualPayment:ok", "{paid} {signed}");

    let mut push = Function::start(command("push")).await;
    let mut deliver = async |pushed: &Value| {
        let mut event = event("POST", "/v1/push", pushed["body"].as_str().unwrap());
        event["rawQueryString"] = pushed["query"].clone();
        let answer = push.invoke(&event).await;
        let told = json!({ "id": pushed["id"], "status": answer["statusCode"], "body": answer["body"] });
        laptop.sim("answer", told)["acknowledged"] == true
    };
    let again = laptop.sim("repeat", json!({ "id": paid["push"]["id"] }));
    assert!(deliver(&paid["push"]).await && deliver(&again).await);
    assert_eq!(owner.count("OutTradeNo", "ORDER-00001"), 1);

    let left = laptop.sim("push", json!({ "user": "alice", "event": "user_authorization_cancellation" }));
    assert!(deliver(&left).await);
    let refused = run("sign", &json!({ "appid": APPID, "openid": alice["openid"], "message": "" })).await;
    assert_eq!((refused["refused"].as_str(), owner.asked().len()), (Some("no_user"), 2), "{refused}");
}

#[tokio::test]
async fn the_binaries_do_login_refresh_and_phone_under_the_runtime_api() {
    login_refresh_phone(&build()).await;
}

#[tokio::test]
async fn the_binaries_sign_a_payment_and_take_its_delivery_under_the_runtime_api() {
    sign_and_push(&build()).await;
}

#[tokio::test]
#[ignore = "needs what cargo lambda build makes; .ci/run does it"]
async fn the_shipped_binaries_do_under_the_runtime_api_what_they_are_for() {
    let shipped = binaries("lambda");
    login_refresh_phone(&shipped).await;
    sign_and_push(&shipped).await;
}

/// Needs the `keys` that `infra/package` packs for arm64, unpacked (`.ci/run shipped` tells how), and Debian's `qemu-user-static`
/// and `libc6-arm64-cross`.
#[tokio::test]
#[ignore = "needs a function for arm64, and what runs it here"]
async fn a_function_that_was_built_for_arm64_answers_an_event() {
    let (laptop, secrets) = (Laptop::start().await, Folder::new());
    local::secrets::SecretFiles::in_folder(&secrets.0, shared::token::jwks::KeyKind::Rsa).unwrap();
    let mut command = function(Path::new("/usr/bin/qemu-aarch64-static"), &laptop, &secrets);
    command.args(["-L", "/usr/aarch64-linux-gnu"]).arg(binaries("lambda-arm64").join("keys/bootstrap"));
    let mut keys = Function::start(command).await;

    let jwks = body(&keys.invoke(&event("GET", "/.well-known/jwks.json", "")).await);

    assert_eq!(jwks["keys"].as_array().unwrap().len(), 2, "{jwks}");
    assert!(
        jwks["keys"].as_array().unwrap().iter().all(|key| key["alg"] == "RS256" && key.get("d").is_none()),
        "{jwks}"
    );
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
    local::secrets::SecretFiles::in_folder(&secrets.0, KeyKind::Ec).unwrap();
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
    local::secrets::SecretFiles::in_folder(&secrets.0, KeyKind::Ec).unwrap();
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

//! The binaries that are deployed, each under a Lambda Runtime API of its own.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    response::IntoResponse,
    routing::{get, post},
};
use serde_json::{Value, json};
use tests::{Folder, Laptop, event};
use tokio::{net::TcpListener, sync::mpsc};

/// One event for the function, and its answer.
#[derive(Clone)]
struct RuntimeApi {
    event: Arc<Mutex<Option<Value>>>,
    answer: mpsc::UnboundedSender<Value>,
}

/// `GET /2018-06-01/runtime/invocation/next`: the event, and then nothing more.
async fn next(State(api): State<RuntimeApi>) -> impl IntoResponse {
    let event = api.event.lock().unwrap().take();
    let Some(event) = event else {
        return std::future::pending().await;
    };
    let headers = [
        ("lambda-runtime-aws-request-id", "invocation-1".to_owned()),
        ("lambda-runtime-deadline-ms", "9999999999999".to_owned()),
        ("lambda-runtime-invoked-function-arn", "function".to_owned()),
        ("content-type", "application/json".to_owned()),
    ];
    (headers, event.to_string())
}

async fn answered(State(api): State<RuntimeApi>, body: String) {
    drop(api.answer.send(serde_json::from_str(&body).unwrap()));
}

/// A function's process; it ends with the test.
pub(crate) struct Process(pub(crate) Child);

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Starts a function's binary at this Runtime API, with the laptop's table and WeChat.
pub(crate) fn start(binary: &Path, runtime_api: &str, laptop: &Laptop, secrets: &Folder) -> Process {
    let file = |name: &str| format!("file:{}", secrets.0.join(name).display());
    let process = Command::new(binary)
        .env_clear()
        .env("AWS_LAMBDA_RUNTIME_API", runtime_api)
        .env("AWS_LAMBDA_FUNCTION_NAME", "function")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
        .env("AWS_REGION", "eu-central-1")
        .env("AWS_ACCESS_KEY_ID", "id")
        .env("AWS_SECRET_ACCESS_KEY", "key")
        .env("AWS_ENDPOINT_URL_DYNAMODB", &laptop.world.dynamodb_url)
        .env("WXAUTH_WECHAT_URL", &laptop.world.wechat_url)
        .env("WXAUTH_TABLE", "wxauth")
        .env("WXAUTH_APPS", file("apps.json"))
        .env("WXAUTH_KEYRING", file("keyring.json"))
        .env("WXAUTH_SIGNING_KEYS", file("signing-keys.json"))
        .env("WXAUTH_JWKS", file("jwks.json"))
        .stdout(Stdio::null())
        .spawn()
        .map(Process);
    process.unwrap_or_else(|error| panic!("{}: {error}", binary.display()))
}

/// What the function of this binary answers to the event.
async fn invoke(binary: &Path, laptop: &Laptop, secrets: &Folder, event: Value) -> Value {
    let (answer, mut answers) = mpsc::unbounded_channel();
    let api = RuntimeApi { event: Arc::new(Mutex::new(Some(event))), answer };
    let router = Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/invocation-1/response", post(answered))
        .with_state(api);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move { axum::serve(listener, router).await });

    let process = start(binary, &address.to_string(), laptop, secrets);
    let answer = tokio::time::timeout(Duration::from_secs(20), answers.recv()).await;
    drop(process);
    server.abort();
    answer.unwrap().unwrap()
}

fn body(answer: &Value) -> Value {
    assert_eq!(answer["statusCode"], 200, "{answer}");
    assert_eq!(answer["headers"]["x-request-id"], "invocation-1");
    serde_json::from_str(answer["body"].as_str().unwrap()).unwrap()
}

/// Login, refresh and phone through the three binaries of a folder.
async fn login_refresh_phone(folder: &Path) {
    let (laptop, secrets) = (Laptop::start().await, Folder::new());
    local::secrets::SecretFiles::in_folder(&secrets.0, shared::token::jwks::KeyKind::Rsa).unwrap();
    let run = async |name: &str, event| body(&invoke(&folder.join(name), &laptop, &secrets, event).await);

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

/// The folder of a profile's binaries: tests are two folders deeper than the target folder.
pub(crate) fn binaries(profile: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(3).unwrap().join(profile)
}

/// Builds the binaries, with the features that this test was built with: little is left to do.
fn build() {
    let arguments = ["build", "--workspace", "--bins", "--quiet", "--offline"];
    let built = Command::new(env!("CARGO")).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).status();
    assert!(built.unwrap().success());
}

#[tokio::test]
async fn the_binaries_do_login_refresh_and_phone_under_the_runtime_api() {
    build();
    login_refresh_phone(&binaries("debug")).await;
}

/// Needs `cargo build --release -p login -p refresh -p phone`.
#[tokio::test]
#[ignore = "needs the release binaries"]
async fn the_release_binaries_do_login_refresh_and_phone_under_the_runtime_api() {
    login_refresh_phone(&binaries("release")).await;
}

#[tokio::test]
async fn a_broken_environment_ends_the_start_with_one_sentence() {
    build();
    let output = Command::new(binaries("debug").join("refresh")).env_clear().output().unwrap();

    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("WXAUTH_TABLE should be set to the name of the DynamoDB table"), "{said}");
}

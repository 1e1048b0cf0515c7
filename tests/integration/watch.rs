//! What `cargo lambda build` makes, under the Lambda that `cargo lambda watch` plays.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use http::Method;
use serde_json::{Value, json};
use shared::token::jwks::KeyKind;
use tests::{
    Folder, Laptop, Response, authorizer_event, event, jwt_claims,
    runtime_api::{Process, binaries, function},
    send,
};

/// The emulator, which only hands events on.
struct Emulator {
    address: String,
    http: reqwest::Client,
    _process: Process,
}

impl Emulator {
    async fn start() -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(env!("CARGO"))
            .args(["lambda", "watch", "--only-lambda-apis", "--ignore-changes", "--invoke-address", "127.0.0.1"])
            .args(["--invoke-port", &port.to_string()])
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let process = Process(child.unwrap());
        let address = format!("127.0.0.1:{port}");
        for _ in 0..300 {
            if tokio::net::TcpStream::connect(&address).await.is_ok() {
                // This client has a timeout: an event for a function that does not run waits for ever.
                return Self { address, http: tests::client(), _process: process };
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("cargo lambda watch does not listen; is it installed?");
    }

    /// A function as `cargo lambda build` left it, waiting for events.
    fn function(&self, name: &str, laptop: &Laptop, secrets: &Folder) -> Process {
        let bootstrap = binaries("lambda").join(name).join("bootstrap");
        let mut command = function(&bootstrap, laptop, secrets);
        command.env("AWS_LAMBDA_RUNTIME_API", format!("http://{}/.rt/{name}", self.address));
        Process::start(command)
    }

    /// What the function answers to the event.
    async fn invoke(&self, function: &str, event: &Value) -> Value {
        let invocations = format!("http://{}/2015-03-31/functions/{function}/invocations", self.address);
        send(self.http.post(invocations).json(event)).await.ok()
    }

    /// A request by the routes in `Cargo.toml`.
    async fn request(&self, method: Method, path: &str) -> Response {
        let request = self.http.request(method, format!("http://{}{path}", self.address));
        send(request.header("content-type", "application/json").body("{}")).await
    }
}

fn body(answer: &Value) -> Value {
    assert_eq!(answer["statusCode"], 200, "{answer}");
    serde_json::from_str(answer["body"].as_str().unwrap()).unwrap()
}

#[tokio::test]
#[ignore = "needs cargo-lambda and what it builds; .ci/run does both"]
async fn every_function_of_cargo_lambda_answers_its_event_and_its_routes() {
    let (laptop, secrets) = (Laptop::start().await, Folder::new());
    local::secrets::SecretFiles::in_folder(&secrets.0, KeyKind::Ec).unwrap();
    for mount in local::mounts::all(&laptop.world.env).await.unwrap() {
        assert!(binaries("lambda").join(mount.name).join("bootstrap").is_file(), "{} is not built", mount.name);
    }
    let emulator = Emulator::start().await;
    let names = ["login", "refresh", "phone", "userinfo", "session", "push", "keys", "authorizer", "admin", "platform"];
    let _functions = names.map(|name| emulator.function(name, &laptop, &secrets));

    let request = json!({ "code": laptop.code("alice") }).to_string();
    let login = body(&emulator.invoke("login", &event("POST", "/v1/login", &request)).await);
    let request = json!({ "refresh_token": login["refresh_token"] }).to_string();
    let refresh = body(&emulator.invoke("refresh", &event("POST", "/v1/refresh", &request)).await);
    let bearer = format!("Bearer {}", refresh["access_token"].as_str().unwrap());
    let tap = laptop.sim("phone", json!({ "user": "alice" }));
    let with_bearer = |mut event: Value| {
        event["headers"]["authorization"] = bearer.as_str().into();
        event
    };
    let asked = event("POST", "/v1/phone", &json!({ "code": tap["code"] }).to_string());
    let phone = body(&emulator.invoke("phone", &with_bearer(asked)).await);
    let given = event("POST", "/v1/userinfo", &laptop.sim("userinfo", json!({ "user": "alice" })).to_string());
    let profile = body(&emulator.invoke("userinfo", &with_bearer(given)).await);
    let session = body(&emulator.invoke("session", &with_bearer(event("GET", "/v1/session", ""))).await);
    let of_alice = json!({ "operation": "read", "appid": tests::APPID, "openid": login["openid"] });
    let user = emulator.invoke("admin", &of_alice).await;
    let token = emulator.invoke("platform", &json!({ "appid": tests::APPID })).await;
    let keys = body(&emulator.invoke("keys", &event("GET", "/.well-known/jwks.json", "")).await);
    let decision = emulator.invoke("authorizer", &authorizer_event(&bearer)).await;

    assert!(phone["phoneNumber"].is_string());
    assert!(profile["nickName"].is_string());
    assert_eq!(session["device"], login["device"]);
    assert_eq!(user["user"]["sessions"][0]["device"], login["device"], "{user}");
    assert!(token["access_token"].is_string(), "{token}");
    assert!(keys["keys"].as_array().unwrap().len() >= 2);
    assert_eq!(decision["isAuthorized"], true, "{decision}");
    assert_eq!(decision["context"]["openid"], jwt_claims(&bearer["Bearer ".len()..])["sub"]);
    for route in local::template::routes(local::template::TEXT).unwrap() {
        let answer = emulator.request(route.method.parse().unwrap(), &route.path).await;
        let status = match route.function.as_str() {
            "keys" => 200,
            "phone" | "userinfo" | "session" => 401,
            _ => 400,
        };
        assert_eq!(answer.status, status, "{} {}: {answer:?}", route.method, route.path);
        assert!(answer.header("x-request-id").is_some(), "{answer:?}");
    }
}

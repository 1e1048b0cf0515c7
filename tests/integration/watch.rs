//! What `cargo lambda build` makes, under the Lambda that `cargo lambda watch` plays.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use http::Method;
use local::mounts::{EntryPoint, Mount};
use serde_json::{Value, json};
use shared::{
    clock::{Clock as _, SystemClock},
    token::jwks::KeyKind,
};
use tests::{
    Folder, Laptop, Response, Start, Tokens,
    contract::{self, Example},
    event, jwt_claims,
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

    /// A request over HTTP, below the path that names the function.
    async fn request(&self, function: &str, method: Method, path: &str) -> Response {
        let request = self.http.request(method, format!("http://{}/lambda-url/{function}{path}", self.address));
        send(request.header("content-type", "application/json").body("{}")).await
    }

    /// A login by the function, whose keys are not the laptop's.
    async fn login(&self, laptop: &Laptop) -> Tokens {
        let request = json!({ "code": laptop.code("alice") }).to_string();
        let answer = self.invoke("login", &event("POST", "/v1/login", &request)).await;
        assert_eq!(answer["statusCode"], 200, "{answer}");
        Tokens::in_body(&body(&answer))
    }
}

fn body(answer: &Value) -> Value {
    serde_json::from_str(answer["body"].as_str().unwrap_or_default()).unwrap_or_default()
}

fn members(body: &Value) -> Vec<&String> {
    body.as_object().into_iter().flatten().map(|(name, _)| name).collect()
}

#[tokio::test]
#[ignore = "needs cargo-lambda and what it builds; .ci/run does both"]
async fn every_function_of_cargo_lambda_answers_its_event_and_its_routes() {
    // At the functions' time, so that they take what WeChat signs.
    let (laptop, secrets) = (Start::default().at(SystemClock.now()).go().await, Folder::new());
    local::secrets::SecretFiles::in_folder(&secrets.0, KeyKind::Ec).unwrap();
    let mounts = local::mounts::all(&laptop.world.env).await.unwrap();
    for mount in &mounts {
        assert!(binaries("lambda").join(mount.name).join("bootstrap").is_file(), "{} is not built", mount.name);
    }
    let emulator = Emulator::start().await;
    // Secrets Manager calls `rotation`, and there is none here.
    let started: Vec<_> = mounts.iter().filter(|mount| mount.name != "rotation").collect();
    let _functions: Vec<_> = started.iter().map(|mount| emulator.function(mount.name, &laptop, &secrets)).collect();

    for (operation, examples) in contract::done() {
        let function = contract::function(operation.route);
        for example in &examples {
            let user = emulator.login(&laptop).await;
            let request = example.request_of(&laptop, "alice", Some(&user));
            let answer = emulator.invoke(&function, &contract::event(&request)).await;
            assert_eq!(answer["statusCode"], example.response["status"], "{}: {answer}", example.name());
            assert_eq!(members(&body(&answer)), members(&example.response["body"]), "{}: {answer}", example.name());
        }
        let (method, path) = (operation.route.method, operation.route.path);
        let answer = emulator.request(&function, method.parse().unwrap(), path).await;
        let takes_nothing =
            |example: &Example| example.request["path"] == path && example.request.get("body").is_none();
        let status = match operation.is_bearer() {
            // Without an access token its body names the session, and `{}` does not.
            true if (method, path) == ("DELETE", "/v1/session") => 400,
            true => 401,
            false if examples.iter().any(takes_nothing) => 200,
            false => 400,
        };
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        assert!(answer.header("x-request-id").is_some(), "{answer:?}");
    }

    let user = emulator.login(&laptop).await;
    let mut read = event("GET", "/v1/session", "");
    read["headers"]["authorization"] = format!("Bearer {}", user.access).into();
    assert_eq!(body(&emulator.invoke("session", &read).await)["device"], user.device_id());
    for Mount { name, .. } in started.iter().filter(|mount| matches!(mount.entry_point, EntryPoint::Events)) {
        let answer = emulator.invoke(name, &contract::given_event(name, &user)).await;
        assert!(answer.is_object() && answer.get("errorMessage").is_none(), "{name}: {answer}");
        match *name {
            "admin" => assert!(answer["user"]["sessions"].to_string().contains(user.device_id()), "{answer}"),
            "authorizer" => {
                assert_eq!(answer["isAuthorized"], true, "{answer}");
                assert_eq!(answer["context"]["openid"], jwt_claims(&user.access)["sub"]);
            }
            "platform" => assert!(answer["access_token"].is_string(), "{answer}"),
            "sign" => assert!(answer["signature"].is_string(), "{answer}"),
            _ => {}
        }
    }
}

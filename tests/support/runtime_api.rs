//! The binaries that are deployed, each under a Lambda Runtime API of its own.

use std::{
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    response::IntoResponse,
    routing::{get, post},
};
use serde_json::Value;
use tokio::{
    net::TcpListener,
    sync::{Mutex, mpsc},
    task::JoinHandle,
};

use crate::{Folder, Laptop};

/// The longest time to wait for a function.
const PATIENCE: Duration = Duration::from_secs(20);

/// A process that is killed on drop.
pub struct Process(pub Child);

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Process {
    #[must_use]
    pub fn start(mut command: Command) -> Self {
        let process = command.spawn().map(Self);
        process.unwrap_or_else(|error| panic!("{}: {error}", command.get_program().display()))
    }
}

/// A function's binary with the environment that Lambda gives it, the laptop's table and WeChat, and these secrets.
#[must_use]
pub fn function(binary: &Path, laptop: &Laptop, secrets: &Folder) -> Command {
    let file = |name: &str| format!("file:{}", secrets.0.join(name).display());
    let mut command = Command::new(binary);
    command
        .env_clear()
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
        .env("WXAUTH_PUSH", file("push.json"))
        .env("WXAUTH_KEYRING", file("keyring.json"))
        .env("WXAUTH_SIGNING_KEYS", file("signing-keys.json"))
        .env("WXAUTH_JWKS", file("jwks.json"))
        .stdout(Stdio::null());
    command
}

/// A function's process and the Runtime API that it asks for events.
pub struct Function {
    process: Process,
    events: mpsc::UnboundedSender<String>,
    answers: mpsc::UnboundedReceiver<Value>,
    serving: JoinHandle<()>,
}

/// The Runtime API: each event is handed over once, and what is posted comes back.
#[derive(Clone)]
struct RuntimeApi {
    events: Arc<Mutex<mpsc::UnboundedReceiver<String>>>,
    answered: mpsc::UnboundedSender<Value>,
}

/// `GET /2018-06-01/runtime/invocation/next`: waits for an event.
async fn next(State(api): State<RuntimeApi>) -> impl IntoResponse {
    let event = api.events.lock().await.recv().await;
    let Some(event) = event else {
        return std::future::pending().await;
    };
    let headers = [
        ("lambda-runtime-aws-request-id", "invocation-1".to_owned()),
        ("lambda-runtime-deadline-ms", "9999999999999".to_owned()),
        ("lambda-runtime-invoked-function-arn", "function".to_owned()),
        ("content-type", "application/json".to_owned()),
    ];
    (headers, event)
}

/// An answer, or the report of a failure.
async fn answered(State(api): State<RuntimeApi>, body: String) {
    drop(api.answered.send(serde_json::from_str(&body).expect("JSON")));
}

impl Function {
    /// Starts the binary of [`function`].
    pub async fn start(mut command: Command) -> Self {
        let ((events, given), (posted, answers)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let api = RuntimeApi { events: Arc::new(Mutex::new(given)), answered: posted };
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/invocation-1/response", post(answered))
            .route("/2018-06-01/runtime/invocation/invocation-1/error", post(answered))
            .with_state(api);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        command.env("AWS_LAMBDA_RUNTIME_API", listener.local_addr().expect("an address").to_string());
        let serving = tokio::spawn(async move { drop(axum::serve(listener, router).await) });
        Self { process: Process::start(command), events, answers, serving }
    }

    /// Queues an event and does not wait for the response.
    pub fn give(&self, event: &Value) {
        self.events.send(event.to_string()).expect("the Runtime API is there");
    }

    /// The next response of the function.
    pub async fn answer(&mut self) -> Value {
        let answer = tokio::time::timeout(PATIENCE, self.answers.recv()).await;
        answer.expect("an answer in time").expect("the Runtime API is there")
    }

    pub async fn invoke(&mut self, event: &Value) -> Value {
        self.give(event);
        self.answer().await
    }

    /// The same for an event as it is written.
    pub async fn invoke_text(&mut self, event: &str) -> Value {
        self.events.send(event.to_owned()).expect("the Runtime API is there");
        self.answer().await
    }

    /// What the process writes to standard error, which its command has to pipe.
    pub fn stderr(&mut self) -> ChildStderr {
        self.process.0.stderr.take().expect("it is piped")
    }

    /// Ends the process as the platform does: at once, whatever it is about to do.
    pub fn kill(&mut self) {
        self.process.0.kill().expect("it runs");
        self.process.0.wait().expect("it ends");
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// The folder of what was built like the program that runs now.
fn beside() -> PathBuf {
    let program = std::env::current_exe().expect("this program is a file");
    let folder = program.parent().expect("it lies in a folder");
    // Cargo puts tests one folder deeper than programs.
    if folder.ends_with("deps") { folder.parent().expect("it lies in the target folder") } else { folder }.to_owned()
}

/// The folder of a profile's binaries, or `lambda`, where cargo-lambda puts its own.
#[must_use]
pub fn binaries(profile: &str) -> PathBuf {
    beside().with_file_name(profile)
}

/// A function's binary in such a folder.
#[must_use]
pub fn binary(folder: &Path, name: &str) -> PathBuf {
    if folder.ends_with("lambda") { folder.join(name).join("bootstrap") } else { folder.join(name) }
}

/// The folder of the functions' binaries, built as the program that runs was: with its features little is left to do.
#[must_use]
pub fn build() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let folder = beside();
        let profile = folder.file_name().and_then(|name| name.to_str()).expect("a profile");
        let profile = if profile == "debug" { "dev" } else { profile };
        let built = Command::new(env!("CARGO"))
            .args(["build", "--workspace", "--bins", "--quiet", "--offline", "--profile", profile])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status();
        assert!(built.expect("cargo runs").success());
        folder
    };
    BUILT.get_or_init(build).clone()
}

//! The whole application for tests: the laptop's process with a clock and a log in the test's hand.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "a test ends where its expectation does"
)]

pub mod attackers;
pub mod canary;
pub mod contract;
pub mod exhaustive;
pub mod faults;
pub mod flaws;
pub mod fuzz;
pub mod histories;
pub mod interleavings;
pub mod kill;
pub mod rotation;
pub mod runtime_api;
mod secrets;
pub mod secrets_manager;
pub mod seeded;
pub mod wire;

use std::{
    fmt,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use http::StatusCode;
use local::{Data, Settings, World};
use serde_json::{Value, json};
use shared::{
    clock::{Clock, Secs},
    entropy::OsEntropy,
    http::record::Log,
    token::jwks::KeyKind,
};
use tokio::sync::Semaphore;

pub use wechat_simulator::Simulator;

use canary::Watched;

/// When a test begins.
pub const BEGIN: Secs = 1_800_000_000;

/// The mini program of the demo.
pub const APPID: &str = "wx0123456789abcdef";

/// A clock that stands still until it is told to go.
#[derive(Clone, Debug)]
pub struct Hand(Arc<AtomicU64>);

impl Hand {
    /// A clock that stands at this time.
    #[must_use]
    pub fn at(begin: Secs) -> Self {
        Self(Arc::new(AtomicU64::new(begin)))
    }

    /// Goes forward.
    pub fn advance(&self, seconds: Secs) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for Hand {
    fn now(&self) -> Secs {
        self.0.load(Ordering::SeqCst)
    }
}

/// What a [`Laptop`] is started with.
#[derive(Default)]
pub struct Start {
    vars: Vec<(String, String)>,
    folder: Option<PathBuf>,
    apps: Option<Value>,
    rsa: bool,
    begin: Option<Secs>,
}

impl Start {
    /// Sets a variable.
    #[must_use]
    pub fn var(mut self, name: &str, value: &str) -> Self {
        self.vars.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Keeps the database in this folder instead of memory.
    #[must_use]
    pub fn folder(mut self, folder: &Folder) -> Self {
        self.folder = Some(folder.0.clone());
        self
    }

    /// Configures these mini programs instead of the demo's.
    #[must_use]
    pub fn apps(mut self, apps: Value) -> Self {
        self.apps = Some(apps);
        self
    }

    /// Signs with RSA, which is slow to make, instead of P-256.
    #[must_use]
    pub fn rsa(mut self) -> Self {
        self.rsa = true;
        self
    }

    /// Begins at this time.
    #[must_use]
    pub fn at(mut self, begin: Secs) -> Self {
        self.begin = Some(begin);
        self
    }

    /// Starts everything.
    pub async fn go(self) -> Laptop {
        let scratch = Folder::new();
        let (clock, lines) = (Hand::at(self.begin.unwrap_or(BEGIN)), Lines::default());
        let world = start(self.settings(&scratch, &clock, &lines)).await;
        let simulator = world.simulator.clone().expect("the simulator runs");
        let log = Watched::new(lines, &simulator);
        Laptop { world, simulator, clock, log, http: client(), scratch }
    }

    /// Starts everything where a variable points to another WeChat.
    pub async fn without_simulator(self) -> World {
        let (clock, lines) = (Hand::at(BEGIN), Lines::default());
        start(self.settings(&Folder::new(), &clock, &lines)).await
    }

    fn settings(self, scratch: &Folder, clock: &Hand, lines: &Lines) -> Settings {
        let written = Arc::clone(lines);
        let apps = self.apps.map(|apps| {
            let path = scratch.0.join("given-apps.json");
            std::fs::write(&path, apps.to_string()).expect("the scratch folder is writable");
            path
        });
        let any_port = ([127, 0, 0, 1], 0).into();
        Settings {
            listen: any_port,
            wechat_listen: any_port,
            data: self.folder.map_or_else(|| Data::Memory(scratch.0.clone()), Data::Folder),
            dynamodb_url: None,
            wechat_url: None,
            apps,
            vars: self.vars,
            signing: if self.rsa { KeyKind::Rsa } else { KeyKind::Ec },
            clock: Arc::new(clock.clone()),
            entropy: Arc::new(OsEntropy),
            playground: None,
            log: Log::new(move |line| {
                written.lock().unwrap_or_else(PoisonError::into_inner).push(line.to_owned());
            }),
        }
    }
}

/// Starts take turns: many at once would wait for the machine, past the limits of the clients that they start with.
async fn start(settings: Settings) -> World {
    static TURNS: Semaphore = Semaphore::const_new(2);
    let _turn = TURNS.acquire().await;
    World::start(settings).await.expect("the laptop starts")
}

/// Log lines.
pub(crate) type Lines = Arc<Mutex<Vec<String>>>;

/// A client for loopback, where tests speak plain HTTP: it trusts nobody.
#[must_use]
pub fn client() -> reqwest::Client {
    client_that_trusts(rustls::RootCertStore::empty())
}

/// A client for the world outside: it trusts the public roots.
#[must_use]
pub fn public_client() -> reqwest::Client {
    client_that_trusts(rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() })
}

fn client_that_trusts(roots: rustls::RootCertStore) -> reqwest::Client {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("default versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = reqwest::Client::builder().tls_backend_preconfigured(tls);
    client.timeout(std::time::Duration::from_secs(20)).build().expect("a client")
}

/// A folder that is deleted at the end.
#[derive(Debug)]
pub struct Folder(pub PathBuf);

impl Folder {
    /// Makes an empty folder of its own.
    #[must_use]
    pub fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("wxauth-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("the temporary folder is writable");
        Self(path)
    }
}

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// The application, running, and what stands around it.
pub struct Laptop {
    /// The process.
    pub world: World,
    /// WeChat.
    pub simulator: Simulator,
    /// The clock of functions and simulator.
    pub clock: Hand,
    log: Watched,
    http: reqwest::Client,
    scratch: Folder,
}

/// An answer, read.
#[derive(Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: http::HeaderMap,
    /// The body as it came.
    pub text: String,
}

impl fmt::Debug for Answer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.status, self.text)
    }
}

impl Answer {
    /// The body as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// A member of the body that is text.
    #[must_use]
    pub fn text_of(&self, member: &str) -> String {
        self.json()[member].as_str().unwrap_or_else(|| panic!("no {member}: {self:?}")).to_owned()
    }

    /// The body of an answer that must be 200.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
        self.json()
    }

    /// Asserts that this is a problem of the contract with this status, code and action.
    #[track_caller]
    pub fn is_problem(&self, status: u16, code: &str, action: &str) {
        let body = self.json();
        assert_eq!(
            (self.status.as_u16(), body["code"].as_str(), body["action"].as_str()),
            (status, Some(code), Some(action)),
            "{self:?}"
        );
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(self.headers["cache-control"], "no-store");
        assert_eq!(body["status"], status);
        assert_eq!(body["request_id"].as_str().unwrap(), self.headers["x-request-id"], "{self:?}");
        assert!(body["type"].is_string() && body["title"].is_string() && body["title_zh"].is_string());
        assert_eq!(body.get("retry_after").map(ToString::to_string), self.header("retry-after"), "{self:?}");
        assert_eq!(self.header("www-authenticate").is_some(), status == 401, "{self:?}");
    }

    /// A header's text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name).map(|value| value.to_str().expect("text").to_owned())
    }
}

/// What a login gave.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// The access token.
    pub access: String,
    /// The refresh token.
    pub refresh: String,
    /// The user.
    pub openid: String,
    /// The device.
    pub device: String,
}

impl Laptop {
    /// A laptop as it comes.
    pub async fn start() -> Self {
        Start::default().go().await
    }

    /// Another process beside this one: the same table, WeChat, keys and clock.
    pub async fn beside(&self) -> Self {
        self.beside_with(&[], &self.clock).await
    }

    /// Another process beside this one, where these variables say something else, and with a clock of its own.
    pub async fn beside_with(&self, vars: &[(&str, &str)], clock: &Hand) -> Self {
        let file = |name: &str| format!("file:{}", self.scratch.0.join(name).display());
        let start = Start::default()
            .var("WXAUTH_WECHAT_URL", &self.world.wechat_url)
            .var("AWS_ENDPOINT_URL_DYNAMODB", &self.world.dynamodb_url)
            .var("WXAUTH_ISSUER", &self.world.url)
            .var("WXAUTH_KEYRING", &file("keyring.json"))
            .var("WXAUTH_SIGNING_KEYS", &file("signing-keys.json"))
            .var("WXAUTH_JWKS", &file("jwks.json"));
        let start = vars.iter().fold(start, |start, (name, value)| start.var(name, value));
        let (scratch, lines) = (Folder::new(), Lines::default());
        let world = self::start(start.settings(&scratch, clock, &lines)).await;
        let log = Watched::new(lines, &self.simulator);
        Self { world, simulator: self.simulator.clone(), clock: clock.clone(), log, http: client(), scratch }
    }

    /// A request to post to a path of the API.
    pub fn request(&self, path: &str) -> reqwest::RequestBuilder {
        self.http.post(format!("{}{path}", self.world.url))
    }

    /// Any request to the API.
    pub fn method(&self, method: http::Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.world.url))
    }

    /// Posts JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        send(self.request(path).json(body)).await
    }

    /// Posts JSON with an access token.
    pub async fn post_as(&self, access: &str, path: &str, body: &Value) -> Answer {
        send(self.request(path).bearer_auth(access).json(body)).await
    }

    /// What `wx.login` gives a user.
    #[must_use]
    pub fn code(&self, user: &str) -> String {
        self.sim("login", json!({ "user": user }))["code"].as_str().expect("a code").to_owned()
    }

    /// A control route of the simulator.
    #[must_use]
    pub fn sim(&self, route: &str, request: Value) -> Value {
        canary::hear_session_key(&self.simulator, &request);
        self.simulator.control(route, request).unwrap_or_else(|error| panic!("{route}: {error}"))
    }

    /// Lets the simulator fail.
    pub fn script(&self, api: &str, fault: &Value, times: Option<u32>) {
        let _ = self.sim("script", json!({ "api": api, "fault": fault, "times": times, "after": false }));
    }

    /// Lets the simulator do its work and then lose the answer.
    pub fn script_after(&self, api: &str, fault: &Value, times: Option<u32>) {
        let _ = self.sim("script", json!({ "api": api, "fault": fault, "times": times, "after": true }));
    }

    /// Logs a user in on a new device.
    pub async fn login(&self, user: &str) -> Tokens {
        self.login_with(&json!({ "code": self.code(user) })).await
    }

    /// Logs in with this body.
    pub async fn login_with(&self, body: &Value) -> Tokens {
        let answer = self.post("/v1/login", body).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        Tokens {
            access: answer.text_of("access_token"),
            refresh: answer.text_of("refresh_token"),
            openid: answer.text_of("openid"),
            device: answer.text_of("device"),
        }
    }

    /// Refreshes.
    pub async fn refresh(&self, token: &str) -> Answer {
        self.post("/v1/refresh", &json!({ "refresh_token": token })).await
    }

    /// The log so far.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.log.lines()
    }

    /// All items of the table.
    pub async fn items(&self) -> Vec<std::collections::HashMap<String, aws_sdk_dynamodb::types::AttributeValue>> {
        let (client, table) = self.world.env.dynamodb().expect("a client");
        client.scan().table_name(table).send().await.expect("a scan").items.unwrap_or_default()
    }

    /// The client for the table, and its name.
    #[must_use]
    pub fn dynamodb(&self) -> (aws_sdk_dynamodb::Client, String) {
        self.world.env.dynamodb().expect("a client")
    }
}

/// Sends a request and reads the answer; the [`canary`] hears both.
pub async fn send(request: reqwest::RequestBuilder) -> Answer {
    let (client, request) = request.build_split();
    let request = request.expect("a request");
    let path = request.url().path().to_owned();
    canary::hear_request(&request);
    let response = client.execute(request).await.expect("an answer");
    let (status, headers) = (response.status(), response.headers().clone());
    let answer = Answer { status, headers, text: response.text().await.expect("a body") };
    canary::hear_answer(&path, &answer);
    answer
}

/// Lower-case hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// The JWT claims of an access token, unverified.
#[must_use]
pub fn jwt_claims(token: &str) -> Value {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let payload = token.split('.').nth(1).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).expect("base64url")).expect("JSON")
}

/// An event of API Gateway (payload 2.0) as it comes in JSON.
#[must_use]
pub fn event(method: &str, path: &str, body: &str) -> Value {
    json!({
        "version": "2.0",
        "routeKey": format!("{method} {path}"),
        "rawPath": path,
        "rawQueryString": "",
        "headers": { "content-type": "application/json", "host": "api.example.com" },
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "api",
            "domainName": "api.example.com",
            "domainPrefix": "api",
            "http": { "method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "test" },
            "requestId": "gateway-1",
            "routeKey": format!("{method} {path}"),
            "stage": "$default",
            "time": "01/Jan/2027:00:00:00 +0000",
            "timeEpoch": 1_798_761_600_000_u64,
        },
        "body": body,
        "isBase64Encoded": false,
    })
}

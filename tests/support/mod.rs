//! Helpers: the application in one process with a clock and a log that a test controls, and stand-ins for AWS.

pub mod canary;
pub mod contract;
mod laptop;
mod login;
pub mod runtime_api;
pub(crate) mod secrets;
pub mod seeded;
pub mod table;
pub mod wire;

use std::{
    fmt,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use http::StatusCode;
use serde_json::{Value, json};
use shared::clock::{Clock, Millis, Secs};

pub use laptop::{Item, Items, Laptop, Start, Tokens};
pub(crate) use login::login_deps;
pub use wechat_simulator::Simulator;

/// When a test begins.
pub const BEGIN: Secs = 1_800_000_000;

pub const KEY: &str = "one-login-one-key";

/// The mini program of the demo.
pub const APPID: &str = "wx0123456789abcdef";

/// A clock that goes only when a test advances it.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    #[must_use]
    pub fn at(begin: Secs) -> Self {
        Self(Arc::new(AtomicU64::new(begin * 1_000)))
    }

    pub fn advance(&self, seconds: Secs) {
        self.0.fetch_add(seconds * 1_000, Ordering::SeqCst);
    }

    /// One millisecond, as no two logins and ends of a user have the same.
    pub fn tick(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> Millis {
        self.0.load(Ordering::SeqCst)
    }
}

pub(crate) type Lines = Arc<Mutex<Vec<String>>>;

/// A client for plain HTTP on loopback: it trusts no certificate.
#[must_use]
pub fn client() -> reqwest::Client {
    client_that_trusts(rustls::RootCertStore::empty())
}

/// A client for deployments: it trusts the public roots.
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

/// A temporary folder, deleted on drop.
#[derive(Debug)]
pub struct Folder(pub PathBuf);

impl Folder {
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

#[derive(Clone)]
pub struct Response {
    pub status: StatusCode,
    pub headers: http::HeaderMap,
    /// The body as it came.
    pub text: String,
}

impl fmt::Debug for Response {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.status, self.text)
    }
}

impl Response {
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// A text member of the body.
    #[must_use]
    pub fn text_of(&self, member: &str) -> String {
        self.json()[member].as_str().unwrap_or_else(|| panic!("no {member}: {self:?}")).to_owned()
    }

    /// The body; panics unless the status is 200.
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

    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name).map(|value| value.to_str().expect("text").to_owned())
    }
}

/// Sends a request and reads the response; the [`canary`] remembers the secrets in both.
pub async fn send(request: reqwest::RequestBuilder) -> Response {
    let (client, request) = request.build_split();
    let request = request.expect("a request");
    let path = request.url().path().to_owned();
    canary::hear_request(&request);
    let response = client.execute(request).await.expect("an answer");
    let (status, headers) = (response.status(), response.headers().clone());
    let answer = Response { status, headers, text: response.text().await.expect("a body") };
    canary::hear_response(&path, &answer);
    answer
}

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

/// The event (payload 2.0) with which an HTTP API calls the authorizer.
#[must_use]
pub fn authorizer_event(authorization: &str) -> Value {
    json!({
        "version": "2.0",
        "type": "REQUEST",
        "routeArn": "arn:aws:execute-api:eu-central-1:123456789012:other/$default/GET/things",
        "identitySource": [authorization],
        "routeKey": "GET /things",
        "headers": { "authorization": authorization, "host": "other.example.com" },
        "requestContext": { "domainName": "other.example.com", "stage": "$default" },
    })
}

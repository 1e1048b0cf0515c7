//! Requests to a login function as the gateway sends them, from an address of choice.

use std::time::Duration;

use axum::{Router, body::Body};
use http::{Request, StatusCode};
use serde_json::{Value, json};
use shared::{
    clock::Deadline,
    http::extract::{ClientIp, Origin, RequestId},
};
use tower::ServiceExt as _;

/// What a client is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    pub status: StatusCode,
    pub body: Value,
}

impl Told {
    /// Whether these tokens are a login.
    pub fn is_login(&self) -> bool {
        self.status == StatusCode::OK
    }

    /// All that a client branches on.
    pub fn outcome(&self) -> String {
        let of = |name: &str| self.body[name].to_string();
        format!("{} {} {} {}", self.status, of("code"), of("action"), of("retry_after"))
    }
}

/// A login of which each part may be chosen.
pub struct Login<'a> {
    pub address: &'a str,
    pub code: &'a str,
    pub device: Option<&'a str>,
    pub key: Option<&'a str>,
    /// The time for it.
    pub limit: Duration,
}

impl<'a> Login<'a> {
    pub fn new(address: &'a str, code: &'a str) -> Self {
        Self { address, code, device: None, key: None, limit: Duration::from_hours(1) }
    }

    pub async fn send(&self, function: &Router) -> Told {
        let body = json!({ "code": self.code, "device": self.device }).to_string();
        let mut request = Request::post("/v1/login")
            .header("content-type", "application/json")
            .extension(Origin("https://a.example".to_owned()))
            .extension(ClientIp(self.address.to_owned()))
            .extension(RequestId("r".to_owned()))
            .extension(Deadline::after(self.limit));
        if let Some(key) = self.key {
            request = request.header("idempotency-key", key);
        }
        let request = request.body(Body::from(body)).expect("a request");
        let response = function.clone().oneshot(request).await.expect("infallible");
        let status = response.status();
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 16).await.expect("a body");
        Told { status, body: serde_json::from_slice(&bytes).expect("JSON") }
    }
}

//! The owner's function, played by a server of the owner's: what Lambda would hand to the function is posted to its URL.

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Value, json};
use shared::{
    tls,
    vars::{ConfigError, Vars},
};
use url::Url;

/// What the laptop names in `WXAUTH_PUSH_TARGET`.
pub(crate) const FUNCTION: &str = "push-target";

#[derive(Clone)]
struct Target {
    http: reqwest::Client,
    url: Url,
}

/// Lambda's API, as far as it is called to run a function.
pub(crate) fn router(url: Url, vars: &Vars) -> Result<Router, ConfigError> {
    let http = reqwest::Client::builder()
        .tls_backend_preconfigured(tls::client_config(&tls::extra_roots(vars)?)?)
        .build()
        .map_err(|_| ConfigError::new("SSL_CERT_FILE", "a PEM file of certificates that a TLS client accepts"))?;
    let route = "/2015-03-31/functions/{function}/invocations";
    Ok(Router::new().route(route, post(invoke)).with_state(Target { http, url }))
}

/// A function's output is JSON; what a server answers in words is a text of JSON. Any status but success is a failed function, as is
/// a server that hangs up, and 404 none.
async fn invoke(State(Target { http, url }): State<Target>, event: Bytes) -> Response {
    let posted = http.post(url).header("content-type", "application/json").body(event).send().await;
    let is_absent = match &posted {
        Ok(answer) => answer.status() == StatusCode::NOT_FOUND,
        Err(error) => error.is_connect(),
    };
    if is_absent {
        // Nobody listens there, or knows no such path: the same as no function.
        return (StatusCode::NOT_FOUND, [("x-amzn-errortype", "ResourceNotFoundException")]).into_response();
    }
    let text = match posted {
        Ok(answer) if answer.status().is_success() => answer.text().await.ok(),
        _ => None,
    };
    let Some(text) = text else { return [("x-amz-function-error", "Unhandled")].into_response() };
    let is_json = text.trim().is_empty() || serde_json::from_str::<Value>(&text).is_ok();
    if is_json { text } else { json!(text).to_string() }.into_response()
}

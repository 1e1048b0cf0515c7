//! A front like API Gateway: it calls a function with an event of payload format 2.0 for each HTTP request.
//!
//! A request that matches no route reaches no function and gets the response that the gateway gives.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request, State},
    middleware,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use shared::{clock::SystemClock, http::extract::Origin, lambda};

/// The gateway's own limit. Below it the function applies its own, which is smaller.
const MAX_PAYLOAD: usize = 10 * 1024 * 1024;

/// By route key (`METHOD /path`).
type Routers = HashMap<String, Router>;

/// The routers of the functions.
#[derive(Clone)]
pub struct Front {
    /// For clients that speak plain http: the gateway has none.
    http: Arc<Routers>,
    /// For those behind a proxy or tunnel that speaks https.
    https: Arc<Routers>,
    requests: Arc<AtomicU64>,
}

impl Front {
    #[must_use]
    pub fn new(routers: Routers) -> Self {
        let plain = |router: &Router| router.clone().layer(middleware::map_request(over_http));
        let http = routers.iter().map(|(key, router)| (key.clone(), plain(router))).collect();
        Self { http: Arc::new(http), https: Arc::new(routers), requests: Arc::default() }
    }

    /// A router that responds to every request.
    pub fn router(self) -> Router {
        Router::new().fallback(respond).with_state(self)
    }
}

/// So that `iss` and `jwks_uri` are what the client called.
async fn over_http(mut request: Request) -> Request {
    if let Some(Origin(origin)) = request.extensions_mut().get_mut()
        && let Some(host) = origin.strip_prefix("https://")
    {
        *origin = format!("http://{host}");
    }
    request
}

/// Whether a proxy says that the client spoke https to it. A client that says so without one deceives only itself.
fn is_https(parts: &Parts) -> bool {
    parts.headers.get("x-forwarded-proto").is_some_and(|scheme| scheme == "https")
}

/// The address that the request came from.
pub(crate) fn peer(extensions: &http::Extensions) -> IpAddr {
    let peer = extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip().to_canonical());
    peer.unwrap_or(Ipv4Addr::LOCALHOST.into())
}

async fn respond(State(front): State<Front>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let key = format!("{} {}", parts.method, parts.uri.path());
    let routers = if is_https(&parts) { &front.https } else { &front.http };
    let Some(function) = routers.get(&key) else {
        return gateway_response(StatusCode::NOT_FOUND, "Not Found");
    };
    let Ok(body) = axum::body::to_bytes(body, MAX_PAYLOAD).await else {
        return gateway_response(StatusCode::PAYLOAD_TOO_LARGE, "Request Too Long");
    };
    let id = format!("local-{:08}", front.requests.fetch_add(1, Ordering::Relaxed));
    let (function, event) = (function.clone(), event(&parts, &body, &key, &id));
    // As on Lambda, the function finishes what it began for a client that has hung up.
    let called = tokio::spawn(async move { lambda::call(&function, event, &id).await });
    match called.await {
        Ok(Ok(response)) => from_lambda(response),
        Ok(Err(_)) | Err(_) => gateway_response(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"),
    }
}

/// A response of the gateway itself: it has no `code`.
fn gateway_response(status: StatusCode, message: &str) -> Response {
    let body = json!({ "message": message }).to_string();
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}

/// The event (payload format 2.0) of a request.
fn event(parts: &Parts, body: &[u8], route_key: &str, id: &str) -> Value {
    let header = |name: HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let path = parts.uri.path();
    let since_epoch = SystemClock::since_epoch();
    let (body, is_base64_encoded) = encode(header(header::CONTENT_TYPE), body);
    let mut event = json!({
        "version": "2.0",
        "routeKey": route_key,
        "rawPath": path,
        "rawQueryString": parts.uri.query().unwrap_or_default(),
        "headers": headers(&parts.headers),
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "local",
            "domainName": header(header::HOST),
            "domainPrefix": "local",
            "http": {
                "method": parts.method.as_str(),
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": peer(&parts.extensions).to_string(),
                "userAgent": header(header::USER_AGENT),
            },
            "requestId": id,
            "routeKey": route_key,
            "stage": "$default",
            "timeEpoch": u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX),
        },
        "body": body,
        "isBase64Encoded": is_base64_encoded,
    });
    let cookies: Vec<_> = header(header::COOKIE).split("; ").filter(|cookie| !cookie.is_empty()).collect();
    if !cookies.is_empty() {
        event["cookies"] = json!(cookies);
    }
    event
}

/// Names are in lower case. A header that is sent more than once becomes one, its values separated by commas.
fn headers(headers: &HeaderMap) -> Map<String, Value> {
    headers
        .keys()
        .filter(|name| *name != header::COOKIE)
        .map(|name| {
            let values: Vec<_> =
                headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
            (name.as_str().to_owned(), values.join(",").into())
        })
        .collect()
}

/// The body as the gateway passes it on: text unchanged, everything else in base64.
fn encode(content_type: &str, body: &[u8]) -> (Option<String>, bool) {
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_text = media_type.starts_with("text/")
        || matches!(media_type.as_str(), "application/json" | "application/javascript" | "application/xml");
    match std::str::from_utf8(body) {
        _ if body.is_empty() => (None, false),
        Ok(text) if is_text => (Some(text.to_owned()), false),
        _ => (Some(STANDARD.encode(body)), true),
    }
}

/// The response of a function to an event.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LambdaResponse {
    status_code: u16,
    #[serde(default)]
    headers: Map<String, Value>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

fn from_lambda(response: Value) -> Response {
    let built = serde_json::from_value::<LambdaResponse>(response).ok().and_then(|response| {
        let text = response.body.unwrap_or_default();
        let body = if response.is_base64_encoded { STANDARD.decode(text).ok()? } else { text.into_bytes() };
        let mut built = Response::builder().status(response.status_code);
        for (name, value) in &response.headers {
            built = built.header(name, value.as_str()?);
        }
        built.body(Body::from(body)).ok()
    });
    built.unwrap_or_else(|| gateway_response(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"))
}

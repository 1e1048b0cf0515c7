//! The developer tools without an AppID: their `wx.login` gives everybody the same words instead of a code.
//!
//! No function takes the words for a code, and none should: a server that logs them in is open to all. Where the simulator
//! plays WeChat, each login with them gets a code of the right form, which no simulator made: those are all of one user.

use std::sync::Arc;

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, Method, header};
use shared::{
    entropy::{self, Entropy},
    http::LONGEST_BODY,
};

/// What `wx.login` gives, as a text of JSON.
const WORDS: &str = "\"the code is a mock one\"";

/// Replaces the words in the body of a login.
pub(crate) async fn replace(State(entropy): State<Arc<dyn Entropy>>, request: Request, next: Next) -> Response {
    // A longer body is refused, whatever it says.
    let is_short = content_length(request.headers()).is_some_and(|length| length <= LONGEST_BODY);
    if request.method() != Method::POST || request.uri().path() != login::LOGIN.path || !is_short {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, LONGEST_BODY).await.unwrap_or_default();
    let body = replaced(&body, &parts.headers, &*entropy).map_or(body, Bytes::from);
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    next.run(Request::from_parts(parts, Body::from(body))).await
}

fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The body with a code instead of the words, if it has them. A login that is sent again has the code that it had.
fn replaced(body: &[u8], headers: &HeaderMap, entropy: &dyn Entropy) -> Option<String> {
    let text = std::str::from_utf8(body).ok().filter(|text| text.contains(WORDS))?;
    let code = match headers.get("idempotency-key") {
        Some(key) => URL_SAFE_NO_PAD.encode(key.as_bytes()),
        None => URL_SAFE_NO_PAD.encode(entropy::bytes::<24>(entropy)),
    };
    Some(text.replace(WORDS, &format!("\"mock-{code}\"")))
}

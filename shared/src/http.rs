//! HTTP manners that every route shares: what comes in, what goes out, the one log line.

pub mod bearer;
pub mod body;
pub mod record;

use std::time::Duration;

use axum::{
    Router,
    extract::{FromRequestParts, Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, StatusCode, header, request::Parts};
use http_body_util::BodyExt as _;
use serde::{Serialize, de::DeserializeOwned};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;

use crate::{
    clock::Deadline,
    config::Issuing,
    problem::{Code, Problem},
};
use record::Log;

/// The longest body that is read, in bytes.
pub const LONGEST_BODY: usize = 16 * 1024;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// One route of a function, as the template names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// `POST`, `GET` or `DELETE`.
    pub method: &'static str,
    /// The path, from the root of the API.
    pub path: &'static str,
}

impl Route {
    /// A route that gives a document.
    #[must_use]
    pub const fn get(path: &'static str) -> Self {
        Self { method: "GET", path }
    }

    /// A route that takes a body.
    #[must_use]
    pub const fn post(path: &'static str) -> Self {
        Self { method: "POST", path }
    }

    /// A route that ends something.
    #[must_use]
    pub const fn delete(path: &'static str) -> Self {
        Self { method: "DELETE", path }
    }
}

/// Wraps a function's routes in everything that all of them owe to the client.
///
/// From outside in: the record line and the answer's headers; a panic becomes `internal`; the size of the body and the
/// deadline; the routes, whose fallbacks are [`Problem`]s too.
pub fn stack(routes: Router, log: Log) -> Router {
    routes
        .fallback(async || Problem::new(Code::NotFound))
        .method_not_allowed_fallback(async || Problem::new(Code::MethodNotAllowed))
        .layer(
            ServiceBuilder::new()
                .layer(middleware::from_fn_with_state(log, record::record))
                .layer(middleware::from_fn(answer))
                .layer(CatchPanicLayer::custom(|_| Problem::new(Code::Internal).into_response()))
                .layer(middleware::from_fn(limit)),
        )
}

/// Lambda's id of this invocation.
#[derive(Clone, Debug)]
pub struct RequestId(pub String);

/// The address that the request came from, as the gateway saw it (`requestContext.http.sourceIp`).
#[derive(Clone, Debug)]
pub struct Source(pub String);

/// The host that the client called, as the gateway saw it (`requestContext.domainName`).
#[derive(Clone, Debug)]
pub struct Domain(pub String);

impl Domain {
    /// The `iss` of what is issued to a request that came here.
    #[must_use]
    pub fn issuer(&self, issuing: &Issuing) -> String {
        issuing.issuer.clone().unwrap_or_else(|| format!("https://{}", self.0))
    }
}

/// Declares extractors for what [`crate::lambda`] puts beside each request.
macro_rules! beside_the_request {
    ($($name:ty),*) => {$(
        impl<S: Sync> FromRequestParts<S> for $name {
            type Rejection = Problem;

            async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
                parts.extensions.get::<Self>().cloned().ok_or(Problem::new(Code::Internal))
            }
        }
    )*};
}

beside_the_request!(Deadline, Domain, RequestId, Source);

/// The query, in the form of `T`.
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // The reader's own words may quote the query: they are dropped here.
        let query = axum::extract::Query::try_from_uri(&parts.uri);
        query.map(|axum::extract::Query(query)| Self(query)).map_err(|_| Problem::new(Code::InvalidRequest))
    }
}

/// A 200 answer in JSON.
#[derive(Clone, Copy, Debug)]
pub struct Answer<T>(pub T);

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        match serde_json::to_string(&self.0) {
            Ok(text) => ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response(),
            Err(cause) => Problem::new(Code::Internal).because(cause).into_response(),
        }
    }
}

/// Lets an answer be kept for five minutes: for documents that are the same for everybody.
#[must_use]
pub fn cached(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=300"));
    response
}

/// Writes the body of a [`Problem`] and the headers that every answer has.
async fn answer(id: RequestId, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if let Some(problem) = response.extensions().get::<Problem>().cloned() {
        response = problem_response(&problem, &id, response);
    }
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::from_str(&id.0) {
        headers.insert(X_REQUEST_ID, id);
    }
    response
}

fn problem_response(problem: &Problem, id: &RequestId, mut response: Response) -> Response {
    *response.body_mut() = problem.body(&id.0).into();
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if let Some(seconds) = problem.seconds() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if problem.code().status() == StatusCode::UNAUTHORIZED {
        // RFC 6750 section 3.1.
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(r#"Bearer error="invalid_token""#));
    }
    response
}

/// Refuses a body that is too large, and ends what outlives its deadline.
async fn limit(by: Deadline, request: Request, next: Next) -> Result<Response, Problem> {
    // An event carries the whole body, so its size is known before a byte of it is looked at.
    let size = http_body::Body::size_hint(request.body()).lower();
    if size > LONGEST_BODY as u64 {
        return Err(Problem::new(Code::PayloadTooLarge));
    }
    in_time(by, request, next).await
}

async fn in_time(by: Deadline, request: Request, next: Next) -> Result<Response, Problem> {
    tokio::time::timeout(by.left(), next.run(request))
        .await
        .map_err(|cause| Problem::new(Code::Unavailable).because(cause))
}

/// Has routes answer within `longest`, where a client or the gateway would not wait as long as Lambda does.
///
/// What they call gets the earlier [`Deadline`] as well.
pub fn within(longest: Duration, routes: Router) -> Router {
    routes.layer(middleware::from_fn_with_state(longest, shorten))
}

async fn shorten(
    State(longest): State<Duration>,
    by: Deadline,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let by = by.within(longest);
    request.extensions_mut().insert(by);
    in_time(by, request, next).await
}

/// Reads a body, whose size [`limit`] has looked at.
async fn collect(body: axum::body::Body) -> Result<Vec<u8>, Problem> {
    let collected = body.collect().await.map_err(|_| Problem::new(Code::InvalidRequest))?;
    Ok(collected.to_bytes().into())
}

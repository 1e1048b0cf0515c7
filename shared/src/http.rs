//! HTTP as every route has it: requests, responses, the one log line.

pub mod body;
pub mod extract;
pub mod proxy;
pub mod record;

use std::time::Duration;

use axum::{
    Router,
    extract::{Request, State},
    handler::Handler,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{MethodFilter, on},
};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;

use crate::{
    clock::Deadline,
    ids::Network,
    problem::{Code, Problem},
};
use extract::{RequestId, Senders};
use record::Log;

/// The longest body that is read, in bytes.
pub const LONGEST_BODY: usize = 16 * 1024;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// One route of a function, as the template names it.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// `POST`, `GET` or `DELETE`.
    pub method: &'static str,
    /// The path, from the root of the API.
    pub path: &'static str,
    filter: MethodFilter,
}

impl Route {
    /// A route that reads.
    #[must_use]
    pub const fn get(path: &'static str) -> Self {
        Self { method: "GET", path, filter: MethodFilter::GET }
    }

    /// A route that takes a body.
    #[must_use]
    pub const fn post(path: &'static str) -> Self {
        Self { method: "POST", path, filter: MethodFilter::POST }
    }

    /// A route that ends something.
    #[must_use]
    pub const fn delete(path: &'static str) -> Self {
        Self { method: "DELETE", path, filter: MethodFilter::DELETE }
    }
}

/// Puts handlers on named [`Route`]s.
pub trait RouterExt<S> {
    /// Adds a route. The template is compared with the same constant, so method and path cannot disagree.
    #[must_use]
    fn on<H: Handler<T, S>, T: 'static>(self, route: Route, handler: H) -> Self;
}

impl<S: Clone + Send + Sync + 'static> RouterExt<S> for Router<S> {
    fn on<H: Handler<T, S>, T: 'static>(self, route: Route, handler: H) -> Self {
        self.route(route.path, on(route.filter, handler))
    }
}

/// Wraps a function's routes in what every route has.
///
/// From outside in: the log line and the response's headers; a panic becomes `internal`; the size of the body and the
/// deadline; the routes, whose fallbacks are [`Problem`]s too.
pub fn stack(routes: Router, log: Log) -> Router {
    routes
        .fallback(async || Problem::new(Code::NotFound))
        .method_not_allowed_fallback(async || Problem::new(Code::MethodNotAllowed))
        .layer(
            ServiceBuilder::new()
                .layer(middleware::from_fn_with_state(log, record::record))
                .layer(middleware::from_fn(finish))
                .layer(CatchPanicLayer::custom(|_| Problem::new(Code::Internal).into_response()))
                .layer(middleware::from_fn(limit)),
        )
}

/// A 200 response in JSON.
#[derive(Clone, Copy, Debug)]
pub struct JsonResponse<T>(pub T);

impl<T: Serialize> IntoResponse for JsonResponse<T> {
    fn into_response(self) -> Response {
        match serde_json::to_string(&self.0) {
            Ok(text) => ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response(),
            Err(cause) => Problem::new(Code::Internal).because(cause).into_response(),
        }
    }
}

/// Lets a response be cached for five minutes: for documents that are the same for everybody.
#[must_use]
pub fn cached(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=300"));
    response
}

/// Writes the body of a [`Problem`] and the headers that every response has.
async fn finish(id: RequestId, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if let Some(problem) = response.extensions().get::<Problem>().cloned() {
        response = problem_response(&problem, &id, response);
    }
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Browsers ignore it over plain http, as on the laptop (RFC 6797 section 8.1).
    headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
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

/// Refuses a body that is too large, and ends a request at its deadline.
async fn limit(deadline: Deadline, request: Request, next: Next) -> Result<Response, Problem> {
    // An event holds the whole body, so the size is known before a byte of it is read.
    let size = http_body::Body::size_hint(request.body()).lower();
    if size > LONGEST_BODY as u64 {
        return Err(Problem::new(Code::PayloadTooLarge));
    }
    in_time(deadline, request, next).await
}

/// The request did not end before its deadline.
#[derive(Debug, thiserror::Error)]
#[error("deadline has elapsed")]
struct OutOfTime;

async fn in_time(deadline: Deadline, request: Request, next: Next) -> Result<Response, Problem> {
    deadline.limit(next.run(request)).await.ok_or(Problem::new(Code::Unavailable).because(OutOfTime))
}

/// Names the sender of each request to these routes in its log line, should it be refused.
pub fn named(senders: Senders, routes: Router) -> Router {
    routes.layer(middleware::from_fn_with_state(senders, name))
}

async fn name(_: Network, request: Request, next: Next) -> Response {
    next.run(request).await
}

/// Ends requests to these routes after `longest`, where a client or the gateway would not wait as long as Lambda does.
///
/// Handlers get the earlier [`Deadline`] as well.
pub fn within(longest: Duration, routes: Router) -> Router {
    routes.layer(middleware::from_fn_with_state(longest, shorten))
}

async fn shorten(
    State(longest): State<Duration>,
    deadline: Deadline,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let deadline = deadline.within(longest);
    request.extensions_mut().insert(deadline);
    in_time(deadline, request, next).await
}

//! The seam to Lambda: the only file that names `lambda_http`.
//!
//! [`serve`] and [`call`] hand events to one and the same service; the laptop and the tests call what Lambda runs.

use std::{convert::Infallible, fmt, io::Write as _, panic::AssertUnwindSafe, time::Duration};

use axum::{Router, body::Body};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures_util::FutureExt as _;
use http::header::{self, HeaderName};
use lambda_http::{
    Adapter, Context, LambdaEvent, RequestExt as _, Service,
    request::{LambdaRequest, RequestContext},
};
use serde::{Serialize, de::DeserializeOwned};
use tower::ServiceExt as _;
use url::Url;

use crate::{
    clock::{Deadline, SystemClock},
    config::ConfigError,
    env::Env,
    http::{Domain, RequestId, Source},
};

/// What is kept of Lambda's time to write the answer and the log line.
const MARGIN: Duration = Duration::from_millis(500);

/// Lambda's time limit in the template; for events that carry none.
pub const TIMEOUT: Duration = Duration::from_secs(12);

/// What a function has of that, its log line aside.
pub const LIMIT: Duration = TIMEOUT.saturating_sub(MARGIN);

/// Why a function could not start or a runtime could not go on, as one sentence.
pub struct Error(String);

impl fmt::Debug for Error {
    /// Like `Display`: it is what `main` prints of an error.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// Builds a function from the environment and serves Lambda's events until the process is ended.
pub async fn serve<D, F>(deps: impl FnOnce(Env) -> F, router: impl FnOnce(D) -> Router) -> Result<(), Error>
where
    F: Future<Output = Result<D, ConfigError>>,
{
    say_where_panics_happen();
    let env = Env::from_process().map_err(|defect| Error(defect.to_string()))?;
    let deps = deps(env).await.map_err(|defect| Error(defect.to_string()))?;
    let service = service(router(deps));
    let service = tower::service_fn(|event| {
        let mut service = service.clone();
        caught(async move { service.call(event).await.unwrap_or_else(|never| match never {}) })
    });
    lambda_http::lambda_runtime::run(service).await.map_err(|failure| Error(failure.to_string()))
}

/// Builds a function from the environment and hands it Lambda's events of its own kind until the process is ended.
///
/// A failure is reported to the platform: it is the invocation's, not an answer.
pub async fn serve_event<D, E, A, R, F, H>(deps: impl FnOnce(Env) -> F, handle: impl Fn(D, E) -> H) -> Result<(), Error>
where
    D: Clone,
    E: DeserializeOwned,
    A: Serialize,
    R: std::error::Error,
    F: Future<Output = Result<D, ConfigError>>,
    H: Future<Output = Result<A, R>>,
{
    say_where_panics_happen();
    let env = Env::from_process().map_err(|defect| Error(defect.to_string()))?;
    let deps = deps(env).await.map_err(|defect| Error(defect.to_string()))?;
    let service = tower::service_fn(|event: LambdaEvent<serde_json::Value>| {
        // The reader's own words may quote the event: they are dropped here.
        let event = serde_json::from_value(event.payload).map_err(|_| "the event is none that this function knows");
        let answer = event.map(|event| Box::pin(caught(handle(deps.clone(), event))));
        async { answer?.await?.map_err(|failure| lambda_http::Error::from(failure.to_string())) }
    });
    lambda_http::lambda_runtime::run(service).await.map_err(|failure| Error(failure.to_string()))
}

/// The runtime would report a panic by its text.
async fn caught<T>(work: impl Future<Output = T>) -> Result<T, lambda_http::Error> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(|_| "the function panicked".into())
}

/// The text of a panic may quote what it panicked at, such as a body or a token: only its place is said.
fn say_where_panics_happen() {
    std::panic::set_hook(Box::new(|panic| {
        let at = panic.location().map(ToString::to_string);
        let line = serde_json::json!({ "level": "ERROR", "message": "panic", "at": at });
        drop(writeln!(std::io::stderr().lock(), "{line}"));
    }));
}

/// One API Gateway event (payload 2.0) through the service that Lambda gets.
pub async fn call(router: &Router, event: serde_json::Value, request_id: &str) -> Result<serde_json::Value, Error> {
    let event: LambdaRequest =
        serde_json::from_value(event).map_err(|_| Error("not an API Gateway event of payload 2.0".to_owned()))?;
    let mut context = Context::default();
    request_id.clone_into(&mut context.request_id);
    // The service is always ready, and no thread but this one may hold it: only its answer is waited for.
    let answer = service(router.clone()).call(LambdaEvent::new(event, context));
    let answer = answer.await.unwrap_or_else(|never| match never {});
    serde_json::to_value(answer).map_err(|failure| Error(failure.to_string()))
}

/// The router as Lambda calls it: what the event says beside the request becomes extensions.
fn service(
    router: Router,
) -> impl Service<LambdaEvent<LambdaRequest>, Response = impl Serialize, Error = Infallible, Future: Send> + Clone {
    let adapter = Adapter::from(tower::service_fn(move |request: lambda_http::Request| {
        let (router, request) = (router.clone(), prepare(request));
        router.oneshot(request)
    }));
    adapter.map_request(|LambdaEvent { payload, context }| LambdaEvent::new(tame(payload), context))
}

fn prepare(request: lambda_http::Request) -> http::Request<Body> {
    let context = request.lambda_context();
    let (domain, source) = match request.request_context() {
        RequestContext::ApiGatewayV2(gateway) => (gateway.domain_name, gateway.http.source_ip),
        _ => (None, None),
    };
    let mut request = request.map(|body| Body::from(body.to_vec()));
    // An id that the client made up must not stand in our log.
    request.headers_mut().remove(HeaderName::from_static("x-request-id"));
    let extensions = request.extensions_mut();
    extensions.insert(RequestId(context.request_id));
    extensions.insert(Domain(domain.unwrap_or_default()));
    extensions.insert(Source(source.unwrap_or_default()));
    extensions.insert(deadline(context.deadline));
    request
}

/// Takes out of an event what `lambda_http` would panic at: it builds a URL of host, path and query, and decodes the
/// body, without a way to refuse. An address that cannot be read reaches no route; such a body is as good as none.
fn tame(mut event: LambdaRequest) -> LambdaRequest {
    if let LambdaRequest::ApiGatewayV2(gateway) = &mut event {
        gateway.headers.remove(header::HOST);
        gateway.headers.remove(HeaderName::from_static("x-forwarded-proto"));
        let domain = gateway.request_context.domain_name.as_deref().unwrap_or("localhost");
        let path = gateway.raw_path.as_deref().unwrap_or_default();
        let query = gateway.raw_query_string.as_deref().unwrap_or_default();
        let readable = Url::parse(&format!("https://{domain}{path}"))
            .is_ok_and(|url| http::Uri::try_from(format!("{url}?{query}")).is_ok());
        if !readable || !path.starts_with('/') {
            gateway.request_context.domain_name = None;
            gateway.raw_path = Some("/".to_owned());
            gateway.raw_query_string = None;
        }
        let body = gateway.body.as_deref().unwrap_or_default();
        if gateway.is_base64_encoded && STANDARD.decode(body).is_err() {
            gateway.body = None;
        }
    }
    event
}

/// The deadline of an invocation from Lambda's own, in milliseconds since 1970.
fn deadline(until_ms: u64) -> Deadline {
    let left = match until_ms {
        // An instant within 1970's first 15 minutes is none: `cargo lambda watch` says 600000 for ten minutes.
        0..=900_000 => TIMEOUT,
        until_ms => Duration::from_millis(until_ms).saturating_sub(SystemClock::since_epoch()),
    };
    Deadline::after(left.saturating_sub(MARGIN))
}

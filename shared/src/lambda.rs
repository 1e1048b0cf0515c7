//! Lambda's runtime and events: the only file that names `lambda_http`.
//!
//! [`serve`] and [`call`] hand events to the same service, so the laptop and the tests run what Lambda runs.

use std::{convert::Infallible, fmt, io::Write as _, panic::AssertUnwindSafe, time::Duration};

use axum::{Router, body::Body};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures_util::FutureExt as _;
use http::header::{self, HeaderName};
use lambda_http::{
    Adapter, Context, LambdaEvent, RequestExt as _, Service,
    lambda_runtime::Diagnostic,
    request::{LambdaRequest, RequestContext},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use tower::ServiceExt as _;
use url::Url;

use crate::{
    clock::{Deadline, SystemClock},
    env::Env,
    http::{
        extract::{ClientIp, Origin, RequestId},
        record, stack,
    },
    json,
    problem::{Code, Problem},
    vars::ConfigError,
};

/// The part of Lambda's time limit that is reserved for the response and the log line.
const MARGIN: Duration = Duration::from_millis(500);

/// The events of a Lambda authorizer nest deeper than ours.
const DEEPEST_EVENT: usize = 16;

/// Lambda's time limit in the template, for events that have none.
pub const TIMEOUT: Duration = Duration::from_secs(12);

/// The part of it that a function may use.
pub const LIMIT: Duration = TIMEOUT.saturating_sub(MARGIN);

/// Why a function could not start or go on, as one sentence.
pub struct Error(String);

impl fmt::Debug for Error {
    /// Like `Display`, because `main` prints an error by `Debug`.
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

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        Self(error.to_string())
    }
}

impl From<lambda_http::Error> for Error {
    fn from(error: lambda_http::Error) -> Self {
        Self(error.to_string())
    }
}

/// Builds a function from the environment and serves API Gateway's events until the process is ended.
pub async fn serve<D, F>(deps: impl FnOnce(Env) -> F, router: impl FnOnce(D) -> Router) -> Result<(), Error>
where
    F: Future<Output = Result<D, ConfigError>>,
{
    install_panic_hook();
    let env = Env::from_process()?;
    let log = env.log();
    let service = service(stack(router(deps(env).await?), log));
    let service = tower::service_fn(|event| {
        let mut service = service.clone();
        caught(async move { service.call(event).await.unwrap_or_else(|never| match never {}) })
    });
    Ok(lambda_http::lambda_runtime::run(service).await?)
}

/// Builds a function from the environment and hands it events of its own kind until the process is ended.
///
/// An error fails the invocation: Lambda reports it to the caller, with the code of a [`Problem`] as its `errorType`. An event
/// in which a member is given twice is refused, because another reader could take the other one.
pub async fn serve_event<D, E, A, R, F, H>(deps: impl FnOnce(Env) -> F, handle: impl Fn(D, E) -> H) -> Result<(), Error>
where
    D: Clone,
    E: DeserializeOwned,
    A: Serialize,
    R: std::error::Error + Into<Problem>,
    F: Future<Output = Result<D, ConfigError>>,
    H: Future<Output = Result<A, R>>,
{
    install_panic_hook();
    let env = Env::from_process()?;
    let log = env.log();
    let deps = deps(env).await?;
    let service = tower::service_fn(|event: LambdaEvent<Box<RawValue>>| {
        // The parser's own message may quote the event, so it is dropped here.
        let event = json::nested(event.payload.get().as_bytes(), DEEPEST_EVENT)
            .map_err(|_| diagnostic(Code::InvalidRequest, "the event is none that this function knows"));
        let handled = event.map(|event| Box::pin(caught(record::event(&log, handle(deps.clone(), event)))));
        async {
            let result = handled?.await.map_err(|panicked| diagnostic(Code::Internal, &panicked.to_string()))?;
            result.map_err(|failure| {
                let message = failure.to_string();
                diagnostic(failure.into().code(), &message)
            })
        }
    });
    Ok(lambda_http::lambda_runtime::run(service).await?)
}

/// What Lambda reports to the caller of a failed invocation.
fn diagnostic(code: Code, message: &str) -> Diagnostic {
    Diagnostic { error_type: code.as_str().to_owned(), error_message: message.to_owned() }
}

/// Turns a panic into a fixed text, because the runtime would report the panic's own.
async fn caught<T>(work: impl Future<Output = T>) -> Result<T, lambda_http::Error> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(|_| "the function panicked".into())
}

/// Prints only the place of a panic. Its text may quote a value, such as a body or a token.
fn install_panic_hook() {
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
    // The service is always ready, so it need not be polled first. It is not `Send`, so it must be gone before the await.
    let response = service(router.clone()).call(LambdaEvent::new(event, context));
    let response = response.await.unwrap_or_else(|never| match never {});
    serde_json::to_value(response).map_err(|failure| Error(failure.to_string()))
}

/// The router as Lambda calls it. What an event says beyond the HTTP request becomes extensions of the request.
fn service(
    router: Router,
) -> impl Service<LambdaEvent<LambdaRequest>, Response = impl Serialize, Error = Infallible, Future: Send> + Clone {
    let adapter = Adapter::from(tower::service_fn(move |request: lambda_http::Request| {
        let (router, request) = (router.clone(), prepare(request));
        router.oneshot(request)
    }));
    adapter.map_request(|LambdaEvent { payload, context }| LambdaEvent::new(sanitize_event(payload), context))
}

fn prepare(request: lambda_http::Request) -> http::Request<Body> {
    let context = request.lambda_context();
    let (host, client_ip) = match request.request_context() {
        RequestContext::ApiGatewayV2(gateway) => (gateway.domain_name, gateway.http.source_ip),
        _ => (None, None),
    };
    let mut request = request.map(|body| Body::from(body.to_vec()));
    // An id that the client made up must not reach our log.
    request.headers_mut().remove(HeaderName::from_static("x-request-id"));
    let extensions = request.extensions_mut();
    extensions.insert(RequestId(context.request_id));
    // API Gateway speaks nothing but https.
    extensions.insert(Origin(format!("https://{}", host.unwrap_or_default())));
    extensions.insert(ClientIp(client_ip.unwrap_or_default()));
    extensions.insert(deadline(context.deadline));
    request
}

/// Removes from an event what `lambda_http` would panic at: it builds a URL from host, path and query and decodes the body,
/// and cannot refuse. A URL that cannot be parsed becomes one without a route; a body that cannot be decoded is dropped.
fn sanitize_event(mut event: LambdaRequest) -> LambdaRequest {
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
        // A time within the first 15 minutes of 1970 is none: `cargo lambda watch` sends 600000 and means ten minutes.
        0..=900_000 => TIMEOUT,
        until_ms => Duration::from_millis(until_ms).saturating_sub(SystemClock::since_epoch()),
    };
    Deadline::after(left.saturating_sub(MARGIN))
}

//! Faults on the wire: a call and a scripted fault become an HTTP response, or none.

use std::future::pending;
use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use futures_util::stream::{self, StreamExt as _};
use tokio::time::sleep;

use crate::dispatch::Exchange;
use crate::script::{Entry, Fault};

/// Marks a response that must not be sent: the connection is reset instead.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("reset by script")]
pub(crate) struct Reset;

/// How long half a body has to leave before the connection is closed after it.
const CUT_AFTER: Duration = Duration::from_millis(20);

const GATEWAY_PAGE: &str = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n\
    <center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n";

/// The response to a call that meets this fault, or none; it may never come.
///
/// With `after` the call takes effect before anything else. A worked scenario, tested by
/// `a_call_can_take_effect_and_its_answer_be_lost`: `silence` after a code2Session. The caller's time-out tells it
/// nothing, the code is used, and the same code gets 40163 from then on.
pub(crate) async fn respond(exchange: &Exchange, entry: Option<Entry>) -> Response {
    let own_type = exchange.api.content_type();
    let Some(Entry { fault, after, .. }) = entry else {
        return message(StatusCode::OK, own_type, exchange.perform());
    };
    let early = after.then(|| exchange.perform());
    let perform = || exchange.perform();
    let refuse = || exchange.refuse(-1, None);
    match fault {
        Fault::Errcode { errcode, errmsg } => message(StatusCode::OK, own_type, exchange.refuse(errcode, errmsg)),
        Fault::Status { status, body } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
            // A scripted body under status 200 is meant to come from the API, everything else from a gateway.
            let is_own = status == StatusCode::OK && body.is_some();
            let content_type = if is_own { own_type } else { "text/html" };
            message(status, content_type, body.unwrap_or_else(|| GATEWAY_PAGE.to_owned()))
        }
        Fault::Html => message(StatusCode::OK, "text/html", GATEWAY_PAGE),
        Fault::Empty => message(StatusCode::OK, own_type, Body::empty()),
        Fault::Truncated => {
            let body = early.unwrap_or_else(refuse);
            let half = String::from_utf8_lossy(&body.as_bytes()[..body.len() / 2]).into_owned();
            message(StatusCode::OK, own_type, half)
        }
        Fault::Reset => {
            let mut response = Response::default();
            response.extensions_mut().insert(Reset);
            response
        }
        Fault::Cut => {
            let cut = |_| Err(io::ErrorKind::UnexpectedEof.into());
            in_halves(own_type, early.unwrap_or_else(refuse), CUT_AFTER, cut)
        }
        Fault::Silence => pending().await,
        // Without `after` a caller that gives up during the wait has not made the call.
        Fault::Latency { ms } => {
            sleep(Duration::from_millis(ms)).await;
            message(StatusCode::OK, own_type, early.unwrap_or_else(perform))
        }
        Fault::SlowBody { ms } => in_halves(own_type, early.unwrap_or_else(perform), Duration::from_millis(ms), Ok),
    }
}

/// The first half at once, and what `end` makes of the second after a pause. The whole length is promised, so that a
/// body without its second half is seen as cut, not as short.
fn in_halves(
    content_type: &'static str,
    body: String,
    pause: Duration,
    end: impl FnOnce(Bytes) -> io::Result<Bytes> + Send + 'static,
) -> Response {
    let length = body.len();
    let mut first = Bytes::from(body);
    let second = first.split_off(length / 2);
    let body = stream::once(async { Ok(first) }).chain(stream::once(async move {
        sleep(pause).await;
        end(second)
    }));
    let mut response = message(StatusCode::OK, content_type, Body::from_stream(body));
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    response
}

fn message(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

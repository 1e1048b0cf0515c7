//! Faults on the wire: a scripted fault and the true answer become an HTTP response, or none.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use futures_util::stream::{self, StreamExt as _};
use tokio::time::sleep;

use crate::answer::Answer;
use crate::script::{Entry, Fault};

/// Marks a response that must not be sent: the connection is reset in its place.
#[derive(Clone, Copy)]
pub(crate) struct Reset;

/// How long half a body has to leave before the connection is closed over it.
const CUT_AFTER: Duration = Duration::from_millis(20);

const GATEWAY_PAGE: &str = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n\
    <center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n";

/// The two answers a fault can draw on.
pub(crate) struct Answers<T, E> {
    /// The true one; asking for it makes the call take effect.
    pub(crate) truth: T,
    /// One with an errcode, without any effect.
    pub(crate) errcode: E,
}

/// The response to a call that met no fault.
pub(crate) fn respond(answer: Answer) -> Response {
    message(StatusCode::OK, answer.content_type, Body::from(answer.body))
}

/// The response to a call that met this one; it may never come.
///
/// With `after` the call takes effect before anything else. A worked scenario, tested by
/// `a_call_can_take_effect_and_its_answer_be_lost`: `silence` after a code2Session. The caller's time-out tells it
/// nothing, the code is used, and the same code gets 40163 from then on.
pub(crate) async fn play<T, E>(entry: Entry, content_type: &'static str, answers: Answers<T, E>) -> Response
where
    T: FnOnce() -> Answer,
    E: FnOnce(i64, Option<&str>) -> Answer,
{
    let Answers { truth, errcode } = answers;
    match entry.fault {
        // Without `after` a caller that gives up while it waits has not made the call.
        Fault::Latency { ms } if entry.after => {
            let answer = truth();
            sleep(Duration::from_millis(ms)).await;
            return respond(answer);
        }
        Fault::Latency { ms } => {
            sleep(Duration::from_millis(ms)).await;
            return respond(truth());
        }
        Fault::SlowBody { ms } => return slow(&truth(), Duration::from_millis(ms)),
        _ => {}
    }

    let lost = entry.after.then(truth);
    match entry.fault {
        Fault::Errcode { errcode: number, errmsg } => respond(errcode(number, errmsg.as_deref())),
        Fault::Status { status, body } => status_of(status, body, content_type),
        Fault::Html => message(StatusCode::OK, "text/html", Body::from(GATEWAY_PAGE)),
        Fault::Empty => message(StatusCode::OK, content_type, Body::empty()),
        Fault::Truncated => {
            let answer = lost.unwrap_or_else(|| errcode(-1, None));
            respond(Answer { body: String::from_utf8_lossy(halves(&answer.body).0).into_owned(), ..answer })
        }
        Fault::Cut => cut(&lost.unwrap_or_else(|| errcode(-1, None))),
        Fault::Reset => {
            let mut response = Response::new(Body::empty());
            response.extensions_mut().insert(Reset);
            response
        }
        Fault::Silence | Fault::Latency { .. } | Fault::SlowBody { .. } => pending().await,
    }
}

/// A status of 200 with a body is for lies in the API's own content type, any other is a gateway's.
fn status_of(status: u16, body: Option<String>, content_type: &'static str) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    match body {
        Some(body) if status == StatusCode::OK => message(status, content_type, Body::from(body)),
        Some(body) => message(status, "text/html", Body::from(body)),
        None => message(status, "text/html", Body::from(GATEWAY_PAGE)),
    }
}

fn slow(answer: &Answer, pause: Duration) -> Response {
    let (first, rest) = halves(&answer.body);
    let (length, first, rest) = (answer.body.len(), Bytes::copy_from_slice(first), Bytes::copy_from_slice(rest));
    let body = stream::once(async { Ok::<_, Infallible>(first) }).chain(stream::once(async move {
        sleep(pause).await;
        Ok(rest)
    }));
    of_length(length, message(StatusCode::OK, answer.content_type, Body::from_stream(body)))
}

fn cut(answer: &Answer) -> Response {
    let first = Bytes::copy_from_slice(halves(&answer.body).0);
    let body = stream::once(async { Ok(first) }).chain(stream::once(async {
        sleep(CUT_AFTER).await;
        Err(io::Error::from(io::ErrorKind::UnexpectedEof))
    }));
    of_length(answer.body.len(), message(StatusCode::OK, answer.content_type, Body::from_stream(body)))
}

fn halves(body: &str) -> (&[u8], &[u8]) {
    body.as_bytes().split_at(body.len() / 2)
}

fn message(status: StatusCode, content_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Promises the whole length: a body that ends early is then seen as cut, not as short.
fn of_length(length: usize, mut response: Response) -> Response {
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    response
}

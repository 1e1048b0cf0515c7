//! The one log line of a request: named fields only, never a body, a header, a query or a token.

use std::{
    error::Error as _,
    fmt,
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};
use serde::Serialize;

use super::RequestId;
use crate::problem::Problem;

/// Where log lines go.
#[derive(Clone)]
pub struct Log {
    write: Arc<dyn Fn(&str) + Send + Sync>,
    cold: Arc<AtomicBool>,
}

impl Log {
    /// A log whose lines are handed to `write`.
    pub fn new(write: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self {
            write: Arc::new(write),
            cold: Arc::new(AtomicBool::new(true)),
        }
    }

    /// Standard output, where Lambda takes log lines from.
    #[must_use]
    pub fn stdout() -> Self {
        // A log that nobody takes must not fail a request.
        Self::new(|line| drop(writeln!(std::io::stdout().lock(), "{line}")))
    }

    /// Writes a line about something that is no request.
    pub fn warn(&self, message: &fmt::Arguments<'_>) {
        let line = serde_json::json!({ "level": "WARN", "message": message.to_string() });
        (self.write)(&line.to_string());
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Log")
    }
}

/// What a flow adds to the line of its request, carried in the response's extensions.
#[derive(Clone, Copy, Debug)]
pub struct Noted {
    /// What was decided, in one word.
    pub verdict: &'static str,
}

#[derive(Serialize)]
struct Line<'a> {
    level: &'a str,
    message: &'a str,
    request_id: &'a str,
    route: &'a str,
    method: &'a str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
    duration_ms: u64,
    cold_start: bool,
}

/// Runs the request and writes its line.
pub(super) async fn record(State(log): State<Log>, id: RequestId, request: Request, next: Next) -> Response {
    let began = tokio::time::Instant::now();
    let cold_start = log.cold.swap(false, Ordering::Relaxed);
    // The path of the route, not of the request: what a stranger typed there is not ours to log.
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map(|path| path.as_str().to_owned());
    let method = request.method().clone();

    let response = next.run(request).await;

    let problem = response.extensions().get::<Problem>();
    let line = Line {
        level: if response.status().is_server_error() {
            "ERROR"
        } else {
            "INFO"
        },
        message: "request",
        request_id: &id.0,
        route: route.as_deref().unwrap_or("-"),
        // Any token is a method to HTTP.
        method: if route.is_some() { method.as_str() } else { "-" },
        status: response.status().as_u16(),
        code: problem.map(|problem| problem.code().as_str()),
        verdict: response.extensions().get::<Noted>().map(|noted| noted.verdict),
        cause: problem.and_then(causes),
        duration_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        cold_start,
    };
    if let Ok(line) = serde_json::to_string(&line) {
        (log.write)(&line);
    }
    response
}

/// The cause and what caused it, one after the other.
fn causes(problem: &Problem) -> Option<String> {
    let first = problem.cause()?;
    let mut text = first.to_string();
    let mut source = first.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    Some(text)
}

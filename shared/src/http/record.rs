//! The one log line of a request: named fields only, never a body, a header, a query or a token.
//!
//! In a deployed function the line is at the same time an object of CloudWatch's embedded metric format, so that one
//! write gives the log and the metrics.

use std::{
    error::Error,
    fmt,
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};
use serde_json::{Map, Value, json};

use super::extract::RequestId;
use crate::{
    clock::SystemClock,
    problem::{Code, Problem},
    request_log::{self, Fields},
};

/// The namespace of the metrics in CloudWatch.
const NAMESPACE: &str = "wxauth";

/// Where log lines go.
#[derive(Clone)]
pub struct Log {
    write: Arc<dyn Fn(&str) + Send + Sync>,
    /// The function that the metrics are for; without it there are none.
    function: Option<String>,
    cold: Arc<AtomicBool>,
}

impl Log {
    /// A log whose lines are handed to `write`.
    pub fn new(write: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { write: Arc::new(write), function: None, cold: Arc::new(AtomicBool::new(true)) }
    }

    /// Standard output, where Lambda takes log lines from.
    #[must_use]
    pub fn stdout() -> Self {
        // A log that cannot be written must not fail a request.
        Self::new(|line| drop(writeln!(std::io::stdout().lock(), "{line}")))
    }

    /// The same log, with metrics for the function of this name.
    #[must_use]
    pub fn of_function(mut self, name: &str) -> Self {
        self.function = Some(name.to_owned());
        self
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Log")
    }
}

/// Runs the request and writes its line.
pub(super) async fn record(State(log): State<Log>, id: RequestId, request: Request, next: Next) -> Response {
    // The path of the route, not of the request: a stranger's text must not reach the log. The same holds for the method.
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let method = route.as_ref().map(|_| request.method().to_string());

    let (response, mut line) = log.observe(next.run(request)).await;

    let problem = response.extensions().get::<Problem>();
    line.failed = response.status().is_server_error();
    line.code = problem.map(Problem::code);
    line.member = problem.and_then(Problem::wrong_member);
    line.cause = problem.and_then(Problem::cause).map(|cause| causes(&**cause));
    let mut members = line.members();
    members.insert("status".to_owned(), response.status().as_u16().into());
    members.insert("request_id".to_owned(), id.0.into());
    members.insert("route".to_owned(), route.unwrap_or_else(|| "-".to_owned()).into());
    members.insert("method".to_owned(), method.unwrap_or_else(|| "-".to_owned()).into());
    log.write(members, &line);
    response
}

/// Handles an event that is no HTTP request, and writes its line.
pub async fn event<T, E: Error>(log: &Log, handled: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    let (result, mut line) = log.observe(handled).await;
    line.failed = result.is_err();
    line.cause = result.as_ref().err().map(|error| causes(error));
    log.write(line.members(), &line);
    result
}

impl Log {
    async fn observe<T>(&self, handled: impl Future<Output = T>) -> (T, Line) {
        let cold_start = self.cold.swap(false, Ordering::Relaxed);
        let began = tokio::time::Instant::now();
        let (output, fields) = request_log::collect(handled).await;
        (
            output,
            Line { fields, took: began.elapsed(), cold_start, failed: false, code: None, member: None, cause: None },
        )
    }

    fn write(&self, mut members: Map<String, Value>, line: &Line) {
        if let Some(function) = &self.function {
            embed(&mut members, function, &line.metrics());
        }
        (self.write)(&Value::Object(members).to_string());
    }
}

/// What a log line says.
struct Line {
    fields: Fields,
    took: Duration,
    cold_start: bool,
    failed: bool,
    code: Option<Code>,
    member: Option<&'static str>,
    cause: Option<String>,
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Line {
    fn level(&self) -> &'static str {
        match (self.failed, self.fields.warning) {
            (true, _) => "ERROR",
            (false, Some(_)) => "WARN",
            (false, None) => "INFO",
        }
    }

    fn members(&self) -> Map<String, Value> {
        let fields = &self.fields;
        let members = [
            ("level", Some(self.level().into())),
            ("message", Some("request".into())),
            ("code", self.code.map(|code| code.as_str().into())),
            ("member", self.member.map(Value::from)),
            ("cause", self.cause.clone().map(Value::from)),
            ("verdict", fields.verdict.map(Value::from)),
            ("behind", fields.behind.map(Value::from)),
            ("user.hash", fields.user.clone().map(Value::from)),
            ("source.hash", self.code.and(fields.source.clone()).map(Value::from)),
            ("wechat.errcode", fields.errcode.map(Value::from)),
            ("wechat.rid", fields.rid.as_ref().map(|rid| rid.0.clone().into())),
            ("wechat_ms", (fields.wechat.count > 0).then(|| millis(fields.wechat.time).into())),
            ("dynamodb_ms", (fields.dynamodb.count > 0).then(|| millis(fields.dynamodb.time).into())),
            ("owner_ms", (fields.owner.count > 0).then(|| millis(fields.owner.time).into())),
            ("duration_ms", Some(millis(self.took).into())),
            ("cold_start", Some(self.cold_start.into())),
        ];
        members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }

    /// The metrics that are not zero: name, unit, value.
    fn metrics(&self) -> Vec<(&'static str, &'static str, u64)> {
        use Code::{CodeInvalid, CodeUsed, Misconfigured, PhoneCodeInvalid, RateLimited};
        let fields = &self.fields;
        let verdict = match (fields.verdict, fields.behind) {
            (Some("REUSE"), Some(1)) => Some("reuse_parent"),
            (Some("ROTATED"), _) => Some("rotated"),
            (Some("ECHO"), _) => Some("echo"),
            (Some("REPLAY"), _) => Some("replay"),
            (Some("GONE"), _) => Some("gone"),
            (Some("REUSE"), _) => Some("reuse"),
            (Some("ALARM"), _) => Some("alarm"),
            _ => None,
        };
        let mut metrics = vec![("requests", "Count", 1), ("duration_ms", "Milliseconds", millis(self.took))];
        let counted = [
            ("cold_starts", u64::from(self.cold_start)),
            ("errors", u64::from(self.failed)),
            ("refused", u64::from(self.code.is_some() && !self.failed)),
            ("codes_refused", u64::from(matches!(self.code, Some(CodeInvalid | CodeUsed | PhoneCodeInvalid)))),
            ("rate_limited", u64::from(self.code == Some(RateLimited))),
            ("misconfigured", u64::from(fields.misconfigured || self.code == Some(Misconfigured))),
            ("wechat_failures", u64::from(fields.wechat_failures)),
            ("breaker_open", u64::from(fields.breaker_open)),
        ];
        metrics.extend(counted.into_iter().filter(|(_, count)| *count > 0).map(|(name, count)| (name, "Count", count)));
        metrics.extend(verdict.into_iter().chain(fields.warning).map(|name| (name, "Count", 1)));
        let timed = [("wechat_ms", fields.wechat), ("dynamodb_ms", fields.dynamodb), ("owner_ms", fields.owner)];
        let timed = timed.into_iter().filter(|(_, calls)| calls.count > 0);
        metrics.extend(timed.map(|(name, calls)| (name, "Milliseconds", millis(calls.time))));
        metrics
    }
}

/// Adds what makes a line an object of CloudWatch's embedded metric format ("Embedded metric format specification").
fn embed(members: &mut Map<String, Value>, function: &str, metrics: &[(&'static str, &'static str, u64)]) {
    let named: Vec<_> = metrics.iter().map(|(name, unit, _)| json!({ "Name": name, "Unit": unit })).collect();
    members.extend(metrics.iter().map(|(name, _, value)| ((*name).to_owned(), (*value).into())));
    members.insert("function".to_owned(), function.into());
    let directive = json!({ "Namespace": NAMESPACE, "Dimensions": [["function"]], "Metrics": named });
    let aws = json!({ "Timestamp": millis(SystemClock::since_epoch()), "CloudWatchMetrics": [directive] });
    members.insert("_aws".to_owned(), aws);
}

/// The message of an error and of each of its causes.
fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

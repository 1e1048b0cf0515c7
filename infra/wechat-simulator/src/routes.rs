//! The routes: WeChat's paths, the control routes under `/sim/`, and a page that lists them.

use std::collections::HashMap;
use std::net::IpAddr;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::Simulator;
use crate::answer::Answer;
use crate::api::{Api, Call};
use crate::control::ControlError;
use crate::fault::{self, Answers};

/// Well above any body that WeChat's documents have.
const BODY_LIMIT: usize = 64 * 1024;

pub(crate) fn router(simulator: Simulator) -> Router {
    let mut router = Router::new()
        .route("/", get(page))
        .route("/sim", get(page))
        .route("/sim/", get(page))
        .route("/sim/calls", get(calls))
        .route("/sim/script", post(script).delete(clear_script))
        .route("/sim/{route}", post(control))
        .route_layer(middleware::from_fn(from_here));
    for api in Api::ALL {
        // Any method: WeChat answers a wrong one with an errcode, not with 405.
        let handler = move |State(simulator): State<Simulator>, request: Request| wechat(simulator, api, request);
        router = router.route(api.path(), any(handler));
    }
    router.with_state(simulator)
}

async fn wechat(simulator: Simulator, api: Api, request: Request) -> Response {
    let entry = simulator.with(|state, _| {
        state.count(api);
        state.script.take(api)
    });
    let call = read(request).await;
    let truth = || {
        simulator.with(|state, now| {
            let outcome = api.answer(state, &call, now);
            Answer::new(api, state, outcome, now)
        })
    };
    let errcode = |number: i64, errmsg: Option<&str>| {
        simulator.with(|state, now| Answer::scripted(api, state, (number, errmsg), now))
    };
    match entry {
        None => fault::respond(truth()),
        Some(entry) => fault::play(entry, api.content_type(), Answers { truth, errcode }).await,
    }
}

/// A query or body that cannot be read counts as absent: the API then misses what it needs.
async fn read(request: Request<Body>) -> Call {
    let query = Query::<HashMap<String, String>>::try_from_uri(request.uri()).map(|Query(query)| query);
    let is_post = request.method() == Method::POST;
    let body = to_bytes(request.into_body(), BODY_LIMIT).await.unwrap_or_default();
    Call { is_post, query: query.unwrap_or_default(), body: body.to_vec() }
}

/// The control routes log in as anyone: only who calls this machine by an address or name of its own is heard.
async fn from_here(request: Request, next: Next) -> Response {
    if is_from_here(request.headers()) {
        return next.run(request).await;
    }
    (StatusCode::FORBIDDEN, Json(json!({ "error": "only from this machine, by a name of its own" }))).into_response()
}

/// Not a page of another origin, nor a name that a stranger's DNS points here ("DNS rebinding"): an address is no such
/// name, and neither is one without a dot.
fn is_from_here(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let host = text(header::HOST).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).trim_matches(['[', ']']);
    let is_strangers = name.contains('.') && name.parse::<IpAddr>().is_err();
    !is_strangers && text(header::ORIGIN).is_none_or(|origin| origin.strip_prefix("http://") == Some(host))
}

async fn control(State(simulator): State<Simulator>, Path(route): Path<String>, body: Bytes) -> Response {
    answer_control(&simulator, &route, &body)
}

async fn script(State(simulator): State<Simulator>, body: Bytes) -> Response {
    answer_control(&simulator, "script", &body)
}

/// The content type of a control request does not matter: `curl -d` sends a form's.
fn answer_control(simulator: &Simulator, route: &str, body: &[u8]) -> Response {
    let answer = serde_json::from_slice(body)
        .map_err(|error| ControlError::Unreadable(error.to_string()))
        .and_then(|request| simulator.control(route, request));
    match answer {
        Ok(answer) => Json(answer).into_response(),
        Err(error) => {
            let status = match error {
                ControlError::UnknownRoute => StatusCode::NOT_FOUND,
                _ => StatusCode::BAD_REQUEST,
            };
            (status, Json(json!({ "error": error.to_string() }))).into_response()
        }
    }
}

async fn clear_script(State(simulator): State<Simulator>) -> Json<Value> {
    simulator.clear_script();
    Json(json!({}))
}

async fn calls(State(simulator): State<Simulator>) -> Json<Value> {
    let calls: serde_json::Map<_, _> =
        Api::ALL.into_iter().map(|api| (api.name().to_owned(), json!(simulator.calls(api.name())))).collect();
    Json(json!({ "calls": calls }))
}

async fn page(headers: HeaderMap) -> Response {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1:9001");
    include_str!("page.txt").replace("HOST", host).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn only_who_calls_this_machine_by_its_address_may_control_it() {
        let heard = |host: &'static str, origin: Option<&'static str>| {
            let mut headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(host))]);
            headers.extend(origin.map(|origin| (header::ORIGIN, HeaderValue::from_static(origin))));
            is_from_here(&headers)
        };

        for host in
            ["127.0.0.1:9001", "localhost:9001", "[::1]:9001", "192.168.1.7:9001", "wechat:9001", "localhost", ""]
        {
            assert!(heard(host, None), "{host}");
        }
        assert!(heard("127.0.0.1:9001", Some("http://127.0.0.1:9001")));
        for host in ["evil.example:9001", "127.0.0.1.evil.example", "localhost.evil.example:9001"] {
            assert!(!heard(host, None), "{host}");
        }
        for origin in ["https://evil.example", "http://127.0.0.1:9000", "null"] {
            assert!(!heard("127.0.0.1:9001", Some(origin)), "{origin}");
        }
    }
}

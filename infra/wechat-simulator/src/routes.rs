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

use crate::api::Api;
use crate::call::Call;
use crate::control;
use crate::dispatch::Exchange;
use crate::error::ControlError;
use crate::fault;
use crate::state::SharedState;

/// Well above any body that WeChat's documents have.
const BODY_LIMIT: usize = 64 * 1024;

pub(crate) fn router(state: SharedState) -> Router {
    let script = |state, body| control(state, Path("script".to_owned()), body);
    let mut router = Router::new()
        .route("/", get(page))
        .route("/sim", get(page))
        .route("/sim/", get(page))
        .route("/sim/calls", get(calls))
        .route("/sim/script", post(script).get(told_script).delete(clear_script))
        .route("/sim/{route}", post(control))
        .route_layer(middleware::from_fn(from_here));
    for api in Api::ALL {
        // Any method: WeChat answers a wrong one with an errcode, not with 405.
        let handler = move |State(state): State<SharedState>, request: Request| wechat(state, api, request);
        router = router.route(api.path(), any(handler));
    }
    router.with_state(state)
}

async fn wechat(state: SharedState, api: Api, request: Request) -> Response {
    let entry = state.with(|state, _| {
        state.count(api);
        state.script.take(api)
    });
    let call = read(request).await;
    fault::respond(&Exchange { state, api, call }, entry).await
}

/// A query or body that cannot be read counts as absent: the API then misses what it needs.
async fn read(request: Request<Body>) -> Call {
    let query = Query::<HashMap<String, String>>::try_from_uri(request.uri()).map(|Query(query)| query);
    let is_post = request.method() == Method::POST;
    let body = to_bytes(request.into_body(), BODY_LIMIT).await.unwrap_or_default();
    Call { is_post, query: query.unwrap_or_default(), body: body.to_vec() }
}

/// The control routes log in as anyone: only callers that use an address or a name of this machine are admitted.
async fn from_here(request: Request, next: Next) -> Response {
    if is_from_here(request.headers()) {
        return next.run(request).await;
    }
    (StatusCode::FORBIDDEN, Json(json!({ "error": "only from this machine, by a name of its own" }))).into_response()
}

/// Refuses pages of other origins, and names that a stranger's DNS points at this machine ("DNS rebinding"). An address
/// or a name without a dot cannot be such a name.
fn is_from_here(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let host = text(header::HOST).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).trim_matches(['[', ']']);
    let is_strangers = name.contains('.') && name.parse::<IpAddr>().is_err();
    !is_strangers && text(header::ORIGIN).is_none_or(|origin| origin.strip_prefix("http://") == Some(host))
}

/// The content type of a control request does not matter: `curl -d` sends a form's.
async fn control(State(state): State<SharedState>, Path(route): Path<String>, body: Bytes) -> Response {
    let result = serde_json::from_slice(&body)
        .map_err(|error| ControlError::Unreadable(error.to_string()))
        .and_then(|request| state.with(|state, now| control::control(state, &route, request, now)));
    match result {
        Ok(body) => Json(body).into_response(),
        Err(error) => {
            let status = match error {
                ControlError::UnknownRoute => StatusCode::NOT_FOUND,
                _ => StatusCode::BAD_REQUEST,
            };
            (status, Json(json!({ "error": error.to_string() }))).into_response()
        }
    }
}

async fn told_script(State(state): State<SharedState>) -> Json<Value> {
    Json(json!({ "script": state.with(|state, _| state.script.to_come()) }))
}

async fn clear_script(State(state): State<SharedState>) -> Json<Value> {
    state.with(|state, _| state.script.clear());
    Json(json!({}))
}

async fn calls(State(state): State<SharedState>) -> Json<Value> {
    let calls: Value = state.with(|state, _| Api::ALL.into_iter().map(|api| (api.name(), state.calls(api))).collect());
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

//! Sends what WeChat pushes, and again until it is acknowledged: the part of WeChat that calls the mini program's server.

use std::pin::pin;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, Uri, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::push;
use crate::state::SharedState;

/// How often it is looked whether a message is due: the clock may be another than the system's.
const LOOK: Duration = Duration::from_millis(250);

/// More than any answer of WeChat's forms.
const ANSWER_LIMIT: usize = 64 * 1024;

pub(crate) async fn run(state: SharedState, url: Uri, shutdown: impl Future<Output = ()> + Send) {
    let mut shutdown = pin!(shutdown);
    let mut under_way = JoinSet::new();
    while tokio::time::timeout(LOOK, &mut shutdown).await.is_err() {
        for id in state.with(|state, now| state.messages.due(now)) {
            // Composed here, so that it is not due any more at the next look.
            let Ok(request) = state.with(|state, now| push::repeat(state, &push::RepeatRequest::of(id), now)) else {
                continue;
            };
            under_way.spawn(try_once(state.clone(), url.clone(), id, request));
        }
        while under_way.try_join_next().is_some() {}
    }
    under_way.shutdown().await;
}

/// A server that does not answer in time, or not at all, has not acknowledged.
async fn try_once(state: SharedState, url: Uri, id: u64, request: Value) {
    let patience = state.with(|state, _| state.messages.find(id).map_or(5, |message| message.kind.patience()));
    let sent = tokio::time::timeout(Duration::from_secs(patience), send(&url, &request)).await;
    if let Ok(Some((status, body))) = sent {
        let answer = push::AnswerRequest { id, status, body };
        // The message may have been forgotten meanwhile.
        let _ = state.with(|state, _| push::answered(state, &answer));
    }
}

async fn send(url: &Uri, request: &Value) -> Option<(u16, String)> {
    let text = |name: &str| request[name].as_str().unwrap_or_default();
    let authority = url.authority()?;
    let host = authority.host().trim_matches(['[', ']']);
    let stream = TcpStream::connect((host, authority.port_u16().unwrap_or(80))).await.ok()?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    let call = Request::post(format!("{}?{}", url.path(), text("query")))
        .header(header::HOST, authority.as_str())
        .header(header::CONTENT_TYPE, text("content_type"))
        .body(Body::from(text("body").to_owned()))
        .ok()?;
    let answer = async {
        let answer = sender.send_request(call).await.ok()?;
        let status = answer.status().as_u16();
        let body = to_bytes(Body::new(answer.into_body()), ANSWER_LIMIT).await.ok()?;
        Some((status, String::from_utf8(body.to_vec()).ok()?))
    };
    // The connection does the work of both; it ends with the answer.
    let mut connection = pin!(connection);
    let mut answer = pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        _ = &mut connection => answer.await,
    }
}

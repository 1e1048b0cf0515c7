//! The connections: HTTP/1.1 with keep-alive, and a real TCP reset where the script wants one.

use std::error::Error;
use std::pin::pin;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::serve::Listener;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use crate::fault::Reset;

pub(crate) async fn accept(mut listener: TcpListener, router: Router, shutdown: impl Future<Output = ()> + Send) {
    let mut shutdown = pin!(shutdown);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            // axum's own `accept` outlives clients that have left already and a shortage of file descriptors.
            (stream, _) = Listener::accept(&mut listener) => {
                connections.spawn(converse(stream, router.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
    // Not gracefully, since a silent connection never ends by itself.
    connections.shutdown().await;
}

async fn converse(stream: TcpStream, router: Router) {
    // Best effort: without it the second half of a slow body may come later than scripted.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| respond(router.clone(), request));
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let ended = (&mut connection).await;
    if ended.is_err_and(|error| error.source().is_some_and(<dyn Error>::is::<Reset>)) {
        // Without lingering, closing sends RST and not FIN.
        let _ = connection.into_parts().io.into_inner().set_zero_linger();
    }
}

/// An error drops the connection without a byte.
async fn respond(router: Router, request: hyper::Request<Incoming>) -> Result<Response, Reset> {
    let Ok(response) = router.oneshot(request.map(Body::new)).await;
    match response.extensions().get() {
        Some(reset) => Err(*reset),
        None => Ok(response),
    }
}

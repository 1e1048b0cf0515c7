//! The connections: HTTP/1.1 with keep-alive, and a real TCP reset where the script wants one.

use std::error::Error;
use std::io;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use crate::fault::Reset;

/// How long to wait for a descriptor to come free.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(50);

pub(crate) async fn accept(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let mut shutdown = pin!(shutdown);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(converse(stream, router.clone()));
                }
                Err(error) => outlive(error).await?,
            },
            Some(_) = connections.join_next() => {}
        }
    }
    // Not gracefully: a silent connection would never end by itself.
    connections.shutdown().await;
    Ok(())
}

/// Passes over what is no fault of the listener: a client that left already, and a shortage that will end.
async fn outlive(error: io::Error) -> io::Result<()> {
    // ENFILE and EMFILE have no kind of their own.
    match (error.kind(), error.raw_os_error()) {
        (io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset, _) => Ok(()),
        (_, Some(23 | 24)) => {
            tokio::time::sleep(OUT_OF_DESCRIPTORS).await;
            Ok(())
        }
        _ => Err(error),
    }
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

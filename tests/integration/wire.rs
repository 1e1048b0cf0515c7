//! A way to the table on which each request waits for the test's word: what happens between two requests can be chosen.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};
use tests::Laptop;
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
};

/// When nothing has arrived for so long, all that can be under way at once is waiting.
const QUIET: Duration = Duration::from_millis(4);

/// A request that waits.
pub(crate) struct Waiting {
    /// `UpdateItem` and the like.
    pub(crate) operation: String,
    /// What it asks for.
    pub(crate) body: Value,
    passes: oneshot::Sender<bool>,
    done: oneshot::Receiver<()>,
}

impl Waiting {
    /// Lets the table answer it, and waits until it has.
    pub(crate) async fn pass(self) {
        let _ = self.passes.send(true);
        drop(self.done.await);
    }

    /// Fails it, in a way that is not tried again.
    pub(crate) fn fail(self) {
        let _ = self.passes.send(false);
    }

    /// Whether it writes an item whose sort key begins like this.
    pub(crate) fn puts(&self, sort_key: &str) -> bool {
        self.operation == "PutItem" && self.body["Item"]["sk"]["S"].as_str().unwrap().starts_with(sort_key)
    }

    /// Whether it is an update whose expression sets this attribute.
    pub(crate) fn sets(&self, attribute: &str) -> bool {
        let expression = self.body["UpdateExpression"].as_str().unwrap_or_default();
        expression.contains(&format!("#{attribute} = "))
    }
}

/// The way of one process to the table.
pub(crate) struct Wire {
    held: Arc<AtomicBool>,
    arrivals: mpsc::UnboundedReceiver<Waiting>,
}

#[derive(Clone)]
struct Relay {
    table: String,
    client: reqwest::Client,
    held: Arc<AtomicBool>,
    arrived: mpsc::UnboundedSender<Waiting>,
}

/// Another process beside this one, and its way to the table.
pub(crate) async fn beside(laptop: &mut Laptop) -> (Laptop, Wire) {
    let (arrived, arrivals) = mpsc::unbounded_channel();
    let held = Arc::new(AtomicBool::new(false));
    let table = laptop.world.dynamodb_url.clone();
    let relay = Relay { table: table.clone(), client: tests::client(), held: Arc::clone(&held), arrived };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    laptop.world.dynamodb_url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(relayed).with_state(relay);
    drop(tokio::spawn(async move { axum::serve(listener, router).await }));
    let beside = laptop.beside().await;
    laptop.world.dynamodb_url = table;
    (beside, Wire { held, arrivals })
}

async fn relayed(State(relay): State<Relay>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers["x-amz-target"].to_str().unwrap();
    // Dropped at the end, whichever way it comes.
    let (_done, when_done) = oneshot::channel();
    if relay.held.load(Ordering::SeqCst) {
        let (passes, word) = oneshot::channel();
        let operation = target.rsplit('.').next().unwrap().to_owned();
        let asked = serde_json::from_slice(&body).unwrap();
        drop(relay.arrived.send(Waiting { operation, body: asked, passes, done: when_done }));
        if word.await == Ok(false) {
            let refusal = json!({ "__type": "com.amazon.coral.service#AccessDeniedException", "message": "no" });
            return (StatusCode::BAD_REQUEST, refusal.to_string()).into_response();
        }
    }
    let mut headers = headers.clone();
    headers.remove(header::HOST);
    headers.remove(header::CONTENT_LENGTH);
    let answer = relay.client.post(&relay.table).headers(headers).body(body).send().await.unwrap();
    let (status, content_type) = (answer.status(), answer.headers()[header::CONTENT_TYPE].clone());
    (status, [(header::CONTENT_TYPE, content_type)], answer.bytes().await.unwrap()).into_response()
}

impl Wire {
    /// Does the work, and hands over each of its requests.
    pub(crate) async fn step<T>(&mut self, work: impl Future<Output = T>, mut each: impl AsyncFnMut(Waiting)) -> T {
        self.held.store(true, Ordering::SeqCst);
        let mut work = pin!(work);
        let done = loop {
            tokio::select! {
                done = &mut work => break done,
                Some(waiting) = self.arrivals.recv() => each(waiting).await,
            }
        };
        self.held.store(false, Ordering::SeqCst);
        done
    }

    /// Does the work, and lets its requests through one at a time in an order that the seed chooses.
    pub(crate) async fn shuffle<T>(
        &mut self,
        seed: u64,
        work: impl Future<Output = T>,
        mut watch: impl FnMut(&Waiting),
    ) -> T {
        self.held.store(true, Ordering::SeqCst);
        let (mut queue, mut random) = (Vec::new(), seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let mut work = pin!(work);
        let done = loop {
            tokio::select! {
                done = &mut work => break done,
                Some(arrived) = self.arrivals.recv() => queue.push(arrived),
                () = tokio::time::sleep(QUIET), if !queue.is_empty() => {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    let at = usize::try_from(random >> 1).unwrap() % queue.len();
                    let next = queue.swap_remove(at);
                    watch(&next);
                    next.pass().await;
                }
            }
        };
        self.held.store(false, Ordering::SeqCst);
        done
    }
}

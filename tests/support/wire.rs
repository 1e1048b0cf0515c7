//! A way to the table, or to WeChat, on which each request waits for the test's word: what happens between two requests
//! can be chosen. A request can arrive once more, and a way can be slow.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
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
use http::{HeaderMap, Method, StatusCode, Uri, header};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
};

use crate::{Laptop, seeded::Seeded};

/// After this time without a new request, every request that can be under way is waiting.
const QUIET: Duration = Duration::from_millis(4);

/// A request that waits until a test decides what becomes of it.
pub struct Waiting {
    /// The operation of DynamoDB, such as `UpdateItem`, or the path of a request to WeChat.
    pub operation: String,
    pub body: Value,
    duplicate: Duplicate,
    word: oneshot::Sender<Word>,
    done: oneshot::Receiver<()>,
}

/// A request that the network kept a copy of.
pub struct Duplicate {
    client: reqwest::Client,
    request: reqwest::Request,
}

impl Duplicate {
    /// Arrives, byte for byte what was sent before; whoever sent it does not learn of it.
    pub async fn arrive(self) {
        self.client.execute(self.request).await.expect("an answer");
    }
}

/// What happens to a request that waits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    Pass,
    Keep,
    Fail,
}

impl Waiting {
    /// Forwards the request and its response.
    pub async fn pass(self) {
        self.pass_and_copy().await;
    }

    /// Forwards the request and drops the response.
    pub async fn keep(self) {
        let _ = self.word.send(Word::Keep);
        drop(self.done.await);
    }

    /// Fails the request with an error that the SDK does not retry.
    pub fn fail(self) {
        let _ = self.word.send(Word::Fail);
    }

    /// Forwards the request and its response. The network keeps a copy of the request.
    pub async fn pass_and_copy(self) -> Duplicate {
        let _ = self.word.send(Word::Pass);
        drop(self.done.await);
        self.duplicate
    }

    /// Whether it writes an item whose sort key begins like this.
    pub fn puts(&self, sort_key: &str) -> bool {
        self.operation == "PutItem" && self.body["Item"]["sk"]["S"].as_str().unwrap_or_default().starts_with(sort_key)
    }

    /// Whether it is an update whose expression sets this attribute.
    pub fn sets(&self, attribute: &str) -> bool {
        let expression = self.body["UpdateExpression"].as_str().unwrap_or_default();
        expression.contains(&format!("#{attribute} = "))
    }
}

/// A relay between one process and its servers. It can hold each request until a test lets it go.
pub struct Wire {
    /// The address of the relay for each server.
    pub urls: Vec<String>,
    held: Arc<AtomicBool>,
    delays: Arc<Mutex<Option<Delays>>>,
    arrivals: mpsc::UnboundedReceiver<Waiting>,
}

/// How long requests and responses take at most, in milliseconds, and what decides how long each does.
struct Delays(u64, Seeded);

#[derive(Clone)]
struct Relay {
    to: String,
    client: reqwest::Client,
    held: Arc<AtomicBool>,
    delays: Arc<Mutex<Option<Delays>>>,
    arrived: mpsc::UnboundedSender<Waiting>,
}

impl Relay {
    async fn delay(&self) {
        let delay = {
            let mut delays = self.delays.lock().unwrap_or_else(PoisonError::into_inner);
            delays.as_mut().map(|Delays(most, random)| random.below(*most + 1))
        };
        if let Some(delay) = delay {
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
    }
}

/// Another process, with a relay between it and the table.
pub async fn beside(laptop: &mut Laptop) -> (Laptop, Wire) {
    let table = laptop.world.dynamodb_url.clone();
    let wire = Wire::to(&[&table]).await;
    laptop.world.dynamodb_url.clone_from(&wire.urls[0]);
    let beside = laptop.beside().await;
    laptop.world.dynamodb_url = table;
    (beside, wire)
}

async fn relayed(
    State(relay): State<Relay>,
    (method, uri): (Method, Uri),
    mut headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path_and_query().expect("a path").as_str();
    let target = headers.get("x-amz-target").map_or(uri.path(), |target| target.to_str().expect("text"));
    let operation = target.rsplit(['.', '/']).next().unwrap_or_default().to_owned();
    let asked = serde_json::from_slice(&body).unwrap_or_default();
    headers.remove(header::HOST);
    headers.remove(header::CONTENT_LENGTH);
    let request = relay.client.request(method, format!("{}{path}", relay.to)).headers(headers).body(body);
    let request = request.build().expect("a request");
    relay.delay().await;
    // Dropped at the end, whichever way it comes.
    let (done, when_done) = oneshot::channel::<()>();
    let mut said = Word::Pass;
    if relay.held.load(Ordering::SeqCst) {
        let (word, given) = oneshot::channel();
        let copy = request.try_clone().expect("a body in memory");
        let duplicate = Duplicate { client: relay.client.clone(), request: copy };
        drop(relay.arrived.send(Waiting { operation, body: asked, duplicate, word, done: when_done }));
        said = given.await.unwrap_or(Word::Pass);
        if said == Word::Fail {
            let refusal = json!({ "__type": "com.amazon.coral.service#AccessDeniedException", "message": "no" });
            return (StatusCode::BAD_REQUEST, refusal.to_string()).into_response();
        }
    }
    let answer = relay.client.execute(request).await.expect("an answer");
    let (status, content_type) = (answer.status(), answer.headers()[header::CONTENT_TYPE].clone());
    let answer = (status, [(header::CONTENT_TYPE, content_type)], answer.bytes().await.expect("a body"));
    drop(done);
    if said == Word::Keep {
        return std::future::pending().await;
    }
    relay.delay().await;
    answer.into_response()
}

impl Wire {
    /// A relay to each of these addresses.
    pub async fn to(origins: &[&str]) -> Self {
        let (arrived, arrivals) = mpsc::unbounded_channel();
        let (held, delays, mut urls) = (Arc::new(AtomicBool::new(false)), Arc::default(), Vec::new());
        for origin in origins {
            let (to, held, arrived) = ((*origin).to_owned(), Arc::clone(&held), arrived.clone());
            let relay = Relay { to, client: crate::client(), held, delays: Arc::clone(&delays), arrived };
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            urls.push(format!("http://{}", listener.local_addr().expect("an address")));
            let router = Router::new().fallback(relayed).with_state(relay);
            drop(tokio::spawn(async move { axum::serve(listener, router).await }));
        }
        Self { urls, held, delays, arrivals }
    }

    /// From now on each request, and each response, takes up to so many milliseconds, by chance.
    pub fn delay(&self, most: u64, random: Seeded) {
        *self.delays.lock().unwrap_or_else(PoisonError::into_inner) = Some(Delays(most, random));
    }

    /// Holds each request from now on, for [`Self::arrival`].
    pub fn hold(&self) {
        self.held.store(true, Ordering::SeqCst);
    }

    /// The next request that waits.
    pub async fn arrival(&mut self) -> Waiting {
        self.arrivals.recv().await.expect("the relay is there")
    }

    /// Runs the work and hands each of its requests to `each`.
    pub async fn step<T>(&mut self, work: impl Future<Output = T>, mut each: impl AsyncFnMut(Waiting)) -> T {
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

    /// Runs the work and lets its requests through one at a time, in an order that the seed decides. None passes before the
    /// `first` so many wait, or else the side that is slower to begin would never come first on a busy machine.
    pub async fn shuffle<T>(
        &mut self,
        seed: u64,
        first: usize,
        work: impl Future<Output = T>,
        mut watch: impl FnMut(&Waiting),
    ) -> T {
        self.held.store(true, Ordering::SeqCst);
        let (mut queue, mut random) = (Vec::new(), Seeded::new(seed));
        let mut work = pin!(work);
        let mut begun = false;
        let done = loop {
            tokio::select! {
                done = &mut work => break done,
                Some(arrived) = self.arrivals.recv() => {
                    queue.push(arrived);
                    begun |= queue.len() >= first;
                }
                () = tokio::time::sleep(QUIET), if begun && !queue.is_empty() => {
                    let next = queue.swap_remove(random.index(queue.len()));
                    watch(&next);
                    next.pass().await;
                }
            }
        };
        self.held.store(false, Ordering::SeqCst);
        done
    }
}

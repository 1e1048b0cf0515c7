//! The owner's function: a server that notes what it is asked, and answers as a test wants. It is called by the laptop at `/`, and
//! by a binary as Lambda is.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinHandle};

/// What the function does with an event.
#[derive(Clone, Debug)]
pub enum Does {
    /// Answers this.
    Answers(String),
    /// Ends with an error.
    Fails,
    /// Answers after a while, as at a cold start.
    Later(Duration, String),
}

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<(Vec<Value>, VecDeque<Does>)>>);

impl Memory {
    /// Notes an event and says what is to be done with it; without a word of the test, it is taken.
    fn next(&self, event: &Bytes) -> Does {
        let event = serde_json::from_slice(event).expect("an event in JSON");
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        memory.0.push(event);
        memory.1.pop_front().unwrap_or_else(|| Does::Answers("null".to_owned()))
    }
}

impl Memory {
    async fn run(&self, event: &Bytes, failure: impl IntoResponse) -> Response {
        match self.next(event) {
            Does::Answers(answer) => answer.into_response(),
            Does::Fails => failure.into_response(),
            Does::Later(delay, answer) => {
                tokio::time::sleep(delay).await;
                answer.into_response()
            }
        }
    }
}

/// A function of the owner's that runs.
pub struct Owner {
    pub url: String,
    memory: Memory,
    serving: JoinHandle<()>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Owner {
    pub async fn start() -> Self {
        let memory = Memory::default();
        let router = Router::new()
            .route("/", post(as_server))
            .route("/2015-03-31/functions/{function}/invocations", post(as_function))
            .with_state(memory.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let serving = tokio::spawn(async move { drop(axum::serve(listener, router).await) });
        Self { url, memory, serving }
    }

    /// What it does with the next events, one after the other.
    pub fn will(&self, does: impl IntoIterator<Item = Does>) {
        self.memory.0.lock().unwrap_or_else(PoisonError::into_inner).1.extend(does);
    }

    /// Answers this to the next event.
    pub fn answers(&self, answer: &str) {
        self.will([Does::Answers(answer.to_owned())]);
    }

    /// Takes every event from now on.
    pub fn forget_what_to_do(&self) {
        self.memory.0.lock().unwrap_or_else(PoisonError::into_inner).1.clear();
    }

    /// How often it was asked about a message with this member.
    #[must_use]
    pub fn count(&self, member: &str, says: &str) -> usize {
        let memory = self.memory.0.lock().unwrap_or_else(PoisonError::into_inner);
        memory.0.iter().filter(|event| event["message"][member] == says).count()
    }

    /// All events so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Value> {
        self.memory.0.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }
}

/// A server that fails says so by its status, and a function by a header of Lambda's.
async fn as_server(State(memory): State<Memory>, event: Bytes) -> Response {
    memory.run(&event, (StatusCode::INTERNAL_SERVER_ERROR, "a trace")).await
}

async fn as_function(State(memory): State<Memory>, event: Bytes) -> Response {
    memory.run(&event, ([("x-amz-function-error", "Unhandled")], r#"{"errorMessage":"a trace"}"#)).await
}

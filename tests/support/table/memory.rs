//! The table in memory: the conditions of `shared::store::dynamo` a second time, in plain Rust.
//!
//! Each request is atomic, as in DynamoDB, and between the requests of one operation others may come. It is as good as
//! the comparison with the embedded DynamoDB that the tests make after each step. It keeps nothing and deletes nothing
//! by itself.

mod clause;
mod idempotency;
mod sessions;
mod user_ends;
mod users;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
};

use async_trait::async_trait;

pub use clause::Clause;

use shared::{clock::Secs, ids::UserRef, session::Session, store::StoreError};

/// An attribute's value, of the kinds that we store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// `NULL`: there was none.
    Null,
    /// `N`.
    Number(u64),
    /// `S`.
    Text(String),
    /// `B`.
    Bytes(Vec<u8>),
    /// `SS`.
    Texts(BTreeSet<String>),
}

/// `pk` and `sk`.
pub type Key = (String, String);

/// All items, by their keys and without them: what two tables are compared by. One that holds nothing is there
/// nevertheless.
pub type Snapshot = BTreeMap<Key, BTreeMap<String, Value>>;

type Item = BTreeMap<&'static str, Value>;
type Items = BTreeMap<Key, Item>;

/// What becomes of a message on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrives.
    Arrives,
    /// It is lost, and the SDK sends the request again: what was lost was the acknowledgement of a write.
    Again,
    /// It is lost for good: the operation fails.
    Lost,
}

/// The way between an operation and the table.
#[async_trait]
pub trait Wire: Send + Sync {
    /// A request is about to be sent.
    async fn request(&self) -> Fate;

    /// A request was applied, and its answer is about to be sent.
    async fn answer(&self) -> Fate;
}

/// A way on which nothing is lost, and others come in between: each request waits for one poll.
#[derive(Clone, Copy, Debug)]
pub struct Sure;

#[async_trait]
impl Wire for Sure {
    async fn request(&self) -> Fate {
        let mut waited = false;
        poll_fn(|context| {
            if std::mem::replace(&mut waited, true) {
                return Poll::Ready(Fate::Arrives);
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await
    }

    async fn answer(&self) -> Fate {
        Fate::Arrives
    }
}

/// What a table keeps of pushed messages when something begins to be done about them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pushes {
    /// That it begins.
    #[default]
    Begun,
    /// That it is done.
    Done,
    /// Not that a message has arrived before.
    Forgotten,
}

/// What a table does wrong, or remembers, for a test.
#[derive(Clone, Default)]
pub struct Hooks {
    /// A refresh reads the session and then writes it.
    pub torn_refresh: bool,
    /// Sessions are read as they were meant to be put, not as they are.
    pub blind_reads: bool,
    /// What is kept of pushed messages.
    pub pushes: Pushes,
    /// The sessions that were meant to be put, by sid.
    pub put: Arc<Mutex<HashMap<String, Session>>>,
    /// The families that were to be revoked: the process that finds a reuse may not live to tell.
    pub revoked: Arc<Mutex<HashSet<[u8; 16]>>>,
}

/// What the table held before each request of an operation: with it one of them can arrive again.
#[derive(Clone, Default)]
pub struct Trace(Arc<Mutex<Vec<Items>>>);

impl Trace {
    /// How many there were.
    #[must_use]
    pub fn requests(&self) -> usize {
        locked(&self.0).len()
    }
}

/// What becomes of an operation's requests, apart from the wire.
#[derive(Clone, Default)]
enum Passage {
    #[default]
    Plain,
    /// They are kept.
    Traced(Trace),
    /// The operation is done once more: what came before this request is told what it was told then, and does nothing;
    /// this one is applied to what there is now; nothing comes after it.
    Again(Trace, Arc<Mutex<usize>>, usize),
}

/// A table in memory. A clone is another way to the same table.
#[derive(Clone)]
pub struct MemoryTable {
    items: Arc<Mutex<Items>>,
    wire: Arc<dyn Wire>,
    without: Option<Clause>,
    hooks: Hooks,
    passage: Passage,
}

impl Default for MemoryTable {
    fn default() -> Self {
        let (wire, passage) = (Arc::new(Sure), Passage::default());
        Self { items: Arc::default(), wire, without: None, hooks: Hooks::default(), passage }
    }
}

impl MemoryTable {
    /// A table that lacks one of its conditions: a suite that does not notice is no suite.
    #[must_use]
    pub fn without(clause: Clause) -> Self {
        Self { without: Some(clause), ..Self::default() }
    }

    /// The same table, with these hooks on this way to it.
    #[must_use]
    pub fn hooked(&self, hooks: Hooks) -> Self {
        Self { hooks, ..self.clone() }
    }

    /// Another way to the same table.
    #[must_use]
    pub fn over(&self, wire: Arc<dyn Wire>) -> Self {
        Self { wire, ..self.clone() }
    }

    /// The same table for one operation, whose requests are kept in the trace.
    #[must_use]
    pub fn traced(&self, trace: &Trace) -> Self {
        Self { passage: Passage::Traced(trace.clone()), ..self.clone() }
    }

    /// The same table for the operation of a trace once more, of which this request alone arrives, byte for byte the same.
    #[must_use]
    pub fn again(&self, trace: Trace, request: usize) -> Self {
        Self { passage: Passage::Again(trace, Arc::default(), request), ..self.clone() }
    }

    /// Another table that holds the same and lacks the same.
    #[must_use]
    pub fn copied(&self) -> Self {
        Self { items: Arc::new(Mutex::new(self.lock().clone())), ..self.clone() }
    }

    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.lock().iter().map(|(key, item)| (key.clone(), named(item))).collect()
    }

    /// The item of a user, without its key.
    #[must_use]
    pub fn user_item(&self, user: &UserRef) -> Option<BTreeMap<String, Value>> {
        self.lock().get(&(users::partition(user), "user".to_owned())).map(named)
    }

    fn lock(&self) -> MutexGuard<'_, Items> {
        locked(&self.items)
    }

    /// One request: applied at once and alone, however often the SDK has to send it.
    async fn send<T>(&self, apply: impl Fn(&mut Items) -> T + Send + Sync) -> Result<T, StoreError>
    where
        T: Send,
    {
        if let Passage::Again(trace, next, again) = &self.passage {
            return self.send_again(trace, next, *again, apply);
        }
        let earlier = if let Passage::Traced(trace) = &self.passage { trace.requests() } else { 0 };
        loop {
            if self.wire.request().await == Fate::Lost {
                return Err(StoreError::Unavailable("the request was lost".into()));
            }
            let answer = {
                let mut items = self.lock();
                if let Passage::Traced(trace) = &self.passage {
                    let mut before = locked(&trace.0);
                    before.truncate(earlier);
                    before.push(items.clone());
                }
                apply(&mut items)
            };
            match self.wire.answer().await {
                Fate::Arrives => return Ok(answer),
                Fate::Again => {}
                Fate::Lost => return Err(StoreError::Unavailable("the answer was lost".into())),
            }
        }
    }

    fn send_again<T>(
        &self,
        trace: &Trace,
        next: &Mutex<usize>,
        again: usize,
        apply: impl Fn(&mut Items) -> T,
    ) -> Result<T, StoreError> {
        let number = {
            let mut next = locked(next);
            *next += 1;
            *next - 1
        };
        match locked(&trace.0).get_mut(number) {
            Some(before) if number < again => return Ok(apply(before)),
            Some(_) if number == again => drop(apply(&mut self.lock())),
            _ => {}
        }
        Err(StoreError::Unavailable("nobody waits for the answer".into()))
    }

    /// A condition that must hold beside others.
    pub(crate) fn and(&self, clause: Clause, holds: bool) -> bool {
        holds || self.without == Some(clause)
    }

    /// A condition that suffices beside others.
    pub(crate) fn or(&self, clause: Clause, holds: bool) -> bool {
        holds && self.without != Some(clause)
    }
}

fn named(item: &Item) -> BTreeMap<String, Value> {
    item.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn bytes(value: impl Into<Vec<u8>>) -> Value {
    Value::Bytes(value.into())
}

fn number(value: impl Into<u64>) -> Value {
    Value::Number(value.into())
}

fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

fn get_number(item: &Item, name: &str) -> Option<Secs> {
    item.get(name).and_then(|value| if let Value::Number(number) = value { Some(*number) } else { None })
}

fn get_bytes<'a>(item: &'a Item, name: &str) -> Option<&'a [u8]> {
    item.get(name).and_then(|value| if let Value::Bytes(bytes) = value { Some(bytes.as_slice()) } else { None })
}

fn get_text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name).and_then(|value| if let Value::Text(text) = value { Some(text.as_str()) } else { None })
}

/// As in DynamoDB, what is not there compares as false.
fn at_most(item: &Item, name: &str, most: Secs) -> bool {
    get_number(item, name).is_some_and(|number| number <= most)
}

fn below(item: &Item, name: &str, most: Secs) -> bool {
    get_number(item, name).is_some_and(|number| number < most)
}

fn above(item: &Item, name: &str, least: Secs) -> bool {
    get_number(item, name).is_some_and(|number| number > least)
}

fn is(item: &Item, name: &str, value: &Value) -> bool {
    item.get(name) == Some(value)
}

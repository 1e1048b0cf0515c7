//! Secrets: read in init, kept for five minutes, renewed in parallel with a request, and served stale while their source is
//! down.
//!
//! The value is not always the newest. Key rotation allows for that: a key is known everywhere before it is first used.

pub mod key_rotation;

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, RwLock},
    time::Duration,
};

use async_trait::async_trait;
use tokio::sync::Mutex;

use crate::{
    clock::{Clock, Secs},
    problem::{Code, Problem},
    vars::ConfigError,
};

/// After a failed renewal the stale value is used for this long before the next try.
const PAUSE: Secs = 30;

/// How long a request or the start waits for the source.
const PATIENCE: Duration = Duration::from_secs(2);

/// A value that is read from a secret's text.
pub trait FromSecret: Sized + Send + Sync + 'static {
    /// What the text should be, for the sentence about a wrong text.
    const EXPECTED_FORMAT: &'static str;

    /// A value younger than this is used as it is.
    const FRESH: Secs = 5 * 60;

    /// A value of this age is renewed before it is used, because a renewal in parallel with a very short request may never
    /// end.
    const OLD: Secs = 10 * 60;

    /// Reads the text.
    fn from_secret(text: &str) -> Result<Self, SecretDefect>;
}

/// What is wrong with a secret's text. Never holds any of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretDefect {
    /// It does not have the expected format.
    #[error("it is malformed")]
    Malformed,
    /// `rotation` has not filled it yet.
    #[error("rotation has not filled it yet")]
    NotRotatedYet,
    /// The owner has not filled it yet.
    #[error("its owner has not filled it yet")]
    NotFilled,
}

/// Why a secret cannot be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SecretError {
    /// Its source does not answer, or refuses.
    #[error("{variable}: cannot be read ({why})")]
    Unreadable {
        /// The variable that names it.
        variable: &'static str,
        /// What happened, without any value.
        why: &'static str,
    },
    /// Its text is not what it should be.
    #[error("{variable}: {defect}")]
    Defect {
        /// The variable that names it.
        variable: &'static str,
        /// What is wrong.
        defect: SecretDefect,
    },
}

impl From<SecretError> for Problem {
    fn from(error: SecretError) -> Self {
        match &error {
            SecretError::Defect { defect: SecretDefect::Malformed | SecretDefect::NotFilled, .. } => {
                Problem::new(Code::Misconfigured).because(error)
            }
            SecretError::Unreadable { .. } | SecretError::Defect { defect: SecretDefect::NotRotatedYet, .. } => {
                Problem::new(Code::Unavailable).retry_after(1).because(error)
            }
        }
    }
}

/// A source of a secret's text.
#[async_trait]
pub trait ReadSecret: Send + Sync {
    /// The present text. The error says why there is none, without quoting anything.
    async fn read(&self) -> Result<String, &'static str>;
}

/// `file:PATH`: for the laptop and tests.
#[derive(Clone, Debug)]
pub struct SecretFile(pub PathBuf);

#[async_trait]
impl ReadSecret for SecretFile {
    async fn read(&self) -> Result<String, &'static str> {
        std::fs::read_to_string(&self.0).map_err(|_| "the file cannot be read")
    }
}

/// A secret in AWS Secrets Manager, by name or ARN.
#[derive(Clone, Debug)]
pub struct ManagedSecret {
    /// The client.
    pub client: aws_sdk_secretsmanager::Client,
    /// Name or ARN.
    pub id: String,
}

#[async_trait]
impl ReadSecret for ManagedSecret {
    async fn read(&self) -> Result<String, &'static str> {
        let answer = self.client.get_secret_value().secret_id(&self.id).send().await;
        let value = answer.map_err(|_| "Secrets Manager does not give it")?;
        value.secret_string.ok_or("it is binary")
    }
}

struct Cached<T> {
    value: Arc<T>,
    read_at: Secs,
    /// No renewal before this time.
    wait_until: Secs,
}

impl<T> Clone for Cached<T> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), ..*self }
    }
}

/// A secret as a function holds it.
pub struct Secret<T> {
    variable: &'static str,
    source: Box<dyn ReadSecret>,
    clock: Arc<dyn Clock>,
    cached: RwLock<Option<Cached<T>>>,
    renewal: Mutex<()>,
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Secret({})", self.variable)
    }
}

impl<T: FromSecret> Secret<T> {
    /// Reads the secret for the first time.
    ///
    /// A malformed secret is an error. One that cannot be read, or is not filled yet, is none: the next request reads it
    /// again.
    pub async fn open(
        variable: &'static str,
        source: Box<dyn ReadSecret>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, ConfigError> {
        let secret = Self { variable, source, clock, cached: RwLock::new(None), renewal: Mutex::new(()) };
        match secret.renew().await {
            Err(SecretError::Defect { defect: SecretDefect::Malformed, .. }) => {
                Err(ConfigError::new(variable, format!("a secret that holds {}", T::EXPECTED_FORMAT)))
            }
            Ok(_) | Err(SecretError::Unreadable { .. } | SecretError::Defect { .. }) => Ok(Arc::new(secret)),
        }
    }

    /// The value. It is given at once while it is fresh or stale; a stale one is renewed in parallel. An old one is renewed
    /// first.
    pub async fn get(self: &Arc<Self>) -> Result<Arc<T>, SecretError> {
        let now = self.clock.now();
        let Some(cached) = self.cached() else {
            return self.renew().await;
        };
        let age = now.saturating_sub(cached.read_at);
        if age < T::FRESH || now < cached.wait_until {
            return Ok(cached.value);
        }
        if age < T::OLD {
            let secret = Arc::clone(self);
            // Lambda freezes the process after the response. If the renewal has not ended by then, it goes on later or fails.
            tokio::spawn(async move { drop(secret.renew().await) });
            return Ok(cached.value);
        }
        Ok(self.renew().await.unwrap_or(cached.value))
    }

    /// The value that is at hand, however old, for what a request can do without. If it is stale or missing it is renewed in
    /// parallel: nothing waits.
    #[must_use]
    pub fn at_hand(self: &Arc<Self>) -> Option<Arc<T>> {
        let (now, cached) = (self.clock.now(), self.cached());
        let is_fresh = |cached: &Cached<T>| now.saturating_sub(cached.read_at) < T::FRESH || now < cached.wait_until;
        if !cached.as_ref().is_some_and(is_fresh) {
            let secret = Arc::clone(self);
            tokio::spawn(async move { drop(secret.renew().await) });
        }
        cached.map(|cached| cached.value)
    }

    fn cached(&self) -> Option<Cached<T>> {
        self.cached.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn cache(&self, value: Cached<T>) {
        *self.cached.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(value);
    }

    /// Reads the secret, one caller at a time. A caller that had to wait takes what the other has read.
    async fn renew(&self) -> Result<Arc<T>, SecretError> {
        let before = self.cached().map(|cached| (cached.read_at, cached.wait_until));
        let _renewal = self.renewal.lock().await;
        if let Some(cached) = self.cached().filter(|cached| Some((cached.read_at, cached.wait_until)) != before) {
            return Ok(cached.value);
        }
        let now = self.clock.now();
        let read = self.read().await;
        match &read {
            Ok(value) => self.cache(Cached { value: Arc::clone(value), read_at: now, wait_until: now }),
            Err(_) => {
                if let Some(stale) = self.cached() {
                    self.cache(Cached { wait_until: now + PAUSE, ..stale });
                }
            }
        }
        read
    }

    async fn read(&self) -> Result<Arc<T>, SecretError> {
        let variable = self.variable;
        let text = match tokio::time::timeout(PATIENCE, self.source.read()).await {
            Ok(read) => read.map_err(|why| SecretError::Unreadable { variable, why })?,
            Err(_) => {
                return Err(SecretError::Unreadable { variable, why: "its source does not answer" });
            }
        };
        T::from_secret(&text).map(Arc::new).map_err(|defect| SecretError::Defect { variable, defect })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

    #[derive(Clone, Default)]
    struct ManualClock(Arc<AtomicU64>);

    impl Clock for ManualClock {
        fn now_ms(&self) -> crate::clock::Millis {
            self.0.load(SeqCst) * 1_000
        }
    }

    #[derive(Debug, PartialEq)]
    struct Word(String);

    impl FromSecret for Word {
        const EXPECTED_FORMAT: &'static str = "a word";

        fn from_secret(text: &str) -> Result<Self, SecretDefect> {
            match text {
                "" => Err(SecretDefect::NotRotatedYet),
                "MARKER" => Err(SecretDefect::Malformed),
                word => Ok(Self(word.to_owned())),
            }
        }
    }

    #[derive(Clone, Default)]
    struct Source {
        text: Arc<std::sync::Mutex<Option<&'static str>>>,
        reads: Arc<AtomicU64>,
    }

    impl Source {
        fn says(&self, text: Option<&'static str>) {
            *self.text.lock().unwrap() = text;
        }
    }

    #[async_trait]
    impl ReadSecret for Source {
        async fn read(&self) -> Result<String, &'static str> {
            self.reads.fetch_add(1, SeqCst);
            self.text.lock().unwrap().map(str::to_owned).ok_or("down")
        }
    }

    async fn open(source: &Source, clock: &ManualClock) -> Result<Arc<Secret<Word>>, ConfigError> {
        Secret::open("WXAUTH_WORD", Box::new(source.clone()), Arc::new(clock.clone())).await
    }

    async fn word(secret: &Arc<Secret<Word>>) -> String {
        secret.get().await.unwrap().0.clone()
    }

    #[tokio::test]
    async fn a_fresh_value_is_not_read_again() {
        let (source, clock) = (Source::default(), ManualClock::default());
        source.says(Some("one"));
        let secret = open(&source, &clock).await.unwrap();

        clock.0.store(Word::FRESH - 1, SeqCst);

        assert_eq!(word(&secret).await, "one");
        assert_eq!(source.reads.load(SeqCst), 1);
    }

    #[tokio::test]
    async fn a_stale_value_serves_while_the_new_one_is_read() {
        let (source, clock) = (Source::default(), ManualClock::default());
        source.says(Some("one"));
        let secret = open(&source, &clock).await.unwrap();
        source.says(Some("two"));

        clock.0.store(Word::FRESH, SeqCst);

        assert_eq!(word(&secret).await, "one");
        tokio::task::yield_now().await;
        assert_eq!(word(&secret).await, "two");
    }

    #[tokio::test]
    async fn an_old_value_is_renewed_first_and_serves_while_the_source_is_down() {
        let (source, clock) = (Source::default(), ManualClock::default());
        source.says(Some("one"));
        let secret = open(&source, &clock).await.unwrap();

        clock.0.store(Word::OLD, SeqCst);
        source.says(None);
        assert_eq!(word(&secret).await, "one");
        assert_eq!(word(&secret).await, "one");
        assert_eq!(source.reads.load(SeqCst), 2, "no second try within the pause");

        clock.0.store(Word::OLD + PAUSE, SeqCst);
        source.says(Some("two"));
        assert_eq!(word(&secret).await, "two");
    }

    #[tokio::test]
    async fn what_is_at_hand_is_given_at_once_and_renewed_in_parallel() {
        let (source, clock) = (Source::default(), ManualClock::default());
        let secret = open(&source, &clock).await.unwrap();
        let at_hand = || secret.at_hand().map(|word| word.0.clone());
        assert_eq!(at_hand(), None);
        source.says(Some("one"));
        tokio::task::yield_now().await;

        assert_eq!(at_hand().as_deref(), Some("one"));
        source.says(Some("two"));
        clock.0.store(Word::OLD, SeqCst);
        assert_eq!(at_hand().as_deref(), Some("one"));
        tokio::task::yield_now().await;
        assert_eq!(at_hand().as_deref(), Some("two"));
        assert_eq!(source.reads.load(SeqCst), 3, "a fresh one is not read again");
    }

    #[tokio::test]
    async fn a_secret_that_cannot_be_read_at_the_start_is_looked_for_again() {
        let (source, clock) = (Source::default(), ManualClock::default());
        let secret = open(&source, &clock).await.unwrap();
        let down = Problem::from(secret.get().await.unwrap_err());
        source.says(Some(""));
        let unfilled = Problem::from(secret.get().await.unwrap_err());
        source.says(Some("one"));

        assert_eq!((down.code(), unfilled.code()), (Code::Unavailable, Code::Unavailable));
        assert_eq!(word(&secret).await, "one");
    }

    #[tokio::test]
    async fn a_malformed_secret_ends_the_start_with_a_sentence_that_names_the_variable() {
        let source = Source::default();
        source.says(Some("MARKER"));

        let sentence = open(&source, &ManualClock::default()).await.unwrap_err().to_string();

        assert_eq!(sentence, "WXAUTH_WORD should be a secret that holds a word");
    }
}

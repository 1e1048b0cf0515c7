//! Time as an argument: whole Unix seconds for stored times, milliseconds for what must be put in order, a [`Deadline`] for
//! waiting.

use std::time::{Duration, UNIX_EPOCH};

use tokio::time::Instant;

/// Unix seconds, or a span of them: what the table's TTL and JWTs count in.
pub type Secs = u64;

/// Unix milliseconds. Logins and ends of one user may lie in the same second, and the later of two must win.
pub type Millis = u64;

/// Tells the time. Every time that is stored or compared comes from here.
pub trait Clock: Send + Sync {
    /// The present, in Unix milliseconds.
    fn now_ms(&self) -> Millis;

    /// The present, in Unix seconds.
    fn now(&self) -> Secs {
        self.now_ms() / 1_000
    }
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl SystemClock {
    /// The time since 1970; zero on a machine whose clock shows an earlier time.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the machine")]
    pub fn since_epoch() -> Duration {
        std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}

impl Clock for SystemClock {
    fn now_ms(&self) -> Millis {
        Self::since_epoch().as_millis().try_into().unwrap_or(Millis::MAX)
    }
}

/// The instant by which a request must be answered.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// The deadline that is `span` from now.
    #[must_use]
    pub fn after(span: Duration) -> Self {
        Self(Instant::now() + span)
    }

    /// The time that is left, never negative.
    #[must_use]
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// An earlier deadline, which leaves `span` until this one for what comes afterwards.
    #[must_use]
    pub fn before(self, span: Duration) -> Self {
        Self(self.0.checked_sub(span).unwrap_or_else(Instant::now))
    }

    /// The earlier of this deadline and the one that is `span` from now.
    #[must_use]
    pub fn within(self, span: Duration) -> Self {
        Self(self.0.min(Instant::now() + span))
    }

    /// The output of `work`, or nothing if the deadline comes first.
    pub async fn limit<T>(self, work: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout_at(self.0, work).await.ok()
    }

    /// The output of work that may be left out: it gets at most `longest`, and at most a third of the time that is left.
    pub async fn optional<T>(self, longest: Duration, work: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout(longest.min(self.left() / 3), work).await.ok()
    }
}

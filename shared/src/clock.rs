//! Time as an argument: whole Unix seconds for what is stored, a [`Deadline`] for what is waited for.

use std::time::{Duration, UNIX_EPOCH};

use tokio::time::Instant;

/// Unix seconds, or a span of them: what the table's TTL and JWTs count in.
pub type Secs = u64;

/// Tells the time. Everything that is stored or compared takes it from here.
pub trait Clock: Send + Sync {
    /// The present, in Unix seconds.
    fn now(&self) -> Secs;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl SystemClock {
    /// The time since 1970; zero on a machine whose clock stands before that.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the machine")]
    pub fn since_epoch() -> Duration {
        std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Secs {
        Self::since_epoch().as_secs()
    }
}

/// The instant by which a request must be answered: no attempt starts that cannot end before it.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// The deadline that lies `span` from now.
    #[must_use]
    pub fn after(span: Duration) -> Self {
        Self(Instant::now() + span)
    }

    /// What is left, never negative.
    #[must_use]
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// The deadline that leaves `span` until this one, for what comes after.
    #[must_use]
    pub fn before(self, span: Duration) -> Self {
        Self(self.0.checked_sub(span).unwrap_or_else(Instant::now))
    }

    /// The earlier of this deadline and the one that lies `span` from now.
    #[must_use]
    pub fn within(self, span: Duration) -> Self {
        Self(self.0.min(Instant::now() + span))
    }
}

//! When an instance dies: between two of its requests, wherever it is then.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use tokio::sync::Notify;

use crate::table::memory::{Fate, Wire};

/// The steps that are left to an instance. A request to the table or to the owner's function is two: it is about to be sent, and it
/// was done and its answer is about to come. The answer to WeChat is the last.
pub(super) struct Doom {
    step: u64,
    left: AtomicU64,
    done: AtomicU64,
    is_dead: AtomicBool,
    reached: Notify,
}

impl Doom {
    /// The instance dies instead of this step.
    pub(super) fn at(step: u64) -> Self {
        Self {
            step,
            left: AtomicU64::new(step),
            done: AtomicU64::new(0),
            is_dead: AtomicBool::new(false),
            reached: Notify::new(),
        }
    }

    /// The instance lives.
    pub(super) fn never() -> Self {
        Self::at(u64::MAX)
    }

    /// A step of the instance. The one that it dies at has no end.
    pub(super) async fn step(&self) {
        if self.left.fetch_sub(1, Ordering::SeqCst) == 0 {
            self.is_dead.store(true, Ordering::SeqCst);
            self.reached.notify_one();
            std::future::pending::<()>().await;
        }
        self.done.fetch_add(1, Ordering::SeqCst);
        // Others come in between.
        tokio::task::yield_now().await;
    }

    /// Ends when the instance is to die.
    pub(super) async fn reached(&self) {
        self.reached.notified().await;
    }

    /// The step at which the instance died, if it did.
    pub(super) fn died_at(&self) -> Option<u64> {
        self.is_dead.load(Ordering::SeqCst).then_some(self.step)
    }

    /// How many steps there were.
    pub(super) fn steps(&self) -> u64 {
        self.done.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Wire for Doom {
    async fn request(&self) -> Fate {
        self.step().await;
        Fate::Arrives
    }

    async fn answer(&self) -> Fate {
        self.step().await;
        Fate::Arrives
    }
}

//! The owner's function: it runs on when who asked it is gone.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use shared::owner_function::{AskOwner, OwnerError};

use super::{Flaw, doom::Doom};
use crate::seeded::Seeded;

/// What the function does with an event.
#[derive(Clone, Copy, Debug)]
pub(super) enum Run {
    /// Takes the message after so many milliseconds.
    Takes(u64),
    /// The same, but nobody gets its answer.
    TakesUnheard,
    /// Ends with an error.
    Fails,
    /// Answers what WeChat does not understand.
    Babbles,
    /// Says that it failed.
    Refuses,
    /// Is not run at all.
    IsThrottled,
}

impl Run {
    pub(super) fn random(random: &mut Seeded) -> Self {
        // A cold start takes longer than WeChat waits; a minute longer than anybody does.
        let all = [
            Self::Takes(0),
            Self::Takes(900),
            Self::Takes(6_500),
            Self::Takes(60_000),
            Self::TakesUnheard,
            Self::Fails,
            Self::Babbles,
            Self::Refuses,
            Self::IsThrottled,
        ];
        all[random.index(all.len())]
    }
}

/// The function of one message's owner.
pub(super) struct Function {
    /// What means that a message of this kind is taken.
    consent: &'static str,
    /// What it does with the first events; it takes all others.
    runs: Mutex<VecDeque<Run>>,
    asked: AtomicU64,
    taken: AtomicBool,
}

impl Function {
    pub(super) fn new(consent: &'static str, runs: impl IntoIterator<Item = Run>) -> Arc<Self> {
        Arc::new(Self {
            consent,
            runs: Mutex::new(runs.into_iter().collect()),
            asked: AtomicU64::default(),
            taken: AtomicBool::default(),
        })
    }

    /// Whether it has taken the message.
    pub(super) fn has_taken(&self) -> bool {
        self.taken.load(Ordering::SeqCst)
    }

    /// How often it ran.
    pub(super) fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }

    async fn run(&self) -> Result<Vec<u8>, OwnerError> {
        let run = self.runs.lock().unwrap_or_else(PoisonError::into_inner).pop_front().unwrap_or(Run::Takes(0));
        if !matches!(run, Run::IsThrottled) {
            self.asked.fetch_add(1, Ordering::SeqCst);
        }
        let take = || self.taken.store(true, Ordering::SeqCst);
        match run {
            Run::Takes(after) => {
                tokio::time::sleep(Duration::from_millis(after)).await;
                take();
                Ok(self.consent.into())
            }
            Run::TakesUnheard => {
                take();
                Err(OwnerError::Unknown("the connection was lost".to_owned()))
            }
            Run::Fails => Err(OwnerError::Failed),
            Run::Babbles => Ok(b"{".to_vec()),
            Run::Refuses => Ok(br#"{"ErrCode":7}"#.to_vec()),
            Run::IsThrottled => Err(OwnerError::NotRun("TooManyRequestsException".to_owned())),
        }
    }
}

/// An instance's way to the function.
pub(super) struct Way {
    pub(super) function: Arc<Function>,
    pub(super) doom: Arc<Doom>,
    pub(super) flaw: Option<Flaw>,
}

#[async_trait]
impl AskOwner for Way {
    async fn ask(&self, _: Vec<u8>) -> Result<Vec<u8>, OwnerError> {
        self.doom.step().await;
        let function = self.function.clone();
        let run = tokio::spawn(async move { function.run().await });
        let answer = match self.flaw {
            Some(Flaw::AnswersForTheOwner) => Ok(self.function.consent.into()),
            _ => run.await.expect("it does not panic"),
        };
        self.doom.step().await;
        answer
    }
}

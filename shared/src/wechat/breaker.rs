//! A circuit breaker in front of WeChat: while WeChat is down, users get a response at once and WeChat can recover.
//!
//! Only failures of WeChat itself count: no connection, no answer, HTTP 5xx, errcode -1. An errcode that a user can
//! provoke, such as 45011, never counts. What else the text of a request may bring about is its sender's own: of each network
//! only the last two calls have a vote, so that it takes three networks to open the breaker, and nobody can keep everybody
//! else out. Behind one address it therefore stays shut, unless WeChat cannot be connected to, which no text brings about.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::error::BREAKER_OPEN;
use crate::ids::Network;

/// It opens after this many failures in a row,
const IN_A_ROW: usize = 5;
/// or when half of this many calls have failed.
const WINDOW: usize = 20;
/// So many calls of one network have a vote, the last ones,
const OF_A_NETWORK: usize = 2;
/// for so long.
const LATELY: Duration = Duration::from_mins(1);
/// So many failures are left when it opens: others must fail too, afterwards, to open it again.
const LEFT: usize = 2;

/// The breaker of one process.
#[derive(Debug, Default)]
pub struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The last first.
    calls: VecDeque<Call>,
    open_until: Option<Instant>,
}

#[derive(Debug)]
struct Call {
    /// Whose text it carried, if anybody's.
    sender: Option<Network>,
    failed: bool,
    at: Instant,
}

impl Breaker {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether WeChat is not to be asked now.
    pub fn is_open(&self, now: Instant) -> bool {
        self.state().open_until.is_some_and(|until| now < until)
    }

    /// Takes the outcome of a call. `sender` is whose text may have brought it about, if anybody's.
    pub fn report(&self, sender: Option<&Network>, failed: bool, now: Instant) {
        let mut state = self.state();
        let mut of_the_sender = 1;
        state.calls.retain(|call| {
            of_the_sender += usize::from(sender.is_some() && call.sender.as_ref() == sender);
            let is_surplus = sender.is_some() && call.sender.as_ref() == sender && of_the_sender > OF_A_NETWORK;
            !is_surplus && now.saturating_duration_since(call.at) < LATELY
        });
        state.calls.push_front(Call { sender: sender.cloned(), failed, at: now });
        state.calls.truncate(WINDOW);
        let in_a_row = state.calls.iter().take_while(|call| call.failed).count();
        let of_all = state.calls.iter().filter(|call| call.failed).count();
        if failed && (in_a_row >= IN_A_ROW || (state.calls.len() == WINDOW && 2 * of_all >= WINDOW)) {
            state.open_until = Some(now + BREAKER_OPEN);
            state.calls.retain(|call| call.failed);
            state.calls.truncate(LEFT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(breaker: &Breaker, sender: &str, failed: bool, now: Instant) {
        breaker.report(Some(&Network::of(sender)), failed, now);
    }

    #[test]
    fn five_failures_in_a_row_of_three_networks_open_it() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        for sender in ["a", "a", "b", "b"] {
            call(&breaker, sender, true, now);
        }
        assert!(!breaker.is_open(now));

        call(&breaker, "c", true, now);

        assert!(breaker.is_open(now));
    }

    #[test]
    fn a_success_in_between_keeps_it_shut() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        for (sender, failed) in [("a", true), ("a", true), ("b", true), ("b", false), ("c", true), ("d", true)] {
            call(&breaker, sender, failed, now);
        }
        assert!(!breaker.is_open(now));
    }

    #[test]
    fn one_network_or_two_open_it_never() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        for number in 0..1_000 {
            call(&breaker, ["a", "b"][number % 2], true, now);
            assert!(!breaker.is_open(now));
        }
    }

    #[test]
    fn one_network_beside_others_whose_calls_succeed_opens_it_never() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        for number in 0..1_000 {
            call(&breaker, "a", true, now);
            // One honest call in four fails, which is more than there ever is.
            call(&breaker, &format!("{number}"), number % 4 == 0, now);
            assert!(!breaker.is_open(now), "{number}");
        }
    }

    #[test]
    fn half_of_twenty_failures_open_it() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        for number in 0..19 {
            call(&breaker, &format!("{number}"), number % 2 == 0, now);
            assert!(!breaker.is_open(now));
        }
        call(&breaker, "19", true, now);
        assert!(breaker.is_open(now));
    }

    #[test]
    fn what_nobody_brought_about_counts_each_time() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..IN_A_ROW {
            assert!(!breaker.is_open(now));
            breaker.report(None, true, now);
        }
        assert!(breaker.is_open(now));
    }

    #[test]
    fn failures_of_long_ago_do_not_count() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        for sender in ["a", "b", "c", "d"] {
            call(&breaker, sender, true, now);
        }
        call(&breaker, "e", true, now + LATELY);
        assert!(!breaker.is_open(now + LATELY));
    }

    #[test]
    fn after_five_seconds_it_is_shut_and_opens_again_when_others_fail_too() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        for sender in ["a", "b", "c", "d", "e"] {
            call(&breaker, sender, true, now);
        }
        let later = now + BREAKER_OPEN;
        assert!(breaker.is_open(later - Duration::from_millis(1)));
        assert!(!breaker.is_open(later));

        for _ in 0..9 {
            call(&breaker, "mallory", true, later);
        }
        assert!(!breaker.is_open(later), "one sender's failures are their own");
        call(&breaker, "f", true, later);
        assert!(breaker.is_open(later));

        let again = later + BREAKER_OPEN;
        call(&breaker, "g", false, again);
        for sender in ["a", "a", "b", "b"] {
            call(&breaker, sender, true, again);
        }
        assert!(!breaker.is_open(again), "counted from the start");
    }
}

//! A circuit breaker in front of WeChat: while WeChat is down, users get a response at once and WeChat can recover.
//!
//! Only failures of WeChat itself count: no connection, no answer, HTTP 5xx, errcode -1. An errcode that a user can
//! provoke, such as 45011, never counts, so that nobody can keep everybody else out.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;

use super::error::BREAKER_OPEN;

/// It opens after this many failures in a row,
const IN_A_ROW: u32 = 5;
/// or when half of this many calls have failed.
const WINDOW: usize = 20;
/// The breaker of one process.
#[derive(Debug, Default)]
pub struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    in_a_row: u32,
    failed: VecDeque<bool>,
    open_until: Option<Instant>,
    probing: bool,
}

/// The right to make one call. If it is dropped without a report, the call does not count.
#[derive(Debug)]
pub struct Permit<'a> {
    breaker: &'a Breaker,
    is_probe: bool,
}

impl Breaker {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a call through, unless the breaker is open.
    pub fn admit(&self, now: Instant) -> Option<Permit<'_>> {
        let mut state = self.state();
        match state.open_until {
            None => Some(Permit { breaker: self, is_probe: false }),
            Some(until) if now < until || state.probing => None,
            Some(_) => {
                state.probing = true;
                Some(Permit { breaker: self, is_probe: true })
            }
        }
    }
}

impl Permit<'_> {
    /// Reports whether the call failed.
    pub fn report(self, failed: bool, now: Instant) {
        let mut state = self.breaker.state();
        if !failed && self.is_probe {
            *state = State::default();
            return;
        }
        state.in_a_row = if failed { state.in_a_row + 1 } else { 0 };
        state.failed.push_back(failed);
        if state.failed.len() > WINDOW {
            state.failed.pop_front();
        }
        let half_failed =
            state.failed.len() == WINDOW && state.failed.iter().filter(|failed| **failed).count() * 2 >= WINDOW;
        if failed && (self.is_probe || state.in_a_row >= IN_A_ROW || half_failed) {
            state.open_until = Some(now + BREAKER_OPEN);
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.is_probe {
            self.breaker.state().probing = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn call(breaker: &Breaker, failed: bool, now: Instant) -> bool {
        breaker.admit(now).map(|permit| permit.report(failed, now)).is_some()
    }

    #[test]
    fn five_failures_in_a_row_open_it_and_four_do_not() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..4 {
            assert!(call(&breaker, true, now));
        }
        assert!(call(&breaker, false, now));
        for _ in 0..5 {
            assert!(call(&breaker, true, now));
        }
        assert!(!call(&breaker, false, now));
    }

    #[test]
    fn half_of_twenty_failures_open_it() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        for at in 0..19 {
            assert!(call(&breaker, at % 2 == 0, now));
        }
        assert!(call(&breaker, true, now));
        assert!(!call(&breaker, false, now));
    }

    #[test]
    fn after_five_seconds_one_call_tries_and_decides() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..5 {
            call(&breaker, true, now);
        }
        let later = now + BREAKER_OPEN;
        assert!(breaker.admit(later - Duration::from_millis(1)).is_none());

        let probe = breaker.admit(later).unwrap();
        assert!(breaker.admit(later).is_none(), "one at a time");
        probe.report(true, later);
        assert!(breaker.admit(later).is_none(), "the probe failed");

        let again = later + BREAKER_OPEN;
        drop(breaker.admit(again).unwrap());
        assert!(call(&breaker, false, again), "a probe that was given up does not block the next");
        for _ in 0..4 {
            assert!(call(&breaker, true, again), "counted from the start");
        }
    }
}

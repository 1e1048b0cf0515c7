//! The search for an order: Wing and Gong's, in which nothing is tried twice (G. Lowe, Testing for linearizability, 2017).

use std::collections::HashSet;

use shared::session::refresh::RefreshPolicy;

use super::register::{Operation, Register, Told};

/// Something that was done once, at a moment between two events of a history.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) operation: Operation,
    pub(super) told: Told,
    /// The event after which it was done.
    pub(super) call: usize,
    /// The event before which it was done. If there is none, it may also not have been done.
    pub(super) returned: Option<usize>,
}

/// Whether one session that does one thing at a time could have said this.
///
/// # Panics
///
/// With more than 128 steps.
pub(super) fn explains(steps: &[Step], policy: RefreshPolicy) -> bool {
    assert!(steps.len() <= 128, "{} steps", steps.len());
    // Which steps were done, and what came of it.
    let begin = (0_u128, Register::default());
    let mut known = HashSet::from([begin.clone()]);
    let mut open = vec![begin];
    while let Some((done, register)) = open.pop() {
        let left = || steps.iter().enumerate().filter(|(at, _)| done >> at & 1 == 0);
        let Some(first) = left().filter_map(|(_, step)| step.returned).min() else { return true };
        // Whatever was called later came later.
        for (at, step) in left().filter(|(_, step)| step.call < first) {
            let mut register = register.clone();
            if register.takes(step.operation, step.told, policy) {
                let next = (done | 1 << at, register);
                if known.insert(next.clone()) {
                    open.push(next);
                }
            }
        }
    }
    false
}

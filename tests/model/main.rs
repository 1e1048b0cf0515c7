//! The table and what is built on it, as models: one suite for both tables, and both tables step by step.

#![expect(clippy::unwrap_used, reason = "a test ends where its expectation does")]

mod conformance;
mod differential;
mod emulated;
mod operation;

#[path = "../suites/exhaustive/tests.rs"]
mod exhaustive;
#[path = "../suites/flaws/tests.rs"]
mod flaws;
#[path = "../suites/interleavings/tests.rs"]
mod interleavings;

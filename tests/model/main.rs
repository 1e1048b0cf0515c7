//! The table and what is built on it, as models: one suite for both tables, and both tables step by step.

#![expect(clippy::unwrap_used, reason = "a test ends where its expectation does")]

mod conformance;
mod differential;
mod emulated;
mod exhaustive;
mod flaws;
mod interleavings;
mod operation;

//! The whole application for tests: helpers at the root, and the suites.
//!
//! `cargo test` runs a small size of each suite, `cargo figures` one that is large enough to claim something.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "a test ends where its expectation does"
)]
#![expect(missing_docs, reason = "only tests use it: names say what there is, comments say why")]
#![expect(clippy::print_stderr, reason = "`cargo figures` prints why a figure is short")]

pub mod suites;
mod support;

pub use support::*;

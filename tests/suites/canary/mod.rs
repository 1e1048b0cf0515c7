//! Secrets where nobody may see them: what the binaries write at the highest log level, and the types that hold a secret.
//!
//! The helper that searches is [`canary`](crate::canary); it runs in every test.

pub mod figures;
pub mod trace;
pub mod types;

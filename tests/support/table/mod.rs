//! A second table, in memory, and the suite that every table must pass.

pub mod conformance;
pub mod memory;

//! The suites. Each is a folder: how it tests, `tests.rs`, which `cargo test` runs (a test binary includes that file), and `figures.rs`, the
//! lines of the table in the README that `cargo figures` measures.

pub mod attackers;
pub mod canary;
pub mod exhaustive;
pub mod faults;
pub mod flaws;
pub mod forms;
pub mod fuzz;
pub mod histories;
pub mod interleavings;
pub mod kill;
pub mod mutants;
pub mod rotation;
pub mod row;
pub mod signatures;
pub mod strangers;

//! The suite on both tables, and on tables that lack a condition.

use tests::table::{
    conformance::broken,
    memory::{Clause, MemoryTable},
};
use tests::{Laptop, suites::flaws::unnoticed};

use crate::emulated;

#[tokio::test]
async fn the_table_in_memory_does_what_a_table_must() {
    assert_eq!(broken(&MemoryTable::default().into()).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_in_dynamodb_does_what_a_table_must() {
    let laptop = Laptop::start().await;
    assert_eq!(broken(&emulated::backend(&laptop).0).await, [""; 0]);
}

#[tokio::test]
async fn the_suite_notices_each_condition_that_is_missing() {
    assert_eq!(unnoticed(Clause::ALL).await, []);
}

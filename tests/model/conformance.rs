//! The suite on both tables, and on tables that lack a condition.

use shared::session::{
    conformance::{Backend, broken},
    memory::{Clause, MemoryTable},
};
use tests::Laptop;

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
    let mut unnoticed = Vec::new();
    for clause in Clause::ALL {
        let found = broken(&Backend::from(MemoryTable::without(*clause))).await;
        unnoticed.extend(found.is_empty().then_some(*clause));
    }
    assert_eq!(unnoticed, []);
}

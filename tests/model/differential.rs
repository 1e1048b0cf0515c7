//! The same operations on both tables: equal outcomes and equal items after each step, one at a time and at once.
//!
//! This is what makes the table in memory trustworthy. A failure names its seed and the shortest list that still fails.

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
};

use futures_util::future::join_all;
use tests::Laptop;
use tests::table::{
    conformance::Backend,
    memory::{Clause, MemoryTable, Snapshot},
};

use crate::{
    emulated::{self, Scan},
    operation::{Maker, Operation, Outcome},
};

/// So many lists of so many operations in each run of the tests; the long ones are for when they are asked for.
const LISTS: u64 = 25;
const LONG: u64 = 2_000;
const STEPS: usize = 60;

/// So many times some operations at once, after some others.
const MEETINGS: u64 = 60;
const LONG_MEETINGS: u64 = 10_000;
const BEFORE: usize = 12;
const AT_ONCE: usize = 3;

fn operations(seed: u64, count: usize) -> Vec<Operation> {
    let mut maker = Maker::new(seed);
    (0..count).map(|_| maker.next()).collect()
}

/// Runs the list on both, from empty, and tells the first difference.
async fn difference(memory: &MemoryTable, other: &Backend, list: &[Operation]) -> Option<String> {
    for (step, operation) in list.iter().enumerate() {
        let (one, two) = (operation.on(memory).await, operation.on(&*other.table).await);
        if one != two {
            return Some(format!("step {step}: {one:?} in memory, {two:?}"));
        }
        let (one, two) = (memory.snapshot(), other.items.show().await);
        if one != two {
            return Some(format!("after step {step}: {one:?} in memory, {two:?}"));
        }
    }
    None
}

/// The embedded DynamoDB, emptied.
async fn empty(laptop: &Laptop) -> Backend {
    let (backend, scan) = emulated::backend(laptop);
    Scan::clear(&scan).await;
    backend
}

/// The shortest list that still fails: whatever can be left out is left out.
async fn shortest(laptop: &Laptop, mut list: Vec<Operation>) -> Vec<Operation> {
    let mut at = 0;
    while at < list.len() {
        let mut without = list.clone();
        without.remove(at);
        if difference(&MemoryTable::default(), &empty(laptop).await, &without).await.is_some() {
            list = without;
        } else {
            at += 1;
        }
    }
    list
}

async fn compare(lists: u64) {
    let laptop = Laptop::start().await;
    for seed in 0..lists {
        let list = operations(seed, STEPS);
        let found = difference(&MemoryTable::default(), &empty(&laptop).await, &list).await;
        if let Some(found) = found {
            panic!("seed {seed}: {found}\n{:#?}", shortest(&laptop, list).await);
        }
    }
}

#[tokio::test]
async fn both_tables_do_the_same_step_by_step() {
    compare(LISTS).await;
}

#[tokio::test]
#[ignore = "minutes"]
async fn both_tables_do_the_same_for_long() {
    compare(LONG).await;
}

#[tokio::test]
async fn the_comparison_notices_conditions_that_are_missing() {
    let mut unnoticed = Vec::new();
    for clause in Clause::ALL {
        let mut noticed = false;
        for seed in 0..600 {
            let list = operations(seed, STEPS);
            let whole = Backend::from(MemoryTable::default());
            noticed = noticed || difference(&MemoryTable::without(*clause), &whole, &list).await.is_some();
        }
        unnoticed.extend((!noticed).then_some(*clause));
    }
    // These matter to operations that meet, and to who tries thirty times: the suite does both.
    let of_races = [Clause::SameKeyNotBlocked, Clause::SameKeyNotErased, Clause::SameKeyNotRefused, Clause::CountMost];
    assert_eq!(unnoticed, of_races);
}

type Running<'a> = Pin<Box<dyn Future<Output = Outcome> + 'a>>;

/// Who went at a turn, and who might have gone instead.
type Turn = (usize, Vec<usize>);

/// What operations gave that took turns, a request each time: in this order, and then the first that still runs.
fn in_turns(table: &MemoryTable, operations: &[Operation], order: &[usize]) -> (Vec<Outcome>, Vec<Turn>) {
    let mut running: Vec<Running<'_>> = Vec::new();
    let mut outcomes = vec![None; operations.len()];
    let mut poll = |running: &mut Vec<Running<'_>>, at: usize| {
        if let Poll::Ready(outcome) = running[at].as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            outcomes[at] = Some(outcome);
        }
        (0..outcomes.len()).filter(|at| outcomes[*at].is_none()).collect::<Vec<_>>()
    };
    let mut left = Vec::new();
    for (at, operation) in operations.iter().enumerate() {
        running.push(Box::pin(operation.on(table)));
        // Up to its first request nothing of an operation can be seen.
        left = poll(&mut running, at);
    }
    let mut turns: Vec<Turn> = Vec::new();
    while let Some(first) = left.first() {
        let turn = order.get(turns.len()).unwrap_or(first);
        turns.push((*turn, left.iter().copied().filter(|at| at != turn).collect()));
        left = poll(&mut running, turns[turns.len() - 1].0);
    }
    drop(running);
    (outcomes.into_iter().map(Option::unwrap).collect(), turns)
}

/// All that operations at once may give and leave: every order of their requests.
fn every_order(table: &MemoryTable, operations: &[Operation]) -> Vec<(Vec<Outcome>, Snapshot)> {
    let (mut orders, mut all) = (vec![Vec::new()], Vec::new());
    while let Some(order) = orders.pop() {
        let table = table.copied();
        let (outcomes, turns) = in_turns(&table, operations, &order);
        let taken: Vec<_> = turns.iter().map(|(turn, _)| *turn).collect();
        for (depth, (_, others)) in turns.iter().enumerate().skip(order.len()) {
            orders.extend(others.iter().map(|other| [&taken[..depth], &[*other]].concat()));
        }
        all.push((outcomes, table.snapshot()));
    }
    all
}

async fn meet(meetings: u64) {
    let laptop = Laptop::start().await;
    for seed in 0..meetings {
        let list = operations(seed, BEFORE + AT_ONCE);
        let (before, at_once) = list.split_at(BEFORE);
        let (memory, other) = (MemoryTable::default(), empty(&laptop).await);
        assert_eq!(difference(&memory, &other, before).await, None, "seed {seed}");

        let running = at_once.iter().cloned().map(|operation| {
            let table = other.table.clone();
            tokio::spawn(async move { operation.on(&*table).await })
        });
        let outcomes: Vec<_> = join_all(running).await.into_iter().map(Result::unwrap).collect();

        let found = (outcomes, other.items.show().await);
        let may_be = every_order(&memory, at_once);
        assert!(may_be.contains(&found), "seed {seed}: {at_once:#?}\ngave {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_at_once_do_what_some_order_of_them_does() {
    meet(MEETINGS).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes"]
async fn operations_at_once_do_what_some_order_of_them_does_for_long() {
    meet(LONG_MEETINGS).await;
}

#[tokio::test]
async fn every_order_of_requests_is_tried() {
    let mut seen = std::collections::BTreeMap::new();
    for seed in 0..300 {
        let list = operations(seed, BEFORE + AT_ONCE);
        let table = MemoryTable::default();
        for operation in &list[..BEFORE] {
            operation.on(&table).await;
        }
        *seen.entry(every_order(&table, &list[BEFORE..]).len()).or_insert(0) += 1;
    }
    // Three operations of one request each have six orders; those of more requests have more.
    assert!(seen.keys().all(|orders| *orders >= 6) && seen.keys().any(|orders| *orders > 20), "{seen:?}");
}

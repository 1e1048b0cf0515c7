//! Every state of a small machine that rotates by the real rules.

use tests::suites::exhaustive::{Habit, Setup, ends, explore};
use tests::table::memory::{Clause, MemoryTable};

#[test]
fn no_state_breaks_a_rule_and_every_verdict_is_seen() {
    for setup in Setup::all() {
        let explored = explore(&setup);

        assert!(explored.broken.is_empty() && explored.unseen.is_empty(), "{explored}");
    }
}

/// The rule that is broken first without a clause.
fn broken_without(clause: Clause, setup: &Setup) -> Vec<&'static str> {
    explore(&Setup { table: MemoryTable::without(clause), ..setup.clone() }).broken.into_keys().collect()
}

#[test]
fn a_refresh_that_does_not_look_at_the_generation_gives_a_second_successor() {
    let alone = Setup::new(Habit::Insists, false);
    assert_eq!(broken_without(Clause::RefreshGeneration, &alone), ["a token has one successor"]);
}

#[test]
fn a_refresh_that_does_not_look_at_the_family_outlives_its_session() {
    let with_a_thief = Setup { logins: 2, ..Setup::new(Habit::IsKilled, true) };
    assert_eq!(broken_without(Clause::RefreshFamily, &with_a_thief), ["nothing succeeds after the end"]);
}

#[test]
fn a_refresh_that_does_not_look_at_the_age_refuses_an_honest_device() {
    let hasty = Setup::new(Habit::IsHasty, false);
    assert_eq!(broken_without(Clause::RefreshAge, &hasty), ["an honest device is not refused"]);
}

/// The figures explore them with requests that arrive at the same time, too.
#[test]
fn no_order_of_logins_and_ends_breaks_a_rule() {
    for setup in ends::Setup::all() {
        let explored = ends::explore(&ends::Setup { ties: false, ..setup });

        assert!(explored.broken.is_empty() && explored.unseen.is_empty(), "{explored}");
    }
}

#[test]
fn an_end_that_leaves_no_mark_is_undone_by_a_late_put() {
    let alone = Setup { logins: 2, ..Setup::new(Habit::Insists, false) };
    assert_eq!(broken_without(Clause::EndMarks, &alone), ["nothing succeeds after the end"]);
    assert!(!broken_without(Clause::PutOverOlder, &alone).is_empty());
}

//! Changes of the rules for the worse, by name: a suite that does not notice one is no suite.

pub mod figures;

use crate::table::{
    conformance::{Backend, broken},
    memory::{Clause, MemoryTable},
};
use shared::session::refresh::RefreshPolicy;

use crate::{
    suites::exhaustive::{self, explore},
    suites::interleavings::{self, Habit, Network, run_all},
    suites::kill::instances,
};

/// A change for the worse.
pub struct Flaw {
    pub what: &'static str,
    is_noticed: fn() -> bool,
}

impl Flaw {
    #[must_use]
    pub fn is_noticed(&self) -> bool {
        (self.is_noticed)()
    }
}

/// All but the clauses, which have a list of their own.
pub const FLAWS: &[Flaw] = &[
    Flaw { what: "a refresh that reads and then writes", is_noticed: || torn_in_the_machine() && torn_in_a_schedule() },
    Flaw { what: "no minimum age", is_noticed: || timed(|policy| policy.min_age = 0) },
    Flaw { what: "a parent that is good for ever", is_noticed: || timed(|policy| policy.grace = 1_000_000) },
    Flaw { what: "no thought of late duplicates", is_noticed: || timed(|policy| policy.in_flight = 0) },
    Flaw { what: "a login that is replayed without a look at its session", is_noticed: blind },
    Flaw {
        what: "a pushed message that is acknowledged before the owner's function has answered",
        is_noticed: || !pushed(instances::Flaw::AnswersForTheOwner).lost.is_empty(),
    },
    Flaw {
        what: "one that is noted as done when it begins",
        is_noticed: || !pushed(instances::Flaw::NotesFirst).lost.is_empty(),
    },
    Flaw {
        what: "one that is obeyed again when it is repeated",
        is_noticed: || !pushed(instances::Flaw::ForgetsArrivals).ended.is_empty(),
    },
];

/// Whether the small machine breaks a rule after this change.
fn breaks(change: impl Fn(&mut exhaustive::Setup)) -> bool {
    exhaustive::Setup::all().into_iter().any(|mut setup| {
        change(&mut setup);
        !explore(&setup).broken.is_empty()
    })
}

fn timed(change: fn(&mut RefreshPolicy)) -> bool {
    breaks(|setup| change(&mut setup.policy))
}

fn torn_in_the_machine() -> bool {
    breaks(|setup| setup.torn = true)
}

fn torn_in_a_schedule() -> bool {
    let flaw = Some(interleavings::Flaw::TornRefresh);
    let setup = interleavings::Setup { flaw, ..interleavings::Setup::new(Network::HEAVY, Habit::Careless) };
    run_all(0..8, &setup).double_issues > 0
}

/// Whether tokens are dead on arrival, and so gone at their first refresh, where one write of a login often fails.
fn blind() -> bool {
    let network = Network { table_fails: 2_000, ..Network::HEAVY };
    // Without an owner: where the table fails so often, ends that are not acknowledged have ended half of what they should.
    let setup = interleavings::Setup { owner: false, ..interleavings::Setup::new(network, Habit::ComesAndGoes) };
    let gone = |flaw| run_all(0..24, &interleavings::Setup { flaw, ..setup.clone() }).honest.gone;
    gone(Some(interleavings::Flaw::BlindReplay)) > 0 && gone(None) == 0
}

/// What comes of pushes whose instances die, after this change.
fn pushed(flaw: instances::Flaw) -> instances::Tally {
    instances::run(60, 1, Some(flaw))
}

/// The clauses of the table without which the conformance suite still holds.
pub async fn unnoticed(clauses: &[Clause]) -> Vec<Clause> {
    let mut unnoticed = Vec::new();
    for clause in clauses {
        let found = broken(&Backend::from(MemoryTable::without(*clause))).await;
        unnoticed.extend(found.is_empty().then_some(*clause));
    }
    unnoticed
}

//! The real refresh and login under random schedules, and the rules that nothing may break.

use shared::session::refresh::RefreshPolicy;
use tests::suites::interleavings::{
    Figures, Flaw, Habit, Network, Setup, Thief, history, run_all, settings::accepted_policies, shortest,
};
use tests::table::memory::{Clause, MemoryTable};

/// So many worlds of each kind in each run of the tests; the long ones are for when they are asked for.
const WORLDS: u64 = 12;
const LONG: u64 = 2_000;
const THEFTS: u64 = 100;
/// One in so many settings.
const SETTINGS: usize = 9;

const KINDS: [(Network, Habit); 9] = [
    (Network::LIGHT, Habit::KeptOpen),
    (Network::HEAVY, Habit::KeptOpen),
    (Network::LIGHT, Habit::ComesAndGoes),
    (Network::HEAVY, Habit::ComesAndGoes),
    (Network::ALIVE, Habit::ComesAndGoes),
    (Network::LIGHT, Habit::Careless),
    (Network::HEAVY, Habit::Careless),
    (Network::LIGHT, Habit::Patient),
    (Network::HEAVY, Habit::Patient),
];

/// Runs worlds in which no rule may be broken.
fn hold(worlds: u64, setup: &Setup) -> Figures {
    let figures = run_all(0..worlds, setup);
    let broken = figures.broken_at().and_then(|_| shortest(0..worlds, setup));
    assert!(broken.is_none(), "{figures:?}\n{}", broken.unwrap());
    assert_eq!((figures.double_issues, figures.after_the_end, figures.alive_after_the_end), (0, 0, 0));
    assert_eq!((figures.without_a_user, figures.left_of_a_user, figures.gates_undone), (0, 0, 0));
    figures
}

/// Refusals in a hundred thousand refreshes.
fn rate(refusals: u64, figures: &Figures) -> u64 {
    refusals * 100_000 / figures.refreshes
}

fn every_kind(worlds: u64) {
    std::thread::scope(|threads| {
        for kind in KINDS {
            threads.spawn(move || one_kind(worlds, kind));
        }
    });
}

fn one_kind(worlds: u64, (network, habit): (Network, Habit)) {
    let figures = hold(worlds, &Setup::new(network, habit));
    let (honest, refused) = (figures.honest, figures.honest.all());

    // One more than the rate: worlds are few.
    match habit {
        Habit::KeptOpen if network == Network::LIGHT => {
            assert!(refused <= 1 + figures.refreshes / 100_000, "{figures:?}");
            assert_eq!(honest.reuse + honest.reuse_further, 0, "{figures:?}");
        }
        Habit::KeptOpen => assert!(refused <= 1 + figures.refreshes / 10_000, "{figures:?}"),
        Habit::Careless => assert!(refused <= 1 + figures.refreshes / 20_000, "{figures:?}"),
        Habit::ComesAndGoes => assert!(rate(refused, &figures) < 2_000, "{figures:?}"),
        Habit::Patient => assert!(rate(refused, &figures) < 10_000, "{figures:?}"),
    }
    assert_eq!((honest.alarm, honest.reuse_further, figures.reuse_within_grace), (0, 0, 0), "{figures:?}");
    assert_eq!(figures.logouts > 0, habit == Habit::ComesAndGoes);
    assert!(figures.deletions > 0 && figures.blocks > 0 && figures.beside_a_login > 0, "{figures:?}");
    assert!(figures.written_again > 0, "{figures:?}");
}

#[test]
fn no_token_has_two_successors_and_none_outlives_its_session() {
    every_kind(WORLDS);
}

#[test]
#[ignore = "half an hour"]
fn no_token_has_two_successors_and_none_outlives_its_session_in_many_worlds() {
    every_kind(LONG);
}

/// How many of a hundred thefts are noticed within a day, and the median of the time that it takes, in minutes.
fn noticed(thefts: u64, thief: Thief) -> (u64, u64) {
    let figures = hold(thefts, &Setup::theft(Network::LIGHTER, thief));
    assert!(figures.thefts >= thefts * 9 / 10, "{figures:?}");
    (figures.noticed_within(86_400) * 100 / figures.thefts, figures.median().unwrap() / 60)
}

fn notice(thefts: u64) {
    let (share, median) = noticed(thefts, Thief::AtAnyTime);
    assert!(share >= 97 && median <= 70, "{share} %, {median} min");
    for thief in [Thief::InStep, Thief::AtWill, Thief::Watching] {
        let (share, _) = noticed(thefts, thief);
        assert!(share >= 97, "{thief:?}: {share} %");
    }
}

#[test]
fn a_theft_is_noticed_within_a_day() {
    notice(THEFTS);
}

#[test]
#[ignore = "minutes"]
fn thousands_of_thefts_are_noticed_within_a_day() {
    notice(5_000);
}

#[test]
fn a_theft_is_noticed_with_times_at_the_bounds_of_what_the_configuration_accepts() {
    for policy in accepted_policies().into_iter().step_by(SETTINGS) {
        let figures = hold(20, &Setup::theft_with(Network::LIGHTER, Thief::AtWill, policy));
        let noticed = figures.noticed_within(86_400);
        // Two of twenty may be chance: the figures count in hundreds.
        assert!(figures.thefts >= 18 && noticed + 2 >= figures.thefts, "{noticed} of {}: {policy:?}", figures.thefts);
    }
}

#[test]
fn who_is_told_to_the_second_when_a_session_was_refreshed_is_not_noticed() {
    // What is lost or late makes him late, too.
    let calm = Network { requests_lost: 0, answers_lost: 0, late: 0, crashes: 0, table_fails: 0, ..Network::LIGHTER };
    let watching = Setup::theft(calm, Thief::Watching);
    let figures = run_all(0..8, &Setup { flaw: Some(Flaw::ExactTimes), ..watching });
    assert!(figures.noticed_within(86_400) * 4 < figures.thefts, "{figures:?}");
}

#[test]
fn a_seed_is_a_history() {
    let setup = Setup::new(Network::HEAVY, Habit::ComesAndGoes);
    let (one, other) = (history(1, &setup), history(2, &setup));

    assert_eq!(one, history(1, &setup));
    assert_ne!(one.1, other.1);
}

fn lacking(clause: Clause, habit: Habit) -> Setup {
    Setup { table: MemoryTable::without(clause), ..Setup::new(Network::HEAVY, habit) }
}

#[test]
fn a_broken_rule_is_told_by_a_seed_and_a_short_history() {
    let network = Network { crashes: 0, table_fails: 0, requests_lost: 0, ..Network::HEAVY };
    let setup = Setup { network, owner: false, hours: 8, ..lacking(Clause::RefreshGeneration, Habit::ComesAndGoes) };
    let broken = shortest(0..64, &setup).unwrap();

    assert!(broken.history.last().unwrap().contains("another successor"), "{broken}");
    assert!(broken.history.len() <= 30 && broken.setup.users == 1, "{broken}");
    assert!(history(broken.seed, &broken.setup).0.broken_at().is_some());
}

#[test]
fn worlds_notice_a_family_that_is_not_looked_at() {
    let figures = run_all(0..16, &lacking(Clause::RefreshFamily, Habit::ComesAndGoes));
    assert!(figures.after_the_end > 0, "{figures:?}");
}

#[test]
fn worlds_notice_times_that_do_not_suit() {
    let with = |policy, setup| run_all(0..8, &Setup { policy, ..setup });

    let no_echo = RefreshPolicy { min_age: 0, ..RefreshPolicy::default() };
    let figures = with(no_echo, Setup::new(Network::HEAVY, Habit::Careless));
    assert!(rate(figures.honest.all(), &figures) > 100, "{figures:?}");

    let for_ever = RefreshPolicy { grace: 10 * 86_400, ..RefreshPolicy::default() };
    let figures = with(for_ever, Setup::theft(Network::LIGHTER, Thief::InStep));
    assert!((figures.noticed.len() as u64) < figures.thefts * 9 / 10, "{figures:?}");
}

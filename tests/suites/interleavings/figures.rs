//! The real refresh and login under random schedules.

use super::{Figures, Habit, Network, Setup, run_all, shortest};
use crate::suites::row::{Row, Size, grouped};

/// So many worlds of each kind make more than ten million refreshes, or a thousand million.
const WORLDS: (u64, u64) = (2_400, 240_000);

/// Lets so many worlds run. Of those that break a rule the shortest history is told.
pub(super) fn worlds(count: u64, setup: &Setup) -> Figures {
    let figures = run_all(0..count, setup);
    if figures.broken_at().is_some() {
        // A world has a runtime of its own, which a thread with another one cannot have.
        let broken = std::thread::scope(|scope| scope.spawn(|| shortest(0..count, setup)).join());
        if let Ok(Some(broken)) = broken {
            eprintln!("{broken}");
        }
    }
    figures
}

/// In a hundred thousand refreshes, with a decimal.
fn rate(what: &str, bar: u64, count: u64, figures: &Figures) -> Row {
    let tenths = count * 1_000_000 / figures.refreshes.max(1);
    Row::new(
        what,
        format!("≤ {bar} in 100,000"),
        format!("{}.{} ({} of {})", tenths / 10, tenths % 10, grouped(count), grouped(figures.refreshes)),
        count * 100_000 <= bar * figures.refreshes,
    )
}

pub fn rows(size: Size) -> Vec<Row> {
    let mut all = Figures::default();
    let mut run = |network, habit| {
        let figures = worlds(size.of(WORLDS.0, WORLDS.1), &Setup::new(network, habit));
        all += figures.clone();
        figures
    };
    let light = run(Network::LIGHT, Habit::KeptOpen);
    let heavy = run(Network::HEAVY, Habit::KeptOpen);
    let careless = run(Network::HEAVY, Habit::Careless);
    for (network, habit) in [
        (Network::LIGHT, Habit::ComesAndGoes),
        (Network::HEAVY, Habit::ComesAndGoes),
        (Network::LIGHT, Habit::Careless),
        (Network::ALIVE, Habit::ComesAndGoes),
        (Network::LIGHT, Habit::Patient),
        (Network::HEAVY, Habit::Patient),
    ] {
        run(network, habit);
    }
    vec![
        Row::at_least("refreshes under random schedules", size.of(10_000_000, 1_000_000_000), all.refreshes),
        Row::none("tokens with two different successors", all.double_issues),
        Row::none("successes after an acknowledged end or reuse", all.after_the_end),
        Row::at_least(
            "deletions, blocks, logouts and other ends among them, acknowledged while the user logs in",
            size.of(50_000, 5_000_000),
            all.beside_a_login,
        ),
        Row::at_least(
            "writes that arrived once more, up to 20 s late",
            size.of(100_000, 10_000_000),
            all.written_again,
        ),
        Row::none("sessions alive after an acknowledged end", all.alive_after_the_end),
        Row::none("sessions without a user after an acknowledged deletion", all.without_a_user),
        Row::none("deleted users of whom something is left that no TTL removes", all.left_of_a_user),
        Row::none("blocks and unblocks that did not last", all.gates_undone),
        rate("honest sessions refused, shipped client, light network", 1, light.honest.all(), &light),
        Row::none("of them by reuse", light.honest.reuse + light.honest.reuse_further + light.honest.gone_by_reuse),
        rate("honest sessions refused, shipped client, heavy network", 10, heavy.honest.all(), &heavy),
        Row::none(
            "sessions of the shipped client ended for reuse although all its tries lay within the grace",
            all.reuse_within_grace,
        ),
        rate("honest sessions refused, careless client, heavy network", 5, careless.honest.all(), &careless),
    ]
}

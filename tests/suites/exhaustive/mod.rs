//! The rotation as a small machine, all of whose states are visited: a device, a thief, and what is under way.
//!
//! Condition, change and verdict are the real ones. A request may arrive as often as the network likes until it is too
//! old, or never, and so may a login's session at the table; an answer may be late or lost; a process may end between its write and its answer, or between a verdict
//! and what follows from it. Time goes by in steps of a minute: E is two of them, G and D are one. It does not play the
//! ends that come with time; the random schedules of [`interleavings`](crate::suites::interleavings) have seconds. Ends of
//! users, and all their requests, are a machine of their own: [`ends`].

pub mod ends;
pub mod figures;
mod machine;
mod state;

use std::{collections::BTreeMap, fmt, hash::Hash};

use crate::table::memory::MemoryTable;
use shared::session::refresh::RefreshPolicy;
use stateright::{Checker, Expectation, HasDiscoveries, Model};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    /// It asks until it is answered, which takes no longer than G, and asks for more when nothing of that is under way.
    Insists,
    /// The same, but it may be killed while it asks, and come back at any time.
    IsKilled,
    /// It asks for more at once, as several requests do that meet a 401 together; nothing is late.
    IsHasty,
}

impl Habit {
    /// How long a message may be under way, in minutes.
    fn late(self) -> u64 {
        match self {
            Self::Insists | Self::IsKilled => 1,
            Self::IsHasty => 0,
        }
    }
}

/// What is explored.
#[derive(Clone)]
pub struct Setup {
    pub habit: Habit,
    /// Whether somebody else has a copy of its token.
    pub thief: bool,
    /// How many logins there are, with a logout between them.
    pub logins: u8,
    /// How often a session is rotated.
    pub generations: u32,
    /// The times that decide what a refresh does.
    pub policy: RefreshPolicy,
    /// The condition, which may lack a clause.
    pub table: MemoryTable,
    /// Whether a refresh reads and then writes, with others in between.
    pub torn: bool,
}

impl Setup {
    /// The rules as they are, to generation 3.
    #[must_use]
    pub fn new(habit: Habit, thief: bool) -> Self {
        let (policy, table) = (RefreshPolicy::default(), MemoryTable::default());
        Self { habit, thief, logins: 1, generations: 3, policy, table, torn: false }
    }

    /// Those that are of interest: a device alone, by its habit, and one with a thief.
    #[must_use]
    pub fn all() -> [Self; 4] {
        let alone = |habit| Self { logins: 2, ..Self::new(habit, false) };
        [alone(Habit::Insists), alone(Habit::IsKilled), alone(Habit::IsHasty), Self::new(Habit::IsKilled, true)]
    }
}

/// The result of an exploration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explored {
    /// How many different states there are.
    pub states: u64,
    /// The rules that are broken, and the shortest way there.
    pub broken: BTreeMap<&'static str, String>,
    /// What should have been seen and was not: without it the rest means nothing.
    pub unseen: Vec<&'static str>,
}

impl fmt::Display for Explored {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{} states, not seen: {:?}", self.states, self.unseen)?;
        self.broken.iter().try_for_each(|(rule, path)| writeln!(out, "{rule}: broken by\n{path}"))
    }
}

impl Explored {
    fn of<M: Model>(checker: &impl Checker<M>) -> Self
    where
        M::State: Clone + Hash + PartialEq,
        M::Action: Clone + fmt::Debug + PartialEq,
    {
        let found = checker.discoveries();
        let mut explored = Self { states: checker.unique_state_count() as u64, ..Self::default() };
        for property in checker.model().properties() {
            match (property.expectation, found.get(property.name)) {
                (Expectation::Sometimes, None) => explored.unseen.push(property.name),
                (Expectation::Sometimes, Some(_)) | (_, None) => {}
                (_, Some(path)) => {
                    let actions = path.clone().into_actions();
                    let lines: Vec<_> = actions.iter().map(|action| format!("  {action:?}")).collect();
                    explored.broken.insert(property.name, lines.join("\n"));
                }
            }
        }
        explored
    }
}

/// Visits every state, or those up to the first that breaks a rule.
#[must_use]
pub fn explore(setup: &Setup) -> Explored {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let checker = machine::Machine::new(setup.clone())
        .checker()
        .threads(threads)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    Explored::of(&checker)
}

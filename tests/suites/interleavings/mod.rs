//! The real refresh and login under a seeded schedule: lost, late, repeated messages, crashes, clocks that differ.
//!
//! One world is a few users with a few devices, four processes and the table in memory, all on one thread and in a time
//! of their own. A seed and a [`Setup`] determine all of it, so a failure can be run again. Users log out and delete
//! themselves, the owner and WeChat end sessions and users beside logins, and any write may arrive at the table once more.

mod clients;
mod ends;
pub mod figures;
mod flaws;
mod network;
mod owner;
mod schedule;
mod server;
pub mod settings;
mod tally;
pub mod thefts;
mod thief;
mod way;

use std::{
    collections::BTreeMap,
    fmt,
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

pub use flaws::Flaw;
pub use network::Network;
pub use tally::{Figures, Refusals};

use crate::seeded::Seeded;
use crate::table::memory::MemoryTable;
use schedule::Schedule;
use server::Server;
use shared::session::refresh::RefreshPolicy;

/// How clients behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    /// The shipped client in an app that is kept open: after three failures it tries again at once.
    KeptOpen,
    /// The shipped client in an app that comes and goes, with logouts: after three failures it comes back 3 s to 2 h later.
    ComesAndGoes,
    /// As kept open, but up to five refreshes in parallel, and the last answer wins.
    Careless,
    /// One request at a time, 60 s of patience as `wx.request` has by default, and then the next.
    Patient,
}

/// When a thief refreshes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thief {
    /// At once with what he has just copied, and from then on when less than a minute of his access token is left, as the device
    /// does.
    AtAnyTime,
    /// The same, but first when the device does, too: he begins in step with it, which is the hardest to notice.
    InStep,
    /// When he pleases, while his access token lasts.
    AtWill,
    /// Begins in step, and refreshes as soon as anything moves in what the routes tell him of the session, else when his access
    /// token ends.
    Watching,
}

/// How a world is set up.
#[derive(Clone)]
pub struct Setup {
    pub network: Network,
    /// How clients behave.
    pub habit: Habit,
    /// Whether somebody else uses a copy of each device's token, and how.
    pub thief: Option<Thief>,
    /// Whether the owner, and WeChat, end sessions and users from outside.
    pub owner: bool,
    /// The times that decide what a refresh does.
    pub policy: RefreshPolicy,
    pub users: u64,
    /// How many devices each of them has.
    pub devices: u64,
    /// How long it lasts, in hours.
    pub hours: u64,
    /// An empty table, which may lack a condition.
    pub table: MemoryTable,
    /// What else is wrong on purpose.
    pub flaw: Option<Flaw>,
}

impl Setup {
    /// Two users with two devices each, for a day.
    #[must_use]
    pub fn new(network: Network, habit: Habit) -> Self {
        Self {
            network,
            habit,
            thief: None,
            owner: true,
            policy: RefreshPolicy::default(),
            users: 2,
            devices: 2,
            hours: 24,
            table: MemoryTable::default(),
            flaw: None,
        }
    }

    /// A user with one device and a thief, for a day after the theft.
    #[must_use]
    pub fn theft(network: Network, thief: Thief) -> Self {
        Self::theft_with(network, thief, RefreshPolicy::default())
    }

    /// The same with other times.
    #[must_use]
    pub fn theft_with(network: Network, thief: Thief, policy: RefreshPolicy) -> Self {
        let alone = Self::new(network, Habit::KeptOpen);
        Self { thief: Some(thief), policy, owner: false, users: 1, devices: 1, hours: 4 + 24, ..alone }
    }
}

/// What all in a world share.
struct World {
    schedule: Arc<Schedule>,
    server: Server,
    setup: Setup,
    seen: Mutex<tally::Seen>,
}

/// Lets a world run its time, and gives what came of it.
///
/// # Panics
///
/// Where a runtime cannot be had.
#[must_use]
pub fn run(seed: u64, setup: &Setup) -> Figures {
    play(seed, setup, false).0
}

/// Lets a world for each seed run, and gives what came of each.
#[must_use]
pub fn each(seeds: Range<u64>, setup: &Setup) -> BTreeMap<u64, Figures> {
    let next = AtomicU64::new(seeds.start);
    let each = Mutex::new(BTreeMap::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let taken = || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < seeds.end);
                while let Some(seed) = taken() {
                    let figures = run(seed, setup);
                    each.lock().unwrap_or_else(PoisonError::into_inner).insert(seed, figures);
                }
            });
        }
    });
    each.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Lets a world for each seed run, and gives what came of them all.
#[must_use]
pub fn run_all(seeds: Range<u64>, setup: &Setup) -> Figures {
    each(seeds, setup).into_values().fold(Figures::default(), |mut all, one| {
        all += one;
        all
    })
}

/// The same as [`run`], with all that happened, a line each.
#[must_use]
pub fn history(seed: u64, setup: &Setup) -> (Figures, Vec<String>) {
    play(seed, setup, true)
}

fn play(number: u64, setup: &Setup, record: bool) -> (Figures, Vec<String>) {
    // A repeated login waits by tokio's clock, which moves for nothing else; everything else waits by the schedule's.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(async {
        let schedule = Schedule::new(Seeded::new(number));
        let setup = Setup { table: setup.table.copied(), ..setup.clone() };
        let server = Server::start(&schedule, &setup, number).await;
        let seen = Mutex::new(tally::Seen::new(record));
        let world = Arc::new(World { schedule: schedule.clone(), server, seen, setup });
        clients::settle(&world);
        schedule.run(world.setup.hours * 3_600_000).await;
        world.look_at_all();
        let mut seen = std::mem::take(&mut *world.seen());
        seen.figures.written_again = world.server.again.load(Ordering::Relaxed);
        (seen.figures, seen.history.unwrap_or_default())
    })
}

/// A world that breaks a rule.
pub struct Broken {
    pub seed: u64,
    pub setup: Setup,
    /// What happened up to the first rule that was broken.
    pub history: Vec<String>,
}

impl fmt::Display for Broken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Setup { network, habit, owner, users, devices, hours, .. } = &self.setup;
        let owner = if *owner { "an owner" } else { "no owner" };
        writeln!(out, "seed {}: {users} users, {devices} devices, {owner}, {hours} hours", self.seed)?;
        writeln!(out, "{habit:?}, {network:?}")?;
        self.history.iter().try_for_each(|line| writeln!(out, "{line}"))
    }
}

/// The least that still breaks a rule, if anything does: users, devices and kinds of faults are left out one by one, and
/// of the seeds that break it then the one is taken that does so first.
#[must_use]
pub fn shortest(seeds: Range<u64>, setup: &Setup) -> Option<Broken> {
    let first = |setup: &Setup| {
        let all = each(seeds.clone(), setup).into_iter();
        all.filter_map(|(seed, figures)| Some((figures.broken_at()?, seed))).min()
    };
    let mut setup = setup.clone();
    let (mut at, mut seed) = first(&setup)?;
    let fewer: [fn(&mut Setup); 3] = [|setup| setup.users = 1, |setup| setup.devices = 1, |setup| setup.owner = false];
    let safer = Network::PARTS.map(|part| move |setup: &mut Setup| part(&mut setup.network));
    let changes = fewer.iter().map(|change| change as &dyn Fn(&mut Setup));
    for change in changes.chain(safer.iter().map(|change| change as &dyn Fn(&mut Setup))) {
        let mut simpler = setup.clone();
        change(&mut simpler);
        // Nothing after the first break matters.
        simpler.hours = at / 3_600_000 + 1;
        if let Some(found) = first(&simpler) {
            (setup, (at, seed)) = (simpler, found);
        }
    }
    let mut history = history(seed, &setup).1;
    let broken = history.iter().position(|line| line.contains("!!")).unwrap_or(history.len());
    history.truncate(broken + 1);
    Some(Broken { seed, setup, history })
}

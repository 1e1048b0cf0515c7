//! Four processes, one table, sixteen clients: what each was told, and whether some order of it all explains it.
//!
//! Four clients share a device, each at a process of its own, and what is told to them is a history: calls and returns in
//! the order in which they were seen. It is linearizable if a session that does one thing at a time could have said the
//! same. Users are deleted, blocked and unblocked on the way. The clock goes on between rounds only, so every operation knows
//! its time.

mod client;
pub mod figures;
mod order;
pub mod pairs;
mod register;

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::join_all;
use shared::{
    clock::{Clock as _, Secs},
    session::refresh::RefreshPolicy,
};

use crate::{
    Laptop,
    seeded::Seeded,
    wire::{self, Wire},
};
use client::Client;
use order::Step;
pub use register::{Operation, Seen, Told};

/// Processes, and the clients of a device: one at each.
const PROCESSES: usize = 4;

/// Devices at a time.
const DEVICES: usize = 4;

/// How often the clock goes on in a history: each client does one operation in between.
const ROUNDS: usize = 6;

/// How far the clock goes on: to both sides of E, of G and of E + D.
const STEPS: [Secs; 8] = [0, 30, 60, 61, 120, 121, 180, 300];

/// One in so many requests to the table arrives once more.
const COPIED: u64 = 10;

/// And so many milliseconds after its response, at most: one or two rounds.
const LATE: u64 = 100;

/// Who of a device does it.
type Thread = usize;

/// A call or a return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A client sends a request.
    Call(Thread, Operation),
    /// It has the answer.
    Return(Thread, Told),
}

/// What was seen of a device.
#[derive(Clone, Debug, Default)]
pub struct History(pub Vec<Event>);

impl History {
    /// How many operations it has.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.0.iter().filter(|event| matches!(event, Event::Return(..))).count() as u64
    }

    /// Whether there is an order that explains it, by these times.
    #[must_use]
    pub fn is_linearizable(&self, policy: RefreshPolicy) -> bool {
        order::explains(&self.steps(), policy)
    }

    /// All that was done, each at a moment between its call and its return.
    fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for (call, event) in self.0.iter().enumerate() {
            let Event::Call(thread, operation) = *event else { continue };
            let Some((told, returned)) = self.told(call, thread) else { continue };
            let parts = operation.parts(told).into_iter();
            steps.extend(parts.map(|(operation, told)| Step { operation, told, call, returned: Some(returned) }));
            if let (Operation::LogIn { .. }, Told::Retry | Told::Blocked) = (operation, told) {
                // It may have ended the session before. Nobody is told of it.
                steps.push(Step { operation: Operation::EndAny, told: Told::Done, call, returned: None });
            }
        }
        steps
    }

    /// The response to a call, if it arrived, and when.
    fn told(&self, call: usize, by: Thread) -> Option<(Told, usize)> {
        self.0.iter().enumerate().skip(call).find_map(|(at, event)| match event {
            Event::Return(thread, told) if *thread == by => Some((*told, at)),
            _ => None,
        })
    }
}

/// Lets requests to the table through, and some of them arrive once more.
async fn copy(mut wire: Wire, mut random: Seeded) {
    wire.hold();
    loop {
        let waiting = wire.arrival().await;
        let late = random.one_in(COPIED).then(|| Duration::from_millis(random.below(LATE)));
        tokio::spawn(async move {
            let copy = waiting.pass_and_copy().await;
            if let Some(late) = late {
                tokio::time::sleep(late).await;
                copy.arrive().await;
            }
        });
    }
}

/// The result of many histories.
#[derive(Clone, Debug, Default)]
pub struct Judged {
    pub histories: u64,
    pub operations: u64,
    /// Those that no order explains: none.
    pub unexplained: Vec<History>,
}

pub struct Processes {
    all: Vec<Laptop>,
    random: Mutex<Seeded>,
    devices: Mutex<usize>,
}

impl Processes {
    /// Starts them; the seed decides what clients do, and the network in which order.
    pub async fn start(seed: u64) -> Self {
        let mut all = vec![Laptop::start().await];
        while all.len() < PROCESSES {
            let (beside, wire) = wire::beside(&mut all[0]).await;
            tokio::spawn(copy(wire, Seeded::new(seed + all.len() as u64)));
            all.push(beside);
        }
        Self { all, random: Mutex::new(Seeded::new(seed)), devices: Mutex::new(0) }
    }

    fn random(&self) -> Seeded {
        Seeded::new(self.random.lock().unwrap_or_else(PoisonError::into_inner).number())
    }

    /// Lets all clients do what they do, on new devices, and gives a history of each device.
    pub async fn record(&self) -> Vec<History> {
        let first = {
            let mut devices = self.devices.lock().unwrap_or_else(PoisonError::into_inner);
            *devices += DEVICES;
            *devices - DEVICES
        };
        let devices: Vec<_> =
            (first..first + DEVICES).map(|number| client::Device::new(format!("h{number}"))).collect();
        let mut clients: Vec<_> = devices
            .iter()
            .flat_map(|device| self.all.iter().enumerate().map(move |(at, laptop)| (device, at, laptop)))
            .map(|(device, at, laptop)| Client::new(device, at, laptop, self.random()))
            .collect();
        // Somebody has to be the first.
        join_all(clients.iter_mut().step_by(PROCESSES).map(Client::log_in)).await;
        let mut random = self.random();
        for _ in 0..ROUNDS {
            let clock = &self.all[0].clock;
            clock.advance(STEPS[random.index(STEPS.len())]);
            // Each code takes a millisecond, and a round may not take to the next second.
            while clock.now_ms() % 1_000 > 900 {
                clock.tick();
            }
            join_all(clients.iter_mut().map(Client::act)).await;
        }
        devices.into_iter().map(client::Device::history).collect()
    }

    /// Records and judges until there are so many operations and histories.
    pub async fn judge(&self, histories: u64, operations: u64) -> Judged {
        let mut judged = Judged::default();
        while judged.histories < histories || judged.operations < operations {
            for history in self.record().await {
                judged.histories += 1;
                judged.operations += history.operations();
                if !history.is_linearizable(RefreshPolicy::default()) {
                    judged.unexplained.push(history);
                }
            }
        }
        judged
    }
}

//! What happens to messages on their way.

use crate::seeded::Seeded;

/// How often what goes wrong, in ten thousand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    pub requests_lost: u64,
    /// An answer to a client is lost.
    pub answers_lost: u64,
    /// A client's request arrives twice.
    pub duplicated: u64,
    /// An exchange is up to 20 s late: half of the time on its way there, half of the time on its way back.
    pub late: u64,
    /// A process ends between a write and its answer.
    pub crashes: u64,
    /// The table's acknowledgement is lost, and the SDK sends the write again.
    pub acknowledgements_lost: u64,
    /// The table does not answer at all: half of the time before the write, half of the time after it.
    pub table_fails: u64,
    /// A write arrives at the table once more, up to 20 s later.
    pub written_again: u64,
    /// How far the processes' clocks are off at most, either way.
    pub clocks: u64,
}

impl Network {
    /// 8 % of requests and of answers lost, 3 % twice, 10 % late, 2.5 % crashes, 4 % of acknowledgements lost, 2 % of writes
    /// once more.
    pub const HEAVY: Self = Self {
        requests_lost: 800,
        answers_lost: 800,
        duplicated: 300,
        late: 1_000,
        crashes: 250,
        acknowledgements_lost: 400,
        table_fails: 100,
        written_again: 200,
        clocks: 2,
    };

    /// A tenth of that.
    pub const LIGHT: Self = Self {
        requests_lost: 80,
        answers_lost: 80,
        duplicated: 30,
        late: 100,
        crashes: 25,
        acknowledgements_lost: 40,
        table_fails: 10,
        written_again: 20,
        clocks: 2,
    };

    /// As heavy, but no process dies and the table does not fail: every request is answered.
    pub const ALIVE: Self = Self { crashes: 0, table_fails: 0, ..Self::HEAVY };

    /// Nothing goes wrong.
    pub(super) const SURE: Self = Self {
        requests_lost: 0,
        answers_lost: 0,
        duplicated: 0,
        late: 0,
        crashes: 0,
        acknowledgements_lost: 0,
        table_fails: 0,
        written_again: 0,
        clocks: 0,
    };

    /// Half of light.
    pub const LIGHTER: Self = Self {
        requests_lost: 40,
        answers_lost: 40,
        duplicated: 15,
        late: 50,
        crashes: 12,
        acknowledgements_lost: 20,
        table_fails: 5,
        written_again: 10,
        clocks: 2,
    };

    /// Each leaves one kind of fault out.
    pub(super) const PARTS: [fn(&mut Self); 9] = [
        |network| network.requests_lost = 0,
        |network| network.answers_lost = 0,
        |network| network.duplicated = 0,
        |network| network.late = 0,
        |network| network.crashes = 0,
        |network| network.acknowledgements_lost = 0,
        |network| network.table_fails = 0,
        |network| network.written_again = 0,
        |network| network.clocks = 0,
    ];

    /// How long a message between client and server takes, in milliseconds.
    pub(super) fn delay(&self, random: &mut Seeded) -> u64 {
        let late = if random.chance(self.late / 2) { random.below(20_000) } else { 0 };
        20 + random.below(180) + late
    }
}

//! Who does what, step by step.

use std::collections::BTreeSet;

use stateright::{Model, Property};

use super::{
    Rule, Setup,
    judge::Broken,
    plan::{Ending, Progress, Step},
    table::{Login, Record, Session, Stamp, Table, Write},
};

/// The three writes of a login, each a bit.
const WRITES: [fn(Login, Stamp) -> Write; 3] = [Write::User, Write::Put, |login, _| Write::Record(login)];
const ALL: u8 = 0b111;

/// What a login that is refused takes back.
const UNDONE: [fn(Login, Stamp) -> Write; 2] = [Write::Undo, |login, _| Write::Erase(login)];

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    #[default]
    ToCome,
    /// The writes that were sent, and those that were refused.
    Writing(u8, u8),
    /// Session and record are taken back: those that were.
    Undoing(u8),
    Answered,
    Refused,
    Dead,
}

impl Phase {
    fn is_under_way(self) -> bool {
        matches!(self, Self::Writing(..) | Self::Undoing(_))
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct State {
    clock: Stamp,
    pub(super) table: Table,
    pub(super) stamps: [Stamp; 2],
    pub(super) logins: [Phase; 2],
    /// Ends that were over when a login began.
    pub(super) after: [u8; 2],
    /// Logins that lost a write: bits.
    pub(super) lost: u8,
    pub(super) ends: [Ending; 2],
    sent: BTreeSet<Write>,
    pub(super) broken: Option<Broken>,
}

/// A step of the machine; a tie means that it arrives at the same time as the one before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Action {
    LogIn {
        tie: bool,
    },
    /// One of the three writes.
    Send(Login, usize),
    /// One of them is lost on its way for the login, which fails; it may arrive yet.
    Lose(Login, usize),
    /// The login looks around and answers.
    Answer(Login),
    Undo(Login, usize),
    Die(Login),
    /// The request of a login that died is sent again, with its key.
    Replay(Login),
    Begin {
        tie: bool,
    },
    Step(usize),
    /// The end ends this session, or erases this record.
    Take(usize, Login, bool),
    EndDies(usize),
    Again(Write),
}

pub(super) struct Machine(pub(super) Setup);

fn bits(of: impl Iterator<Item = bool>) -> u8 {
    of.enumerate().fold(0, |bits, (at, is)| bits | u8::from(is) << at)
}

pub(super) fn has(bits: u8, at: usize) -> bool {
    bits & 1 << at != 0
}

impl State {
    fn answered(&self) -> u8 {
        bits(self.logins.iter().map(|phase| *phase == Phase::Answered))
    }

    pub(super) fn begun(&self) -> u8 {
        bits(self.logins.iter().map(|phase| *phase != Phase::ToCome))
    }

    fn over(&self) -> u8 {
        bits(self.ends.iter().map(|end| end.has_begun() && !end.is_under_way()))
    }

    pub(super) fn under_way(&self) -> (u8, u8) {
        let logins = bits(self.logins.iter().map(|phase| phase.is_under_way()));
        (logins, bits(self.ends.iter().map(Ending::is_under_way)))
    }

    pub(super) fn is_alive(&self, setup: &Setup, login: Login) -> bool {
        self.table.sessions[setup.logins[login]] == Session::Alive(login, self.stamps[login])
    }

    /// The sessions that arrived no later than this, as bits of their logins.
    pub(super) fn arrived_until(&self, setup: &Setup, until: Stamp) -> u8 {
        bits((0..setup.logins.len()).map(|login| self.is_alive(setup, login) && self.stamps[login] <= until))
    }

    fn tick(&mut self, tie: bool) -> Stamp {
        self.clock += u8::from(!tie);
        self.clock
    }

    pub(super) fn send(&mut self, setup: &Setup, write: Write) -> bool {
        self.sent.insert(write);
        self.table.apply(setup, write)
    }

    /// A write of a login was sent, and whether it was applied.
    fn wrote(&mut self, login: Login, at: usize, is_applied: bool) -> Option<()> {
        let Phase::Writing(sent, refused) = self.logins[login] else { return None };
        self.logins[login] = Phase::Writing(sent | 1 << at, refused | u8::from(!is_applied) << at);
        Some(())
    }

    fn log_in(&mut self, tie: bool) -> Option<()> {
        let login = self.logins.iter().position(|phase| *phase == Phase::ToCome)?;
        (self.stamps[login], self.after[login]) = (self.tick(tie), self.over());
        self.logins[login] = Phase::Writing(0, 0);
        Some(())
    }

    fn begin(&mut self, tie: bool) -> Option<()> {
        let at = self.ends.iter().position(|end| !end.has_begun())?;
        self.ends[at] = Ending::begin(self.tick(tie), self.answered(), self.over());
        Some(())
    }

    /// The login has looked around.
    fn answer(&mut self, setup: &Setup, login: Login) {
        let (user, stamp) = (self.table.user, self.stamps[login]);
        let Phase::Writing(_, refused) = self.logins[login] else { return };
        let is_deleted = user.last_login.is_none() || user.deleted_at >= Some(stamp) || !self.is_alive(setup, login);
        let is_refused = refused != 0
            || is_deleted && setup.has(Rule::LookForDeletion)
            || user.logins_after >= Some(stamp) && setup.has(Rule::LookForMark)
            // Only so that the login is told why: a block refuses logins under way, too.
            || user.is_blocked;
        self.logins[login] = if is_refused { Phase::Undoing(0) } else { Phase::Answered };
        self.judge_answer(setup, login, is_refused);
    }

    fn undo(&mut self, setup: &Setup, login: Login, at: usize) -> Option<()> {
        let Phase::Undoing(done) = self.logins[login] else { return None };
        self.send(setup, UNDONE[at](login, self.stamps[login]));
        let done = done | 1 << at;
        self.logins[login] = if done == 0b11 { Phase::Refused } else { Phase::Undoing(done) };
        Some(())
    }

    fn replay(&mut self, setup: &Setup, login: Login) {
        let user = self.table.user;
        let is_refused =
            user.is_blocked || user.logins_after >= Some(self.stamps[login]) && setup.has(Rule::ReplayAfterMark);
        let is_whole = self.table.records[login] == Record::There && has(user.names, login);
        if is_whole && self.is_alive(setup, login) && !is_refused {
            self.logins[login] = Phase::Answered;
        }
    }

    /// What a login may do.
    fn actions_of(&self, setup: &Setup, login: Login, actions: &mut Vec<Action>) {
        let phase = self.logins[login];
        match phase {
            Phase::Writing(ALL, _) => actions.push(Action::Answer(login)),
            Phase::Writing(sent, _) => {
                for at in (0..WRITES.len()).filter(|at| !has(sent, *at)) {
                    actions.push(Action::Send(login, at));
                    actions.extend(setup.loses.then_some(Action::Lose(login, at)));
                }
            }
            Phase::Undoing(done) => {
                let left = (0..UNDONE.len()).filter(|at| !has(done, *at));
                actions.extend(left.map(|at| Action::Undo(login, at)));
            }
            Phase::Dead => actions.push(Action::Replay(login)),
            _ => {}
        }
        actions.extend(phase.is_under_way().then_some(Action::Die(login)));
    }
}

impl Model for Machine {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::default()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.broken.is_some() {
            return;
        }
        let setup = &self.0;
        let may_tie = setup.ties && state.clock > 0;
        let ties = || [false, true].into_iter().filter(move |tie| may_tie || !*tie);
        if state.logins[..setup.logins.len()].contains(&Phase::ToCome) {
            actions.extend(ties().map(|tie| Action::LogIn { tie }));
        }
        if state.ends[..setup.ends.len()].iter().any(|end| !end.has_begun()) {
            actions.extend(ties().map(|tie| Action::Begin { tie }));
        }
        for login in 0..setup.logins.len() {
            state.actions_of(setup, login, actions);
        }
        for (at, (end, kind)) in state.ends.iter().zip(setup.ends).enumerate() {
            match end.step(setup, *kind) {
                Some(Step::Take) => actions.extend(end.left().map(|(login, of)| Action::Take(at, login, of))),
                Some(_) => actions.push(Action::Step(at)),
                None => continue,
            }
            actions.push(Action::EndDies(at));
        }
        actions.extend(state.sent.iter().map(|write| Action::Again(*write)));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let (setup, mut state) = (&self.0, last.clone());
        match action {
            Action::LogIn { tie } => state.log_in(tie)?,
            Action::Send(login, at) => {
                let is_applied = state.send(setup, WRITES[at](login, last.stamps[login]));
                state.wrote(login, at, is_applied)?;
                state.judge_write(last, setup, login, at == 0 && is_applied);
            }
            Action::Lose(login, at) => {
                state.sent.insert(WRITES[at](login, last.stamps[login]));
                state.lost |= 1 << login;
                state.wrote(login, at, false)?;
            }
            Action::Answer(login) => state.answer(setup, login),
            Action::Undo(login, at) => state.undo(setup, login, at)?,
            Action::Die(login) => state.logins[login] = Phase::Dead,
            Action::Replay(login) => state.replay(setup, login),
            Action::Begin { tie } => state.begin(tie)?,
            Action::Step(at) => state.step(setup, at)?,
            Action::Take(at, login, is_session) => state.take(setup, at, login, is_session),
            Action::EndDies(at) => state.ends[at].progress = Progress::Dead,
            Action::Again(write) => _ = state.table.apply(setup, write),
        }
        let under_way = state.under_way();
        for end in &mut state.ends {
            end.waits = (end.waits.0 & under_way.0, end.waits.1 & under_way.1);
        }
        state.judge(setup);
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        type Holds = fn(&Machine, &State) -> bool;
        let never: [(&'static str, Holds); 6] = [
            ("no session is alive after its end", |_, state| state.broken != Some(Broken::Alive)),
            ("no session is without a user", |_, state| state.broken != Some(Broken::WithoutAUser)),
            ("nothing is left of a deleted user", |_, state| state.broken != Some(Broken::Left)),
            ("blocks and unblocks last", |_, state| state.broken != Some(Broken::Gate)),
            ("a login is refused with a reason, and with one always", |_, state| state.broken != Some(Broken::Login)),
            ("nothing but an end ends a login", |_, state| state.broken != Some(Broken::Lost)),
        ];
        let always = never.map(|(what, holds)| Property::always(what, holds));
        let sometimes = [
            Property::sometimes("a login is answered", |_, state: &State| state.answered() != 0),
            Property::sometimes("a login is refused", |_, state: &State| state.logins.contains(&Phase::Refused)),
            Property::sometimes("every end is acknowledged", |machine: &Self, state: &State| {
                state.ends[..machine.0.ends.len()].iter().all(Ending::is_acknowledged)
            }),
        ];
        always.into_iter().chain(sometimes).collect()
    }
}

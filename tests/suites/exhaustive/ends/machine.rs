//! Who does what, step by step.

mod judge;

use std::collections::BTreeSet;

use stateright::{Model, Property};

use super::{
    End, Rule, Setup,
    table::{Login, Record, Session, Stamp, Table, Write},
};

/// The three writes of a login, each a bit.
const WRITES: [fn(Login) -> Write; 3] = [Write::User, Write::Put, Write::Record];
const ALL: u8 = 0b111;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Phase {
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

/// The steps of an end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Step {
    #[default]
    ToCome,
    Write,
    Look,
    /// The sessions of these logins are ended, and these records erased: bits.
    End(u8, u8),
    Forget,
    LookAgain,
    EndAgain(u8),
    Acknowledged,
    Dead,
}

impl Step {
    fn is_under_way(self) -> bool {
        !matches!(self, Self::ToCome | Self::Acknowledged | Self::Dead)
    }
}

/// An end, and what was so when it began and when it was acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Ending {
    step: Step,
    stamp: Stamp,
    /// Logins that had been answered.
    answered: u8,
    /// Ends that were over.
    after: u8,
    /// Logins and ends that were under way when it was acknowledged, and still are.
    waits: (u8, u8),
    /// Logins that had begun when it was acknowledged.
    begun: u8,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct State {
    clock: Stamp,
    table: Table,
    stamps: [Stamp; 2],
    logins: [Phase; 2],
    /// Ends that were over when a login began.
    after: [u8; 2],
    /// Logins that lost a write: bits.
    lost: u8,
    ends: [Ending; 2],
    sent: BTreeSet<Write>,
    broken: Option<Broken>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Broken {
    /// A session is alive after its end.
    Alive,
    /// A session without a user, or with one that is swept.
    WithoutAUser,
    /// Something of a deleted user is left.
    Left,
    /// A block or an unblock did not last.
    Gate,
    /// A login was answered that had to be refused, or refused for nothing.
    Login,
    /// A login is over although nobody ended it.
    Lost,
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

fn has(bits: u8, at: usize) -> bool {
    bits & 1 << at != 0
}

impl State {
    fn answered(&self) -> u8 {
        bits(self.logins.iter().map(|phase| *phase == Phase::Answered))
    }

    fn over(&self) -> u8 {
        bits(self.ends.iter().map(|end| matches!(end.step, Step::Acknowledged | Step::Dead)))
    }

    fn under_way(&self) -> (u8, u8) {
        let logins = bits(self.logins.iter().map(|phase| phase.is_under_way()));
        (logins, bits(self.ends.iter().map(|end| end.step.is_under_way())))
    }

    fn is_alive(&self, setup: &Setup, login: Login) -> bool {
        self.table.sessions[setup.logins[login]] == Session::Alive(login)
    }

    fn tick(&mut self, tie: bool) -> Stamp {
        self.clock += u8::from(!tie);
        self.clock
    }

    fn send(&mut self, setup: &Setup, write: Write) -> bool {
        self.sent.insert(write);
        self.table.apply(setup, &self.stamps, write)
    }

    /// Whether the user has to be blocked, or has not to be; nothing where that is not certain.
    fn gate(&self, setup: &Setup) -> Option<bool> {
        let gates = || setup.ends.iter().enumerate().filter(|(_, end)| matches!(end, End::Block | End::Unblock));
        let (last, kind) = gates().rfind(|(at, _)| self.ends[*at].step == Step::Acknowledged)?;
        let is_opposed = |(at, other): (usize, &End)| {
            other != kind && self.ends[at].step != Step::ToCome && !has(self.ends[last].after, at)
        };
        (!gates().any(is_opposed)).then_some(*kind == End::Block)
    }

    /// Whether every block and unblock was over when the login began, or is to come.
    fn gates_are_over(&self, setup: &Setup, login: Login) -> bool {
        setup.ends.iter().enumerate().all(|(at, kind)| {
            !matches!(kind, End::Block | End::Unblock)
                || self.ends[at].step == Step::ToCome
                || has(self.after[login], at)
        })
    }

    /// The sessions that arrived no later than this, as bits of their logins.
    fn found(&self, setup: &Setup, until: Stamp) -> u8 {
        bits((0..setup.logins.len()).map(|login| self.is_alive(setup, login) && self.stamps[login] <= until))
    }

    /// The login has looked around.
    fn answer(&mut self, setup: &Setup, login: Login) {
        let user = self.table.user;
        let stamp = self.stamps[login];
        let Phase::Writing(_, refused) = self.logins[login] else { return };
        let is_deleted = user.last_login.is_none() || user.deleted_at.is_some_and(|deleted_at| deleted_at >= stamp);
        let is_refused = refused != 0
            || is_deleted && setup.has(Rule::LookForDeletion)
            || user.is_blocked && setup.has(Rule::LookForBlock)
            || !self.is_alive(setup, login) && setup.has(Rule::LookForDeletion);
        self.logins[login] = if is_refused { Phase::Undoing(0) } else { Phase::Answered };
        let began_before = |end: &Ending| end.step != Step::ToCome;
        let is_alone = self
            .ends
            .iter()
            .enumerate()
            .all(|(at, end)| !began_before(end) || has(self.after[login], at) && end.stamp < stamp)
            && self.logins.iter().enumerate().all(|(at, other)| {
                at == login
                    || *other == Phase::ToCome
                    || setup.logins[at] != setup.logins[login]
                    || self.stamps[at] < stamp
            });
        let gate = self.gate(setup);
        let has_no_gate = !setup
            .ends
            .iter()
            .zip(&self.ends)
            .any(|(kind, end)| matches!(kind, End::Block | End::Unblock) && began_before(end));
        let is_open = gate == Some(false) || has_no_gate;
        let was_shut = gate == Some(true) && self.gates_are_over(setup, login);
        if is_refused && is_alone && is_open && !has(self.lost, login) || !is_refused && was_shut {
            self.broken = Some(Broken::Login);
        }
    }
}

impl Machine {
    /// Erases the user, or, where something is newer by another's clock, comes after that.
    fn delete(&self, state: &mut State, at: usize, next: Step) -> Step {
        let stamp = state.ends[at].stamp;
        if state.send(&self.0, Write::Delete(stamp)) {
            return next;
        }
        let user = state.table.user;
        let last = user.last_login.unwrap_or_default().max(user.deleted_at.map_or(0, |deleted_at| deleted_at + 1));
        state.ends[at].stamp = stamp.max(last);
        state.ends[at].step
    }

    fn step(&self, state: &mut State, at: usize) {
        let setup = &self.0;
        let (kind, stamp) = (setup.ends[at], state.ends[at].stamp);
        let until = if setup.has(Rule::LookForOlder) { stamp } else { Stamp::MAX };
        let next = match (state.ends[at].step, kind) {
            (Step::Write, End::LogOut) => Step::End(state.found(setup, Stamp::MAX) & 1, 0),
            (Step::Write, End::Delete) if setup.has(Rule::DeletionFirst) => self.delete(state, at, Step::Look),
            (Step::Write, End::Delete | End::LogOutAll) => Step::Look,
            (Step::Write, End::Block) if !setup.has(Rule::BlockFirst) => Step::Look,
            (Step::Write, End::Block | End::Unblock) => {
                let write = if kind == End::Block { Write::Block(stamp) } else { Write::Unblock(stamp) };
                if state.send(setup, write) {
                    if kind == End::Block { Step::Look } else { Step::Acknowledged }
                } else {
                    // Its clock is behind: it comes after what it was told of.
                    state.ends[at].stamp = state.table.user.order + 1;
                    Step::Write
                }
            }
            (Step::Look, End::Delete) => Step::End(state.found(setup, until), state.table.user.names),
            (Step::Look, _) => Step::End(state.found(setup, Stamp::MAX), 0),
            (Step::End(0, 0), End::Delete) if !setup.has(Rule::DeletionFirst) => self.delete(state, at, Step::Forget),
            (Step::End(0, 0), End::Delete) => Step::Forget,
            (Step::End(0, 0), End::Block) if !setup.has(Rule::BlockFirst) => {
                state.send(setup, Write::Block(stamp));
                Step::Acknowledged
            }
            (Step::Forget, _) => {
                state.send(setup, Write::Forget(stamp));
                if setup.has(Rule::LookAgain) { Step::LookAgain } else { Step::Acknowledged }
            }
            (Step::LookAgain, _) => Step::EndAgain(state.found(setup, until)),
            _ => Step::Acknowledged,
        };
        state.ends[at].step = next;
        if next == Step::Acknowledged {
            let begun = bits(state.logins.iter().map(|phase| *phase != Phase::ToCome));
            (state.ends[at].waits, state.ends[at].begun) = (state.under_way(), begun);
        }
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
        if (0..setup.logins.len()).any(|login| state.logins[login] == Phase::ToCome) {
            actions.extend(ties().map(|tie| Action::LogIn { tie }));
        }
        if (0..setup.ends.len()).any(|at| state.ends[at].step == Step::ToCome) {
            actions.extend(ties().map(|tie| Action::Begin { tie }));
        }
        for (login, phase) in state.logins.iter().enumerate() {
            match *phase {
                Phase::Writing(ALL, _) => actions.push(Action::Answer(login)),
                Phase::Writing(sent, _) => {
                    for at in (0..3).filter(|at| !has(sent, *at)) {
                        actions.push(Action::Send(login, at));
                        actions.extend(setup.loses.then_some(Action::Lose(login, at)));
                    }
                }
                Phase::Undoing(done) => {
                    actions.extend((0..2).filter(|at| !has(done, *at)).map(|at| Action::Undo(login, at)));
                }
                _ => {}
            }
            if phase.is_under_way() {
                actions.push(Action::Die(login));
            }
            if *phase == Phase::Dead {
                actions.push(Action::Replay(login));
            }
        }
        for (at, end) in state.ends.iter().enumerate() {
            match end.step {
                Step::End(sessions, records) if sessions | records != 0 => {
                    let logins = || 0..2;
                    actions.extend(logins().filter(|login| has(sessions, *login)).map(|it| Action::Take(at, it, true)));
                    actions.extend(logins().filter(|login| has(records, *login)).map(|it| Action::Take(at, it, false)));
                }
                Step::EndAgain(sessions) if sessions != 0 => {
                    actions.extend((0..2).filter(|login| has(sessions, *login)).map(|it| Action::Take(at, it, true)));
                }
                step if step.is_under_way() => actions.push(Action::Step(at)),
                _ => {}
            }
            if end.step.is_under_way() {
                actions.push(Action::EndDies(at));
            }
        }
        actions.extend(state.sent.iter().map(|write| Action::Again(*write)));
    }

    #[expect(clippy::too_many_lines, reason = "one step after another, as the rules say them")]
    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let (setup, mut state) = (&self.0, last.clone());
        match action {
            Action::LogIn { tie } => {
                let login = state.logins.iter().position(|phase| *phase == Phase::ToCome)?;
                state.stamps[login] = state.tick(tie);
                state.after[login] = state.over();
                state.logins[login] = Phase::Writing(0, 0);
            }
            Action::Send(login, at) => {
                let Phase::Writing(sent, refused) = state.logins[login] else { return None };
                let was_shut = state.gate(setup) == Some(true) && state.gates_are_over(setup, login);
                let is_applied = state.send(setup, WRITES[at](login));
                if was_shut && is_applied && at == 0 {
                    state.broken = Some(Broken::Gate);
                }
                state.logins[login] = Phase::Writing(sent | 1 << at, refused | u8::from(!is_applied) << at);
            }
            Action::Lose(login, at) => {
                let Phase::Writing(sent, refused) = state.logins[login] else { return None };
                state.sent.insert(WRITES[at](login));
                state.lost |= 1 << login;
                state.logins[login] = Phase::Writing(sent | 1 << at, refused | 1 << at);
            }
            Action::Answer(login) => state.answer(setup, login),
            Action::Undo(login, at) => {
                let Phase::Undoing(done) = state.logins[login] else { return None };
                state.send(setup, if at == 0 { Write::Undo(login) } else { Write::Erase(login) });
                let done = done | 1 << at;
                state.logins[login] = if done == 0b11 { Phase::Refused } else { Phase::Undoing(done) };
            }
            Action::Die(login) => state.logins[login] = Phase::Dead,
            Action::Replay(login) => {
                let user = state.table.user;
                let is_whole = state.table.records[login] == Record::There
                    && state.is_alive(setup, login)
                    && has(user.names, login)
                    && !user.is_blocked;
                if is_whole {
                    state.logins[login] = Phase::Answered;
                }
            }
            Action::Begin { tie } => {
                let at = state.ends.iter().position(|end| end.step == Step::ToCome)?;
                let (stamp, answered, after) = (state.tick(tie), state.answered(), state.over());
                state.ends[at] = Ending { step: Step::Write, stamp, answered, after, ..Ending::default() };
            }
            Action::Step(at) => self.step(&mut state, at),
            Action::Take(at, login, is_session) => {
                let stamp = if setup.ends[at] == End::Delete { state.ends[at].stamp } else { 0 };
                let bit = !(1 << login);
                state.ends[at].step = match state.ends[at].step {
                    Step::End(sessions, records) if is_session => Step::End(sessions & bit, records),
                    Step::End(sessions, records) => Step::End(sessions, records & bit),
                    Step::EndAgain(sessions) => Step::EndAgain(sessions & bit),
                    _ => return None,
                };
                state.send(setup, if is_session { Write::End(login, stamp) } else { Write::Erase(login) });
            }
            Action::EndDies(at) => state.ends[at].step = Step::Dead,
            Action::Again(write) => {
                state.table.apply(setup, &state.stamps, write);
            }
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
                (0..machine.0.ends.len()).all(|at| state.ends[at].step == Step::Acknowledged)
            }),
        ];
        always.into_iter().chain(sometimes).collect()
    }
}

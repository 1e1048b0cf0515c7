//! What can happen, and what may not.

use shared::{
    clock::Secs,
    ids::{AppId, DeviceId, Family, OpenId},
    session::{
        Session, WriteResult,
        refresh::{RefreshPolicy, Verdict, judge},
    },
    token::{keyring::KeyId, refresh::RefreshToken},
};
use stateright::{Model, Property};

use crate::table::memory::Clause;

use super::{
    Habit, Setup,
    state::{Broken, Item, Message, OLD, Party, Sent, State, Token},
};

/// A step of time: the largest that divides E, G and D.
const STEP: Secs = 60;

/// The present; only ages matter.
const NOW: Secs = 1_000_000;

/// Warm processes may differ on which key of the ring is the current one.
const KEYS: [u32; 2] = [1, 2];

/// A step of the machine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Action {
    LogIn,
    /// The device forgets its token, and tells the server.
    LogOut,
    /// A copy of the device's token is taken.
    Steal,
    /// A party needs the next token.
    Ask(Party),
    /// A refresh arrives at a process with this current key; it may arrive again.
    Refresh(Sent, u32),
    /// A torn server writes what it made of what it had read.
    Write(Sent, u32),
    /// A family that was found reused is ended.
    End(Sent),
    Response(Sent),
    LoggedOut(Sent),
    /// A login's session arrives at the table once more.
    Put(Sent),
    /// A minute goes by.
    Wait,
}

pub(super) struct Machine {
    setup: Setup,
    token: RefreshToken,
}

impl Machine {
    pub(super) fn new(setup: Setup) -> Self {
        let token = RefreshToken {
            key_id: KeyId(1),
            generation: 0,
            family: Family([0; 16]),
            device: DeviceId([1; 16]),
            appid: AppId::parse("wx1").expect("an appid"),
            openid: OpenId::parse("oA").expect("an openid"),
        };
        Self { setup, token }
    }

    fn presented(&self, token: Token) -> RefreshToken {
        let (key_id, family) = (KeyId(token.key), Family([token.login; 16]));
        RefreshToken { key_id, generation: token.generation, family, ..self.token.clone() }
    }

    fn session(&self, item: Item) -> Session {
        let rotated_at = NOW - item.age * STEP;
        Session {
            device: self.token.device,
            family: Family([item.token.login; 16]),
            generation: item.token.generation,
            key_id: KeyId(item.token.key),
            created_at: NOW - 10_000,
            arrived_ms: (NOW - 10_000) * 1_000,
            rotated_at,
            rotated_before: rotated_at - item.gap * STEP,
            idle: NOW + 10_000,
            absolute: NOW + 10_000,
            unionid: None,
        }
    }

    fn item(session: &Session) -> Item {
        let token = Token { login: session.family.0[0], generation: session.generation, key: session.key_id.0 };
        let gap = OLD.min((session.rotated_at - session.rotated_before) / STEP);
        Item { token, age: (NOW - session.rotated_at) / STEP, gap, is_over: false }
    }

    /// A refresh, of which the server saw this item: written, judged, and answered or about to be.
    fn refresh(&self, state: &mut State, sent: Sent, (token, key): (Token, u32), seen: Option<Item>) {
        let (policy, presented) = (&self.setup.policy, self.presented(token));
        let write = policy.write(&presented, KeyId(key), NOW, 0);
        let result = self.setup.table.refreshed(seen.map(|item| self.session(item)), &write);
        let verdict = judge(&presented, &write, &result, policy);
        let before = state.session();
        if let WriteResult::Applied(session) = &result {
            state.item = Some(Self::item(session));
        }
        let key = match &result {
            WriteResult::Applied(session) | WriteResult::Refused(Some(session)) => session.key_id.0,
            WriteResult::Refused(None) => 0,
        };
        let given = match verdict {
            Verdict::Rotated | Verdict::Replay => Some(Token { generation: token.generation + 1, key, ..token }),
            Verdict::Echo => Some(token),
            Verdict::Gone | Verdict::Reuse { .. } | Verdict::Alarm => None,
        };
        if let Some(given) = given {
            Self::succeeded(state, token, given, before);
        }
        let message = match verdict {
            Verdict::Reuse { .. } => Message::Ending(token, verdict),
            _ => Message::Response(token, verdict, given),
        };
        state.sent.insert(Sent { message, ..sent });
    }

    /// Looks whether a success may be: by the rules as they were meant, whatever the setup made of them.
    fn succeeded(state: &mut State, token: Token, given: Token, before: Option<Item>) {
        let meant = RefreshPolicy::default();
        if state.is_over(token.login) {
            state.broke(Broken::AfterTheEnd);
        }
        let is_rival = |newest: Token| {
            (newest.login, newest.generation) == (given.login, given.generation) && newest.key != given.key
        };
        if state.newest.is_some_and(is_rival) {
            state.broke(Broken::TwoSuccessors);
        }
        state.newest = state.newest.max(Some(given));
        let is_past = |item: Item| {
            let behind = item.token.generation.saturating_sub(token.generation);
            let was_young = item.gap * STEP < meant.min_age + meant.in_flight;
            behind > 1 || (behind == 1 && item.age * STEP > meant.grace && !was_young)
        };
        if before.is_some_and(|item| item.token.login == token.login && is_past(item)) {
            state.broke(Broken::PastTheGrace);
        }
    }

    /// Puts a login's session over none or that of an earlier login, alive or over.
    fn put(&self, state: &mut State, token: Token) {
        let table = &self.setup.table;
        let is_earlier = |item: Item| table.and(Clause::PutOverOlder, item.token.login < token.login);
        if state.item.map_or_else(|| table.or(Clause::PutOverNone, true), is_earlier) {
            state.item = Some(Item::new(token));
        }
    }

    /// The session of a login has ended, if it was there; a mark has its place.
    fn end(&self, state: &mut State, login: u8) {
        if let Some(item) = state.session().filter(|item| item.token.login == login) {
            let token = Token { generation: 0, key: 0, ..item.token };
            let marks = self.setup.table.or(Clause::EndMarks, true);
            state.item = marks.then(|| Item { is_over: true, ..Item::new(token) });
        }
        state.end(login);
    }

    /// A party reads an answer; one to a token that it no longer holds is ignored.
    fn answer(&self, state: &mut State, sent: Sent, verdict: Verdict, given: Option<Token>) {
        let login = state.holder(sent.party).held.map_or(0, |token| token.login);
        let holder = state.holder_mut(sent.party);
        (holder.held, holder.asking) = (given, None);
        if given.is_some() || self.setup.thief || sent.party == Party::Thief {
            return;
        }
        let was_killed = match verdict {
            Verdict::Reuse { behind } => behind == 1,
            // Another of its requests was found to be reuse.
            Verdict::Gone => state.is_over(login),
            _ => false,
        };
        if self.setup.habit != Habit::IsKilled || !was_killed {
            state.broke(Broken::HonestRefused);
        }
    }
}

impl Model for Machine {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.broken.is_some() {
            return;
        }
        match state.device.held {
            None if state.logins < self.setup.logins => actions.push(Action::LogIn),
            Some(_) if self.setup.logins > 1 => actions.push(Action::LogOut),
            _ => {}
        }
        if self.setup.thief && !state.stolen && state.device.held.is_some() {
            actions.push(Action::Steal);
        }
        for party in [Party::Device, Party::Thief] {
            let holder = state.holder(party);
            let may_ask = self.setup.habit == Habit::IsHasty || !state.is_heard(party);
            if holder.held.is_some() && holder.asking.is_none() && may_ask {
                actions.push(Action::Ask(party));
            }
        }
        for sent in state.sent.iter().copied() {
            match sent.message {
                Message::Refresh(_) => actions.extend(KEYS.map(|key| Action::Refresh(sent, key))),
                Message::Seen(..) => actions.extend(KEYS.map(|key| Action::Write(sent, key))),
                Message::Ending(..) => actions.push(Action::End(sent)),
                Message::Response(..) => actions.push(Action::Response(sent)),
                Message::LogOut(_) => actions.push(Action::LoggedOut(sent)),
                Message::Put(_) => actions.push(Action::Put(sent)),
            }
        }
        // Whoever is not killed is answered in time.
        if self.setup.habit == Habit::IsKilled || state.device.asking != Some(self.setup.habit.late()) {
            actions.push(Action::Wait);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::LogIn => {
                let token = Token { login: state.logins, generation: 0, key: KEYS[0] };
                self.put(&mut state, token);
                state.sent.insert(Sent { party: Party::Device, age: 0, message: Message::Put(token) });
                (state.device.held, state.newest) = (Some(token), Some(token));
                state.logins += 1;
            }
            Action::LogOut => {
                let token = state.device.held.take()?;
                state.device.asking = None;
                state.sent.insert(Sent { party: Party::Device, age: 0, message: Message::LogOut(token) });
            }
            Action::Steal => (state.thief.held, state.stolen) = (state.device.held, true),
            Action::Ask(party) => {
                let token = state.holder(party).held?;
                state.holder_mut(party).asking = Some(0);
                state.sent.insert(Sent { party, age: 0, message: Message::Refresh(token) });
            }
            Action::Refresh(sent, key) => {
                let Message::Refresh(token) = sent.message else { return None };
                let seen = state.session();
                if self.setup.torn {
                    state.sent.insert(Sent { message: Message::Seen(token, seen), ..sent });
                } else {
                    self.refresh(&mut state, sent, (token, key), seen);
                }
            }
            Action::Write(sent, key) => {
                let Message::Seen(token, seen) = sent.message else { return None };
                state.sent.remove(&sent);
                self.refresh(&mut state, sent, (token, key), seen);
            }
            Action::End(sent) => {
                let Message::Ending(token, verdict) = sent.message else { return None };
                state.sent.remove(&sent);
                self.end(&mut state, token.login);
                state.sent.insert(Sent { message: Message::Response(token, verdict, None), ..sent });
            }
            Action::Response(sent) => {
                let Message::Response(_, verdict, given) = sent.message else { return None };
                state.sent.remove(&sent);
                self.answer(&mut state, sent, verdict, given);
            }
            Action::LoggedOut(sent) => {
                let Message::LogOut(token) = sent.message else { return None };
                self.end(&mut state, token.login);
            }
            Action::Put(sent) => {
                let Message::Put(token) = sent.message else { return None };
                self.put(&mut state, token);
            }
            Action::Wait => state.later(self.setup.habit.late()),
        }
        let state = state.tidied();
        (state != *last).then_some(state)
    }

    fn within_boundary(&self, state: &State) -> bool {
        state.item.is_none_or(|item| item.token.generation <= self.setup.generations)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always("a token has one successor", |_, state: &State| {
                state.broken != Some(Broken::TwoSuccessors)
            }),
            Property::always("nothing succeeds after the end", |_, state: &State| {
                state.broken != Some(Broken::AfterTheEnd)
            }),
            Property::always("a token rotated away is good for the grace only", |_, state: &State| {
                state.broken != Some(Broken::PastTheGrace)
            }),
            Property::always("an honest device is not refused", |_, state: &State| {
                state.broken != Some(Broken::HonestRefused)
            }),
            Property::always("there is no alarm", |_, state: &State| {
                ![Party::Device, Party::Thief].into_iter().any(|party| state.answers(party, |it| it == Verdict::Alarm))
            }),
            Property::sometimes("ROTATED", |_, state: &State| {
                state.answers(Party::Device, |it| it == Verdict::Rotated)
            }),
            Property::sometimes("ECHO", |_, state: &State| state.answers(Party::Device, |it| it == Verdict::Echo)),
            Property::sometimes("REPLAY", |_, state: &State| state.answers(Party::Device, |it| it == Verdict::Replay)),
            Property::sometimes("the last generation", |machine: &Self, state: &State| {
                state.session().is_some_and(|item| item.token.generation == machine.setup.generations)
            }),
        ];
        if self.setup.habit == Habit::IsKilled {
            properties.push(Property::sometimes("REUSE one back", |_, state: &State| {
                state.answers(Party::Device, |it| it == Verdict::Reuse { behind: 1 })
            }));
        }
        if self.setup.habit == Habit::IsKilled {
            properties.push(Property::sometimes("GONE", |_, state: &State| {
                [Party::Device, Party::Thief].into_iter().any(|party| state.answers(party, |it| it == Verdict::Gone))
            }));
        }
        if self.setup.thief {
            properties.extend([
                Property::sometimes("the device finds the thief", |_, state: &State| {
                    state.answers(Party::Device, |it| matches!(it, Verdict::Reuse { .. }))
                }),
                Property::sometimes("the thief is found", |_, state: &State| {
                    state.answers(Party::Thief, |it| matches!(it, Verdict::Reuse { .. }))
                }),
                Property::sometimes("REUSE two back", |_, state: &State| {
                    state.answers(Party::Thief, |it| it == Verdict::Reuse { behind: 2 })
                }),
            ]);
        }
        properties
    }
}

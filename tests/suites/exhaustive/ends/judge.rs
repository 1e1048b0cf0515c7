//! What may not come of it.

use super::{
    End, Setup,
    machine::{Phase, State, has},
    table::{Login, Record},
};

/// A rule that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Broken {
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

impl State {
    /// Looks whether what there is may be.
    pub(super) fn judge(&mut self, setup: &Setup) {
        let ends = || (0..setup.ends.len()).filter(|at| self.ends[*at].is_acknowledged());
        let answered = || (0..setup.logins.len()).filter(|login| self.logins[*login] == Phase::Answered);
        let broken = [
            (Broken::Gate, self.gate(setup).is_some_and(|block| block != self.table.user.is_blocked)),
            (Broken::Alive, ends().any(|at| self.outlived(setup, at))),
            (Broken::Left, ends().any(|at| setup.ends[at] == End::Delete && self.is_left(setup, at))),
            (Broken::Lost, answered().any(|login| self.is_lost(setup, login))),
            (Broken::WithoutAUser, answered().any(|login| self.is_without_a_user(setup, login))),
        ];
        self.broken = self.broken.or(broken.into_iter().find(|(_, is)| *is).map(|(broken, _)| broken));
    }

    /// A login's write of the user was applied.
    pub(super) fn judge_write(&mut self, before: &Self, setup: &Setup, login: Login, is_applied: bool) {
        let was_shut = before.gate(setup) == Some(true) && before.gates_are_over(setup, login);
        if is_applied && was_shut {
            self.broken = Some(Broken::Gate);
        }
    }

    /// A login was refused, or was not.
    pub(super) fn judge_answer(&mut self, setup: &Setup, login: Login, is_refused: bool) {
        let stamp = self.stamps[login];
        let ends = || self.ends.iter().zip(setup.ends).enumerate().filter(|(_, (end, _))| end.has_begun());
        let is_alone = ends().all(|(at, (end, _))| has(self.after[login], at) && end.stamp < stamp)
            && self.logins.iter().enumerate().all(|(at, other)| {
                at == login
                    || *other == Phase::ToCome
                    || setup.logins[at] != setup.logins[login]
                    || self.stamps[at] < stamp
            });
        let gate = self.gate(setup);
        let is_open = gate == Some(false) || ends().all(|(_, (_, kind))| kind.block().is_none());
        let was_shut = gate == Some(true) && self.gates_are_over(setup, login);
        if is_refused && is_alone && is_open && !has(self.lost, login) || !is_refused && was_shut {
            self.broken = Some(Broken::Login);
        }
    }

    /// Whether the user has to be blocked, or has not to be; nothing where that is not certain.
    fn gate(&self, setup: &Setup) -> Option<bool> {
        let gates = || setup.ends.iter().enumerate().filter_map(|(at, end)| Some((at, end.block()?)));
        let (last, block) = gates().rfind(|(at, _)| self.ends[*at].is_acknowledged())?;
        let is_opposed =
            |(at, other): (usize, bool)| other != block && self.ends[at].has_begun() && !has(self.ends[last].after, at);
        (!gates().any(is_opposed)).then_some(block)
    }

    /// Whether every block and unblock was over when the login began, or is to come.
    fn gates_are_over(&self, setup: &Setup, login: Login) -> bool {
        let is_over = |at: usize| !self.ends[at].has_begun() || has(self.after[login], at);
        setup.ends.iter().enumerate().all(|(at, kind)| kind.block().is_none() || is_over(at))
    }

    /// Whether a session is alive that this end was about.
    fn outlived(&self, setup: &Setup, at: usize) -> bool {
        let (kind, end) = (setup.ends[at], self.ends[at]);
        let is_unblocked = (0..setup.ends.len())
            .any(|other| setup.ends[other] == End::Unblock && self.ends[other].has_begun() && !has(end.after, other));
        (0..setup.logins.len()).any(|login| {
            let was_answered = kind.ends(login) && has(end.answered, login);
            // While a block lasts nobody gets in. Nobody has the tokens of a login that died.
            let is_shut = kind == End::Block && !is_unblocked;
            let has_lost = kind.is_of_all()
                && (self.stamps[login] <= end.stamp || is_shut)
                && end.is_settled()
                && has(end.begun, login)
                && self.logins[login] != Phase::Dead;
            (was_answered || has_lost) && self.is_alive(setup, login)
        })
    }

    /// Whether something of a deleted user is left.
    fn is_left(&self, setup: &Setup, at: usize) -> bool {
        let (end, user) = (self.ends[at], self.table.user);
        let is_back = user.last_login > Some(end.stamp);
        let is_there = user.last_login.is_some() || !user.is_swept && !user.is_blocked;
        let has_record = |login: Login| has(end.answered, login) && self.table.records[login] == Record::There;
        end.is_settled() && (!is_back && is_there || (0..setup.logins.len()).any(has_record))
    }

    /// Whether the user of a login is there, and stays.
    fn has_user(&self) -> bool {
        self.table.user.last_login.is_some() && !self.table.user.is_swept
    }

    /// Whether a login is over, or cannot be repeated, though nothing that came after it may have done that.
    fn is_lost(&self, setup: &Setup, login: Login) -> bool {
        let is_replaced = (login + 1..setup.logins.len())
            .any(|newer| self.logins[newer] != Phase::ToCome && setup.logins[newer] == setup.logins[login]);
        let came = |at: &usize| self.ends[*at].has_begun() && !has(self.after[login], *at);
        let is_ended = (0..setup.ends.len()).filter(came).any(|at| {
            // But for a block, an end leaves alone what arrived after it.
            let is_newer = setup.ends[at] != End::Block && self.ends[at].stamp < self.stamps[login];
            setup.ends[at].ends(login) && !is_newer
        });
        // A deletion that is under way with a newer login erases that one's record, too: it can only not be repeated.
        let is_named = (0..setup.ends.len()).filter(came).any(|at| setup.ends[at] == End::Delete);
        let has_no_record = self.table.records[login] != Record::There && !is_named;
        !is_ended && !is_replaced && (!self.is_alive(setup, login) || !self.has_user() || has_no_record)
    }

    fn is_without_a_user(&self, setup: &Setup, login: Login) -> bool {
        // A deletion that died has promised nothing.
        let is_certain = (0..setup.ends.len())
            .filter(|at| setup.ends[*at] == End::Delete)
            .all(|at| has(self.after[login], at) || !self.ends[at].has_begun() || self.ends[at].is_settled());
        is_certain && self.is_alive(setup, login) && !self.has_user()
    }
}

//! The steps of each end: a request to the table each.

use super::{
    End, Rule, Setup,
    machine::State,
    table::{Login, Stamp, Write},
};

/// What is done at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    /// The session of the first login is ended.
    LogOut,
    Delete,
    /// Logins are refused.
    Mark,
    Block,
    Unblock,
    /// Sessions are read, and for this end the names of records.
    Look(bool),
    /// What was found is ended and erased, one by one.
    Take,
    Forget,
}

/// The steps in their order; without a rule, in another.
fn plan(setup: &Setup, end: End) -> &'static [Step] {
    use Step::{Block, Delete, Forget, LogOut, Look, Mark, Take, Unblock};
    match end {
        End::LogOut => &[LogOut],
        End::LogOutAll if !setup.has(Rule::MarkFirst) => &[Look(false), Take, Mark],
        End::LogOutAll => &[Mark, Look(false), Take],
        End::Delete if !setup.has(Rule::DeletionFirst) => &[Look(true), Take, Delete, Forget, Look(false), Take],
        End::Delete if !setup.has(Rule::LookAgain) => &[Delete, Look(true), Take, Forget],
        End::Delete => &[Delete, Look(true), Take, Forget, Look(false), Take],
        End::Block if !setup.has(Rule::BlockFirst) => &[Mark, Look(false), Take, Block],
        End::Block => &[Block, Mark, Look(false), Take],
        End::Unblock => &[Unblock],
    }
}

/// How far an end is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Progress {
    #[default]
    ToCome,
    /// At this step of its plan.
    At(usize),
    Acknowledged,
    Dead,
}

/// An end, and what was so when it began and when it was acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Ending {
    pub(super) progress: Progress,
    /// When it arrived, or what it had to be later than.
    pub(super) stamp: Stamp,
    /// The same among blocks and unblocks.
    order: Stamp,
    /// The logins whose sessions are to be ended, and whose records are to be erased: bits.
    found: (u8, u8),
    /// Logins that had been answered.
    pub(super) answered: u8,
    /// Ends that were over.
    pub(super) after: u8,
    /// Logins and ends that were under way when it was acknowledged, and still are.
    pub(super) waits: (u8, u8),
    /// Logins that had begun when it was acknowledged.
    pub(super) begun: u8,
}

impl Ending {
    pub(super) fn begin(stamp: Stamp, answered: u8, after: u8) -> Self {
        Self { progress: Progress::At(0), stamp, order: stamp, answered, after, ..Self::default() }
    }

    pub(super) fn has_begun(&self) -> bool {
        self.progress != Progress::ToCome
    }

    pub(super) fn is_under_way(&self) -> bool {
        matches!(self.progress, Progress::At(_))
    }

    pub(super) fn is_acknowledged(&self) -> bool {
        self.progress == Progress::Acknowledged
    }

    /// Whether all is over that was under way when it was acknowledged.
    pub(super) fn is_settled(&self) -> bool {
        self.is_acknowledged() && self.waits == (0, 0)
    }

    /// The step that it is at.
    pub(super) fn step(&self, setup: &Setup, end: End) -> Option<Step> {
        if let Progress::At(at) = self.progress { plan(setup, end).get(at).copied() } else { None }
    }

    /// What is still to be ended, and to be erased.
    pub(super) fn left(self) -> impl Iterator<Item = (Login, bool)> {
        let of = |bits: u8, is_session| (0..2).filter(move |at| bits & 1 << at != 0).map(move |at| (at, is_session));
        of(self.found.0, true).chain(of(self.found.1, false))
    }
}

impl State {
    /// Does a step of an end.
    pub(super) fn step(&mut self, setup: &Setup, at: usize) -> Option<()> {
        let Ending { stamp, order, .. } = self.ends[at];
        let user = self.table.user;
        match self.ends[at].step(setup, setup.ends[at])? {
            // Without an answer there is no token to log out with.
            Step::LogOut if self.ends[at].answered & 1 == 0 => {}
            Step::LogOut => _ = self.send(setup, Write::End(0, 0)),
            Step::Delete if self.send(setup, Write::Delete(stamp)) => {}
            Step::Mark if self.send(setup, Write::Mark(stamp)) => {}
            // Its clock is behind: it comes after what it was told of.
            step @ (Step::Delete | Step::Mark) => {
                let last = if step == Step::Delete { user.deleted_at } else { user.logins_after };
                let later = last.map_or(0, |last| last + 1).max(user.last_login.unwrap_or_default());
                self.ends[at].stamp = later.max(stamp);
                return Some(());
            }
            Step::Block if self.send(setup, Write::Gate(true, order)) => {}
            Step::Unblock if self.send(setup, Write::Gate(false, order)) => {}
            Step::Block | Step::Unblock => {
                self.ends[at].order = user.order + 1;
                return Some(());
            }
            Step::Look(records) => {
                // A deletion that died may have been later.
                let last = user.deleted_at.unwrap_or_default().max(stamp);
                let until = if setup.has(Rule::LookForOlder) { last } else { Stamp::MAX };
                self.ends[at].found = (self.arrived_until(setup, until), if records { user.names } else { 0 });
            }
            Step::Take => return None,
            Step::Forget => _ = self.send(setup, Write::Forget(stamp)),
        }
        self.go_on(setup, at);
        Some(())
    }

    /// Ends one of the sessions that an end has found, or erases a record.
    pub(super) fn take(&mut self, setup: &Setup, at: usize, login: Login, is_session: bool) {
        let until = if setup.ends[at] == End::Delete { self.ends[at].stamp } else { 0 };
        self.send(setup, if is_session { Write::End(login, until) } else { Write::Erase(login) });
        let (sessions, records) = &mut self.ends[at].found;
        *if is_session { sessions } else { records } &= !(1 << login);
        if self.ends[at].found == (0, 0) {
            self.go_on(setup, at);
        }
    }

    /// The next step of an end, if there is one; where nothing was found, nothing is taken.
    fn go_on(&mut self, setup: &Setup, at: usize) {
        let Progress::At(step) = self.ends[at].progress else { return };
        self.ends[at].progress = Progress::At(step + 1);
        match self.ends[at].step(setup, setup.ends[at]) {
            Some(Step::Take) if self.ends[at].found == (0, 0) => self.go_on(setup, at),
            Some(_) => {}
            None => {
                let begun = self.begun();
                self.ends[at].progress = Progress::Acknowledged;
                (self.ends[at].waits, self.ends[at].begun) = (self.under_way(), begun);
            }
        }
    }
}

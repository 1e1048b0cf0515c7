//! What may not come of it.

use super::{Broken, End, Login, Phase, Record, Setup, State, Step, has};

impl State {
    /// Looks whether what there is may be.
    #[expect(clippy::too_many_lines, reason = "one step after another, as the rules say them")]
    pub(super) fn judge(&mut self, setup: &Setup) {
        let user = self.table.user;
        if self.gate(setup).is_some_and(|block| block != user.is_blocked) {
            self.broken = Some(Broken::Gate);
        }
        for (at, kind) in setup.ends.iter().enumerate() {
            let end = self.ends[at];
            if end.step != Step::Acknowledged {
                continue;
            }
            let is_settled = end.waits == (0, 0);
            let is_unblocked = || {
                (0..at).chain(at + 1..setup.ends.len()).any(|other| {
                    setup.ends[other] == End::Unblock && self.ends[other].step != Step::ToCome && !has(end.after, other)
                })
            };
            for login in 0..setup.logins.len() {
                let was_answered = match kind {
                    End::LogOut => login == 0 && has(end.answered, login),
                    End::Unblock => false,
                    _ => has(end.answered, login),
                };
                // Nobody has the tokens of a login that died.
                let has_lost = is_settled
                    && has(end.begun, login)
                    && self.logins[login] != Phase::Dead
                    && match kind {
                        End::Delete => self.stamps[login] <= end.stamp,
                        End::Block => !is_unblocked(),
                        _ => false,
                    };
                if (was_answered || has_lost) && self.is_alive(setup, login) {
                    self.broken = Some(Broken::Alive);
                }
            }
            if *kind == End::Delete && is_settled {
                let is_back = user.last_login.is_some_and(|last_login| last_login > end.stamp);
                if !is_back && (user.last_login.is_some() || !user.is_swept && !user.is_blocked) {
                    self.broken = Some(Broken::Left);
                }
                let is_left = |login: Login| has(end.answered, login) && self.table.records[login] == Record::There;
                if (0..setup.logins.len()).any(is_left) {
                    self.broken = Some(Broken::Left);
                }
            }
        }
        let deletes = || setup.ends.iter().enumerate().filter(|(_, end)| **end == End::Delete);
        for login in 0..setup.logins.len() {
            if self.logins[login] != Phase::Answered {
                continue;
            }
            let is_replaced = (login + 1..setup.logins.len())
                .any(|newer| self.logins[newer] != Phase::ToCome && setup.logins[newer] == setup.logins[login]);
            let is_ended = setup.ends.iter().enumerate().any(|(at, kind)| {
                let end = self.ends[at];
                let is_older = *kind == End::Delete && end.stamp < self.stamps[login];
                end.step != Step::ToCome && !has(self.after[login], at) && *kind != End::Unblock && !is_older
            });
            // A deletion that is under way with a newer login erases that one's record, too: it can only not be repeated.
            let is_named = deletes().any(|(at, _)| self.ends[at].step != Step::ToCome && !has(self.after[login], at));
            let has_no_record = self.table.records[login] != Record::There && !is_named;
            let has_user = user.last_login.is_some() && !user.is_swept;
            if !is_ended && !is_replaced && (!self.is_alive(setup, login) || !has_user || has_no_record) {
                self.broken = Some(Broken::Lost);
            }
            // A deletion that died has promised nothing.
            let is_certain = deletes().all(|(at, _)| {
                let end = self.ends[at];
                has(self.after[login], at)
                    || end.step == Step::ToCome
                    || end.step == Step::Acknowledged && end.waits == (0, 0)
            });
            if is_certain && self.is_alive(setup, login) && !has_user {
                self.broken = Some(Broken::WithoutAUser);
            }
        }
    }
}

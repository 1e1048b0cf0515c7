//! What the table holds of one user, and every write, with its condition.

use super::{Rule, Setup};

/// When a request arrived, by a clock that goes on with requests alone.
pub(super) type Stamp = u8;

/// A login by its number.
pub(super) type Login = usize;

/// The user item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct User {
    /// The last login; none where there is no user.
    pub(super) last_login: Option<Stamp>,
    pub(super) deleted_at: Option<Stamp>,
    /// Logins that arrived until then are refused.
    pub(super) logins_after: Option<Stamp>,
    pub(super) is_blocked: bool,
    /// The time of the last block or unblock.
    pub(super) order: Stamp,
    /// Whether a TTL sweeps it.
    pub(super) is_swept: bool,
    /// The logins whose records it names: bits.
    pub(super) names: u8,
}

/// The item of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Session {
    #[default]
    None,
    Alive(Login, Stamp),
    /// It has ended; what is not newer is not put over it.
    Mark(Stamp),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Record {
    #[default]
    None,
    There,
    Mark,
}

/// A write as it is sent: whatever it depends on is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Write {
    User(Login, Stamp),
    Put(Login, Stamp),
    Record(Login),
    /// The end of a login's session, and of what arrived until then.
    End(Login, Stamp),
    /// The same by the login itself, which may not have put it yet.
    Undo(Login, Stamp),
    Erase(Login),
    /// The user is erased, but for the names of records, and the deletion marked.
    Delete(Stamp),
    /// Those names go, too.
    Forget(Stamp),
    /// Logins that arrived until then are refused.
    Mark(Stamp),
    /// A block or its end.
    Gate(bool, Stamp),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Table {
    pub(super) user: User,
    pub(super) sessions: [Session; 2],
    pub(super) records: [Record; 2],
}

impl User {
    fn log_in(&mut self, setup: &Setup, login: Login, stamp: Stamp) -> bool {
        let is_refused = self.deleted_at >= Some(stamp) && setup.has(Rule::UserAfterDeletion)
            || self.logins_after >= Some(stamp)
            || self.is_blocked && setup.has(Rule::UserNotBlocked);
        if !is_refused {
            (self.last_login, self.is_swept) = (self.last_login.max(Some(stamp)), false);
            self.names |= 1 << login;
        }
        !is_refused
    }

    fn delete(&mut self, setup: &Setup, stamp: Stamp) -> bool {
        let may = (self.deleted_at < Some(stamp) || !setup.has(Rule::DeletionLater))
            && (self.last_login <= Some(stamp) || !setup.has(Rule::DeletionNotOverNewer));
        if may {
            (self.last_login, self.deleted_at, self.is_swept) = (None, Some(stamp), !self.is_blocked);
        }
        may
    }

    fn forget(&mut self, setup: &Setup, stamp: Stamp) -> bool {
        let may = (self.deleted_at == Some(stamp) || !setup.has(Rule::ForgetOwn))
            && (self.last_login.is_none() || !setup.has(Rule::ForgetNoUser));
        if may {
            self.names = 0;
        }
        may
    }

    fn refuse(&mut self, setup: &Setup, stamp: Stamp) -> bool {
        let is_later = self.logins_after < Some(stamp) || !setup.has(Rule::MarkLater);
        let may = is_later && self.last_login <= Some(stamp);
        if may {
            (self.logins_after, self.is_swept) = (Some(stamp), self.last_login.is_none() && !self.is_blocked);
        }
        may
    }

    fn gate(&mut self, setup: &Setup, block: bool, order: Stamp) -> bool {
        // The same write again is no other.
        let is_same = order == self.order && block == self.is_blocked;
        let may = order > self.order || is_same || !setup.has(Rule::BlockOrder);
        if may {
            (self.is_blocked, self.order, self.is_swept) = (block, order, !block && self.last_login.is_none());
        }
        may
    }
}

impl Session {
    fn arrived(self) -> Stamp {
        match self {
            Self::None => 0,
            Self::Alive(_, stamp) | Self::Mark(stamp) => stamp,
        }
    }

    fn is_of(self, login: Login) -> bool {
        matches!(self, Self::Alive(there, _) if there == login)
    }

    fn put(&mut self, setup: &Setup, login: Login, stamp: Stamp) -> bool {
        let is_older = *self == Self::None || self.arrived() < stamp || !setup.has(Rule::PutOverOlder);
        if is_older && !self.is_of(login) {
            *self = Self::Alive(login, stamp);
        }
        self.is_of(login)
    }

    fn end(&mut self, setup: &Setup, stamp: Stamp) {
        *self = if setup.has(Rule::EndLeavesMark) { Self::Mark(self.arrived().max(stamp)) } else { Self::None };
    }
}

impl Table {
    /// Whether the write was applied, or had been before.
    pub(super) fn apply(&mut self, setup: &Setup, write: Write) -> bool {
        let Self { user, sessions, records } = self;
        match write {
            Write::User(login, stamp) => return user.log_in(setup, login, stamp),
            Write::Put(login, stamp) => return sessions[setup.logins[login]].put(setup, login, stamp),
            Write::Record(login) if records[login] == Record::Mark => return false,
            Write::Record(login) => records[login] = Record::There,
            Write::End(login, stamp) => {
                let session = &mut sessions[setup.logins[login]];
                let is_other = matches!(session, Session::Alive(..)) && !setup.has(Rule::EndOfFamily);
                if session.is_of(login) || is_other {
                    session.end(setup, stamp);
                }
            }
            Write::Undo(login, stamp) => {
                let session = &mut sessions[setup.logins[login]];
                let is_over = !matches!(session, Session::Alive(..)) && session.arrived() <= stamp;
                if session.is_of(login) || is_over && setup.has(Rule::UndoLeavesMark) {
                    session.end(setup, stamp);
                }
            }
            Write::Erase(login) if setup.has(Rule::EraseLeavesMark) => records[login] = Record::Mark,
            Write::Erase(login) => records[login] = Record::None,
            Write::Delete(stamp) => return user.delete(setup, stamp),
            Write::Forget(stamp) => return user.forget(setup, stamp),
            Write::Mark(stamp) => return user.refuse(setup, stamp),
            Write::Gate(block, order) => return user.gate(setup, block, order),
        }
        true
    }
}

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
    Alive(Login),
    /// It has ended; what is not newer is not put over it.
    Mark(Login, Stamp),
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
    User(Login),
    Put(Login),
    Record(Login),
    /// The end of a login's session, by what arrived at this time.
    End(Login, Stamp),
    /// The same by the login itself, which may not have put it yet.
    Undo(Login),
    Erase(Login),
    /// The user is erased, but for the names of records, and the deletion marked.
    Delete(Stamp),
    /// Those names go, too.
    Forget(Stamp),
    Block(Stamp),
    Unblock(Stamp),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Table {
    pub(super) user: User,
    pub(super) sessions: [Session; 2],
    pub(super) records: [Record; 2],
}

impl Table {
    /// Whether the write was applied, or had been before.
    #[expect(clippy::too_many_lines, reason = "one step after another, as the rules say them")]
    pub(super) fn apply(&mut self, setup: &Setup, stamps: &[Stamp], write: Write) -> bool {
        let has = |rule| setup.has(rule);
        let user = &mut self.user;
        let arrived = |session: Session| match session {
            Session::None => 0,
            Session::Alive(login) => stamps[login],
            Session::Mark(_, stamp) => stamp,
        };
        match write {
            Write::User(login) => {
                let stamp = stamps[login];
                let is_deleted = user.deleted_at.is_some_and(|deleted_at| deleted_at >= stamp);
                let may = !(is_deleted && has(Rule::UserAfterDeletion) || user.is_blocked && has(Rule::UserNotBlocked));
                if may {
                    (user.last_login, user.is_swept) = (user.last_login.max(Some(stamp)), false);
                    user.names |= 1 << login;
                }
                may
            }
            Write::Put(login) => {
                let session = &mut self.sessions[setup.logins[login]];
                if *session == Session::Alive(login) {
                    return true;
                }
                let may = *session == Session::None || arrived(*session) < stamps[login] || !has(Rule::PutOverOlder);
                if may {
                    *session = Session::Alive(login);
                }
                may
            }
            Write::Record(login) => {
                let may = self.records[login] != Record::Mark;
                if may {
                    self.records[login] = Record::There;
                }
                may
            }
            Write::End(login, raised) => {
                let session = &mut self.sessions[setup.logins[login]];
                let is_meant = match *session {
                    Session::Alive(there) => there == login || !has(Rule::EndOfFamily),
                    _ => false,
                };
                if is_meant {
                    let mark = Session::Mark(login, stamps[login].max(raised));
                    *session = if has(Rule::EndLeavesMark) { mark } else { Session::None };
                }
                is_meant
            }
            Write::Undo(login) => {
                let session = &mut self.sessions[setup.logins[login]];
                let is_unwritten = match *session {
                    Session::Alive(there) => there == login,
                    other => arrived(other) <= stamps[login] && has(Rule::UndoLeavesMark),
                };
                if is_unwritten {
                    let mark = Session::Mark(login, stamps[login]);
                    *session = if has(Rule::EndLeavesMark) { mark } else { Session::None };
                }
                true
            }
            Write::Erase(login) => {
                let mark = if has(Rule::EraseLeavesMark) { Record::Mark } else { Record::None };
                self.records[login] = mark;
                true
            }
            Write::Delete(stamp) => {
                let is_later = user.deleted_at.is_none_or(|deleted_at| deleted_at < stamp);
                let is_newer = user.last_login.is_some_and(|last_login| last_login > stamp);
                let may = (is_later || !has(Rule::DeletionLater)) && !(is_newer && has(Rule::DeletionNotOverNewer));
                if may {
                    (user.last_login, user.deleted_at) = (None, Some(stamp));
                    user.is_swept = !user.is_blocked;
                }
                may
            }
            Write::Forget(stamp) => {
                let is_own = user.deleted_at == Some(stamp) || !has(Rule::ForgetOwn);
                let may = is_own && (user.last_login.is_none() || !has(Rule::ForgetNoUser));
                if may {
                    user.names = 0;
                }
                may
            }
            Write::Block(order) | Write::Unblock(order) => {
                let block = matches!(write, Write::Block(_));
                // The same write again is no other.
                let is_same = order == user.order && block == user.is_blocked;
                let may = order > user.order || is_same || !has(Rule::BlockOrder);
                if may {
                    user.is_blocked = block;
                    user.order = order;
                    user.is_swept = !user.is_blocked && user.last_login.is_none();
                }
                may
            }
        }
    }
}

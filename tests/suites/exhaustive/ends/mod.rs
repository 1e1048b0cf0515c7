//! The ends as a small machine, all of whose states are visited: logins on two devices, and deletion, block, unblock and
//! logouts beside them, request by request.
//!
//! The rules of "An end is written, not an absence" in `shared/decisions` are said here once more. Every request to the table is a
//! step, steps of different processes come in any order, a process may die between any two of them, and any write that was ever
//! sent may arrive again at any time.

mod judge;
mod machine;
mod plan;
mod table;

use super::Explored;
use stateright::{Checker as _, HasDiscoveries, Model as _};

/// What ends sessions, keeps the user out, or lets them in again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// Of the session of the first login.
    LogOut,
    LogOutAll,
    Delete,
    Block,
    Unblock,
}

impl End {
    /// Whether it ends all sessions, and refuses all logins that arrived before.
    fn is_of_all(self) -> bool {
        matches!(self, Self::LogOutAll | Self::Delete | Self::Block)
    }

    /// Whether it ends the session of this login.
    fn ends(self, login: usize) -> bool {
        self.is_of_all() || self == Self::LogOut && login == 0
    }

    /// Whether it blocks the user; none, if it is not about that.
    fn block(self) -> Option<bool> {
        match self {
            Self::Block => Some(true),
            Self::Unblock => Some(false),
            _ => None,
        }
    }
}

/// Declares the rules and the list of them all.
macro_rules! rules {
    ($($(#[$meta:meta])* $name:ident,)*) => {
        /// A rule that a test can leave out.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Rule { $($(#[$meta])* $name,)* }

        impl Rule {
            pub const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

rules! {
    /// A session is put over an older one only, not over its own.
    PutOverOlder,
    /// The end of a session leaves a mark.
    EndLeavesMark,
    /// The end of a session is of its family.
    EndOfFamily,
    /// A refused login ends its session also where it was not put yet.
    UndoLeavesMark,
    /// A login's write of the user loses against a deletion.
    UserAfterDeletion,
    /// A login's write of the user loses against a block.
    UserNotBlocked,
    /// A login looks for a deletion after its writes.
    LookForDeletion,
    /// A login looks whether logins are refused, after its writes.
    LookForMark,
    /// A login that is sent again looks whether logins are refused.
    ReplayAfterMark,
    /// A deletion erases the user, and marks it, before it looks.
    DeletionFirst,
    /// A logout of all refuses logins before it looks.
    MarkFirst,
    /// Until when logins are refused only grows.
    MarkLater,
    /// A deletion loses against a later one.
    DeletionLater,
    /// A deletion loses against a newer login.
    DeletionNotOverNewer,
    /// The names of records go under the deletion's own mark alone.
    ForgetOwn,
    /// The names of records go where nobody has logged in again.
    ForgetNoUser,
    /// A deletion looks once more.
    LookAgain,
    /// What arrived after the end stays.
    LookForOlder,
    /// A record is erased by a mark.
    EraseLeavesMark,
    /// A block ends the sessions after it is written.
    BlockFirst,
    /// The time of blocks and unblocks only grows.
    BlockOrder,
}

/// What is explored.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The devices of the logins, in the order in which they may begin.
    pub logins: &'static [usize],
    /// The ends, in the order in which they may begin.
    pub ends: &'static [End],
    /// Whether two requests may arrive at the same time.
    pub ties: bool,
    /// Whether a login may lose a write that arrives later.
    pub loses: bool,
    /// The rule that is left out.
    pub without: Option<Rule>,
}

impl Setup {
    /// Logins on the same device and on different ones, beside each end, and ends beside each other.
    #[must_use]
    pub fn all() -> Vec<Self> {
        use End::{Block, Delete, LogOut, LogOutAll, Unblock};
        const PLAYED: [(&[usize], &[End]); 14] = [
            (&[0, 0], &[LogOut]),
            (&[0, 0], &[LogOutAll]),
            (&[0, 1], &[LogOutAll]),
            (&[0, 0], &[Delete]),
            (&[0, 1], &[Delete]),
            (&[0, 0], &[Block]),
            (&[0, 1], &[Block]),
            (&[0], &[Block, Unblock]),
            (&[0], &[Unblock, Block]),
            (&[0], &[Delete, Delete]),
            (&[0], &[Delete, Block]),
            (&[0], &[Block, Delete]),
            (&[0], &[LogOutAll, Delete]),
            (&[0], &[LogOutAll, LogOutAll]),
        ];
        let setup = |(logins, ends)| Self { logins, ends, ties: true, loses: false, without: None };
        let losing = |ends| Self { loses: true, ..setup((&[0], ends)) };
        PLAYED.into_iter().map(setup).chain([losing(&[Delete]), losing(&[Block]), losing(&[LogOutAll])]).collect()
    }

    fn has(&self, rule: Rule) -> bool {
        self.without != Some(rule)
    }
}

/// Visits every state, or those up to the first that breaks a rule.
#[must_use]
pub fn explore(setup: &Setup) -> Explored {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let checker = machine::Machine(setup.clone())
        .checker()
        .threads(threads)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    Explored::of(&checker)
}

/// The rules that can be left out unnoticed.
#[must_use]
pub fn unnoticed() -> Vec<Rule> {
    let is_noticed = |rule: &Rule| {
        Setup::all().into_iter().any(|setup| !explore(&Setup { without: Some(*rule), ..setup }).broken.is_empty())
    };
    Rule::ALL.iter().copied().filter(|rule| !is_noticed(rule)).collect()
}

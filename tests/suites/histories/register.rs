//! A session that does one thing at a time: what the processes together have to look like.
//!
//! The rule is said here once more, in other words and over tokens that mean nothing, so that it does not lean on what it
//! is to judge.

use std::collections::BTreeSet;

use shared::{clock::Secs, session::refresh::RefreshPolicy};

/// A refresh token by the number under which it was first seen.
pub type Seen = usize;

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `POST /v1/login`.
    LogIn { at: Secs },
    /// `POST /v1/refresh`.
    Refresh { token: Seen, at: Secs },
    /// `DELETE /v1/sessions`, with the access token of the session made at this time.
    LogOutAll { made_at: Secs },
    /// `DELETE /v1/user`, likewise.
    DeleteUser { made_at: Secs },
    /// The owner's `end_sessions`.
    EndSessions,
    /// The owner's `delete`.
    Delete,
    /// The owner's `block`.
    Block,
    /// The owner's `unblock`.
    Unblock { at: Secs },
    /// The session ends, whichever it is: a part of what has more effects than one.
    EndAny,
    /// The end of a family that was found reused: it is seen by its effect only.
    End {
        /// A token of the family.
        token: Seen,
    },
    /// `DELETE /v1/session`.
    LogOut {
        /// Of the session made at this time.
        made_at: Secs,
    },
    /// `GET /v1/session`.
    Look {
        /// At the session made at this time.
        made_at: Secs,
    },
}

/// What a client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    Token(Seen),
    /// `login_required`.
    Gone,
    /// `token_reused`.
    Reused,
    /// The request was done; there is nothing to return.
    Done,
    /// When the session was made; none if there is none.
    Session(Option<Secs>),
    /// `user_blocked`.
    Blocked,
    /// `retry_login`.
    Retry,
    /// Whether there was a block.
    Unblocked(bool),
}

impl Operation {
    /// What is done at a moment of its own each, within the call, as this was told of it.
    #[must_use]
    pub fn parts(self, told: Told) -> Vec<(Self, Told)> {
        match (self, told) {
            // A reuse is found by one request to the table and ended by another.
            (Self::Refresh { token, .. }, Told::Reused) => vec![(self, told), (Self::End { token }, Told::Done)],
            (Self::LogOutAll { .. } | Self::DeleteUser { .. } | Self::EndSessions | Self::Delete, Told::Done) => {
                vec![(Self::EndAny, told)]
            }
            // Who is told that the session is over has looked at it.
            (Self::LogOutAll { made_at } | Self::DeleteUser { made_at }, _) => vec![(Self::Look { made_at }, told)],
            (Self::Block, _) => vec![(self, told), (Self::EndAny, Told::Done)],
            // A login that is refused may have put its session over the one before, and then have ended it.
            (Self::LogIn { .. }, Told::Retry) => Vec::new(),
            _ => vec![(self, told)],
        }
    }
}

/// The session of a device, at first none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Register {
    /// Every token that was ever given.
    given: BTreeSet<Seen>,
    /// The tokens of the session that there is, the present one last.
    chain: Vec<Seen>,
    made_at: Secs,
    rotated_at: Secs,
    /// How old the present token's parent was when it was replaced.
    parent_was: Secs,
    is_blocked: bool,
    unblocked_at: Secs,
}

impl Register {
    /// Gives a token that nobody has seen before.
    fn give(&mut self, told: Told) -> bool {
        let Told::Token(token) = told else { return false };
        self.chain.push(token);
        self.given.insert(token)
    }

    fn refresh(&mut self, token: Seen, at: Secs, told: Told, policy: RefreshPolicy) -> bool {
        let Some(position) = self.chain.iter().position(|known| *known == token) else {
            return told == Told::Gone;
        };
        let present = self.chain[self.chain.len() - 1];
        let age = at - self.rotated_at;
        let was_young = self.parent_was < policy.min_age + policy.in_flight;
        match self.chain.len() - 1 - position {
            0 if age >= policy.min_age => {
                (self.parent_was, self.rotated_at) = (age, at);
                self.give(told)
            }
            0 => told == Told::Token(token),
            1 if age <= policy.grace || was_young && age <= policy.access + policy.grace => {
                told == Told::Token(present)
            }
            _ => told == Told::Reused,
        }
    }

    /// Whether the operation may be told this; it is done then.
    pub(super) fn takes(&mut self, operation: Operation, told: Told, policy: RefreshPolicy) -> bool {
        match operation {
            Operation::LogIn { .. } if told == Told::Blocked => self.is_blocked,
            Operation::LogIn { at } => {
                self.chain.clear();
                (self.made_at, self.rotated_at, self.parent_was) = (at, at, Secs::MAX);
                !self.is_blocked && self.give(told)
            }
            Operation::Refresh { token, at } => self.refresh(token, at, told, policy),
            Operation::End { token } => {
                if self.chain.contains(&token) {
                    self.chain.clear();
                }
                told == Told::Done
            }
            Operation::EndAny => {
                self.chain.clear();
                told == Told::Done
            }
            Operation::Block => {
                self.is_blocked = true;
                told == Told::Done
            }
            // Two in the same millisecond may both have done it: they cannot be told from one that the SDK sent again.
            Operation::Unblock { at } if !self.is_blocked => {
                told == Told::Unblocked(false) || told == Told::Unblocked(true) && self.unblocked_at == at
            }
            Operation::Unblock { at } => {
                (self.is_blocked, self.unblocked_at) = (false, at);
                told == Told::Unblocked(true)
            }
            // They have parts.
            Operation::LogOutAll { .. } | Operation::DeleteUser { .. } | Operation::EndSessions | Operation::Delete => {
                false
            }
            Operation::LogOut { made_at } => {
                if self.made_at == made_at {
                    self.chain.clear();
                }
                told == Told::Done
            }
            Operation::Look { made_at } => {
                let is_there = !self.chain.is_empty() && self.made_at == made_at;
                told == Told::Session(is_there.then_some(self.made_at))
            }
        }
    }
}

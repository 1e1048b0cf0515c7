//! A session that does one thing at a time: what the processes together have to look like.
//!
//! The rule is said here once more, in other words and over tokens that mean nothing, so that it does not lean on what it
//! is to judge.

use std::collections::BTreeSet;

use shared::{
    clock::{Millis, Secs},
    session::refresh::RefreshPolicy,
};

/// A refresh token by the number under which it was first seen.
pub type Seen = usize;

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `POST /v1/login`.
    LogIn { at: Secs },
    /// `POST /v1/refresh`.
    Refresh { token: Seen, at: Secs },
    /// `DELETE /v1/sessions`, with an access token that came with this refresh token, and when it was sent.
    LogOutAll { with: Seen, at_ms: Millis },
    /// `DELETE /v1/user`, likewise.
    DeleteUser { with: Seen, at_ms: Millis },
    /// The owner's `end_sessions`.
    EndSessions { at_ms: Millis },
    /// The owner's `delete`.
    Delete { at_ms: Millis },
    /// The owner's `block`.
    Block { at_ms: Millis },
    /// The owner's `unblock`.
    Unblock { at: Secs },
    /// The session ends, whichever it is, and no login is let in any more that arrived before this was sent: a part of what has
    /// more effects than one.
    EndAll { at_ms: Millis },
    /// The session ends, whichever it is.
    EndAny,
    /// The end of a family that was found reused: it is seen by its effect only.
    End {
        /// A token of the family.
        token: Seen,
    },
    /// `DELETE /v1/session`, with an access token that came with this refresh token.
    LogOut { with: Seen },
    /// `GET /v1/session`, likewise.
    Look { with: Seen },
}

/// What a client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    Token(Seen),
    /// The first token of a login, and when that arrived.
    LoggedIn(Seen, Millis),
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
            (
                Self::LogOutAll { at_ms, .. }
                | Self::DeleteUser { at_ms, .. }
                | Self::EndSessions { at_ms }
                | Self::Delete { at_ms },
                Told::Done,
            ) => vec![(Self::EndAll { at_ms }, told)],
            // Who is told that the session is over has looked at it.
            (Self::LogOutAll { with, .. } | Self::DeleteUser { with, .. }, _) => vec![(Self::Look { with }, told)],
            (Self::Block { at_ms }, _) => vec![(self, told), (Self::EndAll { at_ms }, Told::Done)],
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
    /// Logins that arrived until then are not let in.
    logins_after: Millis,
}

impl Register {
    /// Gives a token that nobody has seen before.
    fn give(&mut self, token: Seen) -> bool {
        self.chain.push(token);
        self.given.insert(token)
    }

    fn log_in(&mut self, at: Secs, told: Told) -> bool {
        let Told::LoggedIn(token, arrived_ms) = told else { return told == Told::Blocked && self.is_blocked };
        self.chain.clear();
        (self.made_at, self.rotated_at, self.parent_was) = (at, at, Secs::MAX);
        !self.is_blocked && self.logins_after < arrived_ms && self.give(token)
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
                matches!(told, Told::Token(token) if self.give(token))
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
            Operation::LogIn { at } => self.log_in(at, told),
            Operation::Refresh { token, at } => self.refresh(token, at, told, policy),
            Operation::EndAll { at_ms } => {
                self.chain.clear();
                self.logins_after = self.logins_after.max(at_ms);
                told == Told::Done
            }
            Operation::EndAny => {
                self.chain.clear();
                told == Told::Done
            }
            Operation::Block { .. } => {
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
            Operation::LogOutAll { .. }
            | Operation::DeleteUser { .. }
            | Operation::EndSessions { .. }
            | Operation::Delete { .. } => false,
            Operation::LogOut { with: token } | Operation::End { token } => {
                if self.chain.contains(&token) {
                    self.chain.clear();
                }
                told == Told::Done
            }
            Operation::Look { with } => told == Told::Session(self.chain.contains(&with).then_some(self.made_at)),
        }
    }
}

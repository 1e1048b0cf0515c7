//! A session that does one thing at a time: what the processes together have to look like.
//!
//! The rule is said here once more, in other words and over tokens that mean nothing, so that it does not lean on what it
//! is to judge.

use shared::{clock::Secs, session::refresh::RefreshPolicy};
use stateright::semantics::SequentialSpec;

/// A refresh token by the number under which it was first seen.
pub type Seen = usize;

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `POST /v1/login`.
    LogIn { at: Secs },
    /// `POST /v1/refresh`.
    Refresh { token: Seen, at: Secs },
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
}

/// The session of a device.
#[derive(Clone, Debug)]
pub struct Register {
    policy: RefreshPolicy,
    /// Every token that was ever given.
    given: Vec<Seen>,
    /// The tokens of the session that there is, the present one last.
    chain: Vec<Seen>,
    made_at: Secs,
    rotated_at: Secs,
    /// How old the present token's parent was when it was replaced.
    parent_was: Secs,
}

impl Register {
    /// No session.
    #[must_use]
    pub fn new(policy: RefreshPolicy) -> Self {
        Self { policy, given: Vec::new(), chain: Vec::new(), made_at: 0, rotated_at: 0, parent_was: 0 }
    }

    /// Gives a token that nobody has seen before.
    fn give(&mut self, told: &Told) -> bool {
        let Told::Token(token) = *told else { return false };
        let is_new = !self.given.contains(&token);
        self.given.push(token);
        self.chain.push(token);
        is_new
    }

    fn refresh(&mut self, token: Seen, at: Secs, told: &Told) -> bool {
        let Some(position) = self.chain.iter().position(|known| *known == token) else {
            return *told == Told::Gone;
        };
        let present = self.chain[self.chain.len() - 1];
        let age = at - self.rotated_at;
        match self.chain.len() - 1 - position {
            0 if age >= self.policy.min_age => {
                (self.parent_was, self.rotated_at) = (age, at);
                self.give(told)
            }
            0 => *told == Told::Token(token),
            1 if age <= self.policy.grace || self.parent_was < self.policy.min_age + self.policy.in_flight => {
                *told == Told::Token(present)
            }
            _ => *told == Told::Reused,
        }
    }
}

impl SequentialSpec for Register {
    type Op = Operation;
    type Ret = Told;

    /// What an operation gives that nobody waited for: there is none.
    fn invoke(&mut self, _: &Operation) -> Told {
        Told::Done
    }

    fn is_valid_step(&mut self, operation: &Operation, told: &Told) -> bool {
        match *operation {
            Operation::LogIn { at } => {
                self.chain.clear();
                (self.made_at, self.rotated_at, self.parent_was) = (at, at, Secs::MAX);
                self.give(told)
            }
            Operation::Refresh { token, at } => self.refresh(token, at, told),
            Operation::End { token } => {
                if self.chain.contains(&token) {
                    self.chain.clear();
                }
                *told == Told::Done
            }
            Operation::LogOut { made_at } => {
                if self.made_at == made_at {
                    self.chain.clear();
                }
                *told == Told::Done
            }
            Operation::Look { made_at } => {
                let is_there = !self.chain.is_empty() && self.made_at == made_at;
                *told == Told::Session(is_there.then_some(self.made_at))
            }
        }
    }
}

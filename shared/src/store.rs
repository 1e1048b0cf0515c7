//! The table: what a function may do with it ([`grants`]), and how that is done in DynamoDB ([`dynamo`]).
//!
//! The store says what it did or what it saw; it never judges. Every expiry is checked by the reader, because the
//! table's TTL deletes late.

pub mod dynamo;
pub mod grants;

use std::error::Error;

use crate::{
    clock::Secs,
    problem::{Code, Problem},
};

/// What went wrong below the store. An infrastructure failure: never a verdict on a credential.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The table has no capacity left for now.
    #[error("the table throttles")]
    Throttled,
    /// The table cannot be reached, or failed.
    #[error("the table is unavailable")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// An item is not as we write them.
    #[error("the item's attribute {attribute} is not as expected")]
    Corrupt {
        /// The attribute.
        attribute: &'static str,
    },
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Corrupt { .. } => Self::new(Code::Internal),
            StoreError::Throttled | StoreError::Unavailable(_) => Self::new(Code::Unavailable).retry_after(1),
        }
        .because(error)
    }
}

/// Why an attempt to decrypt may not be made.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// Thirty attempts were made within the hour.
    #[error("too many attempts within the hour")]
    RateLimited {
        /// Seconds until the hour is over.
        retry_after: Secs,
    },
    /// Nothing is stored about this user.
    #[error("no such user")]
    NoUser,
    /// The table failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<TakeError> for Problem {
    fn from(error: TakeError) -> Self {
        match error {
            TakeError::Store(error) => error.into(),
            TakeError::RateLimited { retry_after } => {
                Self::new(Code::RateLimited).retry_after(retry_after).because(error)
            }
            // The session is there but its user is not: a new login puts that right.
            TakeError::NoUser => Self::new(Code::SessionKeyExpired).because(error),
        }
    }
}

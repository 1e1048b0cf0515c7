//! What the contract says of sessions.

use shared::contract::Operation;

use crate::{Asked, ROUTES, SessionAnswer, SessionsAnswer};

/// The routes, described.
#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::new(ROUTES[0], "session", "The session of the access token")
            .bearer()
            .query::<Asked>()
            .gives::<SessionAnswer>(),
        Operation::new(ROUTES[1], "session-delete", "Logs this device out; also if it already was").bearer(),
        Operation::new(ROUTES[2], "sessions", "All sessions of the user").bearer().gives::<SessionsAnswer>(),
        Operation::new(ROUTES[3], "sessions-delete", "Logs all devices of the user out").bearer(),
        Operation::new(ROUTES[4], "user-delete", "Deletes everything that is stored about the user").bearer(),
    ]
}

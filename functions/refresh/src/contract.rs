//! What the contract says of the refresh.

use shared::{contract::Operation, problem::Code, token::TokenAnswer};

use crate::{ROUTES, RefreshRequest};

/// The route, described.
#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::new(ROUTES[0], "refresh", "A refresh token for its successor and a new access token")
            .takes::<RefreshRequest>()
            .gives::<TokenAnswer>()
            .refuses(&[Code::LoginRequired, Code::TokenReused]),
    ]
}

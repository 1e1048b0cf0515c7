//! What the contract says of the well-known documents.

use shared::{contract::Operation, token::jwks::PublicJwks};

use crate::{Discovery, ROUTES};

/// The routes, described.
#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::new(ROUTES[0], "openid-configuration", "Who issues the access tokens")
            .gives::<Discovery<'_>>()
            .cached(),
        Operation::new(ROUTES[1], "jwks", "The keys that verify the access tokens").gives::<PublicJwks>().cached(),
    ]
}

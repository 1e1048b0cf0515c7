//! All functions of the project. Laptop, contract and tests read this list; a new function adds one word to it.

use std::collections::HashMap;

use axum::Router;
#[cfg(feature = "contract")]
use shared::contract::Operation;
use shared::{
    env::Env,
    http::{Route, stack},
    vars::ConfigError,
};

use crate::{error::StartError, template};

/// A function of the project.
pub struct Mount {
    /// The name of its package.
    pub name: &'static str,
    pub entry_point: EntryPoint,
}

/// How a function is called.
pub enum EntryPoint {
    /// Requests to these routes, answered by the router that Lambda serves.
    Routes(&'static [Route], Router),
    /// AWS sends it other events than requests, so the laptop routes nothing to it.
    Events,
}

macro_rules! mounts {
    (routes: $($function:ident),+; events: $($event_function:ident),+;) => {
        /// All functions, built from one environment.
        pub async fn all(env: &Env) -> Result<Vec<Mount>, ConfigError> {
            // All of them together are large.
            let ($($function,)+) = tokio::try_join!($(Box::pin($function::Deps::from_env(env.clone()))),+)?;
            let mut mounts = vec![$(Mount {
                name: stringify!($function),
                entry_point: EntryPoint::Routes($function::ROUTES, stack($function::router($function), env.log())),
            }),+];
            mounts.extend([$(stringify!($event_function)),+].map(|name| Mount { name, entry_point: EntryPoint::Events }));
            Ok(mounts)
        }

        /// What the contract says about every route.
        #[cfg(feature = "contract")]
        #[must_use]
        pub fn operations() -> Vec<Operation> {
            [$($function::operations()),+].into_iter().flatten().collect()
        }
    };
}

mounts! {
    routes: login, refresh, phone, userinfo, session, push, keys;
    events: authorizer, rotation, admin, platform, sign;
}

/// The router for each route key (`METHOD /path`) of the template.
pub fn routers(mounts: &[Mount]) -> Result<HashMap<String, Router>, StartError> {
    let find = |function: &str| {
        mounts.iter().find(|mount| mount.name == function).and_then(|mount| match &mount.entry_point {
            EntryPoint::Routes(_, router) => Some(router.clone()),
            EntryPoint::Events => None,
        })
    };
    template::routes()?
        .into_iter()
        .map(|route| {
            let router = find(&route.function);
            let router = router.ok_or_else(|| StartError::Template(format!("no {} is mounted", route.function)))?;
            Ok((format!("{} {}", route.method, route.path), router))
        })
        .collect()
}

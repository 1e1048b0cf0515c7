//! Every function of the project: the one list that laptop, contract and tests read. A new function is one word here.

use axum::Router;
#[cfg(feature = "contract")]
use shared::contract::Operation;
use shared::{
    env::Env,
    http::{Route, stack},
    vars::ConfigError,
};

use crate::{StartError, template};

/// A function.
pub struct Mount {
    /// Its package.
    pub name: &'static str,
    pub entry_point: EntryPoint,
}

/// What reaches a function.
pub enum EntryPoint {
    /// Requests to these routes, answered by the router that Lambda serves.
    Routes(&'static [Route], Router),
    /// Events that no gateway sends, so there is nothing to route on the laptop.
    Events,
}

macro_rules! mounts {
    (routes: $($function:ident),+; events: $($event_function:ident),+;) => {
        /// All functions, built from one environment.
        pub async fn all(env: &Env) -> Result<Vec<Mount>, ConfigError> {
            let ($($function,)+) = tokio::try_join!($($function::Deps::from_env(env.clone())),+)?;
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
    events: authorizer, rotation, admin, platform;
}

/// The router of each route of the template.
pub fn routed(mounts: &[Mount]) -> Result<Vec<(String, Router)>, StartError> {
    let router = |function: &str| {
        mounts.iter().find(|mount| mount.name == function).and_then(|mount| match &mount.entry_point {
            EntryPoint::Routes(_, router) => Some(router.clone()),
            EntryPoint::Events => None,
        })
    };
    template::routes(template::TEXT)?
        .into_iter()
        .map(|route| {
            let router = router(&route.function);
            let router = router.ok_or_else(|| StartError::Template(format!("no {} is mounted", route.function)))?;
            Ok((format!("{} {}", route.method, route.path), router))
        })
        .collect()
}

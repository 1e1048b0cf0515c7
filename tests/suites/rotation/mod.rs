//! Requests while keys are rotated: four processes, each with secrets of its own age.

mod drive;
pub mod figures;
pub mod secrets_manager;

use axum::Router;
use futures_util::future::join_all;
use serde_json::{Value, json};
use shared::env::Env;

pub use drive::{DAY, EMPTY, STEPS, deps, deps_for, laptop, rotate, start, step};
use secrets_manager::SecretsManager;

/// What came of requests across rotations.
#[derive(Clone, Copy, Debug)]
pub struct Across {
    pub requests: u64,
    /// How many of them were refused or failed: none.
    pub failed: u64,
    /// How many rotations of both secrets there were that brought other keys to use.
    pub rotations: u64,
    /// How many rotations of the signing keys ended half-way, with a key that was published and never used.
    pub half: u64,
}

/// Processes of one deployment, each with secrets of its own age.
const PROCESSES: usize = 4;

/// A little over a day in minutes, so that the keys of one rotation come to use in the next, and a half one fits between.
const ROUND: u64 = 1_442;

/// The first minute after a rotation in which the next changes anything.
const HALF: u64 = ROUND - 1;

/// The keys in use: that of refresh tokens, and that of access tokens.
fn in_use(manager: &SecretsManager) -> (Value, Value) {
    let read = |secret| serde_json::from_str::<Value>(&manager.current(secret)).expect("JSON");
    let (ring, signing) = (read("keyring"), read("signing"));
    let keys = signing["keys"].as_array().expect("keys");
    let current = keys.iter().find(|key| key["state"] == "current").expect("a current key");
    (ring["current"].clone(), current["kid"].clone())
}

/// A process: its routes and the authorizer.
struct Process {
    routes: Vec<(&'static str, Router)>,
    authorizer: authorizer::Deps,
}

impl Process {
    async fn start(env: &Env) -> Self {
        let mounts = local::mounts::all(env).await.expect("the functions start");
        let routes = mounts.into_iter().filter_map(|mount| match mount.entry_point {
            local::mounts::EntryPoint::Routes(served, router) => Some((served[0].path, router)),
            local::mounts::EntryPoint::Events => None,
        });
        let authorizer = authorizer::Deps::from_env(env.clone()).await.expect("the authorizer starts");
        Self { routes: routes.collect(), authorizer }
    }

    async fn post(&self, path: &str, body: Value) -> (u64, Value) {
        let router = &self.routes.iter().find(|(at, _)| *at == path).expect("a route").1;
        let event = crate::event("POST", path, &body.to_string());
        let answer = shared::lambda::call(router, event, "load").await.expect("an answer");
        let body = serde_json::from_str(answer["body"].as_str().expect("a body")).expect("JSON");
        (answer["statusCode"].as_u64().expect("a status"), body)
    }

    async fn lets_in(&self, bearer: &str) -> bool {
        let event = json!({ "version": "2.0", "headers": { "authorization": bearer } });
        let event = serde_json::from_value(event).expect("an event");
        let decision = authorizer::handle(self.authorizer.clone(), event).await.expect("a decision");
        serde_json::to_value(decision).expect("JSON")["isAuthorized"] == true
    }
}

/// At least so many requests, in at most 30 days: every one goes to another process than the one before, and each process
/// has what it read up to ten minutes ago. Keys are rotated every day and once more ten minutes after, which is too early
/// to change anything; and as soon as it is not, a rotation ends half-way, a minute before the next.
pub async fn across(requests: u64) -> Across {
    let manager = SecretsManager::start(&EMPTY).await;
    let first = laptop(&manager).await;
    let deps = deps(&manager, &first.clock).await;
    rotate(&manager, &deps, "version-first").await;
    let processes: Vec<_> = join_all((0..PROCESSES).map(|_| Process::start(&first.world.env))).await;

    let (mut seen, mut minute) = (Across { requests: 0, failed: 0, rotations: 0, half: 0 }, 0);
    let (_, mut tokens) = processes[0].post("/v1/login", json!({ "code": first.code("alice") })).await;
    while seen.requests < requests {
        minute += 1;
        first.clock.advance(60);
        match minute % ROUND {
            0 | 10 => {
                let before = in_use(&manager);
                rotate(&manager, &deps, &format!("version-{minute}")).await;
                let after = in_use(&manager);
                seen.rotations += u64::from(before.0 != after.0 && before.1 != after.1);
            }
            HALF => {
                let version = format!("version-{minute}");
                for name in &STEPS[..2] {
                    step(&deps, name, "signing", &version).await.expect("half of a rotation");
                }
                let pending = manager.at_stage("signing", "AWSPENDING").expect("a pending version");
                seen.half += u64::from(pending != manager.current("signing"));
            }
            _ => {}
        }
        let process = &processes[usize::try_from(minute).expect("an index") % PROCESSES];
        let (status, answer) = process.post("/v1/refresh", json!({ "refresh_token": tokens["refresh_token"] })).await;
        // No session grows older than thirty days here: whatever is refused is a failure.
        seen.failed += u64::from(status != 200);
        if status == 200 {
            tokens = answer;
        }
        let bearer = format!("Bearer {}", tokens["access_token"].as_str().expect("a token"));
        for process in &processes {
            seen.failed += u64::from(!process.lets_in(&bearer).await);
        }
        seen.requests += 1 + PROCESSES as u64;
    }
    seen
}

//! A client of a device: it does what comes to its mind with what any client of the device was ever given.

use std::sync::{Mutex, MutexGuard, PoisonError};

use http::StatusCode;
use serde_json::json;
use shared::clock::{Clock as _, Secs};

use super::{
    Event, History,
    register::{Operation, Seen, Told},
};
use crate::{Laptop, Response, jwt_claims, seeded::Seeded};

/// An access token is not used longer than this: a history is about sessions.
const FRESH: Secs = 800;

#[derive(Clone)]
struct Access {
    text: String,
    made_at: Secs,
    given_at: Secs,
}

#[derive(Default)]
struct Storage {
    refresh: Vec<String>,
    access: Vec<Access>,
    history: History,
}

/// A device, and all that is known of it.
pub(super) struct Device {
    user: String,
    storage: Mutex<Storage>,
}

impl Device {
    pub(super) fn new(user: String) -> Self {
        Self { user, storage: Mutex::default() }
    }

    fn storage(&self) -> MutexGuard<'_, Storage> {
        self.storage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn history(self) -> History {
        self.storage.into_inner().unwrap_or_else(PoisonError::into_inner).history
    }
}

/// A client at its process.
pub(super) struct Client<'a> {
    device: &'a Device,
    thread: usize,
    laptop: &'a Laptop,
    random: Seeded,
}

impl<'a> Client<'a> {
    pub(super) fn new(device: &'a Device, thread: usize, laptop: &'a Laptop, random: Seeded) -> Self {
        Self { device, thread, laptop, random }
    }

    fn call(&self, operation: Operation) {
        self.device.storage().history.0.push(Event::Call(self.thread, operation));
    }

    fn told(&self, told: Told) {
        self.device.storage().history.0.push(Event::Return(self.thread, told));
    }

    /// Keeps the tokens of an answer.
    fn keep(&self, answer: &Response) -> Told {
        let (refresh, text) = (answer.text_of("refresh_token"), answer.text_of("access_token"));
        let made_at = jwt_claims(&text)["auth_time"].as_u64().expect("a time");
        let mut storage = self.device.storage();
        storage.access.push(Access { text, made_at, given_at: self.laptop.clock.now() });
        let seen = storage.refresh.iter().position(|known| *known == refresh).unwrap_or_else(|| {
            storage.refresh.push(refresh);
            storage.refresh.len() - 1
        });
        Told::Token(seen)
    }

    pub(super) async fn log_in(&mut self) {
        self.call(Operation::LogIn { at: self.laptop.clock.now() });
        // All clients are one device. Of two logins in the same millisecond one is asked to log in again.
        let answer = loop {
            let body = json!({ "code": self.laptop.code(&self.device.user), "device": "A".repeat(22) });
            let answer = self.laptop.post("/v1/login", &body).await;
            if answer.status == StatusCode::OK {
                break answer;
            }
            answer.is_problem(503, "retry_login", "relogin");
        };
        let told = self.keep(&answer);
        self.told(told);
    }

    async fn refresh(&mut self) {
        let (token, text) = {
            let back = [0, 0, 0, 0, 0, 0, 0, 1, 1, 2][self.random.index(10)];
            let storage = self.device.storage();
            let token: Seen = storage.refresh.len() - 1 - back.min(storage.refresh.len() - 1);
            (token, storage.refresh[token].clone())
        };
        self.call(Operation::Refresh { token, at: self.laptop.clock.now() });
        let answer = self.laptop.refresh(&text).await;
        let told = match answer.status {
            StatusCode::OK => self.keep(&answer),
            _ => match answer.text_of("code").as_str() {
                "login_required" => Told::Gone,
                "token_reused" => Told::Reused,
                _ => panic!("{answer:?}"),
            },
        };
        self.told(told);
    }

    /// One of the last access tokens that is still good by itself.
    fn access(&mut self) -> Option<Access> {
        let back = self.random.index(3);
        let now = self.laptop.clock.now();
        let storage = self.device.storage();
        let fresh: Vec<_> = storage.access.iter().filter(|access| access.given_at + FRESH > now).collect();
        fresh.iter().rev().nth(back.min(fresh.len().saturating_sub(1))).map(|access| (*access).clone())
    }

    async fn look(&mut self, access: Access) {
        self.call(Operation::Look { made_at: access.made_at });
        let answer = self.laptop.get(&access.text, "/v1/session").await;
        let told = if answer.status == StatusCode::OK {
            Told::Session(Some(answer.json()["created_at"].as_u64().expect("a time")))
        } else {
            answer.is_problem(401, "token_invalid", "refresh");
            Told::Session(None)
        };
        self.told(told);
    }

    async fn log_out(&mut self, access: Access) {
        self.call(Operation::LogOut { made_at: access.made_at });
        let answer = self.laptop.delete(&access.text, "/v1/session").await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{answer:?}");
        self.told(Told::Done);
    }

    pub(super) async fn act(&mut self) {
        match (self.random.below(20), self.access()) {
            (0..2, _) => self.log_in().await,
            (2, Some(access)) => self.log_out(access).await,
            (3..7, Some(access)) => self.look(access).await,
            _ => self.refresh().await,
        }
    }
}

//! A client of a device: it does what comes to its mind with what any client of the device was ever given.

use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::StatusCode;
use serde_json::json;
use shared::clock::{Clock as _, Millis, Secs};

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
    /// The refresh token that it came with.
    with: Seen,
    given_at: Secs,
}

#[derive(Default)]
struct Storage {
    refresh: Vec<String>,
    access: Vec<Access>,
    openid: String,
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

/// When the login of an access token's session arrived: its `jti` ends with the millisecond.
fn arrived_ms(access: &str) -> Millis {
    let claims = jwt_claims(access);
    let jti = URL_SAFE_NO_PAD.decode(claims["jti"].as_str().expect("text")).expect("base64url");
    let millisecond = jti[16..].try_into().map(u16::from_be_bytes).expect("two bytes");
    claims["auth_time"].as_u64().expect("a time") * 1_000 + Millis::from(millisecond)
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
    fn keep(&self, answer: &Response) -> Seen {
        let (refresh, text) = (answer.text_of("refresh_token"), answer.text_of("access_token"));
        let mut storage = self.device.storage();
        if let Some(openid) = answer.json()["openid"].as_str() {
            openid.clone_into(&mut storage.openid);
        }
        let seen = storage.refresh.iter().position(|known| *known == refresh).unwrap_or_else(|| {
            storage.refresh.push(refresh);
            storage.refresh.len() - 1
        });
        storage.access.push(Access { text, with: seen, given_at: self.laptop.clock.now() });
        seen
    }

    pub(super) async fn log_in(&mut self) {
        // All clients are one device. Of two logins in the same millisecond one is asked to log in again.
        let body = json!({ "code": self.laptop.code(&self.device.user), "device": "A".repeat(22) });
        self.call(Operation::LogIn { at: self.laptop.clock.now() });
        let answer = self.laptop.post("/v1/login", &body).await;
        let told = match answer.status {
            StatusCode::OK => Told::LoggedIn(self.keep(&answer), arrived_ms(&answer.text_of("access_token"))),
            _ => match answer.text_of("code").as_str() {
                "user_blocked" => Told::Blocked,
                "retry_login" => Told::Retry,
                _ => panic!("{answer:?}"),
            },
        };
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
            StatusCode::OK => Told::Token(self.keep(&answer)),
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
        self.call(Operation::Look { with: access.with });
        let answer = self.laptop.get(&access.text, "/v1/session").await;
        let told = if answer.status == StatusCode::OK {
            Told::Session(Some(answer.json()["created_at"].as_u64().expect("a time")))
        } else {
            answer.is_problem(401, "token_invalid", "refresh");
            Told::Session(None)
        };
        self.told(told);
    }

    /// Ends this session, or all, or the user.
    async fn end(&mut self, path: &str, access: Access) {
        let (with, at_ms) = (access.with, self.laptop.clock.now_ms());
        self.call(match path {
            "/v1/session" => Operation::LogOut { with },
            "/v1/sessions" => Operation::LogOutAll { with, at_ms },
            _ => Operation::DeleteUser { with, at_ms },
        });
        let answer = self.laptop.delete(&access.text, path).await;
        let told = if answer.status == StatusCode::NO_CONTENT {
            Told::Done
        } else {
            answer.is_problem(401, "token_invalid", "refresh");
            Told::Session(None)
        };
        self.told(told);
    }

    async fn own(&mut self, name: &str, operation: Operation) {
        let openid = self.device.storage().openid.clone();
        self.call(operation);
        let done = self.laptop.owner(name, &openid).await;
        self.told(done["unblocked"].as_bool().map_or(Told::Done, Told::Unblocked));
    }

    pub(super) async fn act(&mut self) {
        let at_ms = self.laptop.clock.now_ms();
        match (self.random.below(60), self.access()) {
            (0..6, _) => self.log_in().await,
            (6..8, Some(access)) => self.end("/v1/session", access).await,
            (8, Some(access)) => self.end("/v1/sessions", access).await,
            (9, Some(access)) => self.end("/v1/user", access).await,
            (10, _) => self.own("end_sessions", Operation::EndSessions { at_ms }).await,
            (11, _) => self.own("delete", Operation::Delete { at_ms }).await,
            (12, _) => self.own("block", Operation::Block { at_ms }).await,
            (13..17, _) => self.own("unblock", Operation::Unblock { at: self.laptop.clock.now() }).await,
            (17..29, Some(access)) => self.look(access).await,
            _ => self.refresh().await,
        }
    }
}

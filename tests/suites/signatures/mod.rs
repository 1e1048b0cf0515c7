//! Signatures of users' states: whatever logins, replacements at WeChat and resets come between, `sign` uses a key that was the
//! user's current one while it was asked, and with `check` one that WeChat accepted while it was asked.
//!
//! The real functions `login`, `admin` and `sign` run over the table in memory and a WeChat that gives another key now and then;
//! each of their requests lets the others go on. One `sign` runs beside at most one other operation, so that what it may have
//! seen is known.

pub mod figures;
mod wechat;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{Router, body::Body};
use http::Request;
use serde_json::{Value, json};
use shared::{
    brake::Brake,
    clock::Deadline,
    http::{
        extract::{ClientIp, Origin, RequestId},
        record::Log,
        stack,
    },
    ids::{AppId, OpenId, UserRef},
    secret_text::SessionKey,
    store::grants::ReadUser as _,
    token::keyring::Keyring,
    wechat::signature,
};
use tower::ServiceExt as _;

use crate::{
    APPID, BEGIN, ManualClock, login_deps,
    seeded::{Seeded, SeededEntropy},
    table::memory::MemoryTable,
};
use wechat::Wechat;

/// So many users take turns: a signature by another user's key is noticed too.
const USERS: u64 = 5;

/// What came of many signatures.
#[derive(Debug, Default)]
pub struct Tally {
    /// Signatures, without and with a check.
    pub signed: u64,
    pub checked: u64,
    /// Answers that a login is needed.
    pub stale: u64,
    /// How many other operations there were, by name.
    pub others: BTreeMap<&'static str, u64>,
    /// Signatures by another key, and refusals of a key that was good all the time.
    pub wrong: Vec<String>,
}

/// How `sign` may be broken, so that the suite is seen to notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// The key is remembered from one call to the next.
    RemembersKeys,
    /// WeChat is asked, and its answer does not matter.
    IgnoresTheCheck,
}

/// What happens to a user beside a signature, or between two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Other {
    Nothing,
    /// The client logs in: WeChat may replace the key.
    Login,
    /// WeChat replaces the key and nobody tells: data pre-fetch, or a code that was never sent.
    Replacement,
    /// The owner resets the key.
    Reset,
}

impl Other {
    fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Login => "login",
            Self::Replacement => "replacement",
            Self::Reset => "reset",
        }
    }
}

struct World {
    table: MemoryTable,
    wechat: Arc<Wechat>,
    keyring: Arc<Keyring>,
    login: Router,
    sign: sign::Deps,
    admin: admin::Deps,
    devices: Mutex<BTreeMap<String, Value>>,
    flaw: Option<Flaw>,
    remembered: Mutex<BTreeMap<String, SessionKey>>,
}

/// Asks until there are so many signatures, over random logins and replacements that this seed determines.
pub async fn run(count: u64, seed: u64, flaw: Option<Flaw>) -> Tally {
    let (mut random, mut tally) = (Seeded::new(seed), Tally::default());
    let clock = ManualClock::at(BEGIN);
    let world = World::new(&clock, seed, flaw).await;
    for number in 0..USERS {
        world.other(Other::Login, &user(number)).await;
    }
    while tally.signed + tally.checked < count {
        clock.advance(random.below(90));
        clock.tick();
        let user = user(random.below(USERS));
        let some = |random: &mut Seeded| {
            [Other::Nothing, Other::Nothing, Other::Login, Other::Login, Other::Replacement, Other::Reset]
                [random.index(6)]
        };
        for other in [some(&mut random), Other::Nothing] {
            world.other(other, &user).await;
            *tally.others.entry(other.name()).or_default() += 1;
        }
        clock.tick();
        let beside = some(&mut random);
        *tally.others.entry(beside.name()).or_default() += 1;
        world.judge(&mut tally, &user, beside, &format!("message {}", random.number()), random.one_in(2)).await;
    }
    tally
}

fn user(number: u64) -> String {
    format!("o{number}")
}

impl World {
    async fn new(clock: &ManualClock, seed: u64, flaw: Option<Flaw>) -> Self {
        let (table, wechat) = (MemoryTable::default(), Arc::new(Wechat::new(seed)));
        let (time, entropy) = (Arc::new(clock.clone()), Arc::new(SeededEntropy::new(seed)));
        let login = login_deps(Arc::new(table.clone()), wechat.clone(), time.clone(), entropy.clone()).await;
        let (apps, keyring) = (login.apps.clone(), login.keyring.clone());
        Self {
            keyring: keyring.get().await.expect("a ring"),
            sign: sign::Deps {
                table: Arc::new(table.clone()),
                platform: wechat.clone(),
                apps: apps.clone(),
                keyring: keyring.clone(),
            },
            admin: admin::Deps {
                table: Arc::new(table.clone()),
                platform: wechat.clone(),
                apps,
                keyring,
                brake: Brake::default(),
                clock: time,
                entropy,
            },
            login: stack(login::router(login), Log::new(|_| {})),
            table,
            wechat,
            devices: Mutex::default(),
            flaw,
            remembered: Mutex::default(),
        }
    }

    async fn other(&self, other: Other, user: &str) {
        match other {
            Other::Nothing => {}
            Other::Login => self.log_in(user).await,
            Other::Replacement => self.wechat.replace(user),
            Other::Reset => {
                let request = json!({ "operation": "reset_session_key", "appid": APPID, "openid": user });
                let done = admin::handle(self.admin.clone(), serde_json::from_value(request).expect("a request")).await;
                drop(done.expect("nothing fails here"));
            }
        }
    }

    /// Logs in. Beside a reset this may be refused, and is not tried again.
    async fn log_in(&self, user: &str) {
        let devices = || self.devices.lock().unwrap_or_else(PoisonError::into_inner);
        let mut body = json!({ "code": self.wechat.code(user) });
        if let Some(device) = devices().get(user) {
            body["device"] = device.clone();
        }
        let request = Request::post("/v1/login")
            .header("content-type", "application/json")
            .extension(Origin("https://a.example".to_owned()))
            .extension(ClientIp("192.0.2.1".to_owned()))
            .extension(RequestId("request-1".to_owned()))
            .extension(Deadline::after(Duration::from_mins(1)))
            .body(Body::from(body.to_string()))
            .expect("a request");
        let answer = self.login.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
        let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.expect("a body");
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        if body["device"].is_string() {
            devices().insert(user.to_owned(), body["device"].clone());
        }
    }

    /// The key that the table holds.
    async fn stored(&self, user: &str) -> Option<SessionKey> {
        let user =
            UserRef { appid: AppId::parse(APPID).expect("an appid"), openid: OpenId::parse(user).expect("an openid") };
        let item = self.table.read_user(&user).await.expect("the table in memory").unwrap_or_default();
        item.session_key(&user, &self.keyring)
    }

    async fn sign(&self, user: &str, message: &str, check: bool) -> Value {
        let ignores = self.flaw == Some(Flaw::IgnoresTheCheck);
        let request = json!({ "appid": APPID, "openid": user, "message": message, "check": check && !ignores });
        let remembered = || self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if self.flaw == Some(Flaw::RemembersKeys)
            && let Some(key) = remembered().get(user)
        {
            return json!({ "signature": signature::of_user_state(key, message.as_bytes()) });
        }
        if let Some(key) = self.stored(user).await {
            remembered().entry(user.to_owned()).or_insert(key);
        }
        let answer = sign::handle(self.sign.clone(), serde_json::from_value(request).expect("a request")).await;
        json!(answer.expect("nothing fails here"))
    }

    /// Signs beside something else, and compares with every key that was current meanwhile.
    async fn judge(&self, tally: &mut Tally, user: &str, beside: Other, message: &str, check: bool) {
        let (stored, since) = (self.stored(user).await, self.wechat.now(user));
        let (answer, ()) = tokio::join!(self.sign(user, message, check), self.other(beside, user));
        let at_wechat = self.wechat.valid_since(user, since);
        let held: Vec<_> = [stored, self.stored(user).await].into_iter().flatten().collect();
        let by = |keys: &[SessionKey]| {
            let mut made = keys.iter().map(|key| signature::of_user_state(key, message.as_bytes()));
            answer["signature"].as_str().is_some_and(|signed| made.any(|made| made == signed))
        };
        let is_same = |keys: &[SessionKey]| keys.windows(2).all(|keys| keys[0].expose() == keys[1].expose());
        let is_good_throughout = held.len() == 2 && is_same(&[held.as_slice(), at_wechat.as_slice()].concat());
        let is_right = match (answer.get("signature").is_some(), check) {
            (true, false) => by(&held),
            (true, true) => by(&held) && by(&at_wechat),
            (false, true) => answer["refused"] == "stale" && !is_good_throughout,
            // Without a question to WeChat only a key that was dropped is refused.
            (false, false) => answer["refused"] == "stale" && held.len() < 2,
        };
        match (answer.get("signature").is_some(), check) {
            (true, false) => tally.signed += 1,
            (true, true) => tally.checked += 1,
            (false, _) => tally.stale += 1,
        }
        if !is_right {
            tally.wrong.push(format!("{user} beside {beside:?}, check {check}: {answer}"));
        }
    }
}

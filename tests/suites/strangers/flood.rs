//! A stranger sends invented codes from the public address at which honest users log in.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use axum::Router;
use shared::{
    clock::Deadline,
    http::{record::Log, stack},
    ids::{Network, OpenId},
    secret_text::{LoginCode, SessionKey},
    wechat::{
        api::{CodeExchange, ExchangeCode},
        app::App,
        error::WechatError,
    },
};

use super::sender::{Login, Told};
use crate::{
    BEGIN, ManualClock, login_deps,
    seeded::{Seeded, SeededEntropy},
    table::memory::MemoryTable,
};

const ADDRESS: &str = "198.51.100.7";

/// Of the case: so many at once, then so many a second, for so many seconds.
pub const AT_ONCE: u64 = 100;
pub const A_SECOND: u64 = 50;
pub const SECONDS: u64 = 60;

/// Honest logins a second: with a device that logged in before, and without.
const KNOWN: u64 = 20;
const NEW: u64 = 3;

/// So often a stranger tries, and heeds `retry_after`.
const TRIES: u64 = 3;

/// A WeChat that knows the codes `good-user-number`.
#[derive(Default)]
struct Wechat {
    invented: AtomicU64,
}

#[async_trait]
impl ExchangeCode for Wechat {
    async fn exchange(&self, _: &App, code: &LoginCode, _: &Network, _: Deadline) -> Result<CodeExchange, WechatError> {
        let Some(user) = code.expose().strip_prefix("good-").and_then(|code| code.split('-').next()) else {
            self.invented.fetch_add(1, Ordering::Relaxed);
            return Err(WechatError::CodeInvalid);
        };
        let openid = OpenId::parse(user).map_err(|_| WechatError::CodeInvalid)?;
        Ok(CodeExchange { openid, session_key: SessionKey::new("AQIDBAUGBwgJCgsMDQ4PEA=="), unionid: None })
    }
}

/// So many of so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    pub count: u64,
    pub of: u64,
}

impl Share {
    fn add(&mut self, is_counted: bool) {
        self.count += u64::from(is_counted);
        self.of += 1;
    }

    /// In hundredths of a percent.
    pub fn in_ten_thousand(self) -> u64 {
        10_000 * self.count / self.of.max(1)
    }
}

/// What came of a flood.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Logins with a known device, at the first try.
    pub known: Share,
    /// Logins of strangers, within three tries.
    pub strangers: Share,
    /// Invented codes that WeChat was asked about.
    pub asked: Share,
    /// Honest logins that were refused by anything but `rate_limited`.
    pub wrong: Vec<Told>,
}

#[derive(Clone)]
enum Event {
    Invented(u64),
    Known(u64),
    /// A stranger's login, and how often it was tried.
    New(u64, u64),
}

struct World {
    processes: Vec<Router>,
    random: Seeded,
    devices: Vec<String>,
    outcome: Outcome,
}

/// A flood and honest logins for so many seconds, at so many processes, one request at a time.
pub async fn flood(processes: usize, seconds: u64, seed: u64) -> Outcome {
    let (wechat, clock, table) =
        (Arc::new(Wechat::default()), ManualClock::at(BEGIN), Arc::new(MemoryTable::default()));
    let mut world =
        World { processes: Vec::new(), random: Seeded::new(seed), devices: Vec::new(), outcome: Outcome::default() };
    for number in 0..processes {
        let entropy = Arc::new(SeededEntropy::new(seed ^ (number as u64) << 32));
        let deps = login_deps(table.clone(), wechat.clone(), Arc::new(clock.clone()), entropy).await;
        world.processes.push(stack(login::router(deps), Log::new(|_| {})));
    }
    for user in 0..KNOWN {
        let login = Login::new("192.0.2.1", &format!("good-k{user}-first")).send(&world.processes[0]).await;
        world.devices.push(login.body["device"].as_str().expect("a device").to_owned());
    }
    clock.advance(120);

    for number in 0..AT_ONCE {
        world.happen(&Event::Invented(number)).await;
    }
    let mut due = vec![Vec::new(); 2];
    for second in 0..seconds + TRIES {
        let mut events: Vec<Event> = std::mem::take(&mut due[0]);
        due.rotate_left(1);
        if second < seconds {
            events.extend((0..A_SECOND).map(|number| Event::Invented(AT_ONCE + second * A_SECOND + number)));
            events.extend((0..KNOWN).map(|number| Event::Known(second * KNOWN + number)));
            events.extend((0..NEW).map(|number| Event::New(second * NEW + number, 1)));
        }
        while !events.is_empty() {
            let event = events.swap_remove(world.random.index(events.len()));
            due[0].extend(world.happen(&event).await);
        }
        clock.advance(1);
    }
    let invented = AT_ONCE + seconds * A_SECOND;
    world.outcome.asked = Share { count: wechat.invented.load(Ordering::Relaxed), of: invented };
    world.outcome
}

impl World {
    /// Sends what belongs to an event, and gives what follows a second later.
    async fn happen(&mut self, event: &Event) -> Option<Event> {
        let process = self.processes[self.random.index(self.processes.len())].clone();
        match event {
            Event::Invented(number) => {
                Login::new(ADDRESS, &format!("invented-{number}")).send(&process).await;
                None
            }
            Event::Known(number) => {
                let user = usize::try_from(number % KNOWN).expect("an index");
                let code = format!("good-k{user}-{number}");
                let login = Login { device: Some(&self.devices[user]), ..Login::new(ADDRESS, &code) };
                let told = login.send(&process).await;
                self.outcome.known.add(told.is_login());
                self.outcome.wrong.extend(Some(told).filter(|told| !told.is_login()));
                None
            }
            Event::New(number, tries) => {
                let told = Login::new(ADDRESS, &format!("good-n{number}-one")).send(&process).await;
                if told.body["code"] == "rate_limited" && told.body["retry_after"] == 1 && *tries < TRIES {
                    return Some(Event::New(*number, tries + 1));
                }
                self.outcome.strangers.add(told.is_login());
                let is_wrong = !told.is_login() && told.body["code"] != "rate_limited";
                self.outcome.wrong.extend(Some(told).filter(|_| is_wrong));
                None
            }
        }
    }
}

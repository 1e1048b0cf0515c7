//! No request of one source changes what another is told: a source is an address, and a device that logged in before.

use std::{sync::Arc, time::Duration};

use axum::Router;
use futures_util::future::join_all;
use shared::{
    http::{record::Log, stack},
    wechat::client::HttpWechat,
};

use super::{
    sender::Login,
    wechat::{self, WAYS},
};
use crate::{BEGIN, ManualClock, login_deps, seeded::SeededEntropy, table::memory::MemoryTable};

/// Where the stranger is.
const ADDRESS: &str = "198.51.100.7";

/// What a login gets at most: of it WeChat has what the writes leave.
const LIMIT: Duration = Duration::from_millis(2_200);

/// What another source may meet.
const MET: [&str; 5] = ["good", "e40029", "e40163", "s500", "e45011"];

/// A login function with a WeChat that does what codes say.
pub struct Process {
    function: Router,
    device: String,
}

impl Process {
    pub async fn start(wechat: &str) -> Self {
        let table = Arc::new(MemoryTable::default());
        let wechat = Arc::new(HttpWechat::new(wechat.to_owned(), &[]).expect("a client"));
        let (clock, entropy) = (Arc::new(ManualClock::at(BEGIN)), Arc::new(SeededEntropy::new(1)));
        let function = stack(login::router(login_deps(table, wechat, clock, entropy).await), Log::new(|_| {}));
        let first = Login::new("192.0.2.1", "good-known-first").send(&function).await;
        Self { function, device: first.body["device"].as_str().expect("a device").to_owned() }
    }

    /// So many requests at once from the stranger's address, whose codes fare like this.
    pub async fn flood(&self, ways: &[&str], key: Option<&str>) {
        let codes: Vec<_> = ways.iter().enumerate().map(|(number, way)| format!("{way}-stranger-{number}")).collect();
        let requests = codes.iter().map(|code| {
            let login = Login { limit: LIMIT, key, ..Login::new(ADDRESS, code) };
            async move { login.send(&self.function).await }
        });
        join_all(requests).await;
    }

    /// What other sources are told: strangers elsewhere, and a user who logged in before, at the stranger's own address.
    pub async fn told(&self) -> Vec<String> {
        let mut told = Vec::new();
        for way in MET {
            let (elsewhere, known) = (format!("{way}-elsewhere"), format!("{way}-known-again"));
            let elsewhere = Login { limit: LIMIT, ..Login::new("203.0.113.9", &elsewhere) };
            let known = Login { limit: LIMIT, device: Some(&self.device), ..Login::new(ADDRESS, &known) };
            told.push(format!("elsewhere, {way}: {}", elsewhere.send(&self.function).await.outcome()));
            told.push(format!("known, {way}: {}", known.send(&self.function).await.outcome()));
        }
        told
    }
}

/// What was tried, and where others were told something else.
#[derive(Debug, Default)]
pub struct Tally {
    /// Requests of the stranger.
    pub sent: u64,
    pub changed: Vec<String>,
}

impl Tally {
    /// Compares what others are told with what they are told without the stranger.
    pub async fn compare(&mut self, wechat: &str, ways: &[&str], key: Option<&str>) {
        let (alone, beside) = (Process::start(wechat).await, Process::start(wechat).await);
        beside.flood(ways, key).await;
        self.sent += ways.len() as u64;
        for (alone, beside) in alone.told().await.into_iter().zip(beside.told().await) {
            if alone != beside {
                self.changed.push(format!("after {ways:?}: {beside}; otherwise {alone}"));
            }
        }
    }
}

/// Every way, many times from one source.
pub async fn each_way(times: usize) -> Tally {
    let (wechat, mut tally) = (wechat::start().await, Tally::default());
    for way in WAYS {
        tally.compare(&wechat, &vec![way; times], None).await;
    }
    tally
}

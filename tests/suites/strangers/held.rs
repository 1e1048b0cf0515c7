//! How long a refused login holds a function: waits, and calls to WeChat and the table that take their time. The clock of the
//! runtime stands still but for these.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::Router;
use shared::{
    clock::Deadline,
    http::{record::Log, stack},
    ids::Network,
    secret_text::LoginCode,
    wechat::{
        api::{CodeExchange, ExchangeCode},
        app::App,
        error::WechatError,
    },
};
use tokio::time::Instant;

use super::sender::Login;
use crate::{
    BEGIN, KEY, ManualClock, login_deps,
    seeded::SeededEntropy,
    table::memory::{Fate, MemoryTable, Wire},
};

/// What calls take.
const WECHAT: Duration = Duration::from_millis(50);
const TABLE: Duration = Duration::from_millis(5);

/// A WeChat that calls every code invalid.
struct Wechat;

#[async_trait]
impl ExchangeCode for Wechat {
    async fn exchange(&self, _: &App, _: &LoginCode, _: &Network, _: Deadline) -> Result<CodeExchange, WechatError> {
        tokio::time::sleep(WECHAT).await;
        Err(WechatError::CodeInvalid)
    }
}

struct Way;

#[async_trait]
impl Wire for Way {
    async fn request(&self) -> Fate {
        tokio::time::sleep(TABLE).await;
        Fate::Arrives
    }

    async fn answer(&self) -> Fate {
        Fate::Arrives
    }
}

/// How long logins with an invented code hold the function: the first one, and the same again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    pub first: Duration,
    pub again: Duration,
}

/// Without an `Idempotency-Key`, and with one.
pub fn held() -> (Held, Held) {
    // A thread of its own: whoever calls this may be in a runtime whose clock goes on.
    let measured = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(async { (of(None).await, of(Some(KEY)).await) })
    });
    measured.join().expect("measured")
}

async fn of(key: Option<&str>) -> Held {
    let table = Arc::new(MemoryTable::default().over(Arc::new(Way)));
    let (clock, entropy) = (Arc::new(ManualClock::at(BEGIN)), Arc::new(SeededEntropy::new(1)));
    let deps = login_deps(table, Arc::new(Wechat), clock, entropy).await;
    let function = stack(login::router(deps), Log::new(|_| {}));
    Held { first: time(&function, key).await, again: time(&function, key).await }
}

async fn time(function: &Router, key: Option<&str>) -> Duration {
    let began = Instant::now();
    let told = Login { key, ..Login::new("198.51.100.7", "invented") }.send(function).await;
    assert_eq!(told.body["code"], "code_invalid", "{told:?}");
    began.elapsed()
}

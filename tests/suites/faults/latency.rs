//! A WeChat that answers late: a call that spends a code is waited for.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::Instant;

use crate::Laptop;

/// What came of logins and phone codes at once, while each answer of WeChat took so long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Late {
    pub logins: u64,
    pub logged_in: u64,
    pub phones: u64,
    /// How many gave the number, to the request and to the same one that a client sent before the answer came.
    pub numbers: u64,
    /// How often a code was sent to WeChat beyond the first time.
    pub sent_again: u64,
    pub slowest_login: Duration,
}

/// So many of both, by two processes. The users log in before, and the platform token is there.
pub async fn late(answer_after: Duration, users: usize) -> Late {
    let laptop = Laptop::start().await;
    let beside = laptop.beside().await;
    let names: Vec<_> = (0..users).map(|user| format!("user-{user}")).collect();
    let mut tokens = Vec::new();
    for name in &names {
        tokens.push(laptop.login(name).await);
    }
    let taps: Vec<_> =
        names.iter().map(|name| json!({ "code": laptop.sim("phone", json!({ "user": name }))["code"] })).collect();
    let first = json!({ "code": laptop.sim("phone", json!({ "user": names[0] }))["code"] });
    laptop.post_as(&tokens[0].access, "/v1/phone", &first).await.ok();
    let calls = || ["jscode2session", "getuserphonenumber"].map(|api| laptop.simulator.calls(api)).iter().sum::<u64>();
    let before = calls();
    let ms = u64::try_from(answer_after.as_millis()).unwrap_or(u64::MAX);
    // A code is spent when it arrives, not when the answer leaves.
    laptop.script_after("*", &json!({ "kind": "latency", "ms": ms }), None);

    let logins = join_all((0..users).map(async |user| {
        let began = Instant::now();
        let answer = laptop.post("/v1/login", &json!({ "code": laptop.code(&format!("other-{user}")) })).await;
        (u64::from(answer.status == 200), began.elapsed())
    }));
    let numbers = join_all(tokens.iter().zip(&taps).map(async |(user, tap)| {
        let again = async {
            tokio::time::sleep(answer_after / 2).await;
            beside.post_as(&user.access, "/v1/phone", tap).await
        };
        let (one, again) = tokio::join!(laptop.post_as(&user.access, "/v1/phone", tap), again);
        u64::from(one.status == 200 && again.status == 200 && one.json() == again.json())
    }));
    let (logins, numbers) = tokio::join!(logins, numbers);

    let users = users as u64;
    Late {
        logins: users,
        logged_in: logins.iter().map(|(is, _)| is).sum(),
        phones: users,
        numbers: numbers.iter().sum(),
        sent_again: calls() - before - 2 * users,
        slowest_login: logins.iter().map(|(_, took)| *took).max().unwrap_or_default(),
    }
}

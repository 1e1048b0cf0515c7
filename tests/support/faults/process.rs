//! What goes wrong with the process itself: it is killed, its clock is off, its secrets cannot be read or change.

use std::time::Duration;

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, join_all},
};
use tokio::task::JoinSet;

use super::{
    Case, Login, Outcome, each, is_alive, must,
    proxy::{Fault, Proxy, Then},
    said, settle_login, settle_refresh,
    table::write_of_a_login,
};
use crate::{
    Answer, BEGIN, Hand, Laptop, Tokens,
    rotation::{self, DAY, EMPTY},
    secrets_manager::SecretsManager,
};

/// So many have a request under way in a process when it happens.
const USERS: u64 = 20;

/// Each group of users has a process of its own.
fn groups(times: u64) -> impl Iterator<Item = (u64, Vec<String>)> {
    let most = USERS.min(times.div_ceil(3));
    (0..times.div_ceil(most)).map(move |group| {
        let users = group * most..times.min((group + 1) * most);
        (group, users.map(|user| format!("user-{user}")).collect())
    })
}

pub(super) async fn run(times: u64) -> Vec<Outcome> {
    let outcomes: [BoxFuture<Outcome>; 5] = [
        killed_before_the_answer(times).boxed(),
        killed_between_the_writes(times).boxed(),
        clock_off(times).boxed(),
        secrets_down(times).boxed(),
        key_rotated(times).boxed(),
    ];
    join_all(outcomes).await
}

/// Another process, whose way to the table may fail.
async fn beside(laptop: &Laptop, more: &[(&str, &str)]) -> (Laptop, Proxy) {
    let way = Proxy::to(&laptop.world.dynamodb_url).await;
    let vars = [&[("AWS_ENDPOINT_URL_DYNAMODB", way.url.as_str())], more].concat();
    (laptop.beside_with(&vars, &laptop.clock).await, way)
}

/// Ends a process in which so many requests wait for the table: they stop where they are.
async fn kill(process: Laptop, way: Proxy, requests: Vec<reqwest::RequestBuilder>) {
    let (count, mut waiting) = (requests.len(), JoinSet::new());
    for request in requests {
        waiting.spawn(request.send());
    }
    way.until_met(count).await;
    waiting.shutdown().await;
    drop(process);
}

/// The write was applied, and nobody was there to hear of it.
async fn killed_before_the_answer(times: u64) -> Outcome {
    let (laptop, mut outcome) = (Laptop::start().await, Outcome::of("Process: killed between write and answer"));
    for (_, names) in groups(times) {
        let before = each(&names, |name| laptop.login(name)).await;
        laptop.clock.advance(121);
        let (process, way) = beside(&laptop, &[]).await;
        way.fail(Fault::after(Then::Silence));
        let body = |before: &Tokens| serde_json::json!({ "refresh_token": before.refresh });
        let requests = before.iter().map(|before| process.request("/v1/refresh").json(&body(before))).collect();
        kill(process, way, requests).await;

        let cases = each(&before, async |before| {
            let answer = laptop.refresh(&before.refresh).await;
            let result = must(said(&answer) == "200", || format!("{answer:?}"));
            let settled = settle_refresh(&laptop, before, answer.clone()).await;
            Case::of(&answer, result.and(settled))
        });
        outcome.add(cases.await);
    }
    outcome
}

/// One of the three writes was never made. The same request again is answered, or its code is spent: that is true then.
async fn killed_between_the_writes(times: u64) -> Outcome {
    let mut outcome = Outcome::of("Process: killed between the login writes");
    for (group, names) in groups(times) {
        // A process of their own: too many spent codes from one address would be held against it.
        let laptop = Laptop::start().await;
        let before = each(&names, |name| laptop.login(name)).await;
        let (process, way) = beside(&laptop, &[]).await;
        way.fail(Fault::before(Then::Silence).of(write_of_a_login(usize::try_from(group).unwrap_or_default())));
        let logins: Vec<_> = names.iter().map(|name| Login::new(&laptop, name)).collect();
        let requests = logins.iter().map(|login| login.request(&process)).collect();
        kill(process, way, requests).await;

        let cases = each(names.iter().zip(logins).zip(before), async |((name, login), before)| {
            let answer = login.send(&laptop).await;
            let result = async {
                must(["200", "400 code_used"].contains(&said(&answer).as_str()), || format!("{answer:?}"))?;
                is_alive(&laptop, &settle_login(&laptop, name, login, answer.clone()).await?).await?;
                is_alive(&laptop, &before).await
            };
            let result = result.await;
            Case::of_what_is_over(&answer, result)
        });
        outcome.add(cases.await);
    }
    outcome
}

/// A process whose clock says another time than everybody else's.
async fn clock_off(times: u64) -> Outcome {
    let mut outcome = Outcome::of("Process: clock +5 s and -5 s");
    for at in [BEGIN + 5, BEGIN - 5] {
        let laptop = Laptop::start().await;
        let process = laptop.beside_with(&[], &Hand::at(at)).await;
        let names: Vec<_> = (0..times).map(|user| format!("user-{user}")).collect();
        let theirs = each(&names, |name| process.login(name)).await;
        let ours = each(&names, |name| laptop.login(name)).await;
        process.clock.advance(121);
        laptop.clock.advance(121);

        let cases = each(theirs.iter().zip(&ours), async |(theirs, ours)| {
            let (answer, other) = (process.refresh(&theirs.refresh).await, laptop.refresh(&ours.refresh).await);
            let result = async {
                must(said(&answer) == "200" && said(&other) == "200", || format!("{answer:?}, {other:?}"))?;
                settle_refresh(&laptop, theirs, answer.clone()).await?;
                settle_refresh(&process, ours, other).await
            };
            let result = result.await;
            Case::of(&answer, result)
        });
        outcome.add(cases.await);
    }
    outcome
}

/// A user who refreshes, or another who logs in: whoever is at an odd place.
async fn step(process: &Laptop, at: usize, (name, before): (&String, &Tokens)) -> Answer {
    match at % 2 {
        0 => process.refresh(&before.refresh).await,
        _ => Login::new(process, name).send(process).await,
    }
}

/// Both sides of a rotation, or of an outage, take what [`step`] gave.
async fn settle(process: &Laptop, at: usize, before: &Tokens, answer: &Answer) -> Result<(), String> {
    must(said(answer) == "200", || format!("{answer:?}"))?;
    match at % 2 {
        0 => settle_refresh(process, before, answer.clone()).await,
        _ => is_alive(process, &super::tokens(answer)).await,
    }
}

/// What a warm process holds serves on, whether its source refuses or is silent.
async fn secrets_down(times: u64) -> Outcome {
    let mut outcome = Outcome::of("Process: Secrets Manager down on a warm instance");
    for is_silent in [false, true] {
        let mut manager = SecretsManager::start(&EMPTY).await;
        rotation::rotate(&manager, &rotation::deps(&manager, &Hand::at(BEGIN)).await, "version-1").await;
        let way = Proxy::to(&manager.url).await;
        manager.url.clone_from(&way.url);
        let laptop = rotation::laptop(&manager).await;
        let half = if is_silent { times / 2 } else { times - times / 2 };
        let names: Vec<_> = (0..half).map(|user| format!("user-{user}")).collect();
        let before = each(&names, |name| laptop.login(name)).await;
        // So old that a secret is read again before it is used.
        laptop.clock.advance(601);
        manager.set_down(true);
        if is_silent {
            way.fail(Fault::before(Then::Silence));
        }

        let cases = each(names.iter().zip(&before).enumerate(), async |(at, (name, before))| {
            let answer = step(&laptop, at, (name, before)).await;
            let result = settle(&laptop, at, before, &answer).await;
            Case::of(&answer, result)
        });
        outcome.add(cases.await);
    }
    outcome
}

/// The table takes its time over a request, and meanwhile signing keys and keyring move on by one.
async fn key_rotated(times: u64) -> Outcome {
    let mut outcome = Outcome::of("Process: key rotated mid-request");
    let (manager, clock) = (SecretsManager::start(&EMPTY).await, Hand::at(BEGIN));
    let deps = rotation::deps(&manager, &clock).await;
    rotation::rotate(&manager, &deps, "version-1").await;
    let laptop = rotation::laptop(&manager).await;
    let secrets = [
        ("WXAUTH_KEYRING", "keyring"),
        ("WXAUTH_SIGNING_KEYS", "signing"),
        ("WXAUTH_JWKS", "jwks"),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", &manager.url),
    ];
    for (group, names) in groups(times) {
        let (process, way) = beside(&laptop, &secrets).await;
        let before = each(&names, |name| process.login(name)).await;
        laptop.clock.advance(121);
        way.fail(Fault::after(Then::Late(Duration::from_millis(300))));

        let steps = names.iter().zip(&before).enumerate().map(|(at, of)| step(&process, at, of));
        let rotating = async {
            way.until_met(names.len()).await;
            clock.advance(DAY);
            rotation::rotate(&manager, &deps, &format!("version-2-{group}")).await;
        };
        let (answers, ()) = tokio::join!(join_all(steps), rotating);

        way.heal();
        let (next, _way) = beside(&laptop, &secrets).await;
        let cases = each(before.iter().zip(answers).enumerate(), async |(at, (before, answer))| {
            let elsewhere = settle(&next, at, before, &answer).await;
            Case::of(&answer, elsewhere.and(settle(&process, at, before, &answer).await))
        });
        outcome.add(cases.await);
    }
    outcome
}

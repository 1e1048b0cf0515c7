//! What goes wrong with the process itself: its requests are dropped, its clock is off, its secrets cannot be read or change.

use std::time::Duration;

use futures_util::{
    FutureExt as _,
    future::{LocalBoxFuture, join_all},
};
use tokio::{task::JoinSet, time::Instant};

use super::{
    Case, Login, Outcome, count, each, is_alive, must,
    proxy::{Fault, Proxy, Then},
    said, settle_login, settle_refresh,
    table::write_of_a_login,
};
use crate::{
    BEGIN, Laptop, ManualClock, Response, Tokens,
    suites::rotation::{self, DAY, EMPTY, secrets_manager::SecretsManager},
    wire::{Waiting, Wire},
};

/// So many have a request under way in a process when it happens.
const USERS: u64 = 20;

/// How long the SDK waits for the table before it asks again. If so many users wait for longer, there are more repetitions
/// than its budget allows, and some of them are refused.
const ATTEMPT: Duration = Duration::from_millis(800);

/// Each group of users has a process of its own.
fn groups(times: u64) -> impl Iterator<Item = (u64, Vec<String>)> {
    let most = USERS.min(times.div_ceil(3));
    (0..times.div_ceil(most)).map(move |group| {
        let users = group * most..times.min((group + 1) * most);
        (group, users.map(|user| format!("user-{user}")).collect())
    })
}

pub(super) async fn run(times: u64) -> Vec<Outcome> {
    let outcomes: [LocalBoxFuture<Outcome>; 5] = [
        dropped_before_the_answer(times).boxed_local(),
        dropped_between_the_writes(times).boxed_local(),
        clock_off(times).boxed_local(),
        secrets_down(times).boxed_local(),
        key_rotated(times).boxed_local(),
    ];
    join_all(outcomes).await
}

/// Another process, whose way to the table may fail.
async fn beside(laptop: &Laptop, more: &[(&str, &str)]) -> (Laptop, Proxy) {
    let way = Proxy::to(&laptop.world.dynamodb_url).await;
    let vars = [&[("AWS_ENDPOINT_URL_DYNAMODB", way.url.as_str())], more].concat();
    (laptop.beside_with(&vars, &laptop.clock).await, way)
}

/// Hangs up as soon as each request waits for the table: they stop where they are.
async fn hang_up(way: &Proxy, requests: Vec<reqwest::RequestBuilder>, are_met: impl Fn() -> bool) {
    let mut waiting = JoinSet::new();
    for request in requests {
        waiting.spawn(request.send());
    }
    way.until(|_| are_met()).await;
    waiting.shutdown().await;
}

/// The write was applied, and nobody was there to hear of it.
async fn dropped_before_the_answer(times: u64) -> Outcome {
    let (laptop, mut outcome) =
        (Laptop::start().await, Outcome::of("Process: request dropped between write and answer"));
    for (_, names) in groups(times) {
        let before = each(&names, |name| laptop.login(name)).await;
        laptop.clock.advance(121);
        let (process, way) = beside(&laptop, &[]).await;
        way.fail(Fault::after(Then::Silence));
        let body = |before: &Tokens| serde_json::json!({ "refresh_token": before.refresh });
        let requests = before.iter().map(|before| process.request("/v1/refresh").json(&body(before))).collect();
        hang_up(&way, requests, || before.iter().all(|before| way.met(&before.openid) > 0)).await;
        drop(process);

        let cases = each(&before, async |before| {
            let answer = laptop.refresh(&before.refresh).await;
            let told = must(said(&answer) == "200", || format!("{answer:?}"));
            let after = settle_refresh(&laptop, before, answer.clone()).await;
            Case::of(&answer, told, after)
        });
        outcome.add(cases.await);
    }
    outcome
}

/// One of the three writes was never made. The same request again cannot be answered, and its code is spent.
async fn dropped_between_the_writes(times: u64) -> Outcome {
    let mut outcome = Outcome::of("Process: request dropped between the login writes");
    for (group, names) in groups(times) {
        // A process of their own: too many spent codes from one address would be held against it.
        let laptop = Laptop::start().await;
        let before = each(&names, |name| laptop.login(name)).await;
        // This login is not the one before.
        laptop.clock.advance(1);
        let (process, way) = beside(&laptop, &[]).await;
        way.fail(Fault::before(Then::Silence).of(write_of_a_login(usize::try_from(group).unwrap_or_default())));
        let logins: Vec<_> = names.iter().map(|name| Login::new(&laptop, name)).collect();
        let requests = logins.iter().map(|login| login.request(&process)).collect();
        let are_met =
            || before.iter().zip(&logins).all(|(before, login)| count(before, Some(login), |text| way.met(text)) > 0);
        hang_up(&way, requests, are_met).await;
        drop(process);

        let cases = each(names.iter().zip(logins).zip(before), async |((name, login), before)| {
            let answer = login.send(&laptop).await;
            let told = must(said(&answer) == "400 code_used", || format!("{answer:?}"));
            let after = async {
                is_alive(&laptop, &settle_login(&laptop, name, login, answer.clone()).await?).await?;
                is_alive(&laptop, &before).await
            };
            let after = after.await;
            Case::of_what_is_over(&answer, told, after)
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
        let process = laptop.beside_with(&[], &ManualClock::at(at)).await;
        let names: Vec<_> = (0..times).map(|user| format!("user-{user}")).collect();
        let theirs = each(&names, |name| process.login(name)).await;
        let ours = each(&names, |name| laptop.login(name)).await;
        process.clock.advance(121);
        laptop.clock.advance(121);

        let cases = each(theirs.iter().zip(&ours), async |(theirs, ours)| {
            let (answer, other) = (process.refresh(&theirs.refresh).await, laptop.refresh(&ours.refresh).await);
            let told = must(said(&answer) == "200" && said(&other) == "200", || format!("{answer:?}, {other:?}"));
            let after = async {
                settle_refresh(&laptop, theirs, answer.clone()).await?;
                settle_refresh(&process, ours, other).await
            };
            let after = after.await;
            Case::of(&answer, told, after)
        });
        outcome.add(cases.await);
    }
    outcome
}

/// A user who refreshes, or another who logs in: whoever is at an odd place.
async fn step(process: &Laptop, at: usize, (name, before): (&String, &Tokens)) -> Response {
    match at % 2 {
        0 => process.refresh(&before.refresh).await,
        _ => Login::new(process, name).send(process).await,
    }
}

/// Both sides of a rotation, or of an outage, take what [`step`] gave. Whoever was given nothing does as they are told.
async fn settle(
    process: &Laptop,
    at: usize,
    (name, before): (&String, &Tokens),
    answer: &Response,
) -> Result<(), String> {
    if at.is_multiple_of(2) {
        return settle_refresh(process, before, answer.clone()).await;
    }
    let after = settle_login(process, name, Login::new(process, name), answer.clone()).await?;
    is_alive(process, &after).await
}

/// What a warm process holds serves on, whether its source refuses or is silent.
async fn secrets_down(times: u64) -> Outcome {
    let mut outcome = Outcome::of("Process: Secrets Manager down on a warm instance");
    for is_silent in [false, true] {
        let mut manager = SecretsManager::start(&EMPTY).await;
        rotation::rotate(&manager, &rotation::deps(&manager, &ManualClock::at(BEGIN)).await, "version-1").await;
        let way = Proxy::to(&manager.url).await;
        manager.url.clone_from(&way.url);
        let laptop = rotation::laptop(&manager).await;
        let half = if is_silent { times / 2 } else { times - times / 2 };
        let names: Vec<_> = (0..half).map(|user| format!("user-{user}")).collect();
        let before = each(&names, |name| laptop.login(name)).await;
        // So old that a secret is read again before it is used.
        laptop.clock.advance(601);
        way.fail(if is_silent { Fault::before(Then::Silence) } else { Fault::say("500 Internal Server Error", "") });

        let cases = each(names.iter().zip(&before).enumerate(), async |(at, (name, before))| {
            let answer = step(&laptop, at, (name, before)).await;
            let told = must(said(&answer) == "200", || format!("{answer:?}"));
            let after = settle(&laptop, at, (name, before), &answer).await;
            Case::of(&answer, told, after)
        });
        let cases = cases.await;
        // Whoever comes first meets it, and for a while nobody asks again.
        let are_met = ["keyring", "signing"].iter().all(|secret| way.met(secret) > 0);
        outcome.add(cases.into_iter().map(|case| case.if_met(are_met)));
    }
    outcome
}

/// Table and Secrets Manager answer nobody until signing keys and keyring have moved on by one.
async fn key_rotated(times: u64) -> Outcome {
    let mut outcome = Outcome::of("Process: key rotated mid-request");
    let (manager, clock) = (SecretsManager::start(&EMPTY).await, ManualClock::at(BEGIN));
    let deps = rotation::deps(&manager, &clock).await;
    rotation::rotate(&manager, &deps, "version-1").await;
    let laptop = rotation::laptop(&manager).await;
    let secrets = [("WXAUTH_KEYRING", "keyring"), ("WXAUTH_SIGNING_KEYS", "signing"), ("WXAUTH_JWKS", "jwks")];
    let beside = async |table: &str, manager: &str| {
        let ways = [("AWS_ENDPOINT_URL_DYNAMODB", table), ("AWS_ENDPOINT_URL_SECRETS_MANAGER", manager)];
        laptop.beside_with(&[&secrets[..], &ways].concat(), &laptop.clock).await
    };
    for (group, names) in groups(times) {
        let mut wire = Wire::to(&[&laptop.world.dynamodb_url, &manager.url]).await;
        let process = beside(&wire.urls[0], &wire.urls[1]).await;
        let before = each(&names, |name| process.login(name)).await;
        // So old that keys are read again in parallel to a request.
        laptop.clock.advance(301);

        let steps = names.iter().zip(&before).enumerate().map(|(at, of)| step(&process, at, of));
        let (mut held, mut is_rotated, mut is_late) = (Vec::<Waiting>::new(), false, false);
        let began = Instant::now();
        let answers = wire.step(join_all(steps), async |waiting| {
            held.push(waiting);
            let waits = |before: &Tokens| held.iter().any(|waiting| waiting.body.to_string().contains(&before.openid));
            let reads = held.iter().filter(|waiting| waiting.operation == "GetSecretValue").count();
            if !is_rotated && reads >= 2 && before.iter().all(waits) {
                clock.advance(DAY);
                rotation::rotate(&manager, &deps, &format!("version-2-{group}")).await;
                is_rotated = true;
                is_late = began.elapsed() > ATTEMPT;
            }
            if is_rotated {
                join_all(held.drain(..).map(Waiting::pass)).await;
            }
        });
        let answers = answers.await;

        let next = beside(&laptop.world.dynamodb_url, &manager.url).await;
        let settled = each(names.iter().zip(&before).zip(&answers).enumerate(), async |(at, (of, answer))| {
            let elsewhere = settle(&next, at, of, answer).await;
            elsewhere.and(settle(&process, at, of, answer).await)
        });
        let settled = settled.await;
        // So old that keys are read again before they are used.
        laptop.clock.advance(601);
        let cases = each(before.iter().zip(&answers).zip(settled), async |((before, answer), after)| {
            let key = |access: &str| access.split('.').next().map(str::to_owned);
            let later = process.refresh(answer.json()["refresh_token"].as_str().unwrap_or_default()).await;
            let [now, then] = [answer, &later].map(|answer| answer.json()["access_token"].as_str().and_then(key));
            let told = must(said(answer) == "200", || format!("{answer:?}"))
                .and(must(said(&later) == "200", || format!("{later:?}")))
                .and(must(now != then, || "the key from before still signs".to_owned()));
            let is_met = if now.is_some() { now == key(&before.access) } else { !is_late };
            Case::of(answer, told, after).if_met(is_met)
        });
        outcome.add(cases.await);
    }
    outcome
}

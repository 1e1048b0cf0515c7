//! Faults on the wire: each is survived, none is a verdict on the user, and nobody waits too long.

use std::time::Duration;

use shared::lambda::LIMIT;
use tests::{
    Laptop,
    suites::faults::{
        self, Outcome,
        latency::{Late, late},
        outage::{Outage, Served, outage},
        patience::patience,
        proxy::{Fault, Proxy, Then},
    },
};
use tokio::time::Instant;

/// What differs from process to process does so in threes, and of two users one refreshes and the other logs in.
const TIMES: u64 = 6;

/// A laptop, another process with the same table, and the proxy between that process and the table.
async fn with_a_way_to_the_table() -> (Laptop, Laptop, Proxy) {
    let laptop = Laptop::start().await;
    let table = Proxy::to(&laptop.world.dynamodb_url).await;
    let process = laptop.beside_with(&[("AWS_ENDPOINT_URL_DYNAMODB", &table.url)], &laptop.clock).await;
    (laptop, process, table)
}

fn are_survived(outcomes: &[Outcome], count: usize) {
    let is_short = |outcome: &&Outcome| !outcome.is_survived() || !outcome.unmet.is_empty();
    let failed: Vec<_> = outcomes.iter().filter(is_short).map(ToString::to_string).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert_eq!(outcomes.len(), count);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_of_wechat_ends_in_a_session_and_ends_none() {
    are_survived(&faults::of_wechat(TIMES / 2).await, 15);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_of_the_table_ends_in_a_session_and_ends_none() {
    are_survived(&faults::of_the_table(TIMES).await, 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_of_the_process_ends_in_a_session_and_ends_none() {
    are_survived(&faults::of_the_process(TIMES).await, 5);
}

#[tokio::test]
async fn a_failure_that_is_called_a_refusal_does_not_count_as_survived() {
    let outcome = faults::of_a_table_that_lies(4).await;

    assert!(!outcome.is_survived(), "{outcome}");
    assert!(outcome.verdicts > 0, "{outcome}");
}

#[tokio::test]
async fn a_fault_that_nobody_meets_does_not_count_as_survived() {
    let outcome = faults::of_nothing(2).await;

    assert_eq!((outcome.times, outcome.unmet.len()), (0, 2));
    assert!(!outcome.is_survived(), "{outcome}");
}

#[tokio::test]
async fn a_total_outage_of_wechat_logs_nobody_out() {
    for how in [Outage::Refused, Outage::Silent] {
        let served = outage(how, 4, 3).await;

        let others = served.others;
        let all = Served { refreshes: 12, refreshed: 12, others, served: others, logins: 0 };
        assert_eq!(served, all, "{how:?}");
        assert!(others >= 20, "{how:?}: {others}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_login_and_phone_code_succeeds_however_late_wechat_answers() {
    for (seconds, users) in [(3, 8), (6, 2)] {
        let came = late(Duration::from_secs(seconds), users).await;

        let (users, slowest_login) = (users as u64, came.slowest_login);
        let all = Late { logins: users, logged_in: users, phones: users, numbers: users, sent_again: 0, slowest_login };
        assert_eq!(came, all, "{seconds} s");
        assert!(slowest_login < Duration::from_secs(9) + BUSY, "{seconds} s: {slowest_login:?}");
    }
}

/// What a machine adds that has other tests to run.
const BUSY: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_too_long_however_slow_everything_is() {
    let waited = patience().await;

    for one in &waited {
        let bar = match one.what.as_str() {
            "login" | "login, repeated" => Duration::from_secs(9),
            "refresh" | "refresh, reuse" => Duration::from_secs(3),
            _ => LIMIT,
        };
        assert!(one.took <= bar + BUSY, "{one:?}");
        let is_verdict = one.answer.starts_with("400") || one.answer.starts_with("401");
        assert!(!is_verdict || one.answer == "400 token_reused", "{one:?}");
    }
    let login = waited.iter().filter(|one| one.what == "login").map(|one| one.took).max().unwrap();
    assert!(login > Duration::from_secs(6), "everything is as slow as it is let: {waited:?}");
}

#[tokio::test]
async fn a_reuse_is_told_though_the_session_cannot_be_ended_and_is_found_again() {
    let (laptop, process, table) = with_a_way_to_the_table().await;
    let thief = laptop.login("alice").await;
    let mut owner = thief.refresh.clone();
    for _ in 0..2 {
        laptop.clock.advance(121);
        owner = laptop.refresh(&owner).await.text_of("refresh_token");
    }
    table.fail(Fault::before(Then::Silence).of("REMOVE #family"));

    process.refresh(&thief.refresh).await.is_problem(400, "token_reused", "relogin");

    laptop.refresh(&owner).await.ok();
    table.heal();
    process.refresh(&thief.refresh).await.is_problem(400, "token_reused", "relogin");
    laptop.refresh(&owner).await.is_problem(400, "login_required", "relogin");
}

#[tokio::test]
async fn a_login_is_let_in_though_the_device_beyond_the_cap_cannot_be_ended() {
    let (laptop, process, table) = with_a_way_to_the_table().await;
    let mut devices = Vec::new();
    for _ in 0..5 {
        devices.push(laptop.login("alice").await);
        laptop.clock.advance(1);
    }
    table.fail(Fault::before(Then::Silence).of("REMOVE #family"));
    process.login("alice").await;
    laptop.refresh(&devices[0].refresh).await.ok();

    table.heal();
    process.login("alice").await;

    for gone in &devices[..2] {
        laptop.refresh(&gone.refresh).await.is_problem(400, "login_required", "relogin");
    }
}

#[tokio::test]
async fn answers_in_pieces_are_read() {
    let laptop = Laptop::start().await;
    let (wechat, table) = (Proxy::to(&laptop.world.wechat_url).await, Proxy::to(&laptop.world.dynamodb_url).await);
    let vars = [("WXAUTH_WECHAT_URL", wechat.url.as_str()), ("AWS_ENDPOINT_URL_DYNAMODB", &table.url)];
    let process = laptop.beside_with(&vars, &laptop.clock).await;
    for way in [&wechat, &table] {
        way.fail(Fault::after(Then::Slices));
    }

    let alice = process.login("alice").await;

    process.refresh(&alice.refresh).await.ok();
}

#[tokio::test]
async fn a_connection_to_the_table_that_died_while_idle_costs_one_attempt() {
    let (laptop, process, table) = with_a_way_to_the_table().await;
    let alice = process.login("alice").await;
    laptop.clock.advance(121);
    for then in [Then::Silence, Then::Reset] {
        table.fail(Fault::before(then).on_idle().once());

        let next = process.refresh(&alice.refresh).await.ok();

        assert_ne!(next["refresh_token"], alice.refresh);
    }
}

#[tokio::test]
async fn a_connection_to_wechat_that_is_not_taken_in_time_is_tried_once_more() {
    let laptop = Laptop::start().await;
    let mut wechat = Proxy::to(&laptop.world.wechat_url).await;
    let process = laptop.beside_with(&[("WXAUTH_WECHAT_URL", &wechat.url)], &laptop.clock).await;
    wechat.fill().await;
    let began = Instant::now();

    // Within the second that the first attempt has, and before the system knocks for it again.
    let opening = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        wechat.open();
    };
    let (alice, ()) = tokio::join!(process.login("alice"), opening);

    assert!(began.elapsed() >= Duration::from_secs(1), "the first attempt was let in");
    process.refresh(&alice.refresh).await.ok();
}

#[tokio::test]
async fn every_client_for_aws_has_its_own_limits() {
    let env = Laptop::start().await.world.env.clone();
    let (dynamodb, _) = env.dynamodb().unwrap();
    let secrets = env.rotated_secrets().unwrap();

    for timeouts in [dynamodb.config().timeout_config(), secrets.0.config().timeout_config()] {
        let timeouts = timeouts.unwrap();
        let connect = timeouts.connect_timeout().unwrap();
        let attempt = timeouts.operation_attempt_timeout().unwrap();
        let operation = timeouts.operation_timeout().unwrap();
        assert!(connect < attempt && attempt * 2 < operation && operation <= Duration::from_millis(2_500));
    }
    for retries in [dynamodb.config().retry_config(), secrets.0.config().retry_config()] {
        let retries = retries.unwrap();
        assert_eq!(retries.max_attempts(), 3);
        assert!(retries.initial_backoff() <= Duration::from_millis(25));
    }
}

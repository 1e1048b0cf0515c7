//! An end of all sessions beside logins: those that arrived before it get none, those that arrive after it live.

use serde_json::{Value, json};
use tests::{BEGIN, KEY, Laptop, ManualClock, Tokens, wire};

/// What ends all sessions of a user who may log in again afterwards.
const ENDS: [&str; 3] = ["/v1/sessions", "end_sessions", "block"];

async fn end_all(laptop: &Laptop, end: &str, user: &Tokens) {
    match end {
        "/v1/sessions" => assert_eq!(laptop.delete(&user.access, end).await.status, 204),
        operation => drop(laptop.owner(operation, &user.openid).await),
    }
    if end == "block" {
        laptop.owner("unblock", &user.openid).await;
    }
}

fn body(laptop: &Laptop) -> Value {
    json!({ "code": laptop.code("alice") })
}

/// How many sessions are there.
async fn sessions(laptop: &Laptop) -> usize {
    laptop.items().await.keys().filter(|(_, sk)| sk.starts_with("session#")).count()
}

#[tokio::test]
async fn a_login_that_arrived_before_the_end_of_all_sessions_gets_none_at_whichever_step_it_is() {
    for end in ENDS {
        for step in 1..=4 {
            let mut laptop = Laptop::start().await;
            let alice = laptop.login("alice").await;
            let (beside, mut wire) = wire::beside(&mut laptop).await;
            let (login, mut steps) = (body(&laptop), 0);
            laptop.clock.tick();

            let late = wire.step(beside.login_with_key(KEY, &login), async |waiting| {
                steps += 1;
                if steps == step {
                    end_all(&laptop, end, &alice).await;
                }
                waiting.pass().await;
            });
            let late = Box::pin(late).await;

            late.is_problem(503, "retry_login", "relogin");
            assert_eq!(sessions(&laptop).await, 0, "{end} at step {step}");
            laptop.login_with_key(KEY, &login).await.is_problem(400, "code_used", "relogin");
            laptop.clock.tick();
            laptop.login("alice").await;
        }
    }
}

/// Its process dies when all is written and nothing looked for: the same request again must not get what the end did not find.
#[tokio::test]
async fn a_login_whose_process_died_is_not_repeated_after_the_end_of_all_sessions() {
    for end in ENDS {
        let mut laptop = Laptop::start().await;
        let alice = laptop.login("alice").await;
        let (beside, mut wire) = wire::beside(&mut laptop).await;
        let (login, mut session, mut written) = (body(&laptop), None, 0);
        laptop.clock.tick();

        let dead = wire.step(beside.login_with_key(KEY, &login), async |waiting| {
            if waiting.puts("session#") {
                session = Some(waiting);
            } else if written < 2 {
                waiting.pass().await;
                written += 1;
            } else {
                waiting.fail();
            }
            if written == 2
                && let Some(session) = session.take()
            {
                end_all(&laptop, end, &alice).await;
                session.pass().await;
            }
        });
        Box::pin(dead).await.is_problem(503, "retry_login", "relogin");
        assert_eq!(sessions(&laptop).await, 1, "the end did not see it");

        laptop.login_with_key(KEY, &login).await.is_problem(400, "code_used", "relogin");
    }
}

#[tokio::test]
async fn a_login_that_arrives_while_all_sessions_are_ended_lives_on_another_device_and_on_the_same() {
    for end in ["/v1/sessions", "end_sessions"] {
        for same in [false, true] {
            let mut laptop = Laptop::start().await;
            let (alice, old) = (laptop.login("alice").await, laptop.login("alice").await);
            let (beside, mut wire) = wire::beside(&mut laptop).await;
            let mut new = None;

            let ended = wire.step(end_all(&beside, end, &alice), async |waiting| {
                let is_mark = waiting.operation == "UpdateItem";
                waiting.pass().await;
                if is_mark && new.is_none() {
                    let mut login = body(&laptop);
                    if same {
                        login["device"] = json!(old.device);
                    }
                    new = Some(laptop.login_with(&login).await);
                }
            });
            Box::pin(ended).await;

            let new = new.unwrap();
            laptop.get(&new.access, "/v1/session").await.ok();
            laptop.refresh(&new.refresh).await.ok();
            for gone in [&alice, &old] {
                laptop.refresh(&gone.refresh).await.is_problem(400, "login_required", "relogin");
            }
        }
    }
}

#[tokio::test]
async fn a_session_of_a_process_whose_clock_is_fast_ends_with_all_others() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let fast = laptop.beside_with(&[], &ManualClock::at(BEGIN + 2)).await;
    let other = Tokens::of(&fast.post("/v1/login", &body(&laptop)).await);

    end_all(&laptop, "/v1/sessions", &alice).await;

    laptop.refresh(&other.refresh).await.is_problem(400, "login_required", "relogin");
    assert_eq!(sessions(&laptop).await, 0);
}

/// The user's first login is on its way, and nothing is stored of them.
#[tokio::test]
async fn the_end_of_all_sessions_of_somebody_unknown_refuses_their_first_login_and_leaves_a_mark_for_an_hour() {
    let mut laptop = Laptop::start().await;
    let (beside, mut wire) = wire::beside(&mut laptop).await;
    let openid = laptop.sim("user", json!({ "user": "alice" }))["openid"].as_str().unwrap().to_owned();
    let (login, mut ended) = (body(&laptop), false);
    laptop.clock.tick();

    let late = wire.step(beside.post("/v1/login", &login), async |waiting| {
        if !std::mem::replace(&mut ended, true) {
            laptop.owner("end_sessions", &openid).await;
        }
        waiting.pass().await;
    });
    Box::pin(late).await.is_problem(503, "retry_login", "relogin");

    assert!(laptop.items().await.is_empty(), "{:?}", laptop.items().await);
    let again = laptop.post("/v1/login", &body(&laptop)).await.ok();
    assert_eq!(again["new_user"], true);
}

#[tokio::test]
async fn a_logout_everywhere_makes_three_requests_to_the_table_and_one_for_each_session() {
    let mut laptop = Laptop::start().await;
    let devices = [laptop.login("alice").await, laptop.login("alice").await, laptop.login("alice").await];
    let (beside, mut wire) = wire::beside(&mut laptop).await;
    let mut operations = Vec::new();

    let ended = wire.step(beside.delete(&devices[0].access, "/v1/sessions"), async |waiting| {
        operations.push(waiting.operation.clone());
        waiting.pass().await;
    });

    assert_eq!(Box::pin(ended).await.status, 204);
    assert_eq!(operations, ["GetItem", "UpdateItem", "Query", "UpdateItem", "UpdateItem", "UpdateItem"]);
}

//! `GET` and `DELETE /v1/sessions`.

use serde_json::json;
use tests::{BEGIN, Laptop, Tokens};

use super::{IDLE, is_empty_204, is_logged_in, is_logged_out, login_again, partition, refreshed};

#[tokio::test]
async fn each_device_is_listed_with_the_last_used_first_to_the_day() {
    let laptop = Laptop::start().await;
    let phone = laptop.login("alice").await;
    laptop.clock.advance(200);
    let tablet = laptop.login("alice").await;
    let _bob = laptop.login("bob").await;
    let line = |tokens: &Tokens, current: bool, created_at: u64, last_seen_at: u64| {
        let device = tokens.device_id();
        json!({ "device": device, "current": current, "created_at": created_at, "last_seen_at": last_seen_at })
    };

    let answer = laptop.get(&phone.access, "/v1/sessions").await;

    assert_eq!(answer.header("cache-control").unwrap(), "no-store");
    let (begin, later) = (BEGIN, BEGIN + 200);
    let expected = [line(&tablet, false, later, later), line(&phone, true, begin, begin)];
    assert_eq!(answer.ok(), json!({ "sessions": expected }));
    laptop.clock.advance(86_400);
    let phone = refreshed(&laptop, &phone).await;
    laptop.clock.advance(86_400);
    let phone = refreshed(&laptop, &phone).await;
    let yesterday = BEGIN + 86_400 - BEGIN % 86_400;
    let expected = [line(&phone, true, begin, yesterday), line(&tablet, false, later, later)];
    assert_eq!(laptop.get(&phone.access, "/v1/sessions").await.ok(), json!({ "sessions": expected }));
    let tablet = refreshed(&laptop, &tablet).await;
    let expected = [line(&tablet, true, later, yesterday), line(&phone, false, begin, yesterday)];
    assert_eq!(laptop.get(&tablet.access, "/v1/sessions").await.ok(), json!({ "sessions": expected }));
}

#[tokio::test]
async fn only_live_sessions_are_listed() {
    let laptop = Laptop::start().await;
    let (_left_alone, out, mut used) =
        (laptop.login("alice").await, laptop.login("alice").await, laptop.login("alice").await);
    is_empty_204(&laptop.delete(&out.access, "/v1/session").await);
    let listed = async |tokens: &Tokens| {
        laptop.get(&tokens.access, "/v1/sessions").await.ok()["sessions"].as_array().unwrap().len()
    };
    assert_eq!(listed(&used).await, 2);

    laptop.clock.advance(IDLE - 1);
    used = refreshed(&laptop, &used).await;
    assert_eq!(listed(&used).await, 2);

    laptop.clock.advance(1);
    assert_eq!(listed(&used).await, 1, "the one that was left alone has run out");
}

#[tokio::test]
async fn all_devices_of_this_user_are_ended_and_nobody_elses() {
    let laptop = Laptop::start().await;
    let devices = [laptop.login("alice").await, laptop.login("alice").await, laptop.login("alice").await];
    let bob = laptop.login("bob").await;

    is_empty_204(&laptop.delete(&devices[1].access, "/v1/sessions").await);

    for device in &devices {
        is_logged_out(&laptop, "alice", device).await;
    }
    is_logged_in(&laptop, "bob", &bob).await;
    assert!(laptop.items().await.contains_key(&(partition(&devices[0]), "user".to_owned())), "the user stays");
    laptop.delete(&devices[1].access, "/v1/sessions").await.is_problem(401, "token_invalid", "refresh");
}

#[tokio::test]
async fn a_token_whose_session_is_gone_ends_nothing() {
    let laptop = Laptop::start().await;
    let (gone, replaced, alive) =
        (laptop.login("alice").await, laptop.login("alice").await, laptop.login("alice").await);
    is_empty_204(&laptop.delete(&gone.access, "/v1/session").await);
    laptop.clock.advance(1);
    login_again(&laptop, "alice", &replaced).await;
    let before = laptop.items().await;

    for dead in [&gone, &replaced] {
        laptop.get(&dead.access, "/v1/sessions").await.is_problem(401, "token_invalid", "refresh");
        laptop.delete(&dead.access, "/v1/sessions").await.is_problem(401, "token_invalid", "refresh");
        laptop.delete(&dead.access, "/v1/user").await.is_problem(401, "token_invalid", "refresh");
    }

    assert_eq!(laptop.items().await, before);
    laptop.get(&alive.access, "/v1/session").await.ok();
}

#[tokio::test]
async fn a_device_beyond_the_cap_is_not_listed() {
    let laptop = Laptop::start().await;
    let mut devices = Vec::new();
    for _ in 0..6 {
        devices.push(laptop.login("alice").await);
        laptop.clock.advance(1);
    }

    let answer = laptop.get(&devices[5].access, "/v1/sessions").await.ok();

    let listed: Vec<_> = answer["sessions"].as_array().unwrap().iter().map(|line| line["device"].clone()).collect();
    let expected: Vec<_> = devices[1..].iter().rev().map(|tokens| json!(tokens.device_id())).collect();
    assert_eq!(listed, expected);
}

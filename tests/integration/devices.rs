//! A user's devices: how many there may be, and which login on one stays.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;
use tests::{BEGIN, Laptop, Tokens};

#[tokio::test]
async fn the_sixth_device_ends_the_longest_unused_one() {
    let laptop = Laptop::start().await;
    let mut devices = Vec::new();
    for _ in 0..5 {
        devices.push(laptop.login("alice").await);
        laptop.clock.advance(200);
    }
    // The first is used again, so the second is the longest unused.
    let first = laptop.refresh(&devices[0].refresh).await.text_of("refresh_token");

    let sixth = laptop.login("alice").await;

    laptop.refresh(&devices[1].refresh).await.is_problem(400, "login_required", "relogin");
    for alive in [&first, &devices[2].refresh, &devices[3].refresh, &devices[4].refresh, &sixth.refresh] {
        laptop.refresh(alive).await.ok();
    }
}

#[tokio::test]
async fn a_login_that_was_late_does_not_put_out_a_newer_one() {
    let laptop = Laptop::start().await;
    let newer = laptop.login("alice").await;
    let (client, table) = laptop.dynamodb();
    for mut item in laptop.items().await.into_values() {
        if item["sk"].as_s().unwrap().starts_with("session#") {
            item.insert("arrived_ms".to_owned(), AttributeValue::N(((BEGIN + 1) * 1_000).to_string()));
            client.put_item().table_name(&table).set_item(Some(item)).send().await.unwrap();
        }
    }

    let late = json!({ "code": laptop.code("alice"), "device": newer.device });
    laptop.post("/v1/login", &late).await.is_problem(503, "retry_login", "relogin");

    laptop.clock.advance(200);
    laptop.refresh(&newer.refresh).await.ok();
}

/// Items of earlier releases have no `arrived_ms`.
#[tokio::test]
async fn a_session_of_an_earlier_release_lives_on_and_a_login_on_its_device_replaces_it() {
    let laptop = Laptop::start().await;
    let older = laptop.login("alice").await;
    let (client, table) = laptop.dynamodb();
    for mut item in laptop.items().await.into_values() {
        item.remove("arrived_ms");
        client.put_item().table_name(&table).set_item(Some(item)).send().await.unwrap();
    }
    laptop.clock.advance(200);
    let refreshed = laptop.refresh(&older.refresh).await.text_of("refresh_token");

    let newer = laptop.login_with(&json!({ "code": laptop.code("alice"), "device": older.device })).await;

    laptop.refresh(&refreshed).await.is_problem(400, "login_required", "relogin");
    assert_eq!(laptop.delete(&newer.access, "/v1/user").await.status, 204);
    assert!(laptop.items().await.is_empty());
}

/// How many sessions of these logins live.
async fn alive(laptop: &Laptop, logins: &[Tokens]) -> usize {
    let mut alive = 0;
    for login in logins {
        alive += usize::from(laptop.get(&login.access, "/v1/session").await.status == 200);
    }
    alive
}

#[tokio::test]
async fn of_twelve_first_logins_at_once_five_live_and_none_is_given_a_session_that_the_limit_has_ended() {
    for _ in 0..10 {
        let laptop = Laptop::start().await;
        // Each from a process of its own clock, so that they arrive in different milliseconds.
        let codes: Vec<_> = (0..12).map(|_| laptop.code("alice")).collect();
        let logins = futures_util::future::join_all(codes.iter().enumerate().map(|(at, code)| {
            let (laptop, body) = (&laptop, json!({ "code": code }));
            async move {
                tokio::time::sleep(std::time::Duration::from_millis(at as u64 % 4)).await;
                laptop.clock.tick();
                laptop.post("/v1/login", &body).await
            }
        }))
        .await;

        let mut given = Vec::new();
        for login in &logins {
            match login.status.as_u16() {
                200 => given.push(Tokens::of(login)),
                _ => login.is_problem(503, "retry_login", "relogin"),
            }
        }
        assert!(given.len() >= 5, "{logins:?}");
        assert_eq!(alive(&laptop, &given).await, 5);
        // Who comes last is let in.
        let last = laptop.login("alice").await;
        assert_eq!(alive(&laptop, &[last]).await, 1);
    }
}

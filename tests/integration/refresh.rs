//! `POST /v1/refresh`.

use std::collections::HashSet;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use tests::{BEGIN, Laptop, Start, jwt_claims};

/// E and G of the contract.
const MIN_AGE: u64 = 120;
const GRACE: u64 = 60;

#[tokio::test]
async fn a_token_older_than_two_minutes_gets_a_successor_and_a_new_access_token() {
    let laptop = Laptop::start().await;
    let login = laptop.login("alice").await;

    laptop.clock.advance(MIN_AGE);
    let answer = laptop.refresh(&login.refresh).await.ok();

    assert_ne!(answer["refresh_token"], login.refresh);
    assert_ne!(answer["access_token"], login.access);
    assert_eq!(answer["token_type"], "Bearer");
    assert_eq!(answer["expires_in"], 900);
    assert_eq!(answer["refresh_expires_in"], 604_800);
    let (before, after) = (jwt_claims(&login.access), jwt_claims(answer["access_token"].as_str().unwrap()));
    for same in ["sub", "sid", "auth_time", "client_id", "aud", "iss"] {
        assert_eq!(before[same], after[same], "{same}");
    }
    assert_ne!(before["jti"], after["jti"]);
    assert_eq!(after["auth_time"], BEGIN);
}

#[tokio::test]
async fn a_younger_token_is_echoed_with_a_new_access_token() {
    let laptop = Laptop::start().await;
    let login = laptop.login("alice").await;

    laptop.clock.advance(MIN_AGE - 1);
    let answer = laptop.refresh(&login.refresh).await.ok();

    assert_eq!(answer["refresh_token"], login.refresh);
    assert_ne!(answer["access_token"], login.access);
}

#[tokio::test]
async fn a_replayed_refresh_returns_the_same_successor() {
    let laptop = Laptop::start().await;
    let login = laptop.login("alice").await;
    laptop.clock.advance(MIN_AGE);
    let first = laptop.refresh(&login.refresh).await.ok();

    laptop.clock.advance(GRACE);
    let again = laptop.refresh(&login.refresh).await.ok();

    assert_eq!(first["refresh_token"], again["refresh_token"]);
    assert_ne!(first["access_token"], again["access_token"]);
}

#[tokio::test]
async fn sixteen_refreshes_at_once_give_one_successor() {
    let laptop = Laptop::start().await;
    let login = laptop.login("alice").await;
    laptop.clock.advance(MIN_AGE);

    let all: Vec<_> = (0..16).map(|_| laptop.refresh(&login.refresh)).collect();
    let mut successors = HashSet::new();
    for answer in futures_util::future::join_all(all).await {
        successors.insert(answer.ok()["refresh_token"].to_string());
    }

    assert_eq!(successors.len(), 1);
    assert!(!successors.contains(&json!(login.refresh).to_string()));
}

#[tokio::test]
async fn a_token_rotated_away_is_reuse_and_ends_the_family() {
    let laptop = Laptop::start().await;
    let login = laptop.login("alice").await;
    laptop.clock.advance(1_000);
    let successor = laptop.refresh(&login.refresh).await.text_of("refresh_token");

    laptop.clock.advance(GRACE + 1);
    laptop.refresh(&login.refresh).await.is_problem(400, "token_reused", "relogin");

    laptop.refresh(&successor).await.is_problem(400, "login_required", "relogin");
    laptop.refresh(&login.refresh).await.is_problem(400, "login_required", "relogin");
}

/// Its parent may be sent again for a while, as a duplicate may have replaced it unseen; not for ever.
#[tokio::test]
async fn a_thief_who_rotated_a_young_token_is_seen_when_its_owner_comes_days_later() {
    let laptop = Laptop::start().await;
    let owner = laptop.login("alice").await;
    laptop.clock.advance(130);
    let thief = laptop.refresh(&owner.refresh).await.text_of("refresh_token");

    laptop.clock.advance(6 * 86_400);
    laptop.refresh(&owner.refresh).await.is_problem(400, "token_reused", "relogin");

    laptop.refresh(&thief).await.is_problem(400, "login_required", "relogin");
}

#[tokio::test]
async fn reuse_on_one_device_leaves_the_other_device_alone() {
    let laptop = Laptop::start().await;
    let (one, two) = (laptop.login("alice").await, laptop.login("alice").await);
    laptop.clock.advance(1_000);
    laptop.refresh(&one.refresh).await.ok();

    laptop.clock.advance(GRACE + 1);
    laptop.refresh(&one.refresh).await.is_problem(400, "token_reused", "relogin");

    laptop.refresh(&two.refresh).await.ok();
}

#[tokio::test]
async fn a_session_unused_for_seven_days_is_over_though_its_item_is_still_there() {
    let laptop = Laptop::start().await;
    let login = laptop.login("alice").await;

    laptop.clock.advance(604_800);

    laptop.refresh(&login.refresh).await.is_problem(400, "login_required", "relogin");
    assert!(laptop.items().await.values().any(|item| item["sk"].as_s().unwrap().starts_with("session#")));
}

#[tokio::test]
async fn a_session_ends_thirty_days_after_its_login_however_often_it_is_used() {
    let laptop = Laptop::start().await;
    let mut token = laptop.login("alice").await.refresh;
    let mut left = Value::Null;
    for _ in 0..5 {
        laptop.clock.advance(6 * 86_400 - 1);
        let answer = laptop.refresh(&token).await.ok();
        answer["refresh_token"].as_str().unwrap().clone_into(&mut token);
        left = answer["refresh_expires_in"].clone();
    }
    assert_eq!(left, 5, "the earlier of idle and absolute expiry");

    laptop.clock.advance(5);

    laptop.refresh(&token).await.is_problem(400, "login_required", "relogin");
}

#[tokio::test]
async fn a_new_login_on_the_same_device_replaces_the_session_and_revokes_nothing_else() {
    let laptop = Laptop::start().await;
    let first = laptop.login("alice").await;
    laptop.clock.advance(10);
    let second = laptop.login_with(&json!({ "code": laptop.code("alice"), "device": first.device })).await;

    laptop.clock.advance(MIN_AGE);
    laptop.refresh(&first.refresh).await.is_problem(400, "login_required", "relogin");

    laptop.refresh(&second.refresh).await.ok();
}

#[tokio::test]
async fn the_emergency_brake_ends_sessions_made_before_it() {
    let laptop = Laptop::start().await;
    let before = laptop.login("alice").await;
    laptop.clock.advance(1);
    let braked = laptop.beside_with(&[("WXAUTH_NOT_BEFORE", &(BEGIN + 1).to_string())], &laptop.clock).await;
    let after = braked.login("bob").await;

    laptop.clock.advance(MIN_AGE);

    braked.refresh(&before.refresh).await.is_problem(400, "login_required", "relogin");
    braked.refresh(&after.refresh).await.ok();
}

#[tokio::test]
async fn a_brake_in_the_future_is_told_before_a_code_is_spent() {
    let laptop = Start::default().var("WXAUTH_NOT_BEFORE", &(BEGIN + 1).to_string()).go().await;
    let code = laptop.code("alice");

    laptop.post("/v1/login", &json!({ "code": code })).await.is_problem(500, "misconfigured", "stop");

    assert_eq!(laptop.simulator.calls("jscode2session"), 0);
    assert!(laptop.log().last().unwrap().contains("WXAUTH_NOT_BEFORE"));
    laptop.clock.advance(1);
    laptop.post("/v1/login", &json!({ "code": code })).await.ok();
}

#[tokio::test]
async fn an_access_token_does_not_outlive_its_session() {
    let laptop = Start::default().var("WXAUTH_IDLE_SECONDS", "2592000").go().await;
    let login = laptop.login("alice").await;
    laptop.clock.advance(30 * 86_400 - 100);

    let answer = laptop.refresh(&login.refresh).await.ok();

    assert_eq!((answer["expires_in"].as_u64(), answer["refresh_expires_in"].as_u64()), (Some(100), Some(100)));
    let claims = jwt_claims(answer["access_token"].as_str().unwrap());
    assert_eq!(claims["exp"], BEGIN + 30 * 86_400);
}

#[tokio::test]
async fn a_token_newer_than_its_session_is_refused_and_revokes_nothing() {
    let laptop = Laptop::start().await;
    let login = laptop.login("alice").await;
    laptop.clock.advance(1_000);
    let successor = laptop.refresh(&login.refresh).await.text_of("refresh_token");
    // The table is restored to before the refresh.
    let (client, table) = laptop.dynamodb();
    for mut item in laptop.items().await.into_values() {
        if item["sk"].as_s().unwrap().starts_with("session#") {
            item.insert("generation".to_owned(), AttributeValue::N("0".to_owned()));
            item.insert("rotated_at".to_owned(), AttributeValue::N(BEGIN.to_string()));
            client.put_item().table_name(&table).set_item(Some(item)).send().await.unwrap();
        }
    }

    laptop.refresh(&successor).await.is_problem(400, "login_required", "relogin");

    laptop.refresh(&login.refresh).await.ok();
}

#[tokio::test]
async fn lifetimes_come_from_the_environment() {
    let laptop = Start::default()
        .var("WXAUTH_ACCESS_SECONDS", "200")
        .var("WXAUTH_IDLE_SECONDS", "1000")
        .var("WXAUTH_ABSOLUTE_SECONDS", "1500")
        .var("WXAUTH_MIN_AGE_SECONDS", "10")
        .var("WXAUTH_GRACE_SECONDS", "5")
        .go()
        .await;
    let login = laptop.login("alice").await;
    laptop.clock.advance(900);

    let answer = laptop.refresh(&login.refresh).await.ok();

    assert_eq!(answer["expires_in"], 200);
    assert_eq!(answer["refresh_expires_in"], 600);
    laptop.clock.advance(6);
    laptop.refresh(&login.refresh).await.is_problem(400, "token_reused", "relogin");
}

#[tokio::test]
async fn what_is_no_token_of_ours_is_refused_alike() {
    let laptop = Laptop::start().await;
    let good = laptop.login("alice").await.refresh;
    let other = Laptop::start().await.login("alice").await.refresh;
    let (head, tail) = good.split_at(good.len() - 1);
    let last = if tail == "A" { "B" } else { "A" };

    for bad in [
        "",
        "x",
        "wxr1_",
        "wxr2_AAAA",
        &good[5..],
        &format!("{head}{last}"),
        &format!("{good}="),
        &other,
        &"A".repeat(4_000),
    ] {
        laptop.refresh(bad).await.is_problem(400, "login_required", "relogin");
    }
    laptop.refresh(&good).await.ok();
}

#[tokio::test]
async fn a_total_outage_of_wechat_is_not_noticed() {
    let laptop = Laptop::start().await;
    let login = laptop.login("alice").await;
    laptop.script("*", &json!({ "kind": "reset" }), None);

    laptop.clock.advance(MIN_AGE);

    laptop.refresh(&login.refresh).await.ok();
}

#[tokio::test]
async fn a_table_that_cannot_be_reached_is_no_verdict_on_the_token() {
    let laptop = Laptop::start().await;
    let login = laptop.login("alice").await;
    let (client, table) = laptop.dynamodb();
    client.delete_table().table_name(table).send().await.unwrap();

    laptop.refresh(&login.refresh).await.is_problem(503, "unavailable", "retry");
}

//! A thief who has copied a device's tokens is not told when its owner refreshes: then he would refresh within the grace
//! after it, each time, and never be noticed.

use serde_json::{Value, json};
use tests::{BEGIN, Laptop, Start, Tokens};

use super::refreshed;

const DAY: u64 = 86_400;

/// All that an access token of a session is told about sessions.
async fn told(laptop: &Laptop, copied: &Tokens) -> [String; 2] {
    let session = laptop.get(&copied.access, "/v1/session").await;
    let sessions = laptop.get(&copied.access, "/v1/sessions").await;
    session.ok();
    sessions.ok();
    [session.text, sessions.text]
}

/// The same without what counts the time, and the access token.
fn comparable(mut tokens: Value) -> Value {
    tokens["access_token"].take();
    tokens
}

#[tokio::test]
async fn what_is_told_of_sessions_is_the_same_before_and_after_the_owners_refresh() {
    for times in [
        &[][..],
        &[("WXAUTH_ACCESS_SECONDS", "3600")],
        &[("WXAUTH_ACCESS_SECONDS", "300"), ("WXAUTH_IDLE_SECONDS", "700"), ("WXAUTH_ABSOLUTE_SECONDS", "90000")],
    ] {
        let start = times.iter().fold(Start::default(), |start, (name, value)| start.var(name, value));
        let laptop = start.go().await;
        let access = times.first().map_or(900, |(_, seconds)| seconds.parse().unwrap());
        let mut devices = [laptop.login("alice").await, laptop.login("alice").await, laptop.login("alice").await];
        for round in 0..90 {
            // The first device is refreshed each time and the others now and then, so that their order would change.
            laptop.clock.advance((access - 60) / 2);
            let watching = devices.clone();
            for at in if round % 2 == 0 { vec![0] } else { vec![2, 1, 0] } {
                let before = told(&laptop, &watching[0]).await;
                devices[at] = refreshed(&laptop, &devices[at]).await;
                assert_eq!(told(&laptop, &watching[0]).await, before, "{times:?}, round {round}, device {at}");
            }
        }
    }
}

#[tokio::test]
async fn a_repeated_refresh_does_not_say_how_long_ago_the_first_one_was() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    laptop.clock.advance(840);
    let first = comparable(laptop.refresh(&alice.refresh).await.ok());
    let successor = first["refresh_token"].as_str().unwrap();

    for later in [0, 1, 59] {
        laptop.clock.advance(later);
        assert_eq!(comparable(laptop.refresh(&alice.refresh).await.ok()), first, "a replay, {later} s later");
    }
    for later in [10, 49] {
        laptop.clock.advance(later);
        assert_eq!(comparable(laptop.refresh(successor).await.ok()), first, "an echo, {later} s later");
    }
}

#[tokio::test]
async fn a_device_was_last_seen_on_the_day_of_its_login_or_on_a_later_one_before_today() {
    let laptop = Laptop::start().await;
    let midnight = BEGIN - BEGIN % DAY;
    let mut phone = laptop.login("alice").await;
    let mut seen = Vec::new();
    for hours in [1, 12, 24, 24, 24, 72, 1] {
        laptop.clock.advance(hours * 3_600);
        phone = refreshed(&laptop, &phone).await;
        let sessions = laptop.get(&phone.access, "/v1/sessions").await.ok();
        seen.push(sessions["sessions"][0]["last_seen_at"].clone());
    }

    let day = |number: u64| json!(midnight + number * DAY);
    assert_eq!(seen, [json!(BEGIN), json!(BEGIN), json!(BEGIN), day(1), day(2), day(5), day(5)]);
}

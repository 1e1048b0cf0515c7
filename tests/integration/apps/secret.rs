//! The secrets of mini programs change while the functions run.

use http::StatusCode;
use serde_json::{Value, json};
use tests::{APPID, Folder, Laptop, Response, Start};

use super::{ONE, TWO, both, code, login, phone_by_code};

/// A laptop whose mini programs lie in a file that a test may change.
async fn with_file(apps: &Value) -> (Laptop, Folder) {
    let folder = Folder::new();
    write(&folder, apps);
    let path = folder.0.join("apps.json");
    (Start::default().var("WXAUTH_APPS", &format!("file:{}", path.display())).go().await, folder)
}

fn write(folder: &Folder, apps: &Value) {
    std::fs::write(folder.0.join("apps.json"), apps.to_string()).unwrap();
}

fn only_one() -> Value {
    json!({ "apps": { ONE: { "secret": "secret one" } } })
}

async fn try_login(laptop: &Laptop, appid: &str) -> Response {
    laptop.post("/v1/login", &json!({ "code": code(laptop, appid, "alice"), "appid": appid })).await
}

#[tokio::test]
async fn an_app_added_while_running_is_there_after_ten_minutes_at_the_latest() {
    // The simulator knows both from the start; the functions forget one and get it back.
    let (laptop, folder) = with_file(&both()).await;
    write(&folder, &only_one());
    laptop.clock.advance(600);
    try_login(&laptop, TWO).await.is_problem(400, "invalid_request", "fix");
    write(&folder, &both());
    laptop.clock.advance(299);
    try_login(&laptop, TWO).await.is_problem(400, "invalid_request", "fix");

    laptop.clock.advance(301);
    let two = login(&laptop, TWO, "alice").await;

    phone_by_code(&laptop, TWO, "alice", &two).await.ok();
    assert_eq!(laptop.checked(&two).await, "ok");
}

#[tokio::test]
async fn an_app_added_while_running_is_read_beside_a_request_after_five_minutes() {
    let (laptop, folder) = with_file(&both()).await;
    write(&folder, &only_one());
    laptop.clock.advance(600);
    try_login(&laptop, TWO).await.is_problem(400, "invalid_request", "fix");
    write(&folder, &both());

    laptop.clock.advance(300);
    let mut refused = 0;
    while try_login(&laptop, TWO).await.status != StatusCode::OK {
        refused += 1;
        assert!(refused < 100, "the value is read, without a request that waits for it");
    }
}

#[tokio::test]
async fn an_app_taken_away_ends_with_its_next_login_and_its_phone_codes() {
    let (laptop, folder) = with_file(&both()).await;
    let (one, two) = (login(&laptop, ONE, "alice").await, login(&laptop, TWO, "alice").await);
    write(&folder, &only_one());

    laptop.clock.advance(600);

    try_login(&laptop, TWO).await.is_problem(400, "invalid_request", "fix");
    phone_by_code(&laptop, TWO, "alice", &two).await.is_problem(500, "misconfigured", "stop");
    assert_eq!(laptop.checked(&two).await, "unknown");
    laptop.get(&two.access, "/v1/session").await.ok();
    phone_by_code(&laptop, ONE, "alice", &one).await.ok();
    assert_eq!(laptop.simulator.calls("stable_token"), 1);
}

#[tokio::test]
async fn a_file_that_became_unreadable_changes_nothing() {
    let (laptop, folder) = with_file(&both()).await;
    for text in ["", "{", "{}", r#"{"apps":{}}"#, r#"{"apps":[]}"#] {
        std::fs::write(folder.0.join("apps.json"), text).unwrap();
        laptop.clock.advance(600);
        for appid in [ONE, TWO] {
            login(&laptop, appid, "alice").await;
        }
    }
}

/// The first login of all, a phone code and a check by a process that knows no platform token.
async fn everything_works(laptop: &Laptop) {
    let alice = laptop.login("alice").await;
    phone_by_code(laptop, APPID, "alice", &alice).await.ok();
    assert_eq!(laptop.checked(&alice).await, "ok");
}

#[tokio::test]
async fn a_changed_secret_works_whichever_of_the_two_wechat_holds() {
    let apps = json!({ "apps": { APPID: { "secret": "new", "previous_secret": "old" } } });
    for held in ["old", "new"] {
        let laptop = Start::default().apps(apps.clone()).go().await;
        let _ = laptop.sim("secret", json!({ "appid": APPID, "secret": held }));
        everything_works(&laptop).await;

        // The owner changes it at WeChat; the old platform token lives on, the next one is fetched with the other.
        let other = if held == "old" { "new" } else { "old" };
        let _ = laptop.sim("secret", json!({ "appid": APPID, "secret": other }));
        everything_works(&laptop).await;
        laptop.clock.advance(7_200);
        everything_works(&laptop).await;
    }
}

#[tokio::test]
async fn a_secret_is_changed_without_a_moment_of_failure() {
    let secret = |secret: &str, previous: Option<&str>| json!({ "apps": { APPID: { "secret": secret, "previous_secret": previous } } });
    let (laptop, folder) = with_file(&secret("old", None)).await;
    everything_works(&laptop).await;

    write(&folder, &secret("new", Some("old")));
    for _ in 0..4 {
        laptop.clock.advance(150);
        everything_works(&laptop).await;
    }
    let _ = laptop.sim("secret", json!({ "appid": APPID, "secret": "new" }));
    for _ in 0..2 {
        laptop.clock.advance(3_600);
        everything_works(&laptop).await;
    }
    write(&folder, &secret("new", None));
    for _ in 0..4 {
        laptop.clock.advance(3_600);
        everything_works(&laptop).await;
    }
}

#[tokio::test]
async fn a_platform_token_is_fetched_with_the_previous_secret_whatever_number_refuses_the_new_one() {
    for errcode in [40001, 40125] {
        let apps = json!({ "apps": { APPID: { "secret": "new", "previous_secret": "old" } } });
        let laptop = Start::default().apps(apps).go().await;
        let _ = laptop.sim("secret", json!({ "appid": APPID, "secret": "old" }));
        let alice = laptop.login("alice").await;
        laptop.script("stable_token", &json!({ "kind": "errcode", "errcode": errcode }), Some(1));

        phone_by_code(&laptop, APPID, "alice", &alice).await.ok();

        assert_eq!(laptop.simulator.calls("stable_token"), 2);
    }
}

#[tokio::test]
async fn a_secret_that_wechat_holds_neither_of_is_a_misconfiguration() {
    let apps = json!({ "apps": { APPID: { "secret": "new", "previous_secret": "old" } } });
    let laptop = Start::default().apps(apps).go().await;
    let alice = laptop.login("alice").await;
    let _ = laptop.sim("secret", json!({ "appid": APPID, "secret": "third" }));

    let login = laptop.post("/v1/login", &json!({ "code": laptop.code("bob") })).await;

    login.is_problem(500, "misconfigured", "stop");
    phone_by_code(&laptop, APPID, "alice", &alice).await.is_problem(500, "misconfigured", "stop");
    for secret in ["new", "old", "third"] {
        assert!(!login.text.contains(&format!("\"{secret}\"")));
    }
}

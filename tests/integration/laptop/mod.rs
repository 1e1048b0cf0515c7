//! The laptop itself: it keeps what it should over a restart, and refuses to start half.

mod developer_tools;
mod network;
mod printed;
mod real_apps;

use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    time::Duration,
};

use serde_json::{Value, json};
use tests::{Folder, KEY, Laptop, Start, Tokens, send};

#[tokio::test]
async fn a_refresh_token_from_before_a_restart_still_works() {
    let folder = Folder::new();
    let before = Start::default().folder(&folder).go().await;
    let login = before.login("alice").await;
    before.world.stop().await;

    let after = Start::default().folder(&folder).go().await;
    after.clock.advance(200);

    let successor = after.refresh(&login.refresh).await.text_of("refresh_token");
    assert_ne!(successor, login.refresh);
    assert_eq!(after.login("alice").await.openid, login.openid, "the simulator knows its users again");
}

/// The rights of everything in a folder, and of the folder itself, whose name is empty.
fn rights(folder: &Path) -> BTreeMap<String, u32> {
    let of = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let entries = entries.map(|entry| (entry.file_name().into_string().unwrap(), of(&entry.path())));
    entries.chain([(String::new(), of(folder))]).collect()
}

#[track_caller]
fn are_closed_but(open: &[&str], folder: &Folder) {
    let rights = rights(&folder.0);
    let is_open = |name: &str, mode: u32| mode != if name.is_empty() { 0o700 } else { 0o600 };
    assert!(rights.len() > 6 && rights.contains_key("dynamodb.sqlite"), "{rights:?}");
    for (name, mode) in rights {
        assert_eq!(is_open(&name, mode), open.contains(&name.as_str()), "{name} {mode:o}");
    }
}

fn open_to_all(folder: &Folder) {
    for (name, _) in rights(&folder.0) {
        let mode = if name.is_empty() { 0o755 } else { 0o644 };
        fs::set_permissions(folder.0.join(name), Permissions::from_mode(mode)).unwrap();
    }
}

#[tokio::test]
async fn the_data_folder_and_all_in_it_are_for_their_owner_alone_also_where_they_were_not() {
    let folder = Folder::new();
    let laptop = Start::default().folder(&folder).go().await;
    laptop.login("alice").await;
    are_closed_but(&[], &folder);
    laptop.world.stop().await;

    // `clock` is the page's, and a start that was killed left the other.
    for name in ["clock", "keyring.part"] {
        fs::write(folder.0.join(name), "60").unwrap();
    }
    open_to_all(&folder);
    let laptop = Start::default().folder(&folder).go().await;
    laptop.login("alice").await;

    are_closed_but(&[], &folder);
}

/// Such as `--data /tmp`.
#[tokio::test]
async fn a_folder_with_what_is_not_the_laptops_stays_open_and_so_does_that() {
    let folder = Folder::new();
    open_to_all(&folder);
    fs::write(folder.0.join("notes.txt"), "somebody's").unwrap();
    fs::set_permissions(folder.0.join("notes.txt"), Permissions::from_mode(0o644)).unwrap();

    let laptop = Start::default().folder(&folder).go().await;
    laptop.login("alice").await;

    are_closed_but(&["", "notes.txt"], &folder);
}

#[tokio::test]
async fn a_variable_that_names_another_wechat_does_what_the_flag_does() {
    let one = tests::Laptop::start().await;

    let two = Start::default().var("WXAUTH_WECHAT_URL", &one.world.wechat_url).without_simulator().await;

    assert_eq!(two.wechat_url, one.world.wechat_url);
    assert!(two.simulator.is_none());
}

/// The request of a client that does not wait for its answer.
async fn hung_up(request: reqwest::RequestBuilder) {
    let error = request.timeout(Duration::from_millis(300)).send().await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
}

/// On Lambda, a function does not learn that its client is gone.
#[tokio::test]
async fn a_client_that_hangs_up_gets_what_its_request_gave_when_it_asks_again() {
    let laptop = Laptop::start().await;
    let slow = |api| laptop.script_after(api, &json!({ "kind": "latency", "ms": 1_000 }), Some(1));
    let login = |body: &Value| laptop.request("/v1/login").header("idempotency-key", KEY).json(body);
    let body = json!({ "code": laptop.code("alice") });

    slow("jscode2session");
    hung_up(login(&body)).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let first = send(login(&body)).await.ok();
    let again = send(login(&body)).await.ok();
    assert_eq!(again["refresh_token"], first["refresh_token"]);

    let alice = Tokens::in_body(&first);
    let tap = json!({ "code": laptop.sim("phone", json!({ "user": "alice" }))["code"] });
    slow("getuserphonenumber");
    hung_up(laptop.request("/v1/phone").bearer_auth(&alice.access).json(&tap)).await;

    laptop.post_as(&alice.access, "/v1/phone", &tap).await.ok();

    assert_eq!(laptop.simulator.calls("getuserphonenumber"), 1);
}

//! The laptop itself: it keeps what it should over a restart, and refuses to start half.

use std::time::Duration;

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

#[tokio::test]
async fn secret_files_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new();
    local::secrets::SecretFiles::in_folder(&folder.0, shared::token::jwks::KeyKind::Ec).unwrap();

    for file in ["apps.json", "keyring.json", "signing-keys.json", "jwks.json"] {
        assert_eq!(std::fs::metadata(folder.0.join(file)).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
    }
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

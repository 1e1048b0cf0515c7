//! WeChat's developer tools and real phones against the laptop: what their `wx.login` gives was not made by the simulator.

use serde_json::{Value, json};
use tests::{APPID, Folder, KEY, Laptop, Start, Tokens, client, send};

/// In the form of the codes that WeChat makes.
const CODE: &str = "033Ab9Ga1-Tools_Tools_Tools00001";
const TAP: &str = "e31968a7f94cc5ee25fafc2aef2773f0bb8c3937b22520eb8ee345274d00c144";
/// What the tools give without an AppID.
const MOCK: &str = "the code is a mock one";

/// As `cargo run` starts it.
fn as_run() -> Start {
    Start::default().with(|settings| settings.foreign_codes = true)
}

async fn login(laptop: &Laptop, code: &str) -> Tokens {
    laptop.login_with(&json!({ "code": code })).await
}

#[tokio::test]
async fn codes_that_the_simulator_did_not_make_log_in_one_user_also_after_a_restart() {
    let folder = Folder::new();
    let before = as_run().folder(&folder).go().await;
    let (first, second) =
        (login(&before, CODE).await, before.post("/v1/login", &json!({ "code": "another" })).await.ok());
    before.world.stop().await;

    let after = as_run().folder(&folder).go().await;
    after.clock.advance(200);

    assert_eq!(second["openid"], first.openid);
    assert_eq!(second["new_user"], false);
    assert_eq!(login(&after, "a-third").await.openid, first.openid);
    assert_ne!(after.refresh(&first.refresh).await.text_of("refresh_token"), first.refresh);
    assert_eq!(
        login(&after, &after.code("devtools")).await.openid,
        first.openid,
        "the simulator knows the user by name"
    );
}

#[tokio::test]
async fn a_phone_code_that_the_simulator_did_not_make_is_that_users_number_and_of_no_other() {
    let laptop = as_run().go().await;
    let (devtools, alice) = (login(&laptop, CODE).await, laptop.login("alice").await);
    let _ = laptop.sim("user", json!({ "user": "devtools", "phoneNumber": "13800138000" }));
    let tap = json!({ "code": TAP });

    laptop.post_as(&alice.access, "/v1/phone", &tap).await.is_problem(409, "phone_code_invalid", "relogin_then_retap");

    let number = laptop.post_as(&devtools.access, "/v1/phone", &tap).await.ok();
    assert_eq!(number["phoneNumber"], "13800138000");
}

#[tokio::test]
async fn used_and_malformed_codes_and_those_of_the_simulator_are_what_they_are_at_wechat() {
    let laptop = as_run().go().await;
    let devtools = login(&laptop, CODE).await;
    let expired = laptop.code("alice");

    laptop.post("/v1/login", &json!({ "code": CODE })).await.is_problem(400, "code_used", "relogin");
    for malformed in ["", "a b", "a.b", &"x".repeat(513)] {
        laptop.post("/v1/login", &json!({ "code": malformed })).await.is_problem(400, "invalid_request", "fix");
    }
    assert_ne!(laptop.login("alice").await.openid, devtools.openid);
    laptop.clock.advance(301);
    for over in [&expired, CODE] {
        laptop.post("/v1/login", &json!({ "code": over })).await.is_problem(400, "code_invalid", "relogin");
    }
    assert_eq!(laptop.checked(&login(&laptop, "fresh").await).await, "ok");
}

#[tokio::test]
async fn the_tools_without_an_appid_log_in_as_that_user_as_often_as_they_like() {
    let laptop = as_run().go().await;
    let real = login(&laptop, CODE).await;
    let body = json!({ "code": MOCK, "appid": APPID });

    for _ in 0..2 {
        assert_eq!(laptop.login_with(&body).await.openid, real.openid);
    }
    let lost = laptop.login_with_key(KEY, &body).await.text_of("refresh_token");
    assert_eq!(
        laptop.login_with_key(KEY, &body).await.text_of("refresh_token"),
        lost,
        "as any login that is sent again"
    );
    let other = laptop.login_with_key("another-login-another-key", &body).await;
    assert_ne!(other.text_of("refresh_token"), lost);
}

#[tokio::test]
async fn unless_the_laptop_is_told_so_a_code_that_the_simulator_did_not_make_is_invalid() {
    let laptop = Laptop::start().await;

    laptop.post("/v1/login", &json!({ "code": CODE })).await.is_problem(400, "code_invalid", "relogin");
    laptop.post("/v1/login", &json!({ "code": MOCK })).await.is_problem(400, "invalid_request", "fix");
}

/// The other WeChat here knows no such codes, as the real one.
#[tokio::test]
async fn where_another_wechat_is_asked_nothing_is_made_good() {
    let wechat = Laptop::start().await;
    let world = as_run().var("WXAUTH_WECHAT_URL", &wechat.world.wechat_url).without_simulator().await;
    let post = async |code: &str| {
        let body: Value = json!({ "code": code });
        send(client().post(format!("{}/v1/login", world.url)).json(&body)).await
    };

    post(CODE).await.is_problem(400, "code_invalid", "relogin");
    post(MOCK).await.is_problem(400, "invalid_request", "fix");
    assert_eq!(wechat.simulator.calls("jscode2session"), 1, "the words are never sent to WeChat");
}

//! Several mini programs behind one deployment, and the secrets and platform tokens of each.

mod model;
mod platform_token;
mod secret;

use http::StatusCode;
use serde_json::{Value, json};
use tests::{APPID, Items, Laptop, Response, Start, Tokens, authorizer_event, jwt_claims};

const ONE: &str = "wx0000000000000001";
const TWO: &str = "wx0000000000000002";

fn both() -> Value {
    json!({ "apps": { ONE: { "secret": "secret one" }, TWO: { "secret": "secret two" } } })
}

async fn two_apps() -> Laptop {
    Start::default().apps(both()).go().await
}

/// What `wx.login` gives a user of this app.
fn code(laptop: &Laptop, appid: &str, user: &str) -> Value {
    laptop.sim("login", json!({ "user": user, "appid": appid }))["code"].clone()
}

async fn login(laptop: &Laptop, appid: &str, user: &str) -> Tokens {
    laptop.login_with(&json!({ "code": code(laptop, appid, user), "appid": appid })).await
}

/// The same openid text for alice in both apps: two people.
fn same_openid(laptop: &Laptop) -> String {
    let openid = laptop.sim("user", json!({ "user": "alice", "appid": ONE }))["openid"].clone();
    let set = laptop.sim("user", json!({ "user": "alice", "appid": TWO, "openid": openid }));
    assert_eq!(set["openid"], openid);
    openid.as_str().unwrap().to_owned()
}

/// The phone number of a user by a new phone code.
async fn phone_by_code(laptop: &Laptop, appid: &str, user: &str, tokens: &Tokens) -> Response {
    let code = laptop.sim("phone", json!({ "user": user, "appid": appid }))["code"].clone();
    laptop.post_as(&tokens.access, "/v1/phone", &json!({ "code": code })).await
}

#[tokio::test]
async fn a_login_names_one_of_the_apps_in_its_exact_spelling() {
    let laptop = two_apps().await;

    for appid in
        [Value::Null, json!(APPID), json!("wx000000000000000A"), json!(ONE.to_uppercase()), json!(""), json!(1)]
    {
        let body = json!({ "code": code(&laptop, ONE, "alice"), "appid": appid });
        laptop.post("/v1/login", &body).await.is_problem(400, "invalid_request", "fix");
    }

    assert_eq!(laptop.simulator.calls("jscode2session"), 0);
    assert_eq!(
        login(&laptop, TWO, "alice").await.openid,
        laptop.sim("user", json!({ "user": "alice", "appid": TWO }))["openid"]
    );
}

#[tokio::test]
async fn the_same_openid_on_the_same_device_in_two_apps_is_two_users() {
    let laptop = two_apps().await;
    let openid = same_openid(&laptop);
    let one = login(&laptop, ONE, "alice").await;
    let body = json!({ "code": code(&laptop, TWO, "alice"), "appid": TWO, "device": one.device });

    let answer = laptop.post("/v1/login", &body).await.ok();

    assert_eq!(
        (&answer["new_user"], &answer["openid"], tests::Tokens::in_body(&answer).device_id()),
        (&json!(true), &json!(openid), one.device_id())
    );
    let two = answer["access_token"].as_str().unwrap();
    assert_ne!(jwt_claims(&one.access)["sid"], jwt_claims(two)["sid"]);
    assert_eq!([jwt_claims(&one.access)["aud"].clone(), jwt_claims(two)["aud"].clone()], [ONE, TWO]);
    for (appid, access) in [(ONE, one.access.as_str()), (TWO, two)] {
        let session = laptop.get(access, "/v1/session").await.ok();
        assert_eq!((&session["appid"], &session["openid"]), (&json!(appid), &json!(openid)));
        assert_eq!(laptop.get(access, "/v1/sessions").await.ok()["sessions"].as_array().unwrap().len(), 1);
    }
    assert_eq!(laptop.delete(&one.access, "/v1/user").await.status, StatusCode::NO_CONTENT);
    assert_eq!(checked_by(&laptop, two).await, "ok");
}

/// With one audience, only `client_id` tells them apart.
#[tokio::test]
async fn one_audience_of_two_apps_makes_the_token_of_one_no_token_of_the_other() {
    let laptop = Start::default().apps(both()).var("WXAUTH_AUDIENCE", "https://api.example.com").go().await;
    same_openid(&laptop);
    let one = login(&laptop, ONE, "alice").await;
    let body = json!({ "code": code(&laptop, TWO, "alice"), "appid": TWO, "device": one.device });
    let two = laptop.login_with(&body).await;
    let before = of_app(TWO, &laptop).await;
    let (tap, info) = (of_user("phone", TWO, &laptop), of_user("userinfo", TWO, &laptop));
    let authorizer = authorizer::Deps::from_env(laptop.world.env.clone()).await.unwrap();
    let event = authorizer_event(&format!("Bearer {}", one.access));

    assert_eq!(laptop.get(&one.access, "/v1/session").await.ok()["appid"], ONE);
    assert_eq!(laptop.get(&one.access, "/v1/sessions").await.ok()["sessions"].as_array().unwrap().len(), 1);
    for (path, body) in [
        ("/v1/phone", json!({ "encryptedData": tap["encryptedData"], "iv": tap["iv"] })),
        ("/v1/phone", json!({ "code": tap["code"] })),
        ("/v1/userinfo", info),
    ] {
        let answer = laptop.post_as(&one.access, path, &body).await;
        assert!([403, 409].contains(&answer.status.as_u16()), "{path}: {answer:?}");
    }
    let decision = authorizer::handle(authorizer, serde_json::from_value(event).unwrap()).await.unwrap();
    assert_eq!(json!(decision)["context"]["appid"], ONE);
    for path in ["/v1/session", "/v1/sessions", "/v1/user"] {
        let device = login(&laptop, ONE, "alice").await;
        assert_eq!(laptop.delete(&device.access, path).await.status, StatusCode::NO_CONTENT, "{path}");
    }

    assert_eq!(of_app(TWO, &laptop).await, before);
    laptop.get(&two.access, "/v1/session").await.ok();
}

/// The users and sessions of an app.
async fn of_app(appid: &str, laptop: &Laptop) -> Items {
    let items = laptop.items().await.into_iter();
    items.filter(|((pk, _), _)| pk.starts_with(&format!("{appid}#"))).collect()
}

fn of_user(button: &str, appid: &str, laptop: &Laptop) -> Value {
    laptop.sim(button, json!({ "user": "alice", "appid": appid }))
}

async fn checked_by(laptop: &Laptop, access: &str) -> Value {
    laptop.get(access, "/v1/session?wechat=check").await.ok()["wechat_session"].clone()
}

#[tokio::test]
async fn data_of_the_same_openid_in_the_other_app_is_rejected_even_under_the_same_key() {
    let laptop = two_apps().await;
    same_openid(&laptop);
    let codes = [code(&laptop, ONE, "alice"), code(&laptop, TWO, "alice")];
    for appid in [ONE, TWO] {
        let _ =
            laptop.sim("user", json!({ "user": "alice", "appid": appid, "session_key": "tiihtNczf5v6AKRyjwEUhQ==" }));
    }
    let one = laptop.login_with(&json!({ "code": codes[0], "appid": ONE })).await;
    let of_two = json!({ "user": "alice", "appid": TWO });
    let (tap, info) = (laptop.sim("phone", of_two.clone()), laptop.sim("userinfo", of_two));

    let phone = json!({ "encryptedData": tap["encryptedData"], "iv": tap["iv"] });
    for (path, body) in [("/v1/phone", &phone), ("/v1/userinfo", &info)] {
        laptop.post_as(&one.access, path, body).await.is_problem(403, "data_rejected", "stop");
    }

    let two = laptop.login_with(&json!({ "code": codes[1], "appid": TWO })).await;
    laptop.post_as(&two.access, "/v1/phone", &phone).await.ok();
    laptop.post_as(&two.access, "/v1/userinfo", &info).await.ok();
}

#[tokio::test]
async fn a_session_key_moved_to_the_same_openid_of_the_other_app_opens_nothing() {
    let laptop = two_apps().await;
    let openid = same_openid(&laptop);
    let (one, two) = (login(&laptop, ONE, "alice").await, login(&laptop, TWO, "alice").await);
    let stored = laptop.items().await;
    let user = |appid: &str| stored[&(format!("{appid}#{openid}"), "user".to_owned())].clone();
    let mut moved = user(TWO);
    moved.insert("current_key".to_owned(), user(ONE)["current_key"].clone());
    let (client, table) = laptop.dynamodb();
    client.put_item().table_name(&table).set_item(Some(moved)).send().await.unwrap();
    let tap = laptop.sim("phone", json!({ "user": "alice", "appid": ONE }));
    let data = json!({ "encryptedData": tap["encryptedData"], "iv": tap["iv"] });

    let answer = laptop.post_as(&two.access, "/v1/phone", &data).await;

    answer.is_problem(409, "session_key_expired", "relogin_then_retap");
    assert_eq!(laptop.checked(&two).await, "stale");
    laptop.post_as(&one.access, "/v1/phone", &data).await.ok();
}

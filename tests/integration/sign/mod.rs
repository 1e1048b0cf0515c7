//! Signatures for the owner's backend, from the wire form of a request to the exact answer.

mod check;
mod hostile;
mod payments;
mod vectors;

use aws_lc_rs::hmac;
use serde_json::{Value, json};
use shared::problem::Problem;
use sign::Deps;
use tests::{APPID, Laptop, Start};

const MESSAGE: &str = r#"{"offerId":"1450000001","buyQuantity":1,"env":0}"#;
const PRODUCTION: &str = "dRk82dM7ZI3gzV58M1wW045vP8hr3zAk";
const SANDBOX: &str = "ygTsULYUP4nJ7CbG76Ca8KwBYxGFdc3s";
const KEY: &str = "o8x5w1S96v44S3700UEUhw==";

/// A laptop whose app has both AppKeys.
async fn start() -> Laptop {
    let keys = json!({ "production": PRODUCTION, "sandbox": SANDBOX });
    Start::default().apps(json!({ "apps": { APPID: { "secret": "s", "app_keys": keys } } })).go().await
}

async fn deps(laptop: &Laptop) -> Deps {
    Deps::from_env(laptop.world.env.clone()).await.unwrap()
}

/// What the invocation answers, or its `errorType` and the sentence with which it fails.
async fn tried(laptop: &Laptop, request: Value) -> Result<Value, (&'static str, String)> {
    let request = serde_json::from_value(request).map_err(|defect| ("invalid_request", defect.to_string()))?;
    let answer = laptop.logged(sign::handle(deps(laptop).await, request)).await;
    answer.map(|answer| serde_json::to_value(answer).unwrap()).map_err(|error| {
        let sentence = error.to_string();
        (Problem::from(error).code().as_str(), sentence)
    })
}

fn request(openid: &str, message: &str) -> Value {
    json!({ "appid": APPID, "openid": openid, "message": message })
}

async fn sign(laptop: &Laptop, openid: &str, message: &str) -> Value {
    tried(laptop, request(openid, message)).await.unwrap()
}

fn hmac_hex(key: &str, message: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    hmac::sign(&key, message.as_bytes()).as_ref().iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// Plants the key that WeChat gives this user from now on.
fn plant(laptop: &Laptop, user: &str, key: &str) {
    let _ = laptop.sim("settings", json!({ "session_key": "keep" }));
    let _ = laptop.sim("user", json!({ "user": user, "session_key": key }));
}

const RELOGIN: &str = "relogin";

#[tokio::test]
async fn a_message_is_signed_with_the_key_of_the_last_login_and_never_with_the_one_before() {
    let laptop = start().await;
    plant(&laptop, "alice", KEY);
    let alice = laptop.login("alice").await;
    let first = sign(&laptop, &alice.openid, MESSAGE).await;
    let other = "tiihtNczf5v6AKRyjwEUhQ==";
    plant(&laptop, "alice", other);
    laptop.login("alice").await;

    let second = sign(&laptop, &alice.openid, MESSAGE).await;

    assert_eq!(first, json!({ "signature": hmac_hex(KEY, MESSAGE) }));
    assert_eq!(second, json!({ "signature": hmac_hex(other, MESSAGE) }));
    assert_eq!(laptop.simulator.calls("checksession"), 0);
    assert_eq!(laptop.simulator.calls("stable_token"), 0);
}

#[tokio::test]
async fn a_user_signs_also_where_no_device_is_logged_in_any_more() {
    let laptop = start().await;
    plant(&laptop, "alice", KEY);
    let alice = laptop.login("alice").await;
    laptop.owner("end_sessions", &alice.openid).await;

    assert_eq!(sign(&laptop, &alice.openid, MESSAGE).await, json!({ "signature": hmac_hex(KEY, MESSAGE) }));
}

#[tokio::test]
async fn who_cannot_be_signed_for_is_told_by_one_word_and_what_helps() {
    let laptop = start().await;
    let [alice, bob, carol] = [laptop.login("alice").await, laptop.login("bob").await, laptop.login("carol").await];
    laptop.owner("block", &bob.openid).await;
    laptop.owner("delete", &carol.openid).await;
    let refused = |word: &str, action: &str| json!({ "refused": word, "action": action });

    assert_eq!(sign(&laptop, "oNobody", MESSAGE).await, refused("no_user", RELOGIN));
    assert_eq!(sign(&laptop, &bob.openid, MESSAGE).await, refused("user_blocked", "stop"));
    assert_eq!(sign(&laptop, &carol.openid, MESSAGE).await, refused("no_user", RELOGIN));
    laptop.owner("block", "oNeverSeen").await;
    assert_eq!(sign(&laptop, "oNeverSeen", MESSAGE).await, refused("user_blocked", "stop"));
    laptop.owner("unblock", &bob.openid).await;
    assert!(sign(&laptop, &bob.openid, MESSAGE).await["signature"].is_string());
    // A key of the ring that sealed the session_key is gone.
    let (client, table) = laptop.dynamodb();
    let key = |name: &str, value: String| (name.to_owned(), aws_sdk_dynamodb::types::AttributeValue::S(value));
    let user = [key("pk", format!("{APPID}#{}", alice.openid)), key("sk", "user".to_owned())];
    let spoil =
        client.update_item().table_name(table).set_key(Some(user.into())).update_expression("SET current_key = :it");
    let unreadable = aws_sdk_dynamodb::types::AttributeValue::B(vec![0; 64].into());
    spoil.expression_attribute_values(":it", unreadable).send().await.unwrap();
    for check in [false, true] {
        let mut asked = request(&alice.openid, MESSAGE);
        asked["check"] = check.into();
        assert_eq!(tried(&laptop, asked).await.unwrap(), refused("stale", RELOGIN));
    }
    assert_eq!(laptop.simulator.calls("checksession"), 0, "a key that cannot be opened is not asked about");
}

#[tokio::test]
async fn nothing_is_written_and_the_users_item_is_all_that_is_read() {
    let laptop = start().await;
    let alice = laptop.login("alice").await;
    let before = laptop.items().await;

    for _ in 0..40 {
        assert!(sign(&laptop, &alice.openid, MESSAGE).await["signature"].is_string(), "no attempts are counted");
    }

    assert_eq!(laptop.items().await, before);
    let line: Value = serde_json::from_str(&laptop.log().pop().unwrap()).unwrap();
    assert_eq!((&line["verdict"], &line["level"]), (&"SIGNED".into(), &"INFO".into()));
    assert!(line["user.hash"].is_string() && line["wechat_ms"].is_null(), "{line}");
}

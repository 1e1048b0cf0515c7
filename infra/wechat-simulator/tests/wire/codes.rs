//! Login codes at code2Session.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::client::{SECOND_APP, Wire, exchange_target};

#[tokio::test]
async fn a_code_is_exchanged_once() {
    let wire = Wire::start().await;
    let code = wire.code("ada").await;

    let (first, second) = (wire.exchange(&code).await, wire.exchange(&code).await);

    assert_eq!(first.status, 200);
    assert!(first.head.contains("content-type: text/plain"), "{}", first.head);
    assert_eq!(first.json().as_object().unwrap().keys().collect::<Vec<_>>(), ["openid", "session_key"]);
    assert_eq!(first.text("openid").len(), 28);
    assert_eq!(STANDARD.decode(first.text("session_key")).unwrap().len(), 16);
    assert_eq!(second.errcode(), 40163);
    assert!(second.text("errmsg").contains("rid: "));
}

#[tokio::test]
async fn a_used_code_gets_40029_when_so_set() {
    let wire = Wire::start().await;
    wire.sim("settings", json!({ "used_code_errcode": 40029 })).await;
    let code = wire.code("ada").await;
    wire.exchange(&code).await;

    assert_eq!(wire.exchange(&code).await.errcode(), 40029);
}

#[tokio::test]
async fn two_exchanges_at_once_have_one_winner() {
    let wire = Wire::start().await;
    let code = wire.code("ada").await;

    let (one, other) = tokio::join!(wire.exchange(&code), wire.exchange(&code));

    let winners = [one, other].iter().filter(|reply| reply.is_success()).count();
    assert_eq!(winners, 1);
}

#[tokio::test]
async fn a_code_expires_after_five_minutes() {
    let wire = Wire::start().await;
    let (early, late) = (wire.code("ada").await, wire.code("ada").await);

    wire.advance(299);
    assert!(wire.exchange(&early).await.is_success());
    wire.advance(1);
    assert_eq!(wire.exchange(&late).await.errcode(), 40029);
}

#[tokio::test]
async fn a_code_of_another_app_is_refused_and_stays_good_there() {
    let wire = Wire::start().await;
    let code = wire.sim("login", json!({ "user": "ada", "appid": SECOND_APP })).await["code"].clone();
    let code = code.as_str().unwrap();

    assert_eq!(wire.exchange(code).await.errcode(), 40029);
    assert!(wire.send("GET", &exchange_target(SECOND_APP, "other", code), "").await.is_success());
}

#[tokio::test]
async fn parameters_are_checked_before_the_code_is_spent() {
    let wire = Wire::start().await;
    let code = wire.code("ada").await;
    let good = wire.exchange_target(&code);

    for (from, to, errcode) in [
        ("appid=wx0123456789abcdef&", "", 41002),
        ("appid=wx0123456789abcdef&", "appid=&", 41002),
        ("secret=0123456789abcdef0123456789abcdef&", "", 41004),
        (code.as_str(), "", 41008),
        ("authorization_code", "client_credential", 40002),
        ("wx0123456789abcdef", "wx0000000000000000", 40013),
        ("secret=0", "secret=1", 40125),
    ] {
        assert_eq!(wire.send("GET", &good.replace(from, to), "").await.errcode(), errcode);
    }

    assert_eq!(wire.send("POST", &good, "").await.errcode(), 43001);
    assert!(wire.exchange(&code).await.is_success());
}

#[tokio::test]
async fn a_reset_secret_is_the_only_good_one() {
    let wire = Wire::start().await;
    wire.sim("secret", json!({ "appid": wire.app.appid, "secret": "new" })).await;
    let code = wire.code("ada").await;

    assert_eq!(wire.exchange(&code).await.errcode(), 40125);

    let target = wire.exchange_target(&code).replace(&wire.app.secret, "new");
    assert!(wire.send("GET", &target, "").await.is_success());
}

#[tokio::test]
async fn users_have_a_unionid_or_are_blocked_when_so_set() {
    let wire = Wire::start().await;
    let openid = wire.sim("user", json!({ "user": "ada", "unionid": "u1" })).await["openid"].clone();
    wire.sim("user", json!({ "user": "eve", "blocked": true })).await;

    let (ada, eve) = (wire.code("ada").await, wire.code("eve").await);
    let (ada, eve) = (wire.exchange(&ada).await, wire.exchange(&eve).await);

    assert_eq!(ada.json()["unionid"], "u1");
    assert_eq!(ada.json()["openid"], openid);
    assert_eq!(eve.errcode(), 40226);
}

#[tokio::test]
async fn two_apps_may_have_users_of_the_same_openid() {
    let wire = Wire::start().await;
    let token = wire.token().await;
    wire.sim("user", json!({ "user": "ada", "unionid": "u1", "phoneNumber": "13800138000" })).await;
    let (code, phone) = (wire.code("ada").await, wire.sim("phone", json!({ "user": "ada" })).await["code"].clone());
    for (user, appid) in [("ada", &wire.app.appid), ("bob", &SECOND_APP.to_owned())] {
        let set = wire.sim("user", json!({ "user": user, "appid": appid, "openid": "same" })).await;
        assert_eq!(set["openid"], "same");
    }
    let bob = wire.sim("login", json!({ "user": "bob", "appid": SECOND_APP })).await["code"].clone();
    let target = exchange_target(SECOND_APP, "other", bob.as_str().unwrap());

    // Codes from before the change give the current openid.
    let (ada, bob) = (wire.exchange(&code).await.json(), wire.send("GET", &target, "").await.json());
    let number = wire.number(&token, json!({ "code": phone, "openid": "same" })).await;

    assert_eq!((&ada["openid"], &ada["unionid"]), (&json!("same"), &json!("u1")));
    assert_eq!((&bob["openid"], bob.get("unionid")), (&json!("same"), None));
    assert_ne!(ada["session_key"], bob["session_key"]);
    assert_eq!(number.json()["phone_info"]["phoneNumber"], "13800138000");
    for (session, errcode) in [(&ada, 0), (&bob, 87009)] {
        let key = session["session_key"].as_str().unwrap();
        assert_eq!(wire.check("checksession", &token, "same", key).await.errcode(), errcode);
    }
    let refused = wire.send("POST", "/sim/user", r#"{"user":"eve","openid":"same"}"#).await;
    assert_eq!(refused.status, 400);
}

#[tokio::test]
async fn answers_change_their_shape_by_settings() {
    let wire = Wire::start().await;
    wire.sim("settings", json!({ "success_errcode": true, "extra_fields": true, "errcode_as_text": true })).await;
    let code = wire.code("ada").await;

    let success = wire.exchange(&code).await.json();

    assert_eq!((&success["errcode"], &success["errmsg"]), (&json!("0"), &json!("ok")));
    assert!(success["in_no_document"].is_object());
    assert_eq!(wire.exchange(&code).await.json()["errcode"], "40163");
}

//! WeChat's `access_token`s from both issuers.

use serde_json::json;

use crate::client::Wire;

#[tokio::test]
async fn a_stable_token_is_the_same_until_its_last_five_minutes() {
    let wire = Wire::start().await;
    let first = wire.stable(json!(false)).await;
    let old = first.text("access_token");
    assert_eq!(first.json()["expires_in"], 7200);

    wire.advance(6899);
    let again = wire.stable(json!(false)).await;
    assert_eq!((again.text("access_token"), &again.json()["expires_in"]), (old.clone(), &json!(301)));

    wire.advance(1);
    let new = wire.token().await;
    assert_ne!(new, old);
    assert_eq!((wire.errcode_of(&old).await, wire.errcode_of(&new).await), (40029, 40029));

    wire.advance(300);
    assert_eq!((wire.errcode_of(&old).await, wire.errcode_of(&new).await), (42001, 40029));
}

#[tokio::test]
async fn a_forced_refresh_kills_the_old_token_and_is_limited() {
    let wire = Wire::start().await;
    let old = wire.token().await;

    let forced = wire.stable(json!(true)).await.text("access_token");

    assert_eq!((wire.errcode_of(&old).await, wire.errcode_of(&forced).await), (40001, 40029));
    wire.advance(29);
    assert_eq!(wire.stable(json!(true)).await.errcode(), 45011);
    for _ in 1..20 {
        wire.advance(30);
        wire.stable(json!(true)).await.text("access_token");
    }
    wire.advance(30);
    assert_eq!(wire.stable(json!(true)).await.errcode(), 45009);
    assert_eq!(wire.stable(json!(false)).await.json()["expires_in"], 7170);
}

#[tokio::test]
async fn stable_token_checks_what_it_is_sent() {
    let wire = Wire::start().await;
    let good = json!({ "grant_type": "client_credential", "appid": wire.app.appid, "secret": wire.app.secret });

    for (field, value, errcode) in [
        ("appid", json!(""), 41002),
        ("secret", json!(""), 41004),
        ("grant_type", json!("authorization_code"), 40002),
        ("appid", json!("wx0000000000000000"), 40013),
        ("secret", json!("wrong"), 40125),
        ("force_refresh", json!("true"), 47001),
    ] {
        let mut body = good.clone();
        body[field] = value;
        assert_eq!(wire.send("POST", "/cgi-bin/stable_token", &body.to_string()).await.errcode(), errcode);
    }
    assert_eq!(wire.send("GET", "/cgi-bin/stable_token", "").await.errcode(), 43002);
    assert_eq!(wire.send("POST", "/cgi-bin/stable_token", "appid=wx0").await.errcode(), 47001);
    assert_eq!(wire.send("POST", "/cgi-bin/stable_token", "").await.errcode(), 44002);
}

#[tokio::test]
async fn the_two_issuers_do_not_disturb_each_other() {
    let wire = Wire::start().await;
    let stable = wire.token().await;
    let (first, second) = (wire.plain().await.text("access_token"), wire.plain().await.text("access_token"));

    assert_ne!(first, second);
    wire.advance(299);
    assert_eq!(wire.errcode_of(&first).await, 40029);
    wire.advance(1);
    assert_eq!(wire.errcode_of(&first).await, 40001);
    assert_eq!((wire.errcode_of(&second).await, wire.errcode_of(&stable).await), (40029, 40029));
}

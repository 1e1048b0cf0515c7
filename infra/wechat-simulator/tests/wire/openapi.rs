//! What WeChat counts, and what it tells of a request that it refused.

use serde_json::json;

use crate::client::{Reply, SECOND_APP, Wire};

async fn ask(wire: &Wire, api: &str, token: &str, body: serde_json::Value) -> Reply {
    wire.send("POST", &format!("/cgi-bin/openapi/{api}/get?access_token={token}"), &body.to_string()).await
}

#[tokio::test]
async fn a_quota_says_how_often_a_call_was_made_and_may_be() {
    let wire = Wire::start().await;
    let token = wire.token().await;
    wire.plain().await;
    wire.sim("settings", json!({ "daily_limit": 3 })).await;

    let quota = async |path: &str| ask(&wire, "quota", &token, json!({ "cgi_path": path })).await;

    let told = quota("/cgi-bin/stable_token").await.json();
    assert_eq!(told["quota"], json!({ "daily_limit": 3, "used": 1, "remain": 2 }));
    assert_eq!(quota("/cgi-bin/token").await.json()["quota"]["used"], 1);
    assert_eq!(quota("/wxa/checksession").await.json()["quota"]["used"], 0);
    for (path, errcode) in [("/sns/jscode2session", 76022), ("/wxa/nothing", 76021), ("wxa/checksession", 76003)] {
        assert_eq!(quota(path).await.errcode(), errcode, "{path}");
    }
    assert_eq!(ask(&wire, "quota", &token, json!({})).await.errcode(), 47001);
    assert_eq!(ask(&wire, "quota", "none", json!({ "cgi_path": "/cgi-bin/token" })).await.errcode(), 40001);
}

#[tokio::test]
async fn a_refused_request_is_told_to_its_mini_program_for_seven_days() {
    let wire = Wire::start().await;
    let refused = wire.number(&wire.token().await, json!({ "code": "none" })).await;
    let rid = refused.text("errmsg").split_once("rid: ").unwrap().1.to_owned();
    let other = json!({ "grant_type": "client_credential", "appid": SECOND_APP, "secret": "other" });
    let other = wire.send("POST", "/cgi-bin/stable_token", &other.to_string()).await.text("access_token");

    let told = ask(&wire, "rid", &wire.token().await, json!({ "rid": rid })).await.json();

    assert!(told["request"]["request_url"].as_str().unwrap().contains("access_token="));
    assert!(told["request"]["request_body"].as_str().unwrap().contains("none"));
    assert!(told["request"]["response_body"].as_str().unwrap().contains("40029"));
    assert_eq!(ask(&wire, "rid", &other, json!({ "rid": rid })).await.errcode(), 76001);
    assert_eq!(ask(&wire, "rid", &wire.token().await, json!({ "rid": "none" })).await.errcode(), 76001);
    wire.advance(7 * 24 * 3600);
    assert_eq!(ask(&wire, "rid", &wire.token().await, json!({ "rid": rid })).await.errcode(), 76001);
}

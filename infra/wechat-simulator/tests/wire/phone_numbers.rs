//! Phone codes.

use serde_json::json;

use crate::client::{SECOND_APP, Wire};

#[tokio::test]
async fn a_phone_code_gives_the_number_once() {
    let wire = Wire::start().await;
    let token = wire.token().await;
    wire.sim("user", json!({ "user": "ada", "phoneNumber": "13800138000" })).await;
    let code = wire.sim("phone", json!({ "user": "ada" })).await["code"].clone();

    assert_eq!(wire.number("stale", json!({ "code": code })).await.errcode(), 40001);
    assert_eq!(wire.number(&token, json!({ "code": code, "openid": "another" })).await.errcode(), 40003);
    let first = wire.number(&token, json!({ "code": code })).await;

    assert!(first.head.contains("content-type: application/json; encoding=utf-8"), "{}", first.head);
    let watermark = json!({ "timestamp": 1_700_000_000, "appid": wire.app.appid });
    let info = json!({ "phoneNumber": "13800138000", "purePhoneNumber": "13800138000", "countryCode": "86",
        "watermark": watermark });
    assert_eq!(first.json(), json!({ "errcode": 0, "errmsg": "ok", "phone_info": info }));
    assert_eq!(wire.number(&token, json!({ "code": code })).await.errcode(), 40029);
}

#[tokio::test]
async fn a_number_has_the_odd_form_that_it_was_given_until_it_has_a_usual_one() {
    let wire = Wire::start().await;
    let token = wire.token().await;
    let mut odd = json!({ "phoneNumber": "+852 5123 4567", "purePhoneNumber": null, "countryCode": 852, "more": [1] });
    wire.sim("user", json!({ "user": "ada", "phone_info": odd })).await;
    let given = async || {
        let code = wire.sim("phone", json!({ "user": "ada" })).await["code"].clone();
        wire.number(&token, json!({ "code": code })).await.json()["phone_info"].clone()
    };

    let first = given().await;

    odd["watermark"] = json!({ "timestamp": 1_700_000_000, "appid": wire.app.appid });
    assert_eq!(first, odd);
    odd["watermark"] = json!({});
    wire.sim("user", json!({ "user": "ada", "phone_info": odd })).await;
    assert_eq!(given().await, odd);
    wire.sim("user", json!({ "user": "ada", "phoneNumber": "13800138000" })).await;
    assert_eq!(given().await["countryCode"], "86");
}

#[tokio::test]
async fn a_phone_code_is_refused_when_late_or_of_another_app_or_a_login_code() {
    let wire = Wire::start().await;
    let token = wire.token().await;
    let late = wire.sim("phone", json!({ "user": "ada" })).await["code"].clone();
    wire.advance(300);
    let foreign = wire.sim("phone", json!({ "user": "ada", "appid": SECOND_APP })).await["code"].clone();
    let login = wire.code("ada").await;

    assert_eq!(wire.number(&token, json!({ "code": late })).await.errcode(), 40029);
    assert_eq!(wire.number(&token, json!({ "code": foreign })).await.errcode(), 40013);
    assert_eq!(wire.number(&token, json!({ "code": login })).await.errcode(), 40029);
}

#[tokio::test]
async fn getuserphonenumber_wants_a_post_with_json_and_a_token() {
    let wire = Wire::start().await;
    let target = format!("/wxa/business/getuserphonenumber?access_token={}", wire.token().await);

    assert_eq!(wire.send("GET", &target, "").await.errcode(), 43002);
    assert_eq!(wire.send("POST", &target, "code=abc").await.errcode(), 47001);
    assert_eq!(wire.send("POST", &target, "").await.errcode(), 44002);
    assert_eq!(wire.send("POST", "/wxa/business/getuserphonenumber", "{}").await.errcode(), 41001);
}

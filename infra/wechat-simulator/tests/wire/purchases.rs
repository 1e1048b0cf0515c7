//! `wx.requestVirtualPayment`: what WeChat accepts, and what it says to the rest.

use aws_lc_rs::hmac;
use serde_json::{Map, Value, json};
use wechat_simulator::{App, AppKeys};

use crate::client::{Wire, lower_hex};

const PRODUCTION: &str = "dRk82dM7ZI3gzV58M1wW045vP8hr3zAk";
const SANDBOX: &str = "ygTsULYUP4nJ7CbG76Ca8KwBYxGFdc3s";
const KEY: &str = "o8x5w1S96v44S3700UEUhw==";

/// An app that sells, and ada, whose key is known.
async fn start() -> Wire {
    let app_keys = AppKeys { production: Some(PRODUCTION.to_owned()), sandbox: Some(SANDBOX.to_owned()) };
    let wire = Wire::with_app(App { app_keys: Some(app_keys), ..App::demo() }).await;
    wire.sim("user", json!({ "user": "ada", "session_key": KEY })).await;
    wire
}

fn hmac_hex(key: &str, text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    lower_hex(hmac::sign(&key, text.as_bytes()).as_ref())
}

/// The signed data of a purchase of goods, with these members in place of the usual ones; `null` leaves one out.
fn goods(changes: Value) -> String {
    let mut members = json!({
        "offerId": "1450000001", "buyQuantity": 1, "env": 0, "currencyType": "CNY", "productId": "vip_month",
        "goodsPrice": 1000, "outTradeNo": "WX20260101-0001", "attach": "u-42",
    });
    let given: Map<String, Value> = serde_json::from_value(changes).unwrap();
    members.as_object_mut().unwrap().extend(given);
    members.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    members.to_string()
}

fn request(sign_data: &str, pay_sig: &str, signature: &str) -> Value {
    let mode = "short_series_goods";
    json!({ "user": "ada", "mode": mode, "signData": sign_data, "paySig": pay_sig, "signature": signature, "send": false })
}

fn signed(sign_data: &str) -> Value {
    let key = if sign_data.contains("\"env\":1") { SANDBOX } else { PRODUCTION };
    request(sign_data, &hmac_hex(key, &format!("requestVirtualPayment&{sign_data}")), &hmac_hex(KEY, sign_data))
}

/// The `errCode` of the purchase; 0 is success.
async fn code(wire: &Wire, request: Value) -> i64 {
    let told = wire.sim("purchase", request).await;
    let is_good = told["errMsg"] == "requestVirtualPayment:ok";
    assert_eq!(is_good, told.get("errCode").is_none(), "{told}");
    if is_good { 0 } else { told["errCode"].as_i64().unwrap() }
}

#[tokio::test]
async fn of_the_vectors_the_right_signatures_pay_and_the_wrong_ones_are_named() {
    let file: Value = serde_json::from_str(include_str!("../../../../tests/fixtures/wechat-user-state.json")).unwrap();
    let mut seen = (0, 0);
    for vector in file["vectors"].as_array().unwrap().iter().filter(|vector| vector["kind"] == "client_payment") {
        let wire = start().await;
        wire.sim("user", json!({ "user": "ada", "session_key": vector["session_key"] })).await;
        let text = |name: &str| vector[name].as_str().unwrap();
        let with = |pay_sig: &str, signature: &str| {
            let mut request = request(text("sign_data"), pay_sig, signature);
            request["mode"] = vector["mode"].clone();
            request
        };
        for (mistake, wrong) in vector["wrong"].as_object().unwrap() {
            let wrong = wrong.as_str().unwrap();
            let (request, expected) = if mistake.starts_with("pay_sig") {
                (with(wrong, text("signature")), -15006)
            } else {
                (with(text("pay_sig"), wrong), -15005)
            };
            assert_eq!(code(&wire, request).await, expected, "{}: {mistake}", vector["id"]);
            seen.1 += 1;
        }
        assert_eq!(code(&wire, with(text("pay_sig"), text("signature"))).await, 0, "{}", vector["id"]);
        seen.0 += 1;
    }
    assert!(seen.0 >= 9 && seen.1 >= 80, "{seen:?}");
}

#[tokio::test]
async fn a_key_that_was_replaced_is_wrong_and_a_user_without_one_has_one_that_expired() {
    let wire = start().await;
    let before = signed(&goods(json!({})));
    wire.code("ada").await;

    assert_eq!(code(&wire, before.clone()).await, -15005);

    wire.sim("user", json!({ "user": "ada", "session_key": "" })).await;
    assert_eq!(code(&wire, before.clone()).await, -15007);
    wire.sim("user", json!({ "user": "ada", "session_key": KEY })).await;
    assert_eq!(code(&wire, before).await, 0);
}

#[tokio::test]
async fn an_order_number_is_used_once() {
    let wire = start().await;

    assert_eq!(code(&wire, signed(&goods(json!({})))).await, 0);
    assert_eq!(code(&wire, signed(&goods(json!({})))).await, -15002);
    assert_eq!(code(&wire, signed(&goods(json!({ "attach": "u-43" })))).await, -15002);
    assert_eq!(code(&wire, signed(&goods(json!({ "outTradeNo": "WX20260101-0002" })))).await, 0);
}

#[tokio::test]
async fn each_env_has_its_app_key_and_the_sandbox_is_closed_in_a_released_version() {
    let wire = start().await;
    let (production, sandbox) = (goods(json!({})), goods(json!({ "env": 1 })));
    let by = |key: &str, data: &str| {
        request(data, &hmac_hex(key, &format!("requestVirtualPayment&{data}")), &hmac_hex(KEY, data))
    };

    assert_eq!(code(&wire, by(SANDBOX, &production)).await, -15006);
    assert_eq!(code(&wire, by(PRODUCTION, &sandbox)).await, -15006);
    let mut released = by(SANDBOX, &sandbox);
    released["release"] = json!(true);
    assert_eq!(code(&wire, released).await, -15011);
    assert_eq!(code(&wire, by(SANDBOX, &sandbox)).await, 0);
    let no_env = goods(json!({ "env": null, "outTradeNo": "WX20260101-0002" }));
    assert_eq!(code(&wire, by(PRODUCTION, &no_env)).await, 0);
}

#[tokio::test]
async fn an_app_without_app_keys_cannot_sell() {
    let wire = Wire::with_app(App { app_keys: None, ..App::demo() }).await;

    assert_eq!(code(&wire, signed(&goods(json!({})))).await, -15008);
}

#[tokio::test]
async fn data_of_another_form_is_refused_however_well_it_is_signed() {
    let wire = start().await;

    for (change, expected) in [
        (json!({ "offerId": 1_450_000_001 }), -15016),
        (json!({ "offerId": null }), -15001),
        (json!({ "buyQuantity": "1" }), -15016),
        (json!({ "buyQuantity": 0 }), -15001),
        (json!({ "env": 2 }), -15001),
        (json!({ "currencyType": "USD" }), -15004),
        (json!({ "productId": null }), -15001),
        (json!({ "goodsPrice": null }), -15001),
        (json!({ "goodsPrice": "1000" }), -15016),
        (json!({ "attach": null }), -15001),
        (json!({ "outTradeNo": "WX20260" }), -15001),
        (json!({ "outTradeNo": "W".repeat(33) }), -15001),
        (json!({ "outTradeNo": "_WX20260101" }), -15001),
        (json!({ "outTradeNo": "WX2026 0101" }), -15001),
    ] {
        assert_eq!(code(&wire, signed(&goods(change.clone()))).await, expected, "{change}");
    }
    assert_eq!(code(&wire, signed("{\"offerId\":")).await, -15016);
    assert_eq!(code(&wire, signed("[]")).await, -15016);
    let mut object = signed(&goods(json!({})));
    object["signData"] = json!({ "offerId": "1450000001" });
    assert_eq!(code(&wire, object).await, 1001);
    for member in ["mode", "signData", "paySig", "signature"] {
        let mut request = signed(&goods(json!({})));
        request.as_object_mut().unwrap().remove(member);
        assert_eq!(code(&wire, request).await, 1001, "{member}");
    }
    let mut mode = signed(&goods(json!({})));
    mode["mode"] = json!("goods");
    assert_eq!(code(&wire, mode).await, -15001);
}

#[tokio::test]
async fn an_item_costs_what_the_console_says() {
    let wire = start().await;
    wire.sim("goods", json!({ "productId": "vip_month", "goodsPrice": 1000 })).await;

    assert_eq!(code(&wire, signed(&goods(json!({ "goodsPrice": 1 })))).await, -15013);
    assert_eq!(code(&wire, signed(&goods(json!({ "productId": "vip_year" })))).await, -15010);
    assert_eq!(code(&wire, signed(&goods(json!({})))).await, 0);
}

#[tokio::test]
async fn a_payment_is_followed_by_the_delivery_that_it_is_about() {
    let wire = start().await;
    let data = goods(json!({ "buyQuantity": 2, "activitySellingPrice": 800 }));
    let mut request = signed(&data);
    request["push"] = json!({ "mode": "plain" });

    let push = wire.sim("purchase", request).await["push"].take();

    let mut message: Value = serde_json::from_str(push["body"].as_str().unwrap()).unwrap();
    let paid = message["WeChatPayInfo"].take();
    assert_eq!(paid["PaidTime"], 1_700_000_000);
    let expected =
        json!({ "ProductId": "vip_month", "Quantity": 2, "OrigPrice": 2000, "ActualPrice": 1600, "Attach": "u-42" });
    assert_eq!(
        [&message["Event"], &message["OutTradeNo"], &message["Env"], &message["GoodsInfo"]],
        [&json!("xpay_goods_deliver_notify"), &json!("WX20260101-0001"), &json!(0), &expected]
    );
    assert_eq!(message["OpenId"], wire.openid("ada").await);
    assert_ne!(message["OpenId"], message["FromUserName"]);
}

#[tokio::test]
async fn coins_have_neither_item_nor_price() {
    let wire = start().await;
    let mut request = signed(&goods(json!({ "productId": null, "goodsPrice": null, "buyQuantity": 100 })));
    request["mode"] = json!("short_series_coin");
    request["push"] = json!({ "mode": "plain" });

    let push = wire.sim("purchase", request).await["push"].take();

    let message: Value = serde_json::from_str(push["body"].as_str().unwrap()).unwrap();
    assert_eq!(message["Event"], "xpay_coin_pay_notify");
    assert_eq!(
        message["CoinInfo"],
        json!({ "Quantity": 100, "OrigPrice": 1000, "ActualPrice": 1000, "Attach": "u-42" })
    );
}

//! A purchase from the signature to the delivery: `sign`, the simulated WeChat, `push` and the owner's function.

use serde_json::{Value, json};
use shared::{clock::Clock as _, env::Env};
use tests::{APPID, Laptop, Start, Tokens, suites::kill::owner::Owner};

use super::{AES_KEY, app, send_push};

/// All that the simulator pushes and does not delete anything here.
const MESSAGES: [&str; 15] = [
    "xpay_goods_deliver_notify",
    "xpay_coin_pay_notify",
    "xpay_refund_notify",
    "xpay_complaint_notify",
    "xpay_subscribe_ios_refund_query_notify",
    "xpay_subscribe_signing_result_notify",
    "xpay_subscribe_pay_fail_notify",
    "xpay_wxpay_callback_notify",
    "minigame_game_pay_goods_deliver_notify",
    "minigame_h5_goods_deliver_notify",
    "minigame_coin_deliver_completed",
    "text",
    "image",
    "miniprogrampage",
    "user_enter_tempsession",
];

async fn start(owner: Option<&Owner>) -> Laptop {
    start_with(owner, Some(AES_KEY)).await
}

/// A mini program that sells, without or with an `EncodingAESKey`.
async fn start_with(owner: Option<&Owner>, key: Option<&str>) -> Laptop {
    let mut app = app("token", key);
    app["app_keys"] = json!({ "production": "p".repeat(32), "sandbox": "s".repeat(32) });
    let start = Start::default().apps(json!({ "apps": { APPID: app } }));
    match owner {
        Some(owner) => start.push_target(&owner.url).go().await,
        None => start.go().await,
    }
}

/// What `sign` answers for this order, and the text that was signed.
async fn signed(env: &Env, openid: &str, order: &str, check: bool) -> (String, Value) {
    let sign_data = json!({
        "offerId": "1450000001", "buyQuantity": 1, "env": 0, "currencyType": "CNY", "productId": "vip_month",
        "goodsPrice": 1000, "outTradeNo": order, "attach": "会员",
    })
    .to_string();
    let request = json!({
        "appid": APPID, "openid": openid, "message": sign_data, "uri": "requestVirtualPayment", "check": check,
    });
    let deps = sign::Deps::from_env(env.clone()).await.unwrap();
    let answer = sign::handle(deps, serde_json::from_value(request).unwrap()).await.unwrap();
    (sign_data, serde_json::to_value(answer).unwrap())
}

async fn purchase(laptop: &Laptop, user: &Tokens, order: &str) -> Value {
    let (sign_data, signatures) = signed(&laptop.world.env, &user.openid, order, false).await;
    laptop.sim(
        "purchase",
        json!({
            "user": "alice", "mode": "short_series_goods", "signData": sign_data, "paySig": signatures["paySig"],
            "signature": signatures["signature"], "send": false,
        }),
    )
}

/// Carries a push over, and gives what WeChat makes of the answer.
async fn carried(laptop: &Laptop, push: &Value) -> Value {
    let answer = send_push(laptop, push).await;
    let status = answer.status.as_u16();
    laptop.sim("answer", json!({ "id": push["id"], "status": status, "body": answer.text }))
}

#[tokio::test]
async fn what_sign_signed_is_paid_and_the_delivery_reaches_the_owners_function_once() {
    let owner = Owner::start().await;
    let laptop = start(Some(&owner)).await;
    let alice = laptop.login("alice").await;

    let paid = purchase(&laptop, &alice, "ORDER-00001").await;

    assert_eq!(paid["errMsg"], "requestVirtualPayment:ok");
    for _ in 0..2 {
        assert_eq!(carried(&laptop, &paid["push"]).await, json!({ "acknowledged": true }));
        let again = laptop.sim("repeat", json!({ "id": paid["push"]["id"] }));
        assert_eq!(carried(&laptop, &again).await, json!({ "acknowledged": true }));
    }
    let asked = owner.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    let message = &asked[0]["message"];
    assert_eq!(
        [&message["Event"], &message["OutTradeNo"], &message["OpenId"], &message["GoodsInfo"]["Attach"]],
        [&json!("xpay_goods_deliver_notify"), &json!("ORDER-00001"), &json!(alice.openid), &json!("会员")]
    );
    assert_eq!(purchase(&laptop, &alice, "ORDER-00001").await["errCode"], -15002);
}

#[tokio::test]
async fn a_key_that_is_replaced_after_signing_is_refused_and_one_login_mends_it() {
    let laptop = start(None).await;
    let alice = laptop.login("alice").await;
    // Somebody logs in elsewhere, so WeChat's key is another one.
    let _ = laptop.sim("login", json!({ "user": "alice" }));

    assert_eq!(purchase(&laptop, &alice, "ORDER-00001").await["errCode"], -15005);
    let (_, refused) = signed(&laptop.world.env, &alice.openid, "ORDER-00001", true).await;
    assert_eq!(refused, json!({ "refused": "stale", "action": "relogin" }));

    laptop.login("alice").await;
    assert!(purchase(&laptop, &alice, "ORDER-00001").await.get("errCode").is_none());
}

#[tokio::test]
async fn every_message_is_taken_in_every_mode_and_form_and_the_answer_acknowledges_it() {
    for mode in ["plain", "compatible", "secure"] {
        for format in ["json", "xml"] {
            let owner = Owner::start().await;
            let laptop = start_with(Some(&owner), (mode != "plain").then_some(AES_KEY)).await;
            for event in MESSAGES {
                if event.contains("refund_query") {
                    owner.answers(r#"{"result_code":1,"evidence":"e"}"#);
                }
                let push =
                    laptop.sim("push", json!({ "user": "alice", "event": event, "mode": mode, "format": format }));
                for push in [&push, &laptop.sim("repeat", json!({ "id": push["id"] }))] {
                    let told = carried(&laptop, push).await;
                    assert_eq!(told, json!({ "acknowledged": true }), "{event} {mode} {format}");
                }
            }
            assert_eq!(owner.asked().len(), MESSAGES.len(), "{mode} {format}");
        }
    }
}

#[tokio::test]
async fn without_a_function_a_paid_delivery_is_not_acknowledged_and_comes_again() {
    let laptop = start(None).await;
    let alice = laptop.login("alice").await;
    let paid = purchase(&laptop, &alice, "ORDER-00001").await;

    let mut push = paid["push"].clone();
    for seconds in [2, 4, 8, 16] {
        assert_eq!(carried(&laptop, &push).await, json!({ "acknowledged": false, "again_in": seconds }));
        laptop.clock.advance(seconds);
        push = laptop.sim("repeat", json!({ "id": push["id"] }));
        assert!(push["query"].as_str().unwrap().contains(&format!("timestamp={}&", laptop.clock.now())));
    }
}

#[tokio::test]
async fn a_repeat_with_the_first_timestamp_is_taken_hours_later() {
    let owner = Owner::start().await;
    let laptop = start(Some(&owner)).await;
    let request = json!({ "user": "alice", "event": "xpay_refund_notify", "mode": "secure" });
    let push = laptop.sim("push", request);
    laptop.clock.advance(5 * 3600);

    let late = laptop.sim("repeat", json!({ "id": push["id"], "first_timestamp": true }));

    assert_eq!(carried(&laptop, &late).await, json!({ "acknowledged": true }));
    assert_eq!(owner.asked()[0]["message"]["RetryTimes"], 1);
}

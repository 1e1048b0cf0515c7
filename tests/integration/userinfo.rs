//! `POST /v1/userinfo`.

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::types::AttributeValue;
use http::Method;
use serde_json::{Value, json};
use tests::{APPID, Laptop, Response, Start, Tokens, send};

async fn userinfo(laptop: &Laptop, user: &Tokens, body: &Value) -> Response {
    laptop.post_as(&user.access, "/v1/userinfo", body).await
}

/// What `wx.getUserInfo` gives.
fn given(laptop: &Laptop, user: &str) -> Value {
    laptop.sim("userinfo", json!({ "user": user }))
}

/// Any plaintext under alice's present key.
fn encrypted(laptop: &Laptop, plaintext: &Value) -> Value {
    laptop.sim("encrypt", json!({ "user": "alice", "plaintext": plaintext.to_string() }))
}

/// The same values without those of these names.
fn without(mut given: Value, names: &[&str]) -> Value {
    given.as_object_mut().unwrap().retain(|name, _| !names.contains(&name.as_str()));
    given
}

/// The same values, one of them another.
fn with(given: &Value, name: &str, value: impl Into<Value>) -> Value {
    let mut given = given.clone();
    given[name] = value.into();
    given
}

/// The payload of `wx.getUserInfo`, as WeChat would encrypt it for alice.
fn payload(alice: &Tokens) -> Value {
    json!({
        "openId": alice.openid, "nickName": "微信用户", "gender": 0, "language": "", "city": "", "province": "",
        "country": "", "avatarUrl": "https://a/b", "watermark": { "timestamp": 1_800_000_000, "appid": APPID },
    })
}

/// The user item of the one user of the table.
async fn user_item(laptop: &Laptop) -> HashMap<String, AttributeValue> {
    let users = |item: &HashMap<String, AttributeValue>| item["sk"] == AttributeValue::S("user".to_owned());
    laptop.items().await.into_values().find(users).unwrap()
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn bytes_of(value: &AttributeValue) -> Vec<u8> {
    match value {
        AttributeValue::S(text) | AttributeValue::N(text) => text.as_bytes().to_vec(),
        AttributeValue::B(blob) => blob.as_ref().to_vec(),
        AttributeValue::Ss(texts) => texts.concat().into_bytes(),
        _ => Vec::new(),
    }
}

#[tokio::test]
async fn a_profile_is_given_with_or_without_raw_data_and_never_with_its_watermark() {
    let laptop = Start::default().rsa().go().await;
    let alice = laptop.login("alice").await;
    let set = json!({ "user": "alice", "nickName": "小明👀", "avatarUrl": "https://a/b", "unionid": "uAlice" });
    let _ = laptop.sim("user", set);
    let signed = given(&laptop, "alice");

    for body in [signed.clone(), without(signed, &["rawData", "signature"])] {
        let answer = userinfo(&laptop, &alice, &body).await;
        let expected = json!({
            "openId": alice.openid, "unionId": "uAlice", "nickName": "小明👀", "avatarUrl": "https://a/b",
            "gender": 0, "language": "", "city": "", "province": "", "country": "",
        });
        assert_eq!(answer.ok(), expected);
        assert_eq!(answer.header("cache-control").unwrap(), "no-store");
    }
}

#[tokio::test]
async fn the_anonymous_profile_is_given_and_nothing_of_any_is_stored() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let before = user_item(&laptop).await;
    let anonymous = userinfo(&laptop, &alice, &given(&laptop, "alice")).await.ok();
    let _ = laptop.sim("user", json!({ "user": "alice", "nickName": "小明MARKER", "avatarUrl": "https://MARKER/b" }));
    let named = userinfo(&laptop, &alice, &given(&laptop, "alice")).await.ok();

    let kept: Vec<u8> = laptop.items().await.values().flat_map(|item| item.values().flat_map(bytes_of)).collect();

    assert_eq!((&anonymous["nickName"], &anonymous["gender"]), (&json!("微信用户"), &json!(0)));
    assert_eq!(named["nickName"], "小明MARKER");
    for shown in ["微信用户", "小明", "MARKER", anonymous["avatarUrl"].as_str().unwrap()] {
        assert!(!kept.windows(shown.len()).any(|window| window == shown.as_bytes()), "{shown}");
    }
    let mut after = user_item(&laptop).await;
    after.retain(|name, _| !["tries", "tries_from"].contains(&name.as_str()));
    assert_eq!(before, after, "only the attempts were counted");
}

#[tokio::test]
async fn every_failure_to_read_or_to_verify_is_one_answer() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let _bob = laptop.login("bob").await;
    let (good, of_bob) = (given(&laptop, "alice"), given(&laptop, "bob"));
    let signature = good["signature"].as_str().unwrap();
    let raw_data = good["rawData"].as_str().unwrap();
    let flipped = |name: &str| {
        let mut text = good[name].as_str().unwrap().to_owned();
        let other = if text.starts_with('A') { "B" } else { "A" };
        text.replace_range(0..1, other);
        with(&without(good.clone(), &["rawData", "signature"]), name, text)
    };
    let odd = |change: &dyn Fn(&mut Value)| {
        let mut odd = payload(&alice);
        change(&mut odd);
        encrypted(&laptop, &odd)
    };
    let foreign = odd(&|odd| odd["watermark"]["appid"] = "wxffffffffffffffff".into());
    let text = |plaintext: &str| laptop.sim("encrypt", json!({ "user": "alice", "plaintext": plaintext }));

    let mut answers = HashSet::new();
    for bad in [
        with(&good, "signature", "0".repeat(40)),
        with(&good, "signature", signature.to_uppercase()),
        with(&good, "signature", ""),
        with(&good, "signature", &signature[..39]),
        with(&good, "signature", of_bob["signature"].clone()),
        with(&good, "rawData", format!("{raw_data} ")),
        with(&good, "rawData", ""),
        of_bob.clone(),
        with(&with(&good, "encryptedData", of_bob["encryptedData"].clone()), "iv", of_bob["iv"].clone()),
        with(&with(&good, "encryptedData", foreign["encryptedData"].clone()), "signature", ""),
        flipped("encryptedData"),
        flipped("iv"),
        json!({ "encryptedData": "AAAAAAAAAAAAAAAAAAAAAA==", "iv": "AAAAAAAAAAAAAAAAAAAAAA==" }),
        text(""),
        text("text"),
        text("[1]"),
        text("null"),
        text(&format!("{} x", payload(&alice))),
        odd(&|odd| odd["watermark"] = json!("text")),
        encrypted(&laptop, &without(payload(&alice), &["watermark"])),
    ] {
        let answer = userinfo(&laptop, &alice, &bad).await;
        answer.is_problem(409, "session_key_expired", "relogin_then_retap");
        let id = answer.header("x-request-id").unwrap();
        answers.insert(answer.text.replace(&id, ""));
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
}

#[tokio::test]
async fn data_of_another_user_or_app_is_rejected() {
    let laptop = Laptop::start().await;
    let (alice, bob) = (laptop.login("alice").await, laptop.login("bob").await);
    let mut of_bob = payload(&alice);
    of_bob["openId"] = bob.openid.into();
    let mut of_another_app = payload(&alice);
    of_another_app["watermark"]["appid"] = "wxffffffffffffffff".into();

    for foreign in [of_bob, of_another_app, with(&payload(&alice), "openId", 1)] {
        let answer = userinfo(&laptop, &alice, &encrypted(&laptop, &foreign)).await;
        answer.is_problem(403, "data_rejected", "stop");
        assert!(!answer.text.contains("微信用户"));
    }
    userinfo(&laptop, &alice, &encrypted(&laptop, &payload(&alice))).await.ok();
    // What nobody uses may be missing or odd, and what cannot be stored is handed on.
    for name in ["openId", "nickName", "avatarUrl", "gender"] {
        userinfo(&laptop, &alice, &encrypted(&laptop, &without(payload(&alice), &[name]))).await.ok();
    }
    for (name, odd) in
        [("nickName", json!(1)), ("unionId", json!("u u")), ("unionId", json!([])), ("openId", json!(""))]
    {
        let answer = userinfo(&laptop, &alice, &encrypted(&laptop, &with(&payload(&alice), name, odd.clone()))).await;
        assert_eq!(answer.ok()[name], odd);
    }
    assert_eq!(user_item(&laptop).await.get("unionid"), None);
}

/// WeChat's data has both or neither; a unionid is who somebody is elsewhere, and the data carries no MAC.
#[tokio::test]
async fn a_unionid_in_data_that_names_no_user_is_not_believed() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let text = json!({ "nickName": "x", "unionId": "uForged", "watermark": { "timestamp": 1, "appid": tests::APPID } });
    let given = laptop.sim("encrypt", json!({ "user": "alice", "plaintext": text.to_string() }));

    let answer = laptop.post_as(&alice.access, "/v1/userinfo", &given).await;

    answer.is_problem(409, "session_key_expired", "relogin_then_retap");
    assert_eq!(user_item(&laptop).await.get("unionid"), None);
}

#[tokio::test]
async fn a_unionid_in_data_of_another_user_is_not_stored() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let mut foreign = payload(&alice);
    foreign["openId"] = "oBob".into();
    foreign["unionId"] = "uBob".into();
    let unsigned = with(&encrypted(&laptop, &with(&payload(&alice), "unionId", "uForged")), "rawData", "{}");
    let unsigned = with(&unsigned, "signature", "0".repeat(40));

    userinfo(&laptop, &alice, &encrypted(&laptop, &foreign)).await.is_problem(403, "data_rejected", "stop");
    let refused = userinfo(&laptop, &alice, &unsigned).await;

    refused.is_problem(409, "session_key_expired", "relogin_then_retap");
    assert_eq!(user_item(&laptop).await.get("unionid"), None);
}

#[tokio::test]
async fn a_request_in_another_form_is_malformed_and_no_attempt() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let good = given(&laptop, "alice");
    for body in [
        json!({}),
        json!([]),
        json!([good["rawData"], good["signature"], good["encryptedData"], good["iv"]]),
        without(good.clone(), &["rawData"]),
        without(good.clone(), &["signature"]),
        without(good.clone(), &["encryptedData"]),
        without(good.clone(), &["iv"]),
        with(&good, "rawData", Value::Null),
        with(&good, "signature", Value::Null),
        with(&good, "rawData", 1),
        with(&good, "signature", json!({})),
        with(&good, "encryptedData", ""),
        with(&good, "encryptedData", "AAAA"),
        with(&good, "encryptedData", "!"),
        with(&good, "encryptedData", 1),
        with(&good, "iv", "AAAA"),
        with(&good, "iv", ""),
        with(&good, "iv", Value::Null),
        with(&good, "iv", format!("{}\n", good["iv"].as_str().unwrap())),
    ] {
        userinfo(&laptop, &alice, &body).await.is_problem(400, "invalid_request", "fix");
    }
    for text in ["", "{", "null", "{\"iv\":\"a\",\"iv\":\"b\"}", "{\"a\":[[[[1]]]]}"] {
        let request = laptop.request("/v1/userinfo").header("content-type", "application/json").body(text);
        send(request.bearer_auth(&alice.access)).await.is_problem(400, "invalid_request", "fix");
    }
    assert_eq!(user_item(&laptop).await.get("tries"), None);
    userinfo(&laptop, &alice, &with(&good, "later", json!({ "x": [1] }))).await.ok();
}

#[tokio::test]
async fn a_unionid_is_stored_and_a_later_login_keeps_it() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    assert_eq!(user_item(&laptop).await.get("unionid"), None);
    let told = encrypted(&laptop, &with(&payload(&alice), "unionId", "uAlice"));

    userinfo(&laptop, &alice, &told).await.ok();

    assert_eq!(user_item(&laptop).await["unionid"], text("uAlice"));
    laptop.login("alice").await;
    assert_eq!(user_item(&laptop).await["unionid"], text("uAlice"));
}

#[tokio::test]
async fn a_unionid_known_from_a_login_is_not_lost_and_a_new_one_takes_its_place() {
    let laptop = Laptop::start().await;
    let code = laptop.code("alice");
    let _ = laptop.sim("user", json!({ "user": "alice", "unionid": "uAlice" }));
    let alice = laptop.login_with(&json!({ "code": code })).await;

    for none in [payload(&alice), with(&payload(&alice), "unionId", "")] {
        userinfo(&laptop, &alice, &encrypted(&laptop, &none)).await.ok();
        assert_eq!(user_item(&laptop).await["unionid"], text("uAlice"));
    }
    let moved = encrypted(&laptop, &with(&payload(&alice), "unionId", "uMoved"));
    userinfo(&laptop, &alice, &moved).await.ok();
    assert_eq!(user_item(&laptop).await["unionid"], text("uMoved"));
}

#[tokio::test]
async fn data_and_signature_under_the_key_before_the_last_login_are_good_for_ten_minutes() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let old = given(&laptop, "alice");
    laptop.login("alice").await;
    let new = given(&laptop, "alice");
    // The two calls of the client may have met different keys.
    let mixed = with(&with(&new, "rawData", old["rawData"].clone()), "signature", old["signature"].clone());

    laptop.clock.advance(599);
    for body in [&old, &mixed, &new] {
        userinfo(&laptop, &alice, body).await.ok();
    }

    laptop.clock.advance(1);
    for body in [&old, &mixed] {
        userinfo(&laptop, &alice, body).await.is_problem(409, "session_key_expired", "relogin_then_retap");
    }
    userinfo(&laptop, &alice, &new).await.ok();
}

#[tokio::test]
async fn a_key_that_wechat_replaced_behind_our_back_asks_for_a_login_and_a_tap() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let _unsent = laptop.code("alice");

    let answer = userinfo(&laptop, &alice, &given(&laptop, "alice")).await;

    answer.is_problem(409, "session_key_expired", "relogin_then_retap");
}

#[tokio::test]
async fn a_session_whose_user_item_is_gone_asks_for_a_login_and_creates_nobody() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let (client, table) = laptop.dynamodb();
    let item = user_item(&laptop).await;
    let delete = client.delete_item().table_name(&table).key("pk", item["pk"].clone()).key("sk", item["sk"].clone());
    delete.send().await.unwrap();

    let answer = userinfo(&laptop, &alice, &given(&laptop, "alice")).await;

    answer.is_problem(409, "session_key_expired", "relogin_then_retap");
    assert_eq!(laptop.items().await.len(), 1, "the session alone");
}

#[tokio::test]
async fn only_an_access_token_of_ours_is_accepted() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let stranger = Laptop::start().await.login("alice").await;
    let info = given(&laptop, "alice");
    let as_it_is = |value: &str| laptop.request("/v1/userinfo").header("authorization", value).json(&info);

    send(laptop.request("/v1/userinfo").json(&info)).await.is_problem(401, "token_invalid", "refresh");
    for bad in ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer x.y.z", &alice.access] {
        send(as_it_is(bad)).await.is_problem(401, "token_invalid", "refresh");
    }
    for bad in [&stranger.access, &alice.refresh, &format!("{}A", alice.access)] {
        send(as_it_is(&format!("Bearer {bad}"))).await.is_problem(401, "token_invalid", "refresh");
    }
    send(as_it_is(&format!("bearer {}", alice.access))).await.ok();
    laptop.clock.advance(930);
    userinfo(&laptop, &alice, &info).await.is_problem(401, "token_expired", "refresh");
}

#[tokio::test]
async fn a_token_whose_session_is_gone_is_refused_and_uses_up_no_attempt() {
    let laptop = Laptop::start().await;
    let (gone, replaced) = (laptop.login("alice").await, laptop.login("alice").await);
    laptop.delete(&gone.access, "/v1/session").await;
    laptop.clock.advance(1);
    let now = laptop.login_with(&json!({ "code": laptop.code("alice"), "device": replaced.device })).await;
    let info = given(&laptop, "alice");

    for _ in 0..20 {
        userinfo(&laptop, &gone, &info).await.is_problem(401, "token_invalid", "refresh");
        userinfo(&laptop, &replaced, &info).await.is_problem(401, "token_invalid", "refresh");
    }

    assert_eq!(user_item(&laptop).await.get("tries"), None);
    userinfo(&laptop, &now, &info).await.ok();
}

#[tokio::test]
async fn another_media_type_and_a_large_body_are_refused() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let info = given(&laptop, "alice");
    let sent_as = |media_type: &str| {
        let request = laptop.request("/v1/userinfo").bearer_auth(&alice.access).header("content-type", media_type);
        send(request.body(info.to_string()))
    };
    let padded = |length: usize| {
        let empty = with(&info, "x", "").to_string().len();
        with(&info, "x", "y".repeat(length - empty))
    };

    for bad in ["application/x-www-form-urlencoded", "text/plain", "application/json; charset=gbk"] {
        sent_as(bad).await.is_problem(415, "unsupported_media_type", "fix");
    }
    sent_as("application/json; charset=utf-8").await.ok();
    userinfo(&laptop, &alice, &padded(16 * 1024)).await.ok();
    userinfo(&laptop, &alice, &padded(16 * 1024 + 1)).await.is_problem(413, "payload_too_large", "fix");
}

#[tokio::test]
async fn other_methods_and_paths_are_answered_by_the_gateway() {
    let laptop = Laptop::start().await;
    for (method, path) in [
        (Method::GET, "/v1/userinfo"),
        (Method::DELETE, "/v1/userinfo"),
        (Method::POST, "/v1/userInfo"),
        (Method::POST, "/v1/userinfo/"),
    ] {
        let answer = send(laptop.method(method, path)).await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (404, "{\"message\":\"Not Found\"}"));
    }
}

#[tokio::test]
async fn a_table_that_fails_is_no_verdict_on_token_or_data() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let (client, table) = laptop.dynamodb();
    client.delete_table().table_name(table).send().await.unwrap();

    let answer = userinfo(&laptop, &alice, &given(&laptop, "alice")).await;

    answer.is_problem(503, "unavailable", "retry");
}

#[tokio::test]
async fn wechat_is_not_needed() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let info = given(&laptop, "alice");
    laptop.script("*", &json!({ "kind": "reset" }), None);

    userinfo(&laptop, &alice, &info).await.ok();

    let calls = ["jscode2session", "checksession", "stable_token"].map(|api| laptop.simulator.calls(api));
    assert_eq!(calls, [1, 0, 0]);
}

//! `GET` and `POST /v1/push`: what WeChat sends.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use http::{Method, StatusCode};
use local::template;
use serde_json::{Value, json};
use tests::{APPID, Answer, BEGIN, Laptop, Start, Tokens, send, wire};

const OTHER: &str = "wx0000000000000002";
const AES_KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
const OTHER_AES_KEY: &str = "GFEDCBA9876543210zyxwvutsrqponmlkjihgfedcbA";
const CANCELLATION: &str = "user_authorization_cancellation";
const REVOKE: &str = "user_authorization_revoke";

/// The push configuration of an app without, or with, an `EncodingAESKey`.
fn app(token: &str, aes_key: Option<&str>) -> Value {
    let mut push = json!({ "token": token });
    if let Some(aes_key) = aes_key {
        push["encoding_aes_key"] = aes_key.into();
    }
    json!({ "secret": "secret", "push": push })
}

async fn laptop_of(apps: Value) -> Laptop {
    Start::default().apps(json!({ "apps": apps })).go().await
}

/// One mini program in the plain mode.
async fn plain() -> Laptop {
    laptop_of(json!({ APPID: app("token", None) })).await
}

/// What WeChat would send.
fn pushed(laptop: &Laptop, wanted: Value) -> Value {
    laptop.sim("push", wanted)
}

fn event(user: &str, event: &str) -> Value {
    json!({ "user": user, "event": event })
}

async fn send_push(laptop: &Laptop, push: &Value) -> Answer {
    let method = push["method"].as_str().unwrap().parse().unwrap();
    let mut request = laptop.method(method, &format!("/v1/push?{}", push["query"].as_str().unwrap()));
    if let Some(content_type) = push["content_type"].as_str() {
        request = request.header("content-type", content_type);
    }
    send(request.body(push["body"].as_str().unwrap_or_default().to_owned())).await
}

async fn takes(laptop: &Laptop, push: &Value) {
    let answer = send_push(laptop, push).await;
    assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, "success"), "{push}");
    assert!(answer.header("content-type").unwrap().starts_with("text/plain"), "{answer:?}");
}

async fn refuses(laptop: &Laptop, push: &Value) {
    let answer = send_push(laptop, push).await;
    assert_eq!(answer.status, 400, "{push} is answered by {answer:?}");
    answer.is_problem(400, "invalid_request", "fix");
}

type Items = Vec<HashMap<String, AttributeValue>>;

/// All items in the order of their keys.
async fn items(laptop: &Laptop) -> Items {
    let mut items = laptop.items().await;
    let key =
        |item: &HashMap<String, AttributeValue>| [&item["pk"], &item["sk"]].map(|key| key.as_s().unwrap().clone());
    items.sort_by_key(key);
    items
}

/// The items in `after` that are not in `before`.
fn beyond(before: &Items, after: &Items) -> Items {
    after.iter().filter(|item| !before.contains(item)).cloned().collect()
}

async fn login_with_key(laptop: &Laptop, appid: &str, user: &str) -> Tokens {
    let code = laptop.sim("login", json!({ "user": user, "appid": appid }))["code"].clone();
    let request = laptop.request("/v1/login").header("idempotency-key", "one-login-one-key");
    let answer = send(request.json(&json!({ "code": code, "appid": appid }))).await;
    Tokens {
        access: answer.text_of("access_token"),
        refresh: answer.text_of("refresh_token"),
        openid: answer.text_of("openid"),
        device: answer.text_of("device"),
    }
}

fn phone_code(laptop: &Laptop, user: &str) -> Value {
    json!({ "code": laptop.sim("phone", json!({ "user": user }))["code"] })
}

async fn phone(laptop: &Laptop, user: &Tokens, body: &Value) -> Answer {
    laptop.post_as(&user.access, "/v1/phone", body).await
}

#[tokio::test]
async fn wechat_hears_its_echostr_when_the_address_is_entered() {
    for aes_key in [None, Some(AES_KEY)] {
        let laptop = laptop_of(json!({ APPID: app("token", aes_key) })).await;
        for echostr in ["5838479218127813673", "", "a b+c&d=%/?", "<script>", "微信"] {
            let push = pushed(&laptop, json!({ "event": "verify", "echostr": echostr }));

            let answer = send_push(&laptop, &push).await;

            assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, echostr));
            assert!(answer.header("content-type").unwrap().starts_with("text/plain"), "{answer:?}");
            assert_eq!(answer.header("cache-control").unwrap(), "no-store");
        }
    }
}

#[tokio::test]
async fn nobody_else_hears_an_echo() {
    let (laptop, stranger) = (plain().await, laptop_of(json!({ APPID: app("another", None) })).await);
    let good = pushed(&laptop, json!({ "event": "verify", "echostr": "1" }));
    let query = good["query"].as_str().unwrap();
    let with = |query: String| json!({ "method": "GET", "query": query });
    let without = |name: &str| {
        let kept: Vec<_> = query.split('&').filter(|pair| !pair.starts_with(&format!("{name}="))).collect();
        with(kept.join("&"))
    };

    for bad in [
        pushed(&stranger, json!({ "event": "verify" })),
        with(query.replace("nonce=", "nonce=1")),
        with(query.replace("timestamp=", "timestamp=0")),
        with(query.replace("&signature=", "&other=").replacen("signature=", "signature=0", 1)),
        with(String::new()),
        without("signature"),
        without("timestamp"),
        without("nonce"),
        without("echostr"),
    ] {
        refuses(&laptop, &bad).await;
    }
    let answer = send_push(&laptop, &good).await;
    assert_eq!(answer.text, "1");
}

/// Bound: ten minutes, before and after.
#[tokio::test]
async fn a_signature_counts_for_ten_minutes() {
    for aes_key in [None, Some(AES_KEY)] {
        let laptop = laptop_of(json!({ APPID: app("token", aes_key) })).await;
        let late = [
            pushed(&laptop, json!({ "event": "verify", "echostr": "1" })),
            pushed(&laptop, event("alice", "user_info_modified")),
        ];
        let ahead = Start::default().apps(json!({ "apps": { APPID: app("token", aes_key) } })).at(BEGIN + 1_201);
        let early = pushed(&ahead.go().await, event("alice", "user_info_modified"));

        laptop.clock.advance(600);
        for push in &late {
            assert_eq!(send_push(&laptop, push).await.status, 200);
        }
        refuses(&laptop, &early).await;
        laptop.clock.advance(1);
        for push in &late {
            refuses(&laptop, push).await;
        }
        takes(&laptop, &early).await;
    }
}

#[tokio::test]
async fn every_mode_and_format_is_read() {
    for (aes_key, modes) in [(None, &["plain"][..]), (Some(AES_KEY), &["compatible", "secure"][..])] {
        let laptop = laptop_of(json!({ APPID: app("token", aes_key) })).await;
        for mode in modes {
            for format in ["json", "xml"] {
                let alice = laptop.login("alice").await;
                let wanted = json!({ "user": "alice", "event": CANCELLATION, "mode": mode, "format": format });

                takes(&laptop, &pushed(&laptop, wanted)).await;

                laptop.refresh(&alice.refresh).await.is_problem(400, "login_required", "relogin");
                assert_eq!(laptop.items().await, [], "{mode} {format}");
            }
        }
    }
}

#[tokio::test]
async fn an_app_with_an_encoding_aes_key_takes_no_message_in_the_clear() {
    let laptop = laptop_of(json!({ APPID: app("token", Some(AES_KEY)) })).await;
    laptop.login("alice").await;
    let before = items(&laptop).await;

    for event in [CANCELLATION, "user_info_modified"] {
        for format in ["json", "xml"] {
            let wanted = json!({ "user": "alice", "event": event, "mode": "plain", "format": format });
            refuses(&laptop, &pushed(&laptop, wanted)).await;
        }
    }

    assert_eq!(items(&laptop).await, before);
}

#[tokio::test]
async fn the_fields_beside_encrypt_are_never_believed() {
    let laptop = laptop_of(json!({ APPID: app("token", Some(AES_KEY)) })).await;
    let (alice, bob) = (laptop.login("alice").await, laptop.login("bob").await);
    let wanted = json!({ "user": "alice", "event": "user_info_modified", "mode": "compatible" });
    let mut push = pushed(&laptop, wanted);
    let body = push["body"].as_str().unwrap().replace("user_info_modified", CANCELLATION);
    push["body"] = body.replace(&alice.openid, &bob.openid).into();
    let before = items(&laptop).await;

    takes(&laptop, &push).await;

    assert_eq!(items(&laptop).await, before);
}

#[tokio::test]
async fn a_cancellation_deletes_all_of_its_user_and_nothing_of_another() {
    let laptop = plain().await;
    let bob = login_with_key(&laptop, APPID, "bob").await;
    phone(&laptop, &bob, &phone_code(&laptop, "bob")).await.ok();
    let before = items(&laptop).await;
    let alice = login_with_key(&laptop, APPID, "alice").await;
    phone(&laptop, &alice, &phone_code(&laptop, "alice")).await.ok();
    let devices = [alice, login_with_key(&laptop, APPID, "alice").await];

    takes(&laptop, &pushed(&laptop, event("alice", CANCELLATION))).await;

    for device in devices {
        laptop.refresh(&device.refresh).await.is_problem(400, "login_required", "relogin");
    }
    laptop.refresh(&bob.refresh).await.ok();
    let left = beyond(&before, &items(&laptop).await);
    // The count of attempts stays out its hour.
    let names: Vec<Vec<_>> = left.iter().map(|item| item.keys().map(String::as_str).collect()).collect();
    assert_eq!(names.len(), 1, "{left:?}");
    let mut names = names[0].clone();
    names.sort_unstable();
    assert_eq!(names, ["pk", "sk", "tries", "tries_from", "ttl"]);
}

#[tokio::test]
async fn a_cancellation_does_not_lift_a_block() {
    let laptop = plain().await;
    let alice = laptop.login("alice").await;
    let deps = admin::Deps::from_env(laptop.world.env.clone()).await.unwrap();
    let block = json!({ "operation": "block", "appid": APPID, "openid": alice.openid });
    admin::handle(deps, serde_json::from_value(block).unwrap()).await.unwrap();

    takes(&laptop, &pushed(&laptop, event("alice", CANCELLATION))).await;

    let refused = laptop.post("/v1/login", &json!({ "code": laptop.code("alice") })).await;
    refused.is_problem(403, "user_blocked", "stop");
}

#[tokio::test]
async fn a_phone_number_taken_back_is_forgotten_and_nothing_else() {
    for info in ["8", "6,8", "1, 8"] {
        let laptop = plain().await;
        let _ = laptop.sim("user", json!({ "user": "alice", "unionid": "uAlice" }));
        let (alice, bob) = (login_with_key(&laptop, APPID, "alice").await, login_with_key(&laptop, APPID, "bob").await);
        let (of_alice, of_bob) = (phone_code(&laptop, "alice"), phone_code(&laptop, "bob"));
        phone(&laptop, &bob, &of_bob).await.ok();
        let without = items(&laptop).await;
        phone(&laptop, &alice, &of_alice).await.ok();
        let with = items(&laptop).await;
        phone(&laptop, &bob, &of_bob).await.ok();
        let before = items(&laptop).await;

        let wanted = json!({ "user": "alice", "event": REVOKE, "RevokeInfo": info });
        takes(&laptop, &pushed(&laptop, wanted)).await;

        let gone = beyond(&items(&laptop).await, &before);
        let claim: Vec<_> = beyond(&without, &with).into_iter().filter(|item| item.contains_key("sealed")).collect();
        assert_eq!(gone, claim, "RevokeInfo {info}");
        phone(&laptop, &alice, &of_alice).await.is_problem(409, "phone_code_invalid", "relogin_then_retap");
        phone(&laptop, &bob, &of_bob).await.ok();
        laptop.refresh(&alice.refresh).await.ok();
    }
}

/// The list of phone codes begins anew with each hour of counting; a number is kept for five minutes beyond it.
#[tokio::test]
async fn a_phone_number_of_the_hour_before_is_forgotten_too() {
    let laptop = plain().await;
    let alice = laptop.login("alice").await;
    phone(&laptop, &alice, &phone_code(&laptop, "alice")).await.ok();
    laptop.clock.advance(3_590);
    let alice = laptop.login("alice").await;
    let code = phone_code(&laptop, "alice");
    phone(&laptop, &alice, &code).await.ok();
    laptop.clock.advance(20);
    phone(&laptop, &alice, &phone_code(&laptop, "alice")).await.ok();

    takes(&laptop, &pushed(&laptop, json!({ "user": "alice", "event": REVOKE, "RevokeInfo": "8" }))).await;

    phone(&laptop, &alice, &code).await.is_problem(409, "phone_code_invalid", "relogin_then_retap");
}

#[tokio::test]
async fn what_is_not_stored_here_changes_nothing_when_it_is_taken_back() {
    let laptop = plain().await;
    let alice = login_with_key(&laptop, APPID, "alice").await;
    phone(&laptop, &alice, &phone_code(&laptop, "alice")).await.ok();
    let before = items(&laptop).await;
    let replaced = |event: &str| {
        let mut push = pushed(&laptop, json!({ "user": "alice", "event": CANCELLATION }));
        push["body"] = push["body"].as_str().unwrap().replace(CANCELLATION, event).into();
        push
    };

    for push in [
        pushed(&laptop, json!({ "user": "alice", "event": REVOKE, "RevokeInfo": "6" })),
        pushed(&laptop, json!({ "user": "alice", "event": REVOKE, "RevokeInfo": "18,80,88" })),
        pushed(&laptop, json!({ "user": "alice", "event": REVOKE })),
        pushed(&laptop, event("alice", "user_info_modified")),
        pushed(&laptop, event("nobody", CANCELLATION)),
        pushed(&laptop, json!({ "user": "nobody", "event": REVOKE, "RevokeInfo": "8" })),
        replaced("wxa_media_check"),
        replaced("USER_AUTHORIZATION_CANCELLATION"),
        replaced("user_enter_tempsession"),
        replaced(""),
    ] {
        takes(&laptop, &push).await;
        assert_eq!(items(&laptop).await, before, "{push}");
    }
}

#[tokio::test]
async fn a_push_that_comes_again_is_taken_again() {
    let laptop = plain().await;
    laptop.login("alice").await;
    let cancellation = pushed(&laptop, event("alice", CANCELLATION));
    let revoke = pushed(&laptop, json!({ "user": "alice", "event": REVOKE, "RevokeInfo": "8" }));

    for push in [&cancellation, &cancellation, &revoke, &revoke] {
        takes(&laptop, push).await;
    }
}

#[tokio::test]
async fn what_another_app_signed_or_encrypted_is_refused() {
    let keys = [Some(AES_KEY), Some(OTHER_AES_KEY)];
    for [key, other_key] in [keys, [None, None]] {
        let laptop = laptop_of(json!({ APPID: app("one", key), OTHER: app("two", other_key) })).await;
        let alice = login_with_key(&laptop, APPID, "alice").await;
        let before = items(&laptop).await;
        for (token, aes_key) in [("two", other_key), ("one", other_key), ("two", key), ("three", key)] {
            if (token, aes_key) == ("one", key) {
                continue;
            }
            // Signed by whoever holds this token and key, about a user of the first app.
            let forger = laptop_of(json!({ APPID: app(token, aes_key) })).await;
            refuses(&laptop, &pushed(&forger, event("alice", CANCELLATION))).await;
        }
        assert_eq!(items(&laptop).await, before);
        laptop.refresh(&alice.refresh).await.ok();
    }
}

/// Whose session a cancellation ends, where two apps with the same token have a user of the same openid each.
async fn cancelled(keys: [Option<&str>; 2], concerned: &str, format: &str) -> Vec<&'static str> {
    let laptop = laptop_of(json!({ APPID: app("same", keys[0]), OTHER: app("same", keys[1]) })).await;
    let openid = laptop.sim("user", json!({ "user": "twin", "appid": APPID }))["openid"].clone();
    let _ = laptop.sim("user", json!({ "user": "twin", "appid": OTHER, "openid": openid }));
    let twins = [login_with_key(&laptop, APPID, "twin").await, login_with_key(&laptop, OTHER, "twin").await];
    assert_eq!(twins[0].openid, twins[1].openid);

    let wanted = json!({ "user": "twin", "appid": concerned, "event": CANCELLATION, "format": format });
    takes(&laptop, &pushed(&laptop, wanted)).await;

    let mut over = Vec::new();
    for (appid, twin) in [APPID, OTHER].into_iter().zip(&twins) {
        if laptop.refresh(&twin.refresh).await.status != 200 {
            over.push(appid);
        }
    }
    over
}

/// The same openid text in two mini programs is two users; the token of WeChat's console may well be the same.
#[tokio::test]
async fn two_apps_that_share_a_token_are_told_apart_by_their_appid() {
    for keys in [[None, None], [Some(AES_KEY), Some(AES_KEY)]] {
        for concerned in [APPID, OTHER] {
            for format in ["json", "xml"] {
                assert_eq!(cancelled(keys, concerned, format).await, [concerned], "{format} {keys:?}");
            }
        }
    }
}

#[tokio::test]
async fn two_apps_that_share_a_token_may_differ_in_mode() {
    for keys in [[Some(AES_KEY), None], [None, Some(AES_KEY)]] {
        for concerned in [APPID, OTHER] {
            assert_eq!(cancelled(keys, concerned, "json").await, [concerned], "{keys:?}");
        }
    }
}

#[tokio::test]
async fn a_message_that_names_no_app_or_an_unknown_one_deletes_nothing() {
    let laptop = plain().await;
    laptop.login("alice").await;
    let before = items(&laptop).await;
    let push = pushed(&laptop, event("alice", CANCELLATION));
    let body = push["body"].as_str().unwrap();

    for body in [
        body.replace(APPID, OTHER),
        body.replace("\"AppID\"", "\"Appid\""),
        body.replace(&format!("\"{APPID}\""), "null"),
        body.replacen('{', &format!("{{\"AppID\":\"{OTHER}\","), 1),
        String::new(),
        "[]".to_owned(),
        "success".to_owned(),
    ] {
        let mut push = push.clone();
        push["body"] = body.into();
        refuses(&laptop, &push).await;
    }
    assert_eq!(items(&laptop).await, before);
}

#[tokio::test]
async fn apps_without_a_push_configuration_take_none() {
    let laptop = laptop_of(json!({ APPID: { "secret": "secret" } })).await;
    let stranger = plain().await;

    refuses(&laptop, &pushed(&stranger, json!({ "event": "verify" }))).await;
    refuses(&laptop, &pushed(&stranger, event("alice", CANCELLATION))).await;
}

#[tokio::test]
async fn a_table_that_fails_is_no_success_and_wechat_sends_again() {
    let laptop = plain().await;
    let alice = laptop.login("alice").await;
    let push = pushed(&laptop, event("alice", CANCELLATION));
    let (client, table) = laptop.dynamodb();
    let stored = laptop.items().await;
    client.delete_table().table_name(&table).send().await.unwrap();

    let failed = send_push(&laptop, &push).await;
    template::create_table(&client, &table, template::TEXT).await.unwrap();
    for item in stored {
        client.put_item().table_name(&table).set_item(Some(item)).send().await.unwrap();
    }
    laptop.clock.advance(5);

    failed.is_problem(503, "unavailable", "retry");
    takes(&laptop, &push).await;
    laptop.refresh(&alice.refresh).await.is_problem(400, "login_required", "relogin");
    assert_eq!(laptop.items().await, []);
}

#[tokio::test]
async fn a_push_that_broke_off_anywhere_is_completed_when_it_comes_again() {
    for (event, info) in [(CANCELLATION, None), (REVOKE, Some("8"))] {
        for broken in 0..12 {
            let mut laptop = Laptop::start().await;
            let alice = login_with_key(&laptop, APPID, "alice").await;
            let code = phone_code(&laptop, "alice");
            phone(&laptop, &alice, &code).await.ok();
            login_with_key(&laptop, APPID, "alice").await;
            let mut wanted = json!({ "user": "alice", "event": event });
            if let Some(info) = info {
                wanted["RevokeInfo"] = info.into();
            }
            let push = pushed(&laptop, wanted);
            let (beside, mut wire) = wire::beside(&mut laptop).await;

            let mut sent = 0;
            let first = wire.step(send_push(&beside, &push), async |waiting| {
                sent += 1;
                if sent > broken { waiting.fail() } else { waiting.pass().await }
            });
            let first = first.await;
            if first.status == 200 {
                assert!(broken > 0, "it did nothing");
                break;
            }

            first.is_problem(503, "unavailable", "retry");
            takes(&laptop, &push).await;
            if info.is_some() {
                phone(&laptop, &alice, &code).await.is_problem(409, "phone_code_invalid", "relogin_then_retap");
            } else {
                laptop.refresh(&alice.refresh).await.is_problem(400, "login_required", "relogin");
                let left = items(&laptop).await;
                assert!(left.iter().all(|item| !item.contains_key("sealed") || item["sk"].as_s().unwrap() != "code"));
                assert!(left.iter().all(|item| !item.contains_key("first_login")), "after {broken} requests: {left:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_body_over_sixteen_kibibytes_is_too_large() {
    let laptop = plain().await;
    let push = pushed(&laptop, event("alice", "user_info_modified"));
    let padded = |length: usize| {
        let mut push = push.clone();
        push["body"] = format!("{:<length$}", push["body"].as_str().unwrap()).into();
        push
    };

    takes(&laptop, &padded(16 * 1024)).await;
    send_push(&laptop, &padded(16 * 1024 + 1)).await.is_problem(413, "payload_too_large", "fix");
}

#[tokio::test]
async fn the_log_has_the_verdict_and_never_the_user() {
    let laptop = Laptop::start().await;
    let _ = laptop.sim("user", json!({ "user": "alice", "unionid": "uAlice" }));
    let alice = laptop.login("alice").await;
    let before = laptop.log().len();

    let _ = send_push(&laptop, &pushed(&laptop, json!({ "event": "verify", "echostr": "MARKER" }))).await;
    takes(&laptop, &pushed(&laptop, event("alice", "user_info_modified"))).await;
    takes(&laptop, &pushed(&laptop, json!({ "user": "alice", "event": REVOKE, "RevokeInfo": "8" }))).await;
    takes(&laptop, &pushed(&laptop, json!({ "user": "alice", "event": REVOKE, "RevokeInfo": "6" }))).await;
    takes(&laptop, &pushed(&laptop, event("alice", CANCELLATION))).await;
    refuses(&laptop, &json!({ "method": "POST", "query": format!("openid={}", alice.openid), "body": "{}" })).await;

    let log = laptop.log()[before..].to_vec();
    let lines: Vec<Value> = log.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let verdicts: Vec<_> = lines.iter().map(|line| line["verdict"].as_str().unwrap_or("-")).collect();
    let (revoke, cancellation) = ("USER_AUTHORIZATION_REVOKE", "USER_AUTHORIZATION_CANCELLATION");
    assert_eq!(verdicts, ["-", "USER_INFO_MODIFIED", revoke, revoke, cancellation, "-"]);
    assert!(lines.iter().all(|line| line["route"] == "/v1/push"));
    for secret in [alice.openid.as_str(), "uAlice", "MARKER", "demoPushToken", AES_KEY] {
        assert!(!log.join("\n").contains(secret), "{secret} stands in the log");
    }
}

#[tokio::test]
async fn other_methods_are_answered_by_the_gateway() {
    let laptop = plain().await;
    for method in [Method::PUT, Method::DELETE] {
        let answer = send(laptop.method(method, "/v1/push")).await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (404, "{\"message\":\"Not Found\"}"));
    }
}

/// Sends a vector as WeChat would.
async fn send_vector(laptop: &Laptop, vector: &Value) -> Answer {
    let query: Vec<_> =
        vector["query"].as_object().unwrap().iter().map(|(name, value)| (name, value.as_str().unwrap())).collect();
    let mut request = laptop.method(vector["method"].as_str().unwrap().parse().unwrap(), "/v1/push").query(&query);
    if let Some(content_type) = vector["content_type"].as_str() {
        request = request.header("content-type", content_type);
    }
    send(request.body(vector["body"].as_str().unwrap().to_owned())).await
}

#[tokio::test]
async fn every_vector_through_the_route() {
    let file: Value = serde_json::from_str(include_str!("../../fixtures/wechat-push.json")).unwrap();
    let mut laptops: HashMap<String, Laptop> = HashMap::new();
    let (mut taken, mut deleted) = (0, 0);

    for vector in file["vectors"].as_array().unwrap() {
        let (id, configured) = (&vector["id"], vector["encoding_aes_key"].as_str());
        let kind = format!("{}{}{configured:?}", vector["token"], vector["appid"]);
        if !laptops.contains_key(&kind) {
            let app = app(vector["token"].as_str().unwrap(), configured);
            let apps = json!({ "apps": { vector["appid"].as_str().unwrap(): app } });
            let laptop = Start::default().apps(apps).at(1_700_000_000).go().await;
            let _ = laptop.sim("user", json!({ "user": "alice", "openid": "oVect0rUserOfTheMiniProgram1" }));
            laptops.insert(kind.clone(), laptop);
        }
        let laptop = &laptops[&kind];
        if laptop.items().await.is_empty() {
            laptop.login("alice").await;
        }
        let before = items(laptop).await;

        let answer = send_vector(laptop, vector).await;

        let after = items(laptop).await;
        if vector["expect"] == "ok" {
            taken += 1;
            let expected = vector["echostr"].as_str().unwrap_or("success");
            assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, expected), "{id}");
            let event = &vector["event"];
            let ours = event["OpenID"] == "oVect0rUserOfTheMiniProgram1" && event["Event"] == CANCELLATION;
            deleted += u32::from(ours);
            assert_eq!(after, if ours { Vec::new() } else { before }, "{id}");
        } else {
            assert_eq!(answer.status, 400, "{id}: {answer:?}");
            answer.is_problem(400, "invalid_request", "fix");
            assert_eq!(after, before, "{id}");
        }
    }
    assert!(taken > 20 && deleted > 3, "{taken} were taken, {deleted} deleted a user");
}

/// WeChat would send it again otherwise.
#[tokio::test]
async fn a_message_of_another_kind_is_a_success_however_deep_it_nests() {
    let laptop = plain().await;
    let mut push = pushed(&laptop, event("alice", "user_info_modified"));
    push["body"] = json!({ "Event": "other", "a": { "b": { "c": { "d": { "e": [[[1]]] } } } } }).to_string().into();

    takes(&laptop, &push).await;
}

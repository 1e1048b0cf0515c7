//! The owner's operations on users, from the wire form of a request to the exact answer.

use std::{collections::HashMap, time::Duration};

use admin::Deps;
use aws_sdk_dynamodb::types::AttributeValue;
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use http::Method;
use serde_json::{Value, json};
use tests::{APPID, Answer, BEGIN, Laptop, Start, Tokens, send, wire};

const KEY: &str = "one-login-one-key";

async fn deps(laptop: &Laptop) -> Deps {
    Deps::from_env(laptop.world.env.clone()).await.unwrap()
}

/// What the invocation answers, or the sentence with which it fails.
async fn tried(laptop: &Laptop, request: Value) -> Result<Value, String> {
    let request = serde_json::from_value(request).map_err(|defect| defect.to_string())?;
    let answer = admin::handle(deps(laptop).await, request).await;
    answer.map(|answer| serde_json::to_value(answer).unwrap()).map_err(|error| error.to_string())
}

async fn ask(laptop: &Laptop, operation: &str, user: &Tokens) -> Value {
    tried(laptop, request(operation, user)).await.unwrap()
}

/// Every operation on a user: it names a device only where one is wanted.
fn request(operation: &str, user: &Tokens) -> Value {
    let mut request = json!({ "operation": operation, "appid": APPID, "openid": user.openid });
    if operation == "end_session" {
        request["device"] = json!(user.device);
    }
    request
}

const OPERATIONS: [&str; 7] = ["read", "end_session", "end_sessions", "block", "unblock", "export", "delete"];

async fn login_with_key(laptop: &Laptop, body: &Value) -> Answer {
    send(laptop.request("/v1/login").header("idempotency-key", KEY).json(body)).await
}

async fn get_session(laptop: &Laptop, user: &Tokens) -> Answer {
    send(laptop.method(Method::GET, "/v1/session").bearer_auth(&user.access)).await
}

async fn redeem(laptop: &Laptop, user: &Tokens, name: &str) -> Answer {
    let code = laptop.sim("phone", json!({ "user": name }))["code"].clone();
    laptop.post_as(&user.access, "/v1/phone", &json!({ "code": code })).await
}

/// An attempt to decrypt that is counted and comes to nothing.
async fn attempt(laptop: &Laptop, user: &Tokens) -> Answer {
    let garbage = json!({ "encryptedData": "AAAAAAAAAAAAAAAAAAAAAA==", "iv": "AAAAAAAAAAAAAAAAAAAAAA==" });
    laptop.post_as(&user.access, "/v1/phone", &garbage).await
}

type Item = HashMap<String, AttributeValue>;

/// The items whose sort key begins like this.
async fn items(laptop: &Laptop, sort_key: &str) -> Vec<Item> {
    let of_kind = |item: &Item| item["sk"].as_s().unwrap().starts_with(sort_key);
    laptop.items().await.into_iter().filter(of_kind).collect()
}

/// Every route that takes a token of this session says that it is over.
async fn is_over(laptop: &Laptop, user: &Tokens) {
    laptop.refresh(&user.refresh).await.is_problem(400, "login_required", "relogin");
    attempt(laptop, user).await.is_problem(401, "token_invalid", "refresh");
    get_session(laptop, user).await.is_problem(401, "token_invalid", "refresh");
}

#[tokio::test]
async fn read_tells_who_the_user_is_and_where_they_are_logged_in() {
    let laptop = Laptop::start().await;
    let _ = laptop.sim("user", json!({ "user": "alice", "unionid": "uAlice" }));
    let first = laptop.login("alice").await;
    laptop.clock.advance(200);
    let second = laptop.login("alice").await;
    laptop.clock.advance(50);
    laptop.refresh(&first.refresh).await.ok();

    let mut answer = ask(&laptop, "read", &first).await;

    answer["user"]["sessions"].as_array_mut().unwrap().sort_by_key(|session| session["created_at"].as_u64());
    let week = 604_800;
    assert_eq!(
        answer,
        json!({ "user": {
            "appid": APPID, "openid": first.openid, "unionid": "uAlice",
            "first_login": BEGIN, "last_login": BEGIN + 200, "blocked_at": null,
            "sessions": [
                { "device": first.device, "created_at": BEGIN, "last_seen_at": BEGIN + 250, "expires_at": BEGIN + 250 + week },
                { "device": second.device, "created_at": BEGIN + 200, "last_seen_at": BEGIN + 200, "expires_at": BEGIN + 200 + week },
            ],
        } })
    );
}

#[tokio::test]
async fn read_shows_no_session_that_has_run_out() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;

    laptop.clock.advance(604_800);

    assert_eq!(ask(&laptop, "read", &alice).await["user"]["sessions"], json!([]));
}

#[tokio::test]
async fn an_unknown_user_is_null_and_asking_makes_nobody() {
    let laptop = Laptop::start().await;
    let stranger = Tokens {
        access: String::new(),
        refresh: String::new(),
        openid: "oStranger".to_owned(),
        device: "A".repeat(22),
    };

    assert_eq!(ask(&laptop, "read", &stranger).await, json!({ "user": null }));
    assert_eq!(ask(&laptop, "end_session", &stranger).await, json!({ "ended": false }));
    assert_eq!(ask(&laptop, "end_sessions", &stranger).await, json!({ "ended": 0 }));
    assert_eq!(ask(&laptop, "unblock", &stranger).await, json!({ "unblocked": false }));
    let nothing = json!({ "appid": APPID, "openid": "oStranger", "user": null, "sessions": [] });
    assert_eq!(ask(&laptop, "export", &stranger).await, nothing);
    assert_eq!(ask(&laptop, "delete", &stranger).await, json!({ "deleted": false }));
    assert!(laptop.items().await.is_empty(), "asking about nobody makes nobody");
}

#[tokio::test]
async fn who_was_never_here_can_be_blocked() {
    let laptop = Laptop::start().await;
    let openid = laptop.login("alice").await.openid;
    let other = Laptop::start().await;
    let alice = Tokens { access: String::new(), refresh: String::new(), openid, device: "A".repeat(22) };

    let blocked = ask(&other, "block", &alice).await;

    assert_eq!(blocked, json!({ "blocked_at": tests::BEGIN, "ended": 0 }));
    let login = other.post("/v1/login", &json!({ "code": other.code("alice") })).await;
    login.is_problem(403, "user_blocked", "stop");
    assert_eq!(ask(&other, "unblock", &alice).await, json!({ "unblocked": true }));
    assert_eq!(other.login("alice").await.openid, alice.openid);
}

/// A user who sees it coming deletes themselves; the count of attempts, which stays, is swept an hour later.
#[tokio::test]
async fn who_has_deleted_themselves_can_be_blocked_for_good() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let data = json!({ "encryptedData": "AAAAAAAAAAAAAAAAAAAAAA==", "iv": "AAAAAAAAAAAAAAAAAAAAAA==" });
    laptop.post_as(&alice.access, "/v1/phone", &data).await.is_problem(
        409,
        "session_key_expired",
        "relogin_then_retap",
    );
    let deleted = tests::send(laptop.method(http::Method::DELETE, "/v1/user").bearer_auth(&alice.access)).await;
    assert_eq!(deleted.status, 204);

    ask(&laptop, "block", &alice).await;

    let items = laptop.items().await;
    assert!(items.iter().all(|item| !item.contains_key("ttl")), "nothing sweeps the block: {items:?}");
    let login = laptop.post("/v1/login", &json!({ "code": laptop.code("alice") })).await;
    login.is_problem(403, "user_blocked", "stop");
}

/// The login has written its user and not yet its session when the deletion comes.
#[tokio::test]
async fn a_login_beside_a_deletion_leaves_no_session_without_a_user() {
    let mut laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let (beside, mut wire) = wire::beside(&mut laptop).await;
    let body = json!({ "code": laptop.code("alice") });
    let (mut session, mut written) = (None, false);

    let login = wire.step(login_with_key(&beside, &body), async |waiting: wire::Waiting| {
        if waiting.puts("session#") {
            session = Some(waiting);
        } else {
            written |= waiting.sets("current_key");
            waiting.pass().await;
        }
        if written && let Some(session) = session.take() {
            assert_eq!(ask(&laptop, "delete", &alice).await, json!({ "deleted": true }));
            session.pass().await;
        }
    });
    let login = Box::pin(login).await;

    login.is_problem(503, "retry_login", "relogin");
    assert!(laptop.items().await.is_empty(), "{:?}", laptop.items().await);
}

#[tokio::test]
async fn what_is_no_request_is_refused() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let with = |operation: &str, member: &str, value: Value| {
        let mut request = request(operation, &alice);
        request[member] = value;
        request
    };
    let without = |operation: &str, member: &str| {
        let mut request = request(operation, &alice);
        request.as_object_mut().unwrap().remove(member);
        request
    };
    let before = laptop.items().await;

    let mut refused = vec![
        json!(null),
        json!({}),
        json!([]),
        json!("read"),
        with("read", "operation", "Read".into()),
        with("read", "operation", "erase".into()),
        with("read", "operation", Value::Null),
        with("read", "device", json!(alice.device)),
        without("end_session", "device"),
        with("end_session", "device", "short".into()),
        with("end_session", "device", format!("{}=", alice.device).into()),
    ];
    for operation in OPERATIONS {
        refused.extend([
            without(operation, "operation"),
            without(operation, "appid"),
            without(operation, "openid"),
            with(operation, "later", json!(1)),
            with(operation, "appid", "".into()),
            with(operation, "appid", format!("{APPID}#").into()),
            with(operation, "appid", json!(1)),
            with(operation, "openid", "".into()),
            with(operation, "openid", "o Alice".into()),
            with(operation, "openid", "微信".into()),
            with(operation, "openid", "o".repeat(129).into()),
            with(operation, "openid", Value::Null),
        ]);
    }
    for request in refused {
        let answer = tried(&laptop, request.clone()).await;
        assert!(answer.is_err(), "{request} is answered by {answer:?}");
    }
    assert_eq!(laptop.items().await, before);
}

#[tokio::test]
async fn the_end_of_one_session_is_seen_at_once_and_only_there() {
    let laptop = Laptop::start().await;
    let (one, other) = (laptop.login("alice").await, laptop.login("alice").await);

    assert_eq!(ask(&laptop, "end_session", &one).await, json!({ "ended": true }));

    is_over(&laptop, &one).await;
    laptop.refresh(&other.refresh).await.ok();
    get_session(&laptop, &other).await.ok();
}

#[tokio::test]
async fn the_end_of_all_sessions_is_seen_at_once_on_every_device() {
    let laptop = Laptop::start().await;
    let devices = [laptop.login("alice").await, laptop.login("alice").await, laptop.login("alice").await];

    assert_eq!(ask(&laptop, "end_sessions", &devices[0]).await, json!({ "ended": 3 }));

    for device in &devices {
        is_over(&laptop, device).await;
    }
    laptop.login("alice").await;
}

#[tokio::test]
async fn a_block_ends_every_session_and_refuses_every_login() {
    let laptop = Laptop::start().await;
    let devices = [laptop.login("alice").await, laptop.login("alice").await];
    laptop.clock.advance(7);

    let answer = ask(&laptop, "block", &devices[0]).await;

    assert_eq!(answer, json!({ "blocked_at": BEGIN + 7, "ended": 2 }));
    for device in &devices {
        is_over(&laptop, device).await;
    }
    let refused = laptop.post("/v1/login", &json!({ "code": laptop.code("alice") })).await;
    refused.is_problem(403, "user_blocked", "stop");
    let refused = login_with_key(&laptop, &json!({ "code": laptop.code("alice") })).await;
    refused.is_problem(403, "user_blocked", "stop");
    assert_eq!(items(&laptop, "session#").await, [], "a refused login leaves no session");
}

#[tokio::test]
async fn a_refused_login_leaves_no_claim() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    ask(&laptop, "block", &alice).await;

    let refused = login_with_key(&laptop, &json!({ "code": laptop.code("alice") })).await;

    refused.is_problem(403, "user_blocked", "stop");
    assert_eq!(items(&laptop, "code").await, []);
}

#[tokio::test]
async fn a_login_refused_by_a_block_cannot_be_repeated_after_it() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    ask(&laptop, "block", &alice).await;
    let body = json!({ "code": laptop.code("alice") });
    login_with_key(&laptop, &body).await.is_problem(403, "user_blocked", "stop");

    ask(&laptop, "unblock", &alice).await;

    login_with_key(&laptop, &body).await.is_problem(400, "code_used", "relogin");
}

#[tokio::test]
async fn a_login_from_before_the_block_cannot_be_repeated_during_it_or_after() {
    let laptop = Laptop::start().await;
    let body = json!({ "code": laptop.code("alice") });
    let openid = login_with_key(&laptop, &body).await.text_of("openid");
    let alice = Tokens { openid, ..laptop.login("bob").await };

    ask(&laptop, "block", &alice).await;
    let during = login_with_key(&laptop, &body).await;
    ask(&laptop, "unblock", &alice).await;
    let after = login_with_key(&laptop, &body).await;

    assert!(matches!(during.text_of("code").as_str(), "user_blocked" | "code_used"), "{during:?}");
    after.is_problem(400, "code_used", "relogin");
    assert_eq!(ask(&laptop, "read", &alice).await["user"]["sessions"], json!([]));
}

#[tokio::test]
async fn a_block_while_wechat_thinks_refuses_the_login() {
    for after in [false, true] {
        let laptop = Laptop::start().await;
        let alice = laptop.login("alice").await;
        let latency = json!({ "kind": "latency", "ms": 400 });
        let script = json!({ "api": "jscode2session", "fault": latency, "times": 1, "after": after });
        let _ = laptop.sim("script", script);
        let body = json!({ "code": laptop.code("alice") });

        let block = async {
            while laptop.simulator.calls("jscode2session") < 2 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            ask(&laptop, "block", &alice).await
        };
        let (login, block) = tokio::join!(login_with_key(&laptop, &body), block);

        assert_eq!(block, json!({ "blocked_at": BEGIN, "ended": 1 }));
        login.is_problem(403, "user_blocked", "stop");
        assert_eq!(items(&laptop, "session#").await, []);
    }
}

#[tokio::test]
async fn a_block_between_the_writes_of_a_login_and_its_look_around_refuses_the_login() {
    let mut laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let (beside, mut wire) = wire::beside(&mut laptop).await;
    let body = json!({ "code": laptop.code("alice") });

    let mut block = Value::Null;
    let login = wire.step(login_with_key(&beside, &body), async |waiting| {
        if waiting.operation == "Query" {
            block = ask(&laptop, "block", &alice).await;
        }
        waiting.pass().await;
    });
    login.await.is_problem(403, "user_blocked", "stop");

    assert_eq!(block["ended"], 2, "the block came after the session was written");
    assert_eq!(items(&laptop, "session#").await, []);
}

#[tokio::test]
async fn a_block_that_does_not_see_the_session_yet_is_seen_by_the_login() {
    let mut laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let (beside, mut wire) = wire::beside(&mut laptop).await;
    let body = json!({ "code": laptop.code("alice") });

    let (mut late, mut block) = (None, Value::Null);
    let login = wire.step(login_with_key(&beside, &body), async |waiting| {
        if waiting.puts("session#") {
            late = Some(waiting);
        } else {
            waiting.pass().await;
        }
        if late.is_some() && items(&laptop, "user").await[0]["last_login"] == AttributeValue::N(BEGIN.to_string()) {
            block = ask(&laptop, "block", &alice).await;
            late.take().unwrap().pass().await;
        }
    });
    login.await.is_problem(403, "user_blocked", "stop");

    assert_eq!(block["ended"], 1, "the block came before the session was written");
    assert_eq!(items(&laptop, "session#").await, []);
}

/// The table fails just where the login would look for the block: the login must not be taken for a good one.
#[tokio::test]
async fn a_login_that_cannot_look_for_a_block_does_not_outlive_it() {
    let mut laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let (beside, mut wire) = wire::beside(&mut laptop).await;
    let body = json!({ "code": laptop.code("alice") });

    let (mut late, mut passed) = (None, 0);
    let login = wire.step(login_with_key(&beside, &body), async |waiting| {
        if waiting.puts("session#") {
            late = Some(waiting);
        } else if waiting.operation == "Query" {
            waiting.fail();
        } else {
            waiting.pass().await;
            passed += 1;
        }
        // User and claim are written; the session is not.
        if passed == 2
            && let Some(session) = late.take()
        {
            ask(&laptop, "block", &alice).await;
            session.pass().await;
        }
    });
    let login = login.await;

    assert_ne!(login.status, 200, "a blocked user has got tokens");
    assert_eq!(ask(&laptop, "read", &alice).await["user"]["sessions"], json!([]));
}

/// Login and block take turns at the table in eighty orders, each chosen by its number.
#[tokio::test]
async fn no_order_of_login_and_block_leaves_a_live_session() {
    let mut laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let (beside, mut wire) = wire::beside(&mut laptop).await;
    let (mut refused_late, mut taken, mut logins) = (0, 0, Vec::new());

    for order in 1..=80 {
        laptop.clock.advance(1);
        let body = json!({ "code": laptop.code("alice") });
        let mut writes = Vec::new();
        let both = async { tokio::join!(login_with_key(&beside, &body), ask(&beside, "block", &alice)) };
        let seen = |waiting: &wire::Waiting| {
            let known = [(waiting.sets("blocked_at"), "block"), (waiting.sets("current_key"), "login")];
            writes.extend(known.into_iter().filter(|(is, _)| *is).map(|(_, name)| name));
        };
        let (login, _) = Box::pin(wire.shuffle(order, both, seen)).await;

        if login.status == 200 {
            taken += 1;
            let refresh = login.text_of("refresh_token");
            laptop.refresh(&refresh).await.is_problem(400, "login_required", "relogin");
        } else {
            login.is_problem(403, "user_blocked", "stop");
            refused_late += u32::from(writes == ["login", "block"]);
        }
        assert_eq!(items(&laptop, "session#").await, [], "order {order}: {writes:?}");
        ask(&laptop, "unblock", &alice).await;
        logins.push(body);
    }

    let repeated = futures_util::future::join_all(logins.iter().map(|body| login_with_key(&laptop, body))).await;
    assert!(repeated.iter().all(|answer| answer.status == 400), "nor can a login be repeated: {repeated:?}");
    assert!(refused_late > 0, "no order in which only the look around finds the block");
    assert!(taken + refused_late < 80, "no order in which the block comes first");
}

#[tokio::test]
async fn a_second_block_keeps_the_time_of_the_first() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    ask(&laptop, "block", &alice).await;

    laptop.clock.advance(500);

    assert_eq!(ask(&laptop, "block", &alice).await, json!({ "blocked_at": BEGIN, "ended": 0 }));
    assert_eq!(ask(&laptop, "read", &alice).await["user"]["blocked_at"], BEGIN);
}

#[tokio::test]
async fn after_an_unblock_the_user_logs_in_as_before() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    ask(&laptop, "block", &alice).await;

    assert_eq!(ask(&laptop, "unblock", &alice).await, json!({ "unblocked": true }));

    let again = laptop.post("/v1/login", &json!({ "code": laptop.code("alice") })).await.ok();
    assert_eq!((&again["openid"], &again["new_user"]), (&json!(alice.openid), &json!(false)));
    assert_eq!(ask(&laptop, "read", &alice).await["user"]["blocked_at"], Value::Null);
    assert!(!items(&laptop, "user").await[0].contains_key("ttl"), "who logs in stays");
}

#[tokio::test]
async fn a_block_outlives_the_deletion_of_its_user() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    ask(&laptop, "block", &alice).await;

    assert_eq!(ask(&laptop, "delete", &alice).await, json!({ "deleted": true }));

    let refused = laptop.post("/v1/login", &json!({ "code": laptop.code("alice") })).await;
    refused.is_problem(403, "user_blocked", "stop");
    let user = json!({
        "appid": APPID, "openid": alice.openid, "unionid": null,
        "first_login": null, "last_login": null, "blocked_at": BEGIN, "sessions": [],
    });
    assert_eq!(ask(&laptop, "read", &alice).await, json!({ "user": user }));
    let mut left: Vec<_> = items(&laptop, "user").await[0].keys().cloned().collect();
    left.sort();
    assert_eq!(left, ["blocked_at", "pk", "sk"], "of a deleted user the block alone is left");
    let export = &ask(&laptop, "export", &alice).await["user"];
    assert_eq!((&export["blocked_at"], &export["session_key"]), (&json!(BEGIN), &json!(false)));
}

#[tokio::test]
async fn a_deleted_user_who_is_unblocked_is_nobody_until_they_log_in() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    ask(&laptop, "block", &alice).await;
    ask(&laptop, "delete", &alice).await;

    assert_eq!(ask(&laptop, "unblock", &alice).await, json!({ "unblocked": true }));

    assert_eq!(ask(&laptop, "read", &alice).await, json!({ "user": null }));
    let left = items(&laptop, "user").await;
    assert!(left.iter().all(|item| item.contains_key("ttl")), "what is left runs out: {left:?}");
    let again = laptop.post("/v1/login", &json!({ "code": laptop.code("alice") })).await.ok();
    assert_eq!(again["new_user"], true);
    assert!(!items(&laptop, "user").await[0].contains_key("ttl"), "who logs in stays");
}

#[tokio::test]
async fn a_blocked_user_has_no_session_to_delete_themselves_with() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    ask(&laptop, "block", &alice).await;
    let before = laptop.items().await;

    let refused = send(laptop.method(Method::DELETE, "/v1/user").bearer_auth(&alice.access)).await;

    refused.is_problem(401, "token_invalid", "refresh");
    assert_eq!(laptop.items().await, before);
}

#[tokio::test]
async fn export_shows_all_that_is_stored() {
    let laptop = Laptop::start().await;
    let _ = laptop.sim("user", json!({ "user": "alice", "unionid": "uAlice" }));
    let alice = laptop.login("alice").await;
    laptop.clock.advance(200);
    redeem(&laptop, &alice, "alice").await.ok();
    attempt(&laptop, &alice).await.is_problem(409, "session_key_expired", "relogin_then_retap");
    laptop.refresh(&alice.refresh).await.ok();

    let answer = ask(&laptop, "export", &alice).await;

    let now = BEGIN + 200;
    assert_eq!(
        answer,
        json!({
            "appid": APPID,
            "openid": alice.openid,
            "user": {
                "unionid": "uAlice", "first_login": BEGIN, "last_login": BEGIN, "blocked_at": null,
                "session_key": true, "tries": 2, "tries_from": now, "phone_codes": 1,
            },
            "sessions": [{
                "device": alice.device, "created_at": BEGIN, "rotated_at": now, "rotated_before": BEGIN, "generation": 1,
                "idle": now + 604_800, "absolute": BEGIN + 2_592_000, "unionid": null,
            }],
        })
    );
}

#[tokio::test]
async fn neither_export_nor_read_holds_a_key_a_family_a_token_or_a_number() {
    let laptop = Start::default().var("WXAUTH_UNIONID_CLAIM", "true").go().await;
    let session_key = "tiihtNczf5v6AKRyjwEUhQ==";
    let code = laptop.code("alice");
    let user =
        json!({ "user": "alice", "session_key": session_key, "phoneNumber": "13912345678", "unionid": "uAlice" });
    let _ = laptop.sim("user", user);
    let login = login_with_key(&laptop, &json!({ "code": code })).await;
    let alice = Tokens {
        access: login.text_of("access_token"),
        refresh: login.text_of("refresh_token"),
        openid: login.text_of("openid"),
        device: login.text_of("device"),
    };
    redeem(&laptop, &alice, "alice").await.ok();

    let answers = [ask(&laptop, "export", &alice).await, ask(&laptop, "read", &alice).await].map(|it| it.to_string());

    // Every value in bytes is a secret, sealed or not, but the device, which the answer names.
    let bytes = laptop.items().await.into_iter().flatten().filter(|(name, _)| name != "device");
    let mut secrets: Vec<Vec<u8>> =
        bytes.filter_map(|(_, value)| value.as_b().ok().map(|blob| blob.as_ref().to_vec())).collect();
    assert!(secrets.len() >= 6, "keys, families and claims are in the table: {}", secrets.len());
    secrets.push(STANDARD.decode(session_key).unwrap());
    let mut spellings = vec![
        session_key.to_owned(),
        alice.access.clone(),
        alice.refresh.clone(),
        "13912345678".to_owned(),
        code,
        KEY.to_owned(),
    ];
    for secret in &secrets {
        let list = serde_json::to_string(secret).unwrap();
        let list = list.trim_matches(['[', ']']).to_owned();
        spellings.extend([STANDARD.encode(secret), URL_SAFE_NO_PAD.encode(secret), tests::hex(secret), list]);
    }
    for answer in answers {
        for spelling in &spellings {
            assert!(!answer.contains(spelling.as_str()), "{spelling} stands in {answer}");
        }
    }
}

#[tokio::test]
async fn delete_leaves_nothing_of_the_user() {
    let laptop = Laptop::start().await;
    login_with_key(&laptop, &json!({ "code": laptop.code("alice") })).await.ok();
    laptop.clock.advance(1);
    let alice = laptop.login("alice").await;
    redeem(&laptop, &alice, "alice").await.ok();
    laptop.clock.advance(3_600);
    let later = login_with_key(&laptop, &json!({ "code": laptop.code("alice") })).await;
    let alice = Tokens { access: later.text_of("access_token"), refresh: later.text_of("refresh_token"), ..alice };

    assert_eq!(ask(&laptop, "delete", &alice).await, json!({ "deleted": true }));

    let left = laptop.items().await;
    assert!(left.iter().all(|item| item["sk"].as_s().unwrap() == "access_token"), "{left:?}");
    is_over(&laptop, &alice).await;
    let again = laptop.post("/v1/login", &json!({ "code": laptop.code("alice") })).await.ok();
    assert_eq!(again["new_user"], true);
}

/// A login's claim holds the openid, sealed, and lies in the table until DynamoDB's TTL comes by.
#[tokio::test]
async fn delete_finds_the_claims_of_logins_whose_session_is_over() {
    for over in ["same device", "ended", "refused"] {
        let laptop = Laptop::start().await;
        let alice = laptop.login("alice").await;
        if over == "refused" {
            ask(&laptop, "block", &alice).await;
        }
        login_with_key(&laptop, &json!({ "code": laptop.code("alice"), "device": alice.device })).await;
        match over {
            "same device" => {
                laptop.clock.advance(1);
                laptop.login_with(&json!({ "code": laptop.code("alice"), "device": alice.device })).await;
            }
            "ended" => assert_eq!(ask(&laptop, "end_sessions", &alice).await["ended"], 1),
            _ => {}
        }

        ask(&laptop, "delete", &alice).await;

        assert_eq!(items(&laptop, "code").await, [], "{over}");
    }
}

/// The list of phone codes begins anew with each hour of counting; a number is kept for five minutes beyond it.
#[tokio::test]
async fn delete_finds_the_phone_code_of_the_hour_before() {
    let laptop = Laptop::start().await;
    attempt(&laptop, &laptop.login("alice").await).await;
    laptop.clock.advance(3_590);
    let alice = laptop.login("alice").await;
    redeem(&laptop, &alice, "alice").await.ok();
    laptop.clock.advance(20);
    attempt(&laptop, &alice).await;

    ask(&laptop, "delete", &alice).await;

    assert_eq!(items(&laptop, "code").await, [], "it counts for 280 seconds more");
}

#[tokio::test]
async fn a_count_of_attempts_survives_the_deletion_for_its_hour() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    for _ in 0..29 {
        attempt(&laptop, &alice).await.is_problem(409, "session_key_expired", "relogin_then_retap");
    }

    ask(&laptop, "delete", &alice).await;

    let mut left: Vec<_> = items(&laptop, "user").await[0].keys().cloned().collect();
    left.sort();
    assert_eq!(left, ["pk", "sk", "tries", "tries_from", "ttl"]);
    assert_eq!(ask(&laptop, "read", &alice).await, json!({ "user": null }));
    let alice = laptop.login("alice").await;
    attempt(&laptop, &alice).await.is_problem(409, "session_key_expired", "relogin_then_retap");
    attempt(&laptop, &alice).await.is_problem(429, "rate_limited", "retry");
}

#[tokio::test]
async fn a_count_of_attempts_survives_block_deletion_and_unblock() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    for _ in 0..30 {
        attempt(&laptop, &alice).await;
    }

    for operation in ["block", "delete", "unblock"] {
        ask(&laptop, operation, &alice).await;
    }

    let alice = laptop.login("alice").await;
    attempt(&laptop, &alice).await.is_problem(429, "rate_limited", "retry");
}

#[tokio::test]
async fn each_operation_can_be_repeated() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    laptop.login("alice").await;
    let null = json!({ "user": null });

    for (operation, first, again) in [
        ("end_session", json!({ "ended": true }), json!({ "ended": false })),
        ("end_sessions", json!({ "ended": 1 }), json!({ "ended": 0 })),
        ("block", json!({ "blocked_at": BEGIN, "ended": 0 }), json!({ "blocked_at": BEGIN, "ended": 0 })),
        ("unblock", json!({ "unblocked": true }), json!({ "unblocked": false })),
        ("delete", json!({ "deleted": true }), json!({ "deleted": false })),
        ("read", null.clone(), null),
    ] {
        assert_eq!(ask(&laptop, operation, &alice).await, first, "{operation}");
        for _ in 0..2 {
            assert_eq!(ask(&laptop, operation, &alice).await, again, "{operation}, again");
        }
    }
    let export = ask(&laptop, "export", &alice).await;
    assert_eq!(ask(&laptop, "export", &alice).await, export);
}

#[tokio::test]
async fn an_operation_that_broke_off_anywhere_is_completed_by_its_repetition() {
    for operation in ["end_session", "end_sessions", "block", "delete"] {
        for broken in 0..12 {
            let mut laptop = Laptop::start().await;
            let alice = laptop.login("alice").await;
            login_with_key(&laptop, &json!({ "code": laptop.code("alice") })).await.ok();
            redeem(&laptop, &alice, "alice").await.ok();
            let (beside, mut wire) = wire::beside(&mut laptop).await;

            let mut sent = 0;
            let first = wire.step(tried(&beside, request(operation, &alice)), async |waiting| {
                sent += 1;
                if sent > broken { waiting.fail() } else { waiting.pass().await }
            });
            let first = first.await;
            let again = ask(&laptop, operation, &alice).await;

            if first.is_ok() {
                assert!(broken > 1, "{operation} does not say that it broke off");
                break;
            }
            is_over(&laptop, &alice).await;
            let stored = ask(&laptop, "export", &alice).await;
            match operation {
                "delete" => {
                    assert!(stored["user"]["first_login"].is_null(), "after {broken} requests: {stored}");
                    assert_eq!((&stored["sessions"], items(&laptop, "code").await.len()), (&json!([]), 0));
                }
                "block" => assert_eq!((&again["blocked_at"], &stored["sessions"]), (&json!(BEGIN), &json!([]))),
                "end_sessions" => assert_eq!(stored["sessions"], json!([])),
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn no_operation_touches_another_user_or_the_same_openid_of_another_app() {
    const OTHER: &str = "wx0000000000000002";
    let apps = json!({ "apps": { APPID: { "secret": "one" }, OTHER: { "secret": "two" } } });
    let laptop = Start::default().apps(apps).go().await;
    let login = async |appid: &str, user: &str| {
        let code = laptop.sim("login", json!({ "user": user, "appid": appid }))["code"].clone();
        let login = login_with_key(&laptop, &json!({ "code": code, "appid": appid })).await;
        let tokens = Tokens {
            access: login.text_of("access_token"),
            refresh: login.text_of("refresh_token"),
            openid: login.text_of("openid"),
            device: login.text_of("device"),
        };
        let phone = laptop.sim("phone", json!({ "user": user, "appid": appid }))["code"].clone();
        laptop.post_as(&tokens.access, "/v1/phone", &json!({ "code": phone })).await.ok();
        tokens
    };
    let openid = laptop.sim("user", json!({ "user": "alice", "appid": APPID }))["openid"].clone();
    let _ = laptop.sim("user", json!({ "user": "twin", "appid": OTHER, "openid": openid }));
    let others = [login(APPID, "bob").await, login(OTHER, "twin").await];
    let before = laptop.items().await;
    let alice = login(APPID, "alice").await;
    assert_eq!(alice.openid, others[1].openid);

    for operation in OPERATIONS {
        ask(&laptop, operation, &alice).await;
    }

    let after = laptop.items().await;
    for item in before {
        assert!(after.contains(&item), "{:?} is another", item["pk"]);
    }
    for other in others {
        laptop.refresh(&other.refresh).await.ok();
    }
}

#[tokio::test]
async fn the_log_names_the_operation_and_never_the_user() {
    let laptop = Laptop::start().await;
    let _ = laptop.sim("user", json!({ "user": "alice", "unionid": "uAlice" }));
    let alice = laptop.login("alice").await;
    let before = laptop.log().len();
    let nobody = json!({ "operation": "end_session", "appid": APPID, "openid": "oNobody", "device": "none" });

    for operation in OPERATIONS {
        ask(&laptop, operation, &alice).await;
    }
    assert!(tried(&laptop, nobody).await.is_err());

    let log = laptop.log()[before..].to_vec();
    for text in [alice.openid.as_str(), alice.device.as_str(), "uAlice", "oNobody"] {
        assert!(!log.join("\n").contains(text), "{text} stands in the log");
    }
    let lines: Vec<Value> = log.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let verdicts: Vec<_> = lines[..7].iter().map(|line| line["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, OPERATIONS.map(|operation| format!("ADMIN_{}", operation.to_uppercase())));
    assert_eq!(
        (&lines[7]["level"], &lines[7]["cause"]),
        (&json!("ERROR"), &json!("not a valid device: 16 bytes in base64url without padding"))
    );
}

#[tokio::test]
async fn a_table_that_fails_is_thrown_and_never_an_answer() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let (client, table) = laptop.dynamodb();
    client.delete_table().table_name(table).send().await.unwrap();

    for operation in OPERATIONS {
        let answer = tried(&laptop, request(operation, &alice)).await;
        assert_eq!(answer, Err("the table is unavailable".to_owned()), "{operation}");
    }
}

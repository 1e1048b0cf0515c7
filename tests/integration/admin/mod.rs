//! The owner's operations on users, from the wire form of a request to the exact answer.

mod block;
mod delete;
mod export;
mod read;
mod reset;

use admin::Deps;
use serde_json::{Value, json};
use tests::{APPID, BEGIN, Item, KEY, Laptop, Response, Start, Tokens, wire};

async fn deps(laptop: &Laptop) -> Deps {
    Deps::from_env(laptop.world.env.clone()).await.unwrap()
}

/// What the invocation answers, or the sentence with which it fails.
async fn tried(laptop: &Laptop, request: Value) -> Result<Value, String> {
    let request = serde_json::from_value(request).map_err(|defect| defect.to_string())?;
    let answer = laptop.logged(admin::handle(deps(laptop).await, request)).await;
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

const OPERATIONS: [&str; 8] =
    ["read", "end_session", "end_sessions", "block", "unblock", "export", "reset_session_key", "delete"];

async fn get_session(laptop: &Laptop, user: &Tokens) -> Response {
    laptop.get(&user.access, "/v1/session").await
}

async fn redeem(laptop: &Laptop, user: &Tokens, name: &str) -> Response {
    let code = laptop.sim("phone", json!({ "user": name }))["code"].clone();
    laptop.post_as(&user.access, "/v1/phone", &json!({ "code": code })).await
}

/// An attempt to decrypt that is counted and comes to nothing.
async fn attempt(laptop: &Laptop, user: &Tokens) -> Response {
    let garbage = json!({ "encryptedData": "AAAAAAAAAAAAAAAAAAAAAA==", "iv": "AAAAAAAAAAAAAAAAAAAAAA==" });
    laptop.post_as(&user.access, "/v1/phone", &garbage).await
}

/// The items whose sort key begins like this.
async fn of_kind(laptop: &Laptop, sort_key: &str) -> Vec<Item> {
    let items = laptop.items().await.into_iter();
    items.filter(|((_, sk), _)| sk.starts_with(sort_key)).map(|(_, item)| item).collect()
}

/// Every route that takes a token of this session says that it is over.
async fn is_over(laptop: &Laptop, user: &Tokens) {
    laptop.refresh(&user.refresh).await.is_problem(400, "login_required", "relogin");
    attempt(laptop, user).await.is_problem(401, "token_invalid", "refresh");
    get_session(laptop, user).await.is_problem(401, "token_invalid", "refresh");
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
        with("end_session", "device", format!("{}=", alice.device_id()).into()),
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
            laptop.login_with_key(KEY, &json!({ "code": laptop.code("alice") })).await.ok();
            redeem(&laptop, &alice, "alice").await.ok();
            let (beside, mut wire) = wire::beside(&mut laptop).await;

            let mut sent = 0;
            let first = wire.step(tried(&beside, request(operation, &alice)), async |waiting| {
                sent += 1;
                if sent > broken { waiting.fail() } else { waiting.pass().await }
            });
            let first = Box::pin(first).await;
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
                    assert_eq!((&stored["sessions"], of_kind(&laptop, "code").await.len()), (&json!([]), 0));
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
        let login = laptop.login_with_key(KEY, &json!({ "code": code, "appid": appid })).await;
        let tokens = Tokens::of(&login);
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
    for (key, item) in before {
        assert_eq!(after.get(&key), Some(&item), "{key:?} is another");
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
    for text in [alice.openid.as_str(), alice.device_id(), "uAlice", "oNobody"] {
        assert!(!log.join("\n").contains(text), "{text} stands in the log");
    }
    let lines: Vec<Value> = log.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let verdicts: Vec<_> = lines[..8].iter().map(|line| line["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, OPERATIONS.map(|operation| format!("ADMIN_{}", operation.to_uppercase())));
    assert_eq!(
        (&lines[8]["level"], &lines[8]["cause"]),
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

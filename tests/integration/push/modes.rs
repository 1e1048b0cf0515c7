//! The modes of WeChat's console against what is configured here: `success` is never said of what was not understood.

use http::{Method, StatusCode};
use local::doctor::{Options, examine};
use serde_json::{Value, json};
use shared::clock::SystemClock;
use tests::{APPID, Folder, Laptop, Response, Start, Tokens, send};

use super::{
    AES_KEY, CANCELLATION, OTHER, OTHER_AES_KEY, REVOKE, app, event, items, laptop_of, login, plain, pushed, refuses,
    send_push, takes,
};

/// The mini program of the cases, and its user, logged in.
async fn world(file: &Value, aes_key: Option<&str>) -> (Laptop, Tokens) {
    let (appid, token) = (file["appid"].as_str().unwrap(), file["token"].as_str().unwrap());
    let laptop = Start::default().apps(json!({ "apps": { appid: app(token, aes_key) } })).at(1_700_000_000).go().await;
    let _ = laptop.sim("user", json!({ "user": "ada", "appid": appid, "openid": "oAda" }));
    let ada = login(&laptop, appid, "ada").await;
    (laptop, ada)
}

async fn sent(laptop: &Laptop, sent: &Value) -> Response {
    let method = if sent["route"] == "GET /v1/push" { Method::GET } else { Method::POST };
    let query: Vec<_> =
        sent["query"].as_object().unwrap().iter().map(|(name, text)| (name, text.as_str().unwrap())).collect();
    let body = sent["body"].as_str().unwrap_or_default().to_owned();
    let content_type = if body.starts_with('<') { "text/xml" } else { "application/json" };
    send(laptop.method(method, "/v1/push").query(&query).header("content-type", content_type).body(body)).await
}

/// The refusal is a warning in the log that says why, and the metric of an alarm counts it.
#[track_caller]
fn is_refused_aloud(laptop: &Laptop, answer: &Response, what: &str) {
    answer.is_problem(400, "invalid_request", "fix");
    let line: Value = serde_json::from_str(&laptop.line(answer)).unwrap();
    assert_eq!(line["level"], "WARN", "{what}: {line}");
    assert!(line["verdict"].as_str().unwrap().starts_with("PUSH_") && line["cause"].is_string(), "{what}: {line}");
}

#[tokio::test]
async fn every_case_of_the_modes_has_its_answer() {
    let file: Value = serde_json::from_str(include_str!("../../fixtures/push-modes.json")).unwrap();
    let mut seen = 0;
    for case in file["cases"].as_array().unwrap() {
        let (name, right) = (case["name"].as_str().unwrap(), &case["right"]);
        let aes_key = case["world"]["encoding_aes_key"].as_str();
        let (laptop, ada) = world(&file, aes_key).await;
        if case["sent"]["route"].is_null() {
            doctor_names_the_key(&file, aes_key.unwrap()).await;
            continue;
        }
        let before = items(&laptop).await;

        let answer = sent(&laptop, &case["sent"]).await;

        if right["user"] == "untouched" {
            is_refused_aloud(&laptop, &answer, name);
            assert_eq!(items(&laptop).await, before, "{name}");
            laptop.refresh(&ada.refresh).await.ok();
        } else {
            let text = right["answer"].as_str().unwrap().split(',').next().unwrap();
            assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, text), "{name}");
        }
        if right["user"].as_str().is_some_and(|user| user.starts_with("forgotten")) {
            laptop.refresh(&ada.refresh).await.is_problem(400, "login_required", "relogin");
            assert!(items(&laptop).await.is_empty(), "{name}");
        }
        seen += 1;
    }
    assert_eq!(seen, 10);
}

async fn doctor_names_the_key(file: &Value, aes_key: &str) {
    let folder = Folder::new();
    let apps = json!({ "apps": { file["appid"].as_str().unwrap(): app("token", Some(aes_key)) } });
    std::fs::write(folder.0.join("apps.json"), apps.to_string()).unwrap();
    let source = format!("file:{}", folder.0.join("apps.json").display());
    let options = Options { url: None, quota: false, rid: None, clock: std::sync::Arc::new(SystemClock) };

    let report = examine(vec![("WXAUTH_APPS".to_owned(), source)], options).await.to_string();

    assert!(report.contains("encoding_aes_key is not 43 characters"), "{report}");
    assert!(!report.contains(aes_key), "{report}");
}

const NESTED: &str = r#"{"xml":{"MsgType":"event","Event":"user_authorization_cancellation","OpenID":"oA"}}"#;

/// What can be wrong with a push, and what the simulator is asked for to get it. The last ones are done to the request.
fn damages() -> Vec<(&'static str, Value)> {
    vec![
        ("nothing", json!({})),
        ("no user", json!({ "without": ["OpenID"] })),
        ("no kind", json!({ "without": ["MsgType", "Event", "OpenID", "AppID", "UnionID", "RevokeInfo"] })),
        ("no MsgType", json!({ "without": ["MsgType"] })),
        ("no Event", json!({ "without": ["Event"] })),
        ("no app", json!({ "without": ["AppID"] })),
        ("for another app", json!({ "encrypted_for": OTHER })),
        ("nothing inside", json!({ "message": "" })),
        ("an envelope inside", json!({ "message": "{\"ToUserName\":\"gh_1\"}" })),
        ("nonsense inside", json!({ "message": "nonsense" })),
        ("a nameless event inside", json!({ "message": "{\"MsgType\":\"event\",\"Event\":null}" })),
        ("a message in a message inside", json!({ "message": NESTED })),
        ("half a body", json!({})),
        ("another signature", json!({})),
        ("another time", json!({})),
        ("an empty Encrypt", json!({})),
    ]
}

fn damaged(mut push: Value, damage: &str) -> Value {
    let (query, body) = (push["query"].as_str().unwrap().to_owned(), push["body"].as_str().unwrap().to_owned());
    match damage {
        "half a body" => push["body"] = body[..body.len() / 2].into(),
        "another signature" => push["query"] = query.replace("signature=", "signature=0").into(),
        "another time" => push["query"] = query.replace("timestamp=1", "timestamp=2").into(),
        "an empty Encrypt" if body.contains("Encrypt") => {
            let encrypted = body.split(['"', '[', ']']).max_by_key(|part| part.len()).unwrap();
            push["body"] = body.replace(encrypted, "").into();
        }
        _ => {}
    }
    push
}

/// A cancellation in every mode and format, whole and damaged, before every state of the key: `success` means that the user is
/// gone, and everything else that nothing was touched and the owner hears of it.
#[tokio::test]
async fn a_cancellation_is_a_success_exactly_where_its_user_is_gone() {
    let (mut taken, mut refused) = (Vec::new(), 0);
    for (state, key) in
        [("none", None), ("right", Some(AES_KEY)), ("other", Some(OTHER_AES_KEY)), ("short", Some("short"))]
    {
        let laptop = laptop_of(json!({ APPID: app("token", key) })).await;
        for (mode, format) in [
            ("plain", "json"),
            ("plain", "xml"),
            ("compatible", "json"),
            ("compatible", "xml"),
            ("secure", "json"),
            ("secure", "xml"),
        ] {
            for (damage, asked) in damages() {
                let what = format!("{mode} {format}, key {state}, damage: {damage}");
                // The same text of the same second would be the same message.
                laptop.clock.advance(1);
                let alice = laptop.login("alice").await;
                let mut wanted = json!({ "user": "alice", "event": CANCELLATION, "mode": mode, "format": format });
                wanted["encoding_aes_key"] = AES_KEY.into();
                wanted.as_object_mut().unwrap().extend(asked.as_object().unwrap().clone());
                let before = items(&laptop).await;

                let answer = send_push(&laptop, &damaged(pushed(&laptop, wanted), damage)).await;

                if answer.status == StatusCode::OK {
                    assert_eq!(answer.text, "success");
                    laptop.refresh(&alice.refresh).await.is_problem(400, "login_required", "relogin");
                    assert!(items(&laptop).await.is_empty(), "{what}");
                    taken.push(format!("{mode} {state} {damage}"));
                } else {
                    is_refused_aloud(&laptop, &answer, &what);
                    assert_eq!(items(&laptop).await, before, "{what}");
                    laptop.delete(&alice.access, "/v1/user").await;
                    refused += 1;
                }
            }
        }
    }
    // Each in JSON and in XML.
    taken.dedup();
    let mut expected = Vec::new();
    for damage in [
        "nothing",
        "for another app",
        "nothing inside",
        "an envelope inside",
        "nonsense inside",
        "a nameless event inside",
        "a message in a message inside",
        "an empty Encrypt",
    ] {
        // What is in Encrypt is of no concern where the members in the clear are read.
        expected.extend(["plain", "compatible"].map(|mode| format!("{mode} none {damage}")));
    }
    expected.extend(["compatible", "secure"].map(|mode| format!("{mode} right nothing")));
    // Encrypted, the mini program is known by the key and what follows the message.
    expected.extend(["compatible", "secure"].map(|mode| format!("{mode} right no app")));
    expected.sort();
    taken.sort();
    taken.dedup();
    assert_eq!(taken, expected);
    assert!(refused > 200, "{refused}");
}

#[tokio::test]
async fn a_revocation_that_does_not_say_of_what_is_not_done() {
    let laptop = plain().await;
    laptop.login("alice").await;
    for push in [json!({}), json!({ "RevokeInfo": "" }), json!({ "RevokeInfo": "phone" })] {
        let mut wanted = event("alice", REVOKE);
        wanted.as_object_mut().unwrap().extend(push.as_object().unwrap().clone());
        let answer = send_push(&laptop, &pushed(&laptop, wanted)).await;
        is_refused_aloud(&laptop, &answer, "a revocation of nothing");
    }
}

/// The mini program that lacks its key is to blame, and not the one that could not open what was not its own.
#[tokio::test]
async fn of_several_reasons_the_one_that_the_owner_can_mend_is_told() {
    for (keys, mode, verdict) in [
        ([Some(OTHER_AES_KEY), None], "secure", "PUSH_NO_KEY"),
        ([None, Some(OTHER_AES_KEY)], "compatible", "PUSH_NOT_OPENED"),
        ([None, Some("short")], "compatible", "PUSH_NO_KEY"),
        ([None, Some(AES_KEY)], "plain", "PUSH_IN_THE_CLEAR"),
        ([None, None], "plain", "PUSH_OTHER_APP"),
    ] {
        let laptop = laptop_of(json!({ APPID: app("same", keys[0]), OTHER: app("same", keys[1]) })).await;
        let mut push = json!({
            "user": "alice", "appid": OTHER, "event": CANCELLATION, "mode": mode, "encoding_aes_key": AES_KEY,
        });
        if verdict == "PUSH_OTHER_APP" {
            push["without"] = json!(["AppID"]);
        }

        let answer = send_push(&laptop, &pushed(&laptop, push)).await;

        is_refused_aloud(&laptop, &answer, verdict);
        assert!(laptop.line(&answer).contains(&format!("\"{verdict}\"")), "{keys:?}: {}", laptop.line(&answer));
    }
}

/// The compatible-mode push, with a message of another kind in the clear that may name a mini program.
fn text_in_the_clear(push: &Value, names: Option<&str>) -> Value {
    let body: Value = serde_json::from_str(push["body"].as_str().unwrap()).unwrap();
    let text = json!({ "MsgType": "text", "Content": "hi", "AppID": names, "Encrypt": body["Encrypt"] });
    let mut push = push.clone();
    push["body"] = text.to_string().into();
    push
}

/// Of mini programs with one token, one has no key, one another key, one a key that cannot be used: the one that can read takes
/// the message, wherever it stands; and where none can, none of the others says `success` for it. What is in the clear beside
/// an `Encrypt` is read by an app without a key, if it is named or no other has a key.
#[tokio::test]
async fn an_app_that_cannot_read_does_not_answer_for_one_that_can() {
    let third = "wx0000000000000003";
    for event_name in [CANCELLATION, "user_info_modified"] {
        for silent in [None, Some(OTHER_AES_KEY), Some("short")] {
            for key in [Some(AES_KEY), None, Some(OTHER_AES_KEY)] {
                for order in [[APPID, OTHER, third], [third, APPID, OTHER], [OTHER, third, APPID]] {
                    let [concerned, one, two] = order;
                    let apps =
                        json!({ concerned: app("same", key), one: app("same", silent), two: app("same", silent) });
                    let laptop = laptop_of(apps).await;
                    let _ = laptop.sim("user", json!({ "user": "alice", "appid": concerned }));
                    let in_mode = |mode: &str| {
                        let mut wanted = json!({ "user": "alice", "appid": concerned, "event": event_name });
                        wanted["mode"] = mode.into();
                        wanted["encoding_aes_key"] = AES_KEY.into();
                        pushed(&laptop, wanted)
                    };
                    let compatible = || in_mode("compatible");
                    let opens = key == Some(AES_KEY);
                    for (push, is_read) in [
                        (in_mode("secure"), opens),
                        (text_in_the_clear(&compatible(), Some(concerned)), opens || key.is_none()),
                        (text_in_the_clear(&compatible(), None), opens || (key.is_none() && silent.is_none())),
                        (compatible(), opens || key.is_none()),
                        (in_mode("plain"), key.is_none()),
                    ] {
                        if is_read {
                            takes(&laptop, &push).await;
                        } else {
                            refuses(&laptop, &push).await;
                        }
                    }
                }
            }
        }
    }
}

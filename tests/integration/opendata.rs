//! `POST /v1/opendata`, and what each route says to data of another kind: every case that was given, and rules beyond them.

use http::Method;
use serde_json::{Value, json};
use tests::{APPID, Laptop, Response, Start, Tokens, contract::steps, send};

const USERINFO_SHAPES: &str = include_str!("../fixtures/userinfo-shapes.json");
const KINDS: &str = include_str!("../fixtures/open-data-kinds.json");
const MORE_DATA: &str = include_str!("../fixtures/wechat-open-data-2.json");

const ROUTES: [&str; 3] = ["/v1/phone", "/v1/userinfo", "/v1/opendata"];

async fn opendata(laptop: &Laptop, user: &Tokens, body: &Value) -> Response {
    laptop.post_as(&user.access, "/v1/opendata", body).await
}

/// Any object under alice's present key, with a watermark of the demo app.
fn sealed(laptop: &Laptop, data: &Value) -> Value {
    laptop.sim("opendata", json!({ "user": "alice", "data": data }))
}

/// Any text under alice's present key.
fn encrypted(laptop: &Laptop, plaintext: &str) -> Value {
    laptop.sim("encrypt", json!({ "user": "alice", "plaintext": plaintext }))
}

/// The cases of a file in which encrypted data is sent.
fn cases(text: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(text).unwrap();
    let is_sent = |case: &&Value| case["sent"]["body"]["encryptedData"].is_string();
    file["cases"].as_array().unwrap().iter().filter(is_sent).cloned().collect()
}

/// A laptop with the mini program of a file, and its user, logged in under the key of the cases.
async fn world(text: &str) -> (Laptop, Tokens) {
    let file: Value = serde_json::from_str(text).unwrap();
    let appid = file["appid"].as_str().unwrap();
    let laptop = Start::default().apps(json!({ "apps": { appid: { "secret": "secret" } } })).go().await;
    let key = &file["cases"][1]["world"]["session_key"];
    let _ = laptop.sim("user", json!({ "user": "ada", "openid": "oAda", "session_key": key }));
    let _ = laptop.sim("settings", json!({ "session_key": "keep" }));
    let user = laptop.login("ada").await;
    (laptop, user)
}

async fn send_case(laptop: &Laptop, user: &Tokens, case: &Value) -> Response {
    let path = case["sent"]["route"].as_str().unwrap().strip_prefix("POST ").unwrap();
    laptop.post_as(&user.access, path, &case["sent"]["body"]).await
}

/// The plaintext without its watermark.
fn without_watermark(plaintext: &Value) -> Value {
    let mut members = plaintext.as_object().unwrap().clone();
    members.remove("watermark");
    members.into()
}

#[tokio::test]
async fn every_shape_of_a_profile_is_given() {
    let (laptop, user) = world(USERINFO_SHAPES).await;
    let cases = cases(USERINFO_SHAPES);
    assert_eq!(cases.len(), 7);
    for case in cases {
        let answer = send_case(&laptop, &user, &case).await;

        assert_eq!(answer.ok(), without_watermark(&case["world"]["plaintext"]), "{}", case["name"]);
    }
    let items = laptop.items().await;
    assert!(items.values().all(|item| !item.contains_key("unionid")), "no data had one");
}

#[tokio::test]
async fn data_of_another_kind_is_not_said_to_be_unreadable() {
    let (laptop, user) = world(KINDS).await;
    for case in cases(KINDS) {
        let right = &case["right"];
        let known = case["world"]["plaintext"].is_object();
        if !known {
            let another = json!({ "user": "ada", "session_key": "AQEBAQEBAQEBAQEBAQEBAQ==" });
            let _ = laptop.sim("user", another);
        }
        // Both keys are tried, and the one before for ten minutes.
        let user = if known { user.clone() } else { laptop.login("ada").await };
        laptop.clock.advance(if known { 0 } else { 600 });

        let answer = send_case(&laptop, &user, &case).await;

        match right["code"].as_str() {
            None => assert_eq!(answer.ok(), without_watermark(&case["world"]["plaintext"])),
            Some("wrong_data_kind") => answer.is_problem(400, "wrong_data_kind", "fix"),
            Some(code) => answer.is_problem(409, code, "relogin_then_retap"),
        }
    }
}

/// Each known text of every kind at each route: the route of its kind takes it, and the others say that it is another.
#[tokio::test]
async fn every_kind_of_data_is_taken_by_one_route() {
    let file: Value = serde_json::from_str(MORE_DATA).unwrap();
    let laptop = Laptop::start().await;
    let _ = laptop.sim("settings", json!({ "session_key": "keep" }));
    for vector in file["vectors"].as_array().unwrap() {
        let (id, kind) = (vector["id"].as_str().unwrap(), vector["data_kind"].as_str().unwrap());
        let _ = laptop.sim("user", json!({ "user": id, "session_key": vector["session_key"] }));
        let named = vector["session_openid"].as_str().unwrap_or(id);
        if vector["session_openid"].is_string() {
            // The same openid again and again: each time the user before gives it back.
            let _ = laptop.sim("user", json!({ "user": id, "openid": named }));
        }
        let user = laptop.login(id).await;
        let body = json!({ "encryptedData": vector["encrypted_data"], "iv": vector["iv"] });
        for route in ROUTES {
            let answer = laptop.post_as(&user.access, route, &body).await;

            let takes = match kind {
                "phone" => "/v1/phone",
                "userinfo" => "/v1/userinfo",
                _ => "/v1/opendata",
            };
            let told = (answer.status.as_u16(), answer.json()["code"].as_str().unwrap_or_default().to_owned());
            let expected = match (vector["expect"]["stage"].as_str(), id) {
                (None, _) if takes == route => (200, ""),
                (None, _) => (400, "wrong_data_kind"),
                (Some("binding"), _) if route == "/v1/phone" => (400, "wrong_data_kind"),
                (Some("binding"), _) | (_, "werun-wrong-appid") => (403, "data_rejected"),
                (Some(_), _) => (409, "session_key_expired"),
            };
            assert_eq!(told, (expected.0, expected.1.to_owned()), "{id} {route}");
        }
        if vector["session_openid"].is_string() {
            let _ = laptop.sim("user", json!({ "user": id, "openid": "" }));
        }
    }
}

#[tokio::test]
async fn other_data_is_given_as_it_is_and_never_with_its_watermark() {
    let laptop = Start::default().rsa().go().await;
    let alice = laptop.login("alice").await;
    for data in [
        steps(),
        json!({}),
        json!({ "opengid": "", "open_single_roomid": "s", "group_openid": "oGroup", "chat_type": 1 }),
        json!({ "openGId": "tGroup", "openId": alice.openid }),
        json!({ "openGId": "tGroup", "openId": null }),
        json!({ "new": { "a": [[[[[{ "b": "👀" }]]]]] }, "half": 0.5, "nothing": null }),
    ] {
        let answer = opendata(&laptop, &alice, &sealed(&laptop, &data)).await;
        assert_eq!(answer.ok(), data);
        assert_eq!(answer.header("cache-control").unwrap(), "no-store");
    }
}

/// What another route verifies is not to be had here, and another user's or app's data nowhere.
#[tokio::test]
async fn no_number_and_no_profile_and_nothing_of_anybody_else_is_given() {
    let laptop = Laptop::start().await;
    let (alice, bob) = (laptop.login("alice").await, laptop.login("bob").await);

    for data in [
        json!({ "phoneNumber": "13800138000", "purePhoneNumber": "13900139000", "countryCode": "86" }),
        json!({ "phoneNumber": "13800138000" }),
        json!({ "purePhoneNumber": "13800138000", "stepInfoList": [] }),
        json!({ "nickName": "x", "unionId": "uForged" }),
        json!({ "unionId": "uForged", "stepInfoList": [] }),
        json!({ "avatarUrl": null }),
    ] {
        opendata(&laptop, &alice, &sealed(&laptop, &data)).await.is_problem(400, "wrong_data_kind", "fix");
    }
    for named in [json!(bob.openid), json!(1), json!({})] {
        let data = json!({ "openId": named, "stepInfoList": [] });
        opendata(&laptop, &alice, &sealed(&laptop, &data)).await.is_problem(403, "data_rejected", "stop");
    }
    let foreign = json!({ "stepInfoList": [], "watermark": { "timestamp": 1, "appid": "wxffffffffffffffff" } });
    opendata(&laptop, &alice, &encrypted(&laptop, &foreign.to_string())).await.is_problem(403, "data_rejected", "stop");
    for unmarked in
        ["{\"stepInfoList\":[]}", "{\"watermark\":null}", "{\"watermark\":{\"timestamp\":1}}", "[]", "", "{"]
    {
        let answer = opendata(&laptop, &alice, &encrypted(&laptop, unmarked)).await;
        answer.is_problem(409, "session_key_expired", "relogin_then_retap");
    }
    assert!(laptop.items().await.values().all(|item| !item.contains_key("unionid")));
}

#[tokio::test]
async fn a_request_in_another_form_is_malformed_and_no_attempt() {
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let good = sealed(&laptop, &steps());
    for name in ["encryptedData", "iv"] {
        for odd in [json!(null), json!(""), json!("AAAA"), json!("!"), json!(1)] {
            let mut body = good.clone();
            body[name] = odd;
            opendata(&laptop, &alice, &body).await.is_problem(400, "invalid_request", "fix");
        }
    }
    for _ in 0..30 {
        opendata(&laptop, &alice, &good).await.ok();
    }
    opendata(&laptop, &alice, &good).await.is_problem(429, "rate_limited", "retry");
    assert!(send(laptop.request("/v1/opendata").json(&good)).await.status == 401);
    assert_eq!(send(laptop.method(Method::GET, "/v1/opendata")).await.status, 404);
}

#[tokio::test]
async fn thirty_attempts_an_hour_are_shared_by_the_three_routes_under_parallel_attempts_too() {
    let laptop = Laptop::start().await;
    let (alice, bob) = (laptop.login("alice").await, laptop.login("bob").await);
    let data = sealed(&laptop, &steps());

    // Two of three are of another kind, which counts too.
    let attempts = (0..60).map(|attempt| laptop.post_as(&alice.access, ROUTES[attempt % 3], &data));
    let answers = futures_util::future::join_all(attempts).await;

    assert_eq!(answers.iter().filter(|answer| answer.status == 429).count(), 30);
    for route in ROUTES {
        laptop.post_as(&alice.access, route, &data).await.is_problem(429, "rate_limited", "retry");
    }
    let of_bob = laptop.sim("opendata", json!({ "user": "bob", "data": steps() }));
    opendata(&laptop, &bob, &of_bob).await.ok();
}

/// A profile's end behind sixteen bytes of the user's choice: the name would be the number.
#[tokio::test]
async fn a_number_made_of_a_name_is_refused_by_every_route() {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    let text = |filler: usize| {
        json!({ "aaa": "x".repeat(filler), "nickName": "13900139000", "watermark": { "timestamp": 1, "appid": APPID }, "zoo": "" })
            .to_string()
    };
    // The name begins a block.
    let text = (0..16).map(text).find(|text| text.find("13900139000").unwrap() % 16 == 0).unwrap();
    let at = text.find("13900139000").unwrap();
    let own = encrypted(&laptop, &text);
    let blocks = STANDARD.decode(own["encryptedData"].as_str().unwrap()).unwrap();
    let iv: Vec<u8> = (at - 16..at)
        .zip(b"{\"phoneNumber\":\"")
        .map(|(byte, wanted)| blocks[byte - 16] ^ text.as_bytes()[byte] ^ wanted)
        .collect();
    let spliced = json!({ "encryptedData": STANDARD.encode(&blocks[at - 16..]), "iv": STANDARD.encode(iv) });

    let answers = [
        laptop.post_as(&alice.access, "/v1/phone", &spliced).await,
        laptop.post_as(&alice.access, "/v1/userinfo", &spliced).await,
        opendata(&laptop, &alice, &spliced).await,
    ];

    answers[0].is_problem(409, "session_key_expired", "relogin_then_retap");
    answers[1].is_problem(400, "wrong_data_kind", "fix");
    answers[2].is_problem(400, "wrong_data_kind", "fix");
}

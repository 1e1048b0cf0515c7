//! `shared/contract` says what the functions do: the document is made from their types, and the examples are played.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use http::Method;
use serde_json::{Map, Value, json};
use shared::problem::Code;
use tests::{
    BEGIN, Laptop,
    contract::{self, Example, Known, filled},
    send,
};

use crate::events;

#[test]
fn the_openapi_document_is_current() {
    let path = contract::folder().join("openapi.json");
    let current = contract::openapi();

    if fs::read_to_string(&path).unwrap_or_default() != current {
        fs::write(&path, current).unwrap();
        panic!("shared/contract/openapi.json did not say what the functions do. It has been written anew: look at it");
    }
}

#[test]
fn every_route_is_described_and_has_an_example_where_it_does_its_work() {
    // It panics where there is no such example.
    let done = contract::done();

    let described: BTreeSet<_> =
        done.iter().map(|(operation, _)| format!("{} {}", operation.route.method, operation.route.path)).collect();
    let routed = local::template::routes().unwrap();
    assert_eq!(described, routed.iter().map(|route| format!("{} {}", route.method, route.path)).collect());
}

#[tokio::test]
async fn an_access_token_is_needed_exactly_where_the_contract_says_so() {
    let laptop = Laptop::start().await;
    for (operation, examples) in contract::done() {
        for example in examples {
            let tokens = laptop.login("alice").await;
            let mut request = example.request_of(&laptop, "alice", Some(&tokens));
            let headers = request.get_mut("headers").and_then(Value::as_object_mut);
            let had_token = headers.is_some_and(|headers| headers.remove("authorization").is_some());

            let answer = contract::exchange(&laptop, &request).await;

            assert_eq!(answer.status == 401, had_token, "{}: {answer:?}", example.name());
            // A body may stand in its place.
            assert!(had_token == operation.is_bearer() || request.get("body").is_some(), "{}", example.name());
        }
    }
}

#[test]
fn every_code_has_an_example_and_every_example_is_of_a_refusal_that_is_described() {
    let (operations, examples) = (local::mounts::operations(), contract::examples());

    for code in Code::ALL {
        assert!(examples.iter().any(|example| example.code() == Some(code.as_str())), "{code:?}");
    }
    for example in examples {
        let Example { route, case, response, .. } = &example;
        match (operations.iter().find(|operation| operation.name == *route), example.code()) {
            (None, _) => assert!(["gateway", "no-route"].contains(&route.as_str()), "{route}"),
            (Some(_), None) => assert!(example.is_done(), "{route}/{case}"),
            (Some(operation), Some(code)) => {
                assert!(operation.may_refuse(code, &response["body"]["action"]), "{route}/{case}");
            }
        }
    }
}

#[tokio::test]
async fn every_example_is_what_happens() {
    for example in contract::examples() {
        let laptop = Laptop::start().await;
        let mut known = given(&laptop, &example).await;
        trouble(&laptop, &example, &known).await;
        let request = filled(&example.request, &known);

        let mut answer = match example.route.as_str() {
            "no-route" => invoke(&laptop, &request).await,
            _ => exchange(&laptop, &request).await,
        };
        // Beside a flood chance lets one login in three through.
        while example.name() == "login/rate_limited" && answer["status"] == 200 {
            known.insert("code".to_owned(), laptop.code("alice"));
            answer = exchange(&laptop, &filled(&example.request, &known)).await;
        }

        let answer = like(&example.response, answer, &mut known);
        assert_eq!(answer, example.response, "{}/{}", example.route, example.case);
    }
}

/// What `.ci/run` installs of Python for the contract: two folders above this test.
fn installed() -> PathBuf {
    std::env::current_exe().unwrap().ancestors().nth(3).unwrap().join("python/contract")
}

#[test]
#[ignore = "needs Python and what tests/contract/requirements.txt names; .ci/run installs them"]
fn every_example_has_the_form_that_is_described() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("contract/examples.py");
    let mut python = Command::new(installed().join("bin/python"));
    let mut python =
        python.arg(script).arg(contract::folder().join("openapi.json")).stdin(Stdio::piped()).spawn().unwrap();
    let examples: Vec<_> =
        contract::examples().iter().map(|it| json!([it.route, it.case, it.request, it.response])).collect();
    serde_json::to_writer(python.stdin.take().unwrap(), &examples).unwrap();
    assert!(python.wait().unwrap().success());
}

/// Codes, tokens and limits last for seconds here: a case finds them as a client does, and the next one finds room.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Python and what tests/contract/requirements.txt names; .ci/run installs them"]
async fn a_stranger_finds_no_answer_that_is_not_described() {
    let laptop = Laptop::start().await;
    let clock = laptop.clock.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(10)).await;
            clock.advance(1);
        }
    });
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("contract");

    let mut stranger = Command::new(installed().join("bin/schemathesis"));
    stranger.arg("--config-file").arg(ours.join("schemathesis.toml"));
    stranger.arg("run").arg(contract::folder().join("openapi.json")).args(["--url", &laptop.world.url]);
    stranger.envs([("WXAUTH_URL", &laptop.world.url), ("WXAUTH_WECHAT_URL", &laptop.world.wechat_url)]);
    stranger.env("SCHEMATHESIS_HOOKS", "hooks").env("PYTHONPATH", ours).current_dir(installed());
    let status = tokio::task::spawn_blocking(move || stranger.status().unwrap()).await.unwrap();

    assert!(status.success());
}

/// What the placeholders stand for: of Alice's login, and of what the case is about.
async fn given(laptop: &Laptop, example: &Example) -> Known {
    let is_logged_in = ["access_token", "refresh_token", "device"].into_iter().any(|name| example.has(name));
    let tokens = if is_logged_in { Some(laptop.login("alice").await) } else { None };
    let user = if example.case == "session_key_expired" { "bob" } else { "alice" };
    let mut known = example.known(laptop, user, tokens.as_ref());
    let data = match (example.case.as_str(), example.button()) {
        ("data_rejected", _) => {
            let foreign = json!({ "watermark": { "timestamp": BEGIN, "appid": "wxffffffffffffffff" } });
            Some(laptop.sim("encrypt", json!({ "user": "alice", "plaintext": foreign.to_string() })))
        }
        ("wrong_data_kind", "opendata") => Some(laptop.sim("userinfo", json!({ "user": "alice" }))),
        ("wrong_data_kind", _) => Some(laptop.sim("opendata", json!({ "user": "alice", "data": contract::steps() }))),
        _ => None,
    };
    if let Some(data) = data {
        for name in ["encryptedData", "iv"] {
            known.insert(name.to_owned(), data[name].as_str().unwrap().to_owned());
        }
    }
    known
}

/// Brings about what the example is named after.
async fn trouble(laptop: &Laptop, example: &Example, known: &Known) {
    let api = if example.route == "login" { "jscode2session" } else { "getuserphonenumber" };
    let wechat = |fault: Value| laptop.script(api, &fault, None);
    let errcode = |errcode: i32| wechat(json!({ "kind": "errcode", "errcode": errcode }));
    match example.case.as_str() {
        "code_used" => drop(laptop.login_with(&json!({ "code": known["code"] })).await),
        "user_blocked" => errcode(40226),
        "misconfigured" => errcode(40125),
        "wechat_busy" => errcode(45011),
        "wechat_error" => wechat(json!({ "kind": "html" })),
        "wechat_timeout" => wechat(json!({ "kind": "reset" })),
        "rate_limited" => {
            let many = if known.contains_key("access_token") { 30 } else { 150 };
            for number in 0..many {
                drop(match known.get("access_token") {
                    Some(access) => laptop.post_as(access, "/v1/phone", &filled(&example.request["body"], known)).await,
                    None => laptop.post("/v1/login", &json!({ "code": format!("made-up-{number}") })).await,
                });
            }
        }
        "rotated" => laptop.clock.advance(600),
        "token_expired" => laptop.clock.advance(930),
        "token_reused" => {
            let mut token = known["refresh_token"].clone();
            for _ in 0..2 {
                laptop.clock.advance(600);
                token = laptop.refresh(&token).await.text_of("refresh_token");
            }
        }
        "token_invalid" if known.contains_key("access_token") => {
            let session = laptop.method(Method::DELETE, "/v1/session").bearer_auth(&known["access_token"]);
            assert_eq!(send(session).await.status, 204);
        }
        "stale" => drop(laptop.code("alice")),
        "unknown" => laptop.script("checksession", &json!({ "kind": "html" }), None),
        "two_devices" => {
            laptop.clock.advance(60);
            laptop.login("alice").await;
        }
        "retry_login" | "unavailable" => {
            let (client, table) = laptop.dynamodb();
            client.delete_table().table_name(table).send().await.unwrap();
        }
        "internal" => spoil(laptop).await,
        _ => {}
    }
}

/// Takes a member away that every session item has.
async fn spoil(laptop: &Laptop) {
    let (client, table) = laptop.dynamodb();
    for mut item in laptop.items().await.into_values() {
        if item.remove("device").is_some() {
            client.put_item().table_name(&table).set_item(Some(item)).send().await.unwrap();
        }
    }
}

/// Sends a request and gives the answer in the form of an example.
async fn exchange(laptop: &Laptop, request: &Value) -> Value {
    let answer = contract::exchange(laptop, request).await;
    let headers = answer.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().into()));
    shown(answer.status.as_u16(), headers.collect(), &answer.text)
}

/// Hands a request to a function that has no such route: no gateway does.
async fn invoke(laptop: &Laptop, request: &Value) -> Value {
    let answer = events::call(laptop, "/v1/login", contract::event(request)).await;
    let status = answer["statusCode"].as_u64().unwrap().try_into().unwrap();
    shown(status, answer["headers"].as_object().unwrap().clone(), answer["body"].as_str().unwrap())
}

/// An answer without what belongs to the connection.
fn shown(status: u16, mut headers: Map<String, Value>, body: &str) -> Value {
    headers.retain(|name, _| !["connection", "content-length", "date"].contains(&name.as_str()));
    let is_json = headers.get("content-type").is_some_and(|value| value.as_str().unwrap().ends_with("json"));
    let mut shown = json!({ "status": status, "headers": headers });
    if is_json {
        shown["body"] = serde_json::from_str(body).unwrap();
    } else if !body.is_empty() {
        shown["body"] = body.into();
    }
    shown
}

/// The answer with the placeholders of what was expected, where it fits: one name stands for one text throughout.
fn like(expected: &Value, answer: Value, known: &mut Known) -> Value {
    match (expected, answer) {
        (Value::String(expected), Value::String(text)) => {
            let unknown = expected.strip_prefix('{').and_then(|name| name.strip_suffix('}'));
            if let Some(name) = unknown.filter(|_| !text.is_empty()) {
                known.entry(name.to_owned()).or_insert_with(|| text.clone());
            }
            let fits = filled(&json!(expected), known) == text;
            if fits { expected.clone() } else { text }.into()
        }
        (Value::Object(expected), Value::Object(members)) => members
            .into_iter()
            .map(|(name, member)| {
                let member = like(expected.get(&name).unwrap_or(&Value::Null), member, known);
                (name, member)
            })
            .collect(),
        (Value::Array(expected), Value::Array(items)) => {
            let expected = expected.iter().chain(std::iter::repeat(&Value::Null));
            expected.zip(items).map(|(expected, item)| like(expected, item, known)).collect()
        }
        (_, answer) => answer,
    }
}

//! API Gateway events of payload 2.0, handed to the routers as Lambda hands them.

use axum::Router;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use local::mounts::{self, EntryPoint};
use serde_json::{Value, json};
use shared::http::stack;
use tests::{Laptop, event};

/// The answer of the function that serves `path`.
pub(crate) async fn call(laptop: &Laptop, path: &str, event: Value) -> Value {
    shared::lambda::call(&router(laptop, path).await, event, "lambda-1").await.unwrap()
}

async fn router(laptop: &Laptop, path: &str) -> Router {
    let mounts = mounts::all(&laptop.world.env).await.unwrap();
    let serving = mounts.into_iter().find_map(|mount| match mount.entry_point {
        EntryPoint::Routes(served, router) if served.iter().any(|route| route.path == path) => Some(router),
        _ => None,
    });
    serving.unwrap()
}

fn body(answer: &Value) -> Value {
    serde_json::from_str(answer["body"].as_str().unwrap()).unwrap()
}

fn login(laptop: &Laptop) -> String {
    json!({ "code": laptop.code("alice") }).to_string()
}

#[tokio::test]
async fn a_body_in_base64_is_the_same_body() {
    let laptop = Laptop::start().await;
    let mut event = event("POST", "/v1/login", &STANDARD.encode(login(&laptop)));
    event["isBase64Encoded"] = true.into();

    let answer = call(&laptop, "/v1/login", event).await;

    assert_eq!(answer["statusCode"], 200, "{answer}");
    assert_eq!(answer["isBase64Encoded"], false);
    assert!(body(&answer)["access_token"].is_string());
}

#[tokio::test]
async fn an_answer_carries_lambdas_request_id_and_not_the_clients() {
    let laptop = Laptop::start().await;
    let mut event = event("POST", "/v1/login", "{}");
    event["headers"]["x-request-id"] = "MARKER".into();

    let answer = call(&laptop, "/v1/login", event).await;

    assert_eq!(answer["headers"]["x-request-id"], "lambda-1");
    assert_eq!(body(&answer)["request_id"], "lambda-1");
    assert!(!laptop.log().join("").contains("MARKER"));
}

#[tokio::test]
async fn odd_headers_are_no_obstacle() {
    let laptop = Laptop::start().await;
    let mut event = event("POST", "/v1/login", &login(&laptop));
    event["headers"] = json!({
        "Content-Type": "Application/JSON; charset=utf-8",
        "x-forwarded-for": "192.0.2.1,198.51.100.1",
        "x-forwarded-proto": "not a scheme",
        "host": "not a host:99999",
        "x-empty": "",
        "accept": "a,b,c",
        "x-unicode": "é",
    });
    event["cookies"] = json!(["a=1", "b=2"]);
    event["rawQueryString"] = "a=1&a=2&b=%20".into();
    event["queryStringParameters"] = json!({ "a": "1,2", "b": " " });

    let answer = call(&laptop, "/v1/login", event).await;

    assert_eq!(answer["statusCode"], 200, "{answer}");
}

#[tokio::test]
async fn a_key_or_type_given_twice_is_refused_as_the_gateway_joins_them() {
    let laptop = Laptop::start().await;
    let mut twice_typed = event("POST", "/v1/login", "{}");
    twice_typed["headers"]["content-type"] = "application/json,text/plain".into();
    let mut twice_keyed = event("POST", "/v1/login", &login(&laptop));
    twice_keyed["headers"]["idempotency-key"] = "0123456789abcdef, 0123456789abcdef".into();

    assert_eq!(call(&laptop, "/v1/login", twice_typed).await["statusCode"], 415);
    assert_eq!(call(&laptop, "/v1/login", twice_keyed).await["statusCode"], 400);
}

#[tokio::test]
async fn what_no_gateway_would_send_is_answered_and_never_a_panic() {
    let laptop = Laptop::start().await;
    let change = |member: &str, value: Value| {
        let mut event = event("POST", "/v1/login", "{}");
        event[member] = value;
        event
    };
    let mut bad_base64 = change("body", "!".into());
    bad_base64["isBase64Encoded"] = true.into();
    let mut bad_domain = event("POST", "/v1/login", "{}");
    bad_domain["requestContext"]["domainName"] = "a b:99999/".into();

    for (event, status) in [
        (bad_base64, 400),
        (bad_domain, 404),
        (change("body", Value::Null), 400),
        (change("rawPath", "".into()), 404),
        (change("rawPath", ":99999".into()), 404),
        (change("rawPath", "/v1/login/../\u{0}".into()), 404),
        (change("rawQueryString", "a b\u{7f}é".into()), 404),
        (change("rawPath", "/v1/refresh".into()), 404),
    ] {
        let answer = call(&laptop, "/v1/login", event.clone()).await;
        assert_eq!(answer["statusCode"], status, "{event}");
        assert_eq!(answer["headers"]["content-type"], "application/problem+json");
    }
}

#[tokio::test]
async fn another_method_or_path_that_reaches_a_function_is_a_problem() {
    let laptop = Laptop::start().await;
    for (method, path, status, code) in [
        ("GET", "/v1/login", 405, "method_not_allowed"),
        ("POST", "/v2/login", 404, "not_found"),
        ("DELETE", "/", 404, "not_found"),
    ] {
        let answer = call(&laptop, "/v1/login", event(method, path, "")).await;
        assert_eq!((&answer["statusCode"], &body(&answer)["code"]), (&json!(status), &json!(code)));
        assert_eq!(body(&answer)["action"], "fix");
    }
}

#[tokio::test]
async fn the_issuer_is_the_domain_that_the_client_called() {
    let laptop = Laptop::start().await;
    let mut deps = login::Deps::from_env(laptop.world.env.clone()).await.unwrap();
    deps.access_tokens.issuer = None;

    let event = event("POST", "/v1/login", &login(&laptop));
    let answer =
        shared::lambda::call(&stack(login::router(deps), laptop.world.env.log()), event, "lambda-1").await.unwrap();

    let token = body(&answer)["access_token"].as_str().unwrap().to_owned();
    assert_eq!(tests::jwt_claims(&token)["iss"], "https://api.example.com");
}

#[tokio::test]
async fn an_event_of_another_kind_is_refused() {
    let laptop = Laptop::start().await;
    let router = router(&laptop, "/v1/login").await;
    for other in [json!({}), json!([]), json!({ "Records": [] }), Value::Null] {
        assert!(shared::lambda::call(&router, other, "lambda-1").await.is_err());
    }
}

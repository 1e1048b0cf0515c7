//! The smoke test of a deployment: `WXAUTH_URL=https://… cargo test -p tests --test deployed -- --ignored`.
//!
//! It sends only what is refused, so nothing is created. `WXAUTH_APPID` chooses a mini program where several are
//! configured.

#![expect(clippy::expect_used, reason = "a test ends where its expectation does")]

use http::{Method, StatusCode};
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use shared::contract::Operation;
use tests::{Response, public_client, send};

#[expect(clippy::disallowed_methods, reason = "what is tested here is no part of this process")]
fn given(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn url() -> String {
    let url = given("WXAUTH_URL").expect("WXAUTH_URL should be the address of a deployment");
    url.trim_end_matches('/').to_owned()
}

async fn get(address: &str) -> Response {
    send(public_client().get(address)).await
}

fn post(path: &str) -> RequestBuilder {
    public_client().request(Method::POST, format!("{}{path}", url()))
}

/// The body of a login with this code.
fn login(code: &str) -> Value {
    let mut body = json!({ "code": code });
    if let Some(appid) = given("WXAUTH_APPID") {
        body["appid"] = appid.into();
    }
    body
}

#[tokio::test]
#[ignore = "needs WXAUTH_URL"]
async fn discovery_and_keys_agree_here_and_at_the_issuer() {
    let discovery = get(&format!("{}/.well-known/openid-configuration", url())).await;
    let (issuer, jwks_uri) = (discovery.text_of("issuer"), discovery.text_of("jwks_uri"));
    let keys = get(&jwks_uri).await;

    assert!(issuer.starts_with("https://") || issuer.starts_with("http://127.0.0.1:"), "{issuer}");
    assert_eq!(jwks_uri, format!("{issuer}/.well-known/jwks.json"));
    let elsewhere = get(&format!("{issuer}/.well-known/openid-configuration")).await;
    assert_eq!(discovery.ok(), elsewhere.ok());
    assert_eq!(keys.ok(), get(&format!("{}/.well-known/jwks.json", url())).await.ok());
    for answer in [&discovery, &keys] {
        assert_eq!(answer.header("cache-control").unwrap(), "max-age=300");
        assert!(answer.header("x-request-id").is_some());
    }
    let algorithms = discovery.json()["id_token_signing_alg_values_supported"].clone();
    let keys = keys.json()["keys"].as_array().unwrap().clone();
    assert!(keys.len() >= 2, "current and next");
    for key in keys {
        assert!(key["kid"].is_string() && key["use"] == "sig", "{key}");
        assert!(algorithms.as_array().unwrap().contains(&key["alg"]), "{key}");
        assert!(key.get("d").is_none(), "a private half is published");
    }
}

#[tokio::test]
#[ignore = "needs WXAUTH_URL"]
async fn an_invented_code_is_invalid_which_shows_that_secrets_wechat_and_table_work() {
    // With a key, what WeChat refuses is looked for in the table before it is refused.
    let request = post("/v1/login").header("idempotency-key", "smoke-test-of-the-table");
    let answer = send(request.json(&login("smoke-test"))).await;

    answer.is_problem(400, "code_invalid", "relogin");
}

#[tokio::test]
#[ignore = "needs WXAUTH_URL"]
async fn what_is_not_a_login_is_refused_before_wechat_is_asked() {
    let json = |body: String| post("/v1/login").header("content-type", "application/json").body(body);

    send(json("{".to_owned())).await.is_problem(400, "invalid_request", "fix");
    send(json("{}".to_owned())).await.is_problem(400, "invalid_request", "fix");
    let large = login(&"x".repeat(17 * 1024)).to_string();
    send(json(large)).await.is_problem(413, "payload_too_large", "fix");
    let text = post("/v1/login").header("content-type", "text/plain").body(login("smoke-test").to_string());
    send(text).await.is_problem(415, "unsupported_media_type", "fix");
}

#[tokio::test]
#[ignore = "needs WXAUTH_URL"]
async fn an_invented_refresh_token_needs_a_login() {
    let token = format!("wxr1_{}", "A".repeat(120));
    let answer = send(post("/v1/refresh").json(&json!({ "refresh_token": token }))).await;

    answer.is_problem(400, "login_required", "relogin");
}

#[tokio::test]
#[ignore = "needs WXAUTH_URL"]
async fn what_is_a_users_needs_an_access_token() {
    let mut operations = local::mounts::operations();
    operations.retain(Operation::is_bearer);
    assert!(operations.len() >= 7);
    for Operation { route, .. } in operations {
        let method: Method = route.method.parse().unwrap();
        let request = public_client().request(method.clone(), format!("{}{}", url(), route.path));
        // A logout may have a refresh token in its body instead of an access token: an empty object would be that, and wrong.
        let answer = send(if method == Method::POST { request.json(&json!({})) } else { request }).await;

        answer.is_problem(401, "token_invalid", "refresh");
        assert_eq!(answer.header("www-authenticate").unwrap(), r#"Bearer error="invalid_token""#, "{}", route.path);
    }
}

#[tokio::test]
#[ignore = "needs WXAUTH_URL"]
async fn a_push_that_is_not_wechats_is_refused() {
    let query = "signature=0&timestamp=1700000000&nonce=1&echostr=smoke-test";
    let answer = get(&format!("{}/v1/push?{query}", url())).await;

    answer.is_problem(400, "invalid_request", "fix");
}

/// A gateway may rename headers on the way (`x-amzn-remapped-…`), or drop them.
#[tokio::test]
#[ignore = "needs WXAUTH_URL"]
async fn headers_come_as_they_were_sent() {
    let refused = send(public_client().get(format!("{}/v1/session", url())).bearer_auth("invented")).await;
    let published = get(&format!("{}/.well-known/jwks.json", url())).await;

    assert_eq!(refused.header("cache-control").unwrap(), "no-store");
    assert_eq!(refused.header("content-type").unwrap(), "application/problem+json");
    for answer in [&refused, &published] {
        assert_eq!(answer.header("x-content-type-options").unwrap(), "nosniff");
        assert!(answer.header("strict-transport-security").unwrap().starts_with("max-age="));
        assert!(answer.headers.keys().all(|name| !name.as_str().contains("remapped")), "{:?}", answer.headers);
    }
}

/// A gateway hands bodies of other types than text on in base64; WeChat names what type it likes.
#[tokio::test]
#[ignore = "needs WXAUTH_URL"]
async fn a_body_reaches_its_function_whatever_its_type_is_called() {
    for content_type in ["text/xml", "application/octet-stream", "application/x-www-form-urlencoded"] {
        let push = post("/v1/push?signature=0&timestamp=1700000000&nonce=1");
        let answer = send(push.header("content-type", content_type).body("<xml><MsgType>event</MsgType></xml>")).await;

        answer.is_problem(400, "invalid_request", "fix");
    }
    let refused = post("/v1/login").header("content-type", "application/octet-stream").body(vec![0xff, 0x00]);
    send(refused).await.is_problem(415, "unsupported_media_type", "fix");
}

#[tokio::test]
#[ignore = "needs WXAUTH_URL"]
async fn an_unknown_path_reaches_no_function() {
    let answer = get(&format!("{}/v1/nothing", url())).await;

    assert_eq!((answer.status, answer.json()), (StatusCode::NOT_FOUND, json!({ "message": "Not Found" })));
}

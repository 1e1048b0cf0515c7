//! `GET` and `DELETE /v1/session`, `GET` and `DELETE /v1/sessions`, `DELETE /v1/user`.

mod check;
mod delete_user;
mod list;
mod log_out;
mod read;

use std::sync::{Arc, Mutex};

use authorizer::Deps;
use aws_sdk_dynamodb::types::AttributeValue;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use shared::http::record::Log;
use tests::{APPID, BEGIN, Item, Items, KEY, Laptop, Response, Start, Tokens, authorizer_event, event, send};

const IDLE: u64 = 604_800;
const ABSOLUTE: u64 = 2_592_000;

/// A login on the device of another one.
async fn login_again(laptop: &Laptop, user: &str, device: &Tokens) -> Tokens {
    laptop.login_with(&json!({ "code": laptop.code(user), "device": device.device })).await
}

/// A login that can be repeated: it leaves an idempotency record.
async fn login_with_record(laptop: &Laptop, body: Value) -> Tokens {
    Tokens::of(&laptop.login_with_key(KEY, &body).await)
}

/// The next tokens of a session.
async fn refreshed(laptop: &Laptop, user: &Tokens) -> Tokens {
    let answer = laptop.refresh(&user.refresh).await;
    let (access, refresh) = (answer.text_of("access_token"), answer.text_of("refresh_token"));
    Tokens { access, refresh, ..user.clone() }
}

/// What the phone button gives.
fn tapped(laptop: &Laptop, user: &str) -> (Value, Value) {
    let event = laptop.sim("phone", json!({ "user": user }));
    (json!({ "encryptedData": event["encryptedData"], "iv": event["iv"] }), json!({ "code": event["code"] }))
}

fn is_empty_204(answer: &Response) {
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (204, ""));
    assert_eq!(answer.header("cache-control").unwrap(), "no-store");
    assert_eq!(answer.header("content-type"), None);
    assert!(answer.header("x-request-id").is_some());
}

/// The partition of a user.
fn partition(user: &Tokens) -> String {
    format!("{APPID}#{}", user.openid)
}

fn of_user(items: &Items, user: &Tokens) -> Items {
    items.iter().filter(|((pk, _), _)| *pk == partition(user)).map(|(key, item)| (key.clone(), item.clone())).collect()
}

fn records(items: &Items) -> usize {
    items.keys().filter(|(pk, _)| pk.starts_with("code#")).count()
}

/// Whether each route of ours that takes an access token, and the authorizer, takes this one.
async fn accepted(laptop: &Laptop, user: &str, tokens: &Tokens) -> Vec<bool> {
    let (data, code) = tapped(laptop, user);
    let info = laptop.sim("userinfo", json!({ "user": user }));
    let mut taken = Vec::new();
    for (path, body) in [("/v1/phone", &data), ("/v1/phone", &code), ("/v1/userinfo", &info)] {
        taken.push(laptop.post_as(&tokens.access, path, body).await);
    }
    for path in ["/v1/session", "/v1/session?wechat=check", "/v1/sessions"] {
        taken.push(laptop.get(&tokens.access, path).await);
    }
    let mut taken: Vec<_> = taken
        .into_iter()
        .map(|answer| {
            if answer.status != StatusCode::OK {
                answer.is_problem(401, "token_invalid", "refresh");
            }
            answer.status == StatusCode::OK
        })
        .collect();
    let deps = Deps::from_env(laptop.world.env.clone()).await.unwrap();
    let event = authorizer_event(&format!("Bearer {}", tokens.access));
    let decision = authorizer::handle(deps, serde_json::from_value(event).unwrap()).await.unwrap();
    taken.push(serde_json::to_value(decision).unwrap()["isAuthorized"] == true);
    taken
}

async fn is_logged_out(laptop: &Laptop, user: &str, tokens: &Tokens) {
    assert_eq!(accepted(laptop, user, tokens).await, [false; 7]);
    laptop.refresh(&tokens.refresh).await.is_problem(400, "login_required", "relogin");
}

async fn is_logged_in(laptop: &Laptop, user: &str, tokens: &Tokens) {
    assert_eq!(accepted(laptop, user, tokens).await, [true; 7]);
    laptop.refresh(&tokens.refresh).await.ok();
}

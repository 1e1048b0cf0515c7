//! `GET` and `DELETE /v1/session`, `GET` and `DELETE /v1/sessions`, `DELETE /v1/user`.

mod check;
mod delete_user;
mod list;
mod log_out;
mod read;
mod thief;

use authorizer::Deps;
use serde_json::{Value, json};
use tests::{APPID, Items, KEY, Laptop, Response, Tokens, authorizer_event, contract};

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

fn partition(user: &Tokens) -> String {
    format!("{APPID}#{}", user.openid)
}

fn of_user(items: &Items, user: &Tokens) -> Items {
    items.iter().filter(|((pk, _), _)| *pk == partition(user)).map(|(key, item)| (key.clone(), item.clone())).collect()
}

fn records(items: &Items) -> usize {
    items.keys().filter(|(pk, _)| pk.starts_with("code#")).count()
}

/// Whether the authorizer, and each route that takes an access token, accepts this one, by name.
///
/// Without the routes that end sessions: they would end what is looked at, and a logout can be repeated when there is
/// nothing left to end.
async fn accepted(laptop: &Laptop, user: &str, tokens: &Tokens) -> Vec<(String, bool)> {
    let mut accepted = Vec::new();
    for (operation, examples) in contract::done() {
        if !operation.is_bearer() || operation.route.method == "DELETE" {
            continue;
        }
        for example in examples {
            let request = example.request_of(laptop, user, Some(tokens));
            let answer = contract::exchange(laptop, &request).await;
            if !answer.status.is_success() {
                answer.is_problem(401, "token_invalid", "refresh");
            }
            accepted.push((example.name(), answer.status.is_success()));
        }
    }
    let deps = Deps::from_env(laptop.world.env.clone()).await.unwrap();
    let event = authorizer_event(&format!("Bearer {}", tokens.access));
    let decision = authorizer::handle(deps, serde_json::from_value(event).unwrap()).await.unwrap();
    accepted.push(("authorizer".to_owned(), serde_json::to_value(decision).unwrap()["isAuthorized"] == true));
    assert!(accepted.len() >= 7, "{accepted:?}");
    accepted
}

async fn is_accepted(laptop: &Laptop, user: &str, tokens: &Tokens) {
    let accepted = accepted(laptop, user, tokens).await;
    assert!(accepted.iter().all(|(_, is_accepted)| *is_accepted), "{accepted:?}");
}

async fn is_logged_out(laptop: &Laptop, user: &str, tokens: &Tokens) {
    let accepted = accepted(laptop, user, tokens).await;
    assert!(accepted.iter().all(|(_, is_accepted)| !is_accepted), "{accepted:?}");
    laptop.refresh(&tokens.refresh).await.is_problem(400, "login_required", "relogin");
}

async fn is_logged_in(laptop: &Laptop, user: &str, tokens: &Tokens) {
    is_accepted(laptop, user, tokens).await;
    laptop.refresh(&tokens.refresh).await.ok();
}

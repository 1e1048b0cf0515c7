//! An event of API Gateway in JSON, as Lambda hands it on: a request of payload 2.0, or a question to the authorizer.

use serde_json::{Value, json};

use super::{Outcome, world::World};
use crate::contract;

/// An example of the contract as an event.
pub(super) fn seed(request: &Value) -> Vec<u8> {
    contract::event(request).to_string().into()
}

pub(super) fn take(world: &World, input: &[u8]) -> Outcome {
    world.advance();
    let Ok(event) = serde_json::from_slice::<Value>(&world.render(input)) else { return ("no JSON", "refused") };
    // Lambda calls the one or the other; so does this, by a member that only the authorizer's events have.
    if event.get("type").is_some() { ("authorizer", authorize(world, event)) } else { request(world, &event) }
}

fn request(world: &World, event: &Value) -> Outcome {
    let path = event["rawPath"].as_str().unwrap_or_default();
    let function = world.function(path);
    let Ok(answer) = world.call(function, event.clone()) else { return ("another event", "refused") };

    let status = answer["statusCode"].as_u64().expect("a status");
    assert!(status < 500, "{answer}");
    assert!(answer["headers"]["x-request-id"] == "request-1" && answer["headers"]["cache-control"].is_string());
    let text = answer["body"].as_str().unwrap_or_default();
    world.keeps_secrets(text);
    let name = match status {
        200..300 => "done",
        400 => "400",
        401 => "401",
        404 => "404",
        405 => "405",
        409 => "409",
        413 => "413",
        415 => "415",
        429 => "429",
        _ => "another status",
    };
    if name != "done" {
        let problem: Value = serde_json::from_str(text).expect("JSON");
        assert_eq!((problem["status"].as_u64(), problem["request_id"].as_str()), (Some(status), Some("request-1")));
    }
    let method = event["requestContext"]["http"]["method"].as_str().unwrap_or("GET");
    if name == "done" && function.needs_token(method, path) {
        assert!(carries_a_token(world, event), "a yes to another token: {event}");
    }
    (function.name, name)
}

fn authorize(world: &World, event: Value) -> &'static str {
    let known = carries_a_token(world, &event);
    let Ok(event) = serde_json::from_value(event) else { return "refused" };
    let decision = world.wait(authorizer::handle(world.authorizer.clone(), event));
    let decision = json!(decision.expect("the table works"));
    let effect = &decision["policyDocument"]["Statement"][0]["Effect"];
    let (is_yes, is_policy) = (decision["isAuthorized"] == true || effect == "Allow", effect.is_string());
    assert!(!is_yes || known, "a yes to another token: {decision}");
    assert_eq!(is_yes, !decision["context"].as_object().expect("an object").is_empty());
    match (is_yes, is_policy) {
        (true, false) => "yes",
        (true, true) => "a policy that allows",
        (false, false) => "no",
        (false, true) => "a policy that denies",
    }
}

/// Whether a text in the event ends with one of our access tokens.
fn carries_a_token(world: &World, event: &Value) -> bool {
    match event {
        Value::String(text) => world.users.iter().any(|user| text.ends_with(&user.access)),
        Value::Array(items) => items.iter().any(|item| carries_a_token(world, item)),
        Value::Object(members) => members.values().any(|member| carries_a_token(world, member)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

//! The contract: what the functions say of their routes, and the examples.

use std::{collections::BTreeMap, fs, path::PathBuf};

use serde_json::{Value, json};
use shared::{
    contract::{self, Operation},
    http::Route,
};

use crate::{Laptop, Response, Tokens, send};

#[must_use]
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/contract")
}

/// `openapi.json` as it should be.
#[must_use]
pub fn openapi() -> String {
    format!("{:#}\n", contract::document(&local::mounts::operations()))
}

/// What the placeholders stand for, by name.
pub type Known = BTreeMap<String, String>;

/// A request of `examples/`, and the answer to it. `{name}` stands for what differs each time.
#[derive(Clone)]
pub struct Example {
    /// The file: the name of the route.
    pub route: String,
    /// What is special about it.
    pub case: String,
    /// `method`, `path`, and `headers` and `body` if there are.
    pub request: Value,
    /// `status`, `headers`, and `body` if there is.
    pub response: Value,
}

impl Example {
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.response["body"]["code"].as_str()
    }

    /// Whether nothing is refused in it.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.response["status"].as_u64().expect("a status") < 300
    }

    /// The route and the case.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.route, self.case)
    }

    /// Whether the request has this placeholder.
    #[must_use]
    pub fn has(&self, placeholder: &str) -> bool {
        self.request.to_string().contains(&format!("{{{placeholder}}}"))
    }

    /// What gives the `encryptedData` that the request's route takes.
    #[must_use]
    pub fn button(&self) -> &'static str {
        match self.route.as_str() {
            "phone" => "phone",
            "opendata" => "opendata",
            _ => "userinfo",
        }
    }

    /// What the placeholders of the request stand for when this user sends it: the tokens, and what `wx.login`, a button or
    /// WeChat's push gives.
    #[must_use]
    pub fn known(&self, laptop: &Laptop, user: &str, tokens: Option<&Tokens>) -> Known {
        let mut known = Known::new();
        let mut know = |name: &str, value: &Value| known.insert(name.to_owned(), value.as_str().unwrap().to_owned());
        know("issuer", &json!(laptop.world.url));
        know("filler", &json!("x".repeat(16 * 1024)));
        if let Some(tokens) = tokens {
            know("access_token", &json!(tokens.access));
            know("refresh_token", &json!(tokens.refresh));
            know("device", &json!(tokens.device));
            know("device_id", &json!(tokens.device_id()));
        }
        // A code makes the `session_key` of the user stale.
        if self.has("code") {
            know("code", &json!(laptop.code(user)));
        }
        let (phone, profile) =
            (laptop.sim("phone", json!({ "user": user })), laptop.sim("userinfo", json!({ "user": user })));
        know("phone_code", &phone["code"]);
        know("rawData", &profile["rawData"]);
        know("signature", &profile["signature"]);
        let steps = laptop.sim("opendata", json!({ "user": user, "data": steps() }));
        let data = match self.button() {
            "phone" => &phone,
            "opendata" => &steps,
            _ => &profile,
        };
        know("encryptedData", &data["encryptedData"]);
        know("iv", &data["iv"]);
        if self.has("query") {
            let event = json!({ "event": "user_authorization_cancellation", "user": user });
            let verify = json!({ "event": "verify", "echostr": "5838479218127813673" });
            let push = laptop.sim("push", if self.has("message") { event } else { verify });
            know("query", &push["query"]);
            push.get("body").map(|body| know("message", body));
        }
        known
    }

    /// The request of this user, without placeholders.
    #[must_use]
    pub fn request_of(&self, laptop: &Laptop, user: &str, tokens: Option<&Tokens>) -> Value {
        filled(&self.request, &self.known(laptop, user, tokens))
    }
}

/// What `wx.getWeRunData` encrypts, but for its watermark.
#[must_use]
pub fn steps() -> Value {
    let day = |ago: u64, step: u64| json!({ "timestamp": crate::BEGIN - ago * 86_400, "step": step });
    json!({ "stepInfoList": [day(1, 100), day(0, 8_000)] })
}

/// All examples, sorted by route and case.
#[must_use]
pub fn examples() -> Vec<Example> {
    // What every response of a function has. An example names them only where its own are others.
    let every = json!({ "cache-control": "no-store", "strict-transport-security": "max-age=31536000",
        "x-content-type-options": "nosniff", "x-request-id": "{request_id}" });
    let mut examples = Vec::new();
    for file in fs::read_dir(folder().join("examples")).expect("examples") {
        let path = file.expect("a file").path();
        let cases = serde_json::from_str(&fs::read_to_string(&path).expect("text"));
        let cases: BTreeMap<String, BTreeMap<String, Value>> =
            cases.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let route = path.file_stem().unwrap().to_str().unwrap();
        for (case, mut parts) in cases {
            let mut part = |name| parts.remove(name).unwrap_or_else(|| panic!("{route}/{case} has no {name}"));
            let (request, mut response) = (part("request"), part("response"));
            let every = every.as_object().filter(|_| route != "gateway");
            let mut headers = every.cloned().unwrap_or_default();
            headers.extend(response["headers"].as_object().cloned().unwrap_or_default());
            response["headers"] = headers.into();
            examples.push(Example { route: route.to_owned(), case, request, response });
        }
    }
    examples.sort_by_key(Example::name);
    examples
}

/// Each operation with the examples in which nothing is refused; of examples with the same request, the first.
///
/// # Panics
///
/// Where an operation has none.
#[must_use]
pub fn done() -> Vec<(Operation, Vec<Example>)> {
    let examples = examples();
    let of = |operation: Operation| {
        let mut done: Vec<Example> = Vec::new();
        for example in examples.iter().filter(|example| example.route == operation.name && example.is_done()) {
            if done.iter().all(|earlier| earlier.request != example.request) {
                done.push(example.clone());
            }
        }
        assert!(!done.is_empty(), "{} has no example in which it does its work", operation.name);
        (operation, done)
    };
    local::mounts::operations().into_iter().map(of).collect()
}

/// The function that serves a route.
///
/// # Panics
///
/// Where the template has none.
#[must_use]
pub fn function(route: Route) -> String {
    let mut routes = local::template::routes().expect("the template").into_iter();
    let served = routes.find(|served| (served.method.as_str(), served.path.as_str()) == (route.method, route.path));
    served.unwrap_or_else(|| panic!("{} {} is not in the template", route.method, route.path)).function
}

/// The event in `infra/events` of a function without routes, with this user in it.
#[must_use]
pub fn given_event(function: &str, user: &Tokens) -> Value {
    let path = folder().join(format!("../../infra/events/{function}.json"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let text = text.replace("EXAMPLE.ACCESS.TOKEN", &user.access);
    serde_json::from_str(&text.replace("oEXAMPLE00000000000000000000", &user.openid)).expect("JSON")
}

/// The value with what the placeholders stand for.
#[must_use]
pub fn filled(value: &Value, known: &Known) -> Value {
    match value {
        Value::String(text) => {
            known.iter().fold(text.clone(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value)).into()
        }
        Value::Object(members) => members.iter().map(|(name, member)| (name.clone(), filled(member, known))).collect(),
        Value::Array(items) => items.iter().map(|item| filled(item, known)).collect(),
        other => other.clone(),
    }
}

/// The body of a request as it is sent.
#[must_use]
pub fn body(request: &Value) -> String {
    match request.get("body") {
        Some(Value::String(text)) => text.clone(),
        Some(body) => body.to_string(),
        None => String::new(),
    }
}

pub fn headers(request: &Value) -> impl Iterator<Item = (&str, &str)> {
    let headers = request["headers"].as_object().into_iter().flatten();
    headers.map(|(name, value)| (name.as_str(), value.as_str().expect("text")))
}

/// The request to a laptop.
pub fn request(laptop: &Laptop, request: &Value) -> reqwest::RequestBuilder {
    let text = |member: &str| request[member].as_str().expect("text");
    let sent = laptop.method(text("method").parse().expect("a method"), text("path"));
    let sent = headers(request).fold(sent, |sent, (name, value)| sent.header(name, value));
    if request.get("body").is_some() { sent.body(body(request)) } else { sent }
}

/// Sends the request to a laptop.
pub async fn exchange(laptop: &Laptop, request: &Value) -> Response {
    send(self::request(laptop, request)).await
}

/// The request as an event of API Gateway.
#[must_use]
pub fn event(request: &Value) -> Value {
    let text = |member: &str| request[member].as_str().expect("text");
    let (path, query) = text("path").split_once('?').unwrap_or((text("path"), ""));
    let mut event = crate::event(text("method"), path, &body(request));
    event["rawQueryString"] = query.into();
    if request.get("headers").is_none_or(|headers| headers.get("content-type").is_none()) {
        drop(event["headers"].as_object_mut().expect("headers").remove("content-type"));
    }
    for (name, value) in headers(request) {
        event["headers"][name] = value.into();
    }
    event
}

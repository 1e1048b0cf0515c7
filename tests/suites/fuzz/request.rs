//! A request: a line of method and address, lines of headers, an empty line, and the body.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue, Method, Request, Uri, header, request::Builder};
use serde_json::{Value, value::RawValue};

use super::{
    Outcome,
    world::{Response, World},
};
use crate::contract;

/// An example of the contract as a request.
pub(super) fn seed(request: &Value) -> Vec<u8> {
    let text = |member: &str| request[member].as_str().expect("text");
    let line = format!("{} {}\n", text("method"), text("path"));
    let head = contract::headers(request).fold(line, |head, (name, value)| format!("{head}{name}: {value}\n"));
    format!("{head}\n{}", contract::body(request)).into()
}

pub(super) fn take(world: &World, input: &[u8]) -> Outcome {
    world.advance();
    let input = world.render(input);
    let Some((request, body)) = read(&input) else { return ("no request", "refused") };
    let known = request.headers_ref().is_some_and(|headers| {
        let given = headers.get(header::AUTHORIZATION).map(|value| String::from_utf8_lossy(value.as_bytes()));
        given.is_some_and(|given| world.users.iter().any(|user| given.ends_with(&user.access)))
    });
    let method = request.method_ref().map(Method::as_str).unwrap_or_default().to_owned();
    let path = request.uri_ref().map(Uri::path).unwrap_or_default().to_owned();
    let function = world.function(&path);
    let answer = world.send(request, body.clone());

    let name = world.judge(&answer, &[]);
    if name == "done" {
        assert!(known || !function.needs_token(&method, &path), "a yes to another token");
        if function.name == "refresh" {
            refreshed(world, &body, &answer);
        }
    }
    (function.name, name)
}

/// A refresh token is answered only with its own successor, and only if it was given by us.
fn refreshed(world: &World, body: &[u8], answer: &Response) {
    // The other members may hold what a `Value` cannot.
    let asked: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(body).expect("JSON");
    let asked: String = serde_json::from_str(asked["refresh_token"].get()).expect("a text");
    let mut given = world.given.lock().expect("no panic");
    assert!(given.contains(&asked), "a yes to another token");
    given.push(answer.json()["refresh_token"].as_str().expect("a text").to_owned());
}

/// What the gateway hands on: headers that are none do not reach us.
fn read(input: &[u8]) -> Option<(Builder, Vec<u8>)> {
    let end = input.windows(2).position(|two| two == b"\n\n");
    let (head, body) = end.map_or((input, &[][..]), |at| (&input[..at], &input[at + 2..]));
    let mut lines = head.split(|byte| *byte == b'\n');
    let line = lines.next()?;
    let space = line.iter().position(|byte| *byte == b' ')?;
    let uri = Uri::try_from(&line[space + 1..]).ok()?;
    let mut request = Request::builder().method(Method::from_bytes(&line[..space]).ok()?).uri(uri);
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or_default().trim_ascii();
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(&line[..colon]), HeaderValue::from_bytes(value)) {
            request = request.header(name, value);
        }
    }
    Some((request, body.to_vec()))
}

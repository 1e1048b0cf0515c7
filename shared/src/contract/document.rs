//! The OpenAPI document: what all routes have in common, and what each route says about itself.

use std::collections::{BTreeMap, BTreeSet};

use http::StatusCode;
use schemars::{
    Schema, SchemaGenerator,
    generate::{Contract, SchemaSettings},
    json_schema,
};
use serde_json::{Map, Value, json};

use super::operation::{Gives, Operation, SchemaOf, Takes};
use crate::problem::{Action, Body, Code};

/// What routes refer to, collected on the way: schemas of requests and of responses, and refusals.
struct Components {
    read: SchemaGenerator,
    written: SchemaGenerator,
    refusals: Map<String, Value>,
}

impl Components {
    fn new() -> Self {
        let of = |contract: Contract| {
            let settings = SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = "/components/schemas".into();
                settings.contract = contract;
            });
            settings.into_generator()
        };
        Self { read: of(Contract::Deserialize), written: of(Contract::Serialize), refusals: Map::new() }
    }

    /// A name is of one type: no type of ours is read in one form and written in another.
    fn all(mut self) -> Value {
        let mut schemas = self.read.take_definitions(true);
        schemas.extend(self.written.take_definitions(true));
        json!({
            "schemas": schemas,
            "responses": self.refusals,
            "headers": headers(),
            "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" } },
        })
    }
}

/// The OpenAPI document of these routes.
#[must_use]
pub fn document(operations: &[Operation]) -> Value {
    let mut components = Components::new();
    let mut paths: BTreeMap<_, Map<_, _>> = BTreeMap::new();
    for operation in operations {
        let method = operation.route.method.to_lowercase();
        paths.entry(operation.route.path).or_default().insert(method, operation.described(&mut components));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "wxauth",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": env!("CARGO_PKG_LICENSE"), "identifier": env!("CARGO_PKG_LICENSE") },
            "description": DESCRIPTION,
        },
        "servers": [{ "url": "http://127.0.0.1:9000", "description": "The laptop: `cargo run`" }],
        "paths": paths,
        "components": components.all(),
    })
}

const DESCRIPTION: &str = "Sign-in for WeChat mini programs. Members that are not named here are ignored; a key given \
twice, or nesting deeper than four levels, is `invalid_request`, except inside the `userInfo` and `device` of a login. Answers without a `code` come from API Gateway, not from \
a function: `{\"message\": …}` with 404 for a route or method that is not here, 429 when it throttles, 5xx when a function \
did not answer. Each `code` is explained in `shared/contract/README.md`.\n\n\
微信小程序登录。这里没有列出的字段会被忽略；字段重复或嵌套超过四层返回 `invalid_request`，登录的 `userInfo` 和 `device` 内部除外。没有 `code` 的响应来自 API 网关而不是函数：\
`{\"message\": …}`，路径或方法不存在是 404，限流是 429，函数没有响应是 5xx。每个 `code` 的说明见 `shared/contract/README.md`。";

fn headers() -> Value {
    let header =
        |description: &str, schema: Value| json!({ "description": description, "required": true, "schema": schema });
    let mut headers = json!({
        "request-id": header("Stands in the log line of the request", json!({ "type": "string", "minLength": 1 })),
        "no-store": header("Nothing is kept", json!({ "const": "no-store" })),
        "max-age": header("May be kept for five minutes", json!({ "const": "max-age=300" })),
        "nosniff": header("The type is what `content-type` says", json!({ "const": "nosniff" })),
        "https-only": header("A browser asks by https alone, for a year", json!({ "const": "max-age=31536000" })),
        "www-authenticate": header("RFC 6750 section 3.1", json!({ "const": "Bearer error=\"invalid_token\"" })),
        "retry-after": header("`retry_after` of the problem, where it has one", json!({ "type": "integer", "minimum": 0 })),
    });
    headers["retry-after"]["required"] = false.into();
    headers
}

fn header(name: &str) -> Value {
    json!({ "$ref": format!("#/components/headers/{name}") })
}

/// The headers that every response has.
fn of_every_response(cache: &str) -> Value {
    json!({
        "x-request-id": header("request-id"),
        "cache-control": header(cache),
        "x-content-type-options": header("nosniff"),
        "strict-transport-security": header("https-only"),
    })
}

impl Operation {
    fn described(&self, components: &mut Components) -> Value {
        let mut described = json!({
            "operationId": self.name,
            "summary": self.summary,
            "parameters": self.parameters(components),
            "responses": self.responses(components),
        });
        let is_optional = matches!(self.takes, Takes::JsonOrBearer(_));
        if self.bearer {
            let without = is_optional.then(|| json!({}));
            described["security"] = [json!({ "bearer": [] })].into_iter().chain(without).collect();
        }
        let content: Map<_, _> = match self.takes {
            Takes::Nothing => return described,
            Takes::Json(schema) | Takes::JsonOrBearer(schema) => {
                Map::from_iter([media("application/json", &schema(&mut components.read))])
            }
            Takes::Anything(types) => types.iter().map(|name| media(name, &Schema::default())).collect(),
        };
        described["requestBody"] = json!({ "required": !is_optional, "content": content });
        described
    }

    fn parameters(&self, components: &mut Components) -> Vec<Value> {
        let header = self.header.map(|(name, description, schema)| {
            let schema = schema(&mut components.read);
            json!({ "in": "header", "name": name, "description": description, "schema": schema })
        });
        header.into_iter().chain(self.query.into_iter().flat_map(query)).collect()
    }

    fn responses(&self, components: &mut Components) -> Map<String, Value> {
        let (status, content) = match self.gives {
            Gives::Nothing => ("204", Map::new()),
            Gives::Json(schema) => {
                ("200", Map::from_iter([media("application/json", &schema(&mut components.written))]))
            }
            Gives::Text(others) => {
                let text = media("text/plain", &json_schema!({ "type": "string" }));
                (
                    "200",
                    std::iter::once(text).chain(others.iter().map(|name| media(name, &Schema::default()))).collect(),
                )
            }
        };
        let good = json!({
            "description": "Done",
            "headers": of_every_response(if self.cached { "max-age" } else { "no-store" }),
            "content": content,
        });

        let mut by_status: BTreeMap<u16, Vec<_>> = BTreeMap::new();
        for refusal in &self.refusals {
            by_status.entry(refusal.0.status().as_u16()).or_default().push(*refusal);
        }
        let refused =
            by_status.into_iter().map(|(status, refusals)| (status.to_string(), refused(refusals, components)));
        [(status.to_owned(), good)].into_iter().chain(refused).collect()
    }
}

fn media(media_type: &str, schema: &Schema) -> (String, Value) {
    (media_type.to_owned(), json!({ "schema": schema }))
}

/// The members of a query's form as parameters.
fn query(schema: SchemaOf) -> Vec<Value> {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let form = json!(schema(&mut settings.into_generator()));
    let required = form["required"].as_array().cloned().unwrap_or_default();
    let members = form["properties"].as_object().cloned().unwrap_or_default();
    let parameter = |(name, mut schema): (String, Value)| {
        without_null(&mut schema);
        let is_required = required.contains(&json!(name));
        json!({ "in": "query", "name": name, "required": is_required, "schema": schema })
    };
    members.into_iter().map(parameter).collect()
}

/// A body may give `null` for what is absent; a query cannot.
fn without_null(schema: &mut Value) {
    for keyword in ["type", "anyOf"] {
        if let Some(Value::Array(variants)) = schema.get_mut(keyword) {
            variants.retain(|variant| *variant != json!("null") && *variant != json!({ "type": "null" }));
        }
    }
}

/// The answers of one status: a reference, as many routes refuse alike.
fn refused(mut refusals: Vec<(Code, Action)>, components: &mut Components) -> Value {
    refusals.sort_by_key(|(code, _)| code.as_str());
    let names = refusals.iter().map(|(code, action)| match (code.as_str(), *action) {
        (name, action) if action == code.action() => name.to_owned(),
        (name, action) => format!("{name}-{}", action_text(action)),
    });
    let name = names.collect::<Vec<_>>().join(".");
    if !components.refusals.contains_key(&name) {
        let response = refusal(&refusals, json!(components.written.subschema_for::<Body<'_>>()));
        components.refusals.insert(name.clone(), response);
    }
    json!({ "$ref": format!("#/components/responses/{name}") })
}

fn refusal(refusals: &[(Code, Action)], mut schema: Value) -> Value {
    let status = refusals[0].0.status();
    schema["properties"] = json!({
        "status": { "const": status.as_u16() },
        "code": { "enum": refusals.iter().map(|(code, _)| code.as_str()).collect::<BTreeSet<_>>() },
        "action": { "enum": refusals.iter().map(|(_, action)| action_text(*action)).collect::<BTreeSet<_>>() },
    });
    let mut headers = of_every_response("no-store");
    match status {
        StatusCode::UNAUTHORIZED => headers["www-authenticate"] = header("www-authenticate"),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            headers["retry-after"] = header("retry-after");
        }
        _ => {}
    }
    let line = |(code, action): &(Code, Action)| {
        format!("- `{}`, `{}`: {} · {}", code.as_str(), action_text(*action), code.title(), code.title_zh())
    };
    json!({
        "description": refusals.iter().map(line).collect::<Vec<_>>().join("\n"),
        "headers": headers,
        "content": { "application/problem+json": { "schema": schema } },
    })
}

/// The text of the contract.
fn action_text(action: Action) -> String {
    json!(action).as_str().unwrap_or_default().to_owned()
}

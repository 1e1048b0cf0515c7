//! What one route takes, gives and refuses.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

use crate::{
    http::Route,
    problem::{Action, Code},
};

/// Gives the schema of a type.
pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// What a route takes.
pub(super) enum Takes {
    Nothing,
    Json(SchemaOf),
    /// In place of an access token.
    JsonOrBearer(SchemaOf),
    Anything(&'static [&'static str]),
}

/// What a route gives on success.
pub(super) enum Gives {
    Nothing,
    Json(SchemaOf),
    /// Or what is not ours to describe, of one of these other media types.
    Text(&'static [&'static str]),
}

/// What the contract says about one route.
pub struct Operation {
    /// Its method and path.
    pub route: Route,
    /// Its name: the `operationId`, and the folder of its examples.
    pub name: &'static str,
    pub(super) summary: &'static str,
    pub(super) bearer: bool,
    pub(super) query: Option<SchemaOf>,
    pub(super) header: Option<(&'static str, &'static str, SchemaOf)>,
    pub(super) takes: Takes,
    pub(super) gives: Gives,
    pub(super) cached: bool,
    pub(super) refusals: Vec<(Code, Action)>,
}

impl Operation {
    /// A route that takes nothing, gives nothing, and can fail as all of them can.
    #[must_use]
    pub fn new(route: Route, name: &'static str, summary: &'static str) -> Self {
        let (bearer, query, header, cached) = (false, None, None, false);
        let (takes, gives, refusals) = (Takes::Nothing, Gives::Nothing, Vec::new());
        Self { route, name, summary, bearer, query, header, takes, gives, cached, refusals }.refuses(&[
            Code::Internal,
            Code::Misconfigured,
            Code::Unavailable,
        ])
    }

    /// It wants an access token.
    #[must_use]
    pub fn bearer(mut self) -> Self {
        self.bearer = true;
        self.refuses(&[Code::TokenExpired, Code::TokenInvalid])
    }

    /// It reads a query of this form.
    #[must_use]
    pub fn query<T: JsonSchema>(mut self) -> Self {
        self.query = Some(SchemaGenerator::subschema_for::<T>);
        self.refuses(&[Code::InvalidRequest])
    }

    /// It reads a header, which may be absent.
    #[must_use]
    pub fn header<T: JsonSchema>(mut self, name: &'static str, description: &'static str) -> Self {
        self.header = Some((name, description, SchemaGenerator::subschema_for::<T>));
        self.refuses(&[Code::InvalidRequest])
    }

    /// It takes JSON of this form.
    #[must_use]
    pub fn takes<T: JsonSchema>(mut self) -> Self {
        self.takes = Takes::Json(SchemaGenerator::subschema_for::<T>);
        self.refuses(&[Code::InvalidRequest, Code::PayloadTooLarge, Code::UnsupportedMediaType])
    }

    /// It takes JSON of this form in place of an access token.
    #[must_use]
    pub fn or_takes<T: JsonSchema>(mut self) -> Self {
        self = self.takes::<T>();
        self.takes = Takes::JsonOrBearer(SchemaGenerator::subschema_for::<T>);
        self
    }

    /// It takes a body that is not ours to describe, of one of these media types.
    #[must_use]
    pub fn takes_anything(mut self, media_types: &'static [&'static str]) -> Self {
        self.takes = Takes::Anything(media_types);
        self.refuses(&[Code::InvalidRequest, Code::PayloadTooLarge])
    }

    /// It gives JSON of this form.
    #[must_use]
    pub fn gives<T: JsonSchema>(mut self) -> Self {
        self.gives = Gives::Json(SchemaGenerator::subschema_for::<T>);
        self
    }

    /// It gives text.
    #[must_use]
    pub fn gives_text(mut self) -> Self {
        self.gives = Gives::Text(&[]);
        self
    }

    /// It gives text, or a body that is not ours to describe, of one of these media types.
    #[must_use]
    pub fn gives_text_or(mut self, media_types: &'static [&'static str]) -> Self {
        self.gives = Gives::Text(media_types);
        self
    }

    /// Its response may be cached for five minutes.
    #[must_use]
    pub fn cached(mut self) -> Self {
        self.cached = true;
        self
    }

    /// It may refuse with these codes.
    #[must_use]
    pub fn refuses(self, codes: &[Code]) -> Self {
        codes.iter().fold(self, |operation, code| operation.refuses_to(*code, code.action()))
    }

    /// It may refuse with this code and this action.
    #[must_use]
    pub fn refuses_to(mut self, code: Code, action: Action) -> Self {
        if !self.refusals.contains(&(code, action)) {
            self.refusals.push((code, action));
        }
        self
    }

    /// Whether it needs an access token, if it has no body in its place.
    #[must_use]
    pub fn is_bearer(&self) -> bool {
        self.bearer
    }

    /// Whether it may refuse so.
    #[must_use]
    pub fn may_refuse(&self, code: &str, action: &Value) -> bool {
        self.refusals.iter().any(|(ours, does)| ours.as_str() == code && json!(does) == *action)
    }
}

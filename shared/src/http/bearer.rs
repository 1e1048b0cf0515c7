//! The bearer token of a request (RFC 6750 section 2.1), as text: who it names is the verifier's matter.

use axum::extract::FromRequestParts;
use http::{header, request::Parts};

use crate::{
    problem::{Code, Problem},
    redacted::AccessToken,
};

/// The access token that came in the `Authorization` header, unverified.
#[derive(Debug)]
pub struct Bearer(pub AccessToken);

impl<S: Sync> FromRequestParts<S> for Bearer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut given = parts.headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (given.next(), given.next()) else {
            return Err(Problem::new(Code::TokenInvalid));
        };
        let token = value.to_str().ok().and_then(AccessToken::from_authorization);
        token.map(Self).ok_or(Problem::new(Code::TokenInvalid))
    }
}

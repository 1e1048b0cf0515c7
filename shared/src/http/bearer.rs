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
        match value.to_str().ok().and_then(|text| text.split_once(' ')) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                Ok(Self(AccessToken::new(token.trim_start())))
            }
            _ => Err(Problem::new(Code::TokenInvalid)),
        }
    }
}

//! Extractors for everything of a request but its body: client, origin, issuer, query, bearer token, deadline.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts, OptionalFromRequestParts};
use http::{header, request::Parts};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::proxy::TrustedProxy;
use crate::{
    clock::Deadline,
    ids::Network,
    json,
    problem::{Code, Problem},
    request_log,
    secret_text::{AccessToken, IdempotencyKey},
    secrets::Secret,
    token::{access::AccessTokenConfig, keyring::Keyring},
};

/// Lambda's id of this invocation.
#[derive(Clone, Debug)]
pub struct RequestId(pub String);

/// The address that the request came from, as the gateway saw it (`requestContext.http.sourceIp`).
#[derive(Clone, Debug)]
pub struct ClientIp(pub String);

/// How the sender of a request is told.
#[derive(Clone, Debug)]
pub struct Senders {
    /// The proxy whose word on the client's address is believed, if the owner names one.
    pub proxy: Option<Arc<Secret<TrustedProxy>>>,
    /// Hashes the network for the log.
    pub keyring: Arc<Secret<Keyring>>,
}

/// The network that the request came from: that of the address which a proxy of the owner's proves, or else the gateway sees.
/// Should the request be refused, its log line has the network as a keyed hash.
impl<S: Sync> FromRequestParts<S> for Network
where
    Senders: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let ClientIp(seen) = ClientIp::from_request_parts(parts, state).await?;
        let Senders { proxy, keyring } = Senders::from_ref(state);
        // Without the secret all who come through the proxy are behind one address, as if no proxy were named.
        let proved = proxy.and_then(|proxy| proxy.at_hand()?.client_address(&parts.headers));
        let network = Self::of(&proved.map_or(seen, |address| address.to_string()));
        let name = keyring.at_hand().and_then(|keyring| keyring.source_name(&network));
        request_log::record(|fields| fields.source = name);
        Ok(network)
    }
}

/// The origin that the client called, as the gateway saw it: `https://` and `requestContext.domainName`.
#[derive(Clone, Debug)]
pub struct Origin(pub String);

impl Origin {
    /// The `iss` of tokens that are issued to a request for this origin.
    #[must_use]
    pub fn issuer(&self, config: &AccessTokenConfig) -> String {
        config.issuer.clone().unwrap_or_else(|| self.0.clone())
    }
}

/// Declares extractors for the extensions that [`crate::lambda`] adds to each request.
macro_rules! from_extensions {
    ($($name:ty),*) => {$(
        impl<S: Sync> FromRequestParts<S> for $name {
            type Rejection = Problem;

            async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
                parts.extensions.get::<Self>().cloned().ok_or(Problem::new(Code::Internal))
            }
        }
    )*};
}

from_extensions!(ClientIp, Deadline, Origin, RequestId);

/// The `iss` of tokens that are issued to this request.
#[derive(Clone, Debug)]
pub struct Issuer(pub String);

impl<S: Sync> FromRequestParts<S> for Issuer
where
    AccessTokenConfig: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let origin = Origin::from_request_parts(parts, state).await?;
        Ok(Self(origin.issuer(&AccessTokenConfig::from_ref(state))))
    }
}

/// The query.
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // The parser's own message may quote the query, so it is dropped here.
        let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let axum::extract::Query(pairs) = pairs.map_err(|_| Problem::invalid(None))?;
        let query = json::members_of(pairs.into_iter().map(|(name, text)| (name, Value::String(text))));
        query.map(Self).map_err(|defect| Problem::invalid(defect.member()).because(defect))
    }
}

/// The `Idempotency-Key` header, which may be absent but not malformed or given twice.
impl<S: Sync> OptionalFromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Problem> {
        let mut given = parts.headers.get_all("idempotency-key").iter();
        let Some(value) = given.next() else { return Ok(None) };
        let key = value.to_str().ok().and_then(|text| Self::parse(text).ok());
        key.filter(|_| given.next().is_none()).map(Some).ok_or_else(|| Problem::invalid("Idempotency-Key"))
    }
}

/// The access token in the `Authorization` header (RFC 6750 section 2.1), unverified.
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

//! Bodies: JSON, strictly read, or as they came.

use axum::{
    body::{Body, HttpBody as _},
    extract::{FromRequest, OptionalFromRequest, Request},
};
use http::{HeaderMap, header};
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;

use crate::{
    json,
    problem::{Code, Problem},
};

/// The optional parts of a login, which may hold anything: a damaged storage or an odd profile must not lock a user out. To
/// the other routes these are unknown members.
const LENIENT: &[&str] = &["device", "userInfo"];

/// A JSON body, and its bytes, by which a repeated login is recognised.
pub struct JsonBody<T> {
    /// The value.
    pub value: T,
    /// The bytes that it was read from.
    pub bytes: Vec<u8>,
}

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(Code::UnsupportedMediaType));
        }
        let bytes = collect(request.into_body()).await?;
        let value = json::object_of(&bytes, LENIENT);
        let value = value.map_err(|defect| Problem::invalid(defect.member()).because(defect))?;
        Ok(Self { value, bytes })
    }
}

/// A body that may be absent. Without a byte it is, whatever media type is named.
impl<S: Sync, T: DeserializeOwned> OptionalFromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, Problem> {
        if request.body().is_end_stream() {
            return Ok(None);
        }
        <Self as FromRequest<S>>::from_request(request, state).await.map(Some)
    }
}

/// A body as it came, whatever its media type.
pub struct RawBody(pub Vec<u8>);

impl<S: Sync> FromRequest<S> for RawBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        collect(request.into_body()).await.map(Self)
    }
}

/// Reads a body whose size was checked before.
async fn collect(body: Body) -> Result<Vec<u8>, Problem> {
    let collected = body.collect().await.map_err(|_| Problem::new(Code::InvalidRequest))?;
    Ok(collected.to_bytes().into())
}

/// `application/json`, in UTF-8 if a charset is named (RFC 8259 section 8.1).
fn is_json(headers: &HeaderMap) -> bool {
    let mut given = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (given.next(), given.next()) else {
        return false;
    };
    let Ok(value) = value.to_str() else { return false };
    let mut parts = value.split(';').map(str::trim);
    parts.next().is_some_and(|media_type| media_type.eq_ignore_ascii_case("application/json"))
        && parts.filter(|part| !part.is_empty()).all(|parameter| match parameter.split_once('=') {
            Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => is_utf_8(value.trim()),
            _ => true,
        })
}

/// Whether this names UTF-8, with its quotes: by its own name, or by one of the others that the Encoding Standard of WHATWG
/// lists. Libraries write the name with and without its hyphen.
fn is_utf_8(charset: &str) -> bool {
    let name = charset.trim_matches(['"', '\'']).trim().to_ascii_lowercase().replace(['-', '_'], "");
    ["utf8", "unicode11utf8", "unicode20utf8", "xunicode20utf8"].contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn only_json_in_utf_8_is_json() {
        let one = |value: &'static str| {
            is_json(&HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(value))]))
        };

        for good in [
            "application/json",
            "Application/JSON; charset=UTF-8",
            "application/json;charset=\"utf-8\";x=1",
            "application/json; charset=utf8",
            "application/json; Charset = \"UTF8\"",
            "application/json; charset='Utf-8'",
            "application/json; charset=UTF_8",
            "application/json; charset=unicode-1-1-utf-8",
            "application/json; charset=x-unicode20utf8;",
        ] {
            assert!(one(good), "{good}");
        }
        for bad in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/jsonp",
            "application/json; charset=gbk",
            "application/json; charset=utf-16",
            "application/json; charset=utf-8859-1",
            "application/json; charset=\"\"",
            "application/json; charset=utf-8; charset=gbk",
            "",
        ] {
            assert!(!one(bad), "{bad}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}

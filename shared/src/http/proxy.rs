//! A proxy in front of the API: what it says about the sender of a request, and how it proves that it is the one.
//!
//! Behind a proxy or a CDN all users come from its addresses. Anybody can write a header, so the one that names the client's
//! address is believed only beside another that holds a secret, which the proxy adds to each request.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use http::{HeaderMap, HeaderName};
use serde::Deserialize;
use subtle::ConstantTimeEq as _;

use crate::{
    secret_text::ProxyProof,
    secrets::{FromSecret, SecretDefect},
};

/// The gateway adds the proxy's own address to it.
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The shortest proof: nobody can guess it.
const SHORTEST_PROOF: usize = 16;

/// The proxy that the owner trusts.
pub struct TrustedProxy {
    address: HeaderName,
    proof: HeaderName,
    secret: ProxyProof,
}

impl fmt::Debug for TrustedProxy {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "TrustedProxy({})", self.address)
    }
}

#[derive(Deserialize)]
struct Stored {
    address_header: String,
    proof_header: String,
    proof: String,
}

impl FromSecret for TrustedProxy {
    const EXPECTED_FORMAT: &'static str = r#"{"address_header": the header with the client's address, not x-forwarded-for, to which the gateway adds the proxy's own; "proof_header": another header; "proof": its value, 16 printable characters or more}"#;

    fn from_secret(text: &str) -> Result<Self, SecretDefect> {
        let Stored { address_header, proof_header, proof } =
            serde_json::from_str(text).map_err(|_| SecretDefect::Malformed)?;
        let header = |name: String| HeaderName::try_from(name).map_err(|_| SecretDefect::Malformed);
        let (address, proof_name) = (header(address_header)?, header(proof_header)?);
        let is_proof = proof.len() >= SHORTEST_PROOF && proof.bytes().all(|byte| byte.is_ascii_graphic());
        let is_usable = ![&proof_name, &X_FORWARDED_FOR].contains(&&address);
        if is_proof && is_usable {
            Ok(Self { address, proof: proof_name, secret: ProxyProof::new(proof) })
        } else {
            Err(SecretDefect::Malformed)
        }
    }
}

impl TrustedProxy {
    /// The client's address, if the headers are the proxy's. The proof is compared in constant time.
    #[must_use]
    pub fn client_address(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let proof = only(headers, &self.proof)?;
        let is_proved = bool::from(proof.as_bytes().ct_eq(self.secret.expose().as_bytes()));
        if is_proved { address(only(headers, &self.address)?) } else { None }
    }
}

/// The value of a header that is there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut given = headers.get_all(name).iter();
    let (Some(value), None) = (given.next(), given.next()) else { return None };
    value.to_str().ok()
}

/// An address with or without a port: `CloudFront-Viewer-Address` has one, and no brackets around IPv6 addresses.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let with_port = || text.parse().ok().map(|address: SocketAddr| address.ip());
    let before_port = || text.rsplit_once(':').and_then(|(address, _)| address.parse().ok());
    text.parse().ok().or_else(with_port).or_else(before_port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const PROOF: &str = "0123456789abcdef";

    fn stored(address: &str, name: &str, proof: &str) -> String {
        serde_json::json!({ "address_header": address, "proof_header": name, "proof": proof }).to_string()
    }

    fn proxy() -> TrustedProxy {
        TrustedProxy::from_secret(&stored("CloudFront-Viewer-Address", "x-origin-proof", PROOF)).unwrap()
    }

    fn said(headers: &[(&'static str, &str)]) -> Option<String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        proxy().client_address(&map).map(|address| address.to_string())
    }

    #[test]
    fn an_address_is_believed_beside_the_proof_alone() {
        let address = ("cloudfront-viewer-address", "192.0.2.1:443");

        assert_eq!(said(&[address, ("x-origin-proof", PROOF)]).as_deref(), Some("192.0.2.1"));
        for unproved in [
            &[address][..],
            &[address, ("x-origin-proof", "")],
            &[address, ("x-origin-proof", "0123456789abcdeF")],
            &[address, ("x-origin-proof", "0123456789abcde")],
            &[address, ("x-origin-proof", "0123456789abcdef0")],
            &[address, ("x-origin-proof", PROOF), ("x-origin-proof", PROOF)],
            &[address, address, ("x-origin-proof", PROOF)],
            &[("x-origin-proof", PROOF)],
        ] {
            assert_eq!(said(unproved), None, "{unproved:?}");
        }
    }

    #[test]
    fn an_address_may_have_a_port() {
        for (text, address) in [
            ("192.0.2.1", Some("192.0.2.1")),
            ("192.0.2.1:46532", Some("192.0.2.1")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("[2001:db8::1]:46532", Some("2001:db8::1")),
            ("2001:db8::1:46532", Some("2001:db8::1")),
            ("2001:db8:0:0:0:0:0:1:443", Some("2001:db8::1")),
            (" 192.0.2.1 ", Some("192.0.2.1")),
            ("192.0.2.1, 192.0.2.2", None),
            ("somebody", None),
            ("", None),
            (":", None),
        ] {
            let said = said(&[("cloudfront-viewer-address", text), ("x-origin-proof", PROOF)]);
            assert_eq!(said.as_deref(), address, "{text}");
        }
    }

    #[test]
    fn a_secret_that_names_no_two_headers_or_no_proof_is_malformed() {
        for text in [
            String::new(),
            "{}".to_owned(),
            stored("a b", "x-origin-proof", PROOF),
            stored("x-client", "", PROOF),
            stored("x-client", "X-Client", PROOF),
            stored("X-Forwarded-For", "x-origin-proof", PROOF),
            stored("x-client", "x-origin-proof", &PROOF[1..]),
            stored("x-client", "x-origin-proof", "0123456789 abcdef"),
        ] {
            assert_eq!(TrustedProxy::from_secret(&text).unwrap_err(), SecretDefect::Malformed, "{text}");
        }
        assert!(!format!("{:?}", proxy()).contains(PROOF));
    }
}

//! Keys that sign whatever they are given.

use aws_lc_rs::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    rsa::KeySize,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use shared::token::jwks::KeyKind;

/// A private key, and how its public half is named.
pub struct Key {
    kid: String,
    pair: Pair,
}

enum Pair {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
}

/// A name that no other key has.
fn kid(public: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, public))
}

impl Key {
    pub fn make(kind: KeyKind) -> Self {
        match kind {
            KeyKind::Rsa => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
                Self { kid: kid(pair.public_key().as_ref()), pair: Pair::Rsa(pair) }
            }
            KeyKind::Ec => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
                Self { kid: kid(pair.public_key().as_ref()), pair: Pair::Ec(pair) }
            }
        }
    }

    pub(super) fn is_rsa(&self) -> bool {
        matches!(self.pair, Pair::Rsa(_))
    }

    /// The public half, as it is published.
    pub fn public(&self) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match &self.pair {
            Pair::Rsa(pair) => {
                let key = pair.public_key();
                let (n, e) = (key.modulus(), key.exponent());
                let (n, e) = (n.big_endian_without_leading_zero(), e.big_endian_without_leading_zero());
                json!({ "kty": "RSA", "kid": self.kid, "alg": "RS256", "use": "sig", "n": encode(n), "e": encode(e) })
            }
            Pair::Ec(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({
                    "kty": "EC", "kid": self.kid, "alg": "ES256", "use": "sig",
                    "crv": "P-256", "x": encode(x), "y": encode(y),
                })
            }
        }
    }

    /// The header of an access token that this key signs.
    pub fn header(&self) -> Value {
        json!({ "typ": "at+jwt", "alg": if self.is_rsa() { "RS256" } else { "ES256" }, "kid": self.kid })
    }

    /// A token of these two parts, whatever they say.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&header.to_string(), &claims.to_string())
    }

    /// Like `sign`, for a header and claims that are given as texts.
    pub fn sign_text(&self, header: &str, claims: &str) -> String {
        let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let random = SystemRandom::new();
        let signature = match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature).expect("a signature");
                signature
            }
            Pair::Ec(pair) => pair.sign(&random, text.as_bytes()).expect("a signature").as_ref().to_vec(),
        };
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

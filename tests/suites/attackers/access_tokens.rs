//! Forged access tokens: what somebody makes who holds a token of their own and the public keys, and what our own key signed
//! that is no access token.

mod bits;
mod key;
mod outsider;

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use shared::{
    clock::Secs,
    secret_text::AccessToken,
    secrets::FromSecret as _,
    token::{
        access::{AccessTokenConfig, AccessVerifier},
        jwks::KeyKind,
    },
    vars::Vars,
};

pub use bits::changed_bits;
pub use key::Key;
pub use outsider::{forgeries, with_the_other_s};

use crate::{APPID, BEGIN};

const ISSUER: &str = "https://api.example.com";

/// The result of the forgeries.
#[derive(Debug, Default)]
pub struct Gains {
    pub forgeries: u64,
    /// What those were that were accepted.
    pub accepted: Vec<String>,
    /// How many genuine tokens were refused.
    pub refused: u64,
}

/// The real verifier with one key of each kind.
pub struct Target {
    verifier: AccessVerifier,
    issuing: AccessTokenConfig,
    keys: [Key; 2],
    jwks: Value,
    stranger: [Key; 2],
}

/// One key of each kind.
pub fn keys() -> [Key; 2] {
    [KeyKind::Rsa, KeyKind::Ec].map(Key::make)
}

impl Default for Target {
    fn default() -> Self {
        let [keys, stranger] = [keys(), keys()];
        let jwks = json!({ "keys": keys.each_ref().map(Key::public) });
        let verifier = AccessVerifier::from_secret(&jwks.to_string()).expect("a JWK set");
        Self {
            verifier,
            issuing: AccessTokenConfig::from_vars(&Vars::from_iter([("WXAUTH_ISSUER", ISSUER)])).expect("defaults"),
            keys,
            jwks,
            stranger,
        }
    }
}

impl Target {
    /// Whom the real verifier takes a token for.
    pub fn openid(&self, token: &str) -> Option<String> {
        let subject = self.verifier.verify(&AccessToken::new(token), &self.issuing, Some(ISSUER), BEGIN).ok()?;
        Some(subject.openid.expose().to_owned())
    }

    /// A token as `login` makes it, of each key.
    pub fn genuine(&self, openid: &str) -> [String; 2] {
        self.keys.each_ref().map(|key| key.sign(&key.header(), &claims(openid)))
    }

    fn forge(&self, openid: &str, gains: &mut Gains) {
        for (key, token) in self.keys.iter().zip(&self.genuine(openid)) {
            gains.refused += u64::from(self.openid(token).as_deref() != Some(openid));
            for (name, forged) in forgeries(token, &self.jwks, &self.stranger) {
                gains.tried(name, self.openid(&forged));
            }
            for (name, forged) in misused(key) {
                gains.tried(name, self.openid(&forged));
            }
            for forged in changed_bits(token) {
                gains.tried("a changed bit", self.openid(&forged));
            }
        }
    }
}

/// All forgeries of genuine tokens, so many times over: each time with new keys, and of another user and session.
pub fn attack(rounds: u64) -> Gains {
    let mut gains = Gains::default();
    for round in 0..rounds {
        Target::default().forge(&format!("o{round}"), &mut gains);
    }
    gains
}

impl Gains {
    fn tried(&mut self, name: &str, accepted: Option<String>) {
        self.forgeries += 1;
        self.accepted.extend(accepted.map(|openid| format!("{name}, for {openid}")));
    }
}

/// The JWT claims of a genuine token.
fn claims(openid: &str) -> Value {
    let id =
        |name: &str| URL_SAFE_NO_PAD.encode(&digest(&SHA256, format!("{name} of {openid}").as_bytes()).as_ref()[..16]);
    let times: [Secs; 3] = [BEGIN - 5, BEGIN + 900, BEGIN - 50];
    json!({
        "iss": ISSUER, "aud": APPID, "client_id": APPID, "sub": openid, "scope": "user",
        "iat": times[0], "exp": times[1], "auth_time": times[2],
        "jti": id("jti"), "sid": id("sid"),
    })
}

/// What our own key has signed and what is no access token for this place all the same: the signature is right.
fn misused(key: &Key) -> Vec<(&'static str, String)> {
    let header = |member: &str, value: Value| (with(&key.header(), member, value), claims("oA"));
    let claim = |member: &str, value: Value| (key.header(), with(&claims("oA"), member, value));
    let mut misused: Vec<(&'static str, String)> = [
        ("typ of another JWT", header("typ", "JWT".into())),
        ("typ of an ID token", header("typ", "id+jwt".into())),
        ("typ missing", header("typ", Value::Null)),
        ("kid missing", header("kid", Value::Null)),
        ("alg none", header("alg", "none".into())),
        ("alg HS256", header("alg", "HS256".into())),
        ("alg of the same family", header("alg", if key.is_rsa() { "RS384" } else { "ES384" }.into())),
        ("alg of the other key", header("alg", if key.is_rsa() { "ES256" } else { "RS256" }.into())),
        ("crit unknown", header("crit", json!(["https://example.com/understand-me"]))),
        ("iss of another", claim("iss", "https://other.example.com".into())),
        ("iss with a slash", claim("iss", format!("{ISSUER}/").into())),
        ("iss missing", claim("iss", Value::Null)),
        ("aud of another", claim("aud", "wxffffffffffffffff".into())),
        ("aud of several", claim("aud", json!([APPID, "wxffffffffffffffff"]))),
        ("aud missing", claim("aud", Value::Null)),
        ("client_id of another", claim("client_id", "wxffffffffffffffff".into())),
        ("exp over", claim("exp", (BEGIN - 30).into())),
        ("exp missing", claim("exp", Value::Null)),
        ("exp as text", claim("exp", (BEGIN + 900).to_string().into())),
        ("exp negative", claim("exp", (-1).into())),
        ("exp beyond all numbers", claim("exp", 1e300.into())),
        ("sub missing", claim("sub", Value::Null)),
        ("sub empty", claim("sub", "".into())),
        ("sid missing", claim("sid", Value::Null)),
        ("sid in another form", claim("sid", "AAAA".into())),
        ("auth_time missing", claim("auth_time", Value::Null)),
        ("auth_time as text", claim("auth_time", "0".into())),
    ]
    .into_iter()
    .map(|(name, (header, claims))| (name, key.sign(&header, &claims)))
    .collect();
    let (header, claims) = (key.header().to_string(), claims("oA").to_string());
    let twice = |text: &str, member: &str| text.replacen('{', &format!("{{{member},"), 1);
    misused.extend([
        ("alg twice", key.sign_text(&twice(&header, r#""alg":"none""#), &claims)),
        ("sub twice", key.sign_text(&header, &twice(&claims, r#""sub":"oB""#))),
        ("exp twice", key.sign_text(&header, &twice(&claims, r#""exp":1"#))),
        ("claims in a list", key.sign_text(&header, &format!("[{claims}]"))),
        ("nothing claimed", key.sign_text(&header, "{}")),
        ("no JSON", key.sign_text(&header, "")),
    ]);
    misused
}

/// An object with a member made another one; none is as good as missing.
fn with(object: &Value, member: &str, value: Value) -> Value {
    let mut object = object.clone();
    let members = object.as_object_mut().expect("an object");
    match value {
        Value::Null => members.remove(member),
        value => members.insert(member.to_owned(), value),
    };
    object
}

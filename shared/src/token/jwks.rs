//! Signing keys as JWK sets (RFC 7517): the private set signs, and its public half verifies.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
};

use aws_lc_rs::{
    digest::{SHA256, digest},
    encoding::{AsBigEndian, AsDer, EcPrivateKeyBin, Pkcs8V1Der},
    rsa::{KeyPairComponents, KeySize, PublicKeyComponents},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RsaKeyPair},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey};
use pkcs1::der::Decode as _;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    KeyText, MIN_AGE_OF_NEXT_KEY,
    access::{AccessSigner, AccessVerifier, SigningKey},
    made_recently,
};
use crate::{
    clock::Secs,
    secrets::{FromSecret, SecretDefect},
};

/// The kinds of signing keys. RS256 is the default, because API Gateway's JWT authorizer takes only RSA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA of 2048 bits, RS256.
    Rsa,
    /// P-256, ES256.
    Ec,
}

/// The phase of a signing key's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// Known to every verifier, not signing yet.
    Next,
    /// Signing.
    Current,
    /// Not signing any more; its tokens still live.
    Previous,
}

/// One private JWK. Its members are named as in RFC 7518 section 6.
#[derive(Serialize, Deserialize)]
pub struct PrivateJwk {
    state: KeyState,
    kid: String,
    alg: String,
    /// Unix seconds; 0 if it is not known.
    #[serde(default)]
    made_at: Secs,
    #[serde(flatten)]
    members: BTreeMap<String, KeyText>,
}

impl fmt::Debug for PrivateJwk {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "PrivateJwk({}, {:?})", self.kid, self.state)
    }
}

/// A private JWK set, as the secret that `WXAUTH_SIGNING_KEYS` names holds it.
#[derive(Debug, Serialize, Deserialize)]
pub struct PrivateJwks {
    /// The keys, at most one of them current.
    pub keys: Vec<PrivateJwk>,
}

/// A key could not be made.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("no signing key could be made")]
pub struct MakeError;

/// The members of a public key, in the order that RFC 7638 section 3.2 wants for the thumbprint.
fn public_members(kty: &str) -> Option<&'static [&'static str]> {
    match kty {
        "RSA" => Some(&["e", "kty", "n"]),
        "EC" => Some(&["crv", "kty", "x", "y"]),
        _ => None,
    }
}

impl PrivateJwk {
    /// Makes a new key.
    pub fn make(kind: KeyKind, state: KeyState, made_at: Secs) -> Result<Self, MakeError> {
        let (alg, members) = match kind {
            KeyKind::Rsa => ("RS256", make_rsa()?),
            KeyKind::Ec => ("ES256", make_ec()?),
        };
        let mut key = Self { state, kid: String::new(), alg: alg.to_owned(), made_at, members };
        key.kid = key.thumbprint().ok_or(MakeError)?;
        Ok(key)
    }

    /// The RFC 7638 thumbprint: SHA-256 over the required members in lexical order.
    fn thumbprint(&self) -> Option<String> {
        let names = public_members(self.member("kty")?)?;
        let required: BTreeMap<_, _> =
            names.iter().map(|name| Some((*name, self.member(name)?))).collect::<Option<_>>()?;
        let text = serde_json::to_string(&required).ok()?;
        Some(URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes())))
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicJwk {
        let names = self.member("kty").and_then(public_members).unwrap_or_default();
        let members = self.members.iter().filter(|(name, _)| names.contains(&name.as_str()));
        PublicJwk {
            kid: self.kid.clone(),
            alg: self.alg.clone(),
            r#use: "sig".to_owned(),
            members: members.map(|(name, value)| (name.clone(), value.0.clone())).collect(),
        }
    }

    fn member(&self, name: &str) -> Option<&str> {
        self.members.get(name).map(|value| value.0.as_str())
    }

    fn bytes(&self, name: &str) -> Option<Zeroizing<Vec<u8>>> {
        URL_SAFE_NO_PAD.decode(self.member(name)?).ok().map(Zeroizing::new)
    }

    /// Parses the key for signing; its parts are checked against each other, which costs about 0.6 ms for RSA.
    fn signer(&self) -> Option<AccessSigner> {
        let key = match (self.member("kty")?, self.alg.as_str()) {
            ("RSA", "RS256") => SigningKey::Rsa(
                RsaKeyPair::from_components(&KeyPairComponents {
                    public_key: PublicKeyComponents { n: self.bytes("n")?, e: self.bytes("e")? },
                    d: self.bytes("d")?,
                    p: self.bytes("p")?,
                    q: self.bytes("q")?,
                    dP: self.bytes("dp")?,
                    dQ: self.bytes("dq")?,
                    qInv: self.bytes("qi")?,
                })
                .ok()?,
            ),
            ("EC", "ES256") => {
                let point = [&[4][..], &self.bytes("x")?, &self.bytes("y")?].concat();
                let private = self.bytes("d")?;
                let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
                SigningKey::Ec(EcdsaKeyPair::from_private_key_and_public_key(algorithm, &private, &point).ok()?)
            }
            _ => return None,
        };
        Some(AccessSigner::new(&self.kid, key))
    }
}

impl PrivateJwks {
    /// The set after a rotation: `previous` goes, `current` becomes `previous`, `next` becomes `current`, a new `next` is
    /// made. An empty set gets `current` and `next`. `None` while `next` is so young that a verifier may not know it yet.
    /// If `next` is missing or of unknown age, its day begins now, and nothing else changes.
    pub fn rotated(mut self, kind: KeyKind, now: Secs) -> Result<Option<Self>, MakeError> {
        if self.keys.is_empty() {
            self.keys.push(PrivateJwk::make(kind, KeyState::Current, now)?);
        } else if let Some(next) = self.keys.iter_mut().find(|key| key.state == KeyState::Next) {
            if next.made_at == 0 || next.made_at > now {
                next.made_at = now;
                return Ok(Some(self));
            }
            if next.made_at.saturating_add(MIN_AGE_OF_NEXT_KEY) > now {
                return Ok(None);
            }
            self.keys.retain(|key| key.state != KeyState::Previous);
            for key in &mut self.keys {
                key.state = if key.state == KeyState::Next { KeyState::Current } else { KeyState::Previous };
            }
        }
        self.keys.push(PrivateJwk::make(kind, KeyState::Next, now)?);
        Ok(Some(self))
    }

    /// Whether this set is the result of rotating `before` within the last hour. A value that was made earlier, or from another
    /// one, must not become current.
    #[must_use]
    pub fn follows(&self, before: &Self, now: Secs) -> bool {
        let kids = |set: &Self| {
            [KeyState::Previous, KeyState::Current, KeyState::Next]
                .map(|state| set.keys.iter().find(|key| key.state == state).map(|key| key.kid.clone()))
        };
        let is_new = |key: &PrivateJwk| made_recently(key.made_at, now);
        let next_is_new = self.keys.iter().any(|key| key.state == KeyState::Next && is_new(key));
        let ([previous, current, next], [before_previous, before_current, before_next]) = (kids(self), kids(before));
        let shifted = previous == before_current && current == before_next && current.is_some();
        let stayed = previous == before_previous
            && current == before_current
            && current.is_some()
            && (before_next.is_none() || before_next == next);
        let made = before.keys.is_empty() && previous.is_none() && current.is_some() && self.keys.iter().all(is_new);
        next_is_new && (shifted || stayed || made)
    }

    /// The ids of all keys.
    #[must_use]
    pub fn kids(&self) -> BTreeSet<&str> {
        self.keys.iter().map(|key| key.kid.as_str()).collect()
    }

    /// The public half of all keys.
    #[must_use]
    pub fn public(&self) -> PublicJwks {
        PublicJwks { keys: self.keys.iter().map(PrivateJwk::public).collect() }
    }
}

fn member(name: &str, value: String) -> (String, KeyText) {
    (name.to_owned(), KeyText(value))
}

fn make_rsa() -> Result<BTreeMap<String, KeyText>, MakeError> {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| MakeError)?;
    let document = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).map_err(|_| MakeError)?;
    let wrapped = pkcs8::PrivateKeyInfoRef::from_der(document.as_ref()).map_err(|_| MakeError)?;
    let key = pkcs1::RsaPrivateKey::from_der(wrapped.private_key.as_bytes()).map_err(|_| MakeError)?;
    let integers: [(&str, pkcs1::UintRef<'_>); 8] = [
        ("n", key.modulus),
        ("e", key.public_exponent),
        ("d", key.private_exponent),
        ("p", key.prime1),
        ("q", key.prime2),
        ("dp", key.exponent1),
        ("dq", key.exponent2),
        ("qi", key.coefficient),
    ];
    let mut members = BTreeMap::from([member("kty", "RSA".to_owned())]);
    members.extend(integers.map(|(name, value)| member(name, URL_SAFE_NO_PAD.encode(value.as_bytes()))));
    Ok(members)
}

fn make_ec() -> Result<BTreeMap<String, KeyText>, MakeError> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| MakeError)?;
    let private = AsBigEndian::<EcPrivateKeyBin<'_>>::as_be_bytes(&pair.private_key()).map_err(|_| MakeError)?;
    let point = pair.public_key().as_ref();
    // SEC 1 section 2.3.3: 4, then x, then y.
    let (x, y) = point.strip_prefix(&[4]).and_then(|xy| xy.split_at_checked(32)).ok_or(MakeError)?;
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    Ok(BTreeMap::from([
        member("kty", "EC".to_owned()),
        member("crv", "P-256".to_owned()),
        member("x", encode(x)),
        member("y", encode(y)),
        member("d", encode(private.as_ref())),
    ]))
}

impl FromSecret for AccessSigner {
    const EXPECTED_FORMAT: &'static str = r#"a private JWK set whose keys have a "state", one of them "current""#;

    fn from_secret(text: &str) -> Result<Self, SecretDefect> {
        let set: PrivateJwks = serde_json::from_str(text).map_err(|_| SecretDefect::Malformed)?;
        if set.keys.is_empty() {
            return Err(SecretDefect::NotRotatedYet);
        }
        let mut current = set.keys.iter().filter(|key| key.state == KeyState::Current);
        match (current.next(), current.next()) {
            (Some(key), None) => key.signer().ok_or(SecretDefect::Malformed),
            _ => Err(SecretDefect::Malformed),
        }
    }
}

const PUBLIC_SET: &str = "a public JWK set of RS256 or ES256 keys";

/// One public JWK: `kty`, with `n` and `e` of an RSA key or `crv`, `x` and `y` of P-256, as in RFC 7518 section 6.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
pub struct PublicJwk {
    /// The RFC 7638 thumbprint.
    kid: String,
    #[cfg_attr(feature = "contract", schemars(extend("enum" = ["RS256", "ES256"])))]
    alg: String,
    #[serde(default)]
    r#use: String,
    #[serde(flatten)]
    members: BTreeMap<String, String>,
}

/// A public JWK set, as the secret that `WXAUTH_JWKS` names holds it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
pub struct PublicJwks {
    /// The keys.
    pub keys: Vec<PublicJwk>,
}

impl PublicJwk {
    fn verifying(&self) -> Option<(Algorithm, DecodingKey)> {
        let member = |name| self.members.get(name).map(String::as_str);
        match (member("kty")?, self.alg.as_str()) {
            ("RSA", "RS256") => {
                Some((Algorithm::RS256, DecodingKey::from_rsa_components(member("n")?, member("e")?).ok()?))
            }
            ("EC", "ES256") if member("crv") == Some("P-256") => {
                Some((Algorithm::ES256, DecodingKey::from_ec_components(member("x")?, member("y")?).ok()?))
            }
            _ => None,
        }
    }
}

impl PublicJwks {
    /// The ids of all keys.
    #[must_use]
    pub fn kids(&self) -> BTreeSet<&str> {
        self.keys.iter().map(|key| key.kid.as_str()).collect()
    }

    /// The algorithms of the keys, each once.
    #[must_use]
    pub fn algorithms(&self) -> BTreeSet<&str> {
        self.keys.iter().map(|key| key.alg.as_str()).collect()
    }
}

impl FromSecret for PublicJwks {
    const EXPECTED_FORMAT: &'static str = PUBLIC_SET;

    fn from_secret(text: &str) -> Result<Self, SecretDefect> {
        let set: Self = serde_json::from_str(text).map_err(|_| SecretDefect::Malformed)?;
        if set.keys.is_empty() {
            return Err(SecretDefect::NotRotatedYet);
        }
        // What is published must be what our own functions verify with.
        if set.keys.iter().all(|key| key.verifying().is_some()) { Ok(set) } else { Err(SecretDefect::Malformed) }
    }
}

impl FromSecret for AccessVerifier {
    const EXPECTED_FORMAT: &'static str = PUBLIC_SET;

    fn from_secret(text: &str) -> Result<Self, SecretDefect> {
        let set = PublicJwks::from_secret(text)?;
        let keys =
            set.keys.iter().map(|key| Some((key.kid.clone(), key.verifying()?))).collect::<Option<HashMap<_, _>>>();
        keys.map(Self::new).ok_or(SecretDefect::Malformed)
    }
}

#[cfg(test)]
mod tests;

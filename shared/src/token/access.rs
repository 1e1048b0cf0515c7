//! Access tokens: JWTs of RFC 9068, signed with a key that was parsed once.
//!
//! The key decides the algorithm, on both sides: a token's own `alg` chooses nothing (RFC 8725 section 3.1). A valid token
//! does not mean that its session still exists: only the table knows that.

use std::{collections::HashMap, fmt};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{EcdsaKeyPair, RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::{Deserialize, Serialize};

use crate::{
    clock::Secs,
    entropy::{self, Entropy},
    ids::{AppId, OpenId, SessionRef, Sid, UnionId, UserRef},
    secret_text::AccessToken,
};

/// RFC 9068 section 2.1.
const TYP: &str = "at+jwt";

/// `iat` is set this far back, because API Gateway's authorizer refuses one that is in the future by its own clock.
const ISSUED_BACK: Secs = 5;

/// How long after `exp` our own routes still accept a token: clocks differ.
const LEEWAY: Secs = 30;

/// The random bytes of a `jti`.
const RANDOM: usize = 16;

/// The `scope` of every token (RFC 9068 section 2.2.3): access to the user's own data.
const SCOPE: &str = "user";

/// The JWT claims of an access token (RFC 9068 section 2.2).
#[derive(Serialize, Deserialize)]
pub struct JwtClaims {
    iss: String,
    aud: String,
    sub: String,
    client_id: String,
    iat: Secs,
    exp: Secs,
    /// Random bytes, and the millisecond of `auth_time`.
    jti: String,
    sid: String,
    auth_time: Secs,
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    unionid: Option<String>,
}

/// The user and session that an access token was issued to.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The mini program.
    pub appid: AppId,
    /// The user.
    pub openid: OpenId,
    /// The session.
    pub sid: Sid,
    /// The session's `created_at`.
    pub auth_time: Secs,
    /// The millisecond of that second in which the login arrived: a device can log out and in again within one second. Tokens of
    /// earlier releases do not tell it.
    pub millisecond: Option<u16>,
    /// The user's unionid, where the owner wants it in tokens.
    pub unionid: Option<UnionId>,
}

impl Subject {
    /// The session that the token belongs to.
    #[must_use]
    pub fn session(&self) -> SessionRef {
        SessionRef { user: UserRef { appid: self.appid.clone(), openid: self.openid.clone() }, sid: self.sid }
    }
}

/// How access tokens are filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessTokenConfig {
    /// `WXAUTH_ISSUER`: the `iss`; without it, `https://` and the host that the client called.
    pub issuer: Option<String>,
    /// `WXAUTH_AUDIENCE`: the `aud`; without it, the appid.
    pub audience: Option<String>,
    /// `WXAUTH_ACCESS_SECONDS`: the lifetime in seconds.
    pub access: Secs,
    /// `WXAUTH_UNIONID_CLAIM`: whether the unionid is a claim.
    pub unionid: bool,
}

impl AccessTokenConfig {
    fn audience_for<'a>(&'a self, client_id: &'a str) -> &'a str {
        self.audience.as_deref().unwrap_or(client_id)
    }

    /// The JWT claims of a new token for `subject`, to be signed. It lives for so many seconds.
    #[must_use]
    pub fn claims(
        &self,
        subject: &Subject,
        issuer: &str,
        now: Secs,
        lifetime: Secs,
        entropy: &dyn Entropy,
    ) -> JwtClaims {
        let client_id = subject.appid.as_str().to_owned();
        let unionid = subject.unionid.as_ref().filter(|_| self.unionid);
        let mut jti = entropy::bytes::<RANDOM>(entropy).to_vec();
        jti.extend(subject.millisecond.map(u16::to_be_bytes).into_iter().flatten());
        JwtClaims {
            iss: issuer.to_owned(),
            aud: self.audience_for(&client_id).to_owned(),
            sub: subject.openid.expose().to_owned(),
            client_id,
            iat: now.saturating_sub(ISSUED_BACK),
            exp: now + lifetime,
            jti: URL_SAFE_NO_PAD.encode(jti),
            sid: subject.sid.encode(),
            auth_time: subject.auth_time,
            scope: SCOPE.to_owned(),
            unionid: unionid.map(|unionid| unionid.expose().to_owned()),
        }
    }
}

/// A private key, ready to sign.
pub(super) enum SigningKey {
    /// RS256.
    Rsa(RsaKeyPair),
    /// ES256.
    Ec(EcdsaKeyPair),
}

/// Signs access tokens with the current key. `jsonwebtoken` would parse the key anew for each one, at twice the cost.
pub struct AccessSigner {
    header: String,
    key: SigningKey,
}

impl fmt::Debug for AccessSigner {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("AccessSigner([REDACTED])")
    }
}

/// A signature that could not be made.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("signing failed")]
pub struct SignError;

impl AccessSigner {
    pub(super) fn new(kid: &str, key: SigningKey) -> Self {
        let alg = match key {
            SigningKey::Rsa(_) => "RS256",
            SigningKey::Ec(_) => "ES256",
        };
        let header = serde_json::json!({ "typ": TYP, "alg": alg, "kid": kid }).to_string();
        Self { header: URL_SAFE_NO_PAD.encode(header), key }
    }

    /// A signed token (RFC 7515 section 7.1, compact serialization).
    pub fn sign(&self, claims: &JwtClaims) -> Result<AccessToken, SignError> {
        let claims = serde_json::to_vec(claims).map_err(|_| SignError)?;
        let text = format!("{}.{}", self.header, URL_SAFE_NO_PAD.encode(claims));
        let signature = match &self.key {
            SigningKey::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature)
                    .map_err(|_| SignError)?;
                URL_SAFE_NO_PAD.encode(signature)
            }
            SigningKey::Ec(key) => {
                URL_SAFE_NO_PAD.encode(key.sign(&SystemRandom::new(), text.as_bytes()).map_err(|_| SignError)?)
            }
        };
        Ok(AccessToken::new(format!("{text}.{signature}")))
    }
}

/// Why an access token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessDefect {
    /// It is one of ours, but its time is over.
    #[error("the access token has expired")]
    Expired,
    /// It is not one of ours, or not for this place.
    #[error("not an access token of ours")]
    Invalid,
}

/// Verifies access tokens with the public keys.
pub struct AccessVerifier(HashMap<String, (Algorithm, DecodingKey)>);

impl fmt::Debug for AccessVerifier {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_set().entries(self.0.keys()).finish()
    }
}

impl AccessVerifier {
    pub(super) fn new(keys: HashMap<String, (Algorithm, DecodingKey)>) -> Self {
        Self(keys)
    }

    /// The subject of a token, after these are checked: signature, `typ`, `iss` if one is expected, `aud` and `exp`
    /// (with a leeway of 30 s).
    pub fn verify(
        &self,
        token: &AccessToken,
        config: &AccessTokenConfig,
        issuer: Option<&str>,
        now: Secs,
    ) -> Result<Subject, AccessDefect> {
        let header = jsonwebtoken::decode_header(token.expose()).map_err(|_| AccessDefect::Invalid)?;
        let (algorithm, key) = header.kid.as_deref().and_then(|kid| self.0.get(kid)).ok_or(AccessDefect::Invalid)?;
        // RFC 7515 section 4.1.11: a token with a critical header that we do not understand is refused, and ours have none.
        if header.typ.as_deref() != Some(TYP) || header.alg != *algorithm || header.crit.is_some() {
            return Err(AccessDefect::Invalid);
        }
        let claims = jsonwebtoken::decode::<JwtClaims>(token.expose(), key, &signature_only(*algorithm))
            .map_err(|_| AccessDefect::Invalid)?
            .claims;
        if issuer.is_some_and(|issuer| issuer != claims.iss) || claims.aud != config.audience_for(&claims.client_id) {
            return Err(AccessDefect::Invalid);
        }
        if now >= claims.exp.saturating_add(LEEWAY) {
            return Err(AccessDefect::Expired);
        }
        claims.try_into()
    }
}

/// The library checks the signature; the rest is checked against our own clock and configuration.
fn signature_only(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    validation
}

impl TryFrom<JwtClaims> for Subject {
    type Error = AccessDefect;

    fn try_from(claims: JwtClaims) -> Result<Self, AccessDefect> {
        Ok(Self {
            appid: AppId::parse(&claims.client_id).map_err(|_| AccessDefect::Invalid)?,
            openid: OpenId::parse(&claims.sub).map_err(|_| AccessDefect::Invalid)?,
            sid: Sid::parse(&claims.sid).map_err(|_| AccessDefect::Invalid)?,
            auth_time: claims.auth_time,
            millisecond: millisecond(&claims.jti),
            unionid: None,
        })
    }
}

fn millisecond(jti: &str) -> Option<u16> {
    let bytes = URL_SAFE_NO_PAD.decode(jti).ok()?;
    bytes.get(RANDOM..)?.try_into().map(u16::from_be_bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        entropy::OsEntropy,
        ids::DeviceId,
        secrets::FromSecret as _,
        token::jwks::{KeyKind, KeyState, PrivateJwk, PrivateJwks},
    };

    const NOW: Secs = 1_800_000_000;
    const ISSUER: &str = "https://api.example.com";

    struct Keys {
        signer: AccessSigner,
        verifier: AccessVerifier,
        public: serde_json::Value,
    }

    fn keys(kind: KeyKind) -> Keys {
        let set = PrivateJwks { keys: vec![PrivateJwk::make(kind, KeyState::Current, 0).unwrap()] };
        let public = serde_json::to_value(set.public()).unwrap();
        Keys {
            signer: AccessSigner::from_secret(&serde_json::to_string(&set).unwrap()).unwrap(),
            verifier: AccessVerifier::from_secret(&public.to_string()).unwrap(),
            public,
        }
    }

    fn subject() -> Subject {
        let (appid, openid) = (AppId::parse("wx0123456789abcdef").unwrap(), OpenId::parse("oA").unwrap());
        let sid = Sid::of(&appid, &openid, DeviceId([1; 16]));
        let unionid = Some(UnionId::parse("uMARKER").unwrap());
        Subject { appid, openid, sid, auth_time: NOW - 50, millisecond: Some(999), unionid }
    }

    fn config() -> AccessTokenConfig {
        AccessTokenConfig { issuer: None, audience: None, access: 900, unionid: false }
    }

    fn sign(keys: &Keys, config: &AccessTokenConfig) -> AccessToken {
        keys.signer.sign(&config.claims(&subject(), ISSUER, NOW, config.access, &OsEntropy)).unwrap()
    }

    fn part(token: &AccessToken, at: usize) -> serde_json::Value {
        let part = token.expose().split('.').nth(at).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    }

    fn with_part(token: &AccessToken, at: usize, value: &serde_json::Value) -> AccessToken {
        let mut parts: Vec<_> = token.expose().split('.').map(str::to_owned).collect();
        parts[at] = URL_SAFE_NO_PAD.encode(value.to_string());
        AccessToken::new(parts.join("."))
    }

    #[test]
    fn what_we_sign_is_what_the_contract_says() {
        for (kind, alg) in [(KeyKind::Rsa, "RS256"), (KeyKind::Ec, "ES256")] {
            let keys = keys(kind);
            let token = sign(&keys, &config());

            let (header, claims) = (part(&token, 0), part(&token, 1));
            assert_eq!(header["typ"], "at+jwt");
            assert_eq!(header["alg"], alg);
            assert_eq!(header["kid"], keys.public["keys"][0]["kid"]);
            assert_eq!(claims["iss"], "https://api.example.com");
            assert_eq!(claims["aud"], "wx0123456789abcdef");
            assert_eq!(claims["client_id"], "wx0123456789abcdef");
            assert_eq!(claims["sub"], "oA");
            assert_eq!(claims["iat"], NOW - 5);
            assert_eq!(claims["exp"], NOW + 900);
            assert_eq!(claims["auth_time"], NOW - 50);
            assert_eq!(claims["sid"], subject().sid.encode());
            assert_eq!(claims["jti"].as_str().unwrap().len(), 24);
            assert!(claims["scope"].is_string());
            assert!(claims.get("unionid").is_none());
            assert!(claims.get("nbf").is_none());

            let read = keys.verifier.verify(&token, &config(), Some(ISSUER), NOW).unwrap();
            assert_eq!((read.sid, read.auth_time, read.openid), (subject().sid, NOW - 50, subject().openid));
            assert_eq!(read.millisecond, Some(999));
        }
    }

    #[test]
    fn a_token_of_an_earlier_release_tells_no_millisecond() {
        let keys = keys(KeyKind::Ec);
        let before = Subject { millisecond: None, ..subject() };
        let token = keys.signer.sign(&config().claims(&before, ISSUER, NOW, 900, &OsEntropy)).unwrap();

        assert_eq!(part(&token, 1)["jti"].as_str().unwrap().len(), 22);
        assert_eq!(keys.verifier.verify(&token, &config(), Some(ISSUER), NOW).unwrap().millisecond, None);
    }

    #[test]
    fn the_unionid_is_in_a_token_only_where_it_is_switched_on() {
        let token = sign(&keys(KeyKind::Ec), &AccessTokenConfig { unionid: true, ..config() });
        assert_eq!(part(&token, 1)["unionid"], "uMARKER");
    }

    #[test]
    fn a_token_ends_thirty_seconds_after_its_exp() {
        let keys = keys(KeyKind::Ec);
        let token = sign(&keys, &config());
        let at = |now| keys.verifier.verify(&token, &config(), Some(ISSUER), now).map(drop);

        assert_eq!(at(NOW + 900 + 29), Ok(()));
        assert_eq!(at(NOW + 900 + 30), Err(AccessDefect::Expired));
    }

    #[test]
    fn another_issuer_audience_or_key_is_refused() {
        let (ours, other) = (keys(KeyKind::Ec), keys(KeyKind::Ec));
        let token = sign(&ours, &config());
        let refused = |keys: &Keys, config: &AccessTokenConfig, issuer: Option<&str>| {
            keys.verifier.verify(&token, config, issuer, NOW).map(drop) == Err(AccessDefect::Invalid)
        };

        assert!(refused(&other, &config(), Some(ISSUER)));
        assert!(refused(&ours, &config(), Some("https://other.example.com")));
        assert!(refused(&ours, &AccessTokenConfig { audience: Some("other".to_owned()), ..config() }, Some(ISSUER)));
        assert!(!refused(&ours, &config(), None), "where the verifier cannot know the issuer");
    }

    #[test]
    fn another_typ_or_alg_is_refused() {
        for kind in [KeyKind::Rsa, KeyKind::Ec] {
            let keys = keys(kind);
            let token = sign(&keys, &config());
            for (member, value) in
                [("typ", "JWT"), ("alg", "none"), ("alg", "HS256"), ("alg", "PS256"), ("kid", "other")]
            {
                let mut header = part(&token, 0);
                header[member] = value.into();
                let forged = with_part(&token, 0, &header);
                let result = keys.verifier.verify(&forged, &config(), Some(ISSUER), NOW);
                assert_eq!(result.map(drop), Err(AccessDefect::Invalid), "{member} {value}");
            }
        }
    }

    #[test]
    fn a_header_of_another_kind_is_refused_even_if_our_key_signed_it() {
        let mut keys = keys(KeyKind::Ec);
        let kid = keys.public["keys"][0]["kid"].clone();
        for (header, verdict) in [
            (serde_json::json!({ "typ": "at+jwt", "alg": "ES256", "kid": kid }), Ok(())),
            (serde_json::json!({ "typ": "JWT", "alg": "ES256", "kid": kid }), Err(AccessDefect::Invalid)),
            (serde_json::json!({ "typ": "at+jwt", "alg": "ES384", "kid": kid }), Err(AccessDefect::Invalid)),
            (
                serde_json::json!({ "typ": "at+jwt", "alg": "ES256", "kid": kid, "crit": ["exp"] }),
                Err(AccessDefect::Invalid),
            ),
        ] {
            keys.signer.header = URL_SAFE_NO_PAD.encode(header.to_string());
            let token = sign(&keys, &config());

            assert_eq!(keys.verifier.verify(&token, &config(), Some(ISSUER), NOW).map(drop), verdict, "{header}");
        }
    }

    #[test]
    fn a_changed_bit_in_any_character_is_refused() {
        let keys = keys(KeyKind::Ec);
        let token = sign(&keys, &config()).expose().to_owned();
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] ^= 1;
            let Ok(changed) = String::from_utf8(bytes) else {
                continue;
            };
            let result = keys.verifier.verify(&AccessToken::new(changed), &config(), Some(ISSUER), NOW);
            assert!(result.is_err(), "character {at}");
        }
    }

    #[test]
    fn neither_keys_nor_tokens_are_printed() {
        let keys = keys(KeyKind::Ec);
        let kid = &keys.public["keys"][0]["kid"];

        assert_eq!(format!("{:?}", keys.signer), "AccessSigner([REDACTED])");
        assert_eq!(format!("{:?}", keys.verifier), format!("{{{kid}}}"));
    }
}

//! Refresh tokens: an authenticated pointer to a session, and a pure function of key id, family and generation.
//!
//! A token that parses was made by us, so an invented one costs no call to the table, and an old generation is proved to
//! be ours. The table holds neither a token nor its hash, and a lost response can be repeated exactly. The token is not
//! encrypted: it shows its owner only what the owner knows already.

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use subtle::ConstantTimeEq as _;

use super::keyring::{KeyId, Keyring};
use crate::{
    ids::{AppId, DeviceId, Family, OpenId, SessionRef, UserRef},
    secret_text::RefreshTokenText,
};

/// The version, part of the MAC'd text; scanners find leaked tokens by it.
const PREFIX: &str = "wxr1_";
const TAG: usize = 32;
/// The length of a token of the longest appid and openid.
const LONGEST: usize = 360;

/// What a refresh token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshToken {
    /// The key of the ring that MACs it.
    pub key_id: KeyId,
    /// How many rotations lie between the login and this token.
    pub generation: u32,
    /// The login it descends from.
    pub family: Family,
    /// The device it was given to.
    pub device: DeviceId,
    /// The mini program.
    pub appid: AppId,
    /// The user.
    pub openid: OpenId,
}

/// Why a text is no refresh token of ours. Uniform on purpose: it tells a forger nothing.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("not a refresh token of ours")]
pub struct TokenDefect;

impl RefreshToken {
    /// Reads a token. Strict: one spelling per token; the MAC is compared in constant time.
    pub fn parse(text: &str, keys: &Keyring) -> Result<Self, TokenDefect> {
        if text.len() > LONGEST {
            return Err(TokenDefect);
        }
        let bytes = text.strip_prefix(PREFIX).and_then(|rest| URL_SAFE_NO_PAD.decode(rest).ok()).ok_or(TokenDefect)?;
        let (payload, tag) = bytes.split_last_chunk::<TAG>().ok_or(TokenDefect)?;
        let token = Self::read(payload).ok_or(TokenDefect)?;
        let expected = token.tag(payload, keys).ok_or(TokenDefect)?;
        if bool::from(expected.as_ref().ct_eq(tag)) { Ok(token) } else { Err(TokenDefect) }
    }

    /// The token's text. `None` when its key has left the ring.
    #[must_use]
    pub fn encode(&self, keys: &Keyring) -> Option<RefreshTokenText> {
        let mut bytes = self.payload();
        let tag = self.tag(&bytes, keys)?;
        bytes.extend_from_slice(tag.as_ref());
        Some(RefreshTokenText::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))))
    }

    /// The token that follows this one, under the given key.
    #[must_use]
    pub fn next(&self, key_id: KeyId) -> Self {
        Self { key_id, generation: self.generation.saturating_add(1), ..self.clone() }
    }

    /// The session it points to.
    #[must_use]
    pub fn session(&self) -> SessionRef {
        UserRef { appid: self.appid.clone(), openid: self.openid.clone() }.session(self.device)
    }

    fn tag(&self, payload: &[u8], keys: &Keyring) -> Option<hmac::Tag> {
        let mut context = hmac::Context::with_key(keys.refresh_key(self.key_id)?);
        context.update(PREFIX.as_bytes());
        context.update(payload);
        Some(context.sign())
    }

    fn payload(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        out.extend_from_slice(&self.key_id.0.to_be_bytes());
        out.extend_from_slice(&self.generation.to_be_bytes());
        out.extend_from_slice(&self.family.0);
        out.extend_from_slice(&self.device.0);
        for part in [self.appid.as_str(), self.openid.expose()] {
            // Both are at most 128 bytes by construction. The length before each keeps two payloads from being the same.
            out.push(u8::try_from(part.len()).unwrap_or(u8::MAX));
            out.extend_from_slice(part.as_bytes());
        }
        out
    }

    fn read(payload: &[u8]) -> Option<Self> {
        let (key_id, rest) = payload.split_first_chunk::<4>()?;
        let (generation, rest) = rest.split_first_chunk::<4>()?;
        let (family, rest) = rest.split_first_chunk::<16>()?;
        let (device, rest) = rest.split_first_chunk::<16>()?;
        let (appid, rest) = text(rest)?;
        let (openid, rest) = text(rest)?;
        rest.is_empty().then_some(Self {
            key_id: KeyId(u32::from_be_bytes(*key_id)),
            generation: u32::from_be_bytes(*generation),
            family: Family(*family),
            device: DeviceId(*device),
            appid: AppId::parse(appid).ok()?,
            openid: OpenId::parse(openid).ok()?,
        })
    }
}

/// A text after its length, and what follows it.
fn text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = bytes.split_first()?;
    let (text, rest) = rest.split_at_checked(usize::from(*length))?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::FromSecret as _;
    use proptest::prelude::*;

    fn ring() -> Keyring {
        Keyring::from_secret(
            r#"{"current":1,"keys":{"1":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE","2":"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI"}}"#,
        )
        .unwrap()
    }

    fn token() -> RefreshToken {
        RefreshToken {
            key_id: KeyId(1),
            generation: 7,
            family: Family([3; 16]),
            device: DeviceId([4; 16]),
            appid: AppId::parse("wx0123456789abcdef").unwrap(),
            openid: OpenId::parse("oGZUI0egBJY1zhBYw2KhdUfwVJJE").unwrap(),
        }
    }

    #[test]
    fn a_token_reads_back_as_what_was_written() {
        let text = token().encode(&ring()).unwrap();

        assert_eq!(RefreshToken::parse(text.expose(), &ring()).unwrap(), token());
        assert!(text.expose().starts_with("wxr1_"));
        let length = text.expose().len() - PREFIX.len();
        assert!((120..=300).contains(&length), "the scanners' pattern wants 120 to 300 characters, not {length}");
    }

    #[test]
    fn the_same_fields_give_the_same_token() {
        assert_eq!(token().encode(&ring()).unwrap().expose(), token().encode(&ring()).unwrap().expose());
    }

    #[test]
    fn every_changed_character_is_refused() {
        let text = token().encode(&ring()).unwrap().expose().to_owned();
        for at in 0..text.len() {
            for other in ["A", "B", "_", "=", " "] {
                let mut changed = text.clone();
                changed.replace_range(at..=at, other);
                if changed != text {
                    assert!(RefreshToken::parse(&changed, &ring()).is_err(), "character {at}");
                }
            }
            assert!(RefreshToken::parse(&text[..at], &ring()).is_err(), "cut at {at}");
        }
        assert!(RefreshToken::parse(&format!("{text}A"), &ring()).is_err());
        assert!(RefreshToken::parse(&format!("{text}="), &ring()).is_err());
    }

    #[test]
    fn a_token_under_another_key_id_is_refused() {
        let ring = ring();
        let mut forged = RefreshToken { key_id: KeyId(2), ..token() }.payload();
        let mac_of_key_1 = token().tag(&forged, &ring).unwrap();
        forged.extend_from_slice(mac_of_key_1.as_ref());
        let text = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(forged));

        assert!(RefreshToken::parse(&text, &ring).is_err());
        assert!(RefreshToken { key_id: KeyId(3), ..token() }.encode(&ring).is_none());
    }

    #[test]
    fn the_longest_token_is_read_and_no_longer_text() {
        let longest = RefreshToken {
            appid: AppId::parse(&"a".repeat(64)).unwrap(),
            openid: OpenId::parse(&"o".repeat(128)).unwrap(),
            ..token()
        };
        let text = longest.encode(&ring()).unwrap();

        assert_eq!(text.expose().len(), LONGEST);
        assert_eq!(RefreshToken::parse(text.expose(), &ring()).unwrap(), longest);
        assert!(RefreshToken::parse(&format!("{}A", text.expose()), &ring()).is_err());
    }

    #[test]
    fn the_successor_differs_in_generation_and_key_alone() {
        assert_eq!(token().next(KeyId(2)), RefreshToken { generation: 8, key_id: KeyId(2), ..token() });
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "(wxr1_)?[ -~]{0,300}") {
            prop_assert!(RefreshToken::parse(&text, &ring()).is_err());
        }
    }
}

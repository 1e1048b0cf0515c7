//! The keyring: one random key per id, and per purpose a key derived from it (HKDF-SHA256, RFC 5869).
//!
//! No derived key serves two purposes, and a value that was sealed for one user, app or purpose does not open as
//! another's. A value that was sealed by a key which has left the ring counts as absent.

use std::{collections::BTreeMap, fmt};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf, hmac,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{KeyText, MIN_AGE_OF_NEXT_KEY, made_recently};
use crate::{
    clock::Secs,
    entropy::{self, Entropy},
    ids::{Network, UserRef},
    secrets::{FromSecret, SecretDefect},
};

/// The number of a key in the ring. A new key gets a higher one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub u32);

/// The keys derived from one key of the ring.
struct Derived {
    refresh: hmac::Key,
    device: hmac::Key,
    fingerprint: hmac::Key,
    pseudonym: hmac::Key,
    source: hmac::Key,
    seal: LessSafeKey,
}

/// All keys that are still accepted, and the current one, which makes new tokens and seals.
pub struct Keyring {
    current: KeyId,
    keys: BTreeMap<KeyId, Derived>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Keyring(current {})", self.current.0)
    }
}

/// What a sealed value is for; a value sealed for one purpose opens for no other.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    /// A user's `session_key`.
    SessionKey,
    /// The idempotency record of a login.
    LoginRecord,
    /// The idempotency record of a phone code.
    PhoneRecord,
    /// WeChat's `access_token`.
    PlatformToken,
}

impl Purpose {
    /// Part of the additional data of everything that was ever sealed: these texts never change.
    const fn as_str(self) -> &'static str {
        match self {
            Self::SessionKey => "session_key",
            Self::LoginRecord => "login claim",
            Self::PhoneRecord => "phone claim",
            Self::PlatformToken => "platform token",
        }
    }
}

/// What a sealed value belongs to. It opens only in the same context.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// What it is for.
    pub purpose: Purpose,
    /// The mini program.
    pub appid: &'a str,
    /// The openid. For the idempotency record of a login it is the hash of the code, as the openid is not known yet; for
    /// what belongs to the app it is empty.
    pub owner: &'a str,
}

impl<'a> Context<'a> {
    /// The context of a value that is sealed for one user.
    #[must_use]
    pub fn of_user(user: &'a UserRef, purpose: Purpose) -> Self {
        Self { purpose, appid: user.appid.as_str(), owner: user.openid.expose() }
    }

    /// The additional data. The length before each part keeps two contexts from giving the same bytes.
    fn aad(self) -> Vec<u8> {
        let mut aad = b"wxauth|seal|1".to_vec();
        for part in [self.purpose.as_str(), self.appid, self.owner] {
            aad.extend_from_slice(&(part.len() as u64).to_be_bytes());
            aad.extend_from_slice(part.as_bytes());
        }
        aad
    }
}

/// A value could not be sealed.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("sealing failed")]
pub struct SealError;

impl Keyring {
    /// The key that makes new tokens and seals.
    #[must_use]
    pub fn current(&self) -> KeyId {
        self.current
    }

    /// The MAC key for refresh tokens of this id, while it is in the ring.
    pub(super) fn refresh_key(&self, id: KeyId) -> Option<&hmac::Key> {
        self.keys.get(&id).map(|derived| &derived.refresh)
    }

    /// The MAC key for proofs of devices of this id, while it is in the ring.
    pub(super) fn device_key(&self, id: KeyId) -> Option<&hmac::Key> {
        self.keys.get(&id).map(|derived| &derived.device)
    }

    /// Keyed fingerprints of a value, one for each key of the ring, the current one's first. They tell whether two values
    /// are the same, also across a key rotation, and tell nothing without the ring.
    #[must_use]
    pub fn fingerprints(&self, value: &[u8]) -> Vec<[u8; 16]> {
        let others = self.keys.iter().filter(|(id, _)| **id != self.current);
        let current = self.keys.get_key_value(&self.current);
        current.into_iter().chain(others).map(|(_, derived)| derived.fingerprint(value)).collect()
    }

    /// The name of a user in the log. It is the same for the same user until the keyring is rotated, and it means nothing
    /// without the ring.
    #[must_use]
    pub fn pseudonym(&self, user: &UserRef) -> Option<String> {
        let derived = self.keys.get(&self.current)?;
        let tag = hmac::sign(&derived.pseudonym, format!("{}|{}", user.appid, user.openid.expose()).as_bytes());
        tag.as_ref().first_chunk::<9>().map(|short| URL_SAFE_NO_PAD.encode(short))
    }

    /// The name of a network in the log, which tells the refused requests of one sender from those of others. It changes with
    /// the keyring, and means nothing without it.
    #[must_use]
    pub fn source_name(&self, network: &Network) -> Option<String> {
        let tag = hmac::sign(&self.keys.get(&self.current)?.source, network.expose().as_bytes());
        tag.as_ref().first_chunk::<9>().map(|short| URL_SAFE_NO_PAD.encode(short))
    }

    /// Seals a value: key id, random nonce, AES-256-GCM ciphertext and tag.
    pub fn seal(&self, context: Context<'_>, value: &[u8], entropy: &dyn Entropy) -> Result<Vec<u8>, SealError> {
        let derived = self.keys.get(&self.current).ok_or(SealError)?;
        let nonce: [u8; NONCE_LEN] = entropy::bytes(entropy);
        let mut text = Zeroizing::new(value.to_vec());
        let tag = derived
            .seal
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(context.aad()), &mut text)
            .map_err(|_| SealError)?;
        Ok([&self.current.0.to_be_bytes()[..], &nonce, &text, tag.as_ref()].concat())
    }

    /// Opens what [`Self::seal`] made in the same context; `None` for anything else.
    #[must_use]
    pub fn open(&self, context: Context<'_>, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (id, rest) = sealed.split_first_chunk::<4>()?;
        let (nonce, text) = rest.split_first_chunk::<NONCE_LEN>()?;
        let derived = self.keys.get(&KeyId(u32::from_be_bytes(*id)))?;
        let mut text = Zeroizing::new(text.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = derived.seal.open_in_place(nonce, Aad::from(context.aad()), &mut text).ok()?.len();
        text.truncate(opened);
        Some(text)
    }
}

/// The ring as its secret holds it.
#[derive(Serialize, Deserialize)]
pub struct StoredKeyring {
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<u32>,
    /// 32 bytes each, in base64url.
    keys: BTreeMap<u32, KeyText>,
    /// When each key was made.
    #[serde(default)]
    made_at: BTreeMap<u32, Secs>,
}

impl fmt::Debug for StoredKeyring {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "StoredKeyring(current {:?})", self.current)
    }
}

impl StoredKeyring {
    /// The ring after a rotation: the key after the current one becomes current, and a new one is made to follow it. An
    /// empty ring gets both. A key stays for `keep` seconds after it was current. `None` while the key to become current
    /// is so young that a warm function may not have read it yet. If it is missing or of unknown age, its day begins now,
    /// and nothing else changes.
    #[must_use]
    pub fn rotated(mut self, now: Secs, keep: Secs, entropy: &dyn Entropy) -> Option<Self> {
        let Some(before) = self.current else {
            self.add(1, now, entropy);
            self.add(2, now, entropy);
            self.current = Some(1);
            return Some(self);
        };
        let next = before.checked_add(1)?;
        if !self.keys.contains_key(&next) {
            self.add(next, now, entropy);
            return Some(self);
        }
        match self.made_at.get(&next).copied() {
            Some(made_at) if made_at.saturating_add(MIN_AGE_OF_NEXT_KEY) <= now => {}
            Some(made_at) if made_at <= now => return None,
            _ => {
                self.made_at.insert(next, now);
                return Some(self);
            }
        }
        self.current = Some(next);
        self.add(next.checked_add(1)?, now, entropy);
        // A key ceased to be current when the key after the next was made.
        let made_at = self.made_at.clone();
        let outlived = |id: u32| {
            let ceased_at = id.checked_add(2).and_then(|after| made_at.get(&after));
            ceased_at.is_some_and(|ceased_at| ceased_at.saturating_add(keep) < now)
        };
        self.keys.retain(|id, _| *id >= next || !outlived(*id));
        self.made_at.retain(|id, _| *id >= next || !outlived(id.saturating_sub(2)));
        Some(self)
    }

    fn add(&mut self, id: u32, now: Secs, entropy: &dyn Entropy) {
        self.keys.insert(id, KeyText(URL_SAFE_NO_PAD.encode(entropy::bytes::<32>(entropy))));
        self.made_at.insert(id, now);
    }

    /// Whether this ring is the result of rotating `before` within the last hour. A value that was made earlier, or from another
    /// one, must not become current.
    #[must_use]
    pub fn follows(&self, before: &Self, now: Secs) -> bool {
        let (Some(current), before_current) = (self.current, before.current.unwrap_or(0)) else { return false };
        let is_new = |id: &u32| self.made_at.get(id).is_some_and(|made_at| made_recently(*made_at, now));
        let moves_on = current.checked_sub(before_current).is_some_and(|by| by <= 1);
        moves_on
            && current.checked_add(1).is_some_and(|next| self.keys.contains_key(&next) && is_new(&next))
            && before.keys.iter().all(|(id, key)| *id < before_current || self.keys.get(id) == Some(key))
            && (!before.keys.is_empty() || self.keys.keys().all(is_new))
    }
}

impl FromSecret for Keyring {
    const EXPECTED_FORMAT: &'static str = r#"the keyring: {"current": n, "keys": {"n": 32 bytes in base64url}}"#;

    fn from_secret(text: &str) -> Result<Self, SecretDefect> {
        let stored: StoredKeyring = serde_json::from_str(text).map_err(|_| SecretDefect::Malformed)?;
        if stored.keys.is_empty() {
            return Err(SecretDefect::NotRotatedYet);
        }
        let mut keys = BTreeMap::new();
        for (id, key) in &stored.keys {
            let key = Zeroizing::new(URL_SAFE_NO_PAD.decode(&key.0).map_err(|_| SecretDefect::Malformed)?);
            let key: &[u8; 32] = key.as_slice().try_into().map_err(|_| SecretDefect::Malformed)?;
            keys.insert(KeyId(*id), Derived::from(key).ok_or(SecretDefect::Malformed)?);
        }
        let current = KeyId(stored.current.ok_or(SecretDefect::Malformed)?);
        if keys.contains_key(&current) { Ok(Self { current, keys }) } else { Err(SecretDefect::Malformed) }
    }
}

impl Derived {
    fn fingerprint(&self, value: &[u8]) -> [u8; 16] {
        let mut out = [0; 16];
        out.copy_from_slice(&hmac::sign(&self.fingerprint, value).as_ref()[..16]);
        out
    }

    fn from(key: &[u8; 32]) -> Option<Self> {
        // The keys are random already: no salt (RFC 5869 section 3.1).
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(key);
        Some(Self {
            refresh: hmac::Key::new(hmac::HMAC_SHA256, derive(&root, b"wxauth refresh token mac")?.as_slice()),
            device: hmac::Key::new(hmac::HMAC_SHA256, derive(&root, b"wxauth device proof")?.as_slice()),
            fingerprint: hmac::Key::new(hmac::HMAC_SHA256, derive(&root, b"wxauth fingerprint")?.as_slice()),
            pseudonym: hmac::Key::new(hmac::HMAC_SHA256, derive(&root, b"wxauth log pseudonym")?.as_slice()),
            source: hmac::Key::new(hmac::HMAC_SHA256, derive(&root, b"wxauth log source")?.as_slice()),
            seal: LessSafeKey::new(UnboundKey::new(&AES_256_GCM, derive(&root, b"wxauth seal")?.as_slice()).ok()?),
        })
    }
}

fn derive(root: &hkdf::Prk, info: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let mut out = Zeroizing::new([0; 32]);
    root.expand(&[info], hkdf::HKDF_SHA256).ok()?.fill(out.as_mut_slice()).ok()?;
    Some(out)
}

#[cfg(test)]
mod tests;

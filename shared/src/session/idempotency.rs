//! Idempotency records: what a single-use code gave, so that the same request again gets the same response.
//!
//! A login with an `Idempotency-Key` writes one, in parallel with its session, and so does every number that WeChat gave for
//! a phone code. Login looks for it when WeChat refuses the code; phone looks before it asks WeChat, and again after a refusal.
//!
//! A phone code is paid for, so while it is being exchanged a mark has the record's place: the same request again waits.
//!
//! A signature that covers no message is used once, too: its mark says which message it came with.
//!
//! A message that WeChat pushes is handed to the owner's function once, too: a mark says that this is being done, and the record
//! what the function answered. Another record says of a message that deletes something when it first arrived, and then that it was
//! obeyed.
//!
//! The table never holds a code, only its hash; the content of a record is sealed, but for a function's answer: `push` has no
//! keyring, which would open every `session_key` to it.

use std::time::Duration;

use aws_lc_rs::digest::{self, SHA256, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    clock::{Millis, Secs},
    entropy::{self, Entropy},
    ids::{AppId, DeviceId, Family, OpenId, UserRef},
    secret_text::{IdempotencyKey, LoginCode, PhoneCode},
    token::keyring::{Context, Keyring, Purpose, SealError},
};

/// How long a login may be repeated.
pub const LOGIN_LIFETIME: Secs = 120;

/// How long a phone number may be asked for again: as long as its code lives at WeChat.
pub const PHONE_LIFETIME: Secs = 300;

/// How long a code counts as being exchanged: longer than any request lives.
pub const EXCHANGE_LIFETIME: Secs = 12;

/// What an answer of the owner's function begins with. It is longer than a mark, so no mark is taken for one.
const PUSH_ANSWER: &[u8] = b"answer to a message: ";

/// What is kept of a message that was obeyed. It is shorter than a time.
const OBEYED: &[u8] = b"obeyed";

/// Another request with the same code may be about to write the record: how long to wait before each look.
pub const POLL_DELAYS: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(150), Duration::from_millis(300), Duration::from_millis(600)];

/// An idempotency record as the table holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyRecord {
    /// The hash of the code.
    pub code: CodeHash,
    /// What the code gave, sealed.
    pub sealed: Vec<u8>,
    /// When it expires.
    pub expires_at: Secs,
}

impl IdempotencyRecord {
    /// The record of a login, which can be repeated for [`LOGIN_LIFETIME`].
    pub fn of_login(
        code: CodeHash,
        appid: &AppId,
        login: &LoginRecord,
        logged_in_at: Secs,
        keyring: &Keyring,
        entropy: &dyn Entropy,
    ) -> Result<Self, SealError> {
        let sealed = keyring.seal(context(appid, &code), &login.to_bytes(), entropy)?;
        Ok(Self { code, sealed, expires_at: logged_in_at + LOGIN_LIFETIME })
    }

    /// The content of a login's record; `None` if it is another's, or its key has left the ring.
    #[must_use]
    pub fn open_login(&self, appid: &AppId, keyring: &Keyring) -> Option<LoginRecord> {
        LoginRecord::from_bytes(&keyring.open(context(appid, &self.code), &self.sealed)?)
    }

    /// The mark of a phone code that is being exchanged. In place of a sealed number it holds random bytes: they open under no
    /// key, and a repetition of the write that puts it recognises them.
    #[must_use]
    pub fn mark(code: CodeHash, now: Secs, entropy: &dyn Entropy) -> Self {
        Self { code, sealed: entropy::bytes::<16>(entropy).to_vec(), expires_at: now + EXCHANGE_LIFETIME }
    }

    /// What has the place of a record that was erased: nothing that was kept for this code before can come back over it.
    #[must_use]
    pub fn erased(code: CodeHash, now: Secs) -> Self {
        Self { code, sealed: Vec::new(), expires_at: now + PHONE_LIFETIME }
    }

    /// Whether only the place of an erased record is left.
    #[must_use]
    pub fn is_erased(&self) -> bool {
        self.sealed.is_empty()
    }

    /// The mark of a push's signature: the hash of what it came with.
    #[must_use]
    pub fn of_push_signature(signature: &str, message: [u8; 32], expires_at: Secs) -> Self {
        Self { code: CodeHash::of_push_signature(signature), sealed: message.to_vec(), expires_at }
    }

    /// What the owner's function answered to a message.
    #[must_use]
    pub fn of_push_answer(message: CodeHash, answer: &[u8], expires_at: Secs) -> Self {
        Self { code: message, sealed: [PUSH_ANSWER, answer].concat(), expires_at }
    }

    /// That answer; `None` while the function is being asked.
    #[must_use]
    pub fn push_answer(&self) -> Option<&[u8]> {
        self.sealed.strip_prefix(PUSH_ANSWER)
    }

    /// When a message that deletes something first arrived.
    #[must_use]
    pub fn of_push_arrival(deletion: CodeHash, arrived_ms: Millis, expires_at: Secs) -> Self {
        Self { code: deletion, sealed: arrived_ms.to_be_bytes().to_vec(), expires_at }
    }

    /// That time; `None` once the message was obeyed.
    #[must_use]
    pub fn push_arrival(&self) -> Option<Millis> {
        self.sealed.as_slice().try_into().ok().map(Millis::from_be_bytes)
    }

    /// That a message which deletes something was obeyed.
    #[must_use]
    pub fn of_obeyed_push(deletion: CodeHash, expires_at: Secs) -> Self {
        Self { code: deletion, sealed: OBEYED.to_vec(), expires_at }
    }

    /// When the login of a login's record arrived.
    #[must_use]
    pub fn logged_in_at(&self) -> Secs {
        self.expires_at.saturating_sub(LOGIN_LIFETIME)
    }

    /// Whether it has not expired yet.
    #[must_use]
    pub fn is_valid(&self, now: Secs) -> bool {
        self.expires_at > now
    }
}

/// Whoever opens a login's record does not know its openid yet, so the hash of the code is the owner.
fn context<'a>(appid: &'a AppId, code: &'a CodeHash) -> Context<'a> {
    Context { purpose: Purpose::LoginRecord, appid: appid.as_str(), owner: code.as_str() }
}

/// A code's SHA-256, over its kind and appid too. The table holds this instead of the code.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CodeHash(String);

impl CodeHash {
    /// The hash of a login code.
    #[must_use]
    pub fn of_login(appid: &AppId, code: &LoginCode) -> Self {
        Self::of("login", appid, code.expose())
    }

    /// The hash of a phone code that this user sent. The openid is part of it, so nobody reaches another user's record
    /// by sending that user's code.
    #[must_use]
    pub fn of_phone(user: &UserRef, code: &PhoneCode) -> Self {
        // An openid has no blank, so no two pairs of openid and code give the same text.
        Self::of("phone", &user.appid, &format!("{} {}", user.openid.expose(), code.expose()))
    }

    /// The hash of a push's signature. Several mini programs may share the token that made it.
    #[must_use]
    pub fn of_push_signature(signature: &str) -> Self {
        Self::of_text(&format!("wxauth|push signature|{signature}"))
    }

    /// The hash of a message that WeChat pushed, by what tells it from every other message to its mini program.
    #[must_use]
    pub fn of_push_message(appid: &AppId, identity: [u8; 32]) -> Self {
        Self::of("push message", appid, &URL_SAFE_NO_PAD.encode(identity))
    }

    /// The same hash of a message for what it deletes: both are kept.
    #[must_use]
    pub fn of_push_deletion(appid: &AppId, identity: [u8; 32]) -> Self {
        Self::of("push deletion", appid, &URL_SAFE_NO_PAD.encode(identity))
    }

    fn of(kind: &str, appid: &AppId, code: &str) -> Self {
        Self::of_text(&format!("wxauth|{kind} code|{appid}|{code}"))
    }

    fn of_text(text: &str) -> Self {
        Self(URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes())))
    }

    /// The hash as the table holds it.
    #[must_use]
    pub fn stored(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// base64url without padding.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Names a login request: SHA-256 over its `Idempotency-Key` and its bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestHash([u8; 32]);

impl RequestHash {
    /// The hash of a request with this key and body.
    #[must_use]
    pub fn of(key: &IdempotencyKey, body: &[u8]) -> Self {
        let mut digest = digest::Context::new(&SHA256);
        // The key's length is a separator: no two pairs of key and body give the same text.
        digest.update(&(key.expose().len() as u64).to_be_bytes());
        digest.update(key.expose().as_bytes());
        digest.update(body);
        let mut hash = [0; 32];
        hash.copy_from_slice(digest.finish().as_ref());
        Self(hash)
    }
}

/// The content of a login's idempotency record: the request, and the session that it was given. It holds no token: the
/// refresh token can be made again from these.
pub struct LoginRecord {
    /// The request that may be repeated.
    pub request: RequestHash,
    /// The session's device.
    pub device: DeviceId,
    /// The session's family.
    pub family: Family,
    /// The user.
    pub openid: OpenId,
}

impl LoginRecord {
    fn to_bytes(&self) -> Vec<u8> {
        [&self.request.0[..], &self.device.0, &self.family.0, self.openid.expose().as_bytes()].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (request, rest) = bytes.split_first_chunk::<32>()?;
        let (device, rest) = rest.split_first_chunk::<16>()?;
        let (family, rest) = rest.split_first_chunk::<16>()?;
        let openid = OpenId::parse(std::str::from_utf8(rest).ok()?).ok()?;
        Some(Self { request: RequestHash(*request), device: DeviceId(*device), family: Family(*family), openid })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{entropy::OsEntropy, secrets::FromSecret as _};

    fn user(appid: &str, openid: &str) -> UserRef {
        UserRef { appid: AppId::parse(appid).unwrap(), openid: OpenId::parse(openid).unwrap() }
    }

    #[test]
    fn the_same_text_as_another_kind_or_of_another_app_or_user_has_another_hash() {
        let (one, two) = (user("wx1", "oA"), user("wx2", "oA"));
        let login = |user: &UserRef| CodeHash::of_login(&user.appid, &LoginCode::new("c"));
        let phone = |user: &UserRef| CodeHash::of_phone(user, &PhoneCode::new("c"));

        assert_ne!(login(&one), login(&two));
        assert_ne!(login(&one), phone(&one));
        assert_ne!(phone(&one), phone(&two));
        assert_ne!(phone(&one), phone(&user("wx1", "oB")));
        assert_ne!(CodeHash::of_push_signature("c"), CodeHash::of_push_signature("d"));
        let message = |user: &UserRef, identity: u8| CodeHash::of_push_message(&user.appid, [identity; 32]);
        assert_ne!(message(&one, 1), message(&one, 2));
        assert_ne!(message(&one, 1), message(&two, 1));
        assert_ne!(message(&one, 1), CodeHash::of_push_deletion(&one.appid, [1; 32]));
    }

    #[test]
    fn what_is_stored_of_a_code_is_its_sha_256() {
        // printf %s 'wxauth|login code|wx1|c' | openssl dgst -sha256 -binary | basenc --base64url
        let expected = "i0kYnINUKIBYyogRMG3xqARxuN64a58a7faQ6mm1rBY";

        let hash = CodeHash::of_login(&AppId::parse("wx1").unwrap(), &LoginCode::new("c"));

        assert_eq!(hash.as_str(), expected);
        assert_eq!(CodeHash::stored(expected), hash);
    }

    #[test]
    fn a_record_is_valid_until_it_expires() {
        let record = IdempotencyRecord { code: CodeHash::stored("hash"), sealed: vec![1], expires_at: 100 };

        assert!(record.is_valid(99));
        assert!(!record.is_valid(100));
    }

    #[test]
    fn an_answer_of_the_owners_function_is_no_mark_and_no_mark_is_an_answer() {
        let code = || CodeHash::stored("hash");
        assert_eq!(IdempotencyRecord::of_push_answer(code(), b"null", 1).push_answer(), Some(&b"null"[..]));
        assert_eq!(IdempotencyRecord::of_push_answer(code(), b"", 1).push_answer(), Some(&b""[..]));
        assert_eq!(IdempotencyRecord::mark(code(), 1, &OsEntropy).push_answer(), None);
        assert_eq!(IdempotencyRecord::erased(code(), 1).push_answer(), None);
    }

    #[test]
    fn a_message_that_was_obeyed_has_no_arrival_any_more() {
        let code = || CodeHash::stored("hash");
        assert_eq!(
            IdempotencyRecord::of_push_arrival(code(), 1_800_000_000_001, 1).push_arrival(),
            Some(1_800_000_000_001)
        );
        assert_eq!(IdempotencyRecord::of_obeyed_push(code(), 1).push_arrival(), None);
    }

    #[test]
    fn a_logins_record_opens_for_its_own_code_and_app_alone() {
        let ring = r#"{"current":1,"keys":{"1":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE"}}"#;
        let ring = Keyring::from_secret(ring).unwrap();
        let (appid, openid) = (AppId::parse("wx1").unwrap(), OpenId::parse("oA").unwrap());
        let request = RequestHash::of(&IdempotencyKey::new("k"), b"body");
        let login = LoginRecord { request, device: DeviceId([2; 16]), family: Family([3; 16]), openid };

        let code = CodeHash::stored("hash");
        let record = IdempotencyRecord::of_login(code, &appid, &login, 1_000, &ring, &OsEntropy).unwrap();

        let content = record.open_login(&appid, &ring).unwrap();
        assert!(content.request == request && content.device == login.device && content.family == login.family);
        assert_eq!((content.openid, record.logged_in_at(), record.expires_at), (login.openid, 1_000, 1_120));
        assert!(record.open_login(&AppId::parse("wx2").unwrap(), &ring).is_none());
        let of_another_code = IdempotencyRecord { code: CodeHash::stored("other"), ..record };
        assert!(of_another_code.open_login(&appid, &ring).is_none());
    }

    #[test]
    fn a_request_is_named_by_its_key_and_its_bytes() {
        let hash = |key: &str, body: &[u8]| RequestHash::of(&IdempotencyKey::new(key), body);

        assert!(hash("k", b"body") == hash("k", b"body"));
        assert!(hash("k", b"body") != hash("l", b"body"));
        assert!(hash("k", b"body") != hash("k", b"bodz"));
        assert!(hash("kb", b"ody") != hash("k", b"body"));
    }
}

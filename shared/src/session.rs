//! Users and their sessions: what the table holds about them, and the rules that need no I/O.

pub mod idempotency;
pub mod issue;
pub mod refresh;

use idempotency::CodeHash;

use crate::{
    clock::{Millis, Secs},
    ids::{DeviceId, Family, UnionId, UserRef},
    secret_text::{SessionKey, SessionKeys},
    token::keyring::{Context, KeyId, Keyring, Purpose},
};

/// How long a replaced `session_key` is kept: WeChat keeps one, but two logins may cross.
pub const PREVIOUS_KEY: Secs = 600;

/// How many devices of a user stay logged in.
pub const DEVICES: usize = 5;

/// How many attempts to decrypt a user has in an hour. A padding oracle needs 2,000 a block.
pub const TRIES: u32 = 30;

/// The hour in which attempts are counted.
pub const TRIES_WINDOW: Secs = 3_600;

/// A login on one device, from `wx.login` until it is ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The device.
    pub device: DeviceId,
    /// The lineage of its refresh tokens.
    pub family: Family,
    /// How often it was rotated.
    pub generation: u32,
    /// The key under which its present refresh token is made.
    pub key_id: KeyId,
    /// When the login request arrived.
    pub created_at: Secs,
    /// The same in milliseconds: of two logins on a device the later one stays.
    pub arrived_ms: Millis,
    /// The last rotation, at first the login.
    pub rotated_at: Secs,
    /// The rotation before the last, at first zero.
    pub rotated_before: Secs,
    /// It ends here unless it is rotated before.
    pub idle: Secs,
    /// It ends here.
    pub absolute: Secs,
    /// The user's unionid, where the owner wants it in access tokens.
    pub unionid: Option<UnionId>,
}

impl Session {
    /// The session of a login that arrived at this time, for these lifetimes in seconds.
    #[must_use]
    pub fn new(
        device: DeviceId,
        family: Family,
        key_id: KeyId,
        arrived_ms: Millis,
        idle: Secs,
        absolute: Secs,
    ) -> Self {
        let created_at = arrived_ms / 1_000;
        Self {
            device,
            family,
            generation: 0,
            key_id,
            created_at,
            arrived_ms,
            rotated_at: created_at,
            rotated_before: 0,
            idle: created_at + idle,
            absolute: created_at + absolute,
            unionid: None,
        }
    }

    /// Whether it has neither run out nor been put aside by the emergency brake.
    #[must_use]
    pub fn is_alive(&self, now: Secs, not_before: Secs) -> bool {
        self.idle > now && self.absolute > now && self.created_at >= not_before
    }

    /// The earlier of its two ends.
    #[must_use]
    pub fn expires_at(&self) -> Secs {
        self.idle.min(self.absolute)
    }
}

/// A sealed `session_key`, as the table holds it.
pub type SealedKey = Vec<u8>;

/// What a login says about its user.
#[derive(Clone, Debug)]
pub struct UserLogin {
    /// The user.
    pub user: UserRef,
    /// The `session_key` that WeChat gave, sealed.
    pub key: SealedKey,
    /// Its keyed fingerprints, the one to store first: WeChat often gives the same key again.
    pub fingerprints: Vec<[u8; 16]>,
    /// The user's unionid, if WeChat told it.
    pub unionid: Option<UnionId>,
    /// The login's family: the first one makes the user new.
    pub family: Family,
    /// The idempotency record by which it can be repeated; named in the user item, so that it is erased with the user.
    pub idempotency_record: Option<CodeHash>,
    /// When the login request arrived.
    pub arrived_ms: Millis,
}

impl UserLogin {
    /// When the login request arrived, in seconds.
    #[must_use]
    pub fn arrived_at(&self) -> Secs {
        self.arrived_ms / 1_000
    }
}

/// Who the user of a login is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserStatus {
    /// This is the user's first login.
    New,
    /// The user has logged in before.
    Known,
    /// The owner has blocked the user: nothing was written.
    Blocked,
    /// The user was deleted after the login had arrived: nothing was written.
    Erased,
}

/// A user as the table holds them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// The first login; none if only a count or a block is left of a deleted user.
    pub first_login: Option<Secs>,
    /// The last login.
    pub last_login: Option<Secs>,
    /// The family of the first login.
    pub first_family: Option<Family>,
    /// The user across accounts.
    pub unionid: Option<UnionId>,
    /// When the owner blocked the user.
    pub blocked_at: Option<Secs>,
    /// The last deletion. What arrived before it is over, and logins that arrived until then are refused.
    pub deleted_ms: Option<Millis>,
    /// The `session_key` of the last login, sealed.
    pub current_key: Option<SealedKey>,
    /// Attempts to decrypt, and since when they are counted.
    pub tries: Option<(u32, Secs)>,
    /// The idempotency records of the last two logins.
    pub login_records: Vec<CodeHash>,
    /// The idempotency records of the phone codes of this hour and the one before it.
    pub phone_records: Vec<CodeHash>,
}

/// All items that are stored under a user's key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserItems {
    /// The user item.
    pub user: Option<User>,
    /// The sessions, whatever their age.
    pub sessions: Vec<Session>,
}

/// The sealed `session_key`s of a user, as far as they may still be valid.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SealedSessionKeys {
    /// The key of the last login.
    pub current: Option<SealedKey>,
    /// The one before it, for ten minutes.
    pub previous: Option<SealedKey>,
}

impl SealedSessionKeys {
    /// The keys, as far as the ring still opens them.
    #[must_use]
    pub fn open(&self, user: &UserRef, keyring: &Keyring) -> SessionKeys {
        let open = |sealed: &Option<SealedKey>| {
            let text = keyring.open(Context::of_user(user, Purpose::SessionKey), sealed.as_deref()?)?;
            std::str::from_utf8(&text).ok().map(SessionKey::new)
        };
        SessionKeys { current: open(&self.current), previous: open(&self.previous) }
    }
}

/// What became of a conditional write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteResult<T> {
    /// It was written; this is the item now.
    Applied(T),
    /// Its condition did not hold; this is the item as it is, if there is one.
    Refused(Option<T>),
}

/// The sessions that go when a user has too many devices: the longest unused, and of those used in the same second the oldest.
///
/// Every login that sees the same sessions names the same ones, so logins at once leave exactly as many devices as there may be.
#[must_use]
pub fn beyond_the_cap(mut sessions: Vec<Session>) -> Vec<Session> {
    let surplus = sessions.len().saturating_sub(DEVICES);
    sessions.sort_by_key(|session| (session.rotated_at, session.arrived_ms, session.device.0));
    sessions.truncate(surplus);
    sessions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        entropy::OsEntropy,
        ids::{AppId, OpenId},
        secrets::FromSecret as _,
    };

    fn session(device: u8, rotated_at: Secs) -> Session {
        Session {
            device: DeviceId([device; 16]),
            family: Family([device; 16]),
            generation: 0,
            key_id: KeyId(1),
            created_at: 0,
            arrived_ms: 0,
            rotated_at,
            rotated_before: 0,
            idle: 100,
            absolute: 200,
            unionid: None,
        }
    }

    #[test]
    fn the_longest_unused_device_goes_and_of_equals_the_oldest() {
        let gone = |sessions: Vec<Session>| -> Vec<u8> {
            beyond_the_cap(sessions).iter().map(|session| session.device.0[0]).collect()
        };
        let six =
            || vec![session(1, 60), session(2, 50), session(3, 10), session(4, 40), session(5, 20), session(6, 30)];

        assert_eq!(gone(six()), [3]);
        assert_eq!(gone(six()[..5].to_vec()), [0; 0]);
        assert_eq!(gone([six(), vec![session(7, 5)]].concat()), [7, 3]);
        let twelve: Vec<_> =
            (1..=12).map(|at| Session { arrived_ms: 13 - Millis::from(at), ..session(at, 60) }).collect();
        assert_eq!(gone(twelve), [12, 11, 10, 9, 8, 7, 6]);
    }

    #[test]
    fn a_session_ends_at_the_earlier_of_idle_and_absolute() {
        let ends = session(1, 0);

        assert!(ends.is_alive(99, 0));
        assert!(!ends.is_alive(100, 0));
        assert!(!Session { idle: 300, ..ends.clone() }.is_alive(200, 0));
        assert!(!ends.is_alive(50, 1), "made before the emergency brake");
        assert_eq!(ends.expires_at(), 100);
    }

    #[test]
    fn sealed_keys_open_for_their_own_user_alone() {
        let ring = r#"{"current":1,"keys":{"1":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE"}}"#;
        let ring = Keyring::from_secret(ring).unwrap();
        let user = |openid| UserRef { appid: AppId::parse("wx1").unwrap(), openid: OpenId::parse(openid).unwrap() };
        let seal = |text: &str| {
            ring.seal(Context::of_user(&user("oA"), Purpose::SessionKey), text.as_bytes(), &OsEntropy).ok()
        };
        let sealed = SealedSessionKeys { current: seal("new"), previous: seal("old") };

        let (own, others) = (sealed.open(&user("oA"), &ring), sealed.open(&user("oB"), &ring));

        assert_eq!(own.current.as_ref().map(SessionKey::expose), Some("new"));
        assert_eq!(own.previous.as_ref().map(SessionKey::expose), Some("old"));
        assert!(others.current.is_none() && others.previous.is_none());
    }
}

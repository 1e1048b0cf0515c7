//! Users and their sessions: what the table holds about them, and the rules that need no I/O.

pub mod idempotency;
pub mod issue;
pub mod refresh;

use idempotency::CodeHash;

use crate::{
    clock::{Millis, Secs},
    ids::{DeviceId, Family, UnionId, UserRef},
    secret_text::{SessionKey, SessionKeys},
    token::{
        access::Subject,
        keyring::{Context, KeyId, Keyring, Purpose},
    },
};

/// How long a replaced `session_key` is kept: WeChat keeps one, but two logins may cross.
pub const PREVIOUS_KEY: Secs = 600;

/// How many devices of a user stay logged in.
pub const DEVICES: usize = 5;

/// How many attempts of each kind a user has in an hour. A padding oracle needs 2,000 a block.
pub const TRIES: u32 = 30;

/// The hour in which attempts are counted.
pub const TRIES_WINDOW: Secs = 3_600;

/// What is counted, because users must not have it without end. Each kind has a count of its own: a profile with each login
/// must not cost the user the phone number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// Encrypted data at any route, since all are the same padding oracle.
    OpenData,
    /// The encrypted profile of a login.
    LoginProfile,
    /// A phone code, which costs the owner money; its idempotency record is named in the user item.
    PhoneCode(CodeHash),
}

/// What is told of when a session was used: whole days.
const TOLD_UNIT: Secs = 86_400;

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
        !self.has_run_out(now) && self.created_at >= not_before
    }

    /// Whether it has come to one of its two ends.
    #[must_use]
    pub fn has_run_out(&self, now: Secs) -> bool {
        self.expires_at() <= now
    }

    /// Whether a token with this subject was issued for it, and not for another session of the device.
    #[must_use]
    pub fn is_of(&self, subject: &Subject) -> bool {
        let is_exact = |millisecond| self.arrived_ms % 1_000 == Millis::from(millisecond);
        self.created_at == subject.auth_time && subject.millisecond.is_none_or(is_exact)
    }

    /// The earlier of its two ends.
    #[must_use]
    pub fn expires_at(&self) -> Secs {
        self.idle.min(self.absolute)
    }
}

/// What clients are told of a session's times. A thief with a copy of the tokens who learns when the owner refreshes can
/// refresh within the grace after it, each time, and is never noticed. So nothing that a client is told depends on when the
/// last refresh was: neither these values nor an order that is made of them.
impl Session {
    /// Seconds that it would last from now, were it refreshed now.
    #[must_use]
    pub fn lasts(&self, now: Secs) -> Secs {
        self.idle_time().min(self.absolute.saturating_sub(now))
    }

    /// When it would end, were it refreshed now: that, in whole days, or in steps of the idle time where this is shorter.
    #[must_use]
    pub fn told_expires_at(&self, now: Secs) -> Secs {
        let unit = self.idle_time().clamp(1, TOLD_UNIT);
        start_of(now + self.idle_time(), unit).min(self.absolute)
    }

    /// The day on which it was last used, or that of its login; yesterday, if that is today.
    ///
    /// It moves with the first refresh after a day without any, and else at midnight only. Who could see it move holds an
    /// access token of the session, and that does not last for a day without a refresh.
    #[must_use]
    pub fn told_last_seen_at(&self, now: Secs) -> Secs {
        let yesterday = start_of(now, TOLD_UNIT).saturating_sub(TOLD_UNIT);
        start_of(self.rotated_at, TOLD_UNIT).min(yesterday).max(self.created_at)
    }

    /// For how long it may stay unused.
    fn idle_time(&self) -> Secs {
        self.idle.saturating_sub(self.rotated_at)
    }
}

/// The start of the unit of time in which this time lies.
fn start_of(at: Secs, unit: Secs) -> Secs {
    at - at % unit
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
    /// An end of all that the user has, or a reset of the `session_key`, arrived after the login: nothing was written.
    Overtaken,
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
    /// The last deletion. Logins that arrived until then are refused: they would bring back what it took away.
    pub deleted_ms: Option<Millis>,
    /// The last time when all sessions were ended, or the `session_key` was replaced. Logins that arrived until then are refused
    /// likewise.
    pub logins_after_ms: Option<Millis>,
    /// The `session_key` of the last login, sealed.
    pub current_key: Option<SealedKey>,
    /// Attempts with encrypted data, and since when they are counted.
    pub tries: Option<(u32, Secs)>,
    /// The same of profiles in logins.
    pub login_tries: Option<(u32, Secs)>,
    /// The same of phone codes.
    pub phone_tries: Option<(u32, Secs)>,
    /// The idempotency records of the last two logins.
    pub login_records: Vec<CodeHash>,
    /// The idempotency records of the phone codes of the last hour in which there were any, and of the one before it.
    pub phone_records: Vec<CodeHash>,
}

impl User {
    /// Whether it is only the mark of an end, which may have been the end of somebody unknown.
    #[must_use]
    pub fn is_mark(&self) -> bool {
        let Self { deleted_ms, logins_after_ms, .. } = *self;
        *self == Self { deleted_ms, logins_after_ms, ..Self::default() }
    }

    /// Whether a login that arrived at this time is refused, because of what arrived since.
    #[must_use]
    pub fn overtakes(&self, arrived_ms: Millis) -> bool {
        self.deleted_ms.max(self.logins_after_ms).is_some_and(|last| last >= arrived_ms)
    }

    /// The current `session_key`, as far as the ring still opens it.
    #[must_use]
    pub fn session_key(&self, user: &UserRef, keyring: &Keyring) -> Option<SessionKey> {
        SealedSessionKeys { current: self.current_key.clone(), previous: None }.open(user, keyring).current
    }
}

/// Another `session_key` for a user, sealed.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// The key.
    pub sealed: SealedKey,
    /// Its keyed fingerprint.
    pub fingerprint: [u8; 16],
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
    use proptest::prelude::*;

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
    fn a_session_was_last_seen_on_a_day_before_today_or_at_its_login() {
        let day = TOLD_UNIT;
        let told =
            |created_at, rotated_at, now| Session { created_at, rotated_at, ..session(1, 0) }.told_last_seen_at(now);

        assert_eq!(told(10 * day + 5, 10 * day + 5, 10 * day + 9), 10 * day + 5);
        assert_eq!(told(5 * day, 10 * day + 5, 10 * day + 9), 9 * day);
        assert_eq!(told(5 * day, 9 * day + 5, 10 * day + 9), 9 * day);
        assert_eq!(told(5 * day, 8 * day + 5, 10 * day + 9), 8 * day);
        assert_eq!(told(5 * day, 10 * day + 5, 11 * day), 10 * day);
        assert_eq!(told(0, 5, 9), 0);
    }

    #[test]
    fn an_end_is_told_to_the_day_or_in_steps_of_a_shorter_idle_time_and_never_after_the_absolute_one() {
        let told =
            |idle, absolute, now| Session { idle: 1_000 + idle, absolute, ..session(1, 1_000) }.told_expires_at(now);

        assert_eq!(told(7 * TOLD_UNIT, Secs::MAX, 5 * TOLD_UNIT - 1), 11 * TOLD_UNIT);
        assert_eq!(told(7 * TOLD_UNIT, Secs::MAX, 5 * TOLD_UNIT), 12 * TOLD_UNIT);
        assert_eq!(told(700, Secs::MAX, 1_399), 1_400);
        assert_eq!(told(700, Secs::MAX, 1_400), 2_100);
        assert_eq!(told(7 * TOLD_UNIT, 9_999, 5_000), 9_999);
    }

    proptest! {
        /// Nothing that is told depends on when the last refresh was, if that is not longer ago than any copy of the
        /// session's tokens lasts without another.
        #[test]
        fn nothing_tells_when_the_last_refresh_was(
            created_at in 0..1_000_000_000_u64, age in 0..10_000_000_u64, idle in 0..10_000_000_u64,
            one in 0..=TOLD_UNIT, other in 0..=TOLD_UNIT,
        ) {
            let now = created_at + age;
            let told = |ago: Secs| {
                let rotated_at = now.saturating_sub(ago).max(created_at);
                let times = Session { created_at, rotated_at, idle: rotated_at + idle, ..session(1, 0) };
                let session = Session { absolute: created_at + 2_592_000, ..times };
                (session.lasts(now), session.told_expires_at(now), session.told_last_seen_at(now))
            };
            prop_assert_eq!(told(one), told(other));
        }
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

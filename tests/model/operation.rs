//! Operations on a table as values, so that they can be listed, repeated and shortened.

use shared::{
    clock::{Millis, Secs},
    ids::{AppId, DeviceId, Family, OpenId, SessionRef, UnionId, UserRef},
    secret_text::{LoginCode, PhoneCode},
    session::{
        Attempt, NewKey, SealedSessionKeys, Session, User, UserItems, UserLogin, UserStatus, WriteResult,
        idempotency::{CodeHash, IdempotencyRecord},
        refresh::RefreshWrite,
    },
    store::{
        StoreError, TakeError,
        grants::{Deletion, LeaseHolder, StoredPlatformToken},
    },
    token::{access::Subject, keyring::KeyId},
};
use tests::seeded::Seeded;
use tests::table::conformance::Table;

/// An operation of one of the traits.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Record(UserLogin),
    RememberUnionid(UserRef, UnionId),
    User(UserRef),
    Take(UserRef, Attempt, Secs),
    Open(SessionRef, Session),
    Rotate(RefreshWrite),
    Read(SessionRef),
    End(SessionRef, Family, Secs),
    LogOut(Subject, Secs),
    EraseSession(SessionRef, Family, Millis),
    Retract(SessionRef, Session, Secs),
    List(UserRef),
    Block(UserRef, Millis),
    Unblock(UserRef, Millis),
    RefuseLogins(UserRef, Millis),
    /// Of this time, and the latest that a login may have arrived which does not stay.
    EraseUser(UserRef, Millis, Millis),
    ReplaceKey(UserRef, Option<NewKey>, Millis),
    ForgetRecords(UserRef, Millis),
    EraseIdempotencyRecord(CodeHash, Secs),
    Put(IdempotencyRecord),
    Begin(IdempotencyRecord, Secs),
    GiveUp(IdempotencyRecord),
    Get(CodeHash),
    Stored(AppId),
    Lease(AppId, LeaseHolder, Secs),
    Release(AppId, LeaseHolder),
    Keep(AppId, LeaseHolder, StoredPlatformToken),
}

/// What an operation gave.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    Done,
    UserStatus(UserStatus),
    User(Option<User>),
    Keys(SealedSessionKeys),
    RateLimited(Secs),
    NoUser,
    Is(bool),
    Refreshed(WriteResult<Session>),
    Session(Option<Session>),
    UserItems(UserItems),
    Since(Secs),
    Deleted(Deletion),
    Later(Option<Millis>),
    IdempotencyRecord(Option<IdempotencyRecord>),
    Token(Option<StoredPlatformToken>),
    Failed(String),
}

impl Outcome {
    fn of<T>(result: Result<T, StoreError>, outcome: impl FnOnce(T) -> Self) -> Self {
        result.map_or_else(|error| Self::Failed(format!("{error:?}")), outcome)
    }
}

/// The idempotency records of a user are a set.
fn sorted(mut user: User) -> User {
    user.phone_records.sort_by(|one, two| one.as_str().cmp(two.as_str()));
    user
}

impl Operation {
    pub(crate) async fn on(&self, table: &dyn Table) -> Outcome {
        let done = |result| Outcome::of(result, |()| Outcome::Done);
        match self {
            Self::Record(login) => Outcome::of(table.store_user_login(login).await, Outcome::UserStatus),
            Self::RememberUnionid(user, unionid) => done(table.remember_unionid(user, unionid).await),
            Self::User(user) => Outcome::of(table.read_user(user).await, |user| Outcome::User(user.map(sorted))),
            Self::Take(user, attempt, now) => match table.take_session_keys(user, attempt, *now).await {
                Ok(keys) => Outcome::Keys(keys),
                Err(TakeError::RateLimited { retry_after }) => Outcome::RateLimited(retry_after),
                Err(TakeError::NoUser) => Outcome::NoUser,
                Err(TakeError::Store(error)) => Outcome::Failed(format!("{error:?}")),
            },
            Self::Open(at, session) => Outcome::of(table.put_session(at, session).await, Outcome::Is),
            Self::Rotate(rotation) => Outcome::of(table.refresh_session(rotation).await, Outcome::Refreshed),
            Self::Read(at) => Outcome::of(table.read_session(at).await, Outcome::Session),
            Self::End(at, family, now) => done(table.revoke_session(at, *family, *now).await),
            Self::LogOut(subject, now) => done(table.log_out_session(subject, *now).await),
            Self::EraseSession(at, family, at_ms) => done(table.erase_session(at, *family, *at_ms).await),
            Self::Retract(at, session, now) => done(table.retract_session(at, session, *now).await),
            Self::List(user) => Outcome::of(table.list_user_items(user).await, |mut everything| {
                everything.sessions.sort_by_key(|session| session.device.0);
                everything.user = everything.user.map(sorted);
                Outcome::UserItems(everything)
            }),
            Self::Block(user, now) => Outcome::of(table.block_user(user, *now).await, Outcome::Since),
            Self::Unblock(user, now) => Outcome::of(table.unblock_user(user, *now).await, Outcome::Is),
            Self::RefuseLogins(user, now) => done(table.refuse_logins(user, *now).await),
            Self::EraseUser(user, time, latest) => {
                Outcome::of(table.erase_user_of(user, *time, *latest).await, Outcome::Deleted)
            }
            Self::ReplaceKey(user, key, now) => {
                Outcome::of(table.replace_session_key(user, key.as_ref(), *now).await, Outcome::Is)
            }
            Self::ForgetRecords(user, at_ms) => Outcome::of(table.forget_records(user, *at_ms).await, Outcome::Later),
            Self::EraseIdempotencyRecord(code, now) => done(table.erase_idempotency_record(code, *now).await),
            Self::Put(record) => done(table.put_idempotency_record(record).await),
            Self::Begin(mark, now) => Outcome::of(table.begin_exchange(mark, *now).await, Outcome::Is),
            Self::GiveUp(mark) => done(table.give_up_exchange(mark).await),
            Self::Get(code) => Outcome::of(table.get_idempotency_record(code).await, Outcome::IdempotencyRecord),
            Self::Stored(appid) => Outcome::of(table.stored(appid).await, Outcome::Token),
            Self::Lease(appid, holder, now) => {
                Outcome::of(table.lease(appid, *holder, *now, now + 30).await, Outcome::Is)
            }
            Self::Release(appid, holder) => done(table.release(appid, *holder).await),
            Self::Keep(appid, holder, token) => done(table.keep(appid, *holder, token).await),
        }
    }
}

/// Makes operations over a few apps, users, devices, families and times, so that they meet.
pub(crate) struct Maker {
    random: Seeded,
    now: Secs,
    /// The last deletion, whose records are to be forgotten.
    erased: Option<(UserRef, Millis)>,
}

impl Maker {
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: Seeded::new(seed), now: 1_800_000_000, erased: None }
    }

    fn byte(&mut self, below: u8) -> u8 {
        u8::try_from(self.random.below(u64::from(below))).unwrap()
    }

    fn appid(&mut self) -> AppId {
        AppId::parse(["wx1", "wx2"][usize::from(self.random.one_in(4))]).unwrap()
    }

    fn forget_records(&mut self) -> Operation {
        let last = self.erased.clone().filter(|_| self.random.one_in(2));
        let (user, at) = last.unwrap_or_else(|| (self.user(), self.now_ms()));
        Operation::ForgetRecords(user, at)
    }

    fn erase_user(&mut self) -> Operation {
        // Or one of before the last deletion, which is late.
        let late = self.erased.clone().filter(|_| self.random.one_in(3)).map(|(user, last)| (user, last - 1));
        let (user, time) = late.unwrap_or_else(|| (self.user(), self.now_ms()));
        let latest = if self.random.one_in(2) { Millis::MAX } else { time + self.random.below(2_000) };
        self.erased = Some((user.clone(), time));
        Operation::EraseUser(user, time, latest)
    }

    fn user(&mut self) -> UserRef {
        let openid = ["oA", "oA", "oB"][usize::from(self.byte(3))];
        UserRef { appid: self.appid(), openid: OpenId::parse(openid).unwrap() }
    }

    fn device(&mut self) -> DeviceId {
        DeviceId([self.byte(2); 16])
    }

    fn session_ref(&mut self) -> SessionRef {
        let user = self.user();
        SessionRef { sid: user.sid(self.device()), user }
    }

    fn subject(&mut self) -> Subject {
        let SessionRef { user: UserRef { appid, openid }, sid } = self.session_ref();
        let millisecond = [None, Some(0), Some(1)][self.random.index(3)];
        Subject { appid, openid, sid, auth_time: self.now(), millisecond, unionid: None }
    }

    fn family(&mut self) -> Family {
        Family([self.byte(2); 16])
    }

    fn holder(&mut self) -> LeaseHolder {
        LeaseHolder([self.byte(2); 16])
    }

    fn code(&mut self) -> CodeHash {
        let user = self.user();
        let code = ["a", "b"][usize::from(self.byte(2))];
        if self.random.one_in(2) {
            CodeHash::of_phone(&user, &PhoneCode::new(code))
        } else {
            CodeHash::of_login(&user.appid, &LoginCode::new(code))
        }
    }

    /// The present by one of several clocks: they differ by seconds, and time goes by in leaps that matter.
    fn now(&mut self) -> Secs {
        let leap = [0, 0, 0, 1, 60, 119, 120, 600, 3_599, 3_600, 86_400][self.random.index(11)];
        if self.random.one_in(3) {
            self.now += leap;
        }
        self.now + self.random.below(3) - 1
    }

    /// The same in milliseconds.
    fn now_ms(&mut self) -> Millis {
        self.now() * 1_000 + self.random.below(2)
    }

    fn session(&mut self, device: DeviceId) -> Session {
        let now = self.now();
        Session {
            device,
            family: self.family(),
            generation: 0,
            key_id: KeyId(u32::from(self.byte(2))),
            created_at: now,
            arrived_ms: now * 1_000 + self.random.below(2),
            rotated_at: now,
            rotated_before: 0,
            idle: now + [200, 604_800][usize::from(self.byte(2))],
            absolute: now + [300, 2_592_000][usize::from(self.byte(2))],
            unionid: self.random.one_in(4).then(|| UnionId::parse("u1").unwrap()),
        }
    }

    fn login(&mut self) -> UserLogin {
        let key = self.byte(3);
        let (current, other) = (key + 10, key + 20);
        let mut fingerprints = vec![[current; 16], [other; 16]];
        if self.random.one_in(3) {
            fingerprints.reverse();
        }
        UserLogin {
            user: self.user(),
            key: vec![key, self.byte(255)],
            fingerprints,
            unionid: self.random.one_in(3).then(|| UnionId::parse("u2").unwrap()),
            family: self.family(),
            idempotency_record: self.random.one_in(2).then(|| self.code()),
            arrived_ms: self.now_ms(),
        }
    }

    fn rotation(&mut self) -> RefreshWrite {
        let now = self.now();
        RefreshWrite {
            at: self.session_ref(),
            family: self.family(),
            generation: u32::from(self.byte(3)),
            key_id: KeyId(u32::from(self.byte(2))),
            now,
            rotated_until: now - [0, 120][usize::from(self.byte(2))],
            idle: now + 604_800,
            not_before: if self.random.one_in(8) { now - 100 } else { 0 },
        }
    }

    fn record(&mut self, expires_at: Secs) -> IdempotencyRecord {
        IdempotencyRecord { code: self.code(), sealed: vec![self.byte(2)], expires_at }
    }

    /// The next one: often of sessions, seldom of what only one function does.
    pub(crate) fn next(&mut self) -> Operation {
        match self.random.below(48) {
            0..4 => Operation::Record(self.login()),
            4 => Operation::RememberUnionid(self.user(), UnionId::parse("u3").unwrap()),
            5 => Operation::User(self.user()),
            6..10 => {
                let attempt = [Attempt::OpenData, Attempt::LoginProfile, Attempt::PhoneCode(self.code())];
                let attempt = attempt[self.random.index(3)].clone();
                Operation::Take(self.user(), attempt, self.now())
            }
            10..14 => {
                let (user, device) = (self.user(), self.device());
                Operation::Open(SessionRef { sid: user.sid(device), user }, self.session(device))
            }
            14..22 => Operation::Rotate(self.rotation()),
            22 => Operation::Read(self.session_ref()),
            23 => Operation::End(self.session_ref(), self.family(), self.now()),
            24..26 => Operation::LogOut(self.subject(), self.now()),
            26 => Operation::List(self.user()),
            27..29 => Operation::Block(self.user(), self.now_ms()),
            29..31 => Operation::Unblock(self.user(), self.now_ms()),
            31 => self.erase_user(),
            32 => Operation::EraseIdempotencyRecord(self.code(), self.now()),
            33 => {
                let until = self.now() + [0, 300][usize::from(self.byte(2))];
                Operation::Put(self.record(until))
            }
            34 => Operation::Get(self.code()),
            35 => Operation::Stored(self.appid()),
            36 | 37 => Operation::Lease(self.appid(), self.holder(), self.now()),
            38 => Operation::Release(self.appid(), self.holder()),
            39 | 40 => {
                let now = self.now();
                Operation::Begin(self.record(now + 12), now)
            }
            41 => Operation::EraseSession(self.session_ref(), self.family(), self.now_ms()),
            42 => {
                let (user, device) = (self.user(), self.device());
                Operation::Retract(SessionRef { sid: user.sid(device), user }, self.session(device), self.now())
            }
            43 => self.forget_records(),
            44 => {
                let byte = self.byte(3);
                let key = NewKey { sealed: vec![byte, self.byte(255)], fingerprint: [byte + 10; 16] };
                Operation::ReplaceKey(self.user(), self.random.one_in(2).then_some(key), self.now_ms())
            }
            45 => Operation::RefuseLogins(self.user(), self.now_ms()),
            46 => {
                let now = self.now();
                Operation::GiveUp(self.record(now + 12))
            }
            _ => {
                let now = self.now();
                let token =
                    StoredPlatformToken { sealed: vec![self.byte(255)], renew_at: now + 10, expires_at: now + 20 };
                Operation::Keep(self.appid(), self.holder(), token)
            }
        }
    }
}

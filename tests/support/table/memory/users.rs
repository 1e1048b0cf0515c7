//! User items: logins, keys, attempts.

use std::collections::BTreeSet;

use async_trait::async_trait;

use super::{
    Clause, Item, Items, Key, MemoryTable, Value, above, at_most, bytes, get_bytes, get_number, get_text, number, text,
};
use shared::{
    clock::Secs,
    ids::{Family, UnionId, UserRef},
    session::{
        Attempt, PREVIOUS_KEY, SealedSessionKeys, TRIES, TRIES_WINDOW, User, UserLogin, UserStatus, WriteResult,
        idempotency::CodeHash,
    },
    store::{
        StoreError, TakeError,
        grants::{ReadUser, RememberUnionid, StoreUserLogin, TakeSessionKeys},
    },
};

/// How often an operation of several requests begins again.
pub(super) const ROUNDS: usize = 3;

pub(super) fn partition(user: &UserRef) -> String {
    format!("{}#{}", user.appid, user.openid.expose())
}

fn key(user: &UserRef) -> Key {
    (partition(user), "user".to_owned())
}

pub(super) fn to_user(item: &Item) -> User {
    let logins = ["login_claim", "login_claim_before"].into_iter().filter_map(|name| get_text(item, name));
    let phones = ["phone_claims", "phone_claims_before"].into_iter().flat_map(|name| texts(item, name));
    User {
        first_login: get_number(item, "first_login"),
        last_login: get_number(item, "last_login"),
        first_family: first_family(item),
        unionid: get_text(item, "unionid").and_then(|unionid| UnionId::parse(unionid).ok()),
        blocked_at: get_number(item, "blocked_at"),
        deleted_ms: get_number(item, "deleted_ms"),
        logins_after_ms: get_number(item, "logins_after_ms"),
        current_key: get_bytes(item, "current_key").map(<[u8]>::to_vec),
        tries: get_tries(item, "tries").zip(get_number(item, "tries_from")),
        login_tries: get_tries(item, "login_tries").zip(get_number(item, "login_tries_from")),
        phone_tries: get_tries(item, "phone_tries").zip(get_number(item, "phone_tries_from")),
        login_records: logins.map(CodeHash::stored).collect(),
        phone_records: phones.map(|hash| CodeHash::stored(&hash)).collect(),
    }
}

fn to_keys(item: &Item, now: Secs) -> SealedSessionKeys {
    let key = |name| get_bytes(item, name).map(<[u8]>::to_vec);
    SealedSessionKeys {
        current: key("current_key"),
        previous: key("previous_key").filter(|_| above(item, "previous_until", now)),
    }
}

fn texts(item: &Item, name: &str) -> BTreeSet<String> {
    if let Some(Value::Texts(texts)) = item.get(name) { texts.clone() } else { BTreeSet::new() }
}

fn get_tries(item: &Item, name: &str) -> Option<u32> {
    get_number(item, name).and_then(|tries| tries.try_into().ok())
}

/// The attributes of a count.
fn counted_as(attempt: &Attempt) -> (&'static str, &'static str) {
    match attempt {
        Attempt::OpenData => ("tries", "tries_from"),
        Attempt::LoginProfile => ("login_tries", "login_tries_from"),
        Attempt::PhoneCode(_) => ("phone_tries", "phone_tries_from"),
    }
}

fn first_family(item: &Item) -> Option<Family> {
    get_bytes(item, "first_family").and_then(|bytes| bytes.try_into().ok()).map(Family)
}

pub(super) fn is_blocked(item: &Item) -> bool {
    item.contains_key("blocked_at")
}

/// Whether this mark is not of an earlier time than the login.
fn overtakes(item: &Item, mark: &str, login: &UserLogin) -> bool {
    get_number(item, mark).is_some_and(|last| last >= login.arrived_ms)
}

pub(super) fn has_logged_in(item: &Item) -> bool {
    item.contains_key("first_login")
}

/// What moves aside, or `NULL` where there was none.
pub(super) fn moved(item: &Item, name: &str) -> Value {
    item.get(name).cloned().unwrap_or(Value::Null)
}

/// How a login stands to what is stored.
#[derive(Clone, Copy)]
struct Standing {
    is_last: bool,
    is_another_key: bool,
}

impl Standing {
    fn of(login: &UserLogin, item: &Item) -> Self {
        let stored = get_bytes(item, "fingerprint");
        Self {
            is_last: !above(item, "arrived_ms", login.arrived_ms),
            is_another_key: !login.fingerprints.iter().any(|known| Some(known.as_slice()) == stored),
        }
    }
}

/// What a login writes that stands so; `shift` where the current key is kept.
fn write_login(item: &mut Item, login: &UserLogin, standing: Standing, shift: bool) {
    let Standing { is_last, is_another_key } = standing;
    if is_another_key && (shift || !is_last) {
        let previous = if is_last { moved(item, "current_key") } else { bytes(login.key.clone()) };
        item.insert("previous_key", previous);
        item.insert("previous_until", number(login.arrived_at() + PREVIOUS_KEY));
    }
    if is_last {
        item.insert("current_key", bytes(login.key.clone()));
        item.insert("fingerprint", bytes(login.fingerprints.first().copied().unwrap_or_default()));
        item.insert("last_login", number(login.arrived_at()));
        item.insert("arrived_ms", number(login.arrived_ms));
    }
    item.entry("first_login").or_insert_with(|| number(login.arrived_at()));
    item.entry("first_family").or_insert_with(|| bytes(login.family.0));
    if let Some(unionid) = &login.unionid {
        item.insert("unionid", text(unionid.expose()));
    }
    if let Some(record) = &login.idempotency_record {
        item.insert("login_claim_before", moved(item, "login_claim"));
        item.insert("login_claim", text(record.as_str()));
    }
    item.remove("ttl");
}

impl MemoryTable {
    /// Updates an item, there or not, if a condition holds.
    pub(super) async fn update(
        &self,
        user: &UserRef,
        condition: impl Fn(Option<&Item>) -> bool + Send + Sync,
        change: impl Fn(&mut Item) + Send + Sync,
    ) -> Result<WriteResult<Item>, StoreError> {
        let key = key(user);
        let update = |items: &mut Items| {
            let there = items.get(&key);
            if !condition(there) {
                return WriteResult::Refused(there.cloned());
            }
            let item = items.entry(key.clone()).or_default();
            change(item);
            WriteResult::Applied(item.clone())
        };
        self.send(update).await
    }
}

impl MemoryTable {
    /// The condition of a login that stands so.
    fn may_log_in(
        &self,
        login: &UserLogin,
        Standing { is_last, is_another_key }: Standing,
        item: Option<&Item>,
    ) -> bool {
        let (not_blocked, not_erased, not_refused) = if is_another_key {
            (Clause::LoginNotBlocked, Clause::LoginNotErased, Clause::LoginNotRefused)
        } else {
            (Clause::SameKeyNotBlocked, Clause::SameKeyNotErased, Clause::SameKeyNotRefused)
        };
        let is_overtaken = |mark| item.is_some_and(|item| overtakes(item, mark, login));
        let later = item.is_some_and(|item| above(item, "arrived_ms", login.arrived_ms));
        let is_other = |item: &Item| {
            let is_there = item.contains_key("fingerprint");
            self.or(Clause::ShiftNoKey, !is_there)
                || is_there && self.and(Clause::ShiftOtherKey, Standing::of(login, item).is_another_key)
        };
        self.and(not_blocked, !item.is_some_and(is_blocked))
            && self.and(not_erased, !is_overtaken("deleted_ms"))
            && self.and(not_refused, !is_overtaken("logins_after_ms"))
            && if is_last { self.and(Clause::LoginLast, !later) } else { later }
            && (!is_last || !is_another_key || item.map_or(self.or(Clause::ShiftNoKey, true), is_other))
    }
}

#[async_trait]
impl StoreUserLogin for MemoryTable {
    async fn store_user_login(&self, login: &UserLogin) -> Result<UserStatus, StoreError> {
        let shifts = self.or(Clause::ShiftKeeps, true);
        let mut standing = Standing { is_last: true, is_another_key: true };
        for _ in 0..ROUNDS {
            let may = |item: Option<&Item>| self.may_log_in(login, standing, item);
            let item = match self.update(&login.user, may, |item| write_login(item, login, standing, shifts)).await? {
                WriteResult::Applied(item) if first_family(&item) == Some(login.family) => return Ok(UserStatus::New),
                WriteResult::Applied(_) => return Ok(UserStatus::Known),
                WriteResult::Refused(item) => item.unwrap_or_default(),
            };
            if is_blocked(&item) {
                return Ok(UserStatus::Blocked);
            } else if ["deleted_ms", "logins_after_ms"].iter().any(|mark| overtakes(&item, mark, login)) {
                return Ok(UserStatus::Overtaken);
            }
            standing = Standing::of(login, &item);
        }
        Err(StoreError::Throttled)
    }
}

#[async_trait]
impl RememberUnionid for MemoryTable {
    async fn remember_unionid(&self, user: &UserRef, unionid: &UnionId) -> Result<(), StoreError> {
        let of_user = |item: Option<&Item>| self.and(Clause::UnionidOfUser, item.is_some_and(has_logged_in));
        let set = |item: &mut Item| drop(item.insert("unionid", text(unionid.expose())));
        self.update(user, of_user, set).await.map(drop)
    }
}

#[async_trait]
impl ReadUser for MemoryTable {
    async fn read_user(&self, user: &UserRef) -> Result<Option<User>, StoreError> {
        self.send(|items| items.get(&key(user)).map(to_user)).await
    }
}

#[async_trait]
impl TakeSessionKeys for MemoryTable {
    async fn take_session_keys(
        &self,
        user: &UserRef,
        attempt: &Attempt,
        now: Secs,
    ) -> Result<SealedSessionKeys, TakeError> {
        let (tries, from) = counted_as(attempt);
        let record = if let Attempt::PhoneCode(record) = attempt { Some(record.as_str()) } else { None };
        let hour_ago = now.saturating_sub(TRIES_WINDOW);
        let runs_not = |item: Option<&Item>| {
            let over = |item: &Item| {
                self.or(Clause::FirstNoHour, !item.contains_key(from))
                    || item.contains_key(from) && self.and(Clause::FirstHourOver, at_most(item, from, hour_ago))
            };
            item.map_or(self.and(Clause::FirstOfUser, false), over)
        };
        let first = |item: &mut Item| {
            item.insert(tries, number(1_u32));
            item.insert(from, number(now));
            if let Some(record) = record {
                item.insert("phone_claims_before", moved(item, "phone_claims"));
                item.insert("phone_claims", Value::Texts([record.to_owned()].into()));
            }
        };
        let runs = |item: Option<&Item>| {
            item.is_some_and(|item| {
                self.and(Clause::CountMost, get_tries(item, tries).is_some_and(|tries| tries < TRIES))
            })
        };
        let one_more = |item: &mut Item| {
            item.insert(tries, number(get_tries(item, tries).unwrap_or_default() + 1));
            if let Some(record) = record {
                let mut records = texts(item, "phone_claims");
                records.insert(record.to_owned());
                item.insert("phone_claims", Value::Texts(records));
            }
        };
        for _ in 0..ROUNDS {
            let refused = match self.update(user, runs_not, first).await? {
                WriteResult::Applied(item) => return Ok(to_keys(&item, now)),
                WriteResult::Refused(item) => item.ok_or(TakeError::NoUser)?,
            };
            let over = get_number(&refused, from).unwrap_or(0) + TRIES_WINDOW;
            if over > now && get_tries(&refused, tries).unwrap_or(0) >= TRIES {
                return Err(TakeError::RateLimited { retry_after: over - now });
            }
            if let WriteResult::Applied(item) = self.update(user, runs, one_more).await? {
                return Ok(to_keys(&item, now));
            }
        }
        Err(TakeError::Store(StoreError::Throttled))
    }
}

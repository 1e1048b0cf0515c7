//! User items.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;

use super::{
    Clause, Item, Items, Key, MemoryTable, Value, above, at_most, below, bytes, get_bytes, get_number, get_text, is,
    number, sessions::HOUR, text,
};
use shared::{
    clock::{Millis, Secs},
    ids::{Family, UnionId, UserRef},
    session::{
        Attempt, NewKey, PREVIOUS_KEY, SealedSessionKeys, TRIES, TRIES_WINDOW, User, UserLogin, UserStatus,
        WriteResult, idempotency::CodeHash,
    },
    store::{
        StoreError, TakeError,
        grants::{
            BlockUser, Deletion, EraseUser, ReadUser, RefuseLogins, RememberUnionid, ReplaceSessionKey, StoreUserLogin,
            TakeSessionKeys,
        },
    },
};

/// How often an operation of several requests begins again.
const ROUNDS: usize = 3;

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

fn is_blocked(item: &Item) -> bool {
    item.contains_key("blocked_at")
}

/// Whether this mark is not of an earlier time than the login.
fn overtakes(item: &Item, mark: &str, login: &UserLogin) -> bool {
    get_number(item, mark).is_some_and(|last| last >= login.arrived_ms)
}

fn has_logged_in(item: &Item) -> bool {
    item.contains_key("first_login")
}

/// What moves aside, or `NULL` where there was none.
fn moved(item: &Item, name: &str) -> Value {
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
    async fn update(
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

/// Whether a number is not there or smaller.
fn grows(item: Option<&Item>, name: &str, to: Millis) -> bool {
    item.is_none_or(|item| !item.contains_key(name) || below(item, name, to))
}

/// Whether the last login did not arrive later.
fn is_after_login(item: Option<&Item>, at: Millis) -> bool {
    grows(item, "arrived_ms", at + 1)
}

/// This time, or one that is later than that of an item.
fn after(item: Option<&Item>, name: &str, at: Millis) -> Millis {
    item.and_then(|item| get_number(item, name)).map_or(at, |last| at.max(last + 1))
}

#[async_trait]
impl BlockUser for MemoryTable {
    async fn block_user(&self, user: &UserRef, now: Millis) -> Result<Secs, StoreError> {
        let mut at = now;
        for _ in 0..ROUNDS {
            let later = |item: Option<&Item>| self.and(Clause::BlockLater, grows(item, "block_ms", at));
            let block = |item: &mut Item| {
                item.entry("blocked_at").or_insert_with(|| number(now / 1_000));
                item.insert("block_ms", number(at));
                item.remove("ttl");
            };
            match self.update(user, later, block).await? {
                WriteResult::Applied(item) => {
                    return get_number(&item, "blocked_at").ok_or(StoreError::Corrupt { attribute: "blocked_at" });
                }
                WriteResult::Refused(item) => at = after(item.as_ref(), "block_ms", at),
            }
        }
        Err(StoreError::Throttled)
    }

    async fn unblock_user(&self, user: &UserRef, now: Millis) -> Result<bool, StoreError> {
        let mut at = now;
        for _ in 0..ROUNDS {
            let blocked = |item: Option<&Item>| {
                self.and(Clause::UnblockBlocked, item.is_some_and(is_blocked))
                    && self.and(Clause::UnblockLater, grows(item, "block_ms", at))
            };
            let of_a_user =
                |item: Option<&Item>| blocked(item) && self.and(Clause::UnblockUser, item.is_some_and(has_logged_in));
            let lift = |item: &mut Item| {
                item.remove("blocked_at");
                item.insert("block_ms", number(at));
            };
            let item = match self.update(user, of_a_user, lift).await? {
                WriteResult::Applied(_) => return Ok(true),
                WriteResult::Refused(item) => item.unwrap_or_default(),
            };
            if !is_blocked(&item) {
                return Ok(is(&item, "block_ms", &number(at)));
            }
            let run_out = |item: &mut Item| {
                lift(item);
                item.insert("ttl", number(at / 1_000 + HOUR));
            };
            if !has_logged_in(&item)
                && let WriteResult::Applied(_) = self.update(user, blocked, run_out).await?
            {
                return Ok(true);
            }
            at = after(Some(&item), "block_ms", at);
        }
        Err(StoreError::Throttled)
    }
}

/// When the last login arrived, if anybody has logged in.
fn last_arrival(item: Option<&Item>) -> Option<Millis> {
    item.and_then(|item| get_number(item, "arrived_ms"))
}

/// This time, or one that is later than an item's mark and not before its last login.
fn latest(item: Option<&Item>, mark: &str, at: Millis) -> Millis {
    after(item, mark, last_arrival(item).map_or(at, |login| at.max(login)))
}

/// Which kind of item is tried first, which items are brief, and what the end does with an item.
type Kinds = (bool, fn(&Item) -> bool, fn(&mut Item));

impl MemoryTable {
    /// Marks an end in a user item, now or as late as it must be, and gives the mark's time and whether there was a user. Items are
    /// of two kinds, of which the usual one is tried first; those that are `brief` get a TTL. The clauses: of this kind, later than
    /// the last mark, and not before the last login. Where a login arrived after `most`, nothing is written.
    async fn mark(
        &self,
        user: &UserRef,
        mark: &'static str,
        [kind, later, after_login]: [Clause; 3],
        (usual, is_brief, change): Kinds,
        (now, most): (Millis, Millis),
    ) -> Result<Option<(Millis, bool)>, StoreError> {
        let mut at = now;
        for _ in 0..ROUNDS {
            let mut last = None;
            for brief in [usual, !usual] {
                let was_user = AtomicBool::new(false);
                let may = |item: Option<&Item>| {
                    was_user.store(item.is_some_and(has_logged_in), Ordering::Relaxed);
                    self.and(kind, item.is_none_or(is_brief) == brief)
                        && self.and(later, grows(item, mark, at))
                        && self.and(after_login, is_after_login(item, at))
                };
                let update = |item: &mut Item| {
                    change(item);
                    item.insert(mark, number(at));
                    if brief {
                        item.insert("ttl", number(at / 1_000 + HOUR));
                    }
                };
                match self.update(user, may, update).await? {
                    WriteResult::Applied(_) => return Ok(Some((at, was_user.into_inner()))),
                    WriteResult::Refused(item) => last = item,
                }
            }
            if last_arrival(last.as_ref()).is_some_and(|login| login > most) {
                return Ok(None);
            }
            at = latest(last.as_ref(), mark, at);
        }
        Err(StoreError::Throttled)
    }
}

#[async_trait]
impl RefuseLogins for MemoryTable {
    async fn refuse_logins(&self, user: &UserRef, now: Millis) -> Result<(), StoreError> {
        let clauses = [Clause::RefuseNobody, Clause::RefuseLater, Clause::RefuseAfterLogin];
        let is_brief = |item: &Item| !has_logged_in(item) && !is_blocked(item);
        self.mark(user, "logins_after_ms", clauses, (false, is_brief, |_| {}), (now, Millis::MAX)).await.map(drop)
    }
}

#[async_trait]
impl ReplaceSessionKey for MemoryTable {
    async fn replace_session_key(&self, user: &UserRef, key: Option<&NewKey>, now: Millis) -> Result<bool, StoreError> {
        let mut at = now;
        for _ in 0..ROUNDS {
            let may = |item: Option<&Item>| {
                self.and(Clause::ReplaceUser, item.is_some_and(has_logged_in))
                    && self.and(Clause::ReplaceLater, grows(item, "logins_after_ms", at))
                    && self.and(Clause::ReplaceAfterLogin, is_after_login(item, at))
            };
            let replace = |item: &mut Item| {
                item.retain(|name, _| !["current_key", "fingerprint", "previous_key", "previous_until"].contains(name));
                if let Some(key) = key {
                    item.insert("current_key", bytes(key.sealed.clone()));
                    item.insert("fingerprint", bytes(key.fingerprint));
                }
                item.insert("logins_after_ms", number(at));
            };
            match self.update(user, may, replace).await? {
                WriteResult::Applied(_) => return Ok(true),
                WriteResult::Refused(item) if item.as_ref().is_some_and(has_logged_in) => {
                    at = latest(item.as_ref(), "logins_after_ms", at);
                }
                WriteResult::Refused(_) => return Ok(false),
            }
        }
        Err(StoreError::Throttled)
    }
}

/// What a deletion leaves.
const KEPT: [&str; 14] = [
    "tries",
    "tries_from",
    "login_tries",
    "login_tries_from",
    "phone_tries",
    "phone_tries_from",
    "blocked_at",
    "block_ms",
    "logins_after_ms",
    "ttl",
    "login_claim",
    "login_claim_before",
    "phone_claims",
    "phone_claims_before",
];

#[async_trait]
impl EraseUser for MemoryTable {
    async fn erase_user_of(&self, user: &UserRef, time: Millis, latest: Millis) -> Result<Deletion, StoreError> {
        let clauses = [Clause::EraseNotBlocked, Clause::EraseLater, Clause::EraseAfterLogin];
        let is_brief = |item: &Item| !is_blocked(item);
        let erase = |item: &mut Item| item.retain(|name, _| KEPT.contains(name));
        let kinds: Kinds = (true, is_brief, erase);
        if let Some((deleted_ms, was_user)) = self.mark(user, "deleted_ms", clauses, kinds, (time, latest)).await? {
            return Ok(Deletion { deleted_ms, was_user });
        }
        let may = |item: Option<&Item>| {
            item.is_some_and(|item| above(item, "arrived_ms", time))
                && self.and(Clause::EraseBeforeLogin, grows(item, "deleted_ms", time))
        };
        let erase = |item: &mut Item| {
            item.retain(|name, _| !["previous_key", "previous_until", "unionid"].contains(name));
            item.insert("first_login", moved(item, "last_login"));
            item.insert("deleted_ms", number(time));
        };
        self.update(user, may, erase).await?;
        Ok(Deletion { deleted_ms: time, was_user: true })
    }

    async fn forget_records(&self, user: &UserRef, deleted_ms: Millis) -> Result<Option<Millis>, StoreError> {
        let may = |item: Option<&Item>| {
            self.and(Clause::ForgetOwn, item.is_some_and(|item| is(item, "deleted_ms", &number(deleted_ms))))
                && self.and(Clause::ForgetNoUser, !item.is_some_and(has_logged_in))
        };
        let forget = |item: &mut Item| {
            item.retain(|name, _| !name.contains("_claim"));
        };
        Ok(match self.update(user, may, forget).await? {
            WriteResult::Refused(Some(item)) if !has_logged_in(&item) => {
                get_number(&item, "deleted_ms").filter(|last| *last > deleted_ms)
            }
            WriteResult::Applied(_) | WriteResult::Refused(_) => None,
        })
    }
}

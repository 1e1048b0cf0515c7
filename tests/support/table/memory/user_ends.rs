//! What keeps users out of their items: blocks, refused logins, another key, deletions.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;

use super::{
    Clause, Item, MemoryTable, above, below, bytes, get_number, is, number,
    sessions::HOUR,
    users::{ROUNDS, has_logged_in, is_blocked, moved},
};
use shared::{
    clock::{Millis, Secs},
    ids::UserRef,
    session::{NewKey, WriteResult},
    store::{
        StoreError,
        grants::{BlockUser, Deletion, EraseUser, RefuseLogins, ReplaceSessionKey},
    },
};

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

/// The mark of an end in a user item. Items are of two kinds, of which the usual one is tried first; a brief one gets a TTL.
struct Mark {
    name: &'static str,
    usual: bool,
    is_brief: fn(&Item) -> bool,
    /// Of this kind, later than the last such mark, and not before the last login.
    clauses: [Clause; 3],
    change: fn(&mut Item),
}

const REFUSED: Mark = Mark {
    name: "logins_after_ms",
    usual: false,
    is_brief: |item| !has_logged_in(item) && !is_blocked(item),
    clauses: [Clause::RefuseNobody, Clause::RefuseLater, Clause::RefuseAfterLogin],
    change: |_| {},
};

const DELETED: Mark = Mark {
    name: "deleted_ms",
    usual: true,
    is_brief: |item| !is_blocked(item),
    clauses: [Clause::EraseNotBlocked, Clause::EraseLater, Clause::EraseAfterLogin],
    change: |item| item.retain(|name, _| KEPT.contains(name)),
};

impl MemoryTable {
    /// Leaves a mark, now or as late as it must be, and gives its time and whether there was a user. Where a login arrived after
    /// `most`, there is none.
    async fn mark(
        &self,
        user: &UserRef,
        mark: &Mark,
        now: Millis,
        most: Millis,
    ) -> Result<Option<(Millis, bool)>, StoreError> {
        let [kind, later, after_login] = mark.clauses;
        let mut at = now;
        for _ in 0..ROUNDS {
            let mut last = None;
            for brief in [mark.usual, !mark.usual] {
                let was_user = AtomicBool::new(false);
                let may = |item: Option<&Item>| {
                    was_user.store(item.is_some_and(has_logged_in), Ordering::Relaxed);
                    self.and(kind, item.is_none_or(mark.is_brief) == brief)
                        && self.and(later, grows(item, mark.name, at))
                        && self.and(after_login, is_after_login(item, at))
                };
                let update = |item: &mut Item| {
                    (mark.change)(item);
                    item.insert(mark.name, number(at));
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
            at = latest(last.as_ref(), mark.name, at);
        }
        Err(StoreError::Throttled)
    }
}

#[async_trait]
impl RefuseLogins for MemoryTable {
    async fn refuse_logins(&self, user: &UserRef, now: Millis) -> Result<(), StoreError> {
        self.mark(user, &REFUSED, now, Millis::MAX).await.map(drop)
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
        if let Some((deleted_ms, was_user)) = self.mark(user, &DELETED, time, latest).await? {
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

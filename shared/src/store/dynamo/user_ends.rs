//! What keeps users out of their items: blocks, refused logins, another key, deletions.

use async_trait::async_trait;
use aws_sdk_dynamodb::types::ReturnValue;

use super::{
    DynamoTable, Item,
    item::{MARK, bytes, get_number, number, user_item_key},
    users::{IS_USER, NOT_BLOCKED, ROUNDS},
};
use crate::{
    clock::{Millis, Secs},
    ids::UserRef,
    session::{NewKey, WriteResult},
    store::{
        StoreError,
        grants::{BlockUser, Deletion, EraseUser, RefuseLogins, ReplaceSessionKey},
    },
};

/// Of blocks and unblocks the last one counts, also where an earlier one is late.
const LAST_WORD: &str = "(attribute_not_exists(#block_ms) OR #block_ms < :at)";

/// Everything but the counts of attempts, the block, marks, and the names of the idempotency records, which are still to be erased.
const ERASE: &str = "REMOVE #current_key, #fingerprint, #previous_key, #previous_until, #first_login, #last_login, \
    #first_family, #unionid, #arrived_ms";
/// What the last login did not write.
const ERASE_BEFORE_LOGIN: &str =
    "REMOVE #previous_key, #previous_until, #unionid SET #first_login = #last_login, #deleted_ms = :at";

#[async_trait]
impl BlockUser for DynamoTable {
    async fn block_user(&self, user: &UserRef, now: Millis) -> Result<Secs, StoreError> {
        // A user without an item is blocked too, or else users could escape by deleting themselves first. The TTL of what
        // is left of an erased user must not lift the block.
        let update = "SET #blocked_at = if_not_exists(#blocked_at, :now), #block_ms = :at REMOVE #ttl";
        let mut at = now;
        for _ in 0..ROUNDS {
            let values = vec![(":now", number(now / 1_000)), (":at", number(at))];
            match self.update(user_item_key(user), update, LAST_WORD, values).await? {
                WriteResult::Applied(item) => return get_number(&item, "blocked_at"),
                WriteResult::Refused(item) => at = after(item.as_ref(), "block_ms", at),
            }
        }
        Err(StoreError::Throttled)
    }

    async fn unblock_user(&self, user: &UserRef, now: Millis) -> Result<bool, StoreError> {
        let blocked = format!("attribute_exists(#blocked_at) AND {LAST_WORD}");
        let of_user_if = format!("{blocked} AND {IS_USER}");
        let of_user = "REMOVE #blocked_at SET #block_ms = :at";
        // If nothing else is left of an erased user, the item gets a TTL.
        let of_nobody = format!("{of_user}, #ttl = :ttl");
        let mut at = now;
        for _ in 0..ROUNDS {
            let values = vec![(":at", number(at))];
            let item = match self.update(user_item_key(user), of_user, &of_user_if, values.clone()).await? {
                WriteResult::Applied(_) => return Ok(true),
                WriteResult::Refused(item) => item.unwrap_or_default(),
            };
            if !item.contains_key("blocked_at") {
                // The SDK repeats a write whose acknowledgement was lost.
                return Ok(get_number::<Millis>(&item, "block_ms").is_ok_and(|last| last == at));
            }
            if !item.contains_key("first_login") {
                let values = [values, vec![(":ttl", number(at / 1_000 + MARK))]].concat();
                if let WriteResult::Applied(_) = self.update(user_item_key(user), &of_nobody, &blocked, values).await? {
                    return Ok(true);
                }
            }
            at = after(Some(&item), "block_ms", at);
        }
        Err(StoreError::Throttled)
    }
}

/// The time of a mark only grows.
fn grows(mark: &str) -> String {
    format!("(attribute_not_exists(#{mark}) OR #{mark} < :at)")
}

/// And no login so far has arrived after it.
fn is_latest(mark: &str) -> String {
    format!("{} AND (attribute_not_exists(#arrived_ms) OR #arrived_ms <= :at)", grows(mark))
}

/// When the last login arrived, if anybody has logged in.
fn last_arrival(item: Option<&Item>) -> Option<Millis> {
    item.and_then(|item| get_number(item, "arrived_ms").ok())
}

/// This time, or one that is later than an item's mark and not before its last login.
fn latest(item: Option<&Item>, mark: &'static str, at: Millis) -> Millis {
    after(item, mark, last_arrival(item).map_or(at, |login| at.max(login)))
}

impl DynamoTable {
    /// Writes a mark into a user item, now or as late as it must be, by the update for this kind of item, and gives the mark's time
    /// and the item as it was. Where a login arrived after `most`, it writes nothing.
    async fn mark(
        &self,
        user: &UserRef,
        mark: &'static str,
        kinds: [(&str, &str); 2],
        now: Millis,
        most: Millis,
    ) -> Result<Option<(Millis, Item)>, StoreError> {
        let mut at = now;
        for _ in 0..ROUNDS {
            let mut last = None;
            for (update, kind) in kinds {
                let condition = format!("{kind} AND {}", is_latest(mark));
                let mut values = vec![(":at", number(at))];
                if update.contains(":ttl") {
                    values.push((":ttl", number(at / 1_000 + MARK)));
                }
                match self.update_giving(ReturnValue::AllOld, user_item_key(user), update, &condition, values).await? {
                    WriteResult::Applied(before) => return Ok(Some((at, before))),
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
impl RefuseLogins for DynamoTable {
    async fn refuse_logins(&self, user: &UserRef, now: Millis) -> Result<(), StoreError> {
        let kinds = [
            ("SET #logins_after_ms = :at", "(attribute_exists(#first_login) OR attribute_exists(#blocked_at))"),
            // The mark is all that is left of anybody, or soon will be.
            (
                "SET #logins_after_ms = :at, #ttl = :ttl",
                "attribute_not_exists(#first_login) AND attribute_not_exists(#blocked_at)",
            ),
        ];
        self.mark(user, "logins_after_ms", kinds, now, Millis::MAX).await.map(drop)
    }
}

#[async_trait]
impl ReplaceSessionKey for DynamoTable {
    async fn replace_session_key(&self, user: &UserRef, key: Option<&NewKey>, now: Millis) -> Result<bool, StoreError> {
        // The previous key goes too: it may be the one that somebody knows. Its place is not taken by the current one.
        let update = match key {
            Some(_) => {
                "SET #current_key = :key, #fingerprint = :fingerprint, #logins_after_ms = :at \
                REMOVE #previous_key, #previous_until"
            }
            None => "SET #logins_after_ms = :at REMOVE #current_key, #fingerprint, #previous_key, #previous_until",
        };
        let condition = format!("{IS_USER} AND {}", is_latest("logins_after_ms"));
        let mut at = now;
        for _ in 0..ROUNDS {
            let mut values = vec![(":at", number(at))];
            if let Some(key) = key {
                values.extend([(":key", bytes(key.sealed.clone())), (":fingerprint", bytes(key.fingerprint))]);
            }
            match self.update(user_item_key(user), update, &condition, values).await? {
                WriteResult::Applied(_) => return Ok(true),
                WriteResult::Refused(item) if item.as_ref().is_some_and(|item| item.contains_key("first_login")) => {
                    at = latest(item.as_ref(), "logins_after_ms", at);
                }
                WriteResult::Refused(_) => return Ok(false),
            }
        }
        Err(StoreError::Throttled)
    }
}

/// This time, or one that is later than that of an item.
fn after(item: Option<&Item>, attribute: &'static str, at: Millis) -> Millis {
    item.and_then(|item| get_number::<Millis>(item, attribute).ok()).map_or(at, |last| at.max(last + 1))
}

#[async_trait]
impl EraseUser for DynamoTable {
    async fn erase_user_of(&self, user: &UserRef, time: Millis, latest: Millis) -> Result<Deletion, StoreError> {
        let (erase, erase_bare) =
            (format!("{ERASE} SET #deleted_ms = :at, #ttl = :ttl"), format!("{ERASE} SET #deleted_ms = :at"));
        // A block stays, so its item must not get a TTL.
        let kinds = [(erase.as_str(), NOT_BLOCKED), (erase_bare.as_str(), "attribute_exists(#blocked_at)")];
        if let Some((deleted_ms, before)) = self.mark(user, "deleted_ms", kinds, time, latest).await? {
            return Ok(Deletion { deleted_ms, was_user: before.contains_key("first_login") });
        }
        // Where a later deletion was there already, nothing is left of what was before it.
        let condition = format!("#arrived_ms > :at AND {}", grows("deleted_ms"));
        self.update(user_item_key(user), ERASE_BEFORE_LOGIN, &condition, vec![(":at", number(time))]).await?;
        Ok(Deletion { deleted_ms: time, was_user: true })
    }

    async fn forget_records(&self, user: &UserRef, deleted_ms: Millis) -> Result<Option<Millis>, StoreError> {
        let update = "REMOVE #login_claim, #login_claim_before, #phone_claims, #phone_claims_before";
        let condition = "#deleted_ms = :deleted_ms AND attribute_not_exists(#first_login)";
        let values = vec![(":deleted_ms", number(deleted_ms))];
        Ok(match self.update(user_item_key(user), update, condition, values).await? {
            WriteResult::Refused(Some(item)) if !item.contains_key("first_login") => {
                get_number(&item, "deleted_ms").ok().filter(|last| *last > deleted_ms)
            }
            WriteResult::Applied(_) | WriteResult::Refused(_) => None,
        })
    }
}

//! User items: the `session_key`s of the last logins, the counts of attempts, and the block.

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    DynamoTable, Values,
    item::{bytes, get_family, get_number, number, text, texts, to_sealed_session_keys, to_user, user_item_key},
};
use crate::{
    clock::Secs,
    ids::{UnionId, UserRef},
    session::{
        Attempt, PREVIOUS_KEY, SealedSessionKeys, TRIES, TRIES_WINDOW, User, UserLogin, UserStatus, WriteResult,
    },
    store::{
        StoreError, TakeError,
        grants::{BlockUser, EraseUser, ReadUser, RememberUnionid, StoreUserLogin, TakeSessionKeys},
    },
};

/// What every login writes: the key, sealed under the present keyring, and the times.
const LOGIN: &str = "SET #current_key = :key, #fingerprint = :fingerprint, #last_login = :at, \
    #first_login = if_not_exists(#first_login, :at), #first_family = if_not_exists(#first_family, :family)";
/// A key that differs from the current one moves that one to `previous`; the first key moves nothing. The same key again
/// must not move anything, or the real previous key would be lost.
const MOVE_KEY: &str = ", #previous_key = if_not_exists(#current_key, :none), #previous_until = :previous_until";
/// The user item names the idempotency records of the last two logins, so that they can be erased with the user. They are stored
/// as `login_claim`, those of phone codes as `phone_claims`.
const NAME_RECORD: &str = ", #login_claim_before = if_not_exists(#login_claim, :none), #login_claim = :record";
/// What is left of an erased user has a TTL. It must not delete a user who logs in again.
const CANCEL_TTL: &str = " REMOVE #ttl";
const NOT_BLOCKED: &str = "attribute_not_exists(#blocked_at)";

/// The idempotency records of the last hour move aside, because the youngest of them are still valid.
const FIRST_RECORD: &str = ", #phone_claims_before = if_not_exists(#phone_claims, :none), #phone_claims = :record";
const ONE_RECORD_MORE: &str = " ADD #phone_claims :record";

/// Removes everything but the counts of attempts and the block.
const REMOVE_PERSONAL: &str = "REMOVE #current_key, #fingerprint, #previous_key, #previous_until, #first_login, \
    #last_login, #first_family, #unionid, #login_claim, #login_claim_before, #phone_claims, #phone_claims_before";

/// Each round tries both writes, and a race makes one fail between the two. It takes the end of an hour to lose a round, so
/// three are never used up but by a table that is far too busy.
const ROUNDS: usize = 3;

/// `NULL`, where there was no value before.
fn none() -> AttributeValue {
    AttributeValue::Null(true)
}

/// The expression that a login needs, without the moved key, and its values.
fn login(login: &UserLogin) -> (String, Values<'static>) {
    let mut update = LOGIN.to_owned();
    let mut values = vec![
        (":key", bytes(login.key.clone())),
        (":fingerprint", bytes(login.fingerprints.first().copied().unwrap_or_default())),
        (":at", number(login.at)),
        (":family", bytes(login.family.0)),
    ];
    if let Some(unionid) = &login.unionid {
        update.push_str(", #unionid = :unionid");
        values.push((":unionid", text(unionid.expose())));
    }
    if let Some(record) = &login.idempotency_record {
        update.push_str(NAME_RECORD);
        values.extend([(":record", text(record.as_str())), (":none", none())]);
    }
    (update, values)
}

#[async_trait]
impl StoreUserLogin for DynamoTable {
    async fn store_user_login(&self, user_login: &UserLogin) -> Result<UserStatus, StoreError> {
        let (update, values) = login(user_login);
        // One fingerprint for each key of the ring: the stored one may have been made before a key rotation.
        let known: Vec<_> = (0..user_login.fingerprints.len()).map(|at| format!(":known{at}")).collect();
        let another_key = format!("(attribute_not_exists(#fingerprint) OR NOT #fingerprint IN ({}))", known.join(", "));
        let mut moving: Values<'_> = values.clone();
        // `:none` may be there twice: the values become a map.
        moving.extend([(":previous_until", number(user_login.at + PREVIOUS_KEY)), (":none", none())]);
        let fingerprints = known.iter().zip(&user_login.fingerprints);
        moving.extend(fingerprints.map(|(name, fingerprint)| (name.as_str(), bytes(*fingerprint))));

        let key = || user_item_key(&user_login.user);
        let condition = format!("{NOT_BLOCKED} AND {another_key}");
        let mut result = self.update(key(), &format!("{update}{MOVE_KEY}{CANCEL_TTL}"), &condition, moving).await?;
        if matches!(&result, WriteResult::Refused(Some(item)) if !item.contains_key("blocked_at")) {
            result = self.update(key(), &format!("{update}{CANCEL_TTL}"), NOT_BLOCKED, values).await?;
        }
        match result {
            WriteResult::Applied(item) if get_family(&item, "first_family")? == user_login.family => {
                Ok(UserStatus::New)
            }
            WriteResult::Applied(_) => Ok(UserStatus::Known),
            WriteResult::Refused(_) => Ok(UserStatus::Blocked),
        }
    }
}

#[async_trait]
impl RememberUnionid for DynamoTable {
    async fn remember_unionid(&self, user: &UserRef, unionid: &UnionId) -> Result<(), StoreError> {
        // Without a first login the item is only what is left of an erased user.
        let values = vec![(":unionid", text(unionid.expose()))];
        self.update(user_item_key(user), "SET #unionid = :unionid", "attribute_exists(#first_login)", values)
            .await
            .map(drop)
    }
}

#[async_trait]
impl ReadUser for DynamoTable {
    async fn read_user(&self, user: &UserRef) -> Result<Option<User>, StoreError> {
        self.get(user_item_key(user)).await?.as_ref().map(to_user).transpose()
    }
}

/// The attributes of a count: how many attempts there were, and since when.
fn count_attributes(attempt: &Attempt) -> (&'static str, &'static str) {
    match attempt {
        Attempt::OpenData => ("tries", "tries_from"),
        Attempt::LoginProfile => ("login_tries", "login_tries_from"),
        Attempt::PhoneCode(_) => ("phone_tries", "phone_tries_from"),
    }
}

#[async_trait]
impl TakeSessionKeys for DynamoTable {
    async fn take_session_keys(
        &self,
        user: &UserRef,
        attempt: &Attempt,
        now: Secs,
    ) -> Result<SealedSessionKeys, TakeError> {
        let (tries, from) = count_attributes(attempt);
        // The hour that began last is the one that ends last.
        let mut first = format!("SET #{tries} = :one, #{from} = :now, #tries_until = :until");
        let first_if = format!("attribute_exists(pk) AND (attribute_not_exists(#{from}) OR #{from} <= :hour_ago)");
        let mut one_more = format!("SET #{tries} = #{tries} + :one");
        let one_more_if = format!("#{tries} < :most");
        let mut values = vec![(":one", number(1_u32))];
        let mut values_of_first = vec![
            (":now", number(now)),
            (":hour_ago", number(now.saturating_sub(TRIES_WINDOW))),
            (":until", number(now + TRIES_WINDOW)),
        ];
        if let Attempt::PhoneCode(record) = attempt {
            first.push_str(FIRST_RECORD);
            one_more.push_str(ONE_RECORD_MORE);
            values.push((":record", texts(&[record.as_str()])));
            values_of_first.push((":none", none()));
        }
        let values_of_more = vec![(":most", number(TRIES))];
        let with = |more: &Values<'static>| [values.as_slice(), more.as_slice()].concat();
        for _ in 0..ROUNDS {
            // Most attempts are the first of their hour. One that is not meets an hour that runs: no other write ends it.
            let item = match self.update(user_item_key(user), &first, &first_if, with(&values_of_first)).await? {
                WriteResult::Applied(item) => return Ok(to_sealed_session_keys(&item, now)),
                WriteResult::Refused(item) => item.ok_or(TakeError::NoUser)?,
            };
            let over = get_number::<Secs>(&item, from).unwrap_or(0) + TRIES_WINDOW;
            if over > now && get_number::<u32>(&item, tries).unwrap_or(0) >= TRIES {
                return Err(TakeError::RateLimited { retry_after: over - now });
            }
            let result = self.update(user_item_key(user), &one_more, &one_more_if, with(&values_of_more)).await?;
            if let WriteResult::Applied(item) = result {
                return Ok(to_sealed_session_keys(&item, now));
            }
        }
        Err(TakeError::Store(StoreError::Throttled))
    }
}

#[async_trait]
impl BlockUser for DynamoTable {
    async fn block_user(&self, user: &UserRef, now: Secs) -> Result<Secs, StoreError> {
        // A user without an item is blocked too, or else users could escape by deleting themselves first. The TTL of what
        // is left of an erased user must not lift the block.
        let update = "SET #blocked_at = if_not_exists(#blocked_at, :now) REMOVE #ttl";
        match self.update(user_item_key(user), update, "", vec![(":now", number(now))]).await? {
            WriteResult::Applied(item) => get_number(&item, "blocked_at"),
            // There is no condition that could refuse it.
            WriteResult::Refused(_) => Err(StoreError::Corrupt { attribute: "blocked_at" }),
        }
    }

    async fn unblock_user(&self, user: &UserRef, now: Secs) -> Result<bool, StoreError> {
        let condition = "attribute_exists(#blocked_at) AND attribute_exists(#first_login)";
        let result = self.update(user_item_key(user), "REMOVE #blocked_at", condition, Vec::new()).await?;
        if let WriteResult::Applied(_) = result {
            return Ok(true);
        }
        // Nothing else is left of an erased user, so the item gets a TTL.
        let condition = "attribute_exists(#blocked_at) AND attribute_not_exists(#first_login)";
        let values = vec![(":ttl", number(now + TRIES_WINDOW))];
        let result = self.update(user_item_key(user), "REMOVE #blocked_at SET #ttl = :ttl", condition, values).await?;
        Ok(matches!(result, WriteResult::Applied(_)))
    }
}

#[async_trait]
impl EraseUser for DynamoTable {
    async fn erase_user(&self, user: &UserRef, now: Secs) -> Result<(), StoreError> {
        let condition = format!("{NOT_BLOCKED} AND (attribute_not_exists(#tries_until) OR #tries_until <= :now)");
        for _ in 0..ROUNDS {
            let values = vec![(":now", number(now))];
            let deleted = self.delete(user_item_key(user), &condition, values).await?;
            if deleted == WriteResult::Applied(()) || self.remove_personal(user).await? {
                return Ok(());
            }
        }
        Err(StoreError::Throttled)
    }
}

impl DynamoTable {
    /// Removes everything personal from a user item; false if neither a count nor a block keeps the item.
    async fn remove_personal(&self, user: &UserRef) -> Result<bool, StoreError> {
        let blocked = "attribute_exists(#blocked_at)";
        let result = self.update(user_item_key(user), REMOVE_PERSONAL, blocked, Vec::new()).await?;
        if let WriteResult::Applied(_) = result {
            return Ok(true);
        }
        let update = format!("{REMOVE_PERSONAL} SET #ttl = #tries_until");
        let condition = format!("{NOT_BLOCKED} AND attribute_exists(#tries_until)");
        let result = self.update(user_item_key(user), &update, &condition, Vec::new()).await?;
        Ok(matches!(result, WriteResult::Applied(_)))
    }
}

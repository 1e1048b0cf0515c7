//! User items: the `session_key`s of the last logins, and the counts of attempts.

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    DynamoTable, Item, Values,
    item::{
        bytes, get_bytes, get_family, get_number, number, text, texts, to_sealed_session_keys, to_user, user_item_key,
    },
};
use crate::{
    clock::{Millis, Secs},
    ids::{UnionId, UserRef},
    session::{
        Attempt, PREVIOUS_KEY, SealedSessionKeys, TRIES, TRIES_WINDOW, User, UserLogin, UserStatus, WriteResult,
    },
    store::{
        StoreError, TakeError,
        grants::{ReadUser, RememberUnionid, StoreUserLogin, TakeSessionKeys},
    },
};

/// What every login writes.
const LOGIN: &str = "SET #first_login = if_not_exists(#first_login, :at), \
    #first_family = if_not_exists(#first_family, :family)";
/// What the last login writes, by when it arrived.
const LAST: &str = ", #current_key = :key, #fingerprint = :fingerprint, #last_login = :at, #arrived_ms = :arrived_ms";
/// A key that differs from the current one moves that one to `previous`; the first key moves nothing. The same key again
/// must not move anything, or the real previous key would be lost.
const MOVE_KEY: &str = ", #previous_key = if_not_exists(#current_key, :none), #previous_until = :previous_until";
/// A login that is written after a later one leaves that one's key and time where they are.
const EARLIER_KEY: &str = ", #previous_key = :key, #previous_until = :previous_until";
const IS_LAST: &str = "(attribute_not_exists(#arrived_ms) OR #arrived_ms <= :arrived_ms)";
const IS_EARLIER: &str = "#arrived_ms > :arrived_ms";
/// The user item names the idempotency records of the last two logins, so that they can be erased with the user. They are stored
/// as `login_claim`, those of phone codes as `phone_claims`.
const NAME_RECORD: &str = ", #login_claim_before = if_not_exists(#login_claim, :none), #login_claim = :record";
/// What is left of an erased user has a TTL. It must not delete a user who logs in again.
const CANCEL_TTL: &str = " REMOVE #ttl";
pub(super) const NOT_BLOCKED: &str = "attribute_not_exists(#blocked_at)";
/// A user who was deleted, or whose sessions were ended, can log in again, but no login that arrived before brings anything back.
const MAY_LOG_IN: &str = "attribute_not_exists(#blocked_at) \
    AND (attribute_not_exists(#deleted_ms) OR #deleted_ms < :arrived_ms) \
    AND (attribute_not_exists(#logins_after_ms) OR #logins_after_ms < :arrived_ms)";
pub(super) const IS_USER: &str = "attribute_exists(#first_login)";

/// The idempotency records of the last hour move aside, because the youngest of them are still valid.
const FIRST_RECORD: &str = ", #phone_claims_before = if_not_exists(#phone_claims, :none), #phone_claims = :record";
const ONE_RECORD_MORE: &str = " ADD #phone_claims :record";

/// Each round tries both writes, and a race makes one fail between the two. It takes the end of an hour to lose a round, so
/// three are never used up but by a table that is far too busy.
pub(super) const ROUNDS: usize = 3;

/// `NULL`, where there was no value before.
fn none() -> AttributeValue {
    AttributeValue::Null(true)
}

/// How a login stands to what is stored.
#[derive(Clone, Copy)]
struct Standing {
    /// None that is stored arrived later.
    is_last: bool,
    /// Its key is not the stored one.
    is_another_key: bool,
}

impl Standing {
    /// That of most logins: WeChat gives another key after a while.
    const FIRST: Self = Self { is_last: true, is_another_key: true };

    fn of(login: &UserLogin, item: &Item) -> Self {
        let stored = get_bytes(item, "fingerprint").unwrap_or_default();
        Self {
            is_last: get_number::<Millis>(item, "arrived_ms").map_or(true, |arrived| arrived <= login.arrived_ms),
            is_another_key: !login.fingerprints.iter().any(|known| known == stored),
        }
    }
}

/// Update, condition and values of a login that stands so; `known` names its fingerprints.
fn login<'a>(login: &UserLogin, known: &'a [String], standing: Standing) -> (String, String, Values<'a>) {
    let Standing { is_last, is_another_key } = standing;
    let mut update = LOGIN.to_owned();
    let mut condition = format!("{MAY_LOG_IN} AND {}", if is_last { IS_LAST } else { IS_EARLIER });
    let mut values = vec![
        (":at", number(login.arrived_at())),
        (":arrived_ms", number(login.arrived_ms)),
        (":family", bytes(login.family.0)),
    ];
    if is_last {
        update.push_str(LAST);
        values.push((":fingerprint", bytes(login.fingerprints.first().copied().unwrap_or_default())));
    }
    if is_last || is_another_key {
        values.push((":key", bytes(login.key.clone())));
    }
    if is_another_key {
        update.push_str(if is_last { MOVE_KEY } else { EARLIER_KEY });
        values.push((":previous_until", number(login.arrived_at() + PREVIOUS_KEY)));
    }
    if is_last && is_another_key {
        let known_ones = known.join(", ");
        condition =
            format!("{condition} AND (attribute_not_exists(#fingerprint) OR NOT #fingerprint IN ({known_ones}))");
        let fingerprints = known.iter().zip(&login.fingerprints);
        values.extend(fingerprints.map(|(name, fingerprint)| (name.as_str(), bytes(*fingerprint))));
    }
    if let Some(unionid) = &login.unionid {
        update.push_str(", #unionid = :unionid");
        values.push((":unionid", text(unionid.expose())));
    }
    if let Some(record) = &login.idempotency_record {
        update.push_str(NAME_RECORD);
        values.push((":record", text(record.as_str())));
    }
    if update.contains(":none") {
        values.push((":none", none()));
    }
    (update + CANCEL_TTL, condition, values)
}

#[async_trait]
impl StoreUserLogin for DynamoTable {
    async fn store_user_login(&self, user_login: &UserLogin) -> Result<UserStatus, StoreError> {
        // One fingerprint for each key of the ring: the stored one may have been made before a key rotation.
        let known: Vec<_> = (0..user_login.fingerprints.len()).map(|at| format!(":known{at}")).collect();
        let mut standing = Standing::FIRST;
        for _ in 0..ROUNDS {
            let (update, condition, values) = login(user_login, &known, standing);
            match self.update(user_item_key(&user_login.user), &update, &condition, values).await? {
                WriteResult::Applied(item) if get_family(&item, "first_family")? == user_login.family => {
                    return Ok(UserStatus::New);
                }
                WriteResult::Applied(_) => return Ok(UserStatus::Known),
                WriteResult::Refused(item) if is_blocked(item.as_ref()) => return Ok(UserStatus::Blocked),
                WriteResult::Refused(item) if is_overtaken(item.as_ref(), user_login) => {
                    return Ok(UserStatus::Overtaken);
                }
                WriteResult::Refused(item) => standing = Standing::of(user_login, &item.unwrap_or_default()),
            }
        }
        Err(StoreError::Throttled)
    }
}

fn is_blocked(item: Option<&Item>) -> bool {
    item.is_some_and(|item| item.contains_key("blocked_at"))
}

fn is_overtaken(item: Option<&Item>, login: &UserLogin) -> bool {
    item.and_then(|item| to_user(item).ok()).is_some_and(|user| user.overtakes(login.arrived_ms))
}

#[async_trait]
impl RememberUnionid for DynamoTable {
    async fn remember_unionid(&self, user: &UserRef, unionid: &UnionId) -> Result<(), StoreError> {
        // Without a first login the item is only what is left of an erased user.
        let values = vec![(":unionid", text(unionid.expose()))];
        self.update(user_item_key(user), "SET #unionid = :unionid", IS_USER, values).await.map(drop)
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
        let mut first = format!("SET #{tries} = :one, #{from} = :now");
        let first_if = format!("attribute_exists(pk) AND (attribute_not_exists(#{from}) OR #{from} <= :hour_ago)");
        let mut one_more = format!("SET #{tries} = #{tries} + :one");
        let one_more_if = format!("#{tries} < :most");
        let mut values = vec![(":one", number(1_u32))];
        let mut values_of_first = vec![(":now", number(now)), (":hour_ago", number(now.saturating_sub(TRIES_WINDOW)))];
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

//! User items: the keys of the last logins, and the count of attempts to use them.

use async_trait::async_trait;
use aws_sdk_dynamodb::{
    operation::update_item::builders::UpdateItemFluentBuilder,
    types::{AttributeValue, ReturnValue},
};

use super::{
    DynamoTable, Fill as _, Written,
    item::{bytes, get_family, get_number, number, text, to_keys, user_key},
    written,
};
use crate::{
    clock::Secs,
    ids::{Family, UnionId},
    session::{
        PREVIOUS_KEY, ReadUser, RecordUser, SealedKeys, StoreError, TRIES, TRIES_WINDOW, TakeError, TakeKeys,
        UserLogin, UserRef,
    },
};

/// A key that differs from the current one moves it to `previous`; the first key moves an empty one.
const SHIFT_KEY: &str = "SET #previous_key = if_not_exists(#current_key, :none), #previous_until = :previous_until, \
    #current_key = :key, #fingerprint = :fingerprint, #last_login = :at, \
    #first_login = if_not_exists(#first_login, :at), #first_family = if_not_exists(#first_family, :family)";
const SHIFT_KEY_IF: &str = "attribute_not_exists(#fingerprint) OR #fingerprint <> :fingerprint";
/// The same key again: shifting would lose the real previous one.
const SAME_KEY: &str = "SET #last_login = :at, #first_login = if_not_exists(#first_login, :at), \
    #first_family = if_not_exists(#first_family, :family)";

/// One attempt more in a running hour.
const COUNT: &str = "SET #tries = #tries + :one";
const COUNT_IF: &str = "#tries_from > :hour_ago AND #tries < :most";
/// The first attempt of a new hour.
const FIRST: &str = "SET #tries = :one, #tries_from = :now";
const FIRST_IF: &str = "attribute_exists(pk) AND (attribute_not_exists(#tries_from) OR #tries_from <= :hour_ago)";

#[async_trait]
impl RecordUser for DynamoTable {
    async fn record(&self, login: &UserLogin) -> Result<bool, StoreError> {
        let common = [
            (":at", number(login.at)),
            (":family", bytes(login.family.0)),
            (":fingerprint", bytes(login.fingerprint)),
        ];
        let names = ["fingerprint", "last_login", "first_login", "first_family"];
        let unionid = |request: UpdateItemFluentBuilder, expression: &str| match &login.unionid {
            None => request,
            Some(unionid) => request
                .update_expression(format!("{expression}, #unionid = :unionid"))
                .names(&["unionid"])
                .values([(":unionid", text(unionid.expose()))]),
        };
        let shift = self
            .update(user_key(&login.user), SHIFT_KEY)
            .condition_expression(SHIFT_KEY_IF)
            .names(&names)
            .names(&["current_key", "previous_key", "previous_until"])
            .values(common.clone())
            .values([
                (":key", bytes(login.key.clone())),
                (":previous_until", number(login.at + PREVIOUS_KEY)),
                (":none", AttributeValue::Null(true)),
            ])
            .return_values(ReturnValue::AllNew);
        let item = match written(unionid(shift, SHIFT_KEY).send().await)? {
            Written::Applied(item) => item,
            Written::Refused(_) => {
                let same = self.update(user_key(&login.user), SAME_KEY).names(&names[1..]);
                let [at, family, _] = common;
                let same = same.values([at, family]).return_values(ReturnValue::AllNew);
                match written(unionid(same, SAME_KEY).send().await)? {
                    Written::Applied(item) => item,
                    // It has no condition.
                    Written::Refused(_) => return Err(StoreError::Corrupt { attribute: "pk" }),
                }
            }
        };
        Ok(get_family(&item, "first_family")? == login.family)
    }

    async fn remember_unionid(&self, user: &UserRef, unionid: &UnionId) -> Result<(), StoreError> {
        let request = self
            .update(user_key(user), "SET #unionid = :unionid")
            .condition_expression("attribute_exists(pk)")
            .names(&["unionid"])
            .values([(":unionid", text(unionid.expose()))]);
        written(request.send().await).map(drop)
    }
}

#[async_trait]
impl ReadUser for DynamoTable {
    async fn first_family(&self, user: &UserRef) -> Result<Option<Family>, StoreError> {
        let item = self.get_item(user_key(user)).await?;
        item.filter(|item| item.contains_key("first_family"))
            .map(|item| get_family(&item, "first_family"))
            .transpose()
    }
}

#[async_trait]
impl TakeKeys for DynamoTable {
    async fn take(&self, user: &UserRef, now: Secs) -> Result<SealedKeys, TakeError> {
        // Two rounds settle every race but the one that meets the end of an hour in each of them.
        for _ in 0..3 {
            let hour_ago = (":hour_ago", number(now.saturating_sub(TRIES_WINDOW)));
            let count = self
                .update(user_key(user), COUNT)
                .condition_expression(COUNT_IF)
                .names(&["tries", "tries_from"])
                .values([(":one", number(1_u32)), (":most", number(TRIES)), hour_ago.clone()])
                .return_values(ReturnValue::AllNew);
            let refused = match written(count.send().await)? {
                Written::Applied(item) => return Ok(to_keys(&item, now)),
                Written::Refused(item) => item.ok_or(TakeError::NoUser)?,
            };
            let over = get_number::<Secs>(&refused, "tries_from").unwrap_or(0) + TRIES_WINDOW;
            if over > now && get_number::<u32>(&refused, "tries").unwrap_or(0) >= TRIES {
                return Err(TakeError::RateLimited {
                    retry_after: over - now,
                });
            }
            let first = self
                .update(user_key(user), FIRST)
                .condition_expression(FIRST_IF)
                .names(&["tries", "tries_from"])
                .values([(":one", number(1_u32)), (":now", number(now)), hour_ago])
                .return_values(ReturnValue::AllNew);
            if let Written::Applied(item) = written(first.send().await)? {
                return Ok(to_keys(&item, now));
            }
        }
        Err(TakeError::Store(StoreError::Throttled))
    }
}

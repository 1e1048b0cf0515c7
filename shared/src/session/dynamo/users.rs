//! User items: the keys of the last logins, and the count of attempts to use them.

use async_trait::async_trait;
use aws_sdk_dynamodb::{
    operation::update_item::builders::UpdateItemFluentBuilder,
    types::{AttributeValue, ReturnValue},
};

use super::{
    DynamoTable, Fill as _, Written,
    item::{bytes, get_family, get_number, number, text, to_keys, user_key},
    sent, written,
};
use crate::{
    clock::Secs,
    ids::{Family, UnionId},
    session::{
        PREVIOUS_KEY, ReadUser, RecordUser, SealedKeys, StoreError, TRIES, TRIES_WINDOW, TakeError, TakeKeys,
        UserLogin, UserRef,
    },
};

/// Every login: the key, sealed anew under the present keyring.
const LOGIN: &str = "SET #current_key = :key, #fingerprint = :fingerprint, #last_login = :at, \
    #first_login = if_not_exists(#first_login, :at), #first_family = if_not_exists(#first_family, :family)";
/// A key that differs from the current one moves that one to `previous`; the first key moves nothing. The same key again
/// must not: the real previous one would be lost.
const SHIFT: &str = ", #previous_key = if_not_exists(#current_key, :none), #previous_until = :previous_until";

/// One attempt more in a running hour.
const COUNT: &str = "SET #tries = #tries + :one";
const COUNT_IF: &str = "#tries_from > :hour_ago AND #tries < :most";
/// The first attempt of a new hour.
const FIRST: &str = "SET #tries = :one, #tries_from = :now";
const FIRST_IF: &str = "attribute_exists(pk) AND (attribute_not_exists(#tries_from) OR #tries_from <= :hour_ago)";

impl DynamoTable {
    /// The update that every login makes, and what it does beside.
    fn login(&self, login: &UserLogin, beside: &str) -> UpdateItemFluentBuilder {
        let (unionid, fingerprint) = (login.unionid.as_ref(), login.fingerprints.first());
        let unionid_too = if unionid.is_some() { ", #unionid = :unionid" } else { "" };
        let request = self
            .update(user_key(&login.user), &format!("{LOGIN}{beside}{unionid_too}"))
            .names(&["current_key", "fingerprint", "last_login", "first_login", "first_family"])
            .values([
                (":key", bytes(login.key.clone())),
                (":fingerprint", bytes(fingerprint.copied().unwrap_or_default())),
                (":at", number(login.at)),
                (":family", bytes(login.family.0)),
            ])
            .return_values(ReturnValue::AllNew);
        match unionid {
            Some(unionid) => request.names(&["unionid"]).values([(":unionid", text(unionid.expose()))]),
            None => request,
        }
    }
}

#[async_trait]
impl RecordUser for DynamoTable {
    async fn record(&self, login: &UserLogin) -> Result<bool, StoreError> {
        // One fingerprint for each key of the ring: the stored one may have been made before a rotation.
        let known: Vec<_> = (0..login.fingerprints.len()).map(|at| format!(":known{at}")).collect();
        let another_key = format!("attribute_not_exists(#fingerprint) OR NOT #fingerprint IN ({})", known.join(", "));
        let mut shift = self
            .login(login, SHIFT)
            .condition_expression(another_key)
            .names(&["previous_key", "previous_until"])
            .values([(":previous_until", number(login.at + PREVIOUS_KEY)), (":none", AttributeValue::Null(true))]);
        for (name, fingerprint) in known.iter().zip(&login.fingerprints) {
            shift = shift.values([(name.as_str(), bytes(*fingerprint))]);
        }
        let item = match written(sent(shift.send()).await)? {
            Written::Applied(item) => item,
            Written::Refused(_) => match written(sent(self.login(login, "").send()).await)? {
                Written::Applied(item) => item,
                // It has no condition.
                Written::Refused(_) => return Err(StoreError::Corrupt { attribute: "pk" }),
            },
        };
        Ok(get_family(&item, "first_family")? == login.family)
    }

    async fn remember_unionid(&self, user: &UserRef, unionid: &UnionId) -> Result<(), StoreError> {
        let request = self
            .update(user_key(user), "SET #unionid = :unionid")
            .condition_expression("attribute_exists(pk)")
            .names(&["unionid"])
            .values([(":unionid", text(unionid.expose()))]);
        written(sent(request.send()).await).map(drop)
    }
}

#[async_trait]
impl ReadUser for DynamoTable {
    async fn first_family(&self, user: &UserRef) -> Result<Option<Family>, StoreError> {
        let item = self.get_item(user_key(user)).await?;
        item.filter(|item| item.contains_key("first_family")).map(|item| get_family(&item, "first_family")).transpose()
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
            let refused = match written(sent(count.send()).await)? {
                Written::Applied(item) => return Ok(to_keys(&item, now)),
                Written::Refused(item) => item.ok_or(TakeError::NoUser)?,
            };
            let over = get_number::<Secs>(&refused, "tries_from").unwrap_or(0) + TRIES_WINDOW;
            if over > now && get_number::<u32>(&refused, "tries").unwrap_or(0) >= TRIES {
                return Err(TakeError::RateLimited { retry_after: over - now });
            }
            let first = self
                .update(user_key(user), FIRST)
                .condition_expression(FIRST_IF)
                .names(&["tries", "tries_from"])
                .values([(":one", number(1_u32)), (":now", number(now)), hour_ago])
                .return_values(ReturnValue::AllNew);
            if let Written::Applied(item) = written(sent(first.send()).await)? {
                return Ok(to_keys(&item, now));
            }
        }
        Err(TakeError::Store(StoreError::Throttled))
    }
}

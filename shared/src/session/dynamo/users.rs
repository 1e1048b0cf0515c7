//! User items: the keys of the last logins, the count of attempts to use them, and what the owner says of a user.

use async_trait::async_trait;
use aws_sdk_dynamodb::{
    error::SdkError,
    operation::update_item::builders::UpdateItemFluentBuilder,
    types::{AttributeValue, ReturnValue},
};

use super::{
    DynamoTable, Fill as _, Written, failed,
    item::{bytes, claim_key, get_family, get_number, number, text, texts, to_keys, to_user, user_key},
    sent, written,
};
use crate::{
    clock::Secs,
    ids::UnionId,
    session::{
        BlockUser, EraseClaim, EraseUser, PREVIOUS_KEY, ReadUser, RecordUser, Recorded, RememberUnionid, SealedKeys,
        StoreError, TRIES, TRIES_WINDOW, TakeError, TakeKeys, User, UserLogin, UserRef, claim::CodeHash,
    },
};

/// Every login: the key, sealed anew under the present keyring.
const LOGIN: &str = "SET #current_key = :key, #fingerprint = :fingerprint, #last_login = :at, \
    #first_login = if_not_exists(#first_login, :at), #first_family = if_not_exists(#first_family, :family)";
/// A key that differs from the current one moves that one to `previous`; the first key moves nothing. The same key again
/// must not: the real previous one would be lost.
const SHIFT: &str = ", #previous_key = if_not_exists(#current_key, :none), #previous_until = :previous_until";

/// The claims of the last two logins are known by their user, to be forgotten with them.
const CLAIM: &str = ", #login_claim_before = if_not_exists(#login_claim, :none), #login_claim = :claim";
/// What is left of a deleted user runs out; who logs in again stays.
const STAYS: &str = " REMOVE #ttl";
const NOT_BLOCKED: &str = "attribute_not_exists(#blocked_at)";

/// One attempt more in a running hour.
const COUNT: &str = "SET #tries = #tries + :one";
const COUNT_IF: &str = "#tries_from > :hour_ago AND #tries < :most";
/// The first attempt of a new hour. The claims of the last one move aside: the youngest of them still count.
const FIRST: &str = "SET #tries = :one, #tries_from = :now, #phone_claims_before = if_not_exists(#phone_claims, :none)";
const FIRST_IF: &str = "attribute_exists(pk) AND (attribute_not_exists(#tries_from) OR #tries_from <= :hour_ago)";

/// All of a user but the count of attempts and the block.
const PERSONAL: [&str; 12] = [
    "current_key",
    "fingerprint",
    "previous_key",
    "previous_until",
    "first_login",
    "last_login",
    "first_family",
    "unionid",
    "login_claim",
    "login_claim_before",
    "phone_claims",
    "phone_claims_before",
];

/// Two rounds settle every race but the one that meets the end of an hour in each of them.
const ROUNDS: usize = 3;

impl DynamoTable {
    /// The update that every login makes, and what it does beside.
    fn login(&self, login: &UserLogin, beside: &str) -> UpdateItemFluentBuilder {
        let (unionid, fingerprint) = (login.unionid.as_ref(), login.fingerprints.first());
        let unionid_too = if unionid.is_some() { ", #unionid = :unionid" } else { "" };
        let claim_too = if login.claim.is_some() { CLAIM } else { "" };
        let mut request = self
            .update(user_key(&login.user), &format!("{LOGIN}{beside}{unionid_too}{claim_too}{STAYS}"))
            .names(&["current_key", "fingerprint", "last_login", "first_login", "first_family", "ttl", "blocked_at"])
            .values([
                (":key", bytes(login.key.clone())),
                (":fingerprint", bytes(fingerprint.copied().unwrap_or_default())),
                (":at", number(login.at)),
                (":family", bytes(login.family.0)),
            ])
            .return_values(ReturnValue::AllNew);
        if let Some(unionid) = unionid {
            request = request.names(&["unionid"]).values([(":unionid", text(unionid.expose()))]);
        }
        if let Some(claim) = &login.claim {
            let values = [(":claim", text(claim.as_str())), (":none", AttributeValue::Null(true))];
            request = request.names(&["login_claim", "login_claim_before"]).values(values);
        }
        request
    }
}

#[async_trait]
impl RecordUser for DynamoTable {
    async fn record(&self, login: &UserLogin) -> Result<Recorded, StoreError> {
        // One fingerprint for each key of the ring: the stored one may have been made before a rotation.
        let known: Vec<_> = (0..login.fingerprints.len()).map(|at| format!(":known{at}")).collect();
        let another_key = format!("(attribute_not_exists(#fingerprint) OR NOT #fingerprint IN ({}))", known.join(", "));
        let mut shift = self
            .login(login, SHIFT)
            .condition_expression(format!("{NOT_BLOCKED} AND {another_key}"))
            .names(&["previous_key", "previous_until"])
            .values([(":previous_until", number(login.at + PREVIOUS_KEY)), (":none", AttributeValue::Null(true))]);
        for (name, fingerprint) in known.iter().zip(&login.fingerprints) {
            shift = shift.values([(name.as_str(), bytes(*fingerprint))]);
        }
        let mut what = written(sent(shift.send()).await)?;
        if matches!(&what, Written::Refused(Some(item)) if !item.contains_key("blocked_at")) {
            let same_key = self.login(login, "").condition_expression(NOT_BLOCKED);
            what = written(sent(same_key.send()).await)?;
        }
        match what {
            Written::Applied(item) if get_family(&item, "first_family")? == login.family => Ok(Recorded::New),
            Written::Applied(_) => Ok(Recorded::Known),
            Written::Refused(_) => Ok(Recorded::Blocked),
        }
    }
}

#[async_trait]
impl RememberUnionid for DynamoTable {
    async fn remember_unionid(&self, user: &UserRef, unionid: &UnionId) -> Result<(), StoreError> {
        let request = self
            .update(user_key(user), "SET #unionid = :unionid")
            // Not into what is left of a deleted user.
            .condition_expression("attribute_exists(#first_login)")
            .names(&["unionid", "first_login"])
            .values([(":unionid", text(unionid.expose()))]);
        written(sent(request.send()).await).map(drop)
    }
}

#[async_trait]
impl ReadUser for DynamoTable {
    async fn user(&self, user: &UserRef) -> Result<Option<User>, StoreError> {
        self.get_item(user_key(user)).await?.as_ref().map(to_user).transpose()
    }
}

#[async_trait]
impl TakeKeys for DynamoTable {
    async fn take(&self, user: &UserRef, claim: Option<&CodeHash>, now: Secs) -> Result<SealedKeys, TakeError> {
        let hour_ago = (":hour_ago", number(now.saturating_sub(TRIES_WINDOW)));
        let (counted, begun) = match claim {
            Some(_) => (" ADD #phone_claims :claim", ", #phone_claims = :claim"),
            None => ("", " REMOVE #phone_claims"),
        };
        let noting = |request: UpdateItemFluentBuilder| match claim {
            Some(claim) => request.values([(":claim", texts(&[claim.as_str()]))]),
            None => request,
        };
        for _ in 0..ROUNDS {
            let count = self
                .update(user_key(user), &format!("{COUNT}{counted}"))
                .condition_expression(COUNT_IF)
                .names(&["tries", "tries_from"])
                .values([(":one", number(1_u32)), (":most", number(TRIES)), hour_ago.clone()])
                .return_values(ReturnValue::AllNew);
            let count = if claim.is_some() { count.names(&["phone_claims"]) } else { count };
            let refused = match written(sent(noting(count).send()).await)? {
                Written::Applied(item) => return Ok(to_keys(&item, now)),
                Written::Refused(item) => item.ok_or(TakeError::NoUser)?,
            };
            let over = get_number::<Secs>(&refused, "tries_from").unwrap_or(0) + TRIES_WINDOW;
            if over > now && get_number::<u32>(&refused, "tries").unwrap_or(0) >= TRIES {
                return Err(TakeError::RateLimited { retry_after: over - now });
            }
            let first = self
                .update(user_key(user), &format!("{FIRST}{begun}"))
                .condition_expression(FIRST_IF)
                .names(&["tries", "tries_from", "phone_claims", "phone_claims_before"])
                .values([
                    (":one", number(1_u32)),
                    (":now", number(now)),
                    (":none", AttributeValue::Null(true)),
                    hour_ago.clone(),
                ])
                .return_values(ReturnValue::AllNew);
            if let Written::Applied(item) = written(sent(noting(first).send()).await)? {
                return Ok(to_keys(&item, now));
            }
        }
        Err(TakeError::Store(StoreError::Throttled))
    }
}

#[async_trait]
impl BlockUser for DynamoTable {
    async fn block(&self, user: &UserRef, now: Secs) -> Result<Secs, StoreError> {
        // Also who is not there: else a user would escape by deleting themselves before, and TTL would lift the block.
        let expression = "SET #blocked_at = if_not_exists(#blocked_at, :now) REMOVE #ttl";
        let request = self
            .update(user_key(user), expression)
            .names(&["blocked_at", "ttl"])
            .values([(":now", number(now))])
            .return_values(ReturnValue::AllNew);
        match written(sent(request.send()).await)? {
            Written::Applied(item) => get_number(&item, "blocked_at"),
            // It has no condition.
            Written::Refused(_) => Err(StoreError::Corrupt { attribute: "blocked_at" }),
        }
    }

    async fn unblock(&self, user: &UserRef, now: Secs) -> Result<bool, StoreError> {
        let of_a_user = self
            .update(user_key(user), "REMOVE #blocked_at")
            .condition_expression("attribute_exists(#blocked_at) AND attribute_exists(#first_login)")
            .names(&["blocked_at", "first_login"]);
        if let Written::Applied(_) = written(sent(of_a_user.send()).await)? {
            return Ok(true);
        }
        // The bare block of a deleted user: nothing is left that should stay.
        let bare = self
            .update(user_key(user), "REMOVE #blocked_at SET #ttl = :ttl")
            .condition_expression("attribute_exists(#blocked_at) AND attribute_not_exists(#first_login)")
            .names(&["blocked_at", "first_login", "ttl"])
            .values([(":ttl", number(now + TRIES_WINDOW))]);
        Ok(matches!(written(sent(bare.send()).await)?, Written::Applied(_)))
    }
}

#[async_trait]
impl EraseUser for DynamoTable {
    async fn erase_user(&self, user: &UserRef, now: Secs) -> Result<(), StoreError> {
        let hour_ago = number(now.saturating_sub(TRIES_WINDOW));
        for _ in 0..ROUNDS {
            let delete = self
                .client
                .delete_item()
                .table_name(&self.table)
                .set_key(Some(user_key(user)))
                .condition_expression(format!(
                    "{NOT_BLOCKED} AND (attribute_not_exists(#tries_from) OR #tries_from <= :hour_ago)"
                ))
                .expression_attribute_names("#blocked_at", "blocked_at")
                .expression_attribute_names("#tries_from", "tries_from")
                .expression_attribute_values(":hour_ago", hour_ago.clone());
            match sent(delete.send()).await {
                Ok(_) => return Ok(()),
                Err(SdkError::ServiceError(error)) if error.err().is_conditional_check_failed_exception() => {}
                Err(error) => return Err(failed(&error)),
            }
            if self.strip(user).await? {
                return Ok(());
            }
        }
        Err(StoreError::Throttled)
    }
}

#[async_trait]
impl EraseClaim for DynamoTable {
    async fn erase_claim(&self, code: &CodeHash) -> Result<(), StoreError> {
        let delete = self.client.delete_item().table_name(&self.table).set_key(Some(claim_key(code)));
        sent(delete.send()).await.map(drop).map_err(|error| failed(&error))
    }
}

impl DynamoTable {
    /// Takes everything personal out of a user item; false if neither a count nor a block holds it.
    async fn strip(&self, user: &UserRef) -> Result<bool, StoreError> {
        let personal = PERSONAL.map(|name| format!("#{name}")).join(", ");
        let blocked = self
            .update(user_key(user), &format!("REMOVE {personal}"))
            .condition_expression("attribute_exists(#blocked_at)")
            .names(&["blocked_at"])
            .names(&PERSONAL);
        if let Written::Applied(_) = written(sent(blocked.send()).await)? {
            return Ok(true);
        }
        let counted = self
            .update(user_key(user), &format!("REMOVE {personal} SET #ttl = #tries_from + :hour"))
            .condition_expression(format!("{NOT_BLOCKED} AND attribute_exists(#tries_from)"))
            .names(&["blocked_at", "tries_from", "ttl"])
            .names(&PERSONAL)
            .values([(":hour", number(TRIES_WINDOW))]);
        Ok(matches!(written(sent(counted.send()).await)?, Written::Applied(_)))
    }
}

//! The table in DynamoDB: expressions, and the one place that turns items into ours and back.
//!
//! Every write is one conditional request on one item. A repetition by the SDK after a lost acknowledgement meets its own
//! condition and is answered like the first.

use std::collections::HashMap;

use async_trait::async_trait;
use aws_sdk_dynamodb::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::update_item::{UpdateItemError, UpdateItemOutput, builders::UpdateItemFluentBuilder},
    primitives::Blob,
    types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure},
};

use super::{
    Attempt, EndSession, KeepClaim, KeepPlatformToken, ListSessions, OpenSession, PREVIOUS_KEY, ReadSession, ReadUser,
    RecordUser, RotateSession, Rotation, SealedKeys, Session, SessionRef, StoreError, StoredToken, TRIES, TRIES_WINDOW,
    TakeError, TakeKeys, UserLogin, UserRef,
    claim::{Claim, CodeHash},
};
use crate::{
    clock::Secs,
    ids::{AppId, DeviceId, Family, Sid, UnionId},
    token::keyring::KeyId,
};

type Item = HashMap<String, AttributeValue>;

/// An item lies about a day longer than it counts: the table's TTL is no expiry, only a broom.
const BROOM: Secs = 86_400;

/// The refresh: all that must hold for a token to be rotated.
const ROTATE_IF: &str = "#family = :family AND #generation = :generation AND #rotated_at <= :rotated_until \
    AND #idle > :now AND #absolute > :now AND #created_at >= :not_before";
/// `SET` reads the item as it was: the two times shift.
const ROTATE: &str = "SET #generation = :next, #rotated_before = #rotated_at, #rotated_at = :now, #idle = :idle, \
    #ttl = :ttl, #key_id = :key_id";

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

/// A table of DynamoDB.
#[derive(Clone, Debug)]
pub struct DynamoTable {
    client: Client,
    table: String,
}

impl DynamoTable {
    /// The table of this name.
    #[must_use]
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    async fn get_item(&self, key: Item) -> Result<Option<Item>, StoreError> {
        let request = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key))
            .consistent_read(true);
        Ok(request.send().await.map_err(|error| failed(&error))?.item)
    }

    /// An update whose refusal shows the item.
    fn update(&self, key: Item, expression: &str) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key))
            .update_expression(expression)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
    }
}

/// `UpdateItem` with its names and values, which every expression here needs.
trait Fill: Sized {
    /// Names `#x` for each attribute `x`: many of ours are reserved words.
    fn names(self, names: &[&str]) -> Self;
    /// Values `:x`.
    fn values<const N: usize>(self, values: [(&str, AttributeValue); N]) -> Self;
}

impl Fill for UpdateItemFluentBuilder {
    fn names(self, names: &[&str]) -> Self {
        names.iter().fold(self, |request, name| {
            request.expression_attribute_names(format!("#{name}"), *name)
        })
    }

    fn values<const N: usize>(self, values: [(&str, AttributeValue); N]) -> Self {
        values.into_iter().fold(self, |request, (name, value)| {
            request.expression_attribute_values(name, value)
        })
    }
}

/// What became of a conditional update.
enum Written {
    Applied(Item),
    Refused(Option<Item>),
}

/// Tells a refusal, which is an answer, from a failure.
fn written(result: Result<UpdateItemOutput, SdkError<UpdateItemError>>) -> Result<Written, StoreError> {
    match result {
        Ok(output) => Ok(Written::Applied(output.attributes.unwrap_or_default())),
        Err(SdkError::ServiceError(error)) if error.err().is_conditional_check_failed_exception() => {
            match error.into_err() {
                UpdateItemError::ConditionalCheckFailedException(refusal) => Ok(Written::Refused(refusal.item)),
                other => Err(StoreError::Unavailable(Box::new(Failure::of(&other)))),
            }
        }
        Err(error) => Err(failed(&error)),
    }
}

/// A failure of the service in its own word for it; the SDK's errors may quote requests.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Failure(String);

impl Failure {
    fn of(error: &impl ProvideErrorMetadata) -> Self {
        Self(error.code().unwrap_or("unknown").to_owned())
    }
}

fn failed<E: ProvideErrorMetadata>(error: &SdkError<E>) -> StoreError {
    let failure = match error {
        SdkError::ServiceError(error) => Failure::of(error.err()),
        SdkError::TimeoutError(_) => Failure("timeout".to_owned()),
        SdkError::DispatchFailure(_) => Failure("no connection".to_owned()),
        SdkError::ResponseError(_) => Failure("unreadable answer".to_owned()),
        _ => Failure("request not built".to_owned()),
    };
    match failure.0.as_str() {
        "ThrottlingException" | "ProvisionedThroughputExceededException" | "RequestLimitExceeded" => {
            StoreError::Throttled
        }
        _ => StoreError::Unavailable(Box::new(failure)),
    }
}

fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

fn number(value: impl Into<u64>) -> AttributeValue {
    AttributeValue::N(value.into().to_string())
}

fn bytes(value: impl Into<Vec<u8>>) -> AttributeValue {
    AttributeValue::B(Blob::new(value.into()))
}

fn key(pk: String, sk: String) -> Item {
    HashMap::from([("pk".to_owned(), text(pk)), ("sk".to_owned(), text(sk))])
}

/// An appid holds no `#`, so the first one ends it.
fn partition(user: &UserRef) -> String {
    format!("{}#{}", user.appid, user.openid.expose())
}

fn user_key(user: &UserRef) -> Item {
    key(partition(user), "user".to_owned())
}

const SESSION: &str = "session#";

fn session_sort_key(sid: Sid) -> String {
    format!("{SESSION}{}", sid.encode())
}

fn session_key(at: &SessionRef) -> Item {
    key(partition(&at.user), session_sort_key(at.sid))
}

fn claim_key(code: &CodeHash) -> Item {
    key(format!("code#{}", code.as_str()), "code".to_owned())
}

fn platform_token_key(appid: &AppId) -> Item {
    key(format!("app#{appid}"), "access_token".to_owned())
}

fn get_number<N: TryFrom<u64>>(item: &Item, attribute: &'static str) -> Result<N, StoreError> {
    let value = item
        .get(attribute)
        .and_then(|value| value.as_n().ok())
        .and_then(|text| text.parse::<u64>().ok());
    value
        .and_then(|value| value.try_into().ok())
        .ok_or(StoreError::Corrupt { attribute })
}

fn get_bytes<'a>(item: &'a Item, attribute: &'static str) -> Result<&'a [u8], StoreError> {
    let value = item.get(attribute).and_then(|value| value.as_b().ok());
    value.map(AsRef::as_ref).ok_or(StoreError::Corrupt { attribute })
}

fn get_family(item: &Item, attribute: &'static str) -> Result<Family, StoreError> {
    get_bytes(item, attribute)?
        .try_into()
        .map(Family)
        .map_err(|_| StoreError::Corrupt { attribute })
}

/// A session as an item, without its key.
fn from_session(session: &Session) -> Item {
    let mut item: Item = [
        ("device", bytes(session.device.0)),
        ("family", bytes(session.family.0)),
        ("generation", number(session.generation)),
        ("key_id", number(session.key_id.0)),
        ("created_at", number(session.created_at)),
        ("rotated_at", number(session.rotated_at)),
        ("rotated_before", number(session.rotated_before)),
        ("idle", number(session.idle)),
        ("absolute", number(session.absolute)),
        ("ttl", number(session.idle + BROOM)),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    if let Some(unionid) = &session.unionid {
        item.insert("unionid".to_owned(), text(unionid.expose()));
    }
    item
}

fn to_session(item: &Item) -> Result<Session, StoreError> {
    let unionid = match item.get("unionid") {
        None => None,
        Some(value) => Some(
            value
                .as_s()
                .ok()
                .and_then(|text| UnionId::parse(text).ok())
                .ok_or(StoreError::Corrupt { attribute: "unionid" })?,
        ),
    };
    let device = get_bytes(item, "device")?
        .try_into()
        .map_err(|_| StoreError::Corrupt { attribute: "device" })?;
    Ok(Session {
        device: DeviceId(device),
        family: get_family(item, "family")?,
        generation: get_number(item, "generation")?,
        key_id: KeyId(get_number(item, "key_id")?),
        created_at: get_number(item, "created_at")?,
        rotated_at: get_number(item, "rotated_at")?,
        rotated_before: get_number(item, "rotated_before")?,
        idle: get_number(item, "idle")?,
        absolute: get_number(item, "absolute")?,
        unionid,
    })
}

/// The keys in a user item that may still be valid. `NULL` stands where there was no key before.
fn to_keys(item: &Item, now: Secs) -> SealedKeys {
    let sealed = |attribute| {
        item.get(attribute)
            .and_then(|value| value.as_b().ok())
            .map(|blob| blob.as_ref().to_vec())
    };
    let previous_counts = get_number::<Secs>(item, "previous_until").is_ok_and(|until| until > now);
    SealedKeys {
        current: sealed("current_key"),
        previous: sealed("previous_key").filter(|_| previous_counts),
    }
}

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

#[async_trait]
impl OpenSession for DynamoTable {
    async fn open(&self, at: &SessionRef, session: &Session) -> Result<bool, StoreError> {
        let mut item = from_session(session);
        item.extend(session_key(at));
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk) OR #created_at <= :mine")
            .expression_attribute_names("#created_at", "created_at")
            .expression_attribute_values(":mine", number(session.created_at));
        match put.send().await {
            Ok(_) => Ok(true),
            Err(SdkError::ServiceError(error)) if error.err().is_conditional_check_failed_exception() => Ok(false),
            Err(error) => Err(failed(&error)),
        }
    }
}

#[async_trait]
impl RotateSession for DynamoTable {
    async fn rotate(&self, rotation: &Rotation) -> Result<Attempt, StoreError> {
        let request = self
            .update(session_key(&rotation.at), ROTATE)
            .condition_expression(ROTATE_IF)
            .names(&[
                "family",
                "generation",
                "rotated_at",
                "rotated_before",
                "idle",
                "absolute",
                "created_at",
                "ttl",
                "key_id",
            ])
            .values([
                (":family", bytes(rotation.family.0)),
                (":generation", number(rotation.generation)),
                (":next", number(rotation.generation.saturating_add(1))),
                (":rotated_until", number(rotation.rotated_until)),
                (":now", number(rotation.now)),
                (":not_before", number(rotation.not_before)),
                (":idle", number(rotation.idle)),
                (":ttl", number(rotation.idle + BROOM)),
                (":key_id", number(rotation.key_id.0)),
            ])
            .return_values(ReturnValue::AllNew);
        match written(request.send().await)? {
            Written::Applied(item) => to_session(&item).map(Attempt::Applied),
            Written::Refused(item) => Ok(Attempt::Refused(item.as_ref().map(to_session).transpose()?)),
        }
    }
}

#[async_trait]
impl ReadSession for DynamoTable {
    async fn read(&self, at: &SessionRef) -> Result<Option<Session>, StoreError> {
        self.get_item(session_key(at))
            .await?
            .as_ref()
            .map(to_session)
            .transpose()
    }
}

#[async_trait]
impl EndSession for DynamoTable {
    async fn end(&self, at: &SessionRef, family: Family) -> Result<(), StoreError> {
        let request = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(session_key(at)))
            .condition_expression("#family = :family")
            .expression_attribute_names("#family", "family")
            .expression_attribute_values(":family", bytes(family.0));
        match request.send().await {
            Ok(_) => Ok(()),
            // Another login has taken its place, or it is gone already: both are what was wanted.
            Err(SdkError::ServiceError(error)) if error.err().is_conditional_check_failed_exception() => Ok(()),
            Err(error) => Err(failed(&error)),
        }
    }
}

#[async_trait]
impl ListSessions for DynamoTable {
    async fn list(&self, user: &UserRef) -> Result<Vec<Session>, StoreError> {
        // A user has few sessions of under 1 kB each: one page of 1 MB holds them all.
        let request = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND begins_with(sk, :session)")
            .expression_attribute_values(":pk", text(partition(user)))
            .expression_attribute_values(":session", text(SESSION));
        request
            .send()
            .await
            .map_err(|error| failed(&error))?
            .items()
            .iter()
            .map(to_session)
            .collect()
    }
}

#[async_trait]
impl KeepClaim for DynamoTable {
    async fn put(&self, claim: &Claim) -> Result<(), StoreError> {
        let mut item = claim_key(&claim.code);
        item.insert("sealed".to_owned(), bytes(claim.sealed.clone()));
        item.insert("until".to_owned(), number(claim.until));
        item.insert("ttl".to_owned(), number(claim.until + BROOM));
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item));
        put.send().await.map(drop).map_err(|error| failed(&error))
    }

    async fn get(&self, code: &CodeHash) -> Result<Option<Claim>, StoreError> {
        let Some(item) = self.get_item(claim_key(code)).await? else {
            return Ok(None);
        };
        let (sealed, until) = (get_bytes(&item, "sealed")?.to_vec(), get_number(&item, "until")?);
        Ok(Some(Claim {
            code: code.clone(),
            sealed,
            until,
        }))
    }
}

#[async_trait]
impl KeepPlatformToken for DynamoTable {
    async fn stored(&self, appid: &AppId) -> Result<Option<StoredToken>, StoreError> {
        let item = self.get_item(platform_token_key(appid)).await?;
        // While the first token is being fetched the item holds the lease alone.
        let Some(item) = item.filter(|item| item.contains_key("sealed")) else {
            return Ok(None);
        };
        let (sealed, expires_at) = (get_bytes(&item, "sealed")?.to_vec(), get_number(&item, "expires_at")?);
        Ok(Some(StoredToken { sealed, expires_at }))
    }

    async fn lease(&self, appid: &AppId, now: Secs, until: Secs) -> Result<bool, StoreError> {
        let request = self
            .update(platform_token_key(appid), "SET #leased_until = :until")
            .condition_expression("attribute_not_exists(#leased_until) OR #leased_until <= :now")
            .names(&["leased_until"])
            .values([(":until", number(until)), (":now", number(now))]);
        Ok(matches!(written(request.send().await)?, Written::Applied(_)))
    }

    async fn keep(&self, appid: &AppId, token: &StoredToken) -> Result<(), StoreError> {
        let request = self
            .update(
                platform_token_key(appid),
                "SET #sealed = :sealed, #expires_at = :expires_at, #ttl = :ttl REMOVE #leased_until",
            )
            .names(&["sealed", "expires_at", "ttl", "leased_until"])
            .values([
                (":sealed", bytes(token.sealed.clone())),
                (":expires_at", number(token.expires_at)),
                (":ttl", number(token.expires_at + BROOM)),
            ]);
        written(request.send().await).map(drop)
    }
}

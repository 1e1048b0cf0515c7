//! Items: their keys, and the mapping between attributes and our types.

use std::collections::HashMap;

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};

use super::Item;
use crate::{
    clock::Secs,
    ids::{AppId, DeviceId, Family, SessionRef, Sid, UnionId, UserRef},
    session::{SealedSessionKeys, Session, User, UserItems, idempotency::CodeHash},
    store::StoreError,
    token::keyring::KeyId,
};

/// An item is kept for a day longer than it is valid. The table's TTL only cleans up; it decides nothing.
pub(super) const TTL_SLACK: Secs = 86_400;

pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(super) fn number(value: impl Into<u64>) -> AttributeValue {
    AttributeValue::N(value.into().to_string())
}

pub(super) fn bytes(value: impl Into<Vec<u8>>) -> AttributeValue {
    AttributeValue::B(Blob::new(value.into()))
}

/// A set of texts, which must not be empty.
pub(super) fn texts(values: &[&str]) -> AttributeValue {
    AttributeValue::Ss(values.iter().map(|value| (*value).to_owned()).collect())
}

pub(super) fn key(pk: String, sk: String) -> Item {
    HashMap::from([("pk".to_owned(), text(pk)), ("sk".to_owned(), text(sk))])
}

/// An appid has no `#`, so the first `#` ends it.
pub(super) fn partition(user: &UserRef) -> String {
    format!("{}#{}", user.appid, user.openid.expose())
}

const USER: &str = "user";

pub(super) fn user_item_key(user: &UserRef) -> Item {
    key(partition(user), USER.to_owned())
}

const SESSION: &str = "session#";

pub(super) fn session_sort_key(sid: Sid) -> String {
    format!("{SESSION}{}", sid.encode())
}

pub(super) fn session_item_key(at: &SessionRef) -> Item {
    key(partition(&at.user), session_sort_key(at.sid))
}

pub(super) fn record_item_key(code: &CodeHash) -> Item {
    key(format!("code#{}", code.as_str()), "code".to_owned())
}

pub(super) fn platform_token_item_key(appid: &AppId) -> Item {
    key(format!("app#{appid}"), "access_token".to_owned())
}

pub(super) fn get_number<N: TryFrom<u64>>(item: &Item, attribute: &'static str) -> Result<N, StoreError> {
    let value = item.get(attribute).and_then(|value| value.as_n().ok()).and_then(|text| text.parse::<u64>().ok());
    value.and_then(|value| value.try_into().ok()).ok_or(StoreError::Corrupt { attribute })
}

pub(super) fn get_bytes<'a>(item: &'a Item, attribute: &'static str) -> Result<&'a [u8], StoreError> {
    let value = item.get(attribute).and_then(|value| value.as_b().ok());
    value.map(AsRef::as_ref).ok_or(StoreError::Corrupt { attribute })
}

pub(super) fn get_family(item: &Item, attribute: &'static str) -> Result<Family, StoreError> {
    get_bytes(item, attribute)?.try_into().map(Family).map_err(|_| StoreError::Corrupt { attribute })
}

/// A text that may be missing, parsed.
fn get_text<T, E>(
    item: &Item,
    attribute: &'static str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<Option<T>, StoreError> {
    let Some(value) = item.get(attribute) else { return Ok(None) };
    let text = value.as_s().ok().and_then(|text| parse(text).ok());
    text.map(Some).ok_or(StoreError::Corrupt { attribute })
}

/// A number that may be missing.
fn get_some<N: TryFrom<u64>>(item: &Item, attribute: &'static str) -> Result<Option<N>, StoreError> {
    item.contains_key(attribute).then(|| get_number(item, attribute)).transpose()
}

/// A session as an item, without its key.
pub(super) fn from_session(session: &Session) -> Item {
    let mut item: Item = [
        ("device", bytes(session.device.0)),
        ("family", bytes(session.family.0)),
        ("generation", number(session.generation)),
        ("key_id", number(session.key_id.0)),
        ("created_at", number(session.created_at)),
        ("arrived_ms", number(session.arrived_ms)),
        ("rotated_at", number(session.rotated_at)),
        ("rotated_before", number(session.rotated_before)),
        ("idle", number(session.idle)),
        ("absolute", number(session.absolute)),
        ("ttl", number(session.idle + TTL_SLACK)),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    if let Some(unionid) = &session.unionid {
        item.insert("unionid".to_owned(), text(unionid.expose()));
    }
    item
}

/// How long the mark of an end stays: far longer than any write can be late.
pub(super) const MARK: Secs = 3_600;

/// A session, or nothing if only the mark of its end is left, which has no family.
pub(super) fn to_session(item: &Item) -> Result<Option<Session>, StoreError> {
    if !item.contains_key("family") {
        return Ok(None);
    }
    let created_at = get_number(item, "created_at")?;
    let device = get_bytes(item, "device")?.try_into().map_err(|_| StoreError::Corrupt { attribute: "device" })?;
    Ok(Some(Session {
        device: DeviceId(device),
        family: get_family(item, "family")?,
        generation: get_number(item, "generation")?,
        key_id: KeyId(get_number(item, "key_id")?),
        created_at,
        // Items of earlier releases do not have it.
        arrived_ms: get_some(item, "arrived_ms")?.unwrap_or(created_at * 1_000),
        rotated_at: get_number(item, "rotated_at")?,
        rotated_before: get_number(item, "rotated_before")?,
        idle: get_number(item, "idle")?,
        absolute: get_number(item, "absolute")?,
        unionid: get_text(item, "unionid", UnionId::parse)?,
    }))
}

pub(super) fn to_user(item: &Item) -> Result<User, StoreError> {
    // Where there was no value before, the attribute is `NULL`.
    let logins = ["login_claim", "login_claim_before"].into_iter().filter_map(|name| item.get(name)?.as_s().ok());
    let phones = ["phone_claims", "phone_claims_before"].into_iter().filter_map(|name| item.get(name)?.as_ss().ok());
    Ok(User {
        first_login: get_some(item, "first_login")?,
        last_login: get_some(item, "last_login")?,
        first_family: item.contains_key("first_family").then(|| get_family(item, "first_family")).transpose()?,
        unionid: get_text(item, "unionid", UnionId::parse)?,
        blocked_at: get_some(item, "blocked_at")?,
        deleted_ms: get_some(item, "deleted_ms")?,
        logins_after_ms: get_some(item, "logins_after_ms")?,
        current_key: get_sealed(item, "current_key"),
        tries: get_some(item, "tries")?.zip(get_some(item, "tries_from")?),
        login_tries: get_some(item, "login_tries")?.zip(get_some(item, "login_tries_from")?),
        phone_tries: get_some(item, "phone_tries")?.zip(get_some(item, "phone_tries_from")?),
        login_records: logins.map(|hash| CodeHash::stored(hash)).collect(),
        phone_records: phones.flatten().map(|hash| CodeHash::stored(hash)).collect(),
    })
}

/// The items of one user, told apart by their sort keys.
pub(super) fn to_user_items(items: &[Item]) -> Result<UserItems, StoreError> {
    let mut found = UserItems::default();
    for item in items {
        match item.get("sk").and_then(|value| value.as_s().ok()).map(String::as_str) {
            Some(USER) => found.user = Some(to_user(item)?),
            Some(sort_key) if sort_key.starts_with(SESSION) => found.sessions.extend(to_session(item)?),
            // Not written by us.
            _ => {}
        }
    }
    Ok(found)
}

/// Where there was no key before, the attribute is `NULL`.
fn get_sealed(item: &Item, attribute: &str) -> Option<Vec<u8>> {
    item.get(attribute).and_then(|value| value.as_b().ok()).map(|blob| blob.as_ref().to_vec())
}

/// The keys in a user item that may still be valid.
pub(super) fn to_sealed_session_keys(item: &Item, now: Secs) -> SealedSessionKeys {
    let previous_counts = get_number::<Secs>(item, "previous_until").is_ok_and(|until| until > now);
    SealedSessionKeys {
        current: get_sealed(item, "current_key"),
        previous: get_sealed(item, "previous_key").filter(|_| previous_counts),
    }
}

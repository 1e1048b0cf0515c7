//! Items: their keys, and how ours become theirs and back.

use std::collections::HashMap;

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};

use super::Item;
use crate::{
    clock::Secs,
    ids::{AppId, DeviceId, Family, Sid, UnionId},
    session::{SealedKeys, Session, SessionRef, StoreError, UserRef, claim::CodeHash},
    token::keyring::KeyId,
};

/// An item lies about a day longer than it counts: the table's TTL is no expiry, only a broom.
pub(super) const BROOM: Secs = 86_400;

pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(super) fn number(value: impl Into<u64>) -> AttributeValue {
    AttributeValue::N(value.into().to_string())
}

pub(super) fn bytes(value: impl Into<Vec<u8>>) -> AttributeValue {
    AttributeValue::B(Blob::new(value.into()))
}

pub(super) fn key(pk: String, sk: String) -> Item {
    HashMap::from([("pk".to_owned(), text(pk)), ("sk".to_owned(), text(sk))])
}

/// An appid holds no `#`, so the first one ends it.
pub(super) fn partition(user: &UserRef) -> String {
    format!("{}#{}", user.appid, user.openid.expose())
}

pub(super) fn user_key(user: &UserRef) -> Item {
    key(partition(user), "user".to_owned())
}

pub(super) const SESSION: &str = "session#";

pub(super) fn session_sort_key(sid: Sid) -> String {
    format!("{SESSION}{}", sid.encode())
}

pub(super) fn session_key(at: &SessionRef) -> Item {
    key(partition(&at.user), session_sort_key(at.sid))
}

pub(super) fn claim_key(code: &CodeHash) -> Item {
    key(format!("code#{}", code.as_str()), "code".to_owned())
}

pub(super) fn platform_token_key(appid: &AppId) -> Item {
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

/// A session as an item, without its key.
pub(super) fn from_session(session: &Session) -> Item {
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

pub(super) fn to_session(item: &Item) -> Result<Session, StoreError> {
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
    let device = get_bytes(item, "device")?.try_into().map_err(|_| StoreError::Corrupt { attribute: "device" })?;
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
pub(super) fn to_keys(item: &Item, now: Secs) -> SealedKeys {
    let sealed = |attribute| item.get(attribute).and_then(|value| value.as_b().ok()).map(|blob| blob.as_ref().to_vec());
    let previous_counts = get_number::<Secs>(item, "previous_until").is_ok_and(|until| until > now);
    SealedKeys { current: sealed("current_key"), previous: sealed("previous_key").filter(|_| previous_counts) }
}

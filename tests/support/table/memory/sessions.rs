//! Session items.

use async_trait::async_trait;

use super::{
    Clause, Item, Items, Key, MemoryTable, Value, at_most, bytes, get_bytes, get_number, get_text, is, locked, number,
    text, users,
};
use shared::{
    clock::Secs,
    ids::{DeviceId, Family, SessionRef, UnionId, UserRef},
    session::{Session, UserItems, WriteResult, refresh::RefreshWrite},
    store::{
        StoreError,
        grants::{ListUserItems, PutSession, ReadSession, RefreshSession, RevokeSession},
    },
    token::keyring::KeyId,
};

const DAY: Secs = 86_400;
const SORT: &str = "session#";

fn key(at: &SessionRef) -> Key {
    (users::partition(&at.user), format!("{SORT}{}", at.sid.encode()))
}

fn from_session(session: &Session) -> Item {
    let mut item = Item::from([
        ("device", bytes(session.device.0)),
        ("family", bytes(session.family.0)),
        ("generation", number(session.generation)),
        ("key_id", number(session.key_id.0)),
        ("created_at", number(session.created_at)),
        ("rotated_at", number(session.rotated_at)),
        ("rotated_before", number(session.rotated_before)),
        ("idle", number(session.idle)),
        ("absolute", number(session.absolute)),
        ("ttl", number(session.idle + DAY)),
    ]);
    if let Some(unionid) = &session.unionid {
        item.insert("unionid", text(unionid.expose()));
    }
    item
}

fn to_session(item: &Item) -> Result<Session, StoreError> {
    let secs = |attribute| get_number(item, attribute).ok_or(StoreError::Corrupt { attribute });
    let small = |attribute| secs(attribute)?.try_into().map_err(|_| StoreError::Corrupt { attribute });
    let sixteen = |attribute| {
        get_bytes(item, attribute).and_then(|bytes| bytes.try_into().ok()).ok_or(StoreError::Corrupt { attribute })
    };
    Ok(Session {
        device: DeviceId(sixteen("device")?),
        family: Family(sixteen("family")?),
        generation: small("generation")?,
        key_id: KeyId(small("key_id")?),
        created_at: secs("created_at")?,
        rotated_at: secs("rotated_at")?,
        rotated_before: secs("rotated_before")?,
        idle: secs("idle")?,
        absolute: secs("absolute")?,
        unionid: get_text(item, "unionid").and_then(|unionid| UnionId::parse(unionid).ok()),
    })
}

impl MemoryTable {
    /// What a rotation comes to where this session is: condition and change without the table around them.
    #[must_use]
    pub fn refreshed(&self, there: Option<Session>, write: &RefreshWrite) -> WriteResult<Session> {
        let Some(session) = there else {
            return WriteResult::Refused(None);
        };
        if !self.may_refresh(&session, write) {
            return WriteResult::Refused(Some(session));
        }
        WriteResult::Applied(Session {
            generation: write.generation.saturating_add(1),
            rotated_before: session.rotated_at,
            rotated_at: write.now,
            idle: write.idle,
            key_id: write.key_id,
            ..session
        })
    }

    fn may_refresh(&self, session: &Session, write: &RefreshWrite) -> bool {
        self.and(Clause::RefreshFamily, session.family == write.family)
            && self.and(Clause::RefreshGeneration, session.generation == write.generation)
            && self.and(Clause::RefreshAge, session.rotated_at <= write.rotated_until)
            && self.and(Clause::RefreshIdle, session.idle > write.now)
            && self.and(Clause::RefreshAbsolute, session.absolute > write.now)
            && self.and(Clause::RefreshNotBefore, session.created_at >= write.not_before)
    }

    /// Deletes a session in which an attribute has this value.
    async fn delete_session(
        &self,
        at: &SessionRef,
        (clause, name): (Clause, &str),
        value: &Value,
    ) -> Result<(), StoreError> {
        let key = key(at);
        let delete = |items: &mut Items| {
            if items.get(&key).is_some_and(|item| self.and(clause, is(item, name, value))) {
                items.remove(&key);
            }
        };
        self.send(delete).await
    }
}

#[async_trait]
impl PutSession for MemoryTable {
    async fn put_session(&self, at: &SessionRef, session: &Session) -> Result<bool, StoreError> {
        locked(&self.hooks.put).insert(at.sid.encode(), session.clone());
        let key = key(at);
        let put = |items: &mut Items| {
            let there = items.get(&key);
            let may = self.or(Clause::PutOverNone, there.is_none())
                || there.is_some_and(|item| {
                    self.and(Clause::PutOverOlder, at_most(item, "created_at", session.created_at))
                });
            if may {
                items.insert(key.clone(), from_session(session));
            }
            may
        };
        self.send(put).await
    }
}

#[async_trait]
impl RefreshSession for MemoryTable {
    async fn refresh_session(&self, write: &RefreshWrite) -> Result<WriteResult<Session>, StoreError> {
        if self.hooks.torn_refresh {
            let result = self.refreshed(self.read_session(&write.at).await?, write);
            if let WriteResult::Applied(session) = &result {
                self.put_session(&write.at, session).await?;
            }
            return Ok(result);
        }
        let key = key(&write.at);
        let update = |items: &mut Items| {
            let result = self.refreshed(items.get(&key).map(to_session).transpose()?, write);
            if let WriteResult::Applied(session) = &result {
                items.insert(key.clone(), from_session(session));
            }
            Ok(result)
        };
        self.send(update).await?
    }
}

#[async_trait]
impl ReadSession for MemoryTable {
    async fn read_session(&self, at: &SessionRef) -> Result<Option<Session>, StoreError> {
        if self.hooks.blind_reads {
            return Ok(locked(&self.hooks.put).get(&at.sid.encode()).cloned());
        }
        let key = key(at);
        self.send(|items| items.get(&key).map(to_session).transpose()).await?
    }
}

#[async_trait]
impl RevokeSession for MemoryTable {
    async fn revoke_session(&self, at: &SessionRef, family: Family) -> Result<(), StoreError> {
        locked(&self.hooks.revoked).insert(family.0);
        self.delete_session(at, (Clause::RevokeFamily, "family"), &bytes(family.0)).await
    }

    async fn log_out_session(&self, at: &SessionRef, created_at: Secs) -> Result<(), StoreError> {
        self.delete_session(at, (Clause::LogOutCreated, "created_at"), &number(created_at)).await
    }
}

#[async_trait]
impl ListUserItems for MemoryTable {
    async fn list_user_items(&self, user: &UserRef) -> Result<UserItems, StoreError> {
        let partition = users::partition(user);
        let query = |items: &mut Items| {
            let of_user = items.range((partition.clone(), String::new())..).take_while(|((pk, _), _)| *pk == partition);
            let mut everything = UserItems::default();
            for ((_, sort), item) in of_user {
                if sort.starts_with(SORT) {
                    everything.sessions.push(to_session(item)?);
                } else {
                    everything.user = Some(users::to_user(item));
                }
            }
            Ok(everything)
        };
        self.send(query).await?
    }
}

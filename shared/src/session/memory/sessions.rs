//! Session items.

use async_trait::async_trait;

use super::{
    Clause, Item, Items, Key, MemoryTable, Value, at_most, bytes, get_bytes, get_number, get_text, is, number, text,
    users,
};
use crate::{
    clock::Secs,
    ids::{DeviceId, Family, UnionId},
    session::{
        Attempt, EndSession, Everything, ListItems, OpenSession, ReadSession, RotateSession, Rotation, Session,
        SessionRef, StoreError, UserRef,
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
    pub fn attempt(&self, there: Option<Session>, rotation: &Rotation) -> Attempt {
        let Some(session) = there else {
            return Attempt::Refused(None);
        };
        if !self.may_rotate(&session, rotation) {
            return Attempt::Refused(Some(session));
        }
        Attempt::Applied(Session {
            generation: rotation.generation.saturating_add(1),
            rotated_before: session.rotated_at,
            rotated_at: rotation.now,
            idle: rotation.idle,
            key_id: rotation.key_id,
            ..session
        })
    }

    fn may_rotate(&self, session: &Session, rotation: &Rotation) -> bool {
        self.and(Clause::RotateFamily, session.family == rotation.family)
            && self.and(Clause::RotateGeneration, session.generation == rotation.generation)
            && self.and(Clause::RotateAge, session.rotated_at <= rotation.rotated_until)
            && self.and(Clause::RotateIdle, session.idle > rotation.now)
            && self.and(Clause::RotateAbsolute, session.absolute > rotation.now)
            && self.and(Clause::RotateNotBefore, session.created_at >= rotation.not_before)
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
impl OpenSession for MemoryTable {
    async fn open(&self, at: &SessionRef, session: &Session) -> Result<bool, StoreError> {
        let key = key(at);
        let put = |items: &mut Items| {
            let there = items.get(&key);
            let may = self.or(Clause::OpenOverNone, there.is_none())
                || there.is_some_and(|item| {
                    self.and(Clause::OpenOverOlder, at_most(item, "created_at", session.created_at))
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
impl RotateSession for MemoryTable {
    async fn rotate(&self, rotation: &Rotation) -> Result<Attempt, StoreError> {
        let key = key(&rotation.at);
        let update = |items: &mut Items| {
            let attempt = self.attempt(items.get(&key).map(to_session).transpose()?, rotation);
            if let Attempt::Applied(session) = &attempt {
                items.insert(key.clone(), from_session(session));
            }
            Ok(attempt)
        };
        self.send(update).await?
    }
}

#[async_trait]
impl ReadSession for MemoryTable {
    async fn read(&self, at: &SessionRef) -> Result<Option<Session>, StoreError> {
        let key = key(at);
        self.send(|items| items.get(&key).map(to_session).transpose()).await?
    }
}

#[async_trait]
impl EndSession for MemoryTable {
    async fn end(&self, at: &SessionRef, family: Family) -> Result<(), StoreError> {
        self.delete_session(at, (Clause::EndFamily, "family"), &bytes(family.0)).await
    }

    async fn log_out(&self, at: &SessionRef, created_at: Secs) -> Result<(), StoreError> {
        self.delete_session(at, (Clause::LogOutCreated, "created_at"), &number(created_at)).await
    }
}

#[async_trait]
impl ListItems for MemoryTable {
    async fn list(&self, user: &UserRef) -> Result<Everything, StoreError> {
        let partition = users::partition(user);
        let query = |items: &mut Items| {
            let of_user = items.range((partition.clone(), String::new())..).take_while(|((pk, _), _)| *pk == partition);
            let mut everything = Everything::default();
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

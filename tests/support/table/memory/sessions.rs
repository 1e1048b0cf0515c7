//! Session items.

use async_trait::async_trait;

use super::{
    Clause, Item, Items, Key, MemoryTable, at_most, below, bytes, get_bytes, get_number, get_text, is, locked, number,
    text, users,
};
use shared::{
    clock::{Millis, Secs},
    ids::{DeviceId, Family, SessionRef, UnionId, UserRef},
    session::{Session, UserItems, WriteResult, refresh::RefreshWrite},
    store::{
        StoreError,
        grants::{ListUserItems, PutSession, ReadSession, RefreshSession, RevokeSession},
    },
    token::{access::Subject, keyring::KeyId},
};

const DAY: Secs = 86_400;
pub(super) const HOUR: Secs = 3_600;
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
        ("arrived_ms", number(session.arrived_ms)),
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

/// A session, or nothing if only the mark of its end is left.
fn to_session(item: &Item) -> Result<Option<Session>, StoreError> {
    if !item.contains_key("family") {
        return Ok(None);
    }
    let secs = |attribute| get_number(item, attribute).ok_or(StoreError::Corrupt { attribute });
    let small = |attribute| secs(attribute)?.try_into().map_err(|_| StoreError::Corrupt { attribute });
    let sixteen = |attribute| {
        get_bytes(item, attribute).and_then(|bytes| bytes.try_into().ok()).ok_or(StoreError::Corrupt { attribute })
    };
    Ok(Some(Session {
        device: DeviceId(sixteen("device")?),
        family: Family(sixteen("family")?),
        generation: small("generation")?,
        key_id: KeyId(small("key_id")?),
        created_at: secs("created_at")?,
        arrived_ms: secs("arrived_ms")?,
        rotated_at: secs("rotated_at")?,
        rotated_before: secs("rotated_before")?,
        idle: secs("idle")?,
        absolute: secs("absolute")?,
        unionid: get_text(item, "unionid").and_then(|unionid| UnionId::parse(unionid).ok()),
    }))
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

    /// Leaves the mark of an end where the condition holds, with what else it is to hold.
    async fn end(
        &self,
        at: &SessionRef,
        condition: impl Fn(&Item) -> bool + Send + Sync,
        more: Item,
        now: Secs,
    ) -> Result<(), StoreError> {
        let key = key(at);
        let end = |items: &mut Items| {
            let there = items.get(&key).cloned().unwrap_or_default();
            if !condition(&there) {
                return;
            }
            items.remove(&key);
            if self.or(Clause::EndMarks, true) {
                let mut mark = there.clone();
                mark.retain(|name, _| ["ended", "created_at", "arrived_ms"].contains(name));
                mark.extend(there.get("family").map(|family| ("ended", family.clone())));
                mark.extend(more.clone());
                mark.insert("ttl", number(now + HOUR));
                items.insert(key.clone(), mark);
            }
        };
        self.send(end).await
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
                || there
                    .is_some_and(|item| self.and(Clause::PutOverOlder, below(item, "arrived_ms", session.arrived_ms)));
            let is_there = there.is_some_and(|item| is(item, "family", &bytes(session.family.0)));
            if may {
                items.insert(key.clone(), from_session(session));
            }
            may || is_there
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
            let result = self.refreshed(items.get(&key).map(to_session).transpose()?.flatten(), write);
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
        self.send(|items| Ok(items.get(&key).map(to_session).transpose()?.flatten())).await?
    }
}

#[async_trait]
impl RevokeSession for MemoryTable {
    async fn revoke_session(&self, at: &SessionRef, family: Family, now: Secs) -> Result<(), StoreError> {
        locked(&self.hooks.revoked).insert(family.0);
        let own = |there: &Item| self.and(Clause::RevokeFamily, is(there, "family", &bytes(family.0)));
        self.end(at, own, Item::new(), now).await
    }

    async fn log_out_session(&self, subject: &Subject, now: Secs) -> Result<(), StoreError> {
        let in_its_millisecond = |there: &Item| {
            let arrived = get_number(there, "arrived_ms").map(|arrived| arrived % 1_000);
            subject.millisecond.is_none_or(|told| arrived.is_none_or(|arrived| arrived == Millis::from(told)))
        };
        let own = |there: &Item| {
            self.and(Clause::LogOutAlive, there.contains_key("family"))
                && self.and(Clause::LogOutCreated, is(there, "created_at", &number(subject.auth_time)))
                && self.and(Clause::LogOutMillisecond, in_its_millisecond(there))
        };
        self.end(&subject.session(), own, Item::new(), now).await
    }

    async fn erase_session(&self, at: &SessionRef, family: Family, deleted_ms: Millis) -> Result<(), StoreError> {
        let own = |there: &Item| self.and(Clause::EraseFamily, is(there, "family", &bytes(family.0)));
        let raised = if self.or(Clause::EraseRaises, true) {
            Item::from([("arrived_ms", number(deleted_ms))])
        } else {
            Item::new()
        };
        self.end(at, own, raised, deleted_ms / 1_000).await
    }

    async fn retract_session(&self, at: &SessionRef, session: &Session, now: Secs) -> Result<(), StoreError> {
        let own = |there: &Item| {
            let of_nobody_else = !there.contains_key("family") || is(there, "family", &bytes(session.family.0));
            let of_none_later = !there.contains_key("arrived_ms") || at_most(there, "arrived_ms", session.arrived_ms);
            self.and(Clause::RetractOwn, of_nobody_else) && self.and(Clause::RetractOlder, of_none_later)
        };
        let mark = [
            ("ended", bytes(session.family.0)),
            ("created_at", number(session.created_at)),
            ("arrived_ms", number(session.arrived_ms)),
        ];
        self.end(at, own, Item::from(mark), now).await
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
                    everything.sessions.extend(to_session(item)?);
                } else {
                    everything.user = Some(users::to_user(item));
                }
            }
            Ok(everything)
        };
        self.send(query).await?
    }
}

//! Session items.

use async_trait::async_trait;

use super::{
    DynamoTable, failed,
    item::{TTL_SLACK, bytes, from_session, number, partition, session_item_key, text, to_session, to_user_items},
    measured,
};
use crate::{
    clock::Secs,
    ids::{Family, SessionRef, UserRef},
    session::{Session, UserItems, WriteResult, refresh::RefreshWrite},
    store::{
        StoreError,
        grants::{ListUserItems, PutSession, ReadSession, RefreshSession, RevokeSession},
    },
};

/// All that must hold for a token to be replaced.
const REFRESH_IF: &str = "#family = :family AND #generation = :generation AND #rotated_at <= :rotated_until \
    AND #idle > :now AND #absolute > :now AND #created_at >= :not_before";
/// `SET` reads the item as it was before, so `rotated_before` gets the old `rotated_at`.
const REFRESH: &str = "SET #generation = :next, #rotated_before = #rotated_at, #rotated_at = :now, #idle = :idle, \
    #ttl = :ttl, #key_id = :key_id";

#[async_trait]
impl PutSession for DynamoTable {
    async fn put_session(&self, at: &SessionRef, session: &Session) -> Result<bool, StoreError> {
        let mut item = from_session(session);
        item.extend(session_item_key(at));
        let condition = "attribute_not_exists(pk) OR #created_at <= :mine";
        let result = self.put(item, condition, vec![(":mine", number(session.created_at))]).await?;
        Ok(result == WriteResult::Applied(()))
    }
}

#[async_trait]
impl RefreshSession for DynamoTable {
    async fn refresh_session(&self, write: &RefreshWrite) -> Result<WriteResult<Session>, StoreError> {
        let values = vec![
            (":family", bytes(write.family.0)),
            (":generation", number(write.generation)),
            (":next", number(write.generation.saturating_add(1))),
            (":rotated_until", number(write.rotated_until)),
            (":now", number(write.now)),
            (":not_before", number(write.not_before)),
            (":idle", number(write.idle)),
            (":ttl", number(write.idle + TTL_SLACK)),
            (":key_id", number(write.key_id.0)),
        ];
        match self.update(session_item_key(&write.at), REFRESH, REFRESH_IF, values).await? {
            WriteResult::Applied(item) => to_session(&item).map(WriteResult::Applied),
            WriteResult::Refused(item) => Ok(WriteResult::Refused(item.as_ref().map(to_session).transpose()?)),
        }
    }
}

#[async_trait]
impl ReadSession for DynamoTable {
    async fn read_session(&self, at: &SessionRef) -> Result<Option<Session>, StoreError> {
        self.get(session_item_key(at)).await?.as_ref().map(to_session).transpose()
    }
}

/// A condition that does not hold means that the session is gone, or that a newer login has replaced it. Either is fine.
#[async_trait]
impl RevokeSession for DynamoTable {
    async fn revoke_session(&self, at: &SessionRef, family: Family) -> Result<(), StoreError> {
        self.delete(session_item_key(at), "#family = :family", vec![(":family", bytes(family.0))]).await.map(drop)
    }

    async fn log_out_session(&self, at: &SessionRef, created_at: Secs) -> Result<(), StoreError> {
        let values = vec![(":created_at", number(created_at))];
        self.delete(session_item_key(at), "#created_at = :created_at", values).await.map(drop)
    }
}

#[async_trait]
impl ListUserItems for DynamoTable {
    async fn list_user_items(&self, user: &UserRef) -> Result<UserItems, StoreError> {
        // A user has few items of about 1 kB each, so one page of 1 MB holds them all.
        let request = self
            .client
            .query()
            .table_name(&self.name)
            .consistent_read(true)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", text(partition(user)));
        to_user_items(measured(request.send()).await.map_err(|error| failed(&error))?.items())
    }
}

//! Session items.

use async_trait::async_trait;

use super::{
    DynamoTable, Values, failed,
    item::{
        MARK, TTL_SLACK, bytes, from_session, get_family, number, partition, session_item_key, text, to_session,
        to_user_items,
    },
    measured,
};
use crate::{
    clock::{Millis, Secs},
    ids::{Family, SessionRef, UserRef},
    session::{Session, UserItems, WriteResult, refresh::RefreshWrite},
    store::{
        StoreError,
        grants::{ListUserItems, PutSession, ReadSession, RefreshSession, RevokeSession},
    },
    token::access::Subject,
};

/// All that must hold for a token to be replaced.
const REFRESH_IF: &str = "#family = :family AND #generation = :generation AND #rotated_at <= :rotated_until \
    AND #idle > :now AND #absolute > :now AND #created_at >= :not_before";
/// `SET` reads the item as it was before, so `rotated_before` gets the old `rotated_at`.
const REFRESH: &str = "SET #generation = :next, #rotated_before = #rotated_at, #rotated_at = :now, #idle = :idle, \
    #ttl = :ttl, #key_id = :key_id";

/// Over nothing, or over what arrived earlier. The mark of a session's end arrived when the session did, so that a put that is
/// late does not replace it. Items of earlier releases have no `arrived_ms`.
const PUT_IF: &str = "attribute_not_exists(pk) OR #arrived_ms < :arrived_ms \
    OR (attribute_not_exists(#arrived_ms) AND #created_at <= :created_at)";

/// What an end leaves: the family, and its place in the order of logins.
const END: &str = "REMOVE #family, #device, #generation, #key_id, #rotated_at, #rotated_before, #idle, #absolute, #unionid \
    SET #ttl = :ttl";

#[async_trait]
impl PutSession for DynamoTable {
    async fn put_session(&self, at: &SessionRef, session: &Session) -> Result<bool, StoreError> {
        let mut item = from_session(session);
        item.extend(session_item_key(at));
        let values = vec![(":arrived_ms", number(session.arrived_ms)), (":created_at", number(session.created_at))];
        Ok(match self.put(item, PUT_IF, values).await? {
            WriteResult::Applied(_) => true,
            // The SDK repeats a put whose acknowledgement was lost.
            WriteResult::Refused(Some(there)) => {
                get_family(&there, "family").is_ok_and(|family| family == session.family)
            }
            WriteResult::Refused(None) => false,
        })
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
            WriteResult::Applied(item) => {
                to_session(&item)?.map(WriteResult::Applied).ok_or(StoreError::Corrupt { attribute: "family" })
            }
            WriteResult::Refused(item) => {
                Ok(WriteResult::Refused(item.as_ref().map(to_session).transpose()?.flatten()))
            }
        }
    }
}

#[async_trait]
impl ReadSession for DynamoTable {
    async fn read_session(&self, at: &SessionRef) -> Result<Option<Session>, StoreError> {
        Ok(self.get(session_item_key(at)).await?.as_ref().map(to_session).transpose()?.flatten())
    }
}

/// A condition that does not hold means that the session is gone, or that a newer login has replaced it. Either is fine.
#[async_trait]
impl RevokeSession for DynamoTable {
    async fn revoke_session(&self, at: &SessionRef, family: Family, now: Secs) -> Result<(), StoreError> {
        let update = format!("{END}, #ended = #family");
        self.end(at, &update, "#family = :family", vec![(":family", bytes(family.0))], now).await
    }

    async fn log_out_session(&self, subject: &Subject, now: Secs) -> Result<(), StoreError> {
        let update = format!("{END}, #ended = #family");
        let mut condition = "attribute_exists(#family) AND #created_at = :created_at".to_owned();
        let mut values = vec![(":created_at", number(subject.auth_time))];
        if let Some(millisecond) = subject.millisecond {
            // Items of earlier releases do not have it.
            condition.push_str(" AND (attribute_not_exists(#arrived_ms) OR #arrived_ms = :arrived_ms)");
            values.push((":arrived_ms", number(subject.auth_time * 1_000 + Millis::from(millisecond))));
        }
        self.end(&subject.session(), &update, &condition, values, now).await
    }

    async fn erase_session(&self, at: &SessionRef, family: Family, deleted_ms: Millis) -> Result<(), StoreError> {
        let update = format!("{END}, #ended = #family, #arrived_ms = :deleted_ms");
        let values = vec![(":family", bytes(family.0)), (":deleted_ms", number(deleted_ms))];
        self.end(at, &update, "#family = :family", values, deleted_ms / 1_000).await
    }

    async fn retract_session(&self, at: &SessionRef, session: &Session, now: Secs) -> Result<(), StoreError> {
        let update = format!("{END}, #ended = :family, #created_at = :created_at, #arrived_ms = :arrived_ms");
        let condition = "(attribute_not_exists(#family) OR #family = :family) \
            AND (attribute_not_exists(#arrived_ms) OR #arrived_ms <= :arrived_ms)";
        let values = vec![
            (":family", bytes(session.family.0)),
            (":created_at", number(session.created_at)),
            (":arrived_ms", number(session.arrived_ms)),
        ];
        self.end(at, &update, condition, values, now).await
    }
}

impl DynamoTable {
    /// Leaves the mark of an end, for a while from now.
    async fn end(
        &self,
        at: &SessionRef,
        update: &str,
        condition: &str,
        mut values: Values<'_>,
        now: Secs,
    ) -> Result<(), StoreError> {
        values.push((":ttl", number(now + MARK)));
        self.update(session_item_key(at), update, condition, values).await.map(drop)
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

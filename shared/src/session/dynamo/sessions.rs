//! Session items.

use async_trait::async_trait;
use aws_sdk_dynamodb::{
    error::SdkError,
    types::{AttributeValue, ReturnValue},
};

use super::{
    DynamoTable, Fill as _, Written, failed,
    item::{BROOM, bytes, from_session, number, partition, session_key, text, to_everything, to_session},
    sent, written,
};
use crate::{
    clock::Secs,
    ids::Family,
    session::{
        Attempt, EndSession, Everything, ListItems, OpenSession, ReadSession, RotateSession, Rotation, Session,
        SessionRef, StoreError, UserRef,
    },
};

/// The refresh: all that must hold for a token to be rotated.
const ROTATE_IF: &str = "#family = :family AND #generation = :generation AND #rotated_at <= :rotated_until \
    AND #idle > :now AND #absolute > :now AND #created_at >= :not_before";
/// `SET` reads the item as it was: the two times shift.
const ROTATE: &str = "SET #generation = :next, #rotated_before = #rotated_at, #rotated_at = :now, #idle = :idle, \
    #ttl = :ttl, #key_id = :key_id";

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
        match sent(put.send()).await {
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
        match written(sent(request.send()).await)? {
            Written::Applied(item) => to_session(&item).map(Attempt::Applied),
            Written::Refused(item) => Ok(Attempt::Refused(item.as_ref().map(to_session).transpose()?)),
        }
    }
}

#[async_trait]
impl ReadSession for DynamoTable {
    async fn read(&self, at: &SessionRef) -> Result<Option<Session>, StoreError> {
        self.get_item(session_key(at)).await?.as_ref().map(to_session).transpose()
    }
}

impl DynamoTable {
    /// Deletes a session in which an attribute has this value.
    async fn delete_session(&self, at: &SessionRef, name: &str, value: AttributeValue) -> Result<(), StoreError> {
        let request = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(session_key(at)))
            .condition_expression("#name = :value")
            .expression_attribute_names("#name", name)
            .expression_attribute_values(":value", value);
        match sent(request.send()).await {
            Ok(_) => Ok(()),
            // Another login has taken its place, or it is gone already: both are what was wanted.
            Err(SdkError::ServiceError(error)) if error.err().is_conditional_check_failed_exception() => Ok(()),
            Err(error) => Err(failed(&error)),
        }
    }
}

#[async_trait]
impl EndSession for DynamoTable {
    async fn end(&self, at: &SessionRef, family: Family) -> Result<(), StoreError> {
        self.delete_session(at, "family", bytes(family.0)).await
    }

    async fn log_out(&self, at: &SessionRef, created_at: Secs) -> Result<(), StoreError> {
        self.delete_session(at, "created_at", number(created_at)).await
    }
}

#[async_trait]
impl ListItems for DynamoTable {
    async fn list(&self, user: &UserRef) -> Result<Everything, StoreError> {
        // A user has few items of about 1 kB each: one page of 1 MB holds them all.
        let request = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", text(partition(user)));
        to_everything(sent(request.send()).await.map_err(|error| failed(&error))?.items())
    }
}

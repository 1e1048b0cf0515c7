//! Revocation of sessions, and erasure of all that is stored about a user.
//!
//! The session of the request itself goes last: if a step fails, the same token can be used to try again.

use futures_util::future::try_join_all;

use crate::{
    clock::{Millis, Secs},
    grants,
    ids::{Sid, UserRef},
    session::{Session, UserItems, idempotency::CodeHash},
    store::{
        StoreError,
        grants::{Deletion, EraseIdempotencyRecord, EraseUser, ListUserItems, RevokeSession},
    },
};

grants! {
    /// What revocation may do with the table.
    pub trait RevocationTable = ListUserItems, RevokeSession, EraseUser, EraseIdempotencyRecord;
}

/// Revokes all sessions of a user, `last` after the others, and gives how many there were.
pub async fn revoke_all(
    table: &dyn RevocationTable,
    user: &UserRef,
    last: Option<Sid>,
    now: Secs,
) -> Result<usize, StoreError> {
    let sessions = table.list_user_items(user).await?.sessions;
    let revoke =
        async |session: &Session| table.revoke_session(&user.session(session.device), session.family, now).await;
    // Each by its family, so that a newer login on the same device is not touched.
    let (own, others) = split(user, &sessions, last);
    try_join_all(others.into_iter().map(&revoke)).await?;
    try_join_all(own.into_iter().map(&revoke)).await?;
    Ok(sessions.len())
}

/// Deletes all that is stored about a user, the session `last` after everything else, and gives whether there was anything.
///
/// The deletion is marked first, so that a login which arrived before it stores nothing any more; what such a login has stored
/// meanwhile is found by the second look. The mark stays for an hour. A running count of attempts stays until its hour is over,
/// or else deleting and logging in would reset it. A block stays, or else deleting would lift it.
pub async fn erase(
    table: &dyn RevocationTable,
    user: &UserRef,
    last: Option<Sid>,
    now: Millis,
) -> Result<bool, StoreError> {
    let Deletion { deleted_ms, was_user } = table.erase_user(user, now).await?;
    let erase_session =
        async |session: &Session| table.erase_session(&user.session(session.device), session.family, deleted_ms).await;
    let UserItems { user: item, sessions } = arrived_before(deleted_ms, table.list_user_items(user).await?);
    let item = item.unwrap_or_default();
    let (_, others) = split(user, &sessions, last);
    tokio::try_join!(
        erase_records(table, item.login_records.iter().chain(&item.phone_records), deleted_ms / 1_000),
        try_join_all(others.into_iter().map(&erase_session)),
    )?;
    table.forget_records(user, deleted_ms).await?;
    let left = arrived_before(deleted_ms, table.list_user_items(user).await?).sessions;
    let (own, others) = split(user, &left, last);
    try_join_all(others.into_iter().map(&erase_session)).await?;
    try_join_all(own.into_iter().map(&erase_session)).await?;
    Ok(was_user || !sessions.is_empty())
}

/// Without the sessions of those who logged in again after a deletion.
fn arrived_before(deleted_ms: Millis, mut items: UserItems) -> UserItems {
    items.sessions.retain(|session| session.arrived_ms <= deleted_ms);
    items
}

/// Deletes the phone numbers that are kept for repeated requests.
pub async fn erase_phone_numbers(table: &dyn RevocationTable, user: &UserRef, now: Secs) -> Result<(), StoreError> {
    let item = table.list_user_items(user).await?.user.unwrap_or_default();
    erase_records(table, item.phone_records.iter(), now).await
}

fn split<'a>(user: &UserRef, sessions: &'a [Session], last: Option<Sid>) -> (Vec<&'a Session>, Vec<&'a Session>) {
    sessions.iter().partition(|session| Some(user.sid(session.device)) == last)
}

async fn erase_records(
    table: &dyn RevocationTable,
    records: impl Iterator<Item = &CodeHash>,
    now: Secs,
) -> Result<(), StoreError> {
    try_join_all(records.map(|record| table.erase_idempotency_record(record, now))).await.map(drop)
}

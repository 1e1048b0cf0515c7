//! Revocation of sessions, and erasure of all that is stored about a user.
//!
//! The session of the request itself goes last: if a step fails, the same token can be used to try again.

use futures_util::future::try_join_all;

use crate::{
    clock::Secs,
    grants,
    ids::{Sid, UserRef},
    session::{Session, UserItems, idempotency::CodeHash},
    store::{
        StoreError,
        grants::{EraseIdempotencyRecord, EraseUser, ListUserItems, RevokeSession},
    },
};

grants! {
    /// What revocation may do with the table.
    pub trait RevocationTable = ListUserItems, RevokeSession, EraseUser, EraseIdempotencyRecord;
}

/// Revokes all sessions of a user, `last` after the others, and gives how many there were.
pub async fn revoke_all(table: &dyn RevocationTable, user: &UserRef, last: Option<Sid>) -> Result<usize, StoreError> {
    let sessions = table.list_user_items(user).await?.sessions;
    let (own, others) = split(user, &sessions, last);
    revoke(table, user, &others).await?;
    revoke(table, user, &own).await?;
    Ok(sessions.len())
}

/// Deletes all that is stored about a user, the session `last` after everything else, and gives whether there was anything.
///
/// A running count of attempts stays until its hour is over, or else deleting and logging in would reset it. A block
/// stays, or else deleting would lift it.
pub async fn erase(
    table: &dyn RevocationTable,
    user: &UserRef,
    last: Option<Sid>,
    now: Secs,
) -> Result<bool, StoreError> {
    let UserItems { user: item, sessions } = table.list_user_items(user).await?;
    let item = item.unwrap_or_default();
    let records: Vec<_> = item.login_records.iter().chain(&item.phone_records).collect();
    let (own, others) = split(user, &sessions, last);
    tokio::try_join!(erase_records(table, &records), revoke(table, user, &others))?;
    table.erase_user(user, now).await?;
    revoke(table, user, &own).await?;
    Ok(!sessions.is_empty() || item.first_login.is_some())
}

/// Deletes the phone numbers that are kept for repeated requests.
pub async fn erase_phone_numbers(table: &dyn RevocationTable, user: &UserRef) -> Result<(), StoreError> {
    let item = table.list_user_items(user).await?.user.unwrap_or_default();
    erase_records(table, &item.phone_records.iter().collect::<Vec<_>>()).await
}

fn split<'a>(user: &UserRef, sessions: &'a [Session], last: Option<Sid>) -> (Vec<&'a Session>, Vec<&'a Session>) {
    sessions.iter().partition(|session| Some(user.sid(session.device)) == last)
}

async fn erase_records(table: &dyn RevocationTable, records: &[&CodeHash]) -> Result<(), StoreError> {
    try_join_all(records.iter().map(|record| table.erase_idempotency_record(record))).await.map(drop)
}

/// Each session is revoked by its family, so that a newer login on the same device is not touched.
async fn revoke(table: &dyn RevocationTable, user: &UserRef, sessions: &[&Session]) -> Result<(), StoreError> {
    let revoke = async |session: &Session| table.revoke_session(&user.session(session.device), session.family).await;
    try_join_all(sessions.iter().map(|session| revoke(session))).await.map(drop)
}

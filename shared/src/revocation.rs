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
        grants::{Deletion, EraseIdempotencyRecord, EraseUser, ListUserItems, RefuseLogins, RevokeSession},
    },
};

/// So many deletions of a user that come one upon the other are seen to their end by the first.
const DELETIONS: usize = 3;

grants! {
    /// What revocation may do with the table.
    pub trait RevocationTable = ListUserItems, RevokeSession, RefuseLogins, EraseUser, EraseIdempotencyRecord;
}

/// Revokes all sessions of a user, `last` after the others, and gives how many there were.
///
/// Logins that arrived before are refused first. One of them that is under way either finds this mark, or its session is among
/// those that are listed then. A session of a login that arrived later stays.
pub async fn revoke_all(
    table: &dyn RevocationTable,
    user: &UserRef,
    last: Option<Sid>,
    now: Millis,
) -> Result<usize, StoreError> {
    table.refuse_logins(user, now).await?;
    let UserItems { user: item, mut sessions } = table.list_user_items(user).await?;
    let item = item.unwrap_or_default();
    sessions.retain(|session| item.overtakes(session.arrived_ms));
    let revoke = async |session: &Session| {
        table.revoke_session(&user.session(session.device), session.family, now / 1_000).await
    };
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
    let deletion = table.erase_user(user, now).await?;
    erase_rest(table, user, last, deletion).await
}

/// The same for a deletion of that time which is done, or finished, later. A login that arrived after `latest` stays, without what
/// was before it; only its idempotency record, and a phone number that it has redeemed meanwhile, may go with the others.
pub async fn erase_of(
    table: &dyn RevocationTable,
    user: &UserRef,
    time: Millis,
    latest: Millis,
) -> Result<(), StoreError> {
    let deletion = table.erase_user_of(user, time, latest).await?;
    erase_rest(table, user, None, deletion).await.map(drop)
}

/// Everything but the user item, which is marked.
async fn erase_rest(
    table: &dyn RevocationTable,
    user: &UserRef,
    last: Option<Sid>,
    Deletion { mut deleted_ms, was_user }: Deletion,
) -> Result<bool, StoreError> {
    let mut was_logged_in = false;
    // A later deletion may not come to its end, so this one does its work, too.
    for _ in 0..DELETIONS {
        let UserItems { user: item, mut sessions } = table.list_user_items(user).await?;
        sessions.retain(|session| session.arrived_ms <= deleted_ms);
        was_logged_in |= !sessions.is_empty();
        let item = item.unwrap_or_default();
        let (_, others) = split(user, &sessions, last);
        tokio::try_join!(
            erase_records(table, item.login_records.iter().chain(&item.phone_records), deleted_ms / 1_000),
            try_join_all(others.into_iter().map(async |session| {
                table.erase_session(&user.session(session.device), session.family, deleted_ms).await
            })),
        )?;
        match table.forget_records(user, deleted_ms).await? {
            Some(later) => deleted_ms = later,
            None => break,
        }
    }
    let left = table.list_user_items(user).await?;
    let is_gone = left.user.is_none_or(|user| user.first_login.is_none());
    let end = async |session: &Session| {
        let at = user.session(session.device);
        if session.arrived_ms <= deleted_ms {
            table.erase_session(&at, session.family, deleted_ms).await
        } else if is_gone {
            // Of a login that has not stored its user; if it still lives, it finds its session ended.
            table.revoke_session(&at, session.family, deleted_ms / 1_000).await
        } else {
            // The user has logged in again.
            Ok(())
        }
    };
    let (own, others) = split(user, &left.sessions, last);
    try_join_all(others.into_iter().map(&end)).await?;
    try_join_all(own.into_iter().map(&end)).await?;
    Ok(was_user || was_logged_in)
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

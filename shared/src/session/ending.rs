//! The ends of a user's sessions, of what was granted, and of all that is stored about a user.
//!
//! The session of the request itself goes last: where one step fails, the same token can ask again.

use super::{EndSession, EraseUser, Everything, ListItems, Session, SessionRef, StoreError, UserRef};
use crate::{clock::Secs, ids::Sid};

/// Ends all sessions of a user, `last` after the others, and gives how many there were.
pub async fn end_all(
    items: &dyn ListItems,
    sessions: &dyn EndSession,
    user: &UserRef,
    last: Option<Sid>,
) -> Result<usize, StoreError> {
    let stored = own_last(user, items.list(user).await?.sessions, last);
    for (sid, session) in &stored {
        end(sessions, user, *sid, session).await?;
    }
    Ok(stored.len())
}

/// Deletes all that is stored about a user, and gives whether there was anything.
///
/// A running count of attempts stays out its hour, else deleting and logging in would reset it; and a block stays, else
/// deleting would lift it.
pub async fn erase(
    items: &dyn ListItems,
    sessions: &dyn EndSession,
    users: &dyn EraseUser,
    (user, last): (&UserRef, Option<Sid>),
    now: Secs,
) -> Result<bool, StoreError> {
    let Everything { user: stored, sessions: all } = items.list(user).await?;
    let phone_claims = stored.iter().flat_map(|stored| &stored.phone_claims);
    for claim in phone_claims.chain(all.iter().filter_map(|session| session.claim.as_ref())) {
        users.erase_claim(claim).await?;
    }
    let was_there = !all.is_empty() || stored.as_ref().is_some_and(|stored| stored.first_login.is_some());
    let mut all = own_last(user, all, last);
    let own = all.pop_if(|(sid, _)| Some(*sid) == last);
    for (sid, session) in &all {
        end(sessions, user, *sid, session).await?;
    }
    users.erase_user(user, now).await?;
    if let Some((sid, session)) = own {
        end(sessions, user, sid, &session).await?;
    }
    Ok(was_there)
}

/// Deletes the phone numbers that are kept for repeated requests.
pub async fn forget_phone(items: &dyn ListItems, users: &dyn EraseUser, user: &UserRef) -> Result<(), StoreError> {
    for claim in items.list(user).await?.user.unwrap_or_default().phone_claims {
        users.erase_claim(&claim).await?;
    }
    Ok(())
}

fn own_last(user: &UserRef, sessions: Vec<Session>, last: Option<Sid>) -> Vec<(Sid, Session)> {
    let mut named: Vec<_> = sessions.into_iter().map(|session| (user.sid(session.device), session)).collect();
    named.sort_by_key(|(sid, _)| Some(*sid) == last);
    named
}

/// By its family: a login that has taken the session's place since is another one.
async fn end(sessions: &dyn EndSession, user: &UserRef, sid: Sid, session: &Session) -> Result<(), StoreError> {
    sessions.end(&SessionRef { user: user.clone(), sid }, session.family).await
}

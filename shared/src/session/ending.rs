//! The ends of a user's sessions, of what was granted, and of all that is stored about a user.
//!
//! The session of the request itself goes last: where one step fails, the same token can ask again.

use std::sync::Arc;

use super::{EndSession, EraseClaim, EraseUser, Everything, ListItems, Session, SessionRef, StoreError, UserRef};
use crate::{clock::Secs, ids::Sid};

/// What ends things, and what there is to end.
#[derive(Clone)]
pub struct Ending {
    /// What is stored of a user.
    pub items: Arc<dyn ListItems>,
    /// The end of a session.
    pub sessions: Arc<dyn EndSession>,
    /// The end of a user item.
    pub users: Arc<dyn EraseUser>,
    /// The end of a claim.
    pub claims: Arc<dyn EraseClaim>,
}

impl Ending {
    /// Ends all sessions of a user, `last` after the others, and gives how many there were.
    pub async fn end_all(&self, user: &UserRef, last: Option<Sid>) -> Result<usize, StoreError> {
        let stored = own_last(user, self.items.list(user).await?.sessions, last);
        for (sid, session) in &stored {
            self.end(user, *sid, session).await?;
        }
        Ok(stored.len())
    }

    /// Deletes all that is stored about a user, and gives whether there was anything.
    ///
    /// A running count of attempts stays out its hour, else deleting and logging in would reset it; and a block stays,
    /// else deleting would lift it.
    pub async fn erase(&self, user: &UserRef, last: Option<Sid>, now: Secs) -> Result<bool, StoreError> {
        let Everything { user: stored, sessions } = self.items.list(user).await?;
        let was_there = !sessions.is_empty() || stored.as_ref().is_some_and(|stored| stored.first_login.is_some());
        let stored = stored.unwrap_or_default();
        for claim in stored.login_claims.iter().chain(&stored.phone_claims) {
            self.claims.erase_claim(claim).await?;
        }
        let mut sessions = own_last(user, sessions, last);
        let own = sessions.pop_if(|(sid, _)| Some(*sid) == last);
        for (sid, session) in &sessions {
            self.end(user, *sid, session).await?;
        }
        self.users.erase_user(user, now).await?;
        if let Some((sid, session)) = own {
            self.end(user, sid, &session).await?;
        }
        Ok(was_there)
    }

    /// Deletes the phone numbers that are kept for repeated requests.
    pub async fn forget_phone(&self, user: &UserRef) -> Result<(), StoreError> {
        for claim in self.items.list(user).await?.user.unwrap_or_default().phone_claims {
            self.claims.erase_claim(&claim).await?;
        }
        Ok(())
    }

    /// By its family: a login that has taken the session's place since is another one.
    async fn end(&self, user: &UserRef, sid: Sid, session: &Session) -> Result<(), StoreError> {
        self.sessions.end(&SessionRef { user: user.clone(), sid }, session.family).await
    }
}

fn own_last(user: &UserRef, sessions: Vec<Session>, last: Option<Sid>) -> Vec<(Sid, Session)> {
    let mut named: Vec<_> = sessions.into_iter().map(|session| (user.sid(session.device), session)).collect();
    named.sort_by_key(|(sid, _)| Some(*sid) == last);
    named
}

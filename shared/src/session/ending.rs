//! The ends of a user's sessions, of what was granted, and of all that is stored about a user.
//!
//! The session of the request itself goes last: where one step fails, the same token can ask again.

use std::sync::Arc;

use futures_util::future::try_join_all;

use super::{
    EndSession, EraseClaim, EraseUser, Everything, ListItems, Session, SessionRef, StoreError, UserRef,
    claim::CodeHash, dynamo::DynamoTable,
};
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
    /// What ends things in this table.
    #[must_use]
    pub fn over(table: &Arc<DynamoTable>) -> Self {
        Self { items: table.clone(), sessions: table.clone(), users: table.clone(), claims: table.clone() }
    }

    /// Ends all sessions of a user, `last` after the others, and gives how many there were.
    pub async fn end_all(&self, user: &UserRef, last: Option<Sid>) -> Result<usize, StoreError> {
        let sessions = self.items.list(user).await?.sessions;
        let (own, others): (Vec<_>, Vec<_>) =
            sessions.iter().partition(|session| Some(user.sid(session.device)) == last);
        self.end(user, &others).await?;
        self.end(user, &own).await?;
        Ok(sessions.len())
    }

    /// Deletes all that is stored about a user, and gives whether there was anything.
    ///
    /// A running count of attempts stays out its hour, else deleting and logging in would reset it; and a block stays,
    /// else deleting would lift it.
    pub async fn erase(&self, user: &UserRef, last: Option<Sid>, now: Secs) -> Result<bool, StoreError> {
        let Everything { user: stored, sessions } = self.items.list(user).await?;
        let stored = stored.unwrap_or_default();
        let claims: Vec<_> = stored.login_claims.iter().chain(&stored.phone_claims).collect();
        let (own, others): (Vec<_>, Vec<_>) =
            sessions.iter().partition(|session| Some(user.sid(session.device)) == last);
        tokio::try_join!(self.forget(&claims), self.end(user, &others))?;
        self.users.erase_user(user, now).await?;
        self.end(user, &own).await?;
        Ok(!sessions.is_empty() || stored.first_login.is_some())
    }

    /// Deletes the phone numbers that are kept for repeated requests.
    pub async fn forget_phone(&self, user: &UserRef) -> Result<(), StoreError> {
        let stored = self.items.list(user).await?.user.unwrap_or_default();
        self.forget(&stored.phone_claims.iter().collect::<Vec<_>>()).await
    }

    async fn forget(&self, claims: &[&CodeHash]) -> Result<(), StoreError> {
        try_join_all(claims.iter().map(|claim| self.claims.erase_claim(claim))).await.map(drop)
    }

    /// By their families: a login that has taken a session's place since is another one.
    async fn end(&self, user: &UserRef, sessions: &[&Session]) -> Result<(), StoreError> {
        let end = async |session: &Session| {
            let at = SessionRef { user: user.clone(), sid: user.sid(session.device) };
            self.sessions.end(&at, session.family).await
        };
        try_join_all(sessions.iter().map(|session| end(session))).await.map(drop)
    }
}

//! Servers that do a thing wrong, on purpose.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use shared::session::{
    Attempt, OpenSession, ReadSession, RotateSession, Rotation, Session, SessionRef, StoreError, memory::MemoryTable,
};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// A refresh reads the session and then writes it.
    TornRefresh,
    /// The replay of a login does not look at the session, but takes it to be as the login meant to leave it.
    BlindReplay,
}

/// A rotation in two requests.
pub(super) struct Torn(pub(super) Arc<MemoryTable>);

#[async_trait]
impl RotateSession for Torn {
    async fn rotate(&self, rotation: &Rotation) -> Result<Attempt, StoreError> {
        let attempt = self.0.attempt(self.0.read(&rotation.at).await?, rotation);
        if let Attempt::Applied(session) = &attempt {
            self.0.open(&rotation.at, session).await?;
        }
        Ok(attempt)
    }
}

/// The sessions that logins meant to open, by their names.
pub(super) type Opened = Arc<Mutex<HashMap<String, Session>>>;

/// A table of which it is believed that it did as it was told.
pub(super) struct Believed {
    pub(super) table: Arc<MemoryTable>,
    pub(super) opened: Opened,
}

#[async_trait]
impl OpenSession for Believed {
    async fn open(&self, at: &SessionRef, session: &Session) -> Result<bool, StoreError> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).insert(at.sid.encode(), session.clone());
        self.table.open(at, session).await
    }
}

#[async_trait]
impl ReadSession for Believed {
    async fn read(&self, at: &SessionRef) -> Result<Option<Session>, StoreError> {
        Ok(self.opened.lock().unwrap_or_else(PoisonError::into_inner).get(&at.sid.encode()).cloned())
    }
}

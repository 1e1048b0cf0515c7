//! One trait per grant on the table: what a function's `Deps` names is what its role may do.

use async_trait::async_trait;

use super::{
    Attempt, Everything, LeaseHolder, Recorded, Rotation, SealedKeys, Session, SessionRef, StoreError, StoredToken,
    TakeError, User, UserLogin, UserRef,
    claim::{Claim, CodeHash},
};
use crate::{
    clock::Secs,
    ids::{AppId, Family, UnionId},
};

/// `UpdateItem` on user items.
#[async_trait]
pub trait RecordUser: Send + Sync {
    /// Stores what a login says of its user, unless the user is blocked. Nothing else makes a user of nobody.
    async fn record(&self, login: &UserLogin) -> Result<Recorded, StoreError>;
}

/// `UpdateItem` on user items.
#[async_trait]
pub trait RememberUnionid: Send + Sync {
    /// Stores a unionid that came to be known after the login; nothing if the user is gone.
    async fn remember_unionid(&self, user: &UserRef, unionid: &UnionId) -> Result<(), StoreError>;
}

/// `GetItem` on user items.
#[async_trait]
pub trait ReadUser: Send + Sync {
    /// The user.
    async fn user(&self, user: &UserRef) -> Result<Option<User>, StoreError>;
}

/// `UpdateItem` on user items: the count and the keys in one write.
#[async_trait]
pub trait TakeKeys: Send + Sync {
    /// Counts an attempt and gives the keys for it. A phone code counts too, and its claim is noted with its user.
    async fn take(&self, user: &UserRef, claim: Option<&CodeHash>, now: Secs) -> Result<SealedKeys, TakeError>;
}

/// `PutItem` on session items.
#[async_trait]
pub trait OpenSession: Send + Sync {
    /// Puts a new session over none or an older one; false if a newer one is there.
    async fn open(&self, at: &SessionRef, session: &Session) -> Result<bool, StoreError>;
}

/// `UpdateItem` on session items.
#[async_trait]
pub trait RotateSession: Send + Sync {
    /// Rotates a session in one conditional write.
    async fn rotate(&self, rotation: &Rotation) -> Result<Attempt, StoreError>;
}

/// `GetItem` on session items.
#[async_trait]
pub trait ReadSession: Send + Sync {
    /// The session as it stands, whatever its age.
    async fn read(&self, at: &SessionRef) -> Result<Option<Session>, StoreError>;
}

/// `DeleteItem` on session items.
#[async_trait]
pub trait EndSession: Send + Sync {
    /// Deletes the session if it is still of this family.
    async fn end(&self, at: &SessionRef, family: Family) -> Result<(), StoreError>;

    /// Deletes the session if it is still the one that was made at this time.
    async fn log_out(&self, at: &SessionRef, created_at: Secs) -> Result<(), StoreError>;
}

/// `Query` on a user's items.
#[async_trait]
pub trait ListItems: Send + Sync {
    /// All that is stored under a user's key.
    async fn list(&self, user: &UserRef) -> Result<Everything, StoreError>;
}

/// `UpdateItem` on user items.
#[async_trait]
pub trait BlockUser: Send + Sync {
    /// Blocks a user, also one who never logged in, and gives the time since when.
    async fn block(&self, user: &UserRef, now: Secs) -> Result<Secs, StoreError>;

    /// Lifts a block; false if there was none.
    async fn unblock(&self, user: &UserRef, now: Secs) -> Result<bool, StoreError>;
}

/// `DeleteItem` and `UpdateItem` on user items.
#[async_trait]
pub trait EraseUser: Send + Sync {
    /// Deletes the user item. A running count of attempts and a block stay, and nothing else.
    async fn erase_user(&self, user: &UserRef, now: Secs) -> Result<(), StoreError>;
}

/// `DeleteItem` on claims.
#[async_trait]
pub trait EraseClaim: Send + Sync {
    /// Deletes the claim of a code.
    async fn erase_claim(&self, code: &CodeHash) -> Result<(), StoreError>;
}

/// `PutItem` and `GetItem` on claims.
#[async_trait]
pub trait KeepClaim: Send + Sync {
    /// Stores a claim.
    async fn put(&self, claim: &Claim) -> Result<(), StoreError>;

    /// The claim of a code, whatever its age.
    async fn get(&self, code: &CodeHash) -> Result<Option<Claim>, StoreError>;
}

/// `GetItem` and `UpdateItem` on platform tokens.
#[async_trait]
pub trait KeepPlatformToken: Send + Sync {
    /// The stored token of an app.
    async fn stored(&self, appid: &AppId) -> Result<Option<StoredToken>, StoreError>;

    /// Takes the right to fetch a new token until `until`; false if somebody else has it now.
    async fn lease(&self, appid: &AppId, holder: LeaseHolder, now: Secs, until: Secs) -> Result<bool, StoreError>;

    /// Gives the right back, if it is still the holder's.
    async fn release(&self, appid: &AppId, holder: LeaseHolder) -> Result<(), StoreError>;

    /// Stores a new token and gives the right back, if it is still the holder's.
    async fn keep(&self, appid: &AppId, holder: LeaseHolder, token: &StoredToken) -> Result<(), StoreError>;
}

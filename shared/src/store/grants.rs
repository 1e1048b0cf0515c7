//! One trait per grant on the table. What a function's `Table` names, and what its `Authenticator` and `PlatformTokens` need,
//! is what its code can do with the table; its role allows the same DynamoDB actions, on any item.
//!
//! The first line of each trait names the DynamoDB actions that it stands for; `tests/repository/grants.rs` compares
//! them with the role in the template.

use async_trait::async_trait;

use super::{StoreError, TakeError};
use crate::{
    clock::{Millis, Secs},
    ids::{AppId, Family, SessionRef, UnionId, UserRef},
    session::{
        Attempt, NewKey, SealedSessionKeys, Session, User, UserItems, UserLogin, UserStatus, WriteResult,
        idempotency::{CodeHash, IdempotencyRecord},
        refresh::RefreshWrite,
    },
    token::access::Subject,
};

/// Declares the sum of the grants that a function needs: a trait that every table with all of them has.
#[macro_export]
macro_rules! grants {
    ($(#[$meta:meta])* pub trait $name:ident = $first:path $(, $more:path)* $(,)?;) => {
        $(#[$meta])*
        pub trait $name: $first $(+ $more)* {}
        impl<T: $first $(+ $more)*> $name for T {}
    };
}

/// `UpdateItem` on user items.
#[async_trait]
pub trait StoreUserLogin: Send + Sync {
    /// Stores what a login says about its user, unless the user is blocked, or [overtakes](User::overtakes) the login.
    async fn store_user_login(&self, login: &UserLogin) -> Result<UserStatus, StoreError>;
}

/// `UpdateItem` on user items.
#[async_trait]
pub trait RememberUnionid: Send + Sync {
    /// Stores a unionid that became known after the login; does nothing if the user is gone.
    async fn remember_unionid(&self, user: &UserRef, unionid: &UnionId) -> Result<(), StoreError>;
}

/// `GetItem` on user items.
#[async_trait]
pub trait ReadUser: Send + Sync {
    /// The user item.
    async fn read_user(&self, user: &UserRef) -> Result<Option<User>, StoreError>;
}

/// `UpdateItem` on user items: the count and the keys in one write.
#[async_trait]
pub trait TakeSessionKeys: Send + Sync {
    /// Counts an attempt and gives the keys for it.
    async fn take_session_keys(
        &self,
        user: &UserRef,
        attempt: &Attempt,
        now: Secs,
    ) -> Result<SealedSessionKeys, TakeError>;
}

/// `PutItem` on session items.
#[async_trait]
pub trait PutSession: Send + Sync {
    /// Puts a new session where there is none, or one that arrived earlier, alive or ended; false if there is another. The same
    /// put again changes nothing and is true while its session lives.
    async fn put_session(&self, at: &SessionRef, session: &Session) -> Result<bool, StoreError>;
}

/// `UpdateItem` on session items.
#[async_trait]
pub trait RefreshSession: Send + Sync {
    /// Moves a session to its next generation, in one conditional write.
    async fn refresh_session(&self, write: &RefreshWrite) -> Result<WriteResult<Session>, StoreError>;
}

/// `GetItem` on session items.
#[async_trait]
pub trait ReadSession: Send + Sync {
    /// The session item, whatever its age.
    async fn read_session(&self, at: &SessionRef) -> Result<Option<Session>, StoreError>;
}

/// `UpdateItem` on session items.
///
/// An ended session leaves a mark for an hour. A put of the same session that arrives after its end would bring it back where
/// there is nothing; it does not replace the mark.
#[async_trait]
pub trait RevokeSession: Send + Sync {
    /// Ends the session if it is still of this family.
    async fn revoke_session(&self, at: &SessionRef, family: Family, now: Secs) -> Result<(), StoreError>;

    /// Ends the session of an access token, if it is still [that one](Session::is_of).
    async fn log_out_session(&self, subject: &Subject, now: Secs) -> Result<(), StoreError>;

    /// Ends the session if it is still of this family; nor can one be put here any more that arrived by the time of the
    /// deletion.
    async fn erase_session(&self, at: &SessionRef, family: Family, deleted_ms: Millis) -> Result<(), StoreError>;

    /// Ends a session that may not have been put yet; it cannot be put any more then, unless an older one lives here.
    async fn retract_session(&self, at: &SessionRef, session: &Session, now: Secs) -> Result<(), StoreError>;
}

/// `Query` on a user's items.
#[async_trait]
pub trait ListUserItems: Send + Sync {
    /// All items that are stored under a user's key.
    async fn list_user_items(&self, user: &UserRef) -> Result<UserItems, StoreError>;
}

/// `UpdateItem` on user items.
#[async_trait]
pub trait BlockUser: Send + Sync {
    /// Blocks a user, also one who never logged in, and gives the time of the first block.
    async fn block_user(&self, user: &UserRef, now: Millis) -> Result<Secs, StoreError>;

    /// Lifts a block; false if there was none.
    async fn unblock_user(&self, user: &UserRef, now: Millis) -> Result<bool, StoreError>;
}

/// `UpdateItem` on user items.
#[async_trait]
pub trait RefuseLogins: Send + Sync {
    /// Marks that no login that arrived until now is let in any more, also of somebody unknown. The mark's time is that of the last
    /// login if this is later, by another process's clock.
    async fn refuse_logins(&self, user: &UserRef, now: Millis) -> Result<(), StoreError>;
}

/// `UpdateItem` on user items.
#[async_trait]
pub trait ReplaceSessionKey: Send + Sync {
    /// Forgets the user's `session_key`s and stores this one, if there is one; no login that arrived before brings another back.
    /// False if there is no user.
    async fn replace_session_key(&self, user: &UserRef, key: Option<&NewKey>, now: Millis) -> Result<bool, StoreError>;
}

/// What a deletion did to the user item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// Its time: now, or the arrival of the last login if that is later by another process's clock.
    pub deleted_ms: Millis,
    /// Whether there was a user.
    pub was_user: bool,
}

/// `UpdateItem` on user items.
#[async_trait]
pub trait EraseUser: Send + Sync {
    /// Erases the user and leaves the mark of the deletion, which no login that arrived before it gets over. A running count of
    /// attempts and a block stay, and the names of idempotency records until [`forget_records`](Self::forget_records).
    async fn erase_user(&self, user: &UserRef, now: Millis) -> Result<Deletion, StoreError> {
        self.erase_user_of(user, now, Millis::MAX).await
    }

    /// The same for a deletion of that time, but that a login which arrived after `latest` stays, without what was before it.
    async fn erase_user_of(&self, user: &UserRef, time: Millis, latest: Millis) -> Result<Deletion, StoreError>;

    /// Erases the names of the user's idempotency records, unless the user has logged in again. Where a later deletion has been
    /// there, its time is given: records of a login between the two may be among those named.
    async fn forget_records(&self, user: &UserRef, deleted_ms: Millis) -> Result<Option<Millis>, StoreError>;
}

/// `PutItem` on idempotency records.
#[async_trait]
pub trait EraseIdempotencyRecord: Send + Sync {
    /// Erases the record of a code: [`IdempotencyRecord::erased`] has its place.
    async fn erase_idempotency_record(&self, code: &CodeHash, now: Secs) -> Result<(), StoreError>;
}

/// `PutItem` and `GetItem` on idempotency records.
#[async_trait]
pub trait KeepIdempotencyRecord: Send + Sync {
    /// Stores a record, unless one of its code was erased.
    async fn put_idempotency_record(&self, record: &IdempotencyRecord) -> Result<(), StoreError>;

    /// The record of a code, whatever its age.
    async fn get_idempotency_record(&self, code: &CodeHash) -> Result<Option<IdempotencyRecord>, StoreError>;
}

/// `PutItem` on idempotency records.
#[async_trait]
pub trait BeginExchange: Send + Sync {
    /// Puts the mark of a code that is now being exchanged, or of a message that is now being handed on. False if a valid record
    /// is there: another mark, or what came of it.
    async fn begin_exchange(&self, mark: &IdempotencyRecord, now: Secs) -> Result<bool, StoreError>;
}

/// `PutItem` on idempotency records.
#[async_trait]
pub trait BindSignature: Send + Sync {
    /// Puts the mark of a signature that covers no message. False if it came with another message before.
    async fn bind_signature(&self, mark: &IdempotencyRecord, now: Secs) -> Result<bool, StoreError>;
}

/// `DeleteItem` on idempotency records.
#[async_trait]
pub trait GiveUpExchange: Send + Sync {
    /// Takes the mark away, if it is still there: the code gave nothing, or nobody took the message.
    async fn give_up_exchange(&self, mark: &IdempotencyRecord) -> Result<(), StoreError>;
}

/// WeChat's `access_token` as the table holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPlatformToken {
    /// The token, sealed.
    pub sealed: Vec<u8>,
    /// When another is to be fetched.
    pub renew_at: Secs,
    /// When it ends.
    pub expires_at: Secs,
}

/// Who holds the right to fetch a platform token: random, so that a repeated request recognises its own lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseHolder(pub [u8; 16]);

/// `GetItem` and `UpdateItem` on platform tokens.
#[async_trait]
pub trait KeepPlatformToken: Send + Sync {
    /// The stored token of an app.
    async fn stored(&self, appid: &AppId) -> Result<Option<StoredPlatformToken>, StoreError>;

    /// Takes the right to fetch a new token until `until`; false if somebody else has it now.
    async fn lease(&self, appid: &AppId, holder: LeaseHolder, now: Secs, until: Secs) -> Result<bool, StoreError>;

    /// Gives the right back, if it is still the holder's.
    async fn release(&self, appid: &AppId, holder: LeaseHolder) -> Result<(), StoreError>;

    /// Stores a new token and gives the right back, if it is still the holder's.
    async fn keep(&self, appid: &AppId, holder: LeaseHolder, token: &StoredPlatformToken) -> Result<(), StoreError>;
}

//! The way from a process to the table, and what the network does to writes on it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use shared::{
    clock::{Millis, Secs},
    ids::{Family, SessionRef, UnionId, UserRef},
    session::{
        Attempt, NewKey, SealedSessionKeys, Session, User, UserItems, UserLogin, UserStatus, WriteResult,
        idempotency::{CodeHash, IdempotencyRecord},
        refresh::RefreshWrite,
    },
    store::{
        StoreError, TakeError,
        grants::{
            BeginExchange, BindSignature, BlockUser, Deletion, EraseIdempotencyRecord, EraseUser, GiveUpExchange,
            KeepIdempotencyRecord, ListUserItems, PutSession, ReadSession, ReadUser, RefreshSession, RefuseLogins,
            RememberUnionid, ReplaceSessionKey, RevokeSession, StoreUserLogin, TakeSessionKeys,
        },
    },
    token::access::Subject,
};

use super::{Network, schedule::Schedule};
use crate::table::memory::{Fate, MemoryTable, Trace, Wire};

/// How late a write may arrive once more, in milliseconds.
pub(super) const LATE: u64 = 20_000;

/// Each request and each answer takes its time, or is lost.
pub(super) struct Way {
    pub(super) schedule: Arc<Schedule>,
    pub(super) network: Network,
}

#[async_trait]
impl Wire for Way {
    async fn request(&self) -> Fate {
        let network = self.network;
        let (span, lost) =
            self.schedule.random(|random| (1 + random.below(10), random.chance(network.table_fails / 2)));
        self.schedule.sleep(span).await;
        if lost { Fate::Lost } else { Fate::Arrives }
    }

    async fn answer(&self) -> Fate {
        let network = self.network;
        let (span, fate) = self.schedule.random(|random| {
            let fate = match random.below(10_000) {
                at if at < network.crashes => None,
                at if at < network.crashes + network.acknowledgements_lost => Some(Fate::Again),
                at if at < network.crashes + network.acknowledgements_lost + network.table_fails / 2 => {
                    Some(Fate::Lost)
                }
                _ => Some(Fate::Arrives),
            };
            (1 + random.below(10), fate)
        });
        match fate {
            None => self.schedule.kill().await,
            // The SDK waits 0.8 s before it sends the request again.
            Some(Fate::Again) => self.schedule.sleep(800).await,
            Some(_) => self.schedule.sleep(span).await,
        }
        fate.unwrap_or(Fate::Lost)
    }
}

/// A table of which the network keeps writes back: by chance a request arrives once more, up to 20 s after the operation
/// that sent it began, and whatever came of that.
pub(super) struct LateTable {
    pub(super) table: MemoryTable,
    pub(super) schedule: Arc<Schedule>,
    pub(super) network: Network,
    /// How many requests arrived again.
    pub(super) again: Arc<AtomicU64>,
}

impl LateTable {
    /// The table for one operation; `again` is the same operation.
    fn way<F>(&self, again: impl FnOnce(MemoryTable) -> F + Send + 'static) -> MemoryTable
    where
        F: Future<Output = ()> + Send,
    {
        if !self.schedule.random(|random| random.chance(self.network.written_again)) {
            return self.table.clone();
        }
        let trace = Trace::default();
        let (schedule, counter) = (self.schedule.clone(), self.again.clone());
        let (table, kept) = (self.table.clone(), trace.clone());
        self.schedule.spawn(async move {
            schedule.sleep(schedule.random(|random| random.below(LATE))).await;
            let requests = kept.requests();
            if requests > 0 {
                let request = schedule.random(|random| random.index(requests));
                again(table.again(kept, request)).await;
                counter.fetch_add(1, Ordering::Relaxed);
            }
        });
        self.table.traced(&trace)
    }
}

/// Operations that write.
macro_rules! writes {
    ($($grant:ident {
        $($name:ident($($whole:ident: &$kind:ty),+ $(; $($part:ident: $plain:ty),+)?) -> $gives:ty;)+
    })+) => {$(
        #[async_trait]
        impl $grant for LateTable {
            $(async fn $name(&self, $($whole: &$kind,)+ $($($part: $plain),+)?) -> Result<$gives, StoreError> {
                let table = self.way({
                    $(let $whole = $whole.clone();)+
                    move |table| async move { drop(table.$name($(&$whole,)+ $($($part),+)?).await) }
                });
                table.$name($($whole,)+ $($($part),+)?).await
            })+
        }
    )+};
}

writes! {
    StoreUserLogin { store_user_login(login: &UserLogin) -> UserStatus; }
    RememberUnionid { remember_unionid(user: &UserRef, unionid: &UnionId) -> (); }
    PutSession { put_session(at: &SessionRef, session: &Session) -> bool; }
    RefreshSession { refresh_session(write: &RefreshWrite) -> WriteResult<Session>; }
    RevokeSession {
        revoke_session(at: &SessionRef; family: Family, now: Secs) -> ();
        log_out_session(subject: &Subject; now: Secs) -> ();
        erase_session(at: &SessionRef; family: Family, deleted_ms: Millis) -> ();
        retract_session(at: &SessionRef, session: &Session; now: Secs) -> ();
    }
    RefuseLogins { refuse_logins(user: &UserRef; now: Millis) -> (); }
    BlockUser {
        block_user(user: &UserRef; now: Millis) -> Secs;
        unblock_user(user: &UserRef; now: Millis) -> bool;
    }
    EraseUser {
        erase_user_of(user: &UserRef; time: Millis, latest: Millis) -> Deletion;
        forget_records(user: &UserRef; deleted_ms: Millis) -> Option<Millis>;
    }
    EraseIdempotencyRecord { erase_idempotency_record(code: &CodeHash; now: Secs) -> (); }
}

#[async_trait]
impl KeepIdempotencyRecord for LateTable {
    async fn put_idempotency_record(&self, record: &IdempotencyRecord) -> Result<(), StoreError> {
        let again = record.clone();
        let table = self.way(|table| async move { drop(table.put_idempotency_record(&again).await) });
        table.put_idempotency_record(record).await
    }

    async fn get_idempotency_record(&self, code: &CodeHash) -> Result<Option<IdempotencyRecord>, StoreError> {
        self.table.get_idempotency_record(code).await
    }
}

#[async_trait]
impl BeginExchange for LateTable {
    async fn begin_exchange(&self, mark: &IdempotencyRecord, now: Secs) -> Result<bool, StoreError> {
        self.table.begin_exchange(mark, now).await
    }
}

#[async_trait]
impl GiveUpExchange for LateTable {
    async fn give_up_exchange(&self, mark: &IdempotencyRecord) -> Result<(), StoreError> {
        self.table.give_up_exchange(mark).await
    }
}

#[async_trait]
impl BindSignature for LateTable {
    async fn bind_signature(&self, mark: &IdempotencyRecord, now: Secs) -> Result<bool, StoreError> {
        self.table.bind_signature(mark, now).await
    }
}

#[async_trait]
impl ReadUser for LateTable {
    async fn read_user(&self, user: &UserRef) -> Result<Option<User>, StoreError> {
        self.table.read_user(user).await
    }
}

#[async_trait]
impl ReadSession for LateTable {
    async fn read_session(&self, at: &SessionRef) -> Result<Option<Session>, StoreError> {
        self.table.read_session(at).await
    }
}

#[async_trait]
impl ListUserItems for LateTable {
    async fn list_user_items(&self, user: &UserRef) -> Result<UserItems, StoreError> {
        self.table.list_user_items(user).await
    }
}

/// Nobody here has anything to decrypt.
#[async_trait]
impl ReplaceSessionKey for LateTable {
    async fn replace_session_key(&self, user: &UserRef, key: Option<&NewKey>, now: Millis) -> Result<bool, StoreError> {
        self.table.replace_session_key(user, key, now).await
    }
}

#[async_trait]
impl TakeSessionKeys for LateTable {
    async fn take_session_keys(
        &self,
        user: &UserRef,
        attempt: &Attempt,
        now: Secs,
    ) -> Result<SealedSessionKeys, TakeError> {
        self.table.take_session_keys(user, attempt, now).await
    }
}

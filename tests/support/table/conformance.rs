//! What every table must do, whatever it is made of: one suite for the one in DynamoDB and the one in memory.
//!
//! Each behaviour has a user of its own, so one table serves them all. It says what does not hold instead of ending the
//! test, so that tests can count which missing condition is noticed. It does not compare two tables: that is for the
//! tests beside it.

mod idempotency;
mod races;
mod sessions;
mod user_ends;
mod users;

use std::{fmt, pin::Pin, sync::Arc};

use async_trait::async_trait;

use super::memory::{MemoryTable, Snapshot, Value};
use shared::{
    clock::{Millis, Secs},
    ids::{AppId, DeviceId, Family, IdDefect, OpenId, SessionRef, UserRef},
    secret_text::PhoneCode,
    session::{Attempt, SealedSessionKeys, Session, UserLogin, idempotency::CodeHash, refresh::RefreshWrite},
    store::{
        StoreError, TakeError,
        grants::{
            BeginExchange, BindSignature, BlockUser, EraseIdempotencyRecord, EraseUser, GiveUpExchange,
            KeepIdempotencyRecord, KeepPlatformToken, ListUserItems, PutSession, ReadSession, ReadUser, RefreshSession,
            RefuseLogins, RememberUnionid, ReplaceSessionKey, RevokeSession, StoreUserLogin, TakeSessionKeys,
        },
    },
    token::{access::Subject, keyring::KeyId},
};

shared::grants! {
    /// All grants at once.
    pub trait Table =
        StoreUserLogin, RememberUnionid, ReadUser, TakeSessionKeys, PutSession, RefreshSession, ReadSession, RevokeSession,
        ListUserItems, BlockUser, RefuseLogins, ReplaceSessionKey, EraseUser, EraseIdempotencyRecord, KeepIdempotencyRecord,
        BeginExchange, BindSignature, GiveUpExchange, KeepPlatformToken;
}

/// Shows all items of a table.
#[async_trait]
pub trait Show: Send + Sync {
    /// The items as they are now.
    async fn show(&self) -> Snapshot;
}

#[async_trait]
impl Show for MemoryTable {
    async fn show(&self) -> Snapshot {
        self.snapshot()
    }
}

/// A table and the way to look into it.
#[derive(Clone)]
pub struct Backend {
    pub table: Arc<dyn Table>,
    pub items: Arc<dyn Show>,
}

impl From<MemoryTable> for Backend {
    fn from(table: MemoryTable) -> Self {
        Self { table: Arc::new(table.clone()), items: Arc::new(table) }
    }
}

/// Why a behaviour does not hold.
#[derive(Debug)]
pub struct Broken(String);

impl fmt::Display for Broken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// A failure where none was expected.
macro_rules! unexpected {
    ($($error:ty),*) => {$(
        impl From<$error> for Broken {
            fn from(error: $error) -> Self {
                Self(format!("{error:?}"))
            }
        }
    )*};
}
unexpected!(StoreError, TakeError, IdDefect, tokio::task::JoinError);

/// Whether a behaviour holds.
pub type Verdict = Result<(), Broken>;

/// Asserts that both are the same.
macro_rules! same {
    ($found:expr, $expected:expr) => {
        match (&$found, &$expected) {
            (found, expected) if found == expected => {}
            (found, expected) => {
                let what = format!("{}: {found:?} instead of {expected:?}", stringify!($found));
                return Err($crate::table::conformance::Broken(what));
            }
        }
    };
}
use same;

/// Something that every table does.
pub struct Behaviour {
    /// The behaviour as a sentence: the name of its function.
    pub name: &'static str,
    run: fn(Case) -> Pin<Box<dyn Future<Output = Verdict> + Send>>,
}

/// Lists behaviours by their functions.
macro_rules! every {
    ($($name:ident,)*) => {
        pub(super) const ALL: &[$crate::table::conformance::Behaviour] = &[$(
            $crate::table::conformance::Behaviour { name: stringify!($name), run: |case| Box::pin($name(case)) },
        )*];
    };
}
use every;

pub fn behaviours() -> impl Iterator<Item = &'static Behaviour> {
    [sessions::ALL, users::ALL, user_ends::ALL, idempotency::ALL, races::ALL].into_iter().flatten()
}

/// Tries everything, and gives what does not hold.
pub async fn broken(backend: &Backend) -> Vec<String> {
    let mut broken = Vec::new();
    for behaviour in behaviours() {
        let held = match Case::new(backend, behaviour.name) {
            Ok(case) => (behaviour.run)(case).await,
            Err(error) => Err(error),
        };
        if let Err(why) = held {
            broken.push(format!("{}: {why}", behaviour.name));
        }
    }
    broken
}

/// When behaviours begin.
const NOW: Secs = 1_800_000_000;

/// A time in milliseconds.
fn ms(at: Secs) -> Millis {
    at * 1_000
}

/// A table, and a user of whom it knows nothing yet.
#[derive(Clone)]
struct Case {
    table: Arc<dyn Table>,
    items: Arc<dyn Show>,
    user: UserRef,
}

impl Case {
    fn new(backend: &Backend, name: &str) -> Result<Self, Broken> {
        let user = UserRef { appid: AppId::parse("wx0123456789abcdef")?, openid: OpenId::parse(name)? };
        Ok(Self { table: backend.table.clone(), items: backend.items.clone(), user })
    }

    /// The same table with another user.
    fn other(&self, round: u32) -> Result<Self, Broken> {
        let openid = OpenId::parse(&format!("{}-{round}", self.user.openid.expose()))?;
        Ok(Self { user: UserRef { openid, ..self.user.clone() }, ..self.clone() })
    }

    fn at(&self, session: &Session) -> SessionRef {
        self.user.session(session.device)
    }

    /// Whom the access tokens of a session speak for.
    fn subject(&self, session: &Session) -> Subject {
        Subject {
            appid: self.user.appid.clone(),
            openid: self.user.openid.clone(),
            sid: self.user.sid(session.device),
            auth_time: session.created_at,
            millisecond: u16::try_from(session.arrived_ms % 1_000).ok(),
            unionid: None,
        }
    }

    /// The items under the user's key, by sort key.
    async fn items(&self) -> Vec<(String, std::collections::BTreeMap<String, Value>)> {
        let partition = format!("{}#{}", self.user.appid, self.user.openid.expose());
        let all = self.items.show().await;
        all.into_iter().filter(|((pk, _), _)| *pk == partition).map(|((_, sk), item)| (sk, item)).collect()
    }

    /// An attribute of the user item.
    async fn attribute(&self, name: &str) -> Option<Value> {
        self.items().await.into_iter().find(|(sk, _)| sk == "user").and_then(|(_, mut item)| item.remove(name))
    }

    /// Logs in with the key of this number.
    fn login(&self, key: u8, at: Secs) -> UserLogin {
        UserLogin {
            user: self.user.clone(),
            key: vec![key; 32],
            fingerprints: vec![[key; 16], [key + 100; 16]],
            unionid: None,
            family: family(u8::try_from(at % 251).unwrap_or_default()),
            idempotency_record: None,
            arrived_ms: ms(at),
        }
    }

    async fn take(&self, attempt: &Attempt, now: Secs) -> Result<SealedSessionKeys, TakeError> {
        self.table.take_session_keys(&self.user, attempt, now).await
    }

    fn hash(&self, code: &str) -> CodeHash {
        CodeHash::of_phone(&self.user, &PhoneCode::new(code))
    }
}

fn family(number: u8) -> Family {
    Family([number; 16])
}

/// A session made at `created_at`, as a login makes it.
fn session(number: u8, created_at: Secs) -> Session {
    Session {
        device: DeviceId([1; 16]),
        family: family(number),
        generation: 0,
        key_id: KeyId(1),
        created_at,
        arrived_ms: ms(created_at),
        rotated_at: created_at,
        rotated_before: 0,
        idle: created_at + 604_800,
        absolute: created_at + 2_592_000,
        unionid: None,
    }
}

/// The rotation of a session as it is, `later` seconds after its last one.
fn rotation(at: SessionRef, session: &Session, later: Secs) -> RefreshWrite {
    let now = session.rotated_at + later;
    RefreshWrite {
        at,
        family: session.family,
        generation: session.generation,
        key_id: KeyId(2),
        now,
        rotated_until: now - 120,
        idle: now + 604_800,
        not_before: 0,
    }
}

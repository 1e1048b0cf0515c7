//! The operations: each reads, ends or replaces what is stored under one user's key.

use std::time::Duration;

use shared::{
    clock::Deadline,
    ids::{AppId, IdDefect, OpenId, UnionId, UserRef},
    lambda,
    platform_token::PlatformError,
    problem::{Code, Problem},
    request_log, revocation,
    secret_text::SessionKey,
    secrets::SecretError,
    session::{NewKey, Session, User, UserItems},
    store::StoreError,
    token::{
        device::PresentedDevice,
        keyring::{Context, Keyring, Purpose, SealError},
    },
};

use crate::{
    Deps, DeviceKey, Export, ExportedSession, ExportedUser, KeyReset, LoggedInDevice, ReadUser, Request, Response,
    UserKey,
};

/// Reserved after WeChat's answer, to store the new key.
const RESERVED_FOR_WRITES: Duration = Duration::from_millis(2_500);

/// Why an operation was not done.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// An appid, openid or device is malformed.
    #[error(transparent)]
    Id(#[from] IdDefect),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// WeChat did not say whether it replaced the key. The same request again finds out.
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// The new key could not be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The mini program is not one of the owner's.
    #[error("the appid is not configured")]
    AppUnknown,
}

impl From<AdminError> for Problem {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::Id(defect) => Self::new(Code::InvalidRequest).because(defect),
            AdminError::Store(error) => error.into(),
            AdminError::Secret(error) => error.into(),
            AdminError::Platform(error) => error.into(),
            AdminError::Seal(_) => Self::new(Code::Internal).because(error),
            AdminError::AppUnknown => Self::invalid("appid").because(error),
        }
    }
}

pub(crate) async fn handle(deps: &Deps, request: Request) -> Result<Response, AdminError> {
    let now = deps.clock.now_ms();
    request_log::record(|fields| fields.verdict = Some(request.name()));
    Ok(match request {
        Request::Read(key) => Response::Read { user: read(deps, key.user()?).await? },
        Request::EndSession(key) => Response::EndSession { ended: end_session(deps, &key).await? },
        Request::EndSessions(key) => {
            Response::EndSessions { ended: revocation::revoke_all(&*deps.table, &key.user()?, None, now).await? }
        }
        Request::Block(key) => {
            let user = key.user()?;
            // The block comes first: a login in progress then finds the block, or its session is among those revoked.
            let blocked_at = deps.table.block_user(&user, now).await?;
            Response::Block { blocked_at, ended: revocation::revoke_all(&*deps.table, &user, None, now).await? }
        }
        Request::Unblock(key) => Response::Unblock { unblocked: deps.table.unblock_user(&key.user()?, now).await? },
        Request::Export(key) => {
            let user = key.user()?;
            let items = deps.table.list_user_items(&user).await?;
            Response::Export(Box::new(export(user, items)))
        }
        Request::Delete(key) => {
            Response::Delete { deleted: revocation::erase(&*deps.table, &key.user()?, None, now).await? }
        }
        Request::ResetSessionKey(key) => {
            Response::ResetSessionKey { session_key: reset_session_key(deps, &key.user()?).await? }
        }
    })
}

impl Request {
    /// Its name in the log.
    fn name(&self) -> &'static str {
        match self {
            Self::Read(_) => "ADMIN_READ",
            Self::EndSession(_) => "ADMIN_END_SESSION",
            Self::EndSessions(_) => "ADMIN_END_SESSIONS",
            Self::Block(_) => "ADMIN_BLOCK",
            Self::Unblock(_) => "ADMIN_UNBLOCK",
            Self::Export(_) => "ADMIN_EXPORT",
            Self::Delete(_) => "ADMIN_DELETE",
            Self::ResetSessionKey(_) => "ADMIN_RESET_SESSION_KEY",
        }
    }
}

impl UserKey {
    fn user(&self) -> Result<UserRef, IdDefect> {
        Ok(UserRef { appid: AppId::parse(&self.appid)?, openid: OpenId::parse(&self.openid)? })
    }
}

async fn read(deps: &Deps, user: UserRef) -> Result<Option<ReadUser>, AdminError> {
    let UserItems { user: item, sessions } = deps.table.list_user_items(&user).await?;
    let Some(item) = item.filter(|item| item.first_login.is_some() || item.blocked_at.is_some()) else {
        return Ok(None);
    };
    let (now, not_before) = (deps.clock.now(), deps.brake.not_before().await?);
    let alive = sessions.iter().filter(|session| session.is_alive(now, not_before));
    Ok(Some(ReadUser {
        openid: user.openid.expose().to_owned(),
        appid: user.appid,
        unionid: exposed(item.unionid),
        first_login: item.first_login,
        last_login: item.last_login,
        blocked_at: item.blocked_at,
        sessions: alive.map(device).collect(),
    }))
}

fn device(session: &Session) -> LoggedInDevice {
    LoggedInDevice {
        device: session.device,
        created_at: session.created_at,
        last_seen_at: session.rotated_at,
        expires_at: session.expires_at(),
    }
}

fn exposed(unionid: Option<UnionId>) -> Option<String> {
    unionid.map(|unionid| unionid.expose().to_owned())
}

async fn end_session(deps: &Deps, key: &DeviceKey) -> Result<bool, AdminError> {
    let user = UserRef { appid: AppId::parse(&key.appid)?, openid: OpenId::parse(&key.openid)? };
    let device = PresentedDevice::parse(&key.device)?.id;
    let sessions = deps.table.list_user_items(&user).await?.sessions;
    let Some(session) = sessions.iter().find(|session| session.device == device) else {
        return Ok(false);
    };
    deps.table.revoke_session(&user.session(device), session.family, deps.clock.now()).await?;
    Ok(true)
}

/// Has WeChat replace the user's key, and forgets the old one in every case.
async fn reset_session_key(deps: &Deps, user: &UserRef) -> Result<KeyReset, AdminError> {
    let (keyring, apps) = tokio::try_join!(deps.keyring.get(), deps.apps.get())?;
    let app = apps.find(Some(&user.appid)).ok_or(AdminError::AppUnknown)?;
    let Some(key) = session_key(deps, user, &keyring).await? else { return Ok(KeyReset::Absent) };
    let deadline = Deadline::after(lambda::LIMIT).before(RESERVED_FOR_WRITES);
    let given = deps.platform.reset(app, &user.openid, &key, deadline).await;
    let misconfigured = given.as_ref().is_err_and(PlatformError::is_misconfigured);
    request_log::record(|fields| fields.misconfigured = misconfigured);
    let new = match given? {
        Some(key) => Some(key),
        // A login, or the same operation sent twice, may have brought another since this one was read.
        None => session_key(deps, user, &keyring).await?.filter(|present| present.expose() != key.expose()),
    };
    let new = new.map(|key| sealed(deps, user, &key, &keyring)).transpose()?;
    // The time is taken after WeChat's answer: a login that arrived before may have got the old key.
    let stored = deps.table.replace_session_key(user, new.as_ref(), deps.clock.now_ms()).await?;
    Ok(match new {
        _ if !stored => KeyReset::Absent,
        Some(_) => KeyReset::Replaced,
        None => KeyReset::Dropped,
    })
}

async fn session_key(deps: &Deps, user: &UserRef, keyring: &Keyring) -> Result<Option<SessionKey>, StoreError> {
    let item = deps.table.list_user_items(user).await?.user.unwrap_or_default();
    Ok(item.session_key(user, keyring))
}

fn sealed(deps: &Deps, user: &UserRef, key: &SessionKey, keyring: &Keyring) -> Result<NewKey, SealError> {
    let text = key.expose().as_bytes();
    Ok(NewKey {
        sealed: keyring.seal(Context::of_user(user, Purpose::SessionKey), text, &*deps.entropy)?,
        fingerprint: keyring.fingerprints(text).first().copied().unwrap_or_default(),
    })
}

fn export(user: UserRef, items: UserItems) -> Export {
    let session = |session: Session| ExportedSession {
        device: session.device,
        created_at: session.created_at,
        rotated_at: session.rotated_at,
        rotated_before: session.rotated_before,
        generation: session.generation,
        idle: session.idle,
        absolute: session.absolute,
        unionid: exposed(session.unionid),
    };
    Export {
        openid: user.openid.expose().to_owned(),
        appid: user.appid,
        user: items.user.filter(|item| !item.is_mark()).map(exported_user),
        sessions: items.sessions.into_iter().map(session).collect(),
    }
}

fn exported_user(item: User) -> ExportedUser {
    ExportedUser {
        unionid: exposed(item.unionid),
        first_login: item.first_login,
        last_login: item.last_login,
        blocked_at: item.blocked_at,
        session_key: item.current_key.is_some(),
        tries: item.tries.map(|(tries, _)| tries),
        tries_from: item.tries.map(|(_, from)| from),
        login_tries: item.login_tries.map(|(tries, _)| tries),
        login_tries_from: item.login_tries.map(|(_, from)| from),
        phone_tries: item.phone_tries.map(|(tries, _)| tries),
        phone_tries_from: item.phone_tries.map(|(_, from)| from),
        phone_codes: item.phone_records.len(),
    }
}

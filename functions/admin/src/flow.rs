//! The operations: each reads or ends what is stored under one user's key.

use shared::{
    clock::Secs,
    ids::{AppId, DeviceId, IdDefect, OpenId, UnionId},
    notes,
    session::{Everything, Session, SessionRef, StoreError, User, UserRef},
};

use crate::{Answer, Deps, Export, ExportedSession, ExportedUser, LoggedIn, Of, OfDevice, ReadUser, Request};

/// Why an operation was not done.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// An appid, openid or device has another form.
    #[error(transparent)]
    Id(#[from] IdDefect),
    /// The table failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Does what the owner wants.
pub async fn answer(deps: &Deps, request: Request) -> Result<Answer, AdminError> {
    let now = deps.clock.now();
    let verdict = |name| notes::note(|notes| notes.verdict = Some(name));
    match request {
        Request::Read(of) => {
            verdict("ADMIN_READ");
            read(deps, &of.user()?, now).await
        }
        Request::EndSession(of) => {
            verdict("ADMIN_END_SESSION");
            end_session(deps, &of).await
        }
        Request::EndSessions(of) => {
            verdict("ADMIN_END_SESSIONS");
            let ended = deps.ending.end_all(&of.user()?, None).await?;
            Ok(Answer::EndSessions { ended })
        }
        Request::Block(of) => {
            verdict("ADMIN_BLOCK");
            let user = of.user()?;
            // First the block: a login that is under way finds it, or is found among the sessions.
            let blocked_at = deps.block.block(&user, now).await?;
            let ended = deps.ending.end_all(&user, None).await?;
            Ok(Answer::Block { blocked_at, ended })
        }
        Request::Unblock(of) => {
            verdict("ADMIN_UNBLOCK");
            Ok(Answer::Unblock { unblocked: deps.block.unblock(&of.user()?, now).await? })
        }
        Request::Export(of) => {
            verdict("ADMIN_EXPORT");
            let stored = deps.ending.items.list(&of.user()?).await?;
            Ok(Answer::Export(Box::new(export(of, stored))))
        }
        Request::Delete(of) => {
            verdict("ADMIN_DELETE");
            let user = of.user()?;
            let deleted = deps.ending.erase(&user, None, now).await?;
            Ok(Answer::Delete { deleted })
        }
    }
}

impl Of {
    fn user(&self) -> Result<UserRef, IdDefect> {
        Ok(UserRef { appid: AppId::parse(&self.appid)?, openid: OpenId::parse(&self.openid)? })
    }
}

async fn read(deps: &Deps, user: &UserRef, now: Secs) -> Result<Answer, AdminError> {
    let Everything { user: stored, sessions } = deps.ending.items.list(user).await?;
    let Some(stored) = stored.filter(|stored| stored.first_login.is_some() || stored.blocked_at.is_some()) else {
        return Ok(Answer::Read { user: None });
    };
    let alive = sessions.iter().filter(|session| session.is_alive(now, deps.not_before));
    Ok(Answer::Read {
        user: Some(ReadUser {
            appid: user.appid.to_string(),
            openid: user.openid.expose().to_owned(),
            unionid: shown(stored.unionid),
            first_login: stored.first_login,
            last_login: stored.last_login,
            blocked_at: stored.blocked_at,
            sessions: alive.map(device).collect(),
        }),
    })
}

fn device(session: &Session) -> LoggedIn {
    LoggedIn {
        device: session.device.encode(),
        created_at: session.created_at,
        last_seen_at: session.rotated_at,
        expires_at: session.expires_at(),
    }
}

fn shown(unionid: Option<UnionId>) -> Option<String> {
    unionid.map(|unionid| unionid.expose().to_owned())
}

async fn end_session(deps: &Deps, of: &OfDevice) -> Result<Answer, AdminError> {
    let user = UserRef { appid: AppId::parse(&of.appid)?, openid: OpenId::parse(&of.openid)? };
    let device = DeviceId::parse(&of.device)?;
    let sessions = deps.ending.items.list(&user).await?.sessions;
    let Some(session) = sessions.iter().find(|session| session.device == device) else {
        return Ok(Answer::EndSession { ended: false });
    };
    deps.ending.sessions.end(&SessionRef { sid: user.sid(device), user }, session.family).await?;
    Ok(Answer::EndSession { ended: true })
}

fn export(of: Of, stored: Everything) -> Export {
    let session = |session: Session| ExportedSession {
        device: session.device.encode(),
        created_at: session.created_at,
        rotated_at: session.rotated_at,
        rotated_before: session.rotated_before,
        generation: session.generation,
        idle: session.idle,
        absolute: session.absolute,
        unionid: shown(session.unionid),
    };
    Export {
        appid: of.appid,
        openid: of.openid,
        user: stored.user.map(user),
        sessions: stored.sessions.into_iter().map(session).collect(),
    }
}

fn user(stored: User) -> ExportedUser {
    ExportedUser {
        unionid: shown(stored.unionid),
        first_login: stored.first_login,
        last_login: stored.last_login,
        blocked_at: stored.blocked_at,
        session_key: stored.current_key.is_some(),
        tries: stored.tries.map(|(tries, _)| tries),
        tries_from: stored.tries.map(|(_, from)| from),
        phone_codes: stored.phone_claims.len(),
    }
}

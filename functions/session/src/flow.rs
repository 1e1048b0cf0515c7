//! What is said of sessions, and their ends. What can fail here are the secrets, the table and the admission: no more than
//! admission itself can say.

use std::time::Duration;

use shared::{
    clock::{Deadline, Secs},
    notes,
    redacted::SessionKey,
    secrets::SecretError,
    session::{Session, admission::NotAdmitted},
    token::{access::Subject, keyring::Purpose},
    wechat::{PlatformError, Upstream},
};

use crate::{Deps, WechatSession};

/// WeChat's word on the `session_key` is of use, and not worth more time than this.
const CHECK: Duration = Duration::from_secs(5);

/// How often a session may have WeChat asked at once in this process, and then once a second: it is the owner's quota.
const CHECKS: Secs = 60;

/// The session of the token.
pub async fn session(deps: &Deps, subject: &Subject) -> Result<Session, NotAdmitted> {
    name(deps, subject).await?;
    deps.admission.session(subject).await
}

/// Notes for the log who asks.
async fn name(deps: &Deps, subject: &Subject) -> Result<(), SecretError> {
    let keyring = deps.keyring.get().await?;
    notes::note(|notes| notes.user = keyring.pseudonym(&subject.appid, &subject.openid));
    Ok(())
}

/// What WeChat says of the user's `session_key`. Nothing that fails on the way makes it stale.
pub async fn check(deps: &Deps, subject: &Subject, by: Deadline) -> WechatSession {
    if deps.checks.owe(subject.sid, deps.clock.now()) > CHECKS {
        return WechatSession::Unknown;
    }
    let by = by.within(CHECK);
    match tokio::time::timeout(by.left(), ask(deps, subject, by)).await {
        Ok(Ok(true)) => WechatSession::Ok,
        Ok(Ok(false)) => WechatSession::Stale,
        Ok(Err(error)) => {
            let ours = matches!(error, PlatformError::Wechat(Upstream::Misconfigured { .. }));
            notes::note(|notes| notes.misconfigured |= ours);
            WechatSession::Unknown
        }
        Err(_) => WechatSession::Unknown,
    }
}

async fn ask(deps: &Deps, subject: &Subject, by: Deadline) -> Result<bool, PlatformError> {
    let (apps, keyring) = tokio::try_join!(deps.apps.get(), deps.keyring.get())?;
    let user = subject.session().user;
    let stored = deps.user.user(&user).await?.unwrap_or_default();
    let key = stored.current_key.and_then(|sealed| keyring.open(user.sealing(Purpose::SessionKey), &sealed));
    let Some(key) = key.as_deref().and_then(|text| std::str::from_utf8(text).ok()).map(SessionKey::new) else {
        return Ok(false);
    };
    let app = apps.find(Some(&subject.appid)).ok_or(Upstream::Misconfigured { errcode: 40013, rid: None })?;
    deps.check.check(app, &subject.openid, &key, by).await
}

/// All live sessions of the token's user, the last used first.
pub async fn list(deps: &Deps, subject: &Subject) -> Result<Vec<Session>, NotAdmitted> {
    session(deps, subject).await?;
    let mut sessions = deps.ending.items.list(&subject.session().user).await?.sessions;
    let now = deps.clock.now();
    sessions.retain(|session| session.is_alive(now, deps.admission.issuing.not_before));
    sessions.sort_by_key(|session| std::cmp::Reverse(session.rotated_at));
    Ok(sessions)
}

/// Ends the session of the token; that it has ended already is what was wanted.
pub async fn log_out(deps: &Deps, subject: &Subject) -> Result<(), NotAdmitted> {
    name(deps, subject).await?;
    notes::note(|notes| notes.verdict = Some("LOGOUT"));
    Ok(deps.ending.sessions.log_out(&subject.session(), subject.auth_time).await?)
}

/// Ends all sessions of the token's user: only a live one may.
pub async fn end_all(deps: &Deps, subject: &Subject) -> Result<(), NotAdmitted> {
    session(deps, subject).await?;
    notes::note(|notes| notes.verdict = Some("LOGOUT_ALL"));
    let user = subject.session().user;
    deps.ending.end_all(&user, Some(subject.sid)).await?;
    Ok(())
}

/// Deletes all that is stored about the token's user: only a live session may.
pub async fn forget(deps: &Deps, subject: &Subject) -> Result<(), NotAdmitted> {
    session(deps, subject).await?;
    notes::note(|notes| notes.verdict = Some("FORGET"));
    let user = subject.session().user;
    deps.ending.erase(&user, Some(subject.sid), deps.clock.now()).await?;
    Ok(())
}

//! Sessions are read, listed and revoked. What can fail is the authentication, a secret or the table: [`AuthError`].

use std::time::Duration;

use shared::{
    authenticator::AuthError,
    clock::Deadline,
    platform_token::PlatformError,
    request_log, revocation,
    secrets::SecretError,
    session::Session,
    token::{access::Subject, refresh::RefreshToken},
    wechat::error::WechatError,
};

use crate::{Deps, WechatSessionState};

/// How long a client waits for WeChat's answer about the `session_key`, which it can do without.
const CHECK_LIMIT: Duration = Duration::from_secs(5);

/// How often a session may have WeChat asked at once in this process, and then once a second: the owner's quota pays for it.
const CHECKS: u64 = 60;

/// The session of the token.
pub async fn session(deps: &Deps, subject: &Subject) -> Result<Session, AuthError> {
    record_user(deps, subject).await?;
    deps.authenticator.session(subject).await
}

async fn record_user(deps: &Deps, subject: &Subject) -> Result<(), SecretError> {
    let keyring = deps.keyring.get().await?;
    request_log::record(|fields| fields.user = keyring.pseudonym(&subject.session().user));
    Ok(())
}

/// What WeChat says about the user's `session_key`. Only WeChat's own word makes it stale; a failure does not.
pub async fn check(deps: &Deps, subject: &Subject, deadline: Deadline) -> WechatSessionState {
    let deadline = deadline.within(CHECK_LIMIT);
    match deadline.limit(ask_wechat(deps, subject, deadline)).await {
        Some(Ok(state)) => state,
        Some(Err(error)) => {
            request_log::record(|fields| fields.misconfigured |= error.is_misconfigured());
            WechatSessionState::Unknown
        }
        None => WechatSessionState::Unknown,
    }
}

async fn ask_wechat(deps: &Deps, subject: &Subject, deadline: Deadline) -> Result<WechatSessionState, PlatformError> {
    let (apps, keyring) = tokio::try_join!(deps.apps.get(), deps.keyring.get())?;
    let user = subject.session().user;
    let stored = deps.table.read_user(&user).await?.unwrap_or_default();
    let Some(key) = stored.session_key(&user, &keyring) else {
        return Ok(WechatSessionState::Stale);
    };
    let app = apps.find(Some(&subject.appid)).ok_or(WechatError::Misconfigured { errcode: 40013, rid: None })?;
    // Only what WeChat is asked counts.
    if !deps.checks.take(subject.sid, CHECKS, deps.clock.now()) {
        return Ok(WechatSessionState::Unknown);
    }
    let checked = deps.platform.check(app, &subject.openid, &key, deadline).await;
    if let Err(PlatformError::Wechat(WechatError::BreakerOpen)) = &checked {
        deps.checks.give_back(&subject.sid);
    }
    Ok(if checked? { WechatSessionState::Ok } else { WechatSessionState::Stale })
}

/// All live sessions of the token's user, the last used first as far as clients are told.
pub async fn list(deps: &Deps, subject: &Subject) -> Result<Vec<Session>, AuthError> {
    session(deps, subject).await?;
    let mut sessions = deps.table.list_user_items(&subject.session().user).await?.sessions;
    let (now, not_before) = (deps.clock.now(), deps.authenticator.brake.not_before().await?);
    sessions.retain(|session| session.is_alive(now, not_before));
    sessions.sort_by_key(|session| std::cmp::Reverse((session.told_last_seen_at(now), session.created_at)));
    Ok(sessions)
}

/// Revokes the session of the token. If it is over already, that is what was wanted.
pub async fn log_out(deps: &Deps, subject: &Subject) -> Result<(), AuthError> {
    record_user(deps, subject).await?;
    request_log::record(|fields| fields.verdict = Some("LOGOUT"));
    Ok(deps.table.log_out_session(subject, deps.clock.now()).await?)
}

/// Revokes the session of a refresh token, of whatever generation: only who was given a token has it. A text that is none of ours
/// revokes nothing and is no error (RFC 7009 section 2.2).
pub async fn revoke(deps: &Deps, refresh_token: &str) -> Result<(), AuthError> {
    let keyring = deps.keyring.get().await?;
    let Ok(token) = RefreshToken::parse(refresh_token, &keyring) else { return Ok(()) };
    let at = token.session();
    request_log::record(|fields| (fields.user, fields.verdict) = (keyring.pseudonym(&at.user), Some("LOGOUT")));
    Ok(deps.table.revoke_session(&at, token.family, deps.clock.now()).await?)
}

/// Revokes all sessions of the token's user. The token's own session must live.
pub async fn log_out_all(deps: &Deps, subject: &Subject) -> Result<(), AuthError> {
    session(deps, subject).await?;
    request_log::record(|fields| fields.verdict = Some("LOGOUT_ALL"));
    revocation::revoke_all(&*deps.table, &subject.session().user, Some(subject.sid), deps.clock.now_ms()).await?;
    Ok(())
}

/// Deletes all that is stored about the token's user. The token's own session must live.
pub async fn delete_user(deps: &Deps, subject: &Subject) -> Result<(), AuthError> {
    session(deps, subject).await?;
    request_log::record(|fields| fields.verdict = Some("FORGET"));
    revocation::erase(&*deps.table, &subject.session().user, Some(subject.sid), deps.clock.now_ms()).await?;
    Ok(())
}

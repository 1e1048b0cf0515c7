//! A login that is sent again because its response was lost.
//!
//! A repetition needs the code, the same `Idempotency-Key` and the same bytes, so a code found in a log opens nothing. The
//! session must still be as the login left it, and its user must be recorded: after a crash or a logout the idempotency
//! record may be all that is left, and tokens without a session or a `session_key` behind them help nobody.

use shared::{
    clock::{Deadline, Secs},
    ids::UserRef,
    request_log,
    session::{
        Session,
        idempotency::{CodeHash, IdempotencyRecord, LOGIN_LIFETIME, LoginRecord, POLL_DELAYS, RequestHash},
    },
    token::keyring::{Context, Purpose, SealError},
    wechat::error::WechatError,
};

use crate::{
    LoginResponse,
    error::LoginError,
    flow::{Login, response},
    profile,
};

/// Whoever opens a record does not know its openid yet, so the hash of the code is the owner.
fn context<'a>(login: &'a Login<'_>, code: &'a CodeHash) -> Context<'a> {
    Context { purpose: Purpose::LoginRecord, appid: login.app.appid.as_str(), owner: code.as_str() }
}

/// The record by which this login can be repeated.
pub(crate) fn record(
    login: &Login<'_>,
    request: &RequestHash,
    user: &UserRef,
    session: &Session,
) -> Result<IdempotencyRecord, SealError> {
    let (device, family, openid) = (session.device, session.family, user.openid.clone());
    let content = LoginRecord { request: *request, device, family, openid }.to_bytes();
    let sealed = login.tokens.keyring.seal(context(login, &login.code), &content, &*login.deps.entropy)?;
    Ok(IdempotencyRecord { code: login.code.clone(), sealed, expires_at: session.created_at + LOGIN_LIFETIME })
}

/// The response to a request whose code WeChat refuses; without an idempotency record it is WeChat's refusal.
///
/// The first request with the code may still be writing record, session and user in parallel, so all three are looked for
/// several times.
pub(crate) async fn replay(
    login: &Login<'_>,
    request: &RequestHash,
    refusal: WechatError,
    deadline: Deadline,
) -> Result<LoginResponse, LoginError> {
    let table = &login.deps.table;
    let mut found = None;
    for delay in POLL_DELAYS {
        tokio::time::sleep(delay).await;
        if found.is_none() {
            let record = table.get_idempotency_record(&login.code).await?;
            found = record.map(|record| open(login, request, &record)).transpose()?;
        }
        let Some((record, logged_in_at)) = &found else { continue };
        let user = UserRef { appid: login.app.appid.clone(), openid: record.openid.clone() };
        match table.read_session(&user.session(record.device)).await? {
            Some(session) if session.family == record.family => {
                if let Some(response) = respond_again(login, &user, &session, deadline).await? {
                    return Ok(response);
                }
            }
            // A later login of this device, so this login is over.
            Some(session) if session.created_at > *logged_in_at => return Err(LoginError::CodeUsed),
            // Not stored yet, or never: after a crash or a logout the record may be all that is left.
            _ => {}
        }
    }
    Err(if found.is_some() { LoginError::CodeUsed } else { refusal.into() })
}

/// The content of a record and the time of its login, if it belongs to this very request and is still valid.
fn open(
    login: &Login<'_>,
    request: &RequestHash,
    record: &IdempotencyRecord,
) -> Result<(LoginRecord, Secs), LoginError> {
    let bytes = login.tokens.keyring.open(context(login, &record.code), &record.sealed);
    let content = bytes.and_then(|bytes| LoginRecord::from_bytes(&bytes));
    let is_valid = record.is_valid(login.deps.clock.now());
    let content = content.filter(|content| content.request == *request && is_valid).ok_or(LoginError::CodeUsed)?;
    Ok((content, record.expires_at.saturating_sub(LOGIN_LIFETIME)))
}

/// The same response again, from a session that is still as the login left it; `None` while its user is not recorded.
async fn respond_again(
    login: &Login<'_>,
    user: &UserRef,
    session: &Session,
    deadline: Deadline,
) -> Result<Option<LoginResponse>, LoginError> {
    let deps = login.deps;
    if session.generation != 0 || !session.is_alive(deps.clock.now(), deps.policy.not_before) {
        return Err(LoginError::CodeUsed);
    }
    request_log::record(|fields| fields.user = login.tokens.keyring.pseudonym(user));
    let item = deps.table.read_user(user).await?.unwrap_or_default();
    if item.blocked_at.is_some() {
        return Err(LoginError::Blocked);
    }
    // The write that stores the `session_key` names the record too.
    if !item.login_records.contains(&login.code) {
        return Ok(None);
    }
    request_log::record(|fields| fields.verdict = Some("LOGIN_REPLAY"));
    let profile = profile::read(login, user, None, deadline).await;
    let new_user = item.first_family == Some(session.family);
    Ok(Some(response(login.issue(user, session)?, user, session.device, new_user, profile)))
}

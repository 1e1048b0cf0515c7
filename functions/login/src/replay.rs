//! A login that is sent again because its response was lost.
//!
//! A repetition needs the code, the same `Idempotency-Key` and the same bytes, so a code found in a log opens nothing. The
//! session must still be as the login left it, and its user must be recorded: after a crash or a logout the idempotency
//! record may be all that is left, and tokens without a session or a `session_key` behind them help nobody.

use shared::{
    clock::Deadline,
    ids::UserRef,
    request_log,
    session::{
        Session,
        idempotency::{POLL_DELAYS, RequestHash},
    },
};

use crate::{LoginResponse, attempt::Login, codes::Refusal, error::LoginError, profile};

/// The response to a request whose code is refused; without an idempotency record it is the refusal.
///
/// The first request with the code may still be writing record, session and user in parallel, so all three are looked for as
/// often as the refusal says.
pub(crate) async fn replay(
    login: &Login<'_>,
    request: &RequestHash,
    refusal: &Refusal,
    deadline: Deadline,
) -> Result<LoginResponse, LoginError> {
    let table = &login.deps.table;
    let mut found = None;
    for delay in &POLL_DELAYS[..refusal.looks.min(POLL_DELAYS.len())] {
        tokio::time::sleep(*delay).await;
        if found.is_none() {
            found = table.get_idempotency_record(&login.code_hash).await?;
        }
        let Some(record) = &found else { continue };
        let content = record.open_login(&login.app.appid, login.tokens.keyring).ok_or(LoginError::CodeUsed)?;
        if content.request != *request || !record.is_valid(login.deps.clock.now()) {
            return Err(LoginError::CodeUsed);
        }
        let user = UserRef { appid: login.app.appid.clone(), openid: content.openid };
        match table.read_session(&user.session(content.device)).await? {
            Some(session) if session.family == content.family => {
                if let Some(response) = respond_again(login, &user, &session, deadline).await? {
                    return Ok(response);
                }
            }
            // A later login of this device, so this login is over.
            Some(session) if session.created_at > record.logged_in_at() => return Err(LoginError::CodeUsed),
            // Not stored yet, or never: after a crash or a logout the record may be all that is left.
            _ => {}
        }
    }
    Err(if found.is_some() { LoginError::CodeUsed } else { refusal.error.clone().into() })
}

/// The same response again, from a session that is still as the login left it; `None` while its user is not recorded.
async fn respond_again(
    login: &Login<'_>,
    user: &UserRef,
    session: &Session,
    deadline: Deadline,
) -> Result<Option<LoginResponse>, LoginError> {
    let deps = login.deps;
    if session.generation != 0 || !session.is_alive(deps.clock.now(), login.not_before) {
        return Err(LoginError::CodeUsed);
    }
    request_log::record(|fields| fields.user = login.tokens.keyring.pseudonym(user));
    let item = deps.table.read_user(user).await?.unwrap_or_default();
    if item.blocked_at.is_some() {
        return Err(LoginError::Blocked);
    }
    // Whoever ended all sessions may not have found this one.
    if item.overtakes(session.arrived_ms) {
        return Err(LoginError::CodeUsed);
    }
    // The write that stores the `session_key` names the record too.
    if !item.login_records.contains(&login.code_hash) {
        return Ok(None);
    }
    request_log::record(|fields| fields.verdict = Some("LOGIN_REPLAY"));
    Ok(Some(LoginResponse {
        tokens: login.issue(user, session)?,
        openid: user.openid.expose().to_owned(),
        device: login.proven_device(user, session),
        new_user: item.first_family == Some(session.family),
        user_info: profile::read(login, user, None, deadline).await,
    }))
}

//! A push: which mini program it is for, and what is to be deleted.

use shared::{
    ids::UserRef,
    problem::{Code, Problem},
    request_log, revocation,
    secrets::SecretError,
    store::StoreError,
    wechat::push::{Event, PushQuery},
};

use crate::Deps;

/// Why a push is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is not from WeChat, or not for a mini program of the owner.
    #[error("not a push of wechat to a configured mini program")]
    Unverified,
}

impl From<PushError> for Problem {
    fn from(error: PushError) -> Self {
        match error {
            PushError::Secret(error) => error.into(),
            PushError::Store(error) => error.into(),
            PushError::Unverified => Self::new(Code::InvalidRequest).because(error),
        }
    }
}

/// WeChat's own `echostr`, if it is WeChat that asks.
pub async fn verify(deps: &Deps, query: PushQuery) -> Result<String, PushError> {
    let (apps, now) = (deps.apps.get().await?, deps.clock.now());
    let verified = apps.all().filter_map(|app| app.push_config()).any(|config| config.verifies(&query, now));
    query.echostr.filter(|_| verified).ok_or(PushError::Unverified)
}

/// Deletes what the message says was revoked, and nothing else.
pub async fn push(deps: &Deps, query: &PushQuery, body: &[u8]) -> Result<(), PushError> {
    let (apps, now) = (deps.apps.get().await?, deps.clock.now());
    let read = apps.all().filter_map(|app| Some((app, app.push_config()?.read(&app.appid, query, body, now)?)));
    // Several mini programs may share a token: the message is for the one that understands it.
    let (app, message) = read.max_by_key(|(_, push)| push.event != Event::Other).ok_or(PushError::Unverified)?;
    let Some(openid) = message.openid else {
        // A message about a plugin's user, or of another kind.
        return Ok(());
    };
    let user = UserRef { appid: app.appid.clone(), openid };
    let verdict = match message.event {
        Event::UserAuthorizationCancellation => {
            revocation::erase(&*deps.table, &user, None, now).await?;
            "USER_AUTHORIZATION_CANCELLATION"
        }
        Event::UserAuthorizationRevoke { phone: true } => {
            revocation::erase_phone_numbers(&*deps.table, &user).await?;
            "USER_AUTHORIZATION_REVOKE"
        }
        // Nothing else that a user may revoke is stored here: no nickname, no avatar, no postal address.
        Event::UserAuthorizationRevoke { phone: false } => "USER_AUTHORIZATION_REVOKE",
        Event::UserInfoModified => "USER_INFO_MODIFIED",
        Event::Other => return Ok(()),
    };
    request_log::record(|fields| fields.verdict = Some(verdict));
    Ok(())
}

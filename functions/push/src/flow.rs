//! A push: which mini program it is for, and what is to be deleted.

use shared::{
    clock::Secs,
    ids::UserRef,
    problem::{Code, Problem},
    request_log, revocation,
    secrets::SecretError,
    store::StoreError,
    wechat::{
        app::Apps,
        push::{Event, Push, PushDefect, PushQuery},
    },
};

use crate::Deps;

/// Why a push is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It was not read whole, so nobody may say that it is done.
    #[error("the push is not taken: {0}")]
    Refused(PushDefect),
}

impl From<PushError> for Problem {
    fn from(error: PushError) -> Self {
        match error {
            PushError::Secret(error) => error.into(),
            PushError::Store(error) => error.into(),
            PushError::Refused(_) => Self::new(Code::InvalidRequest).because(error),
        }
    }
}

impl From<PushDefect> for PushError {
    /// WeChat gives up after a few tries, so the owner has to hear of it.
    fn from(defect: PushDefect) -> Self {
        request_log::record(|fields| {
            fields.verdict = Some(defect.verdict());
            fields.warning = Some(defect.metric());
        });
        Self::Refused(defect)
    }
}

/// WeChat's own `echostr`, if it is WeChat that asks.
pub async fn verify(deps: &Deps, query: &PushQuery) -> Result<String, PushError> {
    let (apps, now) = (deps.apps.get().await?, deps.clock.now());
    let mut refusal = PushDefect::Unsigned;
    for config in apps.all().filter_map(|app| app.push_config()) {
        match config.echo(query, now) {
            Ok(echostr) => return Ok(echostr.to_owned()),
            Err(defect) => refusal = refusal.max(defect),
        }
    }
    Err(refusal.into())
}

/// Deletes what the message says was revoked, and nothing else.
pub async fn push(deps: &Deps, query: &PushQuery, body: &[u8]) -> Result<(), PushError> {
    let (apps, now) = (deps.apps.get().await?, deps.clock.now());
    let Some((user, event)) = concerned(&apps, query, body, now)? else { return Ok(()) };
    let verdict = match event {
        Event::UserAuthorizationCancellation => {
            revocation::erase(&*deps.table, &user, None, deps.clock.now_ms()).await?;
            "USER_AUTHORIZATION_CANCELLATION"
        }
        Event::UserAuthorizationRevoke { phone: true } => {
            revocation::erase_phone_numbers(&*deps.table, &user, now).await?;
            "USER_AUTHORIZATION_REVOKE"
        }
        // Nothing else that a user may revoke is stored here: no nickname, no avatar, no postal address.
        Event::UserAuthorizationRevoke { phone: false } => "USER_AUTHORIZATION_REVOKE",
        Event::UserInfoModified => "USER_INFO_MODIFIED",
    };
    request_log::record(|fields| fields.verdict = Some(verdict));
    Ok(())
}

/// The user whom the message concerns, and what happened; nobody, if it is of another kind.
///
/// Several mini programs may share a token. The message is for the one that understands it: one that cannot read it does not
/// answer for one that can, nor one without a key for one with a key that does not fit.
fn concerned(apps: &Apps, query: &PushQuery, body: &[u8], now: Secs) -> Result<Option<(UserRef, Event)>, PushDefect> {
    let (mut is_other, mut is_other_in_the_clear, mut refusal) = (false, false, PushDefect::Unsigned);
    for app in apps.all() {
        let Some(config) = app.push_config() else { continue };
        match config.read(&app.appid, query, body, now) {
            Ok(Push::User { openid, event }) => {
                return Ok(Some((UserRef { appid: app.appid.clone(), openid }, event)));
            }
            Ok(Push::Other) => is_other = true,
            Ok(Push::OtherBesideEncrypt) => is_other_in_the_clear = true,
            Err(defect) => refusal = refusal.max(defect),
        }
    }
    // An app with this token and a key has a reason of its own, beyond `Unsigned`.
    is_other |= is_other_in_the_clear && refusal == PushDefect::Unsigned;
    if is_other { Ok(None) } else { Err(refusal) }
}

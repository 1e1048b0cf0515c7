//! A push: whose is it, and what is to be forgotten.

use shared::{
    notes,
    problem::{Code, Problem},
    secrets::SecretError,
    session::{StoreError, UserRef},
    wechat::push::{self, Event, Signed},
};

use crate::Deps;

/// Why a push is not taken.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// A secret cannot be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The table failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is not WeChat's, or not to a mini program of the owner.
    #[error("not a push of wechat to a configured mini program")]
    NotWechats,
}

impl From<PushError> for Problem {
    fn from(error: PushError) -> Self {
        let problem = match error {
            PushError::Secret(error) => return error.into(),
            PushError::Store(error) => return error.into(),
            PushError::NotWechats => Self::new(Code::InvalidRequest),
        };
        problem.because(error)
    }
}

/// What WeChat wants to hear back: its own `echostr`, if it is WeChat that asks.
pub async fn verify(deps: &Deps, signed: Signed) -> Result<String, PushError> {
    let (apps, now) = (deps.apps.get().await?, deps.clock.now());
    let wechats = apps.all().any(|app| push::is_wechats(app, &signed, now));
    signed.echostr.filter(|_| wechats).ok_or(PushError::NotWechats)
}

/// Forgets what the message says was taken back, and nothing else.
pub async fn push(deps: &Deps, signed: &Signed, body: &[u8]) -> Result<(), PushError> {
    let (apps, now) = (deps.apps.get().await?, deps.clock.now());
    let taken = apps.all().filter_map(|app| Some((app, push::read(app, signed, body, now)?)));
    // Of mini programs that share a token, the one to which the message says something.
    let (app, message) = taken.max_by_key(|(_, push)| push.event != Event::Other).ok_or(PushError::NotWechats)?;
    let Some(openid) = message.openid else {
        // A plugin's user, or a message of another kind.
        return Ok(());
    };
    let user = UserRef { appid: app.appid.clone(), openid };
    let verdict = match message.event {
        Event::UserAuthorizationCancellation => {
            deps.ending.erase(&user, None, now).await?;
            "USER_AUTHORIZATION_CANCELLATION"
        }
        Event::UserAuthorizationRevoke { phone: true } => {
            deps.ending.forget_phone(&user).await?;
            "USER_AUTHORIZATION_REVOKE"
        }
        // Nothing of what else may be taken back is stored here: no nickname, no avatar, no address.
        Event::UserAuthorizationRevoke { phone: false } => "USER_AUTHORIZATION_REVOKE",
        Event::UserInfoModified => "USER_INFO_MODIFIED",
        Event::Other => return Ok(()),
    };
    notes::note(|notes| notes.verdict = Some(verdict));
    Ok(())
}

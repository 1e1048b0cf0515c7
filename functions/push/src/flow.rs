//! A push: which mini program it is for, and what is to be deleted.

use shared::{
    clock::Secs,
    ids::UserRef,
    problem::{Code, Problem},
    request_log, revocation,
    secrets::SecretError,
    session::idempotency::IdempotencyRecord,
    store::StoreError,
    wechat::{
        app::Apps,
        push::{self, Event, Push, PushDefect, PushQuery},
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
            Ok(echostr) => {
                bind(deps, &apps, query, echostr.as_bytes(), now).await?;
                return Ok(echostr.to_owned());
            }
            Err(defect) => refusal = refusal.max(defect),
        }
    }
    Err(refusal.into())
}

/// Binds a signature that covers no message to the one that it first came with. Otherwise whoever saw one request could send
/// others with it. WeChat may repeat the message, to any process.
async fn bind(deps: &Deps, apps: &Apps, query: &PushQuery, message: &[u8], now: Secs) -> Result<(), PushError> {
    let mut configs = apps.all().filter_map(|app| app.push_config());
    let Some(signature) = configs.find_map(|config| config.signature_of_any_message(query, now)) else { return Ok(()) };
    let mark = IdempotencyRecord::of_push(signature, push::message_hash(message), query.usable_until(now));
    if deps.table.begin_exchange(&mark, now).await? { Ok(()) } else { Err(PushDefect::SignatureReused.into()) }
}

/// Deletes what the message says was revoked, and nothing else.
pub async fn push(deps: &Deps, query: &PushQuery, body: &[u8]) -> Result<(), PushError> {
    let (apps, now) = (deps.apps.get().await?, deps.clock.now());
    bind(deps, &apps, query, body, now).await?;
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

/// The user whom the message concerns, and what happened; nobody, if it is of another kind. Of several mini programs that share a
/// token, the one that understands the message answers.
fn concerned(apps: &Apps, query: &PushQuery, body: &[u8], now: Secs) -> Result<Option<(UserRef, Event)>, PushDefect> {
    let readings = apps.all().filter_map(|app| Some((app, app.push_config()?.read(&app.appid, query, body, now))));
    match readings.max_by_key(|(_, reading)| precedence(reading)) {
        Some((app, Ok(Push::User { openid, event }))) => {
            Ok(Some((UserRef { appid: app.appid.clone(), openid }, event)))
        }
        Some((_, Ok(Push::Other | Push::OtherBesideEncrypt))) => Ok(None),
        Some((_, Err(defect))) => Err(defect),
        None => Err(PushDefect::Unsigned),
    }
}

/// Who answers for the others: whoever has the higher number.
fn precedence(reading: &Result<Push, PushDefect>) -> (u8, Option<PushDefect>) {
    match reading {
        Err(PushDefect::Unsigned) => (0, None),
        // It does not answer for one with a key, to which it may be another message and which has its own reason.
        Ok(Push::OtherBesideEncrypt) => (1, None),
        Err(defect) => (2, Some(*defect)),
        Ok(Push::Other) => (3, None),
        Ok(Push::User { .. }) => (4, None),
    }
}

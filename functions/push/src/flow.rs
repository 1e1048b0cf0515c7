//! A push: which mini program it is for, what is to be deleted, and what the owner's function says to it.

use std::time::Duration;

use serde_json::json;
use shared::{
    clock::{Deadline, Millis, Secs},
    ids::{AppId, UserRef},
    owner_function::{AskOwner, OwnerError},
    problem::{Code, Problem},
    request_log, revocation,
    secrets::SecretError,
    session::idempotency::{CodeHash, IdempotencyRecord},
    store::StoreError,
    wechat::push::{
        self, Answer, AnswerDefect, AnswerForm, Body, Concern, Config, Event, Message, Push, PushApps, PushDefect,
        PushQuery, Reply, Sealing, Signed,
    },
};

use crate::{Deps, Table};

/// Of the time of an invocation, what is kept for the write that follows the owner's answer.
const RESERVED_FOR_WRITE: Duration = Duration::from_millis(1_500);

/// While another invocation asks the owner's function, a repetition looks so often whether there is an answer.
const POLL_DELAY: Duration = Duration::from_millis(250);

/// For how long it looks: WeChat gives up after five seconds, of which a part is gone when the request is here.
const PATIENCE: Duration = Duration::from_millis(4_250);

/// The same where WeChat gives up after three.
const PATIENCE_ABOUT_REFUNDS: Duration = Duration::from_millis(2_250);

/// By how much the clocks of two processes may differ, in milliseconds. A login that arrived so much later than a deletion may have
/// been before it.
const CLOCKS: Millis = 5_000;

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
    /// It was read whole, and did not reach who has to know it. WeChat sends it again.
    #[error("nobody took the push: {0}")]
    Untaken(Untaken),
}

/// Why a message did not reach the owner's function, or what it answered does not say that it did.
#[derive(Debug, thiserror::Error)]
pub enum Untaken {
    #[error("it is about money, and WXAUTH_PUSH_TARGET names no function")]
    NoTarget,
    #[error(transparent)]
    Owner(OwnerError),
    #[error("the owner's function has not answered in time")]
    Late,
    #[error("what the owner's function answered cannot be used: {0}")]
    Answer(AnswerDefect),
    /// An earlier delivery of it has not had an answer yet.
    #[error("the owner's function is being asked")]
    Pending,
}

impl Untaken {
    /// The word for the log line.
    const fn verdict(&self) -> &'static str {
        match self {
            Self::NoTarget => "PUSH_NO_TARGET",
            Self::Owner(OwnerError::NotRun(_)) => "PUSH_OWNER_NOT_RUN",
            Self::Owner(OwnerError::Failed) => "PUSH_OWNER_FAILED",
            Self::Owner(OwnerError::Unknown(_)) => "PUSH_OWNER_UNKNOWN",
            Self::Late => "PUSH_OWNER_LATE",
            Self::Answer(_) => "PUSH_OWNER_ANSWER",
            Self::Pending => "PUSH_PENDING",
        }
    }

    /// Whether the function certainly does nothing more about the message, so that the next delivery may ask it at once.
    const fn is_over(&self) -> bool {
        !matches!(self, Self::Owner(OwnerError::Unknown(_)) | Self::Late)
    }
}

impl From<PushError> for Problem {
    fn from(error: PushError) -> Self {
        match error {
            PushError::Secret(error) => error.into(),
            PushError::Store(error) => error.into(),
            PushError::Refused(_) => Self::new(Code::InvalidRequest).because(error),
            PushError::Untaken(_) => Self::new(Code::Unavailable).retry_after(1).because(error),
        }
    }
}

impl From<PushDefect> for PushError {
    /// WeChat gives up after a few tries, so the owner has to hear of it.
    fn from(defect: PushDefect) -> Self {
        warn(defect.verdict(), defect.metric());
        Self::Refused(defect)
    }
}

impl From<Untaken> for PushError {
    fn from(untaken: Untaken) -> Self {
        match untaken {
            // Nothing is wrong yet.
            Untaken::Pending => request_log::record(|fields| fields.verdict = Some(untaken.verdict())),
            _ => warn(untaken.verdict(), push::UNTAKEN),
        }
        Self::Untaken(untaken)
    }
}

fn warn(verdict: &'static str, metric: &'static str) {
    request_log::record(|fields| {
        fields.verdict = Some(verdict);
        fields.warning = Some(metric);
    });
}

/// A mini program, and the request as its token signed it.
type SignedFor<'a> = (&'a AppId, Signed<'a>);

fn signed<'a>(apps: &'a PushApps, query: &'a PushQuery, body: Option<&Body>) -> Result<Vec<SignedFor<'a>>, PushDefect> {
    let signed = apps.usable().filter_map(|(appid, config)| Some((appid, config.signed(query, body)?)));
    let signed: Vec<_> = signed.collect();
    if signed.is_empty() { Err(PushDefect::Unsigned) } else { Ok(signed) }
}

/// WeChat's own `echostr`, if it is WeChat that asks.
pub async fn verify(deps: &Deps, query: &PushQuery) -> Result<String, PushError> {
    let (apps, now) = (deps.apps.get().await?, deps.clock.now());
    let signed = signed(&apps, query, None)?;
    let echostr = query.echo(now)?;
    bind(deps, &signed, query, Body::read(echostr.as_bytes()).hash(), now).await?;
    Ok(echostr.to_owned())
}

/// Binds a signature that covers no message to the one that it first came with. Otherwise whoever saw one request could send
/// others with it. WeChat may repeat the message, to any process.
async fn bind(
    deps: &Deps,
    signed: &[SignedFor<'_>],
    query: &PushQuery,
    message: [u8; 32],
    now: Secs,
) -> Result<(), PushError> {
    match signed.iter().find_map(|(_, signed)| signed.signature_of_any_message(now)) {
        Some(signature) => bind_signature(deps, signature, query, message, now).await,
        None => Ok(()),
    }
}

async fn bind_signature(
    deps: &Deps,
    signature: &str,
    query: &PushQuery,
    message: [u8; 32],
    now: Secs,
) -> Result<(), PushError> {
    let mark = IdempotencyRecord::of_push_signature(signature, query.bound_to(message), query.usable_until(now));
    if deps.table.bind_signature(&mark, now).await? { Ok(()) } else { Err(PushDefect::SignatureReused.into()) }
}

/// Deletes what the message says was revoked, and nothing else; then hands the message to the owner's function, if there is one.
pub async fn push(deps: &Deps, query: &PushQuery, body: &[u8], deadline: Deadline) -> Result<Reply, PushError> {
    let (apps, now) = (deps.apps.get().await?, deps.clock.now());
    let body = Body::read(body);
    let signed = signed(&apps, query, Some(&body))?;
    bind(deps, &signed, query, body.hash(), now).await?;
    let Reading { appid, config, push, has_rivals } = reading(&signed, &body, now)?;
    if push.concern == Concern::Nobody && deps.target.is_none() {
        return Err(PushDefect::NoUser.into());
    }
    let is_about_money = push.message.answer_form().is_about_money();
    if has_rivals && (deps.target.is_some() || is_about_money) {
        return Err(PushDefect::OtherApp.into());
    }
    if let Concern::User { openid, event } = &push.concern {
        if let Some(signature) = query.covering_signature().filter(|_| event.deletes() && push.is_encrypted) {
            // With time and nonce divided anew, the signature of an old message would be a fresh one.
            bind_signature(deps, signature, query, body.hash(), now).await?;
        }
        let user = UserRef { appid: appid.clone(), openid: openid.clone() };
        obey(deps, &user, *event, &push.message, query).await?;
    }
    let answer = match &deps.target {
        Some(target) => Errand { deps, target: &**target, appid, push: &push }.run(query, deadline).await?,
        None if is_about_money => return Err(Untaken::NoTarget.into()),
        None => Answer::Success,
    };
    let sealing = Sealing { appid, now: deps.clock.now(), entropy: &*deps.entropy };
    Ok(config.reply(&push, query, &answer, &sealing))
}

/// Deletes what the message says was revoked, once. When it first came is written before anything is deleted, so that a
/// repetition which finishes what a delivery began spares who has logged in since.
async fn obey(
    deps: &Deps,
    user: &UserRef,
    event: Event,
    message: &Message,
    query: &PushQuery,
) -> Result<(), StoreError> {
    let verdict = match event {
        Event::UserAuthorizationCancellation => "USER_AUTHORIZATION_CANCELLATION",
        Event::UserAuthorizationRevoke { .. } => "USER_AUTHORIZATION_REVOKE",
        Event::UserInfoModified => "USER_INFO_MODIFIED",
    };
    request_log::record(|fields| fields.verdict = Some(verdict));
    if !event.deletes() {
        return Ok(());
    }
    let (table, now_ms) = (&*deps.table, deps.clock.now_ms());
    let mut deletion = Deletion { user, event, time: now_ms, latest: now_ms + CLOCKS };
    if !message.is_dated() {
        return deletion.run(table).await;
    }
    let (now, until) = (now_ms / 1_000, query.repeated_until(now_ms / 1_000));
    let code = CodeHash::of_push_deletion(&user.appid, message.identity());
    let arrival = IdempotencyRecord::of_push_arrival(code.clone(), now_ms, until);
    if !table.begin_exchange(&arrival, now).await? {
        match table.get_idempotency_record(&code).await?.as_ref().and_then(IdempotencyRecord::push_arrival) {
            Some(first) => (deletion.time, deletion.latest) = (first, first),
            None => return Ok(()),
        }
    }
    deletion.run(table).await?;
    table.put_idempotency_record(&IdempotencyRecord::of_obeyed_push(code, until)).await
}

/// What is deleted: what was there at this time.
struct Deletion<'a> {
    user: &'a UserRef,
    event: Event,
    time: Millis,
    /// A login that arrived later is another's of the same user, and stays.
    latest: Millis,
}

impl Deletion<'_> {
    async fn run(&self, table: &dyn Table) -> Result<(), StoreError> {
        match self.event {
            Event::UserAuthorizationRevoke { .. } => {
                revocation::erase_phone_numbers(table, self.user, self.time / 1_000).await
            }
            _ => revocation::erase_of(table, self.user, self.time, self.latest).await,
        }
    }
}

/// A message on its way to the owner's function.
///
/// The mark that it is under way is written first, the answer after the function gave it, and WeChat is answered last. So what is
/// acknowledged has reached the function; it gets a message twice only if this process ends between the function's answer and
/// the write of it, or does not learn what became of the function.
struct Errand<'a> {
    deps: &'a Deps,
    target: &'a dyn AskOwner,
    appid: &'a AppId,
    push: &'a Push,
}

/// Whose turn it is.
enum Turn {
    /// This delivery asks the function, and says so with this mark.
    Ask(IdempotencyRecord),
    /// An earlier delivery has its answer.
    Answered(Answer),
}

impl Errand<'_> {
    async fn run(&self, query: &PushQuery, deadline: Deadline) -> Result<Answer, PushError> {
        let table = &*self.deps.table;
        let message = CodeHash::of_push_message(self.appid, self.push.message.identity());
        let mark = match self.turn(&message).await? {
            Turn::Ask(mark) => mark,
            Turn::Answered(answer) => return Ok(answer),
        };
        // WeChat may be gone by the time of the answer, and finds it when it repeats the message: a cold start is not cut off.
        let asked = self.ask(deadline.before(RESERVED_FOR_WRITE)).await;
        match &asked {
            Ok(answer) if answer.is_final() => {
                let until = query.repeated_until(self.deps.clock.now());
                let record = IdempotencyRecord::of_push_answer(message, &answer.to_bytes(), until);
                table.put_idempotency_record(&record).await?;
            }
            // If the mark cannot be taken away, it ends by itself.
            Ok(_) => {
                drop(table.give_up_exchange(&mark).await);
                warn("PUSH_OWNER_REFUSED", push::UNTAKEN);
            }
            Err(untaken) if untaken.is_over() => drop(table.give_up_exchange(&mark).await),
            Err(_) => {}
        }
        Ok(asked?)
    }

    /// While an earlier delivery asks the function, this one waits; WeChat's next one does if that takes too long.
    async fn turn(&self, message: &CodeHash) -> Result<Turn, PushError> {
        let deps = self.deps;
        let patience = match self.push.message.answer_form() {
            AnswerForm::RefundVerdict => PATIENCE_ABOUT_REFUNDS,
            AnswerForm::ErrCode | AnswerForm::Success => PATIENCE,
        };
        let patience = Deadline::after(patience);
        loop {
            let now = deps.clock.now();
            let mark = IdempotencyRecord::mark(message.clone(), now, &*deps.entropy);
            if deps.table.begin_exchange(&mark, now).await? {
                return Ok(Turn::Ask(mark));
            }
            let record = deps.table.get_idempotency_record(message).await?.filter(|record| record.is_valid(now));
            let answer = record.as_ref().and_then(IdempotencyRecord::push_answer);
            if let Some(answer) = answer.and_then(Answer::kept) {
                return Ok(Turn::Answered(answer));
            }
            if patience.left() < POLL_DELAY {
                return Err(Untaken::Pending.into());
            }
            tokio::time::sleep(POLL_DELAY).await;
        }
    }

    async fn ask(&self, deadline: Deadline) -> Result<Answer, Untaken> {
        let (message, now) = (&self.push.message, self.deps.clock.now());
        let event = json!({ "appid": self.appid.as_str(), "message": message.said_to_owner(), "received_at": now });
        let asked = deadline.limit(self.target.ask(event.to_string().into_bytes())).await;
        let given = asked.ok_or(Untaken::Late)?.map_err(Untaken::Owner)?;
        Answer::read(&given, message, now).map_err(Untaken::Answer)
    }
}

/// A push as one of the mini programs reads it.
struct Reading<'a> {
    appid: &'a AppId,
    config: &'a Config,
    push: Push,
    /// Whether others with the same token read it as well, and it does not say for which one it is.
    has_rivals: bool,
}

/// The push as it is read. Of several mini programs that share a token, the one that understands the message answers.
fn reading<'a>(signed: &[SignedFor<'a>], body: &Body, now: Secs) -> Result<Reading<'a>, PushDefect> {
    let readings = signed.iter().map(|(appid, signed)| (*appid, signed.config, signed.read(appid, body, now)));
    let mut readings: Vec<_> = readings.collect();
    readings.sort_by_key(|(.., reading)| precedence(reading));
    let (appid, config, best) = readings.pop().ok_or(PushDefect::Unsigned)?;
    let push = best?;
    let equal =
        |(.., other): &(_, _, Result<Push, _>)| other.as_ref().is_ok_and(|other| other.is_named == push.is_named);
    let has_rivals = !push.is_named && readings.last().is_some_and(equal);
    Ok(Reading { appid, config, push, has_rivals })
}

/// Who answers for the others: whoever has the higher number.
fn precedence(reading: &Result<Push, PushDefect>) -> (u8, Option<PushDefect>) {
    let push = match reading {
        Err(defect) => return (1, Some(*defect)),
        Ok(push) => push,
    };
    match push.concern {
        // It does not answer for one with a key, to which it may be another message and which has its own reason.
        Concern::OtherBesideEncrypt => (0, None),
        Concern::Other | Concern::Nobody => (if push.is_named { 3 } else { 2 }, None),
        Concern::User { .. } => (4, None),
    }
}

//! The phone number: the session must live, an attempt must be left, and then the data is decrypted or the code redeemed. Where
//! the owner wants it, WeChat has to know the data too, which is asked last: only data that decrypts costs a call.
//!
//! An attempt is counted before anything is decrypted or paid for, and is not given back on success.
//!
//! A phone code is spent by the first request that reaches WeChat, and its number costs money. So one request at a time asks
//! about a code and has all the time there is; the same request again waits for its answer, be it a number or a refusal; and a
//! number that WeChat gave is handed on, whatever fails afterwards.

use std::time::Duration;

use shared::{
    authenticator::AuthError,
    clock::Deadline,
    ids::{Network, UserRef},
    platform_token::PlatformError,
    problem::{Code, Problem},
    request_log,
    secret_text::PhoneCode,
    secrets::SecretError,
    session::{
        Attempt,
        idempotency::{CodeHash, IdempotencyRecord, PHONE_LIFETIME},
    },
    store::{StoreError, TakeError},
    token::{
        access::Subject,
        keyring::{Context, Keyring, Purpose, SealError},
    },
    wechat::{
        error::WechatError,
        opendata::{self, Ciphertext, OpenDataDefect, Phone},
    },
};

use crate::Deps;

/// Reserved after WeChat's answer, to keep the number.
const RESERVED_FOR_WRITES: Duration = Duration::from_secs(2);

/// Reserved at the end for our own response: a number that is paid for must not end in the deadline's.
const LAST_MOMENT: Duration = Duration::from_millis(300);

/// How often a request looks whether another with the same code has its answer.
const POLL_DELAY: Duration = Duration::from_millis(300);

/// Why there is no number.
#[derive(Debug, thiserror::Error)]
pub enum PhoneError {
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The number could not be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Auth(#[from] AuthError),
    #[error(transparent)]
    Take(#[from] TakeError),
    #[error(transparent)]
    Data(#[from] OpenDataDefect),
    /// WeChat did not give the number.
    #[error(transparent)]
    Platform(PlatformError),
    /// The token's app is not configured any more.
    #[error("the mini program is not configured")]
    AppUnknown,
    /// The phone code is wrong, used or expired.
    #[error("wechat refuses the phone code")]
    CodeRefused,
}

impl From<PlatformError> for PhoneError {
    fn from(error: PlatformError) -> Self {
        match error {
            PlatformError::Wechat(WechatError::CodeInvalid | WechatError::CodeUsed) => Self::CodeRefused,
            error => Self::Platform(error),
        }
    }
}

impl From<PhoneError> for Problem {
    fn from(error: PhoneError) -> Self {
        let code = match error {
            PhoneError::Secret(error) => return error.into(),
            PhoneError::Store(error) => return error.into(),
            PhoneError::Auth(error) => return error.into(),
            PhoneError::Take(error) => return error.into(),
            PhoneError::Data(defect) => return defect.into(),
            PhoneError::Platform(error) => return error.into(),
            PhoneError::Seal(_) => Code::Internal,
            // The token is not to blame: a refresh would give another token of the same app.
            PhoneError::AppUnknown => Code::Misconfigured,
            PhoneError::CodeRefused => Code::PhoneCodeInvalid,
        };
        Self::new(code).because(error)
    }
}

/// The number in the button's encrypted data.
pub async fn decrypt(
    deps: &Deps,
    subject: &Subject,
    data: &Ciphertext,
    sender: &Network,
    deadline: Deadline,
) -> Result<Phone, PhoneError> {
    let keyring = deps.keyring.get().await?;
    let user = subject.session().user;
    request_log::record(|fields| fields.user = keyring.pseudonym(&user));
    // The session comes first: a token whose session is gone must not use up its owner's attempts.
    deps.authenticator.session(subject).await?;
    let keys = deps.table.take_session_keys(&user, &Attempt::OpenData, deps.clock.now()).await?;
    let phone = opendata::phone(data, &keys.open(&user, &keyring), &subject.appid, &subject.openid)?;
    if let Some(platform) = &deps.data_check {
        let apps = deps.apps.get().await?;
        let app = apps.find(Some(&subject.appid)).ok_or(PhoneError::AppUnknown)?;
        // Whoever knows the key can encrypt any number, but not make WeChat remember it.
        let hash = data.encrypted_data.hash();
        if !platform.check(app, &subject.openid, &hash, sender, deadline.before(LAST_MOMENT)).await? {
            request_log::record(|fields| fields.verdict = Some("PHONE_DATA_UNKNOWN"));
            return Err(PhoneError::Platform(WechatError::DataUnknown.into()));
        }
    }
    Ok(phone)
}

/// The number that WeChat gives for a phone code. The same code again, from the same user, counts as an attempt, but needs
/// no second call to WeChat.
pub async fn redeem(
    deps: &Deps,
    subject: &Subject,
    code: &PhoneCode,
    sender: &Network,
    deadline: Deadline,
) -> Result<Phone, PhoneError> {
    let (keyring, apps) = tokio::try_join!(deps.keyring.get(), deps.apps.get())?;
    let user = subject.session().user;
    request_log::record(|fields| fields.user = keyring.pseudonym(&user));
    let app = apps.find(Some(&subject.appid)).ok_or(PhoneError::AppUnknown)?;
    let hash = CodeHash::of_phone(&user, code);

    deps.authenticator.session(subject).await?;
    deps.table.take_session_keys(&user, &Attempt::PhoneCode(hash.clone()), deps.clock.now()).await?;
    let mark = match begin(deps, &hash, &user, &keyring, deadline.before(LAST_MOMENT)).await? {
        Begun::Exchange(mark) => mark,
        Begun::Recorded(phone) => return Ok(phone),
    };
    match deps.platform.redeem(app, code, &subject.openid, sender, deadline.before(RESERVED_FOR_WRITES)).await {
        Ok(phone) => {
            let kept = keep(deps, subject, hash, &phone, &keyring);
            match deadline.before(LAST_MOMENT).limit(kept).await {
                Some(Err(gone @ PhoneError::Auth(_))) => Err(gone),
                Some(Ok(())) => Ok(phone),
                Some(Err(_)) | None => {
                    // It is paid for. Only a repetition of this request will not get it.
                    request_log::record(|fields| fields.verdict = Some("PHONE_NOT_KEPT"));
                    Ok(phone)
                }
            }
        }
        Err(error) => {
            let error = PhoneError::from(error);
            // The same request again need not wait for this one.
            let done = async {
                match error {
                    PhoneError::CodeRefused => deps.table.erase_idempotency_record(&hash, deps.clock.now()).await,
                    _ => deps.table.give_up_exchange(&mark).await,
                }
            };
            drop(deadline.before(LAST_MOMENT).limit(done).await);
            Err(error)
        }
    }
}

/// Who has the number of a code.
enum Begun {
    /// WeChat, and it is for the request with this mark to ask.
    Exchange(IdempotencyRecord),
    /// The record of an earlier request.
    Recorded(Phone),
}

/// Whose turn it is. While another request asks WeChat about the code, this one waits; a code that gave nothing is refused.
async fn begin(
    deps: &Deps,
    code: &CodeHash,
    user: &UserRef,
    keyring: &Keyring,
    deadline: Deadline,
) -> Result<Begun, PhoneError> {
    loop {
        let now = deps.clock.now();
        let mark = IdempotencyRecord::mark(code.clone(), now, &*deps.entropy);
        if deps.table.begin_exchange(&mark, now).await? {
            return Ok(Begun::Exchange(mark));
        }
        let record = deps.table.get_idempotency_record(code).await?.filter(|record| record.is_valid(now));
        if record.as_ref().is_some_and(IdempotencyRecord::is_erased) {
            return Err(PhoneError::CodeRefused);
        }
        if let Some(phone) = record.and_then(|record| recorded(&record, user, keyring)) {
            return Ok(Begun::Recorded(phone));
        }
        if deadline.left() < POLL_DELAY {
            let asked = WechatError::NotAsked("another request still waits for what this code gives");
            return Err(PhoneError::Platform(asked.into()));
        }
        tokio::time::sleep(POLL_DELAY).await;
    }
}

/// Keeps the number for a repetition of the request. The error is `Auth` if its user is gone and no number may be left.
async fn keep(
    deps: &Deps,
    subject: &Subject,
    code: CodeHash,
    phone: &Phone,
    keyring: &Keyring,
) -> Result<(), PhoneError> {
    let text = serde_json::to_vec(phone).map_err(|_| SealError)?;
    let context = &subject.session().user;
    let sealed = keyring.seal(Context::of_user(context, Purpose::PhoneRecord), &text, &*deps.entropy)?;
    let record = IdempotencyRecord { code, sealed, expires_at: deps.clock.now() + PHONE_LIFETIME };
    let kept = deps.table.put_idempotency_record(&record).await;
    if let Err(gone @ AuthError::SessionGone) = deps.authenticator.session(subject).await {
        drop(deps.table.erase_idempotency_record(&record.code, deps.clock.now()).await);
        return Err(gone.into());
    }
    Ok(kept?)
}

/// The number in a record, which opens only for the user who made it, and not while the code is being exchanged.
fn recorded(record: &IdempotencyRecord, user: &UserRef, keyring: &Keyring) -> Option<Phone> {
    let text = keyring.open(Context::of_user(user, Purpose::PhoneRecord), &record.sealed)?;
    serde_json::from_slice(&text).ok()
}

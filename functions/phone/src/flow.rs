//! The phone number: the session must live, an attempt must be left, and then the data is decrypted or the code redeemed.
//!
//! An attempt is counted before anything is decrypted or paid for, and is not given back on success.

use shared::{
    authenticator::AuthError,
    clock::Deadline,
    ids::UserRef,
    platform_token::PlatformError,
    problem::{Code, Problem},
    request_log,
    secret_text::PhoneCode,
    secrets::SecretError,
    session::idempotency::{CodeHash, IdempotencyRecord, PHONE_LIFETIME, POLL_DELAYS},
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
pub async fn decrypt(deps: &Deps, subject: &Subject, data: &Ciphertext) -> Result<Phone, PhoneError> {
    let keyring = deps.keyring.get().await?;
    let user = subject.session().user;
    request_log::record(|fields| fields.user = keyring.pseudonym(&user));
    // The session comes first: a token whose session is gone must not use up its owner's attempts.
    deps.authenticator.session(subject).await?;
    let keys = deps.table.take_session_keys(&user, None, deps.clock.now()).await?;
    Ok(opendata::phone(data, &keys.open(&user, &keyring), &subject.appid)?)
}

/// The number that WeChat gives for a phone code. The same code again, from the same user, counts as an attempt, but needs
/// no second call to WeChat.
pub async fn redeem(deps: &Deps, subject: &Subject, code: &PhoneCode, deadline: Deadline) -> Result<Phone, PhoneError> {
    let (keyring, apps) = tokio::try_join!(deps.keyring.get(), deps.apps.get())?;
    let user = subject.session().user;
    request_log::record(|fields| fields.user = keyring.pseudonym(&user));
    let app = apps.find(Some(&subject.appid)).ok_or(PhoneError::AppUnknown)?;
    let hash = CodeHash::of_phone(&user, code);
    let now = deps.clock.now();

    let (session, record) = tokio::join!(deps.authenticator.session(subject), deps.table.get_idempotency_record(&hash));
    session?;
    deps.table.take_session_keys(&user, Some(&hash), now).await?;
    if let Some(phone) = record?.filter(|record| record.is_valid(now)).and_then(|it| recorded(&it, &user, &keyring)) {
        return Ok(phone);
    }
    match deps.platform.redeem(app, code, &subject.openid, deadline).await.map_err(PhoneError::from) {
        Ok(phone) => {
            let text = serde_json::to_vec(&phone).map_err(|_| SealError)?;
            let sealed = keyring.seal(Context::of_user(&user, Purpose::PhoneRecord), &text, &*deps.entropy)?;
            let record = IdempotencyRecord { code: hash, sealed, expires_at: now + PHONE_LIFETIME };
            deps.table.put_idempotency_record(&record).await?;
            // If the user was deleted in the meantime, no number may be left.
            if let Err(gone @ AuthError::SessionGone) = deps.authenticator.session(subject).await {
                deps.table.erase_idempotency_record(&record.code).await?;
                return Err(gone.into());
            }
            Ok(phone)
        }
        // The same request, sent twice, may have arrived first and be about to write its record.
        Err(PhoneError::CodeRefused) => {
            let record = wait_for_record(deps, &hash).await?;
            record.and_then(|record| recorded(&record, &user, &keyring)).ok_or(PhoneError::CodeRefused)
        }
        Err(error) => Err(error),
    }
}

/// The record of a code that WeChat says was used, if it is valid.
async fn wait_for_record(deps: &Deps, code: &CodeHash) -> Result<Option<IdempotencyRecord>, StoreError> {
    for delay in POLL_DELAYS {
        tokio::time::sleep(delay).await;
        if let Some(record) = deps.table.get_idempotency_record(code).await? {
            return Ok(Some(record).filter(|record| record.is_valid(deps.clock.now())));
        }
    }
    Ok(None)
}

/// The number in a record, which opens only for the user who made it.
fn recorded(record: &IdempotencyRecord, user: &UserRef, keyring: &Keyring) -> Option<Phone> {
    let text = keyring.open(Context::of_user(user, Purpose::PhoneRecord), &record.sealed)?;
    serde_json::from_slice(&text).ok()
}

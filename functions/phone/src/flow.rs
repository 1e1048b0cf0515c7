//! The number: who asks, is their session alive, is there an attempt left, and then the data or the code.
//!
//! Attempts are counted before anything is decrypted or paid for, and not given back on success.

use shared::{
    clock::Deadline,
    notes,
    problem::{Code, Problem},
    redacted::PhoneCode,
    secrets::SecretError,
    session::{
        StoreError, TakeError, UserRef,
        admission::NotAdmitted,
        claim::{self, Claim, CodeHash},
    },
    token::{
        access::Subject,
        keyring::{Keyring, Purpose, SealError},
    },
    wechat::{
        PlatformError, Upstream, breaker,
        opendata::{self, Ciphertext, OpenDataDefect, Phone},
    },
};

use crate::Deps;

/// Why there is no number.
#[derive(Debug, thiserror::Error)]
pub enum PhoneError {
    /// A secret cannot be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The table failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The number could not be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// WeChat did not give the number.
    #[error(transparent)]
    Wechat(#[from] Upstream),
    /// The access token is refused, or its session is gone.
    #[error(transparent)]
    NotAdmitted(#[from] NotAdmitted),
    /// The token's app is not configured any more.
    #[error("the mini program is not configured")]
    AppUnknown,
    /// No attempt is left in this hour.
    #[error("too many attempts within the hour")]
    RateLimited {
        /// Seconds until the next one.
        retry_after: u64,
    },
    /// The data is refused.
    #[error(transparent)]
    Data(#[from] OpenDataDefect),
    /// The phone code is wrong, used or expired.
    #[error("wechat refuses the phone code")]
    CodeRefused,
}

impl From<TakeError> for PhoneError {
    fn from(error: TakeError) -> Self {
        match error {
            TakeError::Store(error) => Self::Store(error),
            TakeError::RateLimited { retry_after } => Self::RateLimited { retry_after },
            // The session is there but its user is not: a new login puts that right.
            TakeError::NoUser => Self::Data(OpenDataDefect::Unreadable),
        }
    }
}

impl From<PlatformError> for PhoneError {
    fn from(error: PlatformError) -> Self {
        match error {
            PlatformError::Store(error) => Self::Store(error),
            PlatformError::Secret(error) => Self::Secret(error),
            PlatformError::Wechat(Upstream::CodeInvalid | Upstream::CodeUsed) => Self::CodeRefused,
            PlatformError::Wechat(error) => Self::Wechat(error),
        }
    }
}

impl From<PhoneError> for Problem {
    fn from(error: PhoneError) -> Self {
        let problem = match error {
            PhoneError::Secret(error) => return error.into(),
            PhoneError::Store(error) => return error.into(),
            PhoneError::NotAdmitted(error) => return error.into(),
            PhoneError::Seal(_) => Self::new(Code::Internal),
            PhoneError::Wechat(ref error) => match error {
                Upstream::Misconfigured { .. } => Self::new(Code::Misconfigured),
                Upstream::Busy { retry_after, .. } => Self::new(Code::WechatBusy).retry_after(*retry_after),
                Upstream::BreakerOpen => Self::new(Code::WechatBusy).retry_after(breaker::OPEN.as_secs()),
                Upstream::Unreachable(_) | Upstream::NoAnswer(_) => Self::new(Code::WechatTimeout),
                Upstream::TokenRefused { .. }
                | Upstream::SessionKeyStale
                | Upstream::Unknown { .. }
                | Upstream::Unreadable(_)
                | Upstream::Failed(_) => Self::new(Code::WechatError),
                Upstream::WrongUser => Self::new(Code::DataRejected),
                Upstream::Blocked => Self::new(Code::UserBlocked),
                Upstream::CodeInvalid | Upstream::CodeUsed => Self::new(Code::PhoneCodeInvalid),
            },
            // Not a matter of the token: a refresh would give another one of the same app.
            PhoneError::AppUnknown => Self::new(Code::Misconfigured),
            PhoneError::RateLimited { retry_after } => Self::new(Code::RateLimited).retry_after(retry_after),
            PhoneError::Data(OpenDataDefect::Unreadable) => Self::new(Code::SessionKeyExpired),
            PhoneError::Data(OpenDataDefect::Foreign) => Self::new(Code::DataRejected),
            PhoneError::CodeRefused => Self::new(Code::PhoneCodeInvalid),
        };
        problem.because(error)
    }
}

/// The number in the button's encrypted data.
pub async fn decrypt(deps: &Deps, subject: &Subject, data: &Ciphertext) -> Result<Phone, PhoneError> {
    let keyring = deps.keyring.get().await?;
    notes::note(|notes| notes.user = keyring.pseudonym(&subject.appid, &subject.openid));
    let at = subject.session();
    // First the session: a token whose session is gone must not use up its owner's attempts.
    deps.admission.session(subject).await?;
    let keys = deps.keys.take(&at.user, None, deps.clock.now()).await?;
    Ok(opendata::phone(data, &keys.open(&at.user, &keyring), &subject.appid)?)
}

/// The number that WeChat gives for a phone code; the same code again, by the same user, costs nothing.
pub async fn redeem(deps: &Deps, subject: &Subject, code: &PhoneCode, by: Deadline) -> Result<Phone, PhoneError> {
    let (keyring, apps) = tokio::try_join!(deps.keyring.get(), deps.apps.get())?;
    notes::note(|notes| notes.user = keyring.pseudonym(&subject.appid, &subject.openid));
    let app = apps.find(Some(&subject.appid)).ok_or(PhoneError::AppUnknown)?;
    let user = subject.session().user;
    let hash = CodeHash::of_phone(&user, code);
    let now = deps.clock.now();

    let (session, claim) = tokio::join!(deps.admission.session(subject), deps.claims.get(&hash));
    session?;
    deps.keys.take(&user, Some(&hash), now).await?;
    if let Some(phone) = claim?.filter(|claim| claim.until > now).and_then(|claim| claimed(&claim, &user, &keyring)) {
        return Ok(phone);
    }
    match deps.redeem.redeem(app, code, &subject.openid, by).await.map_err(PhoneError::from) {
        Ok(phone) => {
            let text = serde_json::to_vec(&phone).map_err(|_| SealError)?;
            let sealed = keyring.seal(user.sealing(Purpose::PhoneClaim), &text, &*deps.entropy)?;
            let claim = Claim { code: hash, sealed, until: now + claim::PHONE };
            deps.claims.put(&claim).await?;
            // Who was deleted meanwhile leaves no number behind.
            if let Err(gone @ NotAdmitted::SessionGone) = deps.admission.session(subject).await {
                deps.erase.erase_claim(&claim.code).await?;
                return Err(gone.into());
            }
            Ok(phone)
        }
        // The same request, sent twice, may have come in first and be about to write its claim.
        Err(PhoneError::CodeRefused) => {
            let claim = claim::wait_for(&*deps.claims, &hash, &*deps.clock).await?;
            claim.and_then(|claim| claimed(&claim, &user, &keyring)).ok_or(PhoneError::CodeRefused)
        }
        Err(error) => Err(error),
    }
}

/// The number in a claim: it opens for the user who made it and for nobody else.
fn claimed(claim: &Claim, user: &UserRef, keyring: &Keyring) -> Option<Phone> {
    let text = keyring.open(user.sealing(Purpose::PhoneClaim), &claim.sealed)?;
    serde_json::from_slice(&text).ok()
}

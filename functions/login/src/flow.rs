//! The login: WeChat first, for it decides who wins a race for a code; then user, session and claim side by side.
//!
//! Keys and signature are at hand before the code is spent; all writes are done before the answer.

use std::time::Duration;

use shared::{
    clock::{Deadline, Secs},
    entropy,
    ids::{DeviceId, Family, UnionId},
    notes,
    problem::{Action, Code, Problem},
    secrets::SecretError,
    session::{Recorded, Session, SessionRef, StoreError, UserLogin, UserRef, beyond_the_cap, claim::Claim},
    token::{
        TokenAnswer,
        access::{AccessSigner, SignError, Subject},
        keyring::{Keyring, Purpose, SealError},
        refresh::RefreshToken,
    },
    wechat::{App, Upstream, WechatSession, breaker, opendata::Profile},
};

use crate::{
    Deps, Login, LoginAnswer, profile,
    quota::{Attempt, Denied},
    replay,
};

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// A secret cannot be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The table failed before anything was spent.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The access token could not be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The session key could not be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The code is spent, and the session is not stored.
    #[error("the login was not stored")]
    NotStored(#[source] StoreError),
    /// The code is spent, and there was no time left to store the session, or to find the one that it gave.
    #[error("the login was not stored in time")]
    OutOfTime,
    /// The session names a key that is not in this process's ring.
    #[error("the session's key is not in the ring")]
    KeyUnknown,
    /// The code is spent, and a newer login of the same device is there.
    #[error("a newer login of this device is there")]
    Outrun,
    /// The mini program is not one of the owner's, or must be named.
    #[error("the appid is not configured, or is missing")]
    AppUnknown,
    /// WeChat refused or failed.
    #[error(transparent)]
    Wechat(#[from] Upstream),
    /// The owner has blocked the user.
    #[error("the user is blocked")]
    Blocked,
    /// The user was deleted while the login was under way.
    #[error("the user was deleted meanwhile")]
    Erased,
    /// Too many refused codes came from this address.
    #[error("too many refused codes from this address")]
    TooMany {
        /// Seconds until the next one.
        retry_after: Secs,
    },
    /// The code was used by another request, or what it gave is over.
    #[error("the code was used and this request cannot be repeated")]
    CodeUsed,
}

impl From<LoginError> for Problem {
    fn from(error: LoginError) -> Self {
        let problem = match error {
            LoginError::Secret(error) => return error.into(),
            LoginError::Store(error) => return error.into(),
            LoginError::Sign(_) | LoginError::Seal(_) => Self::new(Code::Internal),
            LoginError::NotStored(_) | LoginError::OutOfTime | LoginError::Outrun | LoginError::Erased => {
                Self::new(Code::RetryLogin)
            }
            LoginError::KeyUnknown => Self::new(Code::Unavailable).retry_after(1),
            LoginError::AppUnknown => Self::new(Code::InvalidRequest),
            LoginError::CodeUsed => Self::new(Code::CodeUsed),
            LoginError::Blocked => Self::new(Code::UserBlocked),
            LoginError::TooMany { retry_after } => Self::new(Code::RateLimited).retry_after(retry_after),
            LoginError::Wechat(ref error) => match error {
                Upstream::Misconfigured { .. } => Self::new(Code::Misconfigured),
                Upstream::Busy { retry_after, .. } => Self::new(Code::WechatBusy).retry_after(*retry_after),
                Upstream::BreakerOpen => Self::new(Code::WechatBusy).retry_after(breaker::OPEN.as_secs()),
                // The code may be spent. A new one costs the user nothing.
                Upstream::Unreachable(_) | Upstream::NoAnswer(_) => {
                    Self::new(Code::WechatTimeout).action(Action::Relogin)
                }
                Upstream::Failed(_) => Self::new(Code::WechatError).action(Action::Relogin),
                Upstream::TokenRefused { .. }
                | Upstream::SessionKeyStale
                | Upstream::WrongUser
                | Upstream::Unknown { .. }
                | Upstream::Unreadable(_) => Self::new(Code::WechatError),
                Upstream::CodeInvalid => Self::new(Code::CodeInvalid),
                Upstream::CodeUsed => Self::new(Code::CodeUsed),
                Upstream::Blocked => Self::new(Code::UserBlocked),
            },
        };
        problem.because(error)
    }
}

/// After the code is spent the answer must be ours and not the deadline's: it says that a new code is needed.
const LAST_MOMENT: Duration = Duration::from_millis(300);

/// So much of its time a login keeps for what follows WeChat's answer: a code is not spent for nothing.
const STORING: Duration = Duration::from_secs(2);

/// What does not decide the login may take no longer than this, nor more than a third of what is left.
const BESIDE: Duration = Duration::from_millis(1_500);

/// Does what does not decide the login, if there is time for it.
pub(crate) async fn beside<T>(by: Deadline, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(BESIDE.min(by.left() / 3), work).await.ok()
}

/// The keys of a login, at hand before its code is spent.
pub(crate) struct Keys<'a> {
    pub keyring: &'a Keyring,
    pub signer: &'a AccessSigner,
    pub issuer: &'a str,
}

/// Logs a user in.
pub async fn login(deps: &Deps, login: &Login, issuer: &str, by: Deadline) -> Result<LoginAnswer, LoginError> {
    let arrived = deps.clock.now();
    let (apps, keyring, signer) = tokio::try_join!(deps.apps.get(), deps.keyring.get(), deps.signer.get())?;
    let keys = Keys { keyring: &keyring, signer: &signer, issuer };
    let app = apps.find(login.appid.as_ref()).ok_or(LoginError::AppUnknown)?;

    let hash = login.hash(&app.appid);
    let attempt = Attempt { appid: &app.appid, source: &login.source, code: &hash, now: arrived };
    match (exchange(deps, app, login, &attempt, by.before(STORING)).await?, &login.request) {
        (Ok(wechat), _) => first(deps, login, &keys, &Accepted { app, wechat, arrived }, by).await,
        (Err(refusal @ (Upstream::CodeInvalid | Upstream::CodeUsed)), request) => {
            let by = by.before(LAST_MOMENT);
            let repeated = match request {
                Some(request) => {
                    let looking = Box::pin(replay::answer(deps, login, &keys, (app, request), by));
                    tokio::time::timeout(by.left(), looking).await.unwrap_or(Err(LoginError::OutOfTime))
                }
                None => Ok(None),
            };
            // What turns out to be a repetition has cost nobody anything, and a failure of ours is no verdict.
            if matches!(&repeated, Ok(None) | Err(LoginError::CodeUsed | LoginError::Blocked)) {
                deps.quota.refused(&attempt, matches!(refusal, Upstream::CodeUsed));
            }
            repeated?.ok_or(LoginError::Wechat(refusal))
        }
        (Err(error), _) => Err(error.into()),
    }
}

/// WeChat's answer to the code, or what it was a moment ago.
async fn exchange(
    deps: &Deps,
    app: &App,
    login: &Login,
    attempt: &Attempt<'_>,
    by: Deadline,
) -> Result<Result<WechatSession, Upstream>, LoginError> {
    match deps.quota.admit(attempt) {
        Ok(()) => Ok(deps.wechat.exchange(app, &login.code, by).await),
        Err(Denied::Known(refusal)) => Ok(Err(refusal)),
        Err(Denied::TooMany { retry_after }) => Err(LoginError::TooMany { retry_after }),
    }
}

/// What WeChat said to a code, and when the request with it arrived.
struct Accepted<'a> {
    app: &'a App,
    wechat: WechatSession,
    arrived: Secs,
}

/// What a login is to store, and what it then answers: all of it is made and signed before anything is stored.
struct Made {
    user: UserRef,
    at: SessionRef,
    session: Session,
    claim: Option<Claim>,
    record: UserLogin,
    tokens: TokenAnswer,
}

/// What stands in the table after the writes.
struct Stored {
    recorded: Recorded,
    profile: Option<Profile>,
    /// The sessions beyond the device cap.
    surplus: Vec<Session>,
}

/// The first request with this code: everything is made, signed, then stored.
async fn first(
    deps: &Deps,
    login: &Login,
    keys: &Keys<'_>,
    accepted: &Accepted<'_>,
    by: Deadline,
) -> Result<LoginAnswer, LoginError> {
    let made = make(deps, login, keys, accepted)?;
    let storing = by.before(LAST_MOMENT);
    let known = accepted.wechat.unionid.as_ref();
    let stored = Box::pin(store(deps, login, keys, (&made, known), storing));
    match tokio::time::timeout(storing.left(), stored).await.unwrap_or(Err(LoginError::OutOfTime)) {
        Ok(Stored { recorded, profile, surplus }) => {
            // Should it not end in time, the user has one device too many until the next login.
            let _ = beside(storing, end_surplus(deps, &made.user, surplus)).await;
            Ok(answer(made.tokens, &made.user, made.session.device, recorded == Recorded::New, profile))
        }
        // What stands there is of the newer login.
        Err(LoginError::Outrun) => Err(LoginError::Outrun),
        Err(error) => {
            let left = BESIDE.min(by.before(LAST_MOMENT / 3).left());
            drop(tokio::time::timeout(left, undo(deps, &made)).await);
            Err(error)
        }
    }
}

fn make(deps: &Deps, login: &Login, keys: &Keys<'_>, by: &Accepted<'_>) -> Result<Made, LoginError> {
    let user = UserRef { appid: by.app.appid.clone(), openid: by.wechat.openid.clone() };
    notes::note(|notes| notes.user = keys.keyring.pseudonym(&user.appid, &user.openid));
    let device = login.device.unwrap_or_else(|| DeviceId(entropy::bytes(&*deps.entropy)));
    let session = session(deps, device, keys, by);
    let tokens = tokens(deps, keys, &user, &session)?;
    let claim = login
        .request
        .as_ref()
        .map(|request| replay::claim(deps, keys, login, request, (&user, &session)))
        .transpose()?;
    let record = user_login(deps, &user, (&session, claim.as_ref()), keys, by)?;
    let at = SessionRef { user: user.clone(), sid: user.sid(device) };
    Ok(Made { user, at, session, claim, record, tokens })
}

/// Writes user, session and claim side by side, and looks at what came between.
async fn store(
    deps: &Deps,
    login: &Login,
    keys: &Keys<'_>,
    (made, known): (&Made, Option<&UnionId>),
    by: Deadline,
) -> Result<Stored, LoginError> {
    let Made { user, at, session, claim, record, .. } = made;
    let (recorded, opened, claimed) = tokio::join!(
        async {
            let recorded = deps.users.record(record).await?;
            if recorded == Recorded::Blocked {
                return Ok((recorded, None));
            }
            let profile = profile::read(deps, keys.keyring, user, login.user_info.as_ref(), known);
            Ok::<_, StoreError>((recorded, beside(by, profile).await.flatten()))
        },
        deps.sessions.open(at, session),
        async {
            match claim {
                Some(claim) => deps.claims.put(claim).await,
                None => Ok(()),
            }
        },
    );
    let (recorded, profile) = recorded.map_err(LoginError::NotStored)?;
    if recorded == Recorded::Blocked {
        return Err(LoginError::Blocked);
    }
    claimed.map_err(LoginError::NotStored)?;
    if !opened.map_err(LoginError::NotStored)? {
        return Err(LoginError::Outrun);
    }
    let surplus = look_around(deps, user, session.device).await?;
    Ok(Stored { recorded, profile, surplus })
}

/// Takes back what a login wrote that is refused: nobody holds a token of it, nor can the request be repeated.
async fn undo(deps: &Deps, made: &Made) {
    let erase = async {
        if let Some(claim) = &made.claim {
            drop(deps.erase.erase_claim(&claim.code).await);
        }
    };
    drop(tokio::join!(deps.end.end(&made.at, made.session.family), erase));
}

fn session(deps: &Deps, device: DeviceId, keys: &Keys<'_>, by: &Accepted<'_>) -> Session {
    Session {
        device,
        family: Family(entropy::bytes(&*deps.entropy)),
        generation: 0,
        key_id: keys.keyring.current(),
        created_at: by.arrived,
        rotated_at: by.arrived,
        rotated_before: 0,
        idle: by.arrived + deps.policy.idle,
        absolute: by.arrived + deps.policy.absolute,
        unionid: by.wechat.unionid.clone().filter(|_| deps.issuing.unionid),
    }
}

fn user_login(
    deps: &Deps,
    user: &UserRef,
    (session, claim): (&Session, Option<&Claim>),
    keys: &Keys<'_>,
    by: &Accepted<'_>,
) -> Result<UserLogin, SealError> {
    let text = by.wechat.session_key.expose().as_bytes();
    Ok(UserLogin {
        user: user.clone(),
        key: keys.keyring.seal(user.sealing(Purpose::SessionKey), text, &*deps.entropy)?,
        fingerprints: keys.keyring.fingerprints(text),
        unionid: by.wechat.unionid.clone(),
        family: session.family,
        claim: claim.map(|claim| claim.code.clone()),
        at: by.arrived,
    })
}

/// The tokens of a session at generation 0: the same each time but for the access token, which is new.
pub(crate) fn tokens(
    deps: &Deps,
    keys: &Keys<'_>,
    user: &UserRef,
    session: &Session,
) -> Result<TokenAnswer, LoginError> {
    let now = deps.clock.now();
    let subject = Subject {
        appid: user.appid.clone(),
        openid: user.openid.clone(),
        sid: user.sid(session.device),
        auth_time: session.created_at,
        unionid: session.unionid.clone(),
    };
    let access = keys.signer.sign(&deps.issuing.claims(&subject, keys.issuer, now, &*deps.entropy))?;
    let refresh = RefreshToken {
        key_id: session.key_id,
        generation: 0,
        family: session.family,
        device: session.device,
        appid: user.appid.clone(),
        openid: user.openid.clone(),
    };
    let refresh = refresh.encode(keys.keyring).ok_or(LoginError::KeyUnknown)?;
    Ok(TokenAnswer::new(&access, deps.issuing.access, &refresh, session, now))
}

pub(crate) fn answer(
    tokens: TokenAnswer,
    user: &UserRef,
    device: DeviceId,
    new_user: bool,
    user_info: Option<Profile>,
) -> LoginAnswer {
    LoginAnswer { tokens, openid: user.openid.expose().to_owned(), device: device.encode(), new_user, user_info }
}

/// Looks whether the user was blocked or deleted meanwhile, and gives the sessions beyond the device cap.
///
/// A block or a deletion that came between the writes of this login did not find the session; here the session finds it.
/// So a look that fails refuses the login.
async fn look_around(deps: &Deps, user: &UserRef, just_made: DeviceId) -> Result<Vec<Session>, LoginError> {
    let stored = deps.list.list(user).await.map_err(LoginError::NotStored)?;
    let stored_user = stored.user.unwrap_or_default();
    if stored_user.blocked_at.is_some() {
        return Err(LoginError::Blocked);
    }
    if stored_user.first_login.is_none() {
        return Err(LoginError::Erased);
    }
    Ok(beyond_the_cap(stored.sessions, just_made))
}

async fn end_surplus(deps: &Deps, user: &UserRef, surplus: Vec<Session>) {
    for session in surplus {
        let at = SessionRef { user: user.clone(), sid: user.sid(session.device) };
        drop(deps.end.end(&at, session.family).await);
    }
}

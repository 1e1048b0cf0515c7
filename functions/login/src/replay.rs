//! A login that is sent again because its answer was lost.
//!
//! It takes the code, the same `Idempotency-Key` and the same bytes: a code found in a log opens nothing. And the session
//! must still be there as the login left it, with its user recorded: a crash or a logout may have left the claim alone, and
//! tokens that are dead on arrival, or without a `session_key` behind them, help nobody.

use aws_lc_rs::digest::{Context as Digest, SHA256};
use shared::{
    clock::{Deadline, Secs},
    ids::{DeviceId, Family, OpenId},
    notes,
    redacted::IdempotencyKey,
    session::{
        Session, SessionRef, UserRef,
        claim::{self, Claim, CodeHash},
    },
    token::keyring::{Context, Purpose, SealError},
    wechat::App,
};

use crate::{
    Deps, Login, LoginAnswer,
    flow::{self, Keys, LoginError},
    profile,
};

/// Names a request: SHA-256 over its `Idempotency-Key` and its bytes.
#[derive(PartialEq, Eq)]
pub(crate) struct RequestHash([u8; 32]);

impl RequestHash {
    pub(crate) fn of(key: &IdempotencyKey, body: &[u8]) -> Self {
        let mut digest = Digest::new(&SHA256);
        // The key's length is a separator: no two pairs of key and body give the same text.
        digest.update(&(key.expose().len() as u64).to_be_bytes());
        digest.update(key.expose().as_bytes());
        digest.update(body);
        let mut hash = [0; 32];
        hash.copy_from_slice(digest.finish().as_ref());
        Self(hash)
    }
}

/// What a login's claim says: the request it answers and the session it made.
struct Claimed {
    request: RequestHash,
    device: DeviceId,
    family: Family,
    openid: OpenId,
    /// When the login arrived.
    at: Secs,
}

impl Claimed {
    fn to_bytes(&self) -> Vec<u8> {
        [&self.request.0[..], &self.device.0, &self.family.0, self.openid.expose().as_bytes()].concat()
    }

    fn from_bytes(bytes: &[u8], at: Secs) -> Option<Self> {
        let (request, rest) = bytes.split_first_chunk::<32>()?;
        let (device, rest) = rest.split_first_chunk::<16>()?;
        let (family, rest) = rest.split_first_chunk::<16>()?;
        let openid = OpenId::parse(std::str::from_utf8(rest).ok()?).ok()?;
        Some(Self { request: RequestHash(*request), device: DeviceId(*device), family: Family(*family), openid, at })
    }
}

/// A claim is sealed before its openid is known to whoever opens it: the code's hash stands in for the owner.
fn sealing<'a>(app: &'a str, code: &'a CodeHash) -> Context<'a> {
    Context { purpose: Purpose::LoginClaim, appid: app, owner: code.as_str() }
}

/// The claim that lets this login be repeated.
pub(crate) fn claim(
    deps: &Deps,
    keys: &Keys<'_>,
    login: &Login,
    request: &RequestHash,
    (user, session): (&UserRef, &Session),
) -> Result<Claim, SealError> {
    let code = login.hash(&user.appid);
    let (request, openid) = (RequestHash(request.0), user.openid.clone());
    let claimed = Claimed { request, device: session.device, family: session.family, openid, at: session.created_at };
    let sealed = keys.keyring.seal(sealing(user.appid.as_str(), &code), &claimed.to_bytes(), &*deps.entropy)?;
    Ok(Claim { code, sealed, until: session.created_at + claim::LOGIN })
}

/// The answer to a request whose code WeChat calls used; `None` if no claim tells of it.
///
/// The first request with the code may still be writing: claim, session and user are written side by side, so all are
/// looked for again.
pub(crate) async fn answer(
    deps: &Deps,
    login: &Login,
    keys: &Keys<'_>,
    (app, request): (&App, &RequestHash),
    by: Deadline,
) -> Result<Option<LoginAnswer>, LoginError> {
    let code = login.hash(&app.appid);
    let mut claimed = None;
    for pause in claim::LOOKS {
        tokio::time::sleep(pause).await;
        if claimed.is_none() {
            let claim = deps.claims.get(&code).await?;
            claimed = claim.map(|claim| read(deps, keys, app, request, &claim)).transpose()?;
        }
        let Some(claimed) = &claimed else { continue };
        let user = UserRef { appid: app.appid.clone(), openid: claimed.openid.clone() };
        let at = SessionRef { user: user.clone(), sid: user.sid(claimed.device) };
        match deps.read.read(&at).await? {
            Some(session) if session.family == claimed.family => {
                if let Some(answer) = repeat(deps, login, keys, (&user, &session, &code), by).await? {
                    return Ok(Some(answer));
                }
            }
            // A later login, or a logout and a later one: this one is over.
            Some(session) if session.created_at > claimed.at => return Err(LoginError::CodeUsed),
            // Not there yet, or never: a crash or a logout may have left the claim alone.
            _ => {}
        }
    }
    if claimed.is_some() { Err(LoginError::CodeUsed) } else { Ok(None) }
}

/// What a claim says, if it answers this very request and still counts.
fn read(deps: &Deps, keys: &Keys<'_>, app: &App, request: &RequestHash, claim: &Claim) -> Result<Claimed, LoginError> {
    let bytes = keys.keyring.open(sealing(app.appid.as_str(), &claim.code), &claim.sealed);
    let claimed = bytes.and_then(|bytes| Claimed::from_bytes(&bytes, claim.until.saturating_sub(claim::LOGIN)));
    let counts = |claimed: &Claimed| claimed.request == *request && claim.until > deps.clock.now();
    claimed.filter(counts).ok_or(LoginError::CodeUsed)
}

/// The same answer again, from a session that is still as the login left it; `None` while its user is not recorded.
async fn repeat(
    deps: &Deps,
    login: &Login,
    keys: &Keys<'_>,
    (user, session, code): (&UserRef, &Session, &CodeHash),
    by: Deadline,
) -> Result<Option<LoginAnswer>, LoginError> {
    if session.generation != 0 || !session.is_alive(deps.clock.now(), deps.policy.not_before) {
        return Err(LoginError::CodeUsed);
    }
    notes::note(|notes| notes.user = keys.keyring.pseudonym(&user.appid, &user.openid));
    let stored = deps.user.user(user).await?.unwrap_or_default();
    if stored.blocked_at.is_some() {
        return Err(LoginError::Blocked);
    }
    // The claim is named by the very write that stores the `session_key`.
    if !stored.login_claims.contains(code) {
        return Ok(None);
    }
    notes::note(|notes| notes.verdict = Some("LOGIN_REPLAY"));
    let profile = profile::read(deps, keys.keyring, user, login.user_info.as_ref(), None);
    let profile = flow::beside(by, profile).await.flatten();
    let tokens = flow::tokens(deps, keys, user, session)?;
    Ok(Some(flow::answer(tokens, user, session.device, stored.first_family == Some(session.family), profile)))
}

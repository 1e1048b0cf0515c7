//! A login that is sent again because its answer was lost.
//!
//! It takes the code, the same `Idempotency-Key` and the same bytes: a code found in a log opens nothing. And the session
//! must still be there as the login left it: a crash or a logout may have left the claim alone, and tokens that are dead
//! on arrival help nobody.

use aws_lc_rs::digest::{Context as Digest, SHA256};
use shared::{
    ids::{DeviceId, Family, OpenId},
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
}

impl Claimed {
    fn to_bytes(&self) -> Vec<u8> {
        [
            &self.request.0[..],
            &self.device.0,
            &self.family.0,
            self.openid.expose().as_bytes(),
        ]
        .concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (request, rest) = bytes.split_first_chunk::<32>()?;
        let (device, rest) = rest.split_first_chunk::<16>()?;
        let (family, rest) = rest.split_first_chunk::<16>()?;
        let openid = OpenId::parse(std::str::from_utf8(rest).ok()?).ok()?;
        Some(Self {
            request: RequestHash(*request),
            device: DeviceId(*device),
            family: Family(*family),
            openid,
        })
    }
}

/// A claim is sealed before its openid is known to whoever opens it: the code's hash stands in for the owner.
fn sealing<'a>(app: &'a str, code: &'a CodeHash) -> Context<'a> {
    Context {
        purpose: Purpose::LoginClaim,
        appid: app,
        owner: code.as_str(),
    }
}

/// The claim that lets this login be repeated.
pub(crate) fn claim(
    deps: &Deps,
    keys: &Keys<'_>,
    login: &Login,
    request: &RequestHash,
    (user, session): (&UserRef, &Session),
) -> Result<Claim, SealError> {
    let code = CodeHash::of_login(&user.appid, &login.code);
    let (request, openid) = (RequestHash(request.0), user.openid.clone());
    let claimed = Claimed {
        request,
        device: session.device,
        family: session.family,
        openid,
    };
    let sealed = keys
        .keyring
        .seal(sealing(user.appid.as_str(), &code), &claimed.to_bytes(), &*deps.entropy)?;
    Ok(Claim {
        code,
        sealed,
        until: session.created_at + claim::LOGIN,
    })
}

/// The answer to a request whose code WeChat calls used; `None` if no claim tells of it.
pub(crate) async fn answer(
    deps: &Deps,
    login: &Login,
    keys: &Keys<'_>,
    app: &App,
    request: &RequestHash,
) -> Result<Option<LoginAnswer>, LoginError> {
    let code = CodeHash::of_login(&app.appid, &login.code);
    let Some(claim) = claim::wait_for(&*deps.claims, &code, &*deps.clock).await? else {
        return Ok(None);
    };
    let bytes = keys
        .keyring
        .open(sealing(app.appid.as_str(), &code), &claim.sealed)
        .ok_or(LoginError::CodeUsed)?;
    let claimed = Claimed::from_bytes(&bytes).filter(|claimed| claimed.request == *request);
    let claimed = claimed.ok_or(LoginError::CodeUsed)?;

    let user = UserRef {
        appid: app.appid.clone(),
        openid: claimed.openid,
    };
    let at = SessionRef {
        user: user.clone(),
        sid: user.sid(claimed.device),
    };
    let (session, first_family) = tokio::try_join!(deps.read.read(&at), deps.user.first_family(&user))?;
    let as_it_was = |session: &Session| {
        session.family == claimed.family
            && session.generation == 0
            && session.is_alive(deps.clock.now(), deps.policy.not_before)
    };
    let session = session.filter(as_it_was).ok_or(LoginError::CodeUsed)?;
    let profile = profile::read(deps, keys.keyring, &user, login.user_info.as_ref(), None).await;
    let tokens = flow::tokens(deps, keys, &user, &session)?;
    Ok(Some(flow::answer(
        tokens,
        &user,
        claimed.device,
        first_family == Some(claimed.family),
        profile,
    )))
}

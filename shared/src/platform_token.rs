//! The platform token, which WeChat calls `access_token`: kept in the process, then in the table; one call upstream however
//! many ask.
//!
//! A process that needs a new token takes a lease in the table. All others go on with the old one while it is valid, or
//! wait for the new one to appear. `stable_token` gives the same token to all callers and is never forced, so a lost
//! lease costs one more call and nothing else.

pub mod calls;

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use async_trait::async_trait;
use tokio::sync::Mutex;

use crate::{
    clock::{Clock, Deadline, Secs},
    entropy::{self, Entropy},
    ids::{AppId, Network, OpenId},
    problem::Problem,
    secret_text::PlatformToken,
    secrets::{Secret, SecretError},
    store::{
        StoreError,
        grants::{KeepPlatformToken, LeaseHolder, StoredPlatformToken},
    },
    token::keyring::{Context, Keyring, Purpose},
    wechat::{
        api::{PlatformApi, PlatformCall},
        app::App,
        error::WechatError,
    },
};

/// WeChat's `access_token`, for services that may have it.
#[async_trait]
pub trait GivePlatformToken: Send + Sync {
    /// The token of an app that is not the refused one, and how many seconds it has left.
    async fn give(
        &self,
        app: &App,
        refused: Option<&PlatformToken>,
        deadline: Deadline,
    ) -> Result<(PlatformToken, Secs), PlatformError>;
}

/// Why a call with a platform token failed.
#[derive(Debug, thiserror::Error)]
pub enum PlatformError {
    /// WeChat refused or failed.
    #[error(transparent)]
    Wechat(#[from] WechatError),
    /// The platform token could not be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The keys for the platform token cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
}

impl PlatformError {
    /// Whether WeChat refuses our AppID, AppSecret, address or permission.
    #[must_use]
    pub fn is_misconfigured(&self) -> bool {
        matches!(self, Self::Wechat(WechatError::Misconfigured { .. }))
    }
}

impl From<PlatformError> for Problem {
    fn from(error: PlatformError) -> Self {
        match error {
            PlatformError::Wechat(error) => error.into(),
            PlatformError::Store(error) => error.into(),
            PlatformError::Secret(error) => error.into(),
        }
    }
}

/// A token is renewed this long before its end, while it still works: WeChat makes the next one in its last 5 minutes.
const RENEW_BEFORE_END: Secs = 240;
/// A token with little time left is not fetched again sooner than this.
const RETRY_AFTER: Secs = 30;
/// A token is not used in its last seconds, because it would expire on the way.
const END_MARGIN: Secs = 10;
/// How long one caller may take to fetch.
const LEASE_TIME: Secs = 9;
/// How often a waiting caller looks whether the new token has appeared.
const POLL_DELAY: Duration = Duration::from_millis(150);

/// What a call is about; its platform token is still to be found.
#[derive(Clone, Copy)]
pub(crate) struct About<'a> {
    pub(crate) app: &'a App,
    pub(crate) openid: &'a OpenId,
    /// See [`PlatformCall::sender`].
    pub(crate) sender: Option<&'a Network>,
    pub(crate) deadline: Deadline,
}

/// The future of a call to WeChat.
pub(crate) type WechatCall<'a, T> = Pin<Box<dyn Future<Output = Result<T, WechatError>> + Send + 'a>>;

/// Platform tokens, and the calls that need one.
pub struct PlatformTokens {
    /// WeChat.
    pub wechat: Arc<dyn PlatformApi>,
    /// The table.
    pub table: Arc<dyn KeepPlatformToken>,
    /// The keys that seal tokens there.
    pub keyring: Arc<Secret<Keyring>>,
    /// Tells when a token expires.
    pub clock: Arc<dyn Clock>,
    /// Randomness for sealing and leases.
    pub entropy: Arc<dyn Entropy>,
    /// The tokens that this process has seen.
    pub cache: TokenCache,
}

/// The tokens that this process has seen, by app.
#[derive(Default)]
pub struct TokenCache(std::sync::Mutex<HashMap<AppId, Arc<CachedToken>>>);

/// The token of one app, and the right to look for another.
#[derive(Default)]
struct CachedToken {
    token: RwLock<Option<Token>>,
    lookup: Mutex<()>,
}

impl std::fmt::Debug for PlatformTokens {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("PlatformTokens")
    }
}

#[derive(Clone)]
struct Token {
    text: PlatformToken,
    renew_at: Secs,
    expires_at: Secs,
}

impl Token {
    fn is_valid(&self, now: Secs) -> bool {
        self.expires_at > now + END_MARGIN
    }

    fn is_fresh(&self, now: Secs) -> bool {
        self.renew_at > now && self.is_valid(now)
    }
}

/// A request for a token.
#[derive(Clone, Copy)]
struct Request<'a> {
    app: &'a App,
    /// A token that WeChat has just refused: any other will do.
    refused: Option<&'a PlatformToken>,
    deadline: Deadline,
}

impl Request<'_> {
    fn accepts(&self, token: &Token) -> bool {
        self.refused.is_none_or(|refused| refused.expose() != token.text.expose())
    }
}

impl PlatformTokens {
    async fn token(&self, request: Request<'_>) -> Result<Token, PlatformError> {
        let cached = self.cache.of(&request.app.appid);
        let now = self.clock.now();
        let valid = cached.get().filter(|token| request.accepts(token) && token.is_valid(now));
        if let Some(token) = valid.clone().filter(|token| token.is_fresh(now)) {
            return Ok(token);
        }
        // One caller of this process looks further. The others go on with a token that is still valid, or wait.
        let lookup = match (cached.lookup.try_lock(), valid) {
            (Ok(lookup), _) => lookup,
            (Err(_), Some(token)) => return Ok(token),
            (Err(_), None) => {
                let turn = request.deadline.limit(cached.lookup.lock()).await;
                turn.ok_or(WechatError::NotAsked("the platform token is being fetched"))?
            }
        };
        if let Some(token) = cached.get().filter(|token| request.accepts(token) && token.is_fresh(self.clock.now())) {
            return Ok(token);
        }
        let token = self.look_up(request).await?;
        cached.put(&token);
        drop(lookup);
        Ok(token)
    }

    /// Makes a call, and makes it once more with another token if WeChat refuses this one. WeChat looks at the token
    /// before anything else, so a refused call has consumed nothing.
    pub(crate) async fn with_token<'a, T>(
        &self,
        about: About<'a>,
        call: impl Fn(PlatformCall<'a>) -> WechatCall<'a, T>,
    ) -> Result<T, PlatformError> {
        let About { app, openid, sender, deadline } = about;
        let request = Request { app, refused: None, deadline };
        let by = |token| PlatformCall { appid: &app.appid, token, openid, sender, deadline };
        let token = self.token(request).await?.text;
        match call(by(token.clone())).await {
            Err(WechatError::TokenRefused { .. }) => {
                let another = self.token(Request { refused: Some(&token), ..request }).await?.text;
                Ok(call(by(another)).await?)
            }
            result => Ok(result?),
        }
    }

    /// Looks in the table, and fetches a token if there is none that will do.
    async fn look_up(&self, request: Request<'_>) -> Result<Token, PlatformError> {
        let appid = &request.app.appid;
        let holder = LeaseHolder(entropy::bytes(&*self.entropy));
        loop {
            let now = self.clock.now();
            let stored = self.stored(appid).await?.filter(|token| request.accepts(token) && token.is_valid(now));
            if let Some(token) = stored.clone().filter(|token| token.is_fresh(now)) {
                return Ok(token);
            }
            if self.table.lease(appid, holder, now, now + LEASE_TIME).await? {
                return match (self.renew(request, holder).await, stored) {
                    (Ok(token), _) => Ok(token),
                    (Err(error), old) => {
                        // Otherwise the next caller would wait for a lease that nobody uses.
                        drop(self.table.release(appid, holder).await);
                        // The old token is used for a while before anybody tries to fetch again.
                        old.map(|old| Token { renew_at: now + RETRY_AFTER, ..old }).ok_or(error)
                    }
                };
            }
            if let Some(old) = stored {
                return Ok(old);
            }
            if request.deadline.left() < POLL_DELAY {
                return Err(WechatError::NotAsked("the platform token is being fetched elsewhere").into());
            }
            tokio::time::sleep(POLL_DELAY).await;
        }
    }

    /// Fetches a token, unless another process did so between the look at the table and the lease.
    async fn renew(&self, request: Request<'_>, holder: LeaseHolder) -> Result<Token, PlatformError> {
        let stored = self.stored(&request.app.appid).await?;
        match stored.filter(|token| request.accepts(token) && token.is_fresh(self.clock.now())) {
            Some(token) => {
                self.table.release(&request.app.appid, holder).await?;
                Ok(token)
            }
            None => self.fetch(request, holder).await,
        }
    }

    async fn fetch(&self, request: Request<'_>, holder: LeaseHolder) -> Result<Token, PlatformError> {
        let appid = &request.app.appid;
        let (text, seconds) = self.wechat.stable_token(request.app, request.deadline).await?;
        let now = self.clock.now();
        let renew_at = now + seconds.saturating_sub(RENEW_BEFORE_END).max(RETRY_AFTER);
        let token = Token { text, renew_at, expires_at: now + seconds };
        if !request.accepts(&token) {
            // WeChat still gives the token that it refuses. To force another would break it for all other callers.
            return Err(WechatError::TokenRefused { errcode: 40001 }.into());
        }
        let keyring = self.keyring.get().await?;
        let sealed = keyring.seal(context(appid), token.text.expose().as_bytes(), &*self.entropy);
        let sealed = sealed.map_err(|error| StoreError::Unavailable(Box::new(error)))?;
        let stored = StoredPlatformToken { sealed, renew_at: token.renew_at, expires_at: token.expires_at };
        self.table.keep(appid, holder, &stored).await?;
        Ok(token)
    }

    async fn stored(&self, appid: &AppId) -> Result<Option<Token>, PlatformError> {
        let Some(stored) = self.table.stored(appid).await? else { return Ok(None) };
        let keyring = self.keyring.get().await?;
        Ok(open(&keyring, appid, &stored).map(|text| Token {
            text,
            renew_at: stored.renew_at,
            expires_at: stored.expires_at,
        }))
    }
}

impl TokenCache {
    fn of(&self, appid: &AppId) -> Arc<CachedToken> {
        Arc::clone(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(appid.clone()).or_default())
    }
}

impl CachedToken {
    fn get(&self) -> Option<Token> {
        self.token.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn put(&self, token: &Token) {
        *self.token.write().unwrap_or_else(PoisonError::into_inner) = Some(token.clone());
    }
}

/// The token that the table holds of an app; `None` if no key of the ring opens it.
#[must_use]
pub fn open(keyring: &Keyring, appid: &AppId, stored: &StoredPlatformToken) -> Option<PlatformToken> {
    let text = keyring.open(context(appid), &stored.sealed)?;
    String::from_utf8(text.to_vec()).ok().map(PlatformToken::new)
}

fn context(appid: &AppId) -> Context<'_> {
    Context { purpose: Purpose::PlatformToken, appid: appid.as_str(), owner: "" }
}

#[async_trait]
impl GivePlatformToken for PlatformTokens {
    async fn give(
        &self,
        app: &App,
        refused: Option<&PlatformToken>,
        deadline: Deadline,
    ) -> Result<(PlatformToken, Secs), PlatformError> {
        let token = self.token(Request { app, refused, deadline }).await?;
        let left = token.expires_at.saturating_sub(self.clock.now());
        Ok((token.text, left))
    }
}

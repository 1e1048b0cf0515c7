//! WeChat's `access_token`: kept in the process, then in the table; one call upstream however many ask.
//!
//! Who needs a new one takes a lease in the table. Everybody else goes on with the old one while it lives, else waits for
//! the new one to appear. `stable_token` gives the same token to all who ask, so a lost lease costs a call and no more; it
//! is never forced.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use async_trait::async_trait;
use tokio::sync::Mutex;

use super::{
    App, Call, CheckSession, GivePlatformToken, PlatformApi, PlatformError, RedeemPhone, Upstream, opendata::Phone,
};
use crate::{
    clock::{Clock, Deadline, Secs},
    entropy::{self, Entropy},
    ids::{AppId, OpenId},
    redacted::{PhoneCode, PlatformToken, SessionKey},
    secrets::Secret,
    session::{KeepPlatformToken, LeaseHolder, StoreError, StoredToken},
    token::keyring::{Context, Keyring, Purpose},
};

/// A token is renewed so long before its end, while it still works: WeChat makes the next one in its last 5 minutes.
const EARLY: Secs = 240;
/// A token with little time left is not asked for again sooner than this.
const PAUSE: Secs = 30;
/// A token is not used in its last seconds: it would end on the way.
const LATE: Secs = 10;
/// How long one caller may take to fetch.
const LEASE: Secs = 9;
/// How often who waits looks whether the new token has appeared.
const LOOK: Duration = Duration::from_millis(150);

/// A call to WeChat that is under way.
type Calling<'a, T> = Pin<Box<dyn Future<Output = Result<T, Upstream>> + Send + 'a>>;

/// Tokens for the calls that need one.
pub struct PlatformTokens {
    /// WeChat.
    pub wechat: Arc<dyn PlatformApi>,
    /// The table.
    pub table: Arc<dyn KeepPlatformToken>,
    /// The keys that seal tokens there.
    pub keyring: Arc<Secret<Keyring>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness for sealing and leases.
    pub entropy: Arc<dyn Entropy>,
    /// What this process knows.
    pub known: Known,
}

/// What this process knows, app by app.
#[derive(Default)]
pub struct Known(std::sync::Mutex<HashMap<AppId, Arc<Slot>>>);

/// The token of one app, and the right to look for another.
#[derive(Default)]
struct Slot {
    token: RwLock<Option<Token>>,
    looking: Mutex<()>,
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
    fn lives(&self, now: Secs) -> bool {
        self.expires_at > now + LATE
    }

    fn is_fresh(&self, now: Secs) -> bool {
        self.renew_at > now && self.lives(now)
    }
}

/// Which tokens will do: all but the one that WeChat has just refused.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    refused: Option<&'a PlatformToken>,
}

impl Wanted<'_> {
    fn fits(self, token: &Token) -> bool {
        self.refused.is_none_or(|refused| refused.expose() != token.text.expose())
    }
}

impl PlatformTokens {
    /// A token that is not `refused`.
    async fn token(&self, app: &App, refused: Option<&PlatformToken>, by: Deadline) -> Result<Token, PlatformError> {
        let wanted = Wanted { refused };
        let slot = self.known.slot(&app.appid);
        let now = self.clock.now();
        let known = slot.known().filter(|token| wanted.fits(token) && token.lives(now));
        if let Some(token) = known.clone().filter(|token| token.is_fresh(now)) {
            return Ok(token);
        }
        // One caller of this process looks further. The others go on with what still lives, or wait for what it finds.
        let looking = match (slot.looking.try_lock(), known) {
            (Ok(looking), _) => looking,
            (Err(_), Some(token)) => return Ok(token),
            (Err(_), None) => {
                let turn = tokio::time::timeout(by.left(), slot.looking.lock()).await;
                turn.map_err(|_| Upstream::NoAnswer("the platform token is being fetched"))?
            }
        };
        if let Some(token) = slot.known().filter(|token| wanted.fits(token) && token.is_fresh(self.clock.now())) {
            return Ok(token);
        }
        let token = self.look(app, wanted, by).await?;
        slot.remember(&token);
        drop(looking);
        Ok(token)
    }

    /// Makes a call; once more with another token if WeChat refuses this one, which it looks at before all else.
    async fn with_token<'a, T>(
        &self,
        app: &App,
        by: Deadline,
        call: impl Fn(PlatformToken) -> Calling<'a, T>,
    ) -> Result<T, PlatformError> {
        let token = self.token(app, None, by).await?.text;
        match call(token.clone()).await {
            Err(Upstream::TokenRefused { .. }) => {
                let another = self.token(app, Some(&token), by).await?.text;
                Ok(call(another).await?)
            }
            result => Ok(result?),
        }
    }

    /// Looks in the table, and fetches what is not there.
    async fn look(&self, app: &App, wanted: Wanted<'_>, by: Deadline) -> Result<Token, PlatformError> {
        let holder = LeaseHolder(entropy::bytes(&*self.entropy));
        loop {
            let now = self.clock.now();
            let stored = self.stored(app).await?.filter(|token| wanted.fits(token) && token.lives(now));
            if let Some(token) = stored.clone().filter(|token| token.is_fresh(now)) {
                return Ok(token);
            }
            if self.table.lease(&app.appid, holder, now, now + LEASE).await? {
                return match (self.renew(app, wanted, holder, by).await, stored) {
                    (Ok(token), _) => Ok(token),
                    (Err(error), old) => {
                        // Who comes next must not wait for a lease that nobody uses.
                        drop(self.table.release(&app.appid, holder).await);
                        // Not with the next request again: the old one lives on for a while.
                        old.map(|old| Token { renew_at: now + PAUSE, ..old }).ok_or(error)
                    }
                };
            }
            if let Some(old) = stored {
                return Ok(old);
            }
            if by.left() < LOOK {
                return Err(Upstream::NoAnswer("the platform token is being fetched elsewhere").into());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Fetches a token, unless another did so between the look at the table and the lease.
    async fn renew(
        &self,
        app: &App,
        wanted: Wanted<'_>,
        holder: LeaseHolder,
        by: Deadline,
    ) -> Result<Token, PlatformError> {
        let stored = self.stored(app).await?;
        match stored.filter(|token| wanted.fits(token) && token.is_fresh(self.clock.now())) {
            Some(token) => {
                self.table.release(&app.appid, holder).await?;
                Ok(token)
            }
            None => self.fetch(app, wanted, holder, by).await,
        }
    }

    async fn fetch(
        &self,
        app: &App,
        wanted: Wanted<'_>,
        holder: LeaseHolder,
        by: Deadline,
    ) -> Result<Token, PlatformError> {
        let (text, seconds) = self.wechat.stable_token(app, by).await?;
        let now = self.clock.now();
        let renew_at = now + seconds.saturating_sub(EARLY).max(PAUSE);
        let token = Token { text, renew_at, expires_at: now + seconds };
        if !wanted.fits(&token) {
            // WeChat still gives the token that it refuses. To force another would break it for everybody else.
            return Err(Upstream::TokenRefused { errcode: 40001 }.into());
        }
        let keyring = self.keyring.get().await?;
        let sealed = keyring.seal(context(&app.appid), token.text.expose().as_bytes(), &*self.entropy);
        let sealed = sealed.map_err(|error| StoreError::Unavailable(Box::new(error)))?;
        let stored = StoredToken { sealed, renew_at: token.renew_at, expires_at: token.expires_at };
        self.table.keep(&app.appid, holder, &stored).await?;
        Ok(token)
    }

    async fn stored(&self, app: &App) -> Result<Option<Token>, PlatformError> {
        let Some(stored) = self.table.stored(&app.appid).await? else { return Ok(None) };
        let keyring = self.keyring.get().await?;
        let text = keyring.open(context(&app.appid), &stored.sealed);
        let text = text.and_then(|text| String::from_utf8(text.to_vec()).ok()).map(PlatformToken::new);
        Ok(text.map(|text| Token { text, renew_at: stored.renew_at, expires_at: stored.expires_at }))
    }
}

impl Known {
    fn slot(&self, appid: &AppId) -> Arc<Slot> {
        Arc::clone(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(appid.clone()).or_default())
    }
}

impl Slot {
    fn known(&self) -> Option<Token> {
        self.token.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn remember(&self, token: &Token) {
        *self.token.write().unwrap_or_else(PoisonError::into_inner) = Some(token.clone());
    }
}

fn context(appid: &AppId) -> Context<'_> {
    Context { purpose: Purpose::PlatformToken, appid: appid.as_str(), owner: "" }
}

#[async_trait]
impl RedeemPhone for PlatformTokens {
    async fn redeem(&self, app: &App, code: &PhoneCode, openid: &OpenId, by: Deadline) -> Result<Phone, PlatformError> {
        let redeem = |token| -> Calling<'_, _> {
            Box::pin(async move {
                self.wechat.phone_number(&Call { appid: &app.appid, token: &token, openid }, code, by).await
            })
        };
        self.with_token(app, by, redeem).await
    }
}

#[async_trait]
impl CheckSession for PlatformTokens {
    async fn check(&self, app: &App, openid: &OpenId, key: &SessionKey, by: Deadline) -> Result<bool, PlatformError> {
        let check = |token| -> Calling<'_, _> {
            Box::pin(async move {
                self.wechat.check_session(&Call { appid: &app.appid, token: &token, openid }, key, by).await
            })
        };
        self.with_token(app, by, check).await
    }
}

#[async_trait]
impl GivePlatformToken for PlatformTokens {
    async fn give(
        &self,
        app: &App,
        refused: Option<&PlatformToken>,
        by: Deadline,
    ) -> Result<(PlatformToken, Secs), PlatformError> {
        let token = self.token(app, refused, by).await?;
        let left = token.expires_at.saturating_sub(self.clock.now());
        Ok((token.text, left))
    }
}

//! WeChat's `access_token`: kept in the process, then in the table; one call upstream however many ask.
//!
//! Who needs a new one takes a lease in the table. Everybody else goes on with the old one while it lives, else waits for
//! the new one to appear. `stable_token` gives the same token to all who ask, so a lost lease costs a call and no more; it
//! is never forced.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use async_trait::async_trait;
use tokio::sync::Mutex;

use super::{App, PhoneCall, PlatformApi, RedeemError, RedeemPhone, Upstream, opendata::Phone};
use crate::{
    clock::{Clock, Deadline, Secs},
    entropy::Entropy,
    ids::{AppId, OpenId},
    redacted::{PhoneCode, PlatformToken},
    secrets::Secret,
    session::{KeepPlatformToken, StoreError, StoredToken},
    token::keyring::{Context, Keyring, Purpose},
};

/// A token with less time than this is renewed while it still works: WeChat makes the next one in its last 5 minutes.
const EARLY: Secs = 240;
/// A token is not used in its last seconds: it would end on the way.
const LATE: Secs = 10;
/// How long one caller may take to fetch.
const LEASE: Secs = 6;
/// How often who waits looks whether the new token has appeared.
const LOOK: Duration = Duration::from_millis(150);

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
    /// Randomness for sealing.
    pub entropy: Arc<dyn Entropy>,
    /// What this process knows.
    pub known: Known,
}

/// The tokens that this process knows, and the right to look for another.
#[derive(Default)]
pub struct Known {
    tokens: RwLock<HashMap<AppId, Token>>,
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
    expires_at: Secs,
}

impl Token {
    fn is(&self, other: &PlatformToken) -> bool {
        self.text.expose() == other.expose()
    }
}

impl PlatformTokens {
    /// A token that is not `refused`.
    async fn token(
        &self,
        app: &App,
        refused: Option<&PlatformToken>,
        by: Deadline,
    ) -> Result<PlatformToken, RedeemError> {
        let fits = |token: &Token| refused.is_none_or(|refused| !token.is(refused));
        if let Some(token) = self
            .known(&app.appid)
            .filter(|token| fits(token) && self.lives(token, EARLY))
        {
            return Ok(token.text);
        }
        // One caller of this process looks further; the others find in `known` what it found.
        let _looking = self.known.looking.lock().await;
        if let Some(token) = self
            .known(&app.appid)
            .filter(|token| fits(token) && self.lives(token, EARLY))
        {
            return Ok(token.text);
        }
        let token = self.look(app, &fits, by).await?;
        self.remember(&app.appid, &token);
        Ok(token.text)
    }

    /// Looks in the table, and fetches what is not there.
    async fn look(
        &self,
        app: &App,
        fits: &(dyn Fn(&Token) -> bool + Sync),
        by: Deadline,
    ) -> Result<Token, RedeemError> {
        loop {
            let stored = self
                .stored(app)
                .await?
                .filter(|token| fits(token) && self.lives(token, LATE));
            if let Some(token) = stored.clone().filter(|token| self.lives(token, EARLY)) {
                return Ok(token);
            }
            let now = self.clock.now();
            if self.table.lease(&app.appid, now, now + LEASE).await? {
                return match (self.fetch(app, fits, by).await, stored) {
                    (Err(_), Some(old)) => Ok(old),
                    (result, _) => result,
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

    async fn fetch(
        &self,
        app: &App,
        fits: &(dyn Fn(&Token) -> bool + Sync),
        by: Deadline,
    ) -> Result<Token, RedeemError> {
        let (text, seconds) = self.wechat.stable_token(app, by).await?;
        let token = Token {
            text,
            expires_at: self.clock.now() + seconds,
        };
        if !fits(&token) {
            // WeChat still gives the token that it refuses. To force another would break it for everybody else.
            return Err(Upstream::TokenRefused { errcode: 40001 }.into());
        }
        let keyring = self.keyring.get().await?;
        let sealed = keyring.seal(context(&app.appid), token.text.expose().as_bytes(), &*self.entropy);
        let sealed = sealed.map_err(|error| StoreError::Unavailable(Box::new(error)))?;
        self.table
            .keep(
                &app.appid,
                &StoredToken {
                    sealed,
                    expires_at: token.expires_at,
                },
            )
            .await?;
        Ok(token)
    }

    async fn stored(&self, app: &App) -> Result<Option<Token>, RedeemError> {
        let Some(stored) = self.table.stored(&app.appid).await? else {
            return Ok(None);
        };
        let keyring = self.keyring.get().await?;
        let text = keyring.open(context(&app.appid), &stored.sealed);
        let text = text.and_then(|text| String::from_utf8(text.to_vec()).ok());
        Ok(text.map(|text| Token {
            text: PlatformToken::new(text),
            expires_at: stored.expires_at,
        }))
    }

    fn lives(&self, token: &Token, margin: Secs) -> bool {
        token.expires_at > self.clock.now() + margin
    }

    fn known(&self, appid: &AppId) -> Option<Token> {
        self.known
            .tokens
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(appid)
            .cloned()
    }

    fn remember(&self, appid: &AppId, token: &Token) {
        self.known
            .tokens
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(appid.clone(), token.clone());
    }
}

fn context(appid: &AppId) -> Context<'_> {
    Context {
        purpose: Purpose::PlatformToken,
        appid: appid.as_str(),
        owner: "",
    }
}

#[async_trait]
impl RedeemPhone for PlatformTokens {
    async fn redeem(&self, app: &App, code: &PhoneCode, openid: &OpenId, by: Deadline) -> Result<Phone, RedeemError> {
        let token = self.token(app, None, by).await?;
        let call = PhoneCall {
            appid: &app.appid,
            token: &token,
            code,
            openid,
        };
        match self.wechat.phone_number(&call, by).await {
            // The token is looked at before the code, so the code is still good: once more with another token.
            Err(Upstream::TokenRefused { .. }) => {
                let another = self.token(app, Some(&token), by).await?;
                Ok(self
                    .wechat
                    .phone_number(
                        &PhoneCall {
                            token: &another,
                            ..call
                        },
                        by,
                    )
                    .await?)
            }
            result => Ok(result?),
        }
    }
}

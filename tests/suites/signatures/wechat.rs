//! A WeChat of which every key of every user is known, and since when.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use shared::{
    clock::Deadline,
    ids::{Network, OpenId},
    platform_token::{
        PlatformError,
        calls::{CheckSession, ResetSessionKey},
    },
    secret_text::{LoginCode, SessionKey},
    wechat::{
        api::{CodeExchange, ExchangeCode},
        app::App,
        error::WechatError,
    },
};

use crate::seeded::Seeded;

struct State {
    random: Seeded,
    codes: u64,
    /// The keys of each user, the valid one last.
    keys: BTreeMap<String, Vec<SessionKey>>,
}

impl State {
    fn new_key(&mut self, user: &str) -> SessionKey {
        let (high, low) = (u128::from(self.random.number()), u128::from(self.random.number()));
        let key = SessionKey::new(STANDARD.encode((high << 64 | low).to_be_bytes()));
        self.keys.entry(user.to_owned()).or_default().push(key.clone());
        key
    }

    fn key(&self, user: &str) -> Option<&SessionKey> {
        self.keys.get(user)?.last()
    }
}

pub(super) struct Wechat(Mutex<State>);

impl Wechat {
    pub(super) fn new(seed: u64) -> Self {
        Self(Mutex::new(State { random: Seeded::new(!seed), codes: 0, keys: BTreeMap::new() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `wx.login` gives this user.
    pub(super) fn code(&self, user: &str) -> String {
        let mut state = self.state();
        state.codes += 1;
        format!("{user}-{}", state.codes)
    }

    pub(super) fn replace(&self, user: &str) {
        drop(self.state().new_key(user));
    }

    /// How many keys the user has had.
    pub(super) fn now(&self, user: &str) -> usize {
        self.state().keys.get(user).map_or(0, Vec::len)
    }

    /// The key that was valid when there were so many, and all later ones.
    pub(super) fn valid_since(&self, user: &str, count: usize) -> Vec<SessionKey> {
        self.state().keys.get(user).map(|keys| keys[count.saturating_sub(1)..].to_vec()).unwrap_or_default()
    }

    /// A request on its way, or its answer: others go on meanwhile.
    async fn way(&self) {
        let polls = self.state().random.below(6);
        for _ in 0..polls {
            tokio::task::yield_now().await;
        }
    }
}

#[async_trait]
impl ExchangeCode for Wechat {
    async fn exchange(&self, _: &App, code: &LoginCode, _: &Network, _: Deadline) -> Result<CodeExchange, WechatError> {
        self.way().await;
        let user = code.expose().split('-').next().unwrap_or_default().to_owned();
        let session_key = {
            let mut state = self.state();
            // WeChat often gives the same key again.
            let keeps = state.random.one_in(3);
            let kept = state.key(&user).cloned().filter(|_| keeps);
            kept.unwrap_or_else(|| state.new_key(&user))
        };
        self.way().await;
        let openid = OpenId::parse(&user).map_err(|_| WechatError::CodeInvalid)?;
        Ok(CodeExchange { openid, session_key, unionid: None })
    }
}

#[async_trait]
impl CheckSession for Wechat {
    async fn check(&self, _: &App, openid: &OpenId, key: &SessionKey, _: Deadline) -> Result<bool, PlatformError> {
        self.way().await;
        let is_valid = self.state().key(openid.expose()).is_some_and(|valid| valid.expose() == key.expose());
        self.way().await;
        Ok(is_valid)
    }
}

#[async_trait]
impl ResetSessionKey for Wechat {
    async fn reset(
        &self,
        _: &App,
        openid: &OpenId,
        key: &SessionKey,
        _: Deadline,
    ) -> Result<Option<SessionKey>, PlatformError> {
        self.way().await;
        let new = {
            let mut state = self.state();
            let is_valid = state.key(openid.expose()).is_some_and(|valid| valid.expose() == key.expose());
            is_valid.then(|| state.new_key(openid.expose()))
        };
        self.way().await;
        Ok(new)
    }
}

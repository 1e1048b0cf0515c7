//! The calls that a platform token is needed for: one trait for each use.

use std::{future::ready, time::Duration};

use async_trait::async_trait;

use super::{About, PlatformError, PlatformTokens, WechatCall};
use crate::{
    clock::Deadline,
    ids::{Network, OpenId},
    secret_text::{PhoneCode, SessionKey},
    wechat::{
        app::App,
        error::WechatError,
        opendata::{DataHash, Phone},
    },
};

/// The phone number by code.
#[async_trait]
pub trait RedeemPhoneCode: Send + Sync {
    /// Redeems a phone code of this user, which came from this network; each success costs the owner money.
    async fn redeem(
        &self,
        app: &App,
        code: &PhoneCode,
        openid: &OpenId,
        sender: &Network,
        deadline: Deadline,
    ) -> Result<Phone, PlatformError>;
}

/// Whether a `session_key` is still the user's valid one.
#[async_trait]
pub trait CheckSession: Send + Sync {
    /// Asks WeChat; false only if WeChat says that it is not.
    async fn check(
        &self,
        app: &App,
        openid: &OpenId,
        key: &SessionKey,
        deadline: Deadline,
    ) -> Result<bool, PlatformError>;
}

/// Another `session_key` for a user, because the present one may be known to somebody.
#[async_trait]
pub trait ResetSessionKey: Send + Sync {
    /// Has WeChat replace the key, and gives the new one; none if this key was not the user's valid one.
    async fn reset(
        &self,
        app: &App,
        openid: &OpenId,
        key: &SessionKey,
        deadline: Deadline,
    ) -> Result<Option<SessionKey>, PlatformError>;
}

/// Whether phone data is WeChat's own.
#[async_trait]
pub trait CheckData: Send + Sync {
    /// Asks WeChat about data of this user, which came from this network; false only if WeChat says that it did not make it.
    async fn check(
        &self,
        app: &App,
        openid: &OpenId,
        data: &DataHash,
        sender: &Network,
        deadline: Deadline,
    ) -> Result<bool, PlatformError>;
}

/// A phone code is paid for. Where the platform token took half of the time, WeChat is slow: the code is kept for the same
/// request again, which finds the token and has all the time.
const SHORTEST_PAID: Duration = Duration::from_millis(4_750);

#[async_trait]
impl RedeemPhoneCode for PlatformTokens {
    async fn redeem(
        &self,
        app: &App,
        code: &PhoneCode,
        openid: &OpenId,
        sender: &Network,
        deadline: Deadline,
    ) -> Result<Phone, PlatformError> {
        let redeem = |call| -> WechatCall<'_, _> {
            if deadline.left() < SHORTEST_PAID {
                return Box::pin(ready(Err(WechatError::NotAsked("too little time is left for a paid code"))));
            }
            self.wechat.phone_number(call, code)
        };
        self.with_token(About { app, openid, sender: Some(sender), deadline }, redeem).await
    }
}

#[async_trait]
impl CheckSession for PlatformTokens {
    async fn check(
        &self,
        app: &App,
        openid: &OpenId,
        key: &SessionKey,
        deadline: Deadline,
    ) -> Result<bool, PlatformError> {
        let about = About { app, openid, sender: None, deadline };
        self.with_token(about, |call| self.wechat.check_session(call, key)).await
    }
}

#[async_trait]
impl ResetSessionKey for PlatformTokens {
    async fn reset(
        &self,
        app: &App,
        openid: &OpenId,
        key: &SessionKey,
        deadline: Deadline,
    ) -> Result<Option<SessionKey>, PlatformError> {
        let about = About { app, openid, sender: None, deadline };
        match self.with_token(about, |call| self.wechat.reset_session_key(call, key)).await {
            Err(PlatformError::Wechat(WechatError::SessionKeyStale)) => Ok(None),
            result => result.map(Some),
        }
    }
}

#[async_trait]
impl CheckData for PlatformTokens {
    async fn check(
        &self,
        app: &App,
        openid: &OpenId,
        data: &DataHash,
        sender: &Network,
        deadline: Deadline,
    ) -> Result<bool, PlatformError> {
        let about = About { app, openid, sender: Some(sender), deadline };
        self.with_token(about, |call| self.wechat.check_data(call, data)).await
    }
}

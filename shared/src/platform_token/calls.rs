//! The calls that a platform token is needed for: one trait for each use.

use async_trait::async_trait;

use super::{PlatformError, PlatformTokens, WechatCall};
use crate::{
    clock::Deadline,
    ids::{Network, OpenId},
    secret_text::{PhoneCode, SessionKey},
    wechat::{
        api::PlatformCall,
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
        let redeem = |token| -> WechatCall<'_, _> {
            Box::pin(async move {
                let user = PlatformCall { appid: &app.appid, token: &token, openid, sender: Some(sender), deadline };
                self.wechat.phone_number(&user, code).await
            })
        };
        self.with_token(app, deadline, redeem).await
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
        let check = |token| -> WechatCall<'_, _> {
            Box::pin(async move {
                let user = PlatformCall { appid: &app.appid, token: &token, openid, sender: None, deadline };
                self.wechat.check_session(&user, key).await
            })
        };
        self.with_token(app, deadline, check).await
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
        let reset = |token| -> WechatCall<'_, _> {
            Box::pin(async move {
                let user = PlatformCall { appid: &app.appid, token: &token, openid, sender: None, deadline };
                self.wechat.reset_session_key(&user, key).await
            })
        };
        match self.with_token(app, deadline, reset).await {
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
        let check = |token| -> WechatCall<'_, _> {
            Box::pin(async move {
                let user = PlatformCall { appid: &app.appid, token: &token, openid, sender: Some(sender), deadline };
                self.wechat.check_data(&user, data).await
            })
        };
        self.with_token(app, deadline, check).await
    }
}

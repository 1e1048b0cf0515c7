//! What may be asked of WeChat: one trait for each use.

use async_trait::async_trait;

use super::{
    app::App,
    error::WechatError,
    opendata::{DataHash, Phone},
};
use crate::{
    clock::{Deadline, Secs},
    ids::{AppId, Network, OpenId, UnionId},
    secret_text::{LoginCode, PhoneCode, PlatformToken, SessionKey},
};

/// What WeChat gives for a login code.
#[derive(Clone, Debug)]
pub struct CodeExchange {
    /// The user.
    pub openid: OpenId,
    /// The key that signs and encrypts the user's data.
    pub session_key: SessionKey,
    /// The user across accounts, where the mini program is bound to an open-platform account.
    pub unionid: Option<UnionId>,
}

/// code2Session.
#[async_trait]
pub trait ExchangeCode: Send + Sync {
    /// Exchanges a login code, which came from this network; the first call that reaches WeChat consumes it.
    async fn exchange(
        &self,
        app: &App,
        code: &LoginCode,
        sender: &Network,
        deadline: Deadline,
    ) -> Result<CodeExchange, WechatError>;
}

/// The calls that a platform token is needed for, and the one that gives it.
#[async_trait]
pub trait PlatformApi: Send + Sync {
    /// `stable_token`, never forced: the same token for everybody until it is renewed; and its remaining seconds.
    async fn stable_token(&self, app: &App, deadline: Deadline) -> Result<(PlatformToken, Secs), WechatError>;

    /// `getuserphonenumber`.
    async fn phone_number(&self, user: PlatformCall<'_>, code: &PhoneCode) -> Result<Phone, WechatError>;

    /// `checksession`.
    async fn check_session(&self, user: PlatformCall<'_>, key: &SessionKey) -> Result<bool, WechatError>;

    /// `resetusersessionkey`: another key for the user, in whose place this one is of no use any more.
    async fn reset_session_key(&self, user: PlatformCall<'_>, key: &SessionKey) -> Result<SessionKey, WechatError>;

    /// `checkencryptedmsg`: whether WeChat made this phone data, in the last three days.
    async fn check_data(&self, user: PlatformCall<'_>, data: &DataHash) -> Result<bool, WechatError>;
}

/// A call about a user, with a platform token.
#[derive(Clone, Debug)]
pub struct PlatformCall<'a> {
    /// The mini program.
    pub appid: &'a AppId,
    /// Its platform token.
    pub token: PlatformToken,
    /// The user.
    pub openid: &'a OpenId,
    /// The network from which a text in the call came; absent where none in it is a client's.
    pub sender: Option<&'a Network>,
    /// When the response is of no use any more.
    pub deadline: Deadline,
}

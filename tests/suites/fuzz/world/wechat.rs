//! A WeChat that answers in bytes.

use std::sync::Mutex;

use async_trait::async_trait;
use serde_json::{Value, json};
use shared::{
    clock::{Deadline, Secs},
    ids::Network,
    secret_text::{LoginCode, PhoneCode, PlatformToken, SessionKey},
    wechat::{
        api::{CodeExchange, ExchangeCode, PlatformApi, PlatformCall},
        app::App,
        errcode::Api,
        error::WechatError,
        opendata::{DataHash, Phone},
        response,
    },
};

use super::{SESSION_KEY, locked};
use crate::suites::fuzz::open_data;

/// What an API of WeChat answers next.
pub(in crate::suites::fuzz) struct Given {
    pub(in crate::suites::fuzz) api: Api,
    pub(in crate::suites::fuzz) status: u16,
    pub(in crate::suites::fuzz) body: Vec<u8>,
}

/// WeChat: a good answer, unless it is told another.
#[derive(Default)]
pub(in crate::suites::fuzz) struct Wechat {
    pub(super) given: Mutex<Option<Given>>,
    tokens: Mutex<u64>,
}

impl Wechat {
    fn read<T>(
        &self,
        api: Api,
        good: &Value,
        read: impl Fn(&[u8]) -> Result<T, WechatError>,
    ) -> Result<T, WechatError> {
        match locked(&self.given).as_ref().filter(|given| given.api == api) {
            // As the client does it.
            Some(given) if given.status != 200 => Err(WechatError::Failed(given.status)),
            Some(given) => read(&given.body),
            None => read(good.to_string().as_bytes()),
        }
    }
}

#[async_trait]
impl ExchangeCode for Wechat {
    async fn exchange(&self, _: &App, code: &LoginCode, _: &Network, _: Deadline) -> Result<CodeExchange, WechatError> {
        let good = match code.expose().get(..4) {
            Some("used") => json!({ "errcode": 40163 }),
            _ => json!({ "openid": format!("o{code:.20}", code = code.expose()), "session_key": SESSION_KEY }),
        };
        self.read(Api::Code2Session, &good, response::code_exchange)
    }
}

#[async_trait]
impl PlatformApi for Wechat {
    async fn stable_token(&self, _: &App, _: Deadline) -> Result<(PlatformToken, Secs), WechatError> {
        let mut number = locked(&self.tokens);
        *number += 1;
        let good = json!({ "access_token": format!("token-{number}"), "expires_in": 7_200 });
        self.read(Api::StableToken, &good, response::platform_token)
    }

    async fn phone_number(&self, call: PlatformCall<'_>, _: &PhoneCode) -> Result<Phone, WechatError> {
        let good = json!({ "errcode": 0, "phone_info": open_data::phone_info(call.appid.as_str()) });
        self.read(Api::PhoneNumber, &good, |body| response::phone(body, call.appid))
    }

    async fn check_session(&self, _: PlatformCall<'_>, _: &SessionKey) -> Result<bool, WechatError> {
        self.read(Api::CheckSession, &json!({ "errcode": 0 }), response::session_check)
    }

    async fn reset_session_key(&self, call: PlatformCall<'_>, _: &SessionKey) -> Result<SessionKey, WechatError> {
        let good = json!({ "errcode": 0, "openid": call.openid.expose(), "session_key": SESSION_KEY });
        self.read(Api::ResetSessionKey, &good, response::new_session_key)
    }

    async fn check_data(&self, _: PlatformCall<'_>, _: &DataHash) -> Result<bool, WechatError> {
        self.read(Api::CheckData, &json!({ "errcode": 0, "vaild": true }), response::data_check)
    }
}

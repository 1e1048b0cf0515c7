//! WeChat over HTTP: the only file that builds a request to it.
//!
//! WeChat's URLs contain the AppSecret, so no URL is ever formatted, no redirect is followed, and the URL is removed from
//! every error of the HTTP client. A code is single use: it is sent again only when the first request was certainly not
//! sent, or when WeChat said -1. To give up on its answer early would spend it for nothing, so whoever sends a code waits for
//! as long as there is time.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use reqwest::{RequestBuilder, Response};
use rustls::pki_types::CertificateDer;
use tokio::time::Instant;

use super::{
    api::{CodeExchange, ExchangeCode, PlatformApi, PlatformCall},
    app::App,
    breaker::Breaker,
    errcode::Api,
    error::WechatError,
    opendata::{DataHash, Phone},
    response, signature,
};
use crate::{
    clock::{Deadline, Secs},
    ids::Network,
    request_log,
    secret_text::{AppSecret, LoginCode, PhoneCode, PlatformToken, SessionKey},
    tls,
    vars::ConfigError,
};

const CONNECT: Duration = Duration::from_secs(1);
/// For one attempt at a check, which may be asked again at any time.
const ATTEMPT: Duration = Duration::from_millis(2_500);
/// For all its attempts.
const BUDGET: Duration = Duration::from_millis(5_500);
/// For the platform token. Without it no phone code can be redeemed, so a slow answer is better than none.
const TOKEN_BUDGET: Duration = Duration::from_millis(6_500);
/// The wait after -1, which is short because a user is waiting.
const PAUSE: Duration = Duration::from_millis(200);
/// Lambda may freeze the process, and an idle connection may be dead afterwards. It is not kept longer than this.
const IDLE: Duration = Duration::from_secs(4);
/// An attempt with less time than this is not begun, because it would spend a code for nothing.
const SHORTEST: Duration = Duration::from_millis(300);
/// WeChat's responses are below 1 KiB.
const LONGEST_RESPONSE: usize = 64 * 1024;

/// WeChat's server API.
#[derive(Clone, Debug)]
pub struct HttpWechat {
    http: reqwest::Client,
    base: String,
    breaker: Arc<Breaker>,
}

impl HttpWechat {
    /// A client for the API at `base`, an origin. It trusts `roots` in addition to the compiled-in ones.
    pub fn new(base: String, roots: &[CertificateDer<'static>]) -> Result<Self, ConfigError> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::client_config(roots)?)
            .connect_timeout(CONNECT)
            .redirect(reqwest::redirect::Policy::none())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(1)
            .build()
            .map_err(|_| ConfigError::new("SSL_CERT_FILE", "a PEM file of certificates that a TLS client accepts"))?;
        Ok(Self { http, base, breaker: Arc::default() })
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    async fn code2session(
        &self,
        app: &App,
        secret: &AppSecret,
        code: &LoginCode,
        sender: &Network,
        deadline: Deadline,
    ) -> Result<CodeExchange, WechatError> {
        let request = || {
            self.http.get(self.url("/sns/jscode2session")).query(&[
                ("appid", app.appid.as_str()),
                ("secret", secret.expose()),
                ("js_code", code.expose()),
                ("grant_type", "authorization_code"),
            ])
        };
        self.call(request, (Api::Code2Session, Some(sender)), deadline, response::code_exchange).await
    }
}

#[async_trait]
impl ExchangeCode for HttpWechat {
    async fn exchange(
        &self,
        app: &App,
        code: &LoginCode,
        sender: &Network,
        deadline: Deadline,
    ) -> Result<CodeExchange, WechatError> {
        match (self.code2session(app, &app.secret, code, sender, deadline).await, &app.previous_secret) {
            // The secret was changed here before it was changed at WeChat; the code has not been looked at.
            (Err(WechatError::Misconfigured { errcode: 40125, .. }), Some(previous)) => {
                self.code2session(app, previous, code, sender, deadline).await
            }
            (result, _) => result,
        }
    }
}

#[async_trait]
impl PlatformApi for HttpWechat {
    async fn stable_token(&self, app: &App, deadline: Deadline) -> Result<(PlatformToken, Secs), WechatError> {
        let deadline = deadline.within(TOKEN_BUDGET);
        let fetch = async |secret: &AppSecret| {
            let body = serde_json::json!({
                "grant_type": "client_credential",
                "appid": app.appid.as_str(),
                "secret": secret.expose(),
                "force_refresh": false,
            });
            let body = body.to_string();
            let request = || json_post(&self.http, self.url("/cgi-bin/stable_token"), body.clone());
            self.call(request, (Api::StableToken, None), deadline, response::platform_token).await
        };
        match (fetch(&app.secret).await, &app.previous_secret) {
            (Err(WechatError::Misconfigured { errcode: 40001 | 40125, .. }), Some(previous)) => fetch(previous).await,
            (result, _) => result,
        }
    }

    async fn phone_number(&self, user: PlatformCall<'_>, code: &PhoneCode) -> Result<Phone, WechatError> {
        let body = serde_json::json!({ "code": code.expose(), "openid": user.openid.expose() }).to_string();
        let request = || {
            json_post(&self.http, self.url("/wxa/business/getuserphonenumber"), body.clone())
                .query(&[("access_token", user.token.expose())])
        };
        let read = |body: &[u8]| response::phone(body, user.appid);
        self.call(request, (Api::PhoneNumber, user.sender), user.deadline, read).await
    }

    async fn check_session(&self, user: PlatformCall<'_>, key: &SessionKey) -> Result<bool, WechatError> {
        let deadline = user.deadline.within(BUDGET);
        let request = || self.get_signed("/wxa/checksession", &user, key);
        self.call(request, (Api::CheckSession, user.sender), deadline, response::session_check).await
    }

    async fn reset_session_key(&self, user: PlatformCall<'_>, key: &SessionKey) -> Result<SessionKey, WechatError> {
        let request = || self.get_signed("/wxa/resetusersessionkey", &user, key);
        self.call(request, (Api::ResetSessionKey, user.sender), user.deadline, response::new_session_key).await
    }

    async fn check_data(&self, user: PlatformCall<'_>, data: &DataHash) -> Result<bool, WechatError> {
        let deadline = user.deadline.within(BUDGET);
        let body = serde_json::json!({ "encrypted_msg_hash": data.as_str() }).to_string();
        let request = || {
            json_post(&self.http, self.url("/wxa/business/checkencryptedmsg"), body.clone())
                .query(&[("access_token", user.token.expose())])
        };
        self.call(request, (Api::CheckData, user.sender), deadline, response::data_check).await
    }
}

fn json_post(http: &reqwest::Client, url: String, body: String) -> RequestBuilder {
    http.post(url).header(http::header::CONTENT_TYPE, "application/json").body(body)
}

impl HttpWechat {
    /// A request without a body that shows the user's `session_key`.
    fn get_signed(&self, path: &str, user: &PlatformCall<'_>, key: &SessionKey) -> RequestBuilder {
        self.http.get(self.url(path)).query(&[
            ("access_token", user.token.expose()),
            ("openid", user.openid.expose()),
            ("signature", &signature::of_user_state(key, b"")),
            ("sig_method", "hmac_sha256"),
        ])
    }

    /// Sends a request, and sends it once more where that is safe. `sender` is where a text in it came from, if it has one.
    async fn call<T>(
        &self,
        request: impl Fn() -> RequestBuilder,
        (api, sender): (Api, Option<&Network>),
        deadline: Deadline,
        read: impl Fn(&[u8]) -> Result<T, WechatError>,
    ) -> Result<T, WechatError> {
        // Calls that consume nothing, neither a code nor a key, are made again when their response was lost.
        let consumes = matches!(api, Api::Code2Session | Api::PhoneNumber | Api::ResetSessionKey);
        let checks = matches!(api, Api::CheckSession | Api::CheckData);
        let attempt_by = || if checks { deadline.within(ATTEMPT) } else { deadline };
        let began = Instant::now();
        let first = self.guarded(request(), sender, attempt_by(), &read).await;
        let unsent = matches!(&first, Err(WechatError::Unreachable(_)));
        let unharmed = !consumes && matches!(&first, Err(WechatError::NoAnswer(_) | WechatError::Failed(_)));
        let busy = matches!(&first, Err(WechatError::Busy { errcode: -1, .. }));
        // A second answer takes as long as the first did, and a code is not sent without the time to wait for it.
        let shortest = if consumes { SHORTEST.max(began.elapsed()) } else { SHORTEST };
        if !(unsent || unharmed || busy) || deadline.left() < PAUSE + shortest {
            return first;
        }
        if busy {
            tokio::time::sleep(PAUSE).await;
        }
        self.guarded(request(), sender, attempt_by(), &read).await
    }

    /// One attempt, if the breaker lets it through.
    async fn guarded<T>(
        &self,
        request: RequestBuilder,
        sender: Option<&Network>,
        deadline: Deadline,
        read: impl Fn(&[u8]) -> Result<T, WechatError>,
    ) -> Result<T, WechatError> {
        if deadline.left() < SHORTEST {
            return Err(WechatError::NotAsked("no time is left"));
        }
        if self.breaker.is_open(Instant::now()) {
            request_log::record(|fields| fields.breaker_open = true);
            return Err(WechatError::BreakerOpen);
        }
        let result = attempt(request, deadline).await.and_then(|body| read(&body));
        let failed = result.as_ref().is_err_and(WechatError::is_failure);
        // What did not leave was not brought about by anything in it.
        let sender = sender.filter(|_| !matches!(&result, Err(WechatError::Unreachable(_))));
        self.breaker.report(sender, failed, Instant::now());
        request_log::record(|fields| fields.wechat_failures += u32::from(failed));
        result
    }
}

async fn attempt(request: RequestBuilder, deadline: Deadline) -> Result<Vec<u8>, WechatError> {
    let response = tokio::time::timeout(deadline.left(), send(request));
    match request_log::timed(|fields| &mut fields.wechat, response).await {
        Ok(body) => body,
        Err(_) => Err(WechatError::NoAnswer("timeout")),
    }
}

async fn send(request: RequestBuilder) -> Result<Vec<u8>, WechatError> {
    let mut response = request.send().await.map_err(failed)?;
    // Any other status comes from a gateway on the way. Whether WeChat saw the request is not known.
    if response.status() != reqwest::StatusCode::OK {
        return Err(WechatError::Failed(response.status().as_u16()));
    }
    body(&mut response).await
}

async fn body(response: &mut Response) -> Result<Vec<u8>, WechatError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        body.extend_from_slice(&chunk);
        if body.len() > LONGEST_RESPONSE {
            return Err(WechatError::Unreadable("longer than 64 KiB"));
        }
    }
    Ok(body)
}

/// Tells a request that was certainly not sent from one whose fate is not known.
fn failed(error: reqwest::Error) -> WechatError {
    if error.is_connect() {
        WechatError::Unreachable(Arc::new(error.without_url()))
    } else if error.is_timeout() {
        WechatError::NoAnswer("timeout")
    } else {
        WechatError::NoAnswer("the connection was lost")
    }
}

//! WeChat over HTTP: the only file that builds a request to it.
//!
//! WeChat's addresses carry the AppSecret, so no address is ever formatted, no redirect followed, and every error of the
//! HTTP client is cut from its address. A code is single use: it is sent again only when the first request certainly did
//! not leave, or when WeChat said -1.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use reqwest::{RequestBuilder, Response};
use rustls::pki_types::CertificateDer;
use tokio::time::Instant;

use super::{
    App, Call, ExchangeCode, PlatformApi, Upstream, WechatSession, answer, breaker::Breaker, errcode::Api,
    opendata::Phone, signature,
};
use crate::{
    clock::{Deadline, Secs},
    config::ConfigError,
    notes,
    redacted::{AppSecret, LoginCode, PhoneCode, PlatformToken, SessionKey},
};

const CONNECT: Duration = Duration::from_secs(1);
const ATTEMPT: Duration = Duration::from_millis(2_500);
/// For all attempts of one call.
const BUDGET: Duration = Duration::from_millis(5_500);
/// After -1: long enough for WeChat to breathe, short enough for somebody who waits.
const PAUSE: Duration = Duration::from_millis(200);
/// After a freeze an idle connection may be dead: it is not kept longer than this.
const IDLE: Duration = Duration::from_secs(4);
/// An attempt that could not end in time is not begun: a code would be spent for nothing.
const SHORTEST: Duration = Duration::from_millis(300);
/// WeChat's answers stay below 1 KiB.
const LONGEST_ANSWER: usize = 64 * 1024;

/// WeChat's server API.
#[derive(Clone, Debug)]
pub struct HttpWechat {
    http: reqwest::Client,
    base: String,
    breaker: Arc<Breaker>,
}

impl HttpWechat {
    /// A client for the API at `base`, an origin; `roots` are trusted beside the public ones.
    pub fn new(base: String, roots: &[CertificateDer<'static>]) -> Result<Self, ConfigError> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls(roots)?)
            .connect_timeout(CONNECT)
            .redirect(reqwest::redirect::Policy::none())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(1)
            .build()
            .map_err(|_| ConfigError::new("SSL_CERT_FILE", "a PEM file of certificates that a TLS client accepts"))?;
        Ok(Self { http, base, breaker: Arc::default() })
    }

    fn address(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    async fn code2session(
        &self,
        app: &App,
        secret: &AppSecret,
        code: &LoginCode,
        by: Deadline,
    ) -> Result<WechatSession, Upstream> {
        let request = || {
            self.http.get(self.address("/sns/jscode2session")).query(&[
                ("appid", app.appid.as_str()),
                ("secret", secret.expose()),
                ("js_code", code.expose()),
                ("grant_type", "authorization_code"),
            ])
        };
        self.call(request, Api::Code2Session, by, answer::session).await
    }
}

/// The roots compiled in, and those of the environment: loading a machine's own costs more than all else in a cold start.
fn tls(roots: &[CertificateDer<'static>]) -> Result<rustls::ClientConfig, ConfigError> {
    let unfit = || ConfigError::new("SSL_CERT_FILE", "a PEM file of certificates that a TLS client accepts");
    let mut store = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    // A machine's bundle may hold roots of forms that are refused today; one that is fit is enough.
    let (fit, _) = store.add_parsable_certificates(roots.iter().cloned());
    if fit == 0 && !roots.is_empty() {
        return Err(unfit());
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(versions.map_err(|_| unfit())?.with_root_certificates(store).with_no_client_auth())
}

#[async_trait]
impl ExchangeCode for HttpWechat {
    async fn exchange(&self, app: &App, code: &LoginCode, by: Deadline) -> Result<WechatSession, Upstream> {
        let by = by.within(BUDGET);
        match (self.code2session(app, &app.secret, code, by).await, &app.previous_secret) {
            // The secret was changed here before it was changed at WeChat; the code has not been looked at.
            (Err(Upstream::Misconfigured { errcode: 40125, .. }), Some(previous)) => {
                self.code2session(app, previous, code, by).await
            }
            (result, _) => result,
        }
    }
}

#[async_trait]
impl PlatformApi for HttpWechat {
    async fn stable_token(&self, app: &App, by: Deadline) -> Result<(PlatformToken, Secs), Upstream> {
        let by = by.within(BUDGET);
        let fetch = async |secret: &AppSecret| {
            let body = serde_json::json!({
                "grant_type": "client_credential",
                "appid": app.appid.as_str(),
                "secret": secret.expose(),
                "force_refresh": false,
            });
            let body = body.to_string();
            let request = || json_post(&self.http, self.address("/cgi-bin/stable_token"), body.clone());
            self.call(request, Api::StableToken, by, answer::platform_token).await
        };
        match (fetch(&app.secret).await, &app.previous_secret) {
            (Err(Upstream::Misconfigured { errcode: 40001 | 40125, .. }), Some(previous)) => fetch(previous).await,
            (result, _) => result,
        }
    }

    async fn phone_number(&self, asked: &Call<'_>, code: &PhoneCode, by: Deadline) -> Result<Phone, Upstream> {
        let by = by.within(BUDGET);
        let body = serde_json::json!({ "code": code.expose(), "openid": asked.openid.expose() }).to_string();
        let request = || {
            json_post(&self.http, self.address("/wxa/business/getuserphonenumber"), body.clone())
                .query(&[("access_token", asked.token.expose())])
        };
        self.call(request, Api::PhoneNumber, by, |body| answer::phone(body, asked.appid)).await
    }

    async fn check_session(&self, asked: &Call<'_>, key: &SessionKey, by: Deadline) -> Result<bool, Upstream> {
        let by = by.within(BUDGET);
        let signature = signature::of_user_state(key, b"");
        let request = || {
            self.http.get(self.address("/wxa/checksession")).query(&[
                ("access_token", asked.token.expose()),
                ("openid", asked.openid.expose()),
                ("signature", &signature),
                ("sig_method", "hmac_sha256"),
            ])
        };
        self.call(request, Api::CheckSession, by, answer::session_check).await
    }
}

fn json_post(http: &reqwest::Client, address: String, body: String) -> RequestBuilder {
    http.post(address).header(http::header::CONTENT_TYPE, "application/json").body(body)
}

impl HttpWechat {
    /// Sends a request, and once more where that is safe for a single-use code.
    async fn call<T>(
        &self,
        request: impl Fn() -> RequestBuilder,
        api: Api,
        by: Deadline,
        read: impl Fn(&[u8]) -> Result<T, Upstream>,
    ) -> Result<T, Upstream> {
        let first = self.guarded(request(), by, &read).await;
        let unsent = matches!(&first, Err(Upstream::Unreachable(_)));
        // Some calls consume nothing: an answer that got lost is asked for again.
        let consumes = matches!(api, Api::Code2Session | Api::PhoneNumber);
        let unharmed = !consumes && matches!(&first, Err(Upstream::NoAnswer(_) | Upstream::Failed(_)));
        let busy = matches!(&first, Err(Upstream::Busy { errcode: -1, .. }));
        if !(unsent || unharmed || busy) || by.left() < PAUSE + SHORTEST {
            return first;
        }
        if busy {
            tokio::time::sleep(PAUSE).await;
        }
        self.guarded(request(), by, &read).await
    }

    /// One attempt, if the breaker lets it through.
    async fn guarded<T>(
        &self,
        request: RequestBuilder,
        by: Deadline,
        read: impl Fn(&[u8]) -> Result<T, Upstream>,
    ) -> Result<T, Upstream> {
        if by.left() < SHORTEST {
            return Err(Upstream::NoAnswer("no time is left"));
        }
        let Some(permit) = self.breaker.admit(Instant::now()) else {
            notes::note(|notes| notes.breaker_open = true);
            return Err(Upstream::BreakerOpen);
        };
        let result = attempt(request, by).await.and_then(|body| read(&body));
        let failed = result.as_ref().is_err_and(Upstream::is_failure);
        permit.report(failed, Instant::now());
        notes::note(|notes| notes.wechat_failures += u32::from(failed));
        result
    }
}

async fn attempt(request: RequestBuilder, by: Deadline) -> Result<Vec<u8>, Upstream> {
    let answer = tokio::time::timeout(by.within(ATTEMPT).left(), send(request));
    match notes::timed(|notes| &mut notes.wechat, answer).await {
        Ok(body) => body,
        Err(_) => Err(Upstream::NoAnswer("timeout")),
    }
}

async fn send(request: RequestBuilder) -> Result<Vec<u8>, Upstream> {
    let mut response = request.send().await.map_err(failed)?;
    // What is no 200 comes from a gateway on the way: whether WeChat saw the request is not known.
    if response.status() != reqwest::StatusCode::OK {
        return Err(Upstream::Failed(response.status().as_u16()));
    }
    body(&mut response).await
}

async fn body(response: &mut Response) -> Result<Vec<u8>, Upstream> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        body.extend_from_slice(&chunk);
        if body.len() > LONGEST_ANSWER {
            return Err(Upstream::Unreadable("longer than 64 KiB"));
        }
    }
    Ok(body)
}

/// Tells a request that did not leave from one whose fate is not known.
fn failed(error: reqwest::Error) -> Upstream {
    if error.is_connect() {
        Upstream::Unreachable(Arc::new(error.without_url()))
    } else if error.is_timeout() {
        Upstream::NoAnswer("timeout")
    } else {
        Upstream::NoAnswer("the connection was lost")
    }
}

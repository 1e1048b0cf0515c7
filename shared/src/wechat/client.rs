//! WeChat over HTTP: the only file that builds a request to it.
//!
//! WeChat's addresses carry the AppSecret, so no address is ever formatted, no redirect followed, and every error of the
//! HTTP client is cut from its address. A code is single use: it is sent again only when the first request certainly did
//! not leave, or when WeChat said -1.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use reqwest::{RequestBuilder, Response};
use rustls::pki_types::CertificateDer;
use serde::Deserialize;
use tokio::time::Instant;

use super::{
    App, Call, ExchangeCode, PlatformApi, Upstream, WechatSession,
    breaker::Breaker,
    errcode::{self, Api},
    opendata::{OpenDataDefect, Phone, PhoneInfo},
    signature,
};
use crate::{
    clock::{Deadline, Secs},
    config::ConfigError,
    ids::{OpenId, UnionId},
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
/// WeChat promises two hours at most.
const LONGEST_TOKEN: Secs = 7_200;
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
        self.call::<Code2Session>(request, Api::Code2Session, by).await?.try_into()
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
            self.call::<StableToken>(request, Api::StableToken, by).await
        };
        let answer = match (fetch(&app.secret).await, &app.previous_secret) {
            (Err(Upstream::Misconfigured { errcode: 40001 | 40125, .. }), Some(previous)) => fetch(previous).await?,
            (result, _) => result?,
        };
        if answer.access_token.is_empty() || answer.expires_in == 0 {
            return Err(Upstream::Unreadable("a platform token without text or time"));
        }
        Ok((PlatformToken::new(answer.access_token), answer.expires_in.min(LONGEST_TOKEN)))
    }

    async fn phone_number(&self, asked: &Call<'_>, code: &PhoneCode, by: Deadline) -> Result<Phone, Upstream> {
        let by = by.within(BUDGET);
        let body = serde_json::json!({ "code": code.expose(), "openid": asked.openid.expose() }).to_string();
        let request = || {
            json_post(&self.http, self.address("/wxa/business/getuserphonenumber"), body.clone())
                .query(&[("access_token", asked.token.expose())])
        };
        let answer = self.call::<PhoneNumber>(request, Api::PhoneNumber, by).await?;
        answer.phone_info.of(asked.appid).map_err(|defect| match defect {
            OpenDataDefect::Unreadable => Upstream::Unreadable("a phone number of another form"),
            OpenDataDefect::Foreign => Upstream::WrongUser,
        })
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
        match self.call::<Nothing>(request, Api::CheckSession, by).await {
            Ok(Nothing {}) => Ok(true),
            Err(Upstream::SessionKeyStale) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn json_post(http: &reqwest::Client, address: String, body: String) -> RequestBuilder {
    http.post(address).header(http::header::CONTENT_TYPE, "application/json").body(body)
}

impl HttpWechat {
    /// Sends a request, and once more where that is safe for a single-use code.
    async fn call<T: for<'de> Deserialize<'de>>(
        &self,
        request: impl Fn() -> RequestBuilder,
        api: Api,
        by: Deadline,
    ) -> Result<T, Upstream> {
        let first = self.guarded(request(), api, by).await;
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
        self.guarded(request(), api, by).await
    }

    /// One attempt, if the breaker lets it through.
    async fn guarded<T: for<'de> Deserialize<'de>>(
        &self,
        request: RequestBuilder,
        api: Api,
        by: Deadline,
    ) -> Result<T, Upstream> {
        if by.left() < SHORTEST {
            return Err(Upstream::NoAnswer("no time is left"));
        }
        let Some(permit) = self.breaker.admit(Instant::now()) else {
            notes::note(|notes| notes.breaker_open = true);
            return Err(Upstream::BreakerOpen);
        };
        let result = attempt(request, api, by).await;
        let failed = result.as_ref().is_err_and(Upstream::is_failure);
        permit.report(failed, Instant::now());
        notes::note(|notes| notes.wechat_failures += u32::from(failed));
        result
    }
}

async fn attempt<T: for<'de> Deserialize<'de>>(request: RequestBuilder, api: Api, by: Deadline) -> Result<T, Upstream> {
    let answer = tokio::time::timeout(by.within(ATTEMPT).left(), send(request));
    match notes::timed(|notes| &mut notes.wechat, answer).await {
        Ok(body) => read(&body?, api),
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

/// What every answer may say. WeChat prints `errcode` as a number, seldom as text, and mostly not at all on success.
#[derive(Deserialize)]
struct Verdict {
    #[serde(default)]
    errcode: Option<Errcode>,
    #[serde(default)]
    errmsg: serde_json::Value,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Errcode {
    Number(i64),
    Text(String),
}

/// Reads an answer by what it says, not by its `Content-Type`, which is `text/plain` for JSON.
///
/// Raw control characters and bytes that are no UTF-8 were seen in WeChat's texts; a verdict must not hide behind them.
fn read<T: for<'de> Deserialize<'de>>(body: &[u8], api: Api) -> Result<T, Upstream> {
    let body: Vec<u8> = body.iter().map(|byte| (*byte).max(b' ')).collect();
    let body = String::from_utf8_lossy(&body);
    let verdict: Verdict = serde_json::from_str(&body).map_err(|_| Upstream::Unreadable("not a JSON object"))?;
    let errcode = match verdict.errcode {
        None => 0,
        Some(Errcode::Number(number)) => number,
        Some(Errcode::Text(text)) => text.trim().parse().map_err(|_| Upstream::Unreadable("errcode is no number"))?,
    };
    if errcode != 0 {
        let rid = verdict.errmsg.as_str().and_then(errcode::rid);
        notes::note(|notes| (notes.errcode, notes.rid) = (Some(errcode), rid.clone()));
        return Err(errcode::upstream(api, errcode, rid));
    }
    serde_json::from_str(&body).map_err(|_| Upstream::Unreadable("a member is missing or of another type"))
}

#[derive(Deserialize)]
struct Code2Session {
    openid: String,
    session_key: String,
    #[serde(default)]
    unionid: serde_json::Value,
}

impl TryFrom<Code2Session> for WechatSession {
    type Error = Upstream;

    fn try_from(answer: Code2Session) -> Result<Self, Upstream> {
        let session_key = SessionKey::new(answer.session_key);
        if session_key.aes_key().is_none() {
            return Err(Upstream::Unreadable("session_key is not base64 of 16 bytes"));
        }
        Ok(Self {
            openid: OpenId::parse(&answer.openid).map_err(|_| Upstream::Unreadable("openid"))?,
            session_key,
            // Of use beside a login, never a reason against one.
            unionid: answer.unionid.as_str().and_then(|text| UnionId::parse(text).ok()),
        })
    }
}

#[derive(Deserialize)]
struct StableToken {
    access_token: String,
    expires_in: Secs,
}

/// An answer that says no more than that all is well.
#[derive(Deserialize)]
struct Nothing {}

#[derive(Deserialize)]
struct PhoneNumber {
    phone_info: PhoneInfo,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn code2session(body: &str) -> Result<WechatSession, Upstream> {
        read::<Code2Session>(body.as_bytes(), Api::Code2Session)?.try_into()
    }

    #[test]
    fn success_is_an_openid_and_a_session_key_whatever_errcode_says_of_it() {
        for errcode in ["", r#""errcode":0,"errmsg":"ok","#, r#""errcode":"0","#, r#""errcode":null,"#] {
            let body =
                format!(r#"{{{errcode}"openid":"oA","session_key":"tiihtNczf5v6AKRyjwEUhQ==","expires_in":7200}}"#);
            assert_eq!(code2session(&body).unwrap().openid.expose(), "oA", "{body}");
        }
    }

    #[test]
    fn an_errcode_counts_as_number_and_as_text() {
        for body in [r#"{"errcode":40029,"errmsg":"invalid code"}"#, r#"{"errcode":"40029"}"#] {
            assert!(matches!(code2session(body), Err(Upstream::CodeInvalid)), "{body}");
        }
    }

    #[test]
    fn an_odd_errmsg_or_unionid_hides_nothing() {
        let invalid = |body: &[u8]| matches!(read::<Code2Session>(body, Api::Code2Session), Err(Upstream::CodeInvalid));
        assert!(invalid(br#"{"errcode":40029,"errmsg":1}"#));
        assert!(invalid(b"{\"errcode\":40029,\"errmsg\":\"a\xffb\"}"));
        assert!(invalid(b"{\"errcode\":40029,\r\n\"errmsg\":\"a\x01b\"}"));

        for unionid in ["1", "null", r#""""#, "\"\u{4f60}\""] {
            let body = format!(r#"{{"openid":"oA","session_key":"tiihtNczf5v6AKRyjwEUhQ==","unionid":{unionid}}}"#);
            assert!(code2session(&body).unwrap().unionid.is_none(), "{unionid}");
        }
    }

    #[test]
    fn an_unknown_errcode_keeps_its_number_and_rid() {
        let Err(Upstream::Unknown { errcode, rid }) = code2session(r#"{"errcode":99999,"errmsg":"x, rid: 5f-1"}"#)
        else {
            panic!("not unknown")
        };
        assert_eq!((errcode, rid.unwrap().0.as_str()), (99_999, "5f-1"));
    }

    #[test]
    fn what_is_not_the_answer_is_unreadable() {
        for body in [
            "",
            "<html>",
            "[]",
            r#"{"openid":"oA"}"#,
            r#"{"openid":"","session_key":"tiihtNczf5v6AKRyjwEUhQ=="}"#,
            r#"{"openid":"oA","session_key":"AAAA"}"#,
            r#"{"openid":"oA","session_key":"tiihtNczf5v6AKRyjwEUhQ=="#,
            r#"{"errcode":"forty"}"#,
        ] {
            assert!(matches!(code2session(body), Err(Upstream::Unreadable(_))), "{body}");
        }
    }

    proptest! {
        #[test]
        fn any_answer_is_read_without_a_panic(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read::<Code2Session>(&body, Api::Code2Session);
            let _ = read::<PhoneNumber>(&body, Api::PhoneNumber);
        }
    }
}

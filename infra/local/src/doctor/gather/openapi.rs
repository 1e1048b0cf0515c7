//! WeChat's own account of our calls: quotas, and one request by its id. Both need the platform token, and consume nothing.

use http::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::{Value, json};
use shared::{secret_text::PlatformToken, vars::Vars};

use super::{FetchError, client, reason};

/// WeChat's responses are below 1 KiB, but that about a request holds the request.
const LONGEST_RESPONSE: usize = 64 * 1024;

/// Why WeChat gave no account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::doctor) enum OpenapiError {
    Fetch(FetchError),
    Errcode(i64),
    Unreadable,
}

/// How often a call may be made today, and how often everybody who has this mini program's token made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(in crate::doctor) struct Quota {
    pub(in crate::doctor) daily_limit: u64,
    pub(in crate::doctor) used: u64,
    pub(in crate::doctor) remain: u64,
}

/// What may be shown of a request: WeChat also gives its address and bodies, which hold the token, the code or the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::doctor) struct Request {
    pub(in crate::doctor) invoke_time: u64,
    pub(in crate::doctor) cost_in_ms: u64,
    pub(in crate::doctor) client_ip: Option<String>,
    pub(in crate::doctor) errcode: Option<i64>,
}

/// Who asks, and where.
#[derive(Clone, Copy)]
pub(in crate::doctor) struct Account<'a> {
    pub(in crate::doctor) base: &'a str,
    pub(in crate::doctor) vars: &'a Vars,
    pub(in crate::doctor) token: &'a PlatformToken,
}

impl Account<'_> {
    pub(in crate::doctor) async fn quota(&self, path: &str) -> Result<Quota, OpenapiError> {
        #[derive(Deserialize)]
        struct Answer {
            quota: Quota,
        }
        let Answer { quota } = self.ask("/cgi-bin/openapi/quota/get", &json!({ "cgi_path": path })).await?;
        Ok(quota)
    }

    pub(in crate::doctor) async fn request(&self, rid: &str) -> Result<Request, OpenapiError> {
        #[derive(Deserialize)]
        struct Answer {
            request: Told,
        }
        #[derive(Deserialize)]
        struct Told {
            invoke_time: u64,
            cost_in_ms: u64,
            client_ip: Option<String>,
            response_body: Option<String>,
        }
        let Answer { request } = self.ask("/cgi-bin/openapi/rid/get", &json!({ "rid": rid })).await?;
        let response = request.response_body.and_then(|text| serde_json::from_str::<Value>(&text).ok());
        let is_address = |text: &String| text.parse::<std::net::IpAddr>().is_ok();
        Ok(Request {
            invoke_time: request.invoke_time,
            cost_in_ms: request.cost_in_ms,
            client_ip: request.client_ip.filter(is_address),
            errcode: response.and_then(|response| response.get("errcode")?.as_i64()),
        })
    }

    async fn ask<T: for<'de> Deserialize<'de>>(&self, path: &str, body: &Value) -> Result<T, OpenapiError> {
        let client = client(self.vars).ok_or(OpenapiError::Fetch(FetchError::Lost))?;
        let request = client
            .post(format!("{}{path}", self.base))
            .query(&[("access_token", self.token.expose())])
            .header(CONTENT_TYPE, "application/json")
            .body(body.to_string());
        let failed = |error: reqwest::Error| OpenapiError::Fetch(reason(&error));
        let mut response = request.send().await.map_err(failed)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            body.extend_from_slice(&chunk);
            if body.len() > LONGEST_RESPONSE {
                return Err(OpenapiError::Unreadable);
            }
        }
        let value: Value = serde_json::from_slice(&body).map_err(|_| OpenapiError::Unreadable)?;
        match value.get("errcode").and_then(Value::as_i64) {
            None | Some(0) => serde_json::from_value(value).map_err(|_| OpenapiError::Unreadable),
            Some(errcode) => Err(OpenapiError::Errcode(errcode)),
        }
    }
}

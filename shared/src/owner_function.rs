//! The owner's function, which gets the messages that WeChat pushes: the only file that builds a request to it.
//!
//! It is one call of Lambda's API, signed as the SDK signs and sent as calls to WeChat are: the SDK for Lambda would take longer
//! to build than that for DynamoDB. No call is repeated here, because nobody knows what the function has done by then; WeChat
//! repeats the message.

use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use aws_sdk_dynamodb::config::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use rustls::pki_types::CertificateDer;

use crate::{clock::SystemClock, request_log, tls, vars::ConfigError};

const CONNECT: Duration = Duration::from_secs(1);

/// Longer answers than this are none. One byte more is read, so that they are known.
const LONGEST_ANSWER: usize = 16 * 1024;

/// `lambda:InvokeFunction` on the owner's function.
#[async_trait]
pub trait AskOwner: Send + Sync {
    /// Runs the owner's function with this event, and gives what it answered.
    async fn ask(&self, event: Vec<u8>) -> Result<Vec<u8>, OwnerError>;
}

/// Why there is no answer of the owner's function. Never holds any of its output.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OwnerError {
    /// It certainly did not run: there is none, it is throttled, or may not be called.
    #[error("the owner's function did not run: {0}")]
    NotRun(String),
    /// It ran, and ended with an error.
    #[error("the owner's function ended with an error")]
    Failed,
    /// It may have run, and may still.
    #[error("nobody knows whether the owner's function ran: {0}")]
    Unknown(String),
}

/// A function of Lambda's.
#[derive(Clone, Debug)]
pub struct LambdaFunction {
    http: reqwest::Client,
    url: String,
    region: String,
    credentials: Credentials,
}

/// A function of Lambda's as the variables name it.
#[derive(Debug)]
pub struct FunctionAddress<'a> {
    /// Its name or ARN.
    pub function: &'a str,
    /// The region of the caller, where the function has no ARN that names another.
    pub region: &'a str,
    /// Another endpoint than Lambda's own.
    pub endpoint: Option<&'a str>,
}

impl LambdaFunction {
    /// The function at this address. The client trusts `roots` in addition to the compiled-in ones.
    pub fn new(
        address: &FunctionAddress<'_>,
        credentials: Credentials,
        roots: &[CertificateDer<'static>],
    ) -> Result<Self, ConfigError> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::client_config(roots)?)
            .connect_timeout(CONNECT)
            .redirect(reqwest::redirect::Policy::none())
            // A connection that died while Lambda had frozen the process would leave open whether the function ran.
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|_| ConfigError::new("SSL_CERT_FILE", "a PEM file of certificates that a TLS client accepts"))?;
        let region = address.region().to_owned();
        Ok(Self { http, url: address.url(), region, credentials })
    }

    async fn invoke(&self, event: Vec<u8>) -> Result<Vec<u8>, OwnerError> {
        let unsigned = || OwnerError::NotRun("the request cannot be signed".to_owned());
        let request = self.signed(event).ok_or_else(unsigned)?;
        let request = reqwest::Request::try_from(request).map_err(|_| unsigned())?;
        let mut response = self.http.execute(request).await.map_err(|error| lost(&error))?;
        let status = response.status();
        if !status.is_success() {
            let word = word(response.headers().get("x-amzn-errortype"), status);
            return Err(if status.is_client_error() { OwnerError::NotRun(word) } else { OwnerError::Unknown(word) });
        }
        if response.headers().contains_key("x-amz-function-error") {
            return Err(OwnerError::Failed);
        }
        let mut answer = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| lost(&error))? {
            answer.extend_from_slice(&chunk);
            if answer.len() > LONGEST_ANSWER {
                break;
            }
        }
        Ok(answer)
    }

    /// The request with its signature. AWS compares the time in it with its own, so it is the machine's.
    fn signed(&self, event: Vec<u8>) -> Option<http::Request<Vec<u8>>> {
        let headers = [("x-amz-invocation-type", "RequestResponse"), ("x-amz-log-type", "None")];
        let identity = self.credentials.clone().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("lambda")
            .time(UNIX_EPOCH + SystemClock::since_epoch())
            .settings(SigningSettings::default())
            .build()
            .ok()?
            .into();
        let signable =
            SignableRequest::new("POST", &self.url, headers.into_iter(), SignableBody::Bytes(&event)).ok()?;
        let (instructions, _) = sign(signable, &params).ok()?.into_parts();
        let request = headers
            .into_iter()
            .fold(http::Request::post(&self.url), |request, (name, value)| request.header(name, value));
        let mut request = request.body(event).ok()?;
        instructions.apply_to_request_http1x(&mut request);
        Some(request)
    }
}

#[async_trait]
impl AskOwner for LambdaFunction {
    async fn ask(&self, event: Vec<u8>) -> Result<Vec<u8>, OwnerError> {
        request_log::timed(|fields| &mut fields.owner, self.invoke(event)).await
    }
}

impl FunctionAddress<'_> {
    /// An ARN says where its function is.
    fn region(&self) -> &str {
        let mut parts = self.function.split(':');
        let of_arn = (parts.next() == Some("arn")).then(|| parts.nth(2)).flatten();
        of_arn.filter(|region| !region.is_empty()).unwrap_or(self.region)
    }

    fn url(&self) -> String {
        let region = self.region();
        let of_china = if region.starts_with("cn-") { ".cn" } else { "" };
        let own = || format!("https://lambda.{region}.amazonaws.com{of_china}");
        let endpoint = self.endpoint.map_or_else(own, |given| given.trim_end_matches('/').to_owned());
        let name = self.function.bytes().map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        });
        format!("{endpoint}/2015-03-31/functions/{}/invocations", name.collect::<String>())
    }
}

/// What a failure of the connection means. The error's own text may hold the URL.
fn lost(error: &reqwest::Error) -> OwnerError {
    if error.is_connect() {
        OwnerError::NotRun("no connection".to_owned())
    } else {
        OwnerError::Unknown("the connection was lost".to_owned())
    }
}

/// The name of an error of Lambda's, or the status: nothing else of a response is repeated.
fn word(named: Option<&http::HeaderValue>, status: http::StatusCode) -> String {
    let named = named.and_then(|name| name.to_str().ok()?.split(':').next());
    let is_name =
        |name: &&str| name.len() <= 64 && !name.is_empty() && name.bytes().all(|at| at.is_ascii_alphanumeric());
    named.filter(is_name).map_or_else(|| format!("status {}", status.as_u16()), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(function: &str) -> FunctionAddress<'_> {
        FunctionAddress { function, region: "eu-central-1", endpoint: None }
    }

    #[test]
    fn a_function_is_called_where_it_is() {
        let end = "/2015-03-31/functions/";
        assert_eq!(at("pay").url(), format!("https://lambda.eu-central-1.amazonaws.com{end}pay/invocations"));
        let arn = "arn:aws-cn:lambda:cn-north-1:123456789012:function:pay:live";
        let encoded = arn.replace(':', "%3A");
        assert_eq!(at(arn).url(), format!("https://lambda.cn-north-1.amazonaws.com.cn{end}{encoded}/invocations"));
        assert_eq!(at("123456789012:function:pay").region(), "eu-central-1");
        let elsewhere = FunctionAddress { endpoint: Some("http://127.0.0.1:1/"), ..at("a/b?c") };
        assert_eq!(elsewhere.url(), format!("http://127.0.0.1:1{end}a%2Fb%3Fc/invocations"));
    }

    #[test]
    fn a_request_is_signed_for_lambda_and_its_region() {
        let credentials = Credentials::new("id", "MARKER", Some("token".to_owned()), None, "test");
        let function = LambdaFunction::new(&at("pay"), credentials, &[]).unwrap();

        let request = function.signed(b"{}".to_vec()).unwrap();

        let header = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
        let authorization = header("authorization");
        assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=id/"), "{authorization}");
        assert!(authorization.contains("/eu-central-1/lambda/aws4_request"), "{authorization}");
        assert!(authorization.contains("x-amz-invocation-type") && header("x-amz-security-token") == "token");
        assert!(!format!("{function:?} {request:?}").contains("MARKER"));
    }

    #[test]
    fn nothing_of_a_response_is_repeated_but_a_name() {
        let said = |text: &'static str| word(Some(&http::HeaderValue::from_static(text)), http::StatusCode::NOT_FOUND);
        assert_eq!(said("ResourceNotFoundException"), "ResourceNotFoundException");
        assert_eq!(said("TooManyRequestsException:http://x/"), "TooManyRequestsException");
        for odd in ["", "a b", "<a>", ":"] {
            assert_eq!(said(odd), "status 404");
        }
        assert_eq!(word(None, http::StatusCode::BAD_GATEWAY), "status 502");
    }
}

//! The error as the client sees it (RFC 9457), and the one table from a code to status, action and titles.
//!
//! `code` and `action` are the contract: added to, never renamed. A failure of infrastructure never becomes a
//! verdict on a credential (400 or 401): a blip that read as "log in again" would turn into a storm on WeChat.

use std::{error::Error, sync::Arc};

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;

use crate::clock::Secs;

/// What a client may do about a problem: all that it needs to know of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The request itself is wrong: a defect of the client's code.
    Fix,
    /// Refresh the access token, then send the request again.
    Refresh,
    /// `wx.login` again and log in with the new code; the user notices nothing.
    Relogin,
    /// Log in again, then the user has to tap the button again: what the first tap gave is of no use any more.
    ReloginThenRetap,
    /// The same request again, after `retry_after` if given.
    Retry,
    /// Do not try again.
    Stop,
}

/// Declares the codes with everything that follows from them: the table of the contract, read row by row.
macro_rules! codes {
    ($($(#[$meta:meta])* $name:ident, $status:ident, $action:ident, $text:literal, $title:literal, $title_zh:literal;)*) => {
        /// The machine-readable reason. Its text is part of the contract.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$meta])* $name,)* }

        impl Code {
            /// Every code there is.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The text of the contract.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The HTTP status.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)* }
            }

            /// What the client may do.
            #[must_use]
            pub const fn action(self) -> Action {
                match self { $(Self::$name => Action::$action,)* }
            }

            /// A sentence for people, in English.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// The same sentence in Chinese.
            #[must_use]
            pub const fn title_zh(self) -> &'static str {
                match self { $(Self::$name => $title_zh,)* }
            }
        }
    };
}

codes! {
    /// Syntax, schema, encoding, length.
    InvalidRequest, BAD_REQUEST, Fix, "invalid_request",
        "The request is malformed", "请求格式不正确";
    /// The refresh token is unknown, replaced, expired or logged out.
    LoginRequired, BAD_REQUEST, Relogin, "login_required",
        "The session has ended; log in again", "会话已结束，请重新登录";
    /// Reuse of a refresh token was found; its family is ended.
    TokenReused, BAD_REQUEST, Relogin, "token_reused",
        "The refresh token was used twice; the session has been ended", "刷新令牌被重复使用，会话已终止";
    /// WeChat 40029.
    CodeInvalid, BAD_REQUEST, Relogin, "code_invalid",
        "WeChat does not accept this login code", "微信不接受该登录凭证 code";
    /// WeChat 40163 with no replay.
    CodeUsed, BAD_REQUEST, Relogin, "code_used",
        "This login code has been used", "该登录凭证 code 已被使用";
    /// The access token's time is over.
    TokenExpired, UNAUTHORIZED, Refresh, "token_expired",
        "The access token has expired", "访问令牌已过期";
    /// Not an access token of ours, or its session is gone.
    TokenInvalid, UNAUTHORIZED, Refresh, "token_invalid",
        "The access token is not valid", "访问令牌无效";
    /// WeChat 40226, or a user whom the owner blocked.
    UserBlocked, FORBIDDEN, Stop, "user_blocked",
        "This user may not log in", "该用户已被禁止登录";
    /// Data decrypts but belongs to another app or user.
    DataRejected, FORBIDDEN, Stop, "data_rejected",
        "The data belongs to another mini program or user", "数据不属于当前小程序或用户";
    /// Data decrypts and is this user's and this app's, but is not what the route takes.
    WrongDataKind, BAD_REQUEST, Fix, "wrong_data_kind",
        "The data was decrypted, but it is of another kind than this route takes", "数据已解密，但不是该接口接受的类型";
    /// No such route.
    NotFound, NOT_FOUND, Fix, "not_found",
        "There is no such route", "接口不存在";
    /// The route does not take this method.
    MethodNotAllowed, METHOD_NOT_ALLOWED, Fix, "method_not_allowed",
        "The route does not take this method", "接口不支持该请求方法";
    /// Any failure to decrypt or to verify a signature: one uniform answer.
    SessionKeyExpired, CONFLICT, ReloginThenRetap, "session_key_expired",
        "The data cannot be read with the current session key; log in and tap again",
        "数据无法用当前会话密钥解密，请重新登录后再次点击";
    /// The phone code is wrong, used or expired.
    PhoneCodeInvalid, CONFLICT, ReloginThenRetap, "phone_code_invalid",
        "The phone code is wrong, used or expired; tap again", "手机号凭证无效、已使用或已过期，请再次点击";
    /// Over 16 KiB.
    PayloadTooLarge, PAYLOAD_TOO_LARGE, Fix, "payload_too_large",
        "The body is larger than 16 KiB", "请求体超过 16 KiB";
    /// Not `application/json`.
    UnsupportedMediaType, UNSUPPORTED_MEDIA_TYPE, Fix, "unsupported_media_type",
        "The body must be application/json", "请求体必须为 application/json";
    /// A limit of ours.
    RateLimited, TOO_MANY_REQUESTS, Retry, "rate_limited",
        "Too many attempts; try again later", "尝试次数过多，请稍后再试";
    /// A bug. Alarms.
    Internal, INTERNAL_SERVER_ERROR, Retry, "internal",
        "Something went wrong on our side", "服务内部错误";
    /// WeChat refuses our AppID, AppSecret or address. Alarms.
    Misconfigured, INTERNAL_SERVER_ERROR, Stop, "misconfigured",
        "The service is not set up correctly; its owner has to act", "服务配置有误，需要管理员处理";
    /// Unknown errcode, unreadable body.
    WechatError, BAD_GATEWAY, Retry, "wechat_error",
        "WeChat answered something unexpected", "微信返回了意外的结果";
    /// The code is consumed but our write failed.
    RetryLogin, SERVICE_UNAVAILABLE, Relogin, "retry_login",
        "The login could not be stored; log in with a new code", "登录未能保存，请使用新的 code 重新登录";
    /// 45009, 45011, -1, or the breaker is open.
    WechatBusy, SERVICE_UNAVAILABLE, Retry, "wechat_busy",
        "WeChat is busy; try again later", "微信繁忙，请稍后再试";
    /// DynamoDB or secrets unreachable.
    Unavailable, SERVICE_UNAVAILABLE, Retry, "unavailable",
        "The service is unavailable for a moment", "服务暂时不可用";
    /// WeChat did not answer in time.
    WechatTimeout, GATEWAY_TIMEOUT, Retry, "wechat_timeout",
        "WeChat did not answer in time", "微信响应超时";
}

/// The `type` of a problem, before its code. RFC 9457 section 3.1.1 allows any URI; this one is no address, because the
/// page that explains the codes (`shared/contract/README.md`) is wherever the owner keeps it.
const TYPE: &str = "urn:wxauth:error:";

/// What happened below, kept for the one log line and never shown.
pub type Cause = Arc<dyn Error + Send + Sync>;

/// A refusal on its way to the client; [`crate::http::stack`] writes its body and logs its cause.
#[derive(Clone, Debug)]
pub struct Problem {
    code: Code,
    action: Action,
    member: Option<&'static str>,
    retry_after: Option<Secs>,
    cause: Option<Cause>,
}

impl Problem {
    /// A problem whose status, action and titles follow from the code.
    #[must_use]
    pub fn new(code: Code) -> Self {
        Self { code, action: code.action(), member: None, retry_after: None, cause: None }
    }

    /// A request with a member that is missing or does not fit, if it is known which one. A name is a constant of the contract:
    /// what the client wrote never gets here.
    #[must_use]
    pub fn invalid(member: impl Into<Option<&'static str>>) -> Self {
        Self { member: member.into(), ..Self::new(Code::InvalidRequest) }
    }

    /// Says what the client may do where that differs by route.
    #[must_use]
    pub fn action(mut self, action: Action) -> Self {
        self.action = action;
        self
    }

    /// Says after how many seconds another try makes sense.
    #[must_use]
    pub fn retry_after(mut self, seconds: Secs) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Keeps what happened, for the log.
    #[must_use]
    pub fn because(mut self, cause: impl Error + Send + Sync + 'static) -> Self {
        self.cause = Some(Arc::new(cause));
        self
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// The member of the request that is missing or does not fit, if it is known which one.
    #[must_use]
    pub fn wrong_member(&self) -> Option<&'static str> {
        self.member
    }

    /// What happened below, if that is known.
    #[must_use]
    pub fn cause(&self) -> Option<&Cause> {
        self.cause.as_ref()
    }

    /// Seconds after which another try makes sense.
    #[must_use]
    pub fn seconds(&self) -> Option<Secs> {
        self.retry_after
    }

    /// The body of the answer, `application/problem+json`.
    #[must_use]
    pub fn body(&self, request_id: &str) -> String {
        let (mut title, mut title_zh) = (self.code.title().to_owned(), self.code.title_zh().to_owned());
        if let Some(member) = self.member {
            title = format!("{title}: {member} is missing or does not fit");
            title_zh = format!("{title_zh}：缺少 {member}，或者它不符合要求");
        }
        let body = Body {
            kind: &format!("{TYPE}{}", self.code.as_str()),
            title: &title,
            title_zh: &title_zh,
            status: self.code.status().as_u16(),
            code: self.code.as_str(),
            action: self.action,
            retry_after: self.retry_after,
            request_id,
        };
        // Texts and numbers only: serde_json has nothing to refuse here.
        serde_json::to_string(&body).unwrap_or_default()
    }
}

/// Why a request failed, and what the client may do (RFC 9457).
#[derive(Serialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema), schemars(rename = "Problem"))]
pub(crate) struct Body<'a> {
    /// Identifies the code. It is not an address.
    #[serde(rename = "type")]
    #[cfg_attr(feature = "contract", schemars(url))]
    kind: &'a str,
    /// A sentence for people; it may change.
    title: &'a str,
    /// The same sentence in Chinese.
    title_zh: &'a str,
    /// The HTTP status.
    status: u16,
    /// The machine-readable reason: added to, never renamed.
    #[cfg_attr(feature = "contract", schemars(extend("enum" = Code::ALL.iter().map(|code| code.as_str()).collect::<Vec<_>>())))]
    code: &'a str,
    action: Action,
    /// Seconds after which another try makes sense; also the header `Retry-After`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "contract", schemars(with = "Secs"))]
    retry_after: Option<Secs>,
    /// Also the header `x-request-id`, and a field of the request's log line.
    request_id: &'a str,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.code.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_own_text_and_both_titles() {
        let texts: std::collections::HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();

        assert_eq!(texts.len(), Code::ALL.len());
        for code in Code::ALL {
            assert!(!code.title().is_empty() && !code.title_zh().is_ascii(), "{code:?}");
            assert!(code.status().is_client_error() || code.status().is_server_error());
        }
    }

    #[test]
    fn a_problem_shows_no_cause() {
        let problem = Problem::new(Code::Unavailable).retry_after(1).because(std::io::Error::other("MARKER"));

        let body: serde_json::Value = serde_json::from_str(&problem.body("id-1")).unwrap();

        assert_eq!(body["code"], "unavailable");
        assert_eq!(body["action"], "retry");
        assert_eq!(body["status"], 503);
        assert_eq!(body["retry_after"], 1);
        assert_eq!(body["request_id"], "id-1");
        assert_eq!(body["type"], "urn:wxauth:error:unavailable");
        assert!(!body.to_string().contains("MARKER"));
    }

    #[test]
    fn an_action_and_a_wait_of_their_own_go_before_the_codes() {
        let problem = Problem::new(Code::WechatTimeout).action(Action::Relogin).retry_after(7);

        let body: serde_json::Value = serde_json::from_str(&problem.body("id-1")).unwrap();

        assert_eq!((body["action"].as_str(), body["retry_after"].as_u64()), (Some("relogin"), Some(7)));
    }

    #[test]
    fn both_titles_name_the_member_that_is_wrong() {
        let body: serde_json::Value = serde_json::from_str(&Problem::invalid("appid").body("id-1")).unwrap();

        assert_eq!(body["title"], "The request is malformed: appid is missing or does not fit");
        assert_eq!(body["title_zh"], "请求格式不正确：缺少 appid，或者它不符合要求");
        assert_eq!((body["code"].as_str(), body["action"].as_str()), (Some("invalid_request"), Some("fix")));
    }

    #[test]
    fn an_answer_has_the_status_and_carries_its_problem_to_who_writes_and_logs_it() {
        let answer =
            Problem::new(Code::RateLimited).retry_after(7).because(std::io::Error::other("why")).into_response();

        let problem = answer.extensions().get::<Problem>().unwrap();
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!((problem.code(), problem.seconds()), (Code::RateLimited, Some(7)));
        assert_eq!(problem.cause().unwrap().to_string(), "why");
    }
}

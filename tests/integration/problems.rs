//! What each failure tells a client, function by function: status, code, action, and seconds to wait.

use std::{io, sync::Arc};

use login::error::LoginError;
use phone::flow::PhoneError;
use push::flow::PushError;
use refresh::flow::RefreshError;
use serde_json::Value;
use shared::{
    authenticator::AuthError,
    platform_token::PlatformError,
    problem::Problem,
    secrets::{SecretDefect, SecretError},
    session::issue::IssueError,
    store::{StoreError, TakeError},
    token::{
        access::{AccessDefect, SignError},
        keyring::SealError,
        refresh::TokenDefect,
    },
    wechat::{error::WechatError, opendata::OpenDataDefect, push::PushDefect},
};

/// What the client gets; what happened has to be kept for the log.
fn told(error: impl Into<Problem>) -> String {
    let problem = error.into();
    assert!(problem.cause().is_some(), "{problem:?}");
    let body: Value = serde_json::from_str(&problem.body("")).unwrap();
    let texts = ["status", "code", "action", "retry_after"].map(|member| match &body[member] {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        number => Some(number.to_string()),
    });
    texts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// What lies below every function may fail; that is never a verdict on what the client sent.
fn below<E: From<SecretError> + From<StoreError> + Into<Problem>>() {
    let unreadable = SecretError::Unreadable { variable: "WXAUTH_KEYRING", why: "it is down" };
    let secret = |defect| E::from(SecretError::Defect { variable: "WXAUTH_KEYRING", defect });
    for (error, expected) in [
        (unreadable.into(), "503 unavailable retry 1"),
        (secret(SecretDefect::NotRotatedYet), "503 unavailable retry 1"),
        (secret(SecretDefect::NotFilled), "500 misconfigured stop"),
        (secret(SecretDefect::Malformed), "500 misconfigured stop"),
        (StoreError::Throttled.into(), "503 unavailable retry 1"),
        (StoreError::Unavailable("it is down".into()).into(), "503 unavailable retry 1"),
        (StoreError::Corrupt { attribute: "generation" }.into(), "500 internal retry"),
    ] {
        assert_eq!(told(error), expected, "{}", std::any::type_name::<E>());
    }
}

/// An access token is refused the same way wherever it is asked for.
fn authentication<E: From<AuthError> + Into<Problem>>() {
    let name = std::any::type_name::<E>();
    let refused = |error: AuthError| told(E::from(error));

    assert_eq!(refused(AuthError::Token(AccessDefect::Expired)), "401 token_expired refresh", "{name}");
    assert_eq!(refused(AuthError::Token(AccessDefect::Invalid)), "401 token_invalid refresh", "{name}");
    assert_eq!(refused(AuthError::SessionGone), "401 token_invalid refresh", "{name}");
    assert_eq!(refused(AuthError::Store(StoreError::Throttled)), "503 unavailable retry 1", "{name}");
}

#[test]
fn a_failure_of_table_or_secrets_is_never_a_verdict() {
    below::<LoginError>();
    below::<RefreshError>();
    below::<PhoneError>();
    below::<Problem>();
    below::<PushError>();
    below::<AuthError>();
}

#[test]
fn an_access_token_is_refused_the_same_way_everywhere() {
    authentication::<AuthError>();
    authentication::<PhoneError>();
    authentication::<Problem>();
}

#[test]
fn what_wechat_says_is_told_as_each_function_means_it() {
    let broken = || WechatError::Unreachable(Arc::new(io::Error::other("no way")));
    for (error, login, phone) in [
        (WechatError::CodeInvalid, "400 code_invalid relogin", "409 phone_code_invalid relogin_then_retap"),
        (WechatError::CodeUsed, "400 code_used relogin", "409 phone_code_invalid relogin_then_retap"),
        (WechatError::Blocked, "403 user_blocked stop", "403 user_blocked stop"),
        (WechatError::SessionKeyStale, "502 wechat_error relogin", "502 wechat_error retry"),
        (WechatError::TokenRefused { errcode: 40001 }, "502 wechat_error relogin", "502 wechat_error retry"),
        (WechatError::Misconfigured { errcode: 40125, rid: None }, "500 misconfigured stop", "500 misconfigured stop"),
        // The code may be spent, which a new login mends unseen; a tap is not asked for twice.
        (WechatError::Unknown { errcode: 1, rid: None }, "502 wechat_error relogin", "502 wechat_error retry"),
        (WechatError::Unreadable("html"), "502 wechat_error relogin", "502 wechat_error retry"),
        (WechatError::Failed(502), "502 wechat_error relogin", "502 wechat_error retry"),
        (broken(), "504 wechat_timeout relogin", "504 wechat_timeout retry"),
        (WechatError::NoAnswer("late"), "504 wechat_timeout relogin", "504 wechat_timeout retry"),
        (WechatError::NotAsked("late"), "504 wechat_timeout relogin", "504 wechat_timeout retry"),
        (WechatError::Busy { errcode: -1, retry_after: 1 }, "503 wechat_busy retry 1", "503 wechat_busy retry 1"),
        (WechatError::Busy { errcode: 45011, retry_after: 60 }, "503 wechat_busy retry 60", "503 wechat_busy retry 60"),
        (WechatError::BreakerOpen, "503 wechat_busy retry 5", "503 wechat_busy retry 5"),
    ] {
        assert_eq!(told(LoginError::from(error.clone())), login, "{error:?}");
        assert_eq!(told(PhoneError::from(PlatformError::from(error.clone()))), phone, "{error:?}");
    }
    // Not said of login codes.
    assert_eq!(told(PhoneError::from(PlatformError::from(WechatError::WrongUser))), "403 data_rejected stop");
}

#[test]
fn a_login_that_failed_after_its_code_was_spent_wants_a_new_code() {
    for error in
        [LoginError::NotStored(StoreError::Throttled), LoginError::OutOfTime, LoginError::Ended, LoginError::Overtaken]
    {
        assert_eq!(told(error), "503 retry_login relogin");
    }
    for (error, expected) in [
        (LoginError::Issue(IssueError::Sign(SignError)), "500 internal retry"),
        (LoginError::Seal(SealError), "500 internal retry"),
        (LoginError::Issue(IssueError::KeyNotInRing), "503 unavailable retry 1"),
        (LoginError::AppUnknown, "400 invalid_request fix"),
        (LoginError::BrakeInTheFuture, "500 misconfigured stop"),
        (LoginError::CodeUsed, "400 code_used relogin"),
        (LoginError::Blocked, "403 user_blocked stop"),
        (LoginError::TooManyCharged { retry_after: 7 }, "429 rate_limited retry 7"),
    ] {
        assert_eq!(told(error), expected);
    }
}

#[test]
fn only_a_verdict_on_the_refresh_token_ends_in_a_new_login() {
    for (error, expected) in [
        (RefreshError::Issue(IssueError::Sign(SignError)), "500 internal retry"),
        (RefreshError::Issue(IssueError::KeyNotInRing), "503 unavailable retry 1"),
        (RefreshError::Token(TokenDefect), "400 login_required relogin"),
        (RefreshError::Gone, "400 login_required relogin"),
        (RefreshError::Alarm, "400 login_required relogin"),
        (RefreshError::Reuse { behind: 1 }, "400 token_reused relogin"),
    ] {
        assert_eq!(told(error), expected);
    }
}

#[test]
fn data_that_cannot_be_read_wants_another_tap_and_anothers_data_is_rejected() {
    for (error, expected) in [
        (PhoneError::Data(OpenDataDefect::Unreadable), "409 session_key_expired relogin_then_retap"),
        (PhoneError::Data(OpenDataDefect::Foreign), "403 data_rejected stop"),
        (PhoneError::Data(OpenDataDefect::OtherKind), "400 wrong_data_kind fix"),
        (PhoneError::from(TakeError::NoUser), "409 session_key_expired relogin_then_retap"),
        (PhoneError::from(TakeError::RateLimited { retry_after: 7 }), "429 rate_limited retry 7"),
        (PhoneError::from(TakeError::Store(StoreError::Throttled)), "503 unavailable retry 1"),
        (PhoneError::from(PlatformError::Store(StoreError::Throttled)), "503 unavailable retry 1"),
        (PhoneError::CodeRefused, "409 phone_code_invalid relogin_then_retap"),
        (PhoneError::AppUnknown, "500 misconfigured stop"),
        (PhoneError::Seal(SealError), "500 internal retry"),
    ] {
        assert_eq!(told(error), expected);
    }
    for (error, expected) in [
        (Problem::from(OpenDataDefect::Unreadable), "409 session_key_expired relogin_then_retap"),
        (Problem::from(OpenDataDefect::Foreign), "403 data_rejected stop"),
        (Problem::from(OpenDataDefect::OtherKind), "400 wrong_data_kind fix"),
        (Problem::from(TakeError::NoUser), "409 session_key_expired relogin_then_retap"),
        (Problem::from(TakeError::RateLimited { retry_after: 7 }), "429 rate_limited retry 7"),
        (Problem::from(TakeError::Store(StoreError::Throttled)), "503 unavailable retry 1"),
    ] {
        assert_eq!(told(error), expected);
    }
}

#[test]
fn a_push_that_is_not_read_whole_is_an_invalid_request() {
    for defect in [PushDefect::Unsigned, PushDefect::NoKey, PushDefect::NotOpened, PushDefect::NoUser] {
        assert_eq!(told(PushError::from(defect)), "400 invalid_request fix");
    }
}

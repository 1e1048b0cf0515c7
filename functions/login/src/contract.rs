//! What the contract says of the login.

use shared::{
    contract::Operation,
    problem::{Action, Code},
    redacted::IdempotencyKey,
};

use crate::{LoginAnswer, LoginRequest, ROUTES};

/// The route, described.
#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::new(ROUTES[0], "login", "A code of `wx.login` for tokens")
            .header::<IdempotencyKey>(
                "Idempotency-Key",
                "Makes the login repeatable for 120 seconds: with the same key and the same bytes",
            )
            .takes::<LoginRequest>()
            .gives::<LoginAnswer>()
            .refuses(&[
                Code::CodeInvalid,
                Code::CodeUsed,
                Code::UserBlocked,
                Code::RateLimited,
                Code::WechatError,
                Code::RetryLogin,
                Code::WechatBusy,
            ])
            .refuses_to(Code::WechatError, Action::Relogin)
            .refuses_to(Code::WechatTimeout, Action::Relogin),
    ]
}

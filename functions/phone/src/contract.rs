//! What the contract says of the phone number.

use shared::{contract::Operation, problem::Code, wechat::opendata::Phone};

use crate::{PhoneRequest, ROUTES};

/// The route, described.
#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::new(ROUTES[0], "phone", "The user's phone number, from encrypted data or from a phone code")
            .bearer()
            .takes::<PhoneRequest>()
            .gives::<Phone>()
            .refuses(&[
                Code::DataRejected,
                Code::SessionKeyExpired,
                Code::PhoneCodeInvalid,
                Code::RateLimited,
                Code::WechatError,
                Code::WechatBusy,
                Code::WechatTimeout,
            ]),
    ]
}

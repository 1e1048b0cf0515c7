//! What the contract says of the profile.

use shared::{contract::Operation, problem::Code, wechat::opendata::Profile};

use crate::{ROUTES, UserInfoRequest};

/// The route, described.
#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::new(ROUTES[0], "userinfo", "What `wx.getUserInfo` gave, verified and decrypted")
            .bearer()
            .takes::<UserInfoRequest>()
            .gives::<Profile>()
            .refuses(&[Code::DataRejected, Code::SessionKeyExpired, Code::RateLimited]),
    ]
}

//! What the contract says of pushes.

use shared::{contract::Operation, wechat::push::Signed};

use crate::ROUTES;

/// The routes, described.
#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::new(ROUTES[0], "push-verify", "WeChat's console asks whose address this is; answers `echostr`")
            .query::<Signed>()
            .gives_text(),
        Operation::new(ROUTES[1], "push", "WeChat's message push; answers `success`")
            .query::<Signed>()
            .takes_anything(&["application/json", "text/xml"])
            .gives_text(),
    ]
}

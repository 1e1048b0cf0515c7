//! WeChat is not there at all: who is logged in does not notice.

use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};

use super::{
    each,
    proxy::{Fault, Proxy, Then},
};
use crate::{Laptop, Response, Tokens, send};

/// How WeChat is not there.
#[derive(Clone, Copy, Debug)]
pub enum Outage {
    /// Connections are refused.
    Refused,
    /// Connections are taken, and nothing is answered.
    Silent,
}

/// What was asked for during the outage, and what of it was served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Served {
    pub refreshes: u64,
    /// Of them served.
    pub refreshed: u64,
    /// Sessions read and listed, profiles decrypted, keys fetched, and in the end logouts.
    pub others: u64,
    /// Of them served.
    pub served: u64,
    /// Logins that were let in: there can be none.
    pub logins: u64,
}

/// So many users who refresh and ask so many times, while WeChat is not there.
pub async fn outage(outage: Outage, users: usize, rounds: usize) -> Served {
    let laptop = Laptop::start().await;
    let mut way = Proxy::to(&laptop.world.wechat_url).await;
    let process = laptop.beside_with(&[("WXAUTH_WECHAT_URL", &way.url)], &laptop.clock).await;
    let names: Vec<_> = (0..users).map(|user| format!("user-{user}")).collect();
    let mut tokens = each(&names, |name| process.login(name)).await;
    let profiles: Vec<_> = names.iter().map(|name| laptop.sim("userinfo", json!({ "user": name }))).collect();
    match outage {
        Outage::Refused => way.close().await,
        Outage::Silent => way.fail(Fault::before(Then::Silence)),
    }

    let mut served = Served::default();
    for _ in 0..rounds {
        laptop.clock.advance(121);
        let answers = each(&tokens, |tokens| process.refresh(&tokens.refresh)).await;
        for (answer, tokens) in answers.iter().zip(&mut tokens) {
            served.refreshes += 1;
            if answer.status == 200 {
                served.refreshed += 1;
                (tokens.access, tokens.refresh) = (answer.text_of("access_token"), answer.text_of("refresh_token"));
            }
        }
    }
    let asked = each(tokens.iter().zip(&profiles), |(tokens, profile)| ask(&process, tokens, profile)).await;
    for answer in asked.iter().flatten() {
        served.others += 1;
        served.served += u64::from(answer.status.is_success());
    }
    let login = process.post("/v1/login", &json!({ "code": laptop.code("nobody") })).await;
    served.logins += u64::from(login.status == 200);
    served
}

/// Everything that is said of a user without WeChat, and then the logout.
async fn ask(process: &Laptop, tokens: &Tokens, profile: &Value) -> Vec<Response> {
    let with = |method: Method, path: &str| send(process.method(method, path).bearer_auth(&tokens.access));
    let read = [
        with(Method::GET, "/v1/session"),
        with(Method::GET, "/v1/sessions"),
        with(Method::GET, "/.well-known/jwks.json"),
    ];
    let mut answers = join_all(read).await;
    answers.push(process.post_as(&tokens.access, "/v1/userinfo", profile).await);
    answers.push(with(Method::DELETE, "/v1/session").await);
    answers
}

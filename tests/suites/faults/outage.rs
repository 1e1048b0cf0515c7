//! WeChat is not there at all: who is logged in does not notice.

use futures_util::future::join_all;
use http::Method;
use serde_json::json;
use shared::{
    contract::Operation,
    problem::{Action, Code},
};

use super::{
    each,
    proxy::{Fault, Proxy, Then},
};
use crate::{
    Laptop, Response, Tokens,
    contract::{self, Example},
    send,
};

/// How WeChat is out.
#[derive(Clone, Copy, Debug)]
pub enum Outage {
    Refused,
    /// Connections are taken, and nothing is answered.
    Silent,
}

/// What was asked for during the outage, and what of it was served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Served {
    pub refreshes: u64,
    pub refreshed: u64,
    /// Sessions read and listed, profiles decrypted, keys fetched, and in the end logouts.
    pub others: u64,
    /// How many of the others were served.
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
    let users = names.iter().zip(&tokens).enumerate();
    let asked = each(users, |(user, (name, tokens))| ask(&process, user, name, tokens)).await;
    for answer in asked.iter().flatten() {
        served.others += 1;
        served.served += u64::from(answer.status.is_success());
    }
    let login = process.post("/v1/login", &json!({ "code": laptop.code("nobody") })).await;
    served.logins += u64::from(login.status == 200);
    served
}

/// Every route that needs an access token and does not ask WeChat, and the keys. In the end a route that ends the session:
/// of several, each user takes another.
async fn ask(process: &Laptop, user: usize, name: &str, tokens: &Tokens) -> Vec<Response> {
    let mut routes = contract::done();
    let asks_wechat = |operation: &Operation| operation.may_refuse(Code::WechatError.as_str(), &json!(Action::Retry));
    routes.retain(|(operation, _)| operation.is_bearer() && !asks_wechat(operation));
    let (ends, others): (Vec<_>, Vec<_>) = routes.iter().partition(|(operation, _)| operation.route.method == "DELETE");
    let requests = others.iter().flat_map(|(operation, examples)| {
        // A query may ask WeChat after all.
        examples.iter().filter(|example| example.request["path"] == operation.route.path)
    });
    let ask =
        async |example: &Example| contract::exchange(process, &example.request_of(process, name, Some(tokens))).await;
    let mut answers = join_all(requests.map(ask)).await;
    answers.push(send(process.method(Method::GET, "/.well-known/jwks.json")).await);
    answers.push(ask(&ends[user % ends.len()].1[0]).await);
    answers
}

//! How long a request may take at the worst: everything that it waits for is as slow as it is let.

use std::time::Duration;

use futures_util::future::join_all;
use http::Method;
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    Login,
    proxy::{Fault, Proxy, Then},
    said,
};
use crate::{
    BEGIN, Laptop, ManualClock, Tokens,
    rotation::{self, EMPTY},
    secrets_manager::SecretsManager,
    send,
};

/// How long a request took.
#[derive(Clone, Debug)]
pub struct Waited {
    /// What was asked for.
    pub what: &'static str,
    /// What it waited for.
    pub weather: &'static str,
    /// How long.
    pub took: Duration,
    /// What it was told.
    pub answer: String,
}

/// What is the matter with one hop.
#[derive(Clone, Copy)]
enum Hop {
    /// Connections are taken, and nothing is answered.
    Silent,
    /// Connections are neither taken nor refused.
    Unanswered,
    /// Each request is answered, late.
    Late(Duration),
    /// Each request is answered when it is sent for the third time.
    Halting,
    /// All is well.
    Well,
}

impl Hop {
    async fn befall(self, way: &mut Proxy) {
        match self {
            Self::Silent => way.fail(Fault::before(Then::Silence)),
            Self::Unanswered => way.fill().await,
            Self::Late(time) => way.fail(Fault::after(Then::Late(time))),
            Self::Halting => way.fail(Fault { each: 2, ..Fault::before(Then::Silence) }),
            Self::Well => {}
        }
    }
}

/// What is the matter with all of them.
struct Weather {
    name: &'static str,
    wechat: Hop,
    table: Hop,
    secrets: Hop,
}

/// Just within the time that one attempt at WeChat has.
const SLOW: Hop = Hop::Late(Duration::from_millis(2_300));

const WEATHERS: [Weather; 5] = [
    Weather { name: "WeChat and table silent", wechat: Hop::Silent, table: Hop::Silent, secrets: Hop::Well },
    Weather {
        name: "WeChat and table unanswered",
        wechat: Hop::Unanswered,
        table: Hop::Unanswered,
        secrets: Hop::Well,
    },
    Weather { name: "all three silent", wechat: Hop::Silent, table: Hop::Silent, secrets: Hop::Silent },
    Weather { name: "WeChat slow, the others silent", wechat: SLOW, table: Hop::Silent, secrets: Hop::Silent },
    Weather { name: "all three slow", wechat: SLOW, table: Hop::Halting, secrets: Hop::Silent },
];

/// What a user asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ask {
    Login,
    /// A login whose answer was lost, again.
    Again,
    Refresh,
    /// A refresh with a token that was rotated away long ago.
    Reuse,
    Phone,
    PhoneCode,
    UserInfo,
    Session,
    Check,
    Sessions,
    LogOut,
    LogOutAll,
    Forget,
}

const ASKED: [(&str, Ask); 13] = [
    ("login", Ask::Login),
    ("login, repeated", Ask::Again),
    ("refresh", Ask::Refresh),
    ("refresh, reuse", Ask::Reuse),
    ("phone", Ask::Phone),
    ("phone by code", Ask::PhoneCode),
    ("userinfo", Ask::UserInfo),
    ("session", Ask::Session),
    ("session, checked", Ask::Check),
    ("sessions", Ask::Sessions),
    ("logout", Ask::LogOut),
    ("logout everywhere", Ask::LogOutAll),
    ("deletion", Ask::Forget),
];

/// How long each request takes, in every weather.
pub async fn patience() -> Vec<Waited> {
    join_all(WEATHERS.iter().map(of)).await.into_iter().flatten().collect()
}

/// A user for each request, and one process for all of them.
async fn of(weather: &Weather) -> Vec<Waited> {
    let manager = SecretsManager::start(&EMPTY).await;
    rotation::rotate(&manager, &rotation::deps(&manager, &ManualClock::at(BEGIN)).await, "version-1").await;
    let laptop = rotation::laptop(&manager).await;
    let ends = [&laptop.world.wechat_url, &laptop.world.dynamodb_url, &manager.url];
    let mut ways = join_all(ends.map(|end| Proxy::to(end))).await;
    let vars = [
        ("WXAUTH_WECHAT_URL", ways[0].url.as_str()),
        ("AWS_ENDPOINT_URL_DYNAMODB", &ways[1].url),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", &ways[2].url),
        ("WXAUTH_KEYRING", "keyring"),
        ("WXAUTH_SIGNING_KEYS", "signing"),
        ("WXAUTH_JWKS", "jwks"),
    ];
    let process = laptop.beside_with(&vars, &laptop.clock).await;
    let mut users = Vec::new();
    for (name, ask) in ASKED {
        users.push(User { name, ask, tokens: laptop.login(name).await });
    }
    laptop.clock.advance(121);
    let reuse = users.iter().find(|user| user.ask == Ask::Reuse).expect("somebody");
    let newer = laptop.refresh(&reuse.tokens.refresh).await.text_of("refresh_token");
    laptop.clock.advance(121);
    laptop.refresh(&newer).await.ok();
    // So long that secrets are read again before they are used.
    laptop.clock.advance(601);
    let mut requests = Vec::new();
    for user in &users {
        requests.push(user.request(&laptop, &process).await);
    }
    for (way, hop) in ways.iter_mut().zip([weather.wechat, weather.table, weather.secrets]) {
        hop.befall(way).await;
    }
    if matches!(weather.wechat, Hop::Late(_)) {
        // Both logins are tried twice, and the second attempt is as slow as the first.
        laptop.script("jscode2session", &json!({ "kind": "errcode", "errcode": -1 }), Some(2));
    }
    let waited = users.iter().zip(requests).map(async |(user, request)| {
        let began = Instant::now();
        let answer = send(request).await;
        let took = began.elapsed();
        let answer = if answer.status == 204 { "204".to_owned() } else { said(&answer) };
        Waited { what: user.name, weather: weather.name, took, answer }
    });
    join_all(waited).await
}

/// Somebody who asks for one thing.
struct User {
    name: &'static str,
    ask: Ask,
    tokens: Tokens,
}

impl User {
    /// What the user sends.
    async fn request(&self, laptop: &Laptop, process: &Laptop) -> RequestBuilder {
        let user = json!({ "user": self.name });
        let bearer = |method: Method, path: &str| process.method(method, path).bearer_auth(&self.tokens.access);
        let post = |path: &str, body: Value| bearer(Method::POST, path).json(&body);
        match self.ask {
            Ask::Login => Login::new(process, self.name).request(process),
            Ask::Again => {
                let login = Login::new(process, self.name);
                // By another process: in this one the secrets stay old.
                login.send(laptop).await.ok();
                login.request(process)
            }
            Ask::Refresh | Ask::Reuse => {
                process.request("/v1/refresh").json(&json!({ "refresh_token": self.tokens.refresh }))
            }
            Ask::Phone => {
                let tapped = process.sim("phone", user);
                post("/v1/phone", json!({ "encryptedData": tapped["encryptedData"], "iv": tapped["iv"] }))
            }
            Ask::PhoneCode => post("/v1/phone", json!({ "code": process.sim("phone", user)["code"] })),
            Ask::UserInfo => post("/v1/userinfo", process.sim("userinfo", user)),
            Ask::Session => bearer(Method::GET, "/v1/session"),
            Ask::Check => bearer(Method::GET, "/v1/session?wechat=check"),
            Ask::Sessions => bearer(Method::GET, "/v1/sessions"),
            Ask::LogOut => bearer(Method::DELETE, "/v1/session"),
            Ask::LogOutAll => bearer(Method::DELETE, "/v1/sessions"),
            Ask::Forget => bearer(Method::DELETE, "/v1/user"),
        }
    }
}

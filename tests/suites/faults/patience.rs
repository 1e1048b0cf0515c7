//! How long a request may take at the worst: everything that it waits for is as slow as it is let.

use std::{collections::BTreeMap, time::Duration};

use futures_util::future::join_all;
use reqwest::RequestBuilder;
use serde_json::json;
use tokio::time::Instant;

use super::{
    Login,
    proxy::{Fault, Proxy, Then},
    said,
};
use crate::{
    BEGIN, Laptop, ManualClock,
    contract::{self, Example},
    send,
    suites::rotation::{self, EMPTY, secrets_manager::SecretsManager},
};

#[derive(Clone, Debug)]
pub struct Waited {
    pub what: String,
    /// The `Weather` in which it waited.
    pub weather: &'static str,
    pub took: Duration,
    /// Status and code of the response.
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

/// Within the time that a login has for WeChat, though its secrets were slow.
const SLOW: Hop = Hop::Late(Duration::from_millis(4_500));

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

const LOGIN: &str = "login";
/// A login whose answer was lost, again.
const AGAIN: &str = "login, repeated";
const REFRESH: &str = "refresh";
/// A refresh with a token that was rotated away long ago.
const REUSE: &str = "refresh, reuse";

/// How long each request takes, in every weather. All is made ready before anything is measured: keys take a core for a while.
pub async fn patience() -> Vec<Waited> {
    let mut ready = Vec::new();
    for weather in &WEATHERS {
        ready.push(Ready::of(weather).await);
    }
    join_all(ready.into_iter().map(Ready::measure)).await.into_iter().flatten().collect()
}

/// A user for each request, and one process for all of them.
struct Ready {
    weather: &'static Weather,
    requests: Vec<(String, RequestBuilder)>,
    ways: Vec<Proxy>,
    _process: Laptop,
    _laptop: Laptop,
    _manager: SecretsManager,
}

impl Ready {
    async fn of(weather: &'static Weather) -> Self {
        let manager = SecretsManager::start(&EMPTY).await;
        rotation::rotate(&manager, &rotation::deps(&manager, &ManualClock::at(BEGIN)).await, "version-1").await;
        let laptop = rotation::laptop(&manager).await;
        let ends = [&laptop.world.wechat_url, &laptop.world.dynamodb_url, &manager.url];
        let ways = join_all(ends.map(|end| Proxy::to(end))).await;
        let vars = [
            ("WXAUTH_WECHAT_URL", ways[0].url.as_str()),
            ("AWS_ENDPOINT_URL_DYNAMODB", &ways[1].url),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", &ways[2].url),
            ("WXAUTH_KEYRING", "keyring"),
            ("WXAUTH_SIGNING_KEYS", "signing"),
            ("WXAUTH_JWKS", "jwks"),
        ];
        let process = laptop.beside_with(&vars, &laptop.clock).await;
        let mut routes = contract::done();
        routes.retain(|(operation, _)| operation.is_bearer());
        let examples: Vec<_> = routes.into_iter().flat_map(|(_, examples)| examples).collect();
        let mut tokens = BTreeMap::new();
        for name in
            [LOGIN, AGAIN, REFRESH, REUSE].map(str::to_owned).into_iter().chain(examples.iter().map(Example::name))
        {
            tokens.insert(name.clone(), laptop.login(&name).await);
        }
        laptop.clock.advance(121);
        let newer = laptop.refresh(&tokens[REUSE].refresh).await.text_of("refresh_token");
        laptop.clock.advance(121);
        laptop.refresh(&newer).await.ok();
        // So long that secrets are read again before they are used.
        laptop.clock.advance(601);
        let lost = Login::new(&process, AGAIN);
        // By another process: in this one the secrets stay old.
        lost.send(&laptop).await.ok();
        let refresh =
            |name: &str| process.request("/v1/refresh").json(&json!({ "refresh_token": tokens[name].refresh }));
        let mut requests = vec![
            (LOGIN.to_owned(), Login::new(&process, LOGIN).request(&process)),
            (AGAIN.to_owned(), lost.request(&process)),
            (REFRESH.to_owned(), refresh(REFRESH)),
            (REUSE.to_owned(), refresh(REUSE)),
        ];
        requests.extend(examples.iter().map(|example| {
            let name = example.name();
            let request = contract::request(&process, &example.request_of(&process, &name, Some(&tokens[&name])));
            (name, request)
        }));
        Self { weather, requests, ways, _process: process, _laptop: laptop, _manager: manager }
    }

    async fn measure(mut self) -> Vec<Waited> {
        let weather = self.weather;
        for (way, hop) in self.ways.iter_mut().zip([weather.wechat, weather.table, weather.secrets]) {
            hop.befall(way).await;
        }
        let waited = self.requests.into_iter().map(async |(what, request)| {
            let began = Instant::now();
            let answer = send(request).await;
            let took = began.elapsed();
            let answer = if answer.status == 204 { "204".to_owned() } else { said(&answer) };
            Waited { what, weather: weather.name, took, answer }
        });
        join_all(waited).await
    }
}

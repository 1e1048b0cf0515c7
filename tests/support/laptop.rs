//! The laptop's process, and what it is started with.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, PoisonError},
};

use aws_sdk_dynamodb::types::AttributeValue;
use http::Method;
use local::{Data, Settings, World, networks::Networks, settings::SIMULATOR};
use serde_json::{Value, json};
use shared::{clock::Secs, entropy::OsEntropy, http::record::Log, token::jwks::KeyKind};
use tokio::sync::Semaphore;
use wechat_simulator::Simulator;

use crate::{
    BEGIN, Folder, Lines, ManualClock, Response,
    canary::{self, Watched},
    client, send,
};

type Change = dyn FnOnce(&mut Settings) + Send;

#[derive(Default)]
pub struct Start {
    apps: Option<Value>,
    changes: Vec<Box<Change>>,
    begin: Option<Secs>,
}

impl Start {
    #[must_use]
    pub fn var(self, name: &str, value: &str) -> Self {
        let var = (name.to_owned(), value.to_owned());
        self.with(|settings| settings.vars.push(var))
    }

    /// Keeps the database in this folder instead of memory.
    #[must_use]
    pub fn folder(self, folder: &Folder) -> Self {
        let folder = folder.0.clone();
        self.with(|settings| settings.data = Data::Folder(folder))
    }

    /// Configures these mini programs instead of the demo's.
    #[must_use]
    pub fn apps(mut self, apps: Value) -> Self {
        self.apps = Some(apps);
        self
    }

    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Settings) + Send + 'static) -> Self {
        self.changes.push(Box::new(change));
        self
    }

    /// Hands what WeChat pushes to the server at this URL.
    #[must_use]
    pub fn push_target(self, url: &str) -> Self {
        let url = url.parse().expect("a URL");
        self.with(|settings| settings.push_target = Some(url))
    }

    /// Signs with RSA, which is slow to make, instead of P-256.
    #[must_use]
    pub fn rsa(self) -> Self {
        self.with(|settings| settings.signing = KeyKind::Rsa)
    }

    #[must_use]
    pub fn at(mut self, begin: Secs) -> Self {
        self.begin = Some(begin);
        self
    }

    pub async fn go(self) -> Laptop {
        let scratch = Folder::new();
        let (clock, lines) = (ManualClock::at(self.begin.unwrap_or(BEGIN)), Lines::default());
        let world = start(self.settings(&scratch, &clock, lines.clone())).await;
        let simulator = world.simulator.clone().expect("the simulator runs");
        let log = Watched::new(lines, &simulator);
        Laptop { world, simulator, clock, log, http: client(), scratch }
    }

    /// Starts everything where a variable points to another WeChat.
    pub async fn without_simulator(self) -> World {
        start(self.settings(&Folder::new(), &ManualClock::at(BEGIN), Lines::default())).await
    }

    fn settings(self, scratch: &Folder, clock: &ManualClock, lines: Lines) -> Settings {
        let apps = self.apps.map(|apps| {
            let path = scratch.0.join("given-apps.json");
            std::fs::write(&path, apps.to_string()).expect("the scratch folder is writable");
            path
        });
        let any_port = ([127, 0, 0, 1], 0).into();
        let mut settings = Settings {
            listen: any_port,
            wechat_listen: any_port,
            data: Data::Memory(scratch.0.clone()),
            dynamodb_url: None,
            wechat_url: None,
            foreign_codes: false,
            networks: Networks::default,
            apps,
            push_target: None,
            // A variable for the simulator: one that a test sets comes later.
            vars: vec![("WXAUTH_WECHAT_URL".to_owned(), SIMULATOR.to_owned())],
            signing: KeyKind::Ec,
            clock: Arc::new(clock.clone()),
            entropy: Arc::new(OsEntropy),
            playground: None,
            log: Log::new(move |line| lines.lock().unwrap_or_else(PoisonError::into_inner).push(line.to_owned())),
        };
        self.changes.into_iter().for_each(|change| change(&mut settings));
        settings
    }
}

/// Starts take turns: many at once would wait for the machine, past the limits of the clients that they start with.
async fn start(settings: Settings) -> World {
    static TURNS: Semaphore = Semaphore::const_new(2);
    let _turn = TURNS.acquire().await;
    World::start(settings).await.expect("the laptop starts")
}

/// The running application, its WeChat and its clock.
pub struct Laptop {
    pub world: World,
    pub simulator: Simulator,
    /// The clock of functions and simulator.
    pub clock: ManualClock,
    log: Watched,
    http: reqwest::Client,
    scratch: Folder,
}

#[derive(Clone, Debug)]
pub struct Tokens {
    pub access: String,
    pub refresh: String,
    pub openid: String,
    pub device: String,
}

impl Tokens {
    /// The tokens in the response to a login; panics unless that is 200.
    #[track_caller]
    #[must_use]
    pub fn of(login: &Response) -> Self {
        Self::in_body(&login.ok())
    }

    /// The tokens in the body of such a response.
    #[track_caller]
    #[must_use]
    pub fn in_body(login: &Value) -> Self {
        let text = |name: &str| login[name].as_str().unwrap_or_else(|| panic!("no {name}: {login}")).to_owned();
        let (access, refresh) = (text("access_token"), text("refresh_token"));
        Self { access, refresh, openid: text("openid"), device: text("device") }
    }

    /// The device as lists of sessions show it: without the proof.
    #[must_use]
    pub fn device_id(&self) -> &str {
        self.device.split('.').next().unwrap_or_default()
    }
}

pub type Item = HashMap<String, AttributeValue>;

/// Items by partition key and sort key.
pub type Items = BTreeMap<(String, String), Item>;

/// An item without what only marks the end of something, if anything else is left of it.
fn without_marks(mut item: Item) -> Option<Item> {
    let is_bare = match item["sk"].as_s().expect("text").as_str() {
        "user" => {
            item.retain(|name, _| !["deleted_ms", "logins_after_ms", "block_ms"].contains(&name.as_str()));
            item.keys().all(|name| ["pk", "sk", "ttl"].contains(&name.as_str()))
        }
        "code" => !item.contains_key("sealed"),
        _ => item.contains_key("ended"),
    };
    (!is_bare || !item.contains_key("ttl")).then_some(item)
}

impl Laptop {
    pub async fn start() -> Self {
        Start::default().go().await
    }

    /// Another process with the same table, WeChat, keys and clock.
    pub async fn beside(&self) -> Self {
        self.beside_with(&[], &self.clock).await
    }

    /// Another process with the same table, WeChat and keys, with these variables and this clock.
    pub async fn beside_with(&self, vars: &[(&str, &str)], clock: &ManualClock) -> Self {
        let file = |name: &str| format!("file:{}", self.scratch.0.join(name).display());
        let start = Start::default()
            .var("WXAUTH_WECHAT_URL", &self.world.wechat_url)
            .var("AWS_ENDPOINT_URL_DYNAMODB", &self.world.dynamodb_url)
            .var("WXAUTH_ISSUER", &self.world.url)
            .var("WXAUTH_KEYRING", &file("keyring.json"))
            .var("WXAUTH_SIGNING_KEYS", &file("signing-keys.json"))
            .var("WXAUTH_JWKS", &file("jwks.json"));
        let start = vars.iter().fold(start, |start, (name, value)| start.var(name, value));
        let (scratch, lines) = (Folder::new(), Lines::default());
        let world = self::start(start.settings(&scratch, clock, lines.clone())).await;
        let log = Watched::new(lines, &self.simulator);
        Self { world, simulator: self.simulator.clone(), clock: clock.clone(), log, http: client(), scratch }
    }

    pub fn request(&self, path: &str) -> reqwest::RequestBuilder {
        self.http.post(format!("{}{path}", self.world.url))
    }

    pub fn method(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.world.url))
    }

    pub async fn post(&self, path: &str, body: &Value) -> Response {
        send(self.request(path).json(body)).await
    }

    pub async fn post_as(&self, access: &str, path: &str, body: &Value) -> Response {
        send(self.request(path).bearer_auth(access).json(body)).await
    }

    pub async fn get(&self, access: &str, path: &str) -> Response {
        send(self.method(Method::GET, path).bearer_auth(access)).await
    }

    pub async fn delete(&self, access: &str, path: &str) -> Response {
        send(self.method(Method::DELETE, path).bearer_auth(access)).await
    }

    /// Whether WeChat still accepts the `session_key` of a user: `ok`, `stale` or `unknown`.
    pub async fn checked(&self, user: &Tokens) -> String {
        let session = self.get(&user.access, "/v1/session?wechat=check").await.ok();
        session["wechat_session"].as_str().expect("text").to_owned()
    }

    /// A login code, as `wx.login` returns it for this user.
    #[must_use]
    pub fn code(&self, user: &str) -> String {
        self.sim("login", json!({ "user": user }))["code"].as_str().expect("a code").to_owned()
    }

    /// Calls a control route of the simulator. No code is of the millisecond of what was before it.
    #[must_use]
    pub fn sim(&self, route: &str, request: Value) -> Value {
        canary::hear_session_key(&self.simulator, &request);
        let _ = (route == "login").then(|| self.clock.tick());
        self.simulator.control(route, request).unwrap_or_else(|error| panic!("{route}: {error}"))
    }

    /// Makes calls to this API of the simulator fail.
    pub fn script(&self, api: &str, fault: &Value, times: Option<u32>) {
        let _ = self.sim("script", json!({ "api": api, "fault": fault, "times": times, "after": false }));
    }

    /// The same, but the simulator does its work before it fails: WeChat has used a code, and nobody gets its response.
    pub fn script_after(&self, api: &str, fault: &Value, times: Option<u32>) {
        let _ = self.sim("script", json!({ "api": api, "fault": fault, "times": times, "after": true }));
    }

    /// Logs a user in on a new device.
    pub async fn login(&self, user: &str) -> Tokens {
        self.login_with(&json!({ "code": self.code(user) })).await
    }

    pub async fn login_with(&self, body: &Value) -> Tokens {
        Tokens::of(&self.post("/v1/login", body).await)
    }

    /// Logs in with an idempotency key, so that the same request can be sent again.
    pub async fn login_with_key(&self, key: &str, body: &Value) -> Response {
        send(self.request("/v1/login").header("idempotency-key", key).json(body)).await
    }

    /// Has the owner do something with a user.
    pub async fn owner(&self, operation: &str, openid: &str) -> Value {
        let request = json!({ "operation": operation, "appid": crate::APPID, "openid": openid });
        let deps = admin::Deps::from_env(self.world.env.clone()).await.expect("the laptop's variables");
        let done = admin::handle(deps, serde_json::from_value(request).expect("a request")).await;
        serde_json::to_value(done.expect("the table is there")).expect("JSON")
    }

    pub async fn refresh(&self, token: &str) -> Response {
        self.post("/v1/refresh", &json!({ "refresh_token": token })).await
    }

    /// Handles an event as Lambda does, with a log line.
    pub async fn logged<T, E: std::error::Error>(&self, handled: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        shared::http::record::event(&self.world.env.log(), handled).await
    }

    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.log.lines()
    }

    /// The log line of the request that this is the response to.
    #[must_use]
    pub fn line(&self, answer: &Response) -> String {
        let id = answer.header("x-request-id").expect("a request ID");
        self.log().into_iter().find(|line| line.contains(&id)).unwrap_or_default()
    }

    /// What the table holds, but for the marks that ends leave, each with a TTL.
    pub async fn items(&self) -> Items {
        let (client, table) = self.dynamodb();
        let items = client.scan().table_name(table).send().await.expect("a scan").items.unwrap_or_default();
        let key = |item: &Item| ["pk", "sk"].map(|name| item[name].as_s().expect("text").clone());
        items.into_iter().filter_map(without_marks).map(|item| (key(&item).into(), item)).collect()
    }

    /// The client for the table, and the name of the table.
    #[must_use]
    pub fn dynamodb(&self) -> (aws_sdk_dynamodb::Client, String) {
        self.world.env.dynamodb().expect("a client")
    }
}

//! What instances share: a table, two mini programs, their WeChat, and users who log in.

use std::sync::Arc;

use async_trait::async_trait;
use axum::{Router, body::Body};
use http::Request;
use serde_json::{Value, json};
use shared::{
    clock::{Clock, Deadline, Millis},
    http::{
        extract::{ClientIp, Origin, RequestId},
        record::Log,
        stack,
    },
    ids::{AppId, Network, OpenId, UserRef},
    lambda,
    secret_text::{LoginCode, PhoneCode, SessionKey},
    secrets::{FromSecret as _, Secret},
    session::{
        Attempt,
        idempotency::{CodeHash, IdempotencyRecord, PHONE_LIFETIME},
    },
    store::grants::{KeepIdempotencyRecord as _, ReadSession as _, ReadUser as _, TakeSessionKeys as _},
    token::{keyring::Keyring, refresh::RefreshToken},
    wechat::{
        api::{CodeExchange, ExchangeCode},
        app::App,
        error::WechatError,
        push::PushApps,
    },
};
use tokio::time::Instant;
use tower::ServiceExt as _;
use wechat_simulator::{App as SimulatedApp, Push, Simulator};

use super::{
    Flaw,
    doom::Doom,
    function::{Function, Way},
};
use crate::{
    APPID, BEGIN, login_deps,
    secrets::{ring, secret},
    seeded::SeededEntropy,
    table::memory::{Hooks, MemoryTable, Pushes},
};

pub(super) const OTHER: &str = "wx0000000000000002";

pub(super) const AES_KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";

/// The time of the runtime, which stands still while anybody works.
#[derive(Clone)]
struct Time(Instant);

impl Clock for Time {
    fn now_ms(&self) -> Millis {
        BEGIN * 1_000 + u64::try_from(self.0.elapsed().as_millis()).unwrap_or_default()
    }
}

/// The length of the simulator's openids.
const OPENID: usize = 28;

/// A WeChat whose codes begin with the openid.
struct Codes;

#[async_trait]
impl ExchangeCode for Codes {
    async fn exchange(&self, _: &App, code: &LoginCode, _: &Network, _: Deadline) -> Result<CodeExchange, WechatError> {
        let openid = code.expose().get(..OPENID).and_then(|openid| OpenId::parse(openid).ok());
        let openid = openid.ok_or(WechatError::CodeInvalid)?;
        Ok(CodeExchange { openid, session_key: SessionKey::new("o8x5w1S96v44S3700UEUhw=="), unionid: None })
    }
}

/// A login, by what is stored of it.
pub(super) struct Login {
    pub(super) user: UserRef,
    token: RefreshToken,
    pub(super) arrived_ms: Millis,
}

pub(super) struct World {
    time: Time,
    entropy: Arc<SeededEntropy>,
    table: MemoryTable,
    pub(super) simulator: Simulator,
    login: Router,
    keyring: Keyring,
    apps: Arc<Secret<PushApps>>,
    flaw: Option<Flaw>,
}

/// The first mini program is in a mode with a key, the other in the plain one.
fn simulated() -> Vec<SimulatedApp> {
    let demo = SimulatedApp::demo();
    let of = |appid: &str, token: &str, key: Option<&str>| SimulatedApp {
        appid: appid.to_owned(),
        push: Some(Push { token: token.to_owned(), encoding_aes_key: key.map(str::to_owned) }),
        ..demo.clone()
    };
    vec![of(APPID, "one", Some(AES_KEY)), of(OTHER, "two", None)]
}

impl World {
    pub(super) async fn new(seed: u64, flaw: Option<Flaw>) -> Arc<Self> {
        let (time, entropy) = (Time(Instant::now()), Arc::new(SeededEntropy::new(seed)));
        let pushes = match flaw {
            Some(Flaw::NotesFirst) => Pushes::Done,
            Some(Flaw::ForgetsArrivals) => Pushes::Forgotten,
            _ => Pushes::Begun,
        };
        let table = MemoryTable::default().hooked(Hooks { pushes, ..Hooks::default() });
        let login = login_deps(Arc::new(table.clone()), Arc::new(Codes), Arc::new(time.clone()), entropy.clone()).await;
        let apps = json!({ "apps": { APPID: { "secret": "s" }, OTHER: { "secret": "s" } } });
        let login = login::Deps { apps: secret(apps.to_string()).await, ..login };
        let push =
            json!({ "apps": { APPID: { "token": "one", "encoding_aes_key": AES_KEY }, OTHER: { "token": "two" } } });
        let at = time.clone();
        Arc::new(Self {
            simulator: Simulator::with_clock(simulated(), Arc::new(move || at.now())),
            login: stack(login::router(login), Log::new(|_| {})),
            keyring: Keyring::from_secret(&ring(1)).expect("a ring"),
            apps: secret(push.to_string()).await,
            time,
            entropy,
            table,
            flaw,
        })
    }

    pub(super) fn sim(&self, route: &str, request: Value) -> Value {
        self.simulator.control(route, request).unwrap_or_else(|error| panic!("{route}: {error}"))
    }

    /// A user of this name, by whom WeChat knows it.
    pub(super) fn user(&self, appid: &str, name: &str) -> UserRef {
        let openid = self.sim("user", json!({ "user": name, "appid": appid }))["openid"].clone();
        UserRef {
            appid: AppId::parse(appid).expect("an appid"),
            openid: OpenId::parse(openid.as_str().expect("text")).expect("an openid"),
        }
    }

    /// What an instance of `push` answers: status and body. An instance that dies answers nothing.
    pub(super) async fn push(
        self: Arc<Self>,
        request: Value,
        function: Option<Arc<Function>>,
        doom: Arc<Doom>,
    ) -> Option<(u16, String)> {
        let target = function.map(|function| {
            Arc::new(Way { function, doom: doom.clone(), flaw: self.flaw }) as Arc<dyn shared::owner_function::AskOwner>
        });
        let deps = push::Deps {
            table: Arc::new(self.table.over(doom.clone())),
            apps: self.apps.clone(),
            target,
            clock: Arc::new(self.time.clone()),
            entropy: self.entropy.clone(),
        };
        let text = |name: &str| request[name].as_str().unwrap_or_default().to_owned();
        let asked = Request::post(format!("/v1/push?{}", text("query"))).header("content-type", text("content_type"));
        let work = async {
            let answer = send(&stack(push::router(deps), Log::new(|_| {})), asked.body(Body::from(text("body")))).await;
            doom.step().await;
            answer
        };
        tokio::select! {
            answer = work => Some(answer),
            () = doom.reached() => None,
            // As long as Lambda lets it run.
            () = tokio::time::sleep(lambda::TIMEOUT) => None,
        }
    }

    pub(super) async fn log_in(&self, user: &UserRef) -> Login {
        // No two logins of a user have the same code or arrive in the same millisecond.
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        let arrived_ms = self.time.now_ms();
        let code = format!("{}{arrived_ms}", user.openid.expose());
        let body = json!({ "code": code, "appid": user.appid.as_str() }).to_string();
        let request = Request::post("/v1/login").header("content-type", "application/json").body(Body::from(body));
        let (_, body) = send(&self.login, request).await;
        let body: Value = serde_json::from_str(&body).expect("JSON");
        let token = body["refresh_token"].as_str().unwrap_or_else(|| panic!("{body}"));
        let token = RefreshToken::parse(token, &self.keyring).expect("a token of ours");
        Login { user: user.clone(), token, arrived_ms }
    }

    /// A number that WeChat gave for a phone code, kept as `phone` does.
    pub(super) async fn keep_number(&self, user: &UserRef, code: &str) -> CodeHash {
        let (now, code) = (self.time.now(), CodeHash::of_phone(user, &PhoneCode::new(code)));
        drop(self.table.take_session_keys(user, &Attempt::PhoneCode(code.clone()), now).await.expect("a user"));
        let record = IdempotencyRecord { code: code.clone(), sealed: vec![1; 60], expires_at: now + PHONE_LIFETIME };
        self.table.put_idempotency_record(&record).await.expect("the table in memory");
        code
    }

    pub(super) async fn has_number(&self, code: &CodeHash) -> bool {
        let record = self.table.get_idempotency_record(code).await.expect("the table in memory");
        record.is_some_and(|record| !record.is_erased())
    }

    /// Whether the session of this login is there.
    pub(super) async fn is_logged_in(&self, login: &Login) -> bool {
        let session = self.table.read_session(&login.token.session()).await.expect("the table in memory");
        session.is_some_and(|session| session.family == login.token.family)
    }

    /// Since when data of this user is stored, in seconds.
    pub(super) async fn stored_since(&self, user: &UserRef) -> Option<u64> {
        self.table.read_user(user).await.expect("the table in memory")?.first_login
    }

    /// Whether there is a `session_key` of this user.
    pub(super) async fn has_key(&self, user: &UserRef) -> bool {
        let user = self.table.read_user(user).await.expect("the table in memory");
        user.is_some_and(|user| user.current_key.is_some())
    }
}

async fn send(function: &Router, request: http::Result<Request<Body>>) -> (u16, String) {
    let mut request = request.expect("a request");
    request.extensions_mut().insert(Origin("https://a.example".to_owned()));
    request.extensions_mut().insert(ClientIp("192.0.2.1".to_owned()));
    request.extensions_mut().insert(RequestId("r".to_owned()));
    request.extensions_mut().insert(Deadline::after(lambda::LIMIT));
    let response = function.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
    let status = response.status().as_u16();
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 16).await.expect("a body");
    (status, String::from_utf8_lossy(&bytes).into_owned())
}

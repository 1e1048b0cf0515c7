//! Four processes with the real handlers, one table, and a WeChat that takes a code once.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use axum::{Router, body::Body};
use http::{Request, StatusCode};
use refresh::flow::RefreshError;
use serde_json::{Value, json};
use shared::{
    clock::{Clock, Deadline, Secs},
    entropy::OsEntropy,
    http::{
        extract::{ClientIp, Host, RequestId},
        record::Log,
        stack,
    },
    ids::{self, Family, OpenId},
    problem::{Action, Code, Problem},
    secret_text::{LoginCode, SessionKey},
    secrets::FromSecret as _,
    store::grants::{ReadSession as _, RevokeSession as _},
    token::{keyring::Keyring, refresh::RefreshToken},
    wechat::{
        api::{CodeExchange, ExchangeCode},
        app::App,
        error::WechatError,
    },
};
use tower::ServiceExt as _;

use super::{Flaw, Network, Setup, World, schedule::Schedule};
use crate::{
    APPID, BEGIN, jwt_claims, login_deps,
    secrets::{ring, secret},
    seeded::SeededEntropy,
    table::memory::{Fate, Hooks, MemoryTable, Wire},
};

const PROCESSES: usize = 4;

/// What a client is told.
#[derive(Debug)]
pub(super) enum Response {
    Tokens(Held),
    Relogin(Option<RefreshError>),
    Retry,
    /// The logout was done.
    Done,
}

/// What a client holds.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) refresh: String,
    pub(super) auth_time: Secs,
    pub(super) device: Option<String>,
}

/// What a client asks.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    Refresh(String),
    Login { code: String, key: String, device: Option<String> },
    LogOut(Held),
}

pub(super) struct Server {
    processes: Vec<Process>,
    keyring: Arc<Keyring>,
    reused: Arc<Mutex<HashSet<[u8; 16]>>>,
}

struct Process {
    refresh: refresh::Deps,
    login: Router,
    table: Arc<MemoryTable>,
}

/// A process's clock: the schedule's time, and how far it is off.
struct Off {
    schedule: Arc<Schedule>,
    seconds: u64,
    most: u64,
}

impl Clock for Off {
    fn now(&self) -> Secs {
        BEGIN + self.schedule.now() / 1_000 + self.seconds - self.most
    }
}

/// The way from a process to the table.
struct Way {
    schedule: Arc<Schedule>,
    network: Network,
}

#[async_trait]
impl Wire for Way {
    async fn request(&self) -> Fate {
        let network = self.network;
        let (span, lost) =
            self.schedule.random(|random| (1 + random.below(10), random.chance(network.table_fails / 2)));
        self.schedule.sleep(span).await;
        if lost { Fate::Lost } else { Fate::Arrives }
    }

    async fn answer(&self) -> Fate {
        let network = self.network;
        let (span, fate) = self.schedule.random(|random| {
            let fate = match random.below(10_000) {
                at if at < network.crashes => None,
                at if at < network.crashes + network.acknowledgements_lost => Some(Fate::Again),
                at if at < network.crashes + network.acknowledgements_lost + network.table_fails / 2 => {
                    Some(Fate::Lost)
                }
                _ => Some(Fate::Arrives),
            };
            (1 + random.below(10), fate)
        });
        match fate {
            None => self.schedule.kill().await,
            // The SDK waits 0.8 s before it sends the request again.
            Some(Fate::Again) => self.schedule.sleep(800).await,
            Some(_) => self.schedule.sleep(span).await,
        }
        fate.unwrap_or(Fate::Lost)
    }
}

/// A WeChat of which each code is `user-number`.
struct Wechat {
    schedule: Arc<Schedule>,
    network: Network,
    used: Mutex<HashSet<String>>,
}

#[async_trait]
impl ExchangeCode for Wechat {
    async fn exchange(
        &self,
        _: &App,
        code: &LoginCode,
        _: &ids::Network,
        _: Deadline,
    ) -> Result<CodeExchange, WechatError> {
        let (there, back) = self.schedule.random(|random| (20 + random.below(100), 20 + random.below(100)));
        self.schedule.sleep(there).await;
        let is_new = self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(code.expose().to_owned());
        self.schedule.sleep(back).await;
        if self.schedule.random(|random| random.chance(self.network.answers_lost / 10)) {
            return Err(WechatError::NoAnswer("lost"));
        }
        if !is_new {
            return Err(WechatError::CodeUsed);
        }
        let user = code.expose().split('-').next().unwrap_or_default();
        let openid = OpenId::parse(user).map_err(|_| WechatError::CodeInvalid)?;
        // WeChat gives the same key for a while.
        let hour = self.schedule.now() / 3_600_000;
        Ok(CodeExchange { openid, session_key: SessionKey::new(format!("{hour:022}==")), unionid: None })
    }
}

impl Server {
    pub(super) async fn start(schedule: &Arc<Schedule>, setup: &Setup, seed: u64) -> Self {
        let used = Mutex::default();
        let wechat = Arc::new(Wechat { schedule: schedule.clone(), network: setup.network, used });
        let hooks = Hooks::default();
        let mut processes = Vec::new();
        for number in 0..PROCESSES {
            processes.push(process(setup, &wechat, &hooks, number, seed).await);
        }
        let keyring = Arc::new(Keyring::from_secret(&ring(1)).expect("a ring"));
        Self { processes, keyring, reused: hooks.revoked }
    }

    pub(super) fn read(&self, text: &str) -> RefreshToken {
        RefreshToken::parse(text, &self.keyring).expect("a token of ours")
    }

    /// Whether a family was found reused.
    pub(super) fn is_reused(&self, family: Family) -> bool {
        self.reused.lock().unwrap_or_else(PoisonError::into_inner).contains(&family.0)
    }
}

async fn process(setup: &Setup, wechat: &Arc<Wechat>, hooks: &Hooks, number: usize, seed: u64) -> Process {
    let (schedule, most) = (&wechat.schedule, setup.network.clocks);
    let seconds = schedule.random(|random| random.below(2 * most + 1));
    let clock = Arc::new(Off { schedule: schedule.clone(), seconds, most });
    let way = Arc::new(Way { schedule: schedule.clone(), network: setup.network });
    let hooks = Hooks { torn_refresh: setup.flaw == Some(Flaw::TornRefresh), ..hooks.clone() };
    let table = Arc::new(setup.table.over(way).hooked(hooks.clone()));
    let blind = Hooks { blind_reads: setup.flaw == Some(Flaw::BlindReplay), revoked: Arc::default(), ..hooks };
    let entropy = Arc::new(SeededEntropy::new(seed ^ (number as u64) << 32));
    // Warm processes may differ for a while on which key of the ring is the current one.
    let keyring = secret(ring(1 + number % 2)).await;
    let login = login_deps(Arc::new(table.hooked(blind)), wechat.clone(), clock.clone(), entropy).await;
    let login = login::Deps { keyring: keyring.clone(), policy: setup.policy, ..login };
    let refresh = refresh::Deps {
        table: table.clone(),
        keyring,
        signer: login.signer.clone(),
        access_tokens: login.access_tokens.clone(),
        policy: setup.policy,
        senders: login.senders.clone(),
        clock,
        entropy: Arc::new(OsEntropy),
    };
    Process { refresh, login: stack(login::router(login), Log::new(|_| {})), table }
}

/// What an answer's body holds.
fn held(body: &Value) -> Option<Held> {
    Some(Held {
        refresh: body["refresh_token"].as_str()?.to_owned(),
        auth_time: jwt_claims(body["access_token"].as_str()?)["auth_time"].as_u64()?,
        device: body["device"].as_str().map(str::to_owned),
    })
}

impl World {
    /// Serves a request, unless the process ends before.
    pub(super) async fn serve(&self, ask: &Ask) -> Response {
        let process = &self.server.processes[self.schedule.random(|random| random.index(PROCESSES))];
        match ask {
            Ask::Refresh(token) => self.refresh(process, token).await,
            Ask::Login { code, key, device } => {
                let body = json!({ "code": code, "appid": APPID, "device": device });
                self.login(process, key, &body).await
            }
            Ask::LogOut(held) => {
                let token = self.server.read(&held.refresh);
                match process.table.log_out_session(&token.session(), held.auth_time).await {
                    Ok(()) => {
                        self.ended(&token);
                        self.note(|| format!("{} logged out", super::tally::name(&token)));
                        Response::Done
                    }
                    Err(_) => Response::Retry,
                }
            }
        }
    }

    async fn refresh(&self, process: &Process, text: &str) -> Response {
        let (arrived, token) = (self.schedule.now(), self.server.read(text));
        let by = Deadline::after(std::time::Duration::from_hours(1));
        match refresh::flow::refresh(&process.refresh, text, "https://a.example", by).await {
            Ok(answer) => {
                let body = serde_json::to_value(&answer).expect("JSON");
                let Some(held) = held(&body) else { return Response::Retry };
                self.refreshed((text, &token), &held.refresh, arrived);
                Response::Tokens(held)
            }
            Err(error) => {
                self.refused((text, &token), &error);
                let is_over = matches!(error, RefreshError::Gone | RefreshError::Alarm | RefreshError::Reuse { .. });
                if matches!(error, RefreshError::Reuse { .. }) && self.is_gone(&token) {
                    self.ended(&token);
                }
                if is_over { Response::Relogin(Some(error)) } else { Response::Retry }
            }
        }
    }

    /// Whether the table holds nothing of the token's family any more.
    fn is_gone(&self, token: &RefreshToken) -> bool {
        use futures_util::FutureExt as _;
        let at = token.session();
        let mut reading = Box::pin(self.setup.table.read_session(&at));
        // The table of the setup has a sure way: one poll to wait, one to read.
        let read = (&mut reading).now_or_never().or_else(|| reading.now_or_never());
        read.is_some_and(|read| read.is_ok_and(|found| found.is_none_or(|found| found.family != token.family)))
    }

    async fn login(&self, process: &Process, key: &str, body: &Value) -> Response {
        let request = Request::post("/v1/login")
            .header("content-type", "application/json")
            .header("idempotency-key", key)
            .extension(Host("a.example".to_owned()))
            .extension(ClientIp("192.0.2.1".to_owned()))
            .extension(RequestId("r".to_owned()))
            .extension(Deadline::after(std::time::Duration::from_hours(1)))
            .body(Body::from(body.to_string()))
            .expect("a request");
        let response = process.login.clone().oneshot(request).await.expect("infallible");
        let status = response.status();
        let problem = response.extensions().get::<Problem>().map(Problem::code);
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 16).await.expect("a body");
        let body: Value = serde_json::from_slice(&bytes).expect("JSON");
        match held(&body) {
            Some(held) if status == StatusCode::OK => {
                self.seen().figures.logins += 1;
                let token = self.server.read(&held.refresh);
                self.note(|| format!("{} logged in at {}", super::tally::name(&token), held.auth_time - BEGIN));
                Response::Tokens(held)
            }
            _ => {
                self.note(|| format!("{body}"));
                let relogin =
                    problem.is_some_and(|code: Code| code.action() == Action::Relogin) || body["action"] == "relogin";
                if relogin { Response::Relogin(None) } else { Response::Retry }
            }
        }
    }
}

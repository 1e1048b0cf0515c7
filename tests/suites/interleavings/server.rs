//! Four processes with the real handlers, one table, and a WeChat that takes a code once.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
};

use async_trait::async_trait;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use axum::{Router, body::Body};
use http::{Request, StatusCode};
use refresh::flow::RefreshError;
use serde_json::{Value, json};
use shared::{
    authenticator::Authenticator,
    clock::{Clock, Deadline, Millis, Secs},
    entropy::OsEntropy,
    http::{
        extract::{ClientIp, Origin, RequestId},
        record::Log,
        stack,
    },
    ids::{self, DeviceId, Family, OpenId},
    platform_token::{
        PlatformError,
        calls::{CheckSession, ResetSessionKey},
    },
    secret_text::{LoginCode, SessionKey},
    secrets::{FromSecret as _, Secret},
    store::grants::ReadSession as _,
    token::{access::AccessVerifier, keyring::Keyring, refresh::RefreshToken},
    wechat::{
        api::{CodeExchange, ExchangeCode},
        app::{App, Apps},
        error::WechatError,
        push::PushApps,
    },
};
use tokio::sync::OnceCell;
use tower::ServiceExt as _;

use super::{
    Flaw, Network, Setup, World,
    ends::{End, peek},
    schedule::Schedule,
    way::{LateTable, Way},
};
use crate::{
    APPID, BEGIN, hex, jwt_claims, login_deps,
    secrets::{ring, secret, signing_keys},
    seeded::SeededEntropy,
    table::memory::Hooks,
};

const PROCESSES: usize = 4;

/// What a client is told.
#[derive(Debug)]
pub(super) enum Response {
    Tokens(Held),
    Relogin(Option<RefreshError>),
    Retry,
    /// The end was done.
    Done,
    /// The access token has expired, or its session is over.
    Expired,
    /// The owner has blocked the user.
    Blocked,
    /// What is told of the session.
    Seen(String),
}

/// What a client holds.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) refresh: String,
    pub(super) access: String,
    pub(super) auth_time: Secs,
    pub(super) device: Option<String>,
}

/// Signatures differ from run to run, and a history is to be the same.
impl std::fmt::Debug for Held {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "logged in at {}", self.auth_time - BEGIN)
    }
}

/// What a client asks.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    Refresh(String),
    Login {
        code: String,
        key: String,
        device: Option<String>,
    },
    /// What is told of the session, and of all sessions.
    Look(Held),
    /// Whose, and which.
    End(String, End),
}

impl Ask {
    pub(super) fn is_of_a_client(&self) -> bool {
        !matches!(self, Self::End(_, end) if !matches!(end, End::LogOut(_) | End::LogOutAll(_) | End::DeleteUser(_)))
    }
}

pub(super) struct Server {
    processes: Vec<Process>,
    keyring: Arc<Keyring>,
    reused: Arc<Mutex<HashSet<[u8; 16]>>>,
    /// How many writes arrived again.
    pub(super) again: Arc<AtomicU64>,
}

struct Process {
    refresh: refresh::Deps,
    login: Router,
    session: Router,
    push: Router,
    admin: admin::Deps,
    clock: Arc<Off>,
}

/// A process's clock: the schedule's time, and how far it is off.
struct Off {
    schedule: Arc<Schedule>,
    seconds: u64,
    most: u64,
}

impl Clock for Off {
    fn now_ms(&self) -> Millis {
        (BEGIN + self.seconds - self.most) * 1_000 + self.schedule.now()
    }
}

/// A WeChat of which each code is `user-number`.
struct Wechat {
    schedule: Arc<Schedule>,
    network: Network,
    used: Mutex<HashSet<String>>,
}

/// Nobody asks whether a `session_key` is valid.
#[async_trait]
impl CheckSession for Wechat {
    async fn check(&self, _: &App, _: &OpenId, _: &SessionKey, _: Deadline) -> Result<bool, PlatformError> {
        Ok(true)
    }
}

/// Nobody has one replaced.
#[async_trait]
impl ResetSessionKey for Wechat {
    async fn reset(
        &self,
        _: &App,
        _: &OpenId,
        _: &SessionKey,
        _: Deadline,
    ) -> Result<Option<SessionKey>, PlatformError> {
        Ok(None)
    }
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
        let (again, secrets) = (Arc::default(), Secrets::get().await);
        let mut processes = Vec::new();
        for number in 0..PROCESSES {
            let way = (&wechat, &again);
            processes.push(process(setup, way, secrets, &hooks, number, seed).await);
        }
        let keyring = Arc::new(Keyring::from_secret(&ring(1)).expect("a ring"));
        Self { processes, keyring, reused: hooks.revoked, again }
    }

    pub(super) fn read(&self, text: &str) -> RefreshToken {
        RefreshToken::parse(text, &self.keyring).expect("a token of ours")
    }

    /// Whether a family was found reused.
    pub(super) fn is_reused(&self, family: Family) -> bool {
        self.reused.lock().unwrap_or_else(PoisonError::into_inner).contains(&family.0)
    }
}

/// Read once: making them costs more than a world.
struct Secrets {
    apps: Arc<Secret<Apps>>,
    push: Arc<Secret<PushApps>>,
    verifier: Arc<Secret<AccessVerifier>>,
}

impl Secrets {
    async fn get() -> &'static Self {
        static SECRETS: OnceCell<Secrets> = OnceCell::const_new();
        let apps = json!({ "apps": { APPID: { "secret": "s" } } });
        let push = json!({ "apps": { APPID: { "token": TOKEN } } });
        let public = json!(signing_keys().public());
        let read = async || Self {
            apps: secret(apps.to_string()).await,
            push: secret(push.to_string()).await,
            verifier: secret(public.to_string()).await,
        };
        SECRETS.get_or_init(read).await
    }

    /// WeChat's pushes are obeyed here, and handed to nobody.
    fn push_deps(&self, table: Arc<LateTable>, clock: Arc<Off>) -> push::Deps {
        push::Deps { table, apps: self.push.clone(), target: None, clock, entropy: Arc::new(OsEntropy) }
    }
}

async fn process(
    setup: &Setup,
    (wechat, again): (&Arc<Wechat>, &Arc<AtomicU64>),
    secrets: &Secrets,
    hooks: &Hooks,
    number: usize,
    seed: u64,
) -> Process {
    let (schedule, most) = (&wechat.schedule, setup.network.clocks);
    let seconds = schedule.random(|random| random.below(2 * most + 1));
    let clock = Arc::new(Off { schedule: schedule.clone(), seconds, most });
    let way = Arc::new(Way { schedule: schedule.clone(), network: setup.network });
    let late = |table| {
        let (schedule, again) = (schedule.clone(), again.clone());
        Arc::new(LateTable { table, schedule, network: setup.network, again })
    };
    let hooks = Hooks { torn_refresh: setup.flaw == Some(Flaw::TornRefresh), ..hooks.clone() };
    let plain = setup.table.over(way).hooked(hooks.clone());
    let blind = Hooks { blind_reads: setup.flaw == Some(Flaw::BlindReplay), revoked: Arc::default(), ..hooks };
    let (table, blind) = (late(plain.clone()), late(plain.hooked(blind)));
    let entropy = Arc::new(SeededEntropy::new(seed ^ (number as u64) << 32));
    // Warm processes may differ for a while on which key of the ring is the current one.
    let (keyring, apps) = (secret(ring(1 + number % 2)).await, secrets.apps.clone());
    let login = login_deps(blind, wechat.clone(), clock.clone(), entropy).await;
    let login = login::Deps { apps: apps.clone(), keyring: keyring.clone(), policy: setup.policy, ..login };
    let refresh = refresh::Deps {
        table: table.clone(),
        keyring: keyring.clone(),
        signer: login.signer.clone(),
        access_tokens: login.access_tokens.clone(),
        policy: setup.policy,
        brake: login.brake.clone(),
        senders: login.senders.clone(),
        clock: clock.clone(),
        entropy: Arc::new(OsEntropy),
    };
    let authenticator = Authenticator {
        verifier: secrets.verifier.clone(),
        sessions: table.clone(),
        config: login.access_tokens.clone(),
        brake: login.brake.clone(),
        clock: clock.clone(),
    };
    let session = session::Deps {
        authenticator,
        table: table.clone(),
        platform: wechat.clone(),
        checks: Arc::default(),
        apps: apps.clone(),
        keyring: keyring.clone(),
        senders: login.senders.clone(),
        clock: clock.clone(),
    };
    let push = secrets.push_deps(table.clone(), clock.clone());
    let served = |router| stack(router, Log::new(|_| {}));
    Process {
        refresh,
        login: served(login::router(login)),
        session: served(session::router(session)),
        push: served(push::router(push)),
        admin: admin_deps(table, wechat, apps, keyring, clock.clone()),
        clock,
    }
}

/// What an answer's body holds.
fn held(body: &Value) -> Option<Held> {
    Some(Held {
        refresh: body["refresh_token"].as_str()?.to_owned(),
        access: body["access_token"].as_str()?.to_owned(),
        auth_time: jwt_claims(body["access_token"].as_str()?)["auth_time"].as_u64()?,
        device: body["device"].as_str().map(str::to_owned),
    })
}

impl World {
    /// Serves a request, unless the process ends before.
    pub(super) async fn serve(self: &Arc<Self>, ask: &Ask) -> Response {
        let process = &self.server.processes[self.schedule.random(|random| random.index(PROCESSES))];
        match ask {
            Ask::Refresh(token) => self.refresh(process, token).await,
            Ask::Login { code, key, device } => {
                let body = json!({ "code": code, "appid": APPID, "device": device });
                self.login(process, key, &body).await
            }
            Ask::Look(held) => self.tell(process, held).await,
            Ask::End(user, end) => self.end(process, user, end).await,
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
        let at = token.session();
        let found = peek(self.setup.table.read_session(&at));
        found.is_none_or(|found| found.family != token.family)
    }

    async fn login(&self, process: &Process, key: &str, body: &Value) -> Response {
        let code = body["code"].as_str().unwrap_or_default().to_owned();
        let under_way = self.login_arrives(&code, process.clock.now_ms());
        let request = Request::post("/v1/login")
            .header("content-type", "application/json")
            .header("idempotency-key", key)
            .body(Body::from(body.to_string()));
        let (status, body) = send(&process.login, request).await;
        match held(&body) {
            Some(held) if status == StatusCode::OK => {
                self.seen().figures.logins += 1;
                let token = self.server.read(&held.refresh);
                self.note(|| format!("{} logged in at {}", super::tally::name(&token), held.auth_time - BEGIN));
                self.answered(&under_way, Some(&token));
                Response::Tokens(held)
            }
            _ => {
                self.note(|| format!("{code} {body}"));
                if body["code"] == "user_blocked" {
                    self.answered(&under_way, None);
                    return Response::Blocked;
                }
                if body["action"] == "relogin" { Response::Relogin(None) } else { Response::Retry }
            }
        }
    }

    async fn tell(&self, process: &Process, held: &Held) -> Response {
        let mut seen = String::new();
        for path in ["/v1/session", "/v1/sessions"] {
            let request = Request::get(path).header("authorization", format!("Bearer {}", held.access));
            match send(&process.session, request.body(Body::empty())).await {
                (StatusCode::OK, body) => seen += &body.to_string(),
                (StatusCode::UNAUTHORIZED, _) => return Response::Expired,
                _ => return Response::Retry,
            }
        }
        if self.setup.flaw == Some(Flaw::ExactTimes) {
            let at = self.server.read(&held.refresh).session();
            let rotated_at = peek(self.setup.table.read_session(&at)).map(|session| session.rotated_at);
            seen = format!("{rotated_at:?}");
        }
        Response::Seen(seen)
    }

    async fn end(self: &Arc<Self>, process: &Process, user: &str, end: &End) -> Response {
        let under_way = self.end_arrives(user, process.clock.now_ms(), end);
        self.note(|| format!("{user} {end:?}"));
        let response = match end {
            End::LogOut(held) => delete(process, "/v1/session", held).await,
            End::LogOutAll(held) => delete(process, "/v1/sessions", held).await,
            End::DeleteUser(held) => delete(process, "/v1/user", held).await,
            End::Cancellation => cancel(process, user).await,
            End::Revoke(device) => own(process, "end_session", user, Some(*device)).await,
            End::RevokeAll => own(process, "end_sessions", user, None).await,
            End::Block => own(process, "block", user, None).await,
            End::Unblock => own(process, "unblock", user, None).await,
            End::Delete => own(process, "delete", user, None).await,
        };
        if let Response::Done = response {
            if matches!(end, End::LogOut(_) | End::LogOutAll(_)) {
                self.seen().figures.logouts += 1;
            }
            self.acknowledged(under_way);
        }
        response
    }
}

/// Sends a request to a function: status and body.
async fn send(function: &Router, request: http::Result<Request<Body>>) -> (StatusCode, Value) {
    let mut request = request.expect("a request");
    request.extensions_mut().insert(Origin("https://a.example".to_owned()));
    request.extensions_mut().insert(ClientIp("192.0.2.1".to_owned()));
    request.extensions_mut().insert(RequestId("r".to_owned()));
    request.extensions_mut().insert(Deadline::after(std::time::Duration::from_hours(1)));
    let response = function.clone().oneshot(request).await.expect("infallible");
    let status = response.status();
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 16).await.expect("a body");
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

async fn delete(process: &Process, path: &str, held: &Held) -> Response {
    let request = Request::delete(path).header("authorization", format!("Bearer {}", held.access));
    match send(&process.session, request.body(Body::empty())).await.0 {
        StatusCode::NO_CONTENT => Response::Done,
        StatusCode::UNAUTHORIZED => Response::Expired,
        _ => Response::Retry,
    }
}

/// The token of the app's pushes.
const TOKEN: &str = "token";

/// WeChat's push that a user's account is gone.
async fn cancel(process: &Process, openid: &str) -> Response {
    // Each push has another nonce, and is another message.
    let (now, at) = (process.clock.now().to_string(), process.clock.now_ms());
    let nonce = at.to_string();
    let mut texts = [TOKEN, &now, &nonce];
    texts.sort_unstable();
    let signature = hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, texts.concat().as_bytes()).as_ref());
    let event = "user_authorization_cancellation";
    let body = json!({ "MsgType": "event", "Event": event, "CreateTime": at, "OpenID": openid, "AppID": APPID });
    let request = Request::post(format!("/v1/push?timestamp={now}&nonce={nonce}&signature={signature}"))
        .header("content-type", "application/json");
    match send(&process.push, request.body(Body::from(body.to_string()))).await.0 {
        StatusCode::OK => Response::Done,
        _ => Response::Retry,
    }
}

/// An operation of the owner's backend.
async fn own(process: &Process, operation: &str, openid: &str, device: Option<DeviceId>) -> Response {
    let mut request = json!({ "operation": operation, "appid": APPID, "openid": openid });
    if let Some(device) = device {
        request["device"] = json!(device);
    }
    let request = serde_json::from_value(request).expect("a request");
    match admin::handle(process.admin.clone(), request).await {
        Ok(_) => Response::Done,
        Err(_) => Response::Retry,
    }
}

fn admin_deps(
    table: Arc<LateTable>,
    wechat: &Arc<Wechat>,
    apps: Arc<Secret<Apps>>,
    keyring: Arc<Secret<Keyring>>,
    clock: Arc<Off>,
) -> admin::Deps {
    let brake = shared::brake::Brake::default();
    admin::Deps { table, platform: wechat.clone(), apps, keyring, brake, clock, entropy: Arc::new(OsEntropy) }
}

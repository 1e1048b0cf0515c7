//! All functions in one process over a table in memory, with users who are logged in.

mod parts;
mod wechat;

use std::{
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{Router, body::Body};
use http::{HeaderMap, Request, StatusCode, Uri, request::Builder};
use serde_json::{Value, json};
use shared::{
    brake::Brake,
    clock::{Clock as _, Deadline},
    contract::Operation,
    http::{
        Route,
        extract::{ClientIp, Origin, RequestId},
        record::Log,
    },
    ids::AppId,
    platform_token::PlatformTokens,
    problem::{Code, Problem},
    secrets::Secret,
    session::refresh::RefreshPolicy,
    token::keyring::Keyring,
    wechat::app::{App, Apps},
};
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

use super::{open_data, push};
use crate::{APPID, BEGIN, ManualClock, seeded::SeededEntropy, table::memory::MemoryTable};
use parts::{Parts, Secrets, tokens};
pub(super) use wechat::Given;
use wechat::Wechat;

/// The key of every user.
pub(super) const SESSION_KEY: &str = "tiihtNczf5v6AKRyjwEUhQ==";
const APP_SECRET: &str = "0123456789abcdef0123456789abcdef";
const HOST: &str = "a.example";
const USERS: usize = 4;
/// Twice the longest body that is read.
const LONGEST: usize = 2 * shared::http::LONGEST_BODY;
/// Longer than anything waits, by tokio's clock: it stands still, and goes on to the next timer when nothing else is to do.
const HANG: Duration = Duration::from_mins(1);

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A function that routes lead to.
pub(super) struct Function {
    pub(super) name: &'static str,
    routes: &'static [Route],
    router: Router,
}

impl Function {
    fn serves(&self, path: &str) -> bool {
        self.routes.iter().any(|route| route.path == path)
    }

    /// Whether a success of this request is one of a user: as the contract says of the route, and for a request that it does
    /// not describe, if any route of the function needs an access token.
    pub(super) fn needs_token(&self, method: &str, path: &str) -> bool {
        static OPERATIONS: LazyLock<Vec<Operation>> = LazyLock::new(local::mounts::operations);
        // A logout may name its session by a refresh token instead, and says 204 to any.
        if (method, path) == ("DELETE", "/v1/session") {
            return false;
        }
        // A GET route also takes HEAD.
        let method = if method == "HEAD" { "GET" } else { method };
        let is_asked = |operation: &&Operation| (operation.route.method, operation.route.path) == (method, path);
        let mut ours = OPERATIONS.iter().filter(|operation| self.serves(operation.route.path));
        ours.clone().find(is_asked).map_or_else(|| ours.any(Operation::is_bearer), Operation::is_bearer)
    }
}

pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) code: Option<Code>,
    pub(super) body: Vec<u8>,
    headers: HeaderMap,
}

impl Response {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

/// Who is logged in, and what their buttons give.
pub(super) struct User {
    pub(super) access: String,
    pub(super) refresh: String,
    pub(super) device: String,
    pub(super) openid: String,
    phone: String,
    profile: String,
    pub(super) steps: String,
}

/// One process with its clock, its WeChat and its users.
pub struct World {
    pub(super) users: Vec<User>,
    /// The refresh tokens that were given.
    pub(super) given: Mutex<Vec<String>>,
    pub(super) clock: ManualClock,
    pub(super) keyring: Arc<Keyring>,
    pub(super) authorizer: authorizer::Deps,
    wechat: Arc<Wechat>,
    table: MemoryTable,
    apps: Arc<Secret<Apps>>,
    ring: Arc<Secret<Keyring>>,
    functions: Vec<Function>,
    line: Arc<Mutex<String>>,
    turn: Mutex<usize>,
    runtime: Runtime,
}

impl World {
    pub(super) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime");
        let (table, wechat) = (MemoryTable::default(), Arc::<Wechat>::default());
        let secrets = runtime.block_on(Secrets::get());
        let keyring = runtime.block_on(secrets.keyring.get()).expect("a ring");
        let (clock, line) = (ManualClock::at(BEGIN), Arc::<Mutex<String>>::default());
        let written = line.clone();
        let log = Log::new(move |text| text.clone_into(&mut locked(&written)));
        let parts = Parts { table: &table, wechat: &wechat, secrets, clock: &clock, log };
        let (functions, authorizer) = (runtime.block_on(parts.functions()), parts.authorizer());
        let world = Self {
            users: Vec::new(),
            given: Mutex::default(),
            clock,
            keyring,
            authorizer,
            wechat,
            table,
            apps: secrets.apps.clone(),
            ring: secrets.keyring.clone(),
            functions,
            line,
            turn: Mutex::default(),
            runtime,
        };
        let users = (0..USERS).map(|number| world.log_in(number)).collect();
        // Old enough to be rotated.
        world.clock.advance(RefreshPolicy::default().min_age);
        Self { users, ..world }
    }

    fn log_in(&self, number: usize) -> User {
        let body = json!({ "code": format!("user{number}"), "appid": APPID }).to_string();
        let request = Request::post("/v1/login").header("content-type", "application/json");
        let answer = self.send(request, body.into());
        let text = |name: &str| answer.json()[name].as_str().expect("text").to_owned();
        locked(&self.given).push(text("refresh_token"));
        let openid = text("openid");
        User {
            access: text("access_token"),
            refresh: text("refresh_token"),
            device: text("device"),
            phone: open_data::encrypted(open_data::phone_info(APPID).to_string()),
            profile: open_data::encrypted(open_data::profile(APPID, &openid).to_string()),
            steps: open_data::encrypted(open_data::steps(APPID).to_string()),
            openid,
        }
    }

    /// The user whose turn it is: in turns, as each has so many attempts.
    pub(super) fn user(&self) -> &User {
        &self.users[*locked(&self.turn) % USERS]
    }

    /// Goes on to the next second and the next user.
    pub(super) fn advance(&self) {
        self.clock.advance(1);
        *locked(&self.turn) += 1;
    }

    /// Lets WeChat give this answer until it is told another.
    pub(super) fn give(&self, given: Given) {
        *locked(&self.wechat.given) = Some(given);
    }

    /// The same bytes with `{refresh_token}`, `{access_token}` and the like filled in.
    pub(super) fn render(&self, text: &[u8]) -> Vec<u8> {
        let user = self.user();
        let now = self.clock.now().to_string();
        let push_signature = push::signature(&mut [push::TOKEN, &now, "1"]);
        let names: [(&[u8], &str); 9] = [
            (b"{refresh_token}", &user.refresh),
            (b"{access_token}", &user.access),
            (b"{device}", &user.device),
            (b"{openid}", &user.openid),
            (b"{phone}", &user.phone),
            (b"{userinfo}", &user.profile),
            (b"{opendata}", &user.steps),
            (b"{now}", &now),
            (b"{push_signature}", &push_signature),
        ];
        let (mut out, mut rest) = (Vec::with_capacity(text.len()), text);
        while let Some(at) = rest.iter().position(|byte| *byte == b'{') {
            let (before, after) = rest.split_at(at);
            out.extend_from_slice(before);
            let found = names.iter().find(|(name, _)| after.starts_with(name));
            // A name that was repeated a thousand times would be longer than anything that a gateway lets through.
            if let Some((name, value)) = found.filter(|_| out.len() < LONGEST) {
                out.extend_from_slice(value.as_bytes());
                rest = &after[name.len()..];
            } else {
                out.push(b'{');
                rest = &after[1..];
            }
        }
        out.extend_from_slice(rest);
        out
    }

    /// Lets something end, however long its timers are.
    ///
    /// # Panics
    ///
    /// Where it waits for what does not come.
    pub fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        let work = async { tokio::time::timeout(HANG, work).await };
        self.runtime.block_on(work).unwrap_or_else(|_| panic!("a hang"))
    }

    /// The function that the path leads to; the first where there is none, as the gateway lets no such request through.
    pub(super) fn function(&self, path: &str) -> &Function {
        self.functions.iter().find(|function| function.serves(path)).unwrap_or(&self.functions[0])
    }

    /// The name of the function that serves each route of the contract.
    ///
    /// # Panics
    ///
    /// Where none does: the world lacks a function.
    #[must_use]
    pub fn serving() -> Vec<&'static str> {
        let functions = Self::new().functions;
        let serving = |operation: Operation| {
            let function = functions.iter().find(|function| function.serves(operation.route.path));
            function.unwrap_or_else(|| panic!("the world has no function for {}", operation.route.path)).name
        };
        local::mounts::operations().into_iter().map(serving).collect()
    }

    /// The answer of the function that the path of the request leads to.
    pub(super) fn send(&self, request: Builder, body: Vec<u8>) -> Response {
        let router = self.function(request.uri_ref().map_or("", Uri::path)).router.clone();
        let _entered = self.runtime.enter();
        let request = request
            .extension(Origin(format!("https://{HOST}")))
            .extension(ClientIp("192.0.2.1".to_owned()))
            .extension(RequestId("request-1".to_owned()))
            .extension(Deadline::after(Duration::from_secs(10)))
            .body(Body::from(body))
            .expect("a request");
        self.wait(async {
            let (parts, body) = router.oneshot(request).await.unwrap_or_else(|never| match never {}).into_parts();
            let code = parts.extensions.get::<Problem>().map(Problem::code);
            let body = axum::body::to_bytes(body, usize::MAX).await.expect("a body").into();
            Response { status: parts.status, code, body, headers: parts.headers }
        })
    }

    /// The answer of a function to an event.
    pub(super) fn call(&self, function: &Function, event: Value) -> Result<Value, shared::lambda::Error> {
        self.wait(shared::lambda::call(&function.router, event, "request-1"))
    }

    /// What all answers have in common, and its name. A 5xx is right only if it is among the excused.
    pub(super) fn judge(&self, answer: &Response, excused: &[Code]) -> &'static str {
        let (status, body) = (answer.status, String::from_utf8_lossy(&answer.body));
        let is_excused = answer.code.is_some_and(|code| excused.contains(&code));
        assert!(!status.is_server_error() || is_excused, "{status} {body}");
        assert!(answer.headers.contains_key("x-request-id") && answer.headers.contains_key("cache-control"));
        self.keeps_secrets(&body);
        let Some(code) = answer.code else {
            assert!(status.is_success(), "{status} {body}");
            return "done";
        };
        let problem = answer.json();
        assert_eq!((status, &problem["code"]), (code.status(), &code.as_str().into()), "{body}");
        assert_eq!(problem["status"], status.as_u16(), "{body}");
        code.as_str()
    }

    /// Neither an answer nor the log line shows what WeChat's are.
    pub(super) fn keeps_secrets(&self, answer: &str) {
        let line = locked(&self.line);
        for secret in [SESSION_KEY, APP_SECRET, push::TOKEN] {
            assert!(!answer.contains(secret) && !line.contains(secret), "{secret} in {answer} or {line}");
        }
    }

    /// Whether the log line of the last request has this verdict.
    pub(super) fn notes(&self, verdict: &str) -> bool {
        locked(&self.line).contains(&format!(r#""verdict":"{verdict}""#))
    }

    /// The function that gives platform tokens, with none so far.
    pub(super) fn platform(&self) -> platform::Deps {
        platform::Deps { platform: self.tokens(), apps: self.apps.clone() }
    }

    /// Platform tokens, with none so far.
    pub(super) fn tokens(&self) -> Arc<PlatformTokens> {
        tokens(&Arc::default(), &self.wechat, &self.ring, &self.clock)
    }

    /// The function that signs, over the table of this world.
    pub(super) fn sign(&self) -> sign::Deps {
        let (apps, keyring) = (self.apps.clone(), self.ring.clone());
        sign::Deps { table: Arc::new(self.table.clone()), platform: self.tokens(), apps, keyring }
    }

    /// The owner's function, over a copy of the table: what it does stays without consequence.
    pub(super) fn admin(&self) -> admin::Deps {
        admin::Deps {
            table: Arc::new(self.table.copied()),
            platform: self.tokens(),
            apps: self.apps.clone(),
            keyring: self.ring.clone(),
            brake: Brake::default(),
            clock: Arc::new(self.clock.clone()),
            entropy: Arc::new(SeededEntropy::new(0)),
        }
    }

    /// The mini program of the users.
    pub(super) fn app(&self) -> App {
        let apps = self.wait(self.apps.get()).expect("the apps");
        apps.find(Some(&Self::appid())).expect("the app").clone()
    }

    /// The mini program that all users are of.
    pub(super) fn appid() -> AppId {
        AppId::parse(APPID).expect("an appid")
    }
}

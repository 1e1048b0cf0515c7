//! Functions whose process is killed (`SIGKILL`), the binaries: what the same request gives when it is sent again.
//!
//! Each request of the process to the table and to WeChat waits on a [`Wire`], so that the process dies exactly where it is
//! meant to: before a request arrives, or after it was done and before its answer comes.

pub mod figures;
pub mod instances;
pub mod owner;
mod pushes;

pub use pushes::{Pushes, pushes};

use std::{path::Path, process::Command};

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use shared::token::jwks::KeyKind;

use crate::{
    Folder, Laptop, event,
    runtime_api::{Function, binary, function},
    wire::{Waiting, Wire},
};

const USER: &str = "alice";

/// How many processes die side by side: most of the time is spent waiting.
const AT_ONCE: usize = 4;

/// A table, a WeChat, secrets, and the binaries that use them.
struct House<'a> {
    laptop: Laptop,
    secrets: Folder,
    binaries: &'a Path,
}

impl<'a> House<'a> {
    async fn of(binaries: &'a Path) -> Self {
        let (laptop, secrets) = (Laptop::start().await, Folder::new());
        local::secrets::SecretFiles::in_folder(&secrets.0, KeyKind::Ec).expect("secrets");
        Self { laptop, secrets, binaries }
    }

    fn command(&self, name: &str) -> Command {
        let mut command = function(&binary(self.binaries, name), &self.laptop, &self.secrets);
        // The clock of a binary is the machine's, and a session must not wait before it is rotated.
        command.env("WXAUTH_MIN_AGE_SECONDS", "0");
        command
    }

    async fn function(&self, name: &str) -> Function {
        Function::start(self.command(name)).await
    }

    /// A process each of whose requests waits.
    async fn doomed(&self, name: &str) -> (Function, Wire) {
        let wire = Wire::to(&[&self.laptop.world.dynamodb_url, &self.laptop.world.wechat_url]).await;
        let mut command = self.command(name);
        command.env("AWS_ENDPOINT_URL_DYNAMODB", &wire.urls[0]).env("WXAUTH_WECHAT_URL", &wire.urls[1]);
        wire.hold();
        (Function::start(command).await, wire)
    }

    /// What a process of its own answers.
    async fn ask(&self, name: &str, event: &Value) -> Response {
        Response::read(&self.function(name).await.invoke(event).await)
    }

    async fn log_in(&self) -> Response {
        self.ask("login", &login(&self.laptop.code(USER))).await
    }

    /// The generation of the one session.
    async fn generation(&self) -> String {
        let items = self.laptop.items().await;
        let generation = items.values().find_map(|item| item.get("generation")?.as_n().ok());
        generation.expect("a session").clone()
    }

    /// A phone code of the user's, as the client sends it.
    fn tap(&self, tokens: &Response) -> Value {
        let tap = self.laptop.sim("phone", json!({ "user": USER }));
        with_bearer(tokens, &json!({ "code": tap["code"] }))
    }

    /// Whether these tokens are good for a refresh and for what is encrypted with the `session_key` of their login.
    async fn are_alive(&self, tokens: &Response) -> bool {
        let tap = self.laptop.sim("phone", json!({ "user": USER }));
        let data = json!({ "encryptedData": tap["encryptedData"], "iv": tap["iv"] });
        let phone = self.ask("phone", &with_bearer(tokens, &data)).await;
        let refreshed = self.ask("refresh", &refresh(&tokens.text("refresh_token"))).await;
        phone.is_ok() && refreshed.is_ok()
    }
}

fn login(code: &str) -> Value {
    let mut event = event("POST", "/v1/login", &json!({ "code": code }).to_string());
    event["headers"]["idempotency-key"] = "one-login-one-key".into();
    event
}

fn refresh(token: &str) -> Value {
    event("POST", "/v1/refresh", &json!({ "refresh_token": token }).to_string())
}

fn with_bearer(tokens: &Response, body: &Value) -> Value {
    let mut event = event("POST", "/v1/phone", &body.to_string());
    event["headers"]["authorization"] = format!("Bearer {}", tokens.text("access_token")).into();
    event
}

/// Status and body that a client gets.
struct Response {
    status: u64,
    body: Value,
}

impl Response {
    fn read(answer: &Value) -> Self {
        let body = serde_json::from_str(answer["body"].as_str().unwrap_or_default());
        Self { status: answer["statusCode"].as_u64().expect("a status"), body: body.expect("JSON") }
    }

    fn is_ok(&self) -> bool {
        self.status == 200
    }

    fn text(&self, member: &str) -> String {
        self.body[member].as_str().unwrap_or_else(|| panic!("no {member}: {}", self.body)).to_owned()
    }
}

/// Kills a process before this request of it is done.
fn kill_before(doomed: &mut Function, request: Waiting) {
    doomed.kill();
    request.fail();
}

/// Kills a process whose request was done, before the answer comes.
async fn kill_after(doomed: &mut Function, request: Waiting) {
    request.keep().await;
    doomed.kill();
}

/// What came of refreshes whose process was killed between the write and the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refreshes {
    /// How many were killed.
    pub killed: u64,
    /// How often the same request again, and once more, gave the successor that the table held already, alive.
    pub replayed: u64,
}

pub async fn refreshes(binaries: &Path, count: u64) -> Refreshes {
    let house = House::of(binaries).await;
    let mut other = house.function("refresh").await;
    let mut token = house.log_in().await.text("refresh_token");
    let mut refreshes = Refreshes::default();
    for _ in 0..count {
        let (mut doomed, mut wire) = house.doomed("refresh").await;
        doomed.give(&refresh(&token));
        let write = wire.arrival().await;
        kill_after(&mut doomed, write).await;
        let written = house.generation().await;

        let first = Response::read(&other.invoke(&refresh(&token)).await);
        let again = Response::read(&other.invoke(&refresh(&token)).await);

        refreshes.killed += 1;
        let unwritten = house.generation().await == written;
        if !(first.is_ok() && again.is_ok() && unwritten) {
            continue;
        }
        let successor = first.text("refresh_token");
        let alive = Response::read(&other.invoke(&refresh(&successor)).await);
        refreshes.replayed +=
            u64::from(successor != token && successor == again.text("refresh_token") && alive.is_ok());
        if alive.is_ok() {
            token = alive.text("refresh_token");
        }
    }
    refreshes
}

/// Where a login is killed.
#[derive(Clone, Copy, Debug)]
enum Step {
    BeforeWechat,
    AfterWechat,
    /// After these of the three writes: user, session, idempotency record.
    Writes([bool; 3]),
    BeforeTheLook,
    AfterTheLook,
    /// The answer is made, and reaches nobody.
    BeforeTheAnswer,
}

impl Step {
    fn all() -> Vec<Self> {
        let writes = (0..8_u8).map(|set| Self::Writes([set & 1 > 0, set & 2 > 0, set & 4 > 0]));
        let before = [Self::BeforeWechat, Self::AfterWechat];
        let after = [Self::BeforeTheLook, Self::AfterTheLook, Self::BeforeTheAnswer];
        before.into_iter().chain(writes).chain(after).collect()
    }

    /// Lets a login come to this step, and kills it.
    async fn reach(self, doomed: &mut Function, wire: &mut Wire) {
        let exchange = wire.arrival().await;
        assert_eq!(exchange.operation, "jscode2session");
        match self {
            Self::BeforeWechat => return kill_before(doomed, exchange),
            Self::AfterWechat => return kill_after(doomed, exchange).await,
            _ => exchange.pass().await,
        }
        let mut writes = [wire.arrival().await, wire.arrival().await, wire.arrival().await];
        writes.sort_by_key(|write| [write.operation == "UpdateItem", write.puts("session#"), true].map(|is| !is));
        if let Self::Writes(done) = self {
            let mut undone = Vec::new();
            for (write, done) in writes.into_iter().zip(done) {
                if done { write.keep().await } else { undone.push(write) }
            }
            doomed.kill();
            return undone.into_iter().for_each(Waiting::fail);
        }
        for write in writes {
            write.pass().await;
        }
        let look = wire.arrival().await;
        assert_eq!(look.operation, "Query");
        match self {
            Self::BeforeTheLook => kill_before(doomed, look),
            Self::AfterTheLook => kill_after(doomed, look).await,
            _ => {
                look.pass().await;
                let _ = doomed.answer().await;
                doomed.kill();
            }
        }
    }
}

/// What came of logins that were killed, once at each step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Logins {
    /// How many were killed.
    pub killed: u64,
    /// How often the same request again, and once more, gave one token that lives.
    pub repeated: u64,
    /// How often it was refused with `relogin`, and a new login went well.
    pub relogins: u64,
    /// How often it gave tokens that are dead on arrival, or two different ones.
    pub dead: u64,
    /// The most calls to WeChat that a login and its repetition made.
    pub wechat_calls: u64,
}

/// Kills a login at each of its steps, so many times.
pub async fn logins(binaries: &Path, rounds: u64) -> Logins {
    let mut all = Logins::default();
    for _ in 0..rounds {
        let mut killed = stream::iter(Step::all()).map(|step| killed_at(binaries, step)).buffer_unordered(AT_ONCE);
        while let Some(one) = killed.next().await {
            all.killed += 1;
            all.repeated += one.repeated;
            all.relogins += one.relogins;
            all.dead += one.dead;
            all.wechat_calls = all.wechat_calls.max(one.wechat_calls);
        }
    }
    all
}

async fn killed_at(binaries: &Path, step: Step) -> Logins {
    let house = House::of(binaries).await;
    let request = login(&house.laptop.code(USER));
    let (mut doomed, mut wire) = house.doomed("login").await;
    doomed.give(&request);
    step.reach(&mut doomed, &mut wire).await;

    let first = house.ask("login", &request).await;

    let wechat_calls = house.laptop.simulator.calls("jscode2session");
    let mut came = Logins { wechat_calls, ..Logins::default() };
    if first.is_ok() {
        let again = house.ask("login", &request).await;
        let same = ["refresh_token", "device", "new_user"].iter().all(|name| first.body[name] == again.body[name]);
        let alive = same && house.are_alive(&again).await;
        *(if alive { &mut came.repeated } else { &mut came.dead }) += 1;
    } else if first.body["action"] == "relogin" {
        came.relogins += u64::from(house.log_in().await.is_ok());
    }
    came
}

/// What came of phone codes whose redemption was killed before and after each of its requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phones {
    /// How many were killed.
    pub killed: u64,
    /// How often the same request again gave the number, and WeChat was paid once.
    pub numbers: u64,
    /// How often it asked for another tap, which gave the number: the code was spent, and what it gave was not stored.
    pub taps: u64,
}

/// Kills the redemption of a phone code before and after each of its requests.
pub async fn phones(binaries: &Path) -> Phones {
    let mut phones = Phones::default();
    let each = |requests| async move {
        tokio::join!(Box::pin(redeemed(binaries, requests, false)), Box::pin(redeemed(binaries, requests, true)))
    };
    let mut each = stream::iter(0..).map(each).buffered(AT_ONCE);
    while let Some((Some(before), Some(after))) = each.next().await {
        for one in [before, after] {
            phones.killed += 1;
            phones.numbers += one.numbers;
            phones.taps += one.taps;
        }
    }
    phones
}

/// Kills a redemption when so many of its requests are done: before the next one is, or after. `None` if there is no next.
async fn redeemed(binaries: &Path, requests: u32, after: bool) -> Option<Phones> {
    let house = House::of(binaries).await;
    let tokens = house.log_in().await;
    // WeChat's token is fetched beforehand, so that the redemption makes the same requests each time.
    assert!(house.ask("phone", &house.tap(&tokens)).await.is_ok());
    let paid = || house.laptop.simulator.calls("getuserphonenumber");
    let (request, paid_before) = (house.tap(&tokens), paid());
    let (mut doomed, mut wire) = house.doomed("phone").await;
    doomed.give(&request);
    for _ in 0..requests {
        wire.arrival().await.pass().await;
    }
    let next = tokio::select! {
        next = wire.arrival() => next,
        _ = doomed.answer() => return None,
    };
    if after {
        kill_after(&mut doomed, next).await;
    } else {
        kill_before(&mut doomed, next);
    }

    let mut again = house.ask("phone", &request).await;
    // Nobody knows that the process is dead, until no request can live any more.
    for _ in 0..2 {
        if again.body["action"] == "retry" {
            again = house.ask("phone", &request).await;
        }
    }

    let mut came = Phones::default();
    if again.is_ok() {
        came.numbers += u64::from(paid() == paid_before + 1);
    } else if again.body["action"] == "relogin_then_retap" {
        came.taps += u64::from(house.ask("phone", &house.tap(&tokens)).await.is_ok());
    }
    Some(came)
}

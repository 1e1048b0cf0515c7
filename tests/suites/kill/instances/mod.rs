//! Pushes to instances in this process, which die at a step of theirs: the future of an instance is dropped before or after one of
//! its requests, or with its answer at hand.
//!
//! WeChat is the simulator: it makes the messages, in every mode, form and kind, repeats them, and says whether an answer
//! acknowledges one. What is acknowledged is judged at once, so that nothing which comes later can mend it.

mod doom;
mod function;
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use serde_json::{Value, json};
use shared::{ids::UserRef, session::idempotency::CodeHash};
use tokio::time::{sleep, timeout};

use self::{
    doom::Doom,
    function::{Function, Run},
    world::{AES_KEY, Login, OTHER, World},
};
use crate::{APPID, seeded::Seeded};

/// So many messages share a table: the simulator remembers a thousand.
const WORLD: u64 = 500;

/// WeChat's tries, one every five seconds; it waits no longer for an answer, and three seconds about a refund.
const TRIES: u64 = 3;
const PAUSE: Duration = Duration::from_secs(5);

/// Further tries, to instances that live, until the message is acknowledged. Nobody thinks by then that a dead one lives.
const FURTHER: u64 = 8;
const LATER: Duration = Duration::from_secs(13);

/// More steps than any instance has.
const STEPS: u64 = 32;

/// After so many steps of a delivery it is known when the message first came: the signature is bound, and the arrival noted.
const NOTED: u64 = 4;

/// How `push` may be broken, so that the suite is seen to notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// WeChat is answered before the owner's function has.
    AnswersForTheOwner,
    /// What is to be done about a message is noted as done when it begins.
    NotesFirst,
    /// It is not known whether a message came before.
    ForgetsArrivals,
}

/// What came of messages whose instances died.
#[derive(Debug, Default)]
pub struct Tally {
    pub messages: u64,
    /// Instances that died, and at which of their steps.
    pub killed: u64,
    pub steps: BTreeSet<u64>,
    /// Messages by kind, and by mini program, mode and form.
    pub kinds: BTreeMap<&'static str, u64>,
    pub forms: BTreeMap<String, u64>,
    pub acknowledged: u64,
    /// Acknowledged, and reached neither the table nor the owner's function.
    pub lost: Vec<String>,
    /// Not acknowledged in the end, although nothing died any more.
    pub stuck: Vec<String>,
    /// Logins and numbers of users who came back after a message about them, and those of them that a repetition took away.
    pub since: u64,
    pub ended: Vec<String>,
    /// How often the owner's function ran for a message once more.
    pub asked_again: u64,
}

impl Tally {
    fn count(&mut self, message: &Message) {
        self.messages += 1;
        *self.kinds.entry(message.event).or_default() += 1;
        let form = format!("{} {} {}", message.appid, message.wanted["mode"], message.wanted["format"]);
        *self.forms.entry(form).or_default() += 1;
    }

    fn and(mut self, other: Self) -> Self {
        self.messages += other.messages;
        self.killed += other.killed;
        self.steps.extend(other.steps);
        for (kind, count) in other.kinds {
            *self.kinds.entry(kind).or_default() += count;
        }
        for (form, count) in other.forms {
            *self.forms.entry(form).or_default() += count;
        }
        self.acknowledged += other.acknowledged;
        self.lost.extend(other.lost);
        self.stuck.extend(other.stuck);
        self.since += other.since;
        self.ended.extend(other.ended);
        self.asked_again += other.asked_again;
        self
    }
}

/// Pushes so many messages, in two threads. The seed decides everything.
pub fn run(count: u64, seed: u64, flaw: Option<Flaw>) -> Tally {
    let half = |count: u64, seed: u64| {
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
            runtime.expect("a runtime").block_on(worlds(count, seed, flaw))
        })
    };
    let halves = [half(count / 2, seed), half(count - count / 2, !seed)];
    halves.into_iter().map(|half| half.join().expect("it does not panic")).fold(Tally::default(), Tally::and)
}

async fn worlds(count: u64, seed: u64, flaw: Option<Flaw>) -> Tally {
    let (mut random, mut tally) = (Seeded::new(seed), Tally::default());
    for first in (0..count).step_by(usize::try_from(WORLD).expect("small")) {
        let world = World::new(random.number(), flaw).await;
        for number in first..(first + WORLD).min(count) {
            let message = Message::random(&world, number, &mut random).await;
            Box::pin(message.deliver(&world, &mut random, &mut tally)).await;
        }
    }
    tally
}

/// What a message takes away, and what of it was there before.
enum Deletes {
    Nothing,
    User(UserRef, Vec<Login>),
    Number(UserRef, CodeHash),
}

struct Message {
    number: u64,
    event: &'static str,
    appid: &'static str,
    /// As WeChat is told to send it.
    wanted: Value,
    deletes: Deletes,
    /// The owner's function; nothing, where there is none.
    function: Option<Arc<Function>>,
}

const CANCELLATION: &str = "user_authorization_cancellation";
const REVOCATION: &str = "user_authorization_revoke";
const REFUND_QUERY: &str = "xpay_subscribe_ios_refund_query_notify";

/// The kinds of messages, those that delete something as often as all others.
const EVENTS: [&str; 18] = [
    CANCELLATION,
    REVOCATION,
    "xpay_goods_deliver_notify",
    CANCELLATION,
    "xpay_coin_pay_notify",
    "xpay_refund_notify",
    CANCELLATION,
    "xpay_complaint_notify",
    REFUND_QUERY,
    CANCELLATION,
    "xpay_wxpay_callback_notify",
    "xpay_subscribe_signing_result_notify",
    REVOCATION,
    "minigame_game_pay_goods_deliver_notify",
    "text",
    CANCELLATION,
    "user_enter_tempsession",
    "user_info_modified",
];

fn is_about_money(event: &str) -> bool {
    event.starts_with("xpay_") || event.starts_with("minigame_")
}

impl Message {
    async fn random(world: &World, number: u64, random: &mut Seeded) -> Self {
        let event = EVENTS[random.index(EVENTS.len())];
        let (appid, modes) =
            if random.one_in(2) { (APPID, ["secure", "compatible"]) } else { (OTHER, ["plain", "compatible"]) };
        let name = format!("user-{number}");
        let (mode, format) = (modes[random.index(2)], if random.one_in(2) { "json" } else { "xml" });
        let mut wanted = json!({ "user": name, "appid": appid, "event": event, "mode": mode, "format": format });
        if appid == OTHER && mode == "compatible" {
            // The console has a key, and the server none.
            wanted["encoding_aes_key"] = AES_KEY.into();
        }
        let user = world.user(appid, &name);
        let deletes = match event {
            CANCELLATION => {
                let mut logins = vec![world.log_in(&user).await];
                if random.one_in(2) {
                    logins.push(world.log_in(&user).await);
                }
                Deletes::User(user, logins)
            }
            REVOCATION => {
                wanted["RevokeInfo"] = "8".into();
                world.log_in(&user).await;
                let number = world.keep_number(&user, "before").await;
                Deletes::Number(user, number)
            }
            _ => Deletes::Nothing,
        };
        let consent = match event {
            REFUND_QUERY => r#"{"result_code":1,"result_info":"","evidence":"delivered"}"#,
            _ if is_about_money(event) => [r#"{"ErrCode":0}"#, "null", "\"success\""][random.index(3)],
            _ => ["null", "", r#"{"ErrCode":0}"#][random.index(3)],
        };
        let runs: Vec<_> = (0..random.below(3)).map(|_| Run::random(random)).collect();
        let is_alone = !is_about_money(event) && random.one_in(6);
        let function = (!is_alone).then(|| Function::new(consent, runs));
        Self { number, event, appid, wanted, deletes, function }
    }

    fn name(&self) -> String {
        let Value::Object(wanted) = &self.wanted else { unreachable!("it is made above") };
        format!(
            "message {}: {} of {} in {} as {}",
            self.number, self.event, self.appid, wanted["mode"], wanted["format"]
        )
    }

    async fn deliver(self, world: &Arc<World>, random: &mut Seeded, tally: &mut Tally) {
        tally.count(&self);
        // Apple's question comes after the payment.
        sleep(Duration::from_secs(1)).await;
        let patience = if self.event == REFUND_QUERY { Duration::from_secs(3) } else { PAUSE };
        let (mut id, mut is_acknowledged, mut further) = (Value::Null, false, 0);
        let mut came_back = CameBack::default();
        // Whether it is known when the message first came, and whether a delivery came to its end.
        let (mut is_noted, mut is_obeyed, mut dooms) = (false, false, Vec::new());
        for tries in 0..TRIES + FURTHER {
            let is_doomed = tries < TRIES && !random.one_in(5);
            if is_acknowledged && (further > 1 || random.one_in(2)) {
                break;
            }
            further += u64::from(is_acknowledged);
            let request = if tries == 0 {
                world.sim("push", self.wanted.clone())
            } else {
                world.sim("repeat", json!({ "id": id, "first_timestamp": random.one_in(3) }))
            };
            id = request["id"].clone();
            // Each step in turn, and what comes of several deaths of one message by chance.
            let step = if tries == 0 { self.number % STEPS } else { random.below(STEPS) };
            let doom = Arc::new(if is_doomed { Doom::at(step) } else { Doom::never() });
            let began = tokio::time::Instant::now();
            // An instance that WeChat does not wait for runs on.
            let instance = tokio::spawn(world.clone().push(request, self.function.clone(), doom.clone()));
            let answer = timeout(patience, instance).await.ok();
            if let Some((status, body)) = answer.and_then(|answer| answer.expect("it does not panic")) {
                is_obeyed = true;
                let told = json!({ "id": id, "status": status, "body": body });
                if world.sim("answer", told)["acknowledged"] == true {
                    is_acknowledged = true;
                    self.judge(world, tally).await;
                }
            }
            is_noted |= doom.steps() >= NOTED;
            dooms.push(doom);
            if is_noted && random.one_in(2) {
                came_back.to(world, &self.deletes, is_obeyed).await;
            }
            let pause = if tries + 1 < TRIES { PAUSE } else { LATER };
            sleep(pause.saturating_sub(began.elapsed())).await;
        }
        // Whoever WeChat did not wait for ends by then.
        sleep(LATER).await;
        let deaths: Vec<_> = dooms.iter().filter_map(|doom| doom.died_at()).collect();
        tally.killed += deaths.len() as u64;
        tally.steps.extend(deaths);
        if is_acknowledged {
            tally.acknowledged += 1;
            self.judge(world, tally).await;
        } else {
            tally.stuck.push(self.name());
        }
        tally.asked_again += self.function.as_ref().map_or(0, |function| function.asked().saturating_sub(1));
        tally.since += came_back.count();
        if let Some(gone) = came_back.gone(world).await {
            tally.ended.push(format!("{}: {gone}", self.name()));
        }
    }

    /// Whether an acknowledged message has reached whom it concerns.
    async fn judge(&self, world: &World, tally: &mut Tally) {
        let mut missed = Vec::new();
        if self.function.as_ref().is_some_and(|function| !function.has_taken()) {
            missed.push("the owner's function".to_owned());
        }
        match &self.deletes {
            Deletes::Nothing => {}
            Deletes::User(user, logins) => {
                for login in logins {
                    if world.is_logged_in(login).await {
                        missed.push("a session".to_owned());
                    }
                }
                let before = logins.iter().map(|login| login.arrived_ms).max().unwrap_or_default() / 1_000;
                if world.stored_since(user).await.is_some_and(|since| since <= before) {
                    missed.push("the user".to_owned());
                }
            }
            Deletes::Number(_, number) => {
                if world.has_number(number).await {
                    missed.push("the phone number".to_owned());
                }
            }
        }
        if !missed.is_empty() {
            tally.lost.push(format!("{}: {}", self.name(), missed.join(", ")));
        }
    }
}

/// What a user did after the message about them had come.
#[derive(Default)]
struct CameBack {
    logins: Vec<Login>,
    numbers: Vec<CodeHash>,
}

impl CameBack {
    /// The user logs in again, or gives another number. A number that is given while the revocation is not done may go with it.
    async fn to(&mut self, world: &World, deletes: &Deletes, is_obeyed: bool) {
        match deletes {
            Deletes::User(user, _) => self.logins.push(world.log_in(user).await),
            Deletes::Number(user, _) if is_obeyed => {
                let code = format!("since-{}", self.numbers.len());
                self.numbers.push(world.keep_number(user, &code).await);
            }
            Deletes::Number(..) | Deletes::Nothing => {}
        }
    }

    fn count(&self) -> u64 {
        (self.logins.len() + self.numbers.len()) as u64
    }

    /// What is gone of it.
    async fn gone(&self, world: &World) -> Option<&'static str> {
        // Of more logins than devices, the oldest go.
        for login in self.logins.iter().rev().take(4) {
            if !world.is_logged_in(login).await {
                return Some("a session");
            }
            if !world.has_key(&login.user).await {
                return Some("a session_key");
            }
        }
        for number in &self.numbers {
            if !world.has_number(number).await {
                return Some("a phone number");
            }
        }
        None
    }
}

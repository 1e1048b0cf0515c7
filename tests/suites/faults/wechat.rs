//! What goes wrong at WeChat or on the way there: a login, under way while it happens.

use std::time::Duration;

use futures_util::{StreamExt as _, future::join_all, stream};

use super::{
    Case, Login, Outcome, a_few, is_alive, must,
    proxy::{Fault, Proxy, Then},
    said, settle_login,
};
use crate::{Laptop, Response, Tokens};

/// More failures in a row, and the breaker answers in place of WeChat.
const USERS: u64 = 2;

/// How many processes fail at once.
const PROCESSES: usize = 50;

/// How WeChat fails.
#[derive(Clone, Copy)]
enum Way {
    /// Nothing listens.
    Refused,
    /// No host has this name.
    Nameless,
    /// What listens does not speak TLS.
    NoTls,
    /// A request meets this; it may differ from process to process.
    Meets(fn(u64) -> Fault),
    /// The code was exchanged before, and the answer to that login was lost.
    Used,
}

impl Way {
    /// What the log says of a request that met it, where no proxy can count it.
    fn logged(self) -> &'static str {
        match self {
            Self::Refused => "tcp connect error: Connection refused",
            Self::NoTls => "received corrupt message",
            // A resolver that is asked by many may also be slower than a connection may be.
            Self::Meets(_) | Self::Nameless => "",
            Self::Used => r#""wechat.errcode":40163"#,
        }
    }
}

struct Plan {
    fault: &'static str,
    way: Way,
    answer: &'static str,
    /// How often a code is sent to WeChat.
    sent: u32,
}

/// Longer than a login waits for WeChat.
const LATE: Duration = Duration::from_secs(8);
const BUSY: &str = r#"{"errcode":-1,"errmsg":"system error, rid: 1-2-3"}"#;
const QUOTA: &str = r#"{"errcode":45011,"errmsg":"api minute-quota reach limit, rid: 1-2-3"}"#;

const PLANS: [Plan; 15] = [
    Plan { fault: "WeChat: connect refused", way: Way::Refused, answer: "504 wechat_timeout", sent: 0 },
    Plan { fault: "WeChat: DNS failure", way: Way::Nameless, answer: "504 wechat_timeout", sent: 0 },
    Plan { fault: "WeChat: TLS failure", way: Way::NoTls, answer: "504 wechat_timeout", sent: 0 },
    Plan {
        fault: "WeChat: reset before the answer",
        way: Way::Meets(|at| match at % 3 {
            0 => Fault::before(Then::Reset),
            1 => Fault::after(Then::Reset),
            _ => Fault::after(Then::HalfClose),
        }),
        answer: "504 wechat_timeout",
        sent: 1,
    },
    Plan {
        fault: "WeChat: reset mid-body",
        way: Way::Meets(|_| Fault::after(Then::ResetMidBody)),
        answer: "504 wechat_timeout",
        sent: 1,
    },
    Plan {
        fault: "WeChat: slow headers past the timeout",
        way: Way::Meets(|at| {
            if at.is_multiple_of(2) { Fault::after(Then::Late(LATE)) } else { Fault::before(Then::Silence) }
        }),
        answer: "504 wechat_timeout",
        sent: 1,
    },
    Plan {
        fault: "WeChat: slow body",
        way: Way::Meets(|at| Fault::after(if at.is_multiple_of(2) { Then::SilenceMidBody } else { Then::Drip })),
        answer: "504 wechat_timeout",
        sent: 1,
    },
    Plan {
        fault: "WeChat: HTTP 500",
        way: Way::Meets(|_| Fault::say("500 Internal Server Error", "<html>")),
        answer: "502 wechat_error",
        sent: 1,
    },
    Plan {
        fault: "WeChat: HTTP 200 with HTML",
        way: Way::Meets(|_| Fault::say("200 OK", "<html><h1>502 Bad Gateway</h1></html>")),
        answer: "502 wechat_error",
        sent: 1,
    },
    Plan {
        fault: "WeChat: empty body",
        way: Way::Meets(|_| Fault::say("200 OK", "")),
        answer: "502 wechat_error",
        sent: 1,
    },
    Plan { fault: "WeChat: -1 once", way: Way::Meets(|_| Fault::say("200 OK", BUSY).once()), answer: "200", sent: 2 },
    Plan {
        fault: "WeChat: -1 for ever",
        way: Way::Meets(|_| Fault::say("200 OK", BUSY)),
        answer: "503 wechat_busy",
        sent: 2,
    },
    Plan {
        fault: "WeChat: 45011",
        way: Way::Meets(|_| Fault::say("200 OK", QUOTA)),
        answer: "503 wechat_busy",
        sent: 1,
    },
    Plan { fault: "WeChat: 40163 after a success", way: Way::Used, answer: "200", sent: 2 },
    Plan {
        fault: "WeChat: idle connection closed silently",
        way: Way::Meets(|_| Fault::before(Then::Silence).on_idle()),
        answer: "504 wechat_timeout",
        sent: 1,
    },
];

pub(super) async fn run(times: u64) -> Vec<Outcome> {
    stream::iter(&PLANS).map(|plan| play(plan, times)).buffered(4).collect().await
}

async fn play(plan: &Plan, times: u64) -> Outcome {
    let (laptop, mut outcome) = (Laptop::start().await, Outcome::of(plan.fault));
    // Who shares a process shares its one idle connection, and only one of them can meet it.
    let is_idle = matches!(plan.way, Way::Meets(fault) if fault(0).idle);
    let users = if is_idle { 1 } else { USERS.min(times.div_ceil(3)) };
    // Each is struck as soon as it is ready: an idle connection is kept for seconds only.
    let processes = (0..times.div_ceil(users)).map(async |at| {
        let ready = a_few(Box::pin(Process::start(&laptop, plan, at, users))).await;
        let (struck, answers) = ready.strike(plan.way).await;
        a_few(struck.settle(plan, answers)).await
    });
    let mut processes = stream::iter(processes).buffer_unordered(PROCESSES);
    while let Some(cases) = processes.next().await {
        outcome.add(cases);
    }
    outcome
}

/// A process of its own, whose WeChat fails for a few users at once.
struct Process<'a> {
    at: u64,
    healthy: &'a Laptop,
    laptop: Laptop,
    way: Proxy,
    is_tls: bool,
    users: Vec<User>,
}

/// Somebody who has a session and logs in again, on another device.
struct User {
    name: String,
    before: Tokens,
    login: Login,
    /// What the same login gave a moment ago.
    lost: Option<Response>,
}

impl<'a> Process<'a> {
    async fn start(healthy: &'a Laptop, plan: &Plan, at: u64, users: u64) -> Self {
        let way = Proxy::to(&healthy.world.wechat_url).await;
        let url = match plan.way {
            Way::Nameless => "https://wechat.invalid".to_owned(),
            Way::NoTls => way.url.replace("http:", "https:"),
            Way::Refused | Way::Meets(_) | Way::Used => way.url.clone(),
        };
        let laptop = healthy.beside_with(&[("WXAUTH_WECHAT_URL", &url)], &healthy.clock).await;
        let mut ready = Self { at, healthy, laptop, way, is_tls: url.starts_with("https:"), users: Vec::new() };
        for user in 0..users {
            let name = format!("user-{at}-{user}");
            // This leaves an idle connection behind.
            let (before, login) = (ready.next().login(&name).await, Login::new(healthy, &name));
            let lost = match plan.way {
                Way::Used => Some(login.send(&ready.laptop).await),
                Way::Refused | Way::Nameless | Way::NoTls | Way::Meets(_) => None,
            };
            ready.users.push(User { name, before, login, lost });
        }
        ready
    }

    /// Where all is well afterwards: what cannot be mended in this process is mended in the next.
    fn next(&self) -> &Laptop {
        if self.is_tls { self.healthy } else { &self.laptop }
    }

    async fn strike(mut self, way: Way) -> (Self, Vec<Response>) {
        match way {
            Way::Refused => self.way.close().await,
            Way::Meets(fault) => self.way.fail(fault(self.at)),
            Way::Nameless | Way::NoTls | Way::Used => {}
        }
        let answers = join_all(self.users.iter().map(|user| user.login.send(&self.laptop))).await;
        (self, answers)
    }

    async fn settle(mut self, plan: &Plan, answers: Vec<Response>) -> Vec<Case> {
        let each = match plan.way {
            Way::Meets(fault) => fault(self.at).each,
            Way::Refused | Way::Nameless | Way::NoTls | Way::Used => 0,
        };
        let count = |user: &User| (self.way.sent(&user.login.code), self.way.met(&user.login.code));
        let counts: Vec<_> = self.users.iter().map(count).collect();
        self.way.heal();
        self.way.open();
        let mut cases = Vec::new();
        for ((user, answer), (sent, met)) in std::mem::take(&mut self.users).into_iter().zip(answers).zip(counts) {
            let line = self.laptop.line(&answer);
            // A code that is sent too often meets it too often.
            let is_met = met >= plan.sent.min(each) && line.contains(plan.way.logged());
            let token = |answer: &Response| answer.json()["refresh_token"].clone();
            let is_same = user.lost.is_none_or(|lost| token(&lost) == token(&answer));
            let told = must(said(&answer) == plan.answer, || format!("{answer:?}"))
                .and(must(sent == plan.sent, || format!("a code was sent {sent} times")))
                .and(must(is_same, || "the repetition gave another token".to_owned()));
            let after = async {
                let after = settle_login(self.next(), &user.name, user.login, answer.clone()).await?;
                is_alive(self.next(), &after).await?;
                is_alive(self.next(), &user.before).await
            };
            let after = after.await;
            cases.push(Case::of(&answer, told, after).if_met(is_met));
        }
        cases
    }
}

//! Faults on the wire, end to end: a process whose way to WeChat, table or secrets fails, and what its clients make of it.
//!
//! A case is a user. Something goes wrong with one request of theirs; they do what the answer's `action` says; then they
//! must have a live session, nothing they had before may be over, and no failure of ours may have been called theirs.

pub mod figures;
pub mod latency;
pub mod outage;
pub mod patience;
mod process;
pub mod proxy;
mod table;
mod wechat;

use std::{collections::BTreeMap, fmt};

use futures_util::future::join_all;
use serde_json::{Value, json};
use shared::{ids::AppId, secret_text::LoginCode, session::idempotency::CodeHash};
use tokio::sync::Semaphore;

use crate::{APPID, Laptop, Response, Tokens, send};

/// So many things are done at once where nothing is waited for: more would only wait for the machine, past every limit.
static AT_ONCE: Semaphore = Semaphore::const_new(4);

/// The results of one fault.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub fault: &'static str,
    pub cases: u64,
    /// In how many of them the fault was met, by the one who is asked after. A slow machine may keep it from being met.
    pub times: u64,
    /// In how many cases all was well after the next step and, where the fault was met, the answer was an allowed one.
    pub survived: u64,
    /// How often a failure of ours was answered as a verdict on a credential: 400 or 401.
    pub verdicts: u64,
    /// The answers to those who met it, counted.
    pub answers: BTreeMap<String, u64>,
    /// The answers to those who did not meet it.
    pub unmet: Vec<String>,
    pub failures: Vec<String>,
}

impl Outcome {
    fn of(fault: &'static str) -> Self {
        Self {
            fault,
            cases: 0,
            times: 0,
            survived: 0,
            verdicts: 0,
            answers: BTreeMap::new(),
            unmet: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// Whether it was met, and survived each time. Nobody may have lost anything, whether they met it or not.
    #[must_use]
    pub fn is_survived(&self) -> bool {
        self.times > 0 && self.failures.is_empty() && self.verdicts == 0
    }

    /// Both, as one.
    fn join(&mut self, other: Self) {
        self.cases += other.cases;
        self.times += other.times;
        self.survived += other.survived;
        self.verdicts += other.verdicts;
        for (answer, times) in other.answers {
            *self.answers.entry(answer).or_default() += times;
        }
        self.unmet.extend(other.unmet);
        self.failures.extend(other.failures);
    }

    fn add(&mut self, cases: impl IntoIterator<Item = Case>) {
        for case in cases {
            self.cases += 1;
            self.verdicts += u64::from(case.is_verdict);
            let result = if case.is_met {
                self.times += 1;
                *self.answers.entry(case.answer).or_default() += 1;
                case.told.and(case.after)
            } else {
                self.unmet.push(case.answer);
                case.after
            };
            match result {
                Ok(()) => self.survived += 1,
                Err(failure) => self.failures.push(failure),
            }
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fault, cases, times, survived, verdicts, answers, .. } = self;
        write!(out, "{fault}: met in {times} of {cases}, {survived} survived, {verdicts} verdicts; {answers:?}")?;
        self.unmet.iter().take(3).try_for_each(|answer| write!(out, "\n    not met: {answer}"))?;
        self.failures.iter().take(3).try_for_each(|failure| write!(out, "\n    {failure}"))
    }
}

/// What came of one fault for one user.
struct Case {
    answer: String,
    is_met: bool,
    is_verdict: bool,
    /// Whether the answer to the fault is an allowed one; nobody else is owed this answer.
    told: Result<(), String>,
    /// Whether all was well after the next step.
    after: Result<(), String>,
}

impl Case {
    /// A case in which every failure was ours.
    fn of(answer: &Response, told: Result<(), String>, after: Result<(), String>) -> Self {
        let is_verdict = matches!(answer.status.as_u16(), 400 | 401);
        Self { answer: said(answer), is_met: true, is_verdict, told, after }
    }

    /// A case in which the credential is over in truth.
    fn of_what_is_over(answer: &Response, told: Result<(), String>, after: Result<(), String>) -> Self {
        Self { is_verdict: false, ..Self::of(answer, told, after) }
    }

    /// What the user was told counts only if this user met the fault.
    fn if_met(self, is_met: bool) -> Self {
        Self { is_met, ..self }
    }
}

/// The status of a response, and its code if there is one.
fn said(answer: &Response) -> String {
    let status = answer.status.as_u16();
    if status == 200 { "200".to_owned() } else { format!("{status} {}", answer.json()["code"].as_str().unwrap_or("-")) }
}

/// How often faults that were not met often enough are played again.
const AGAIN: usize = 3;

/// Every fault, until each was met so often. Where a busy machine keeps it from being met, a case shows nothing of it: then all are
/// played as often again as the one that lacks the most.
pub async fn all(times: u64) -> Vec<Outcome> {
    let mut outcomes = each_fault(times).await;
    for _ in 0..AGAIN {
        let lacking = outcomes.iter().map(|outcome| times.saturating_sub(outcome.times)).max().unwrap_or_default();
        if lacking == 0 {
            break;
        }
        for (outcome, more) in outcomes.iter_mut().zip(each_fault(lacking).await) {
            outcome.join(more);
        }
    }
    outcomes
}

/// Every fault in so many cases. Most of it is waiting.
async fn each_fault(times: u64) -> Vec<Outcome> {
    let (wechat, table, process) = tokio::join!(of_wechat(times), of_the_table(times), of_the_process(times));
    [wechat, table, process].concat()
}

/// Every fault of WeChat, so often each.
pub async fn of_wechat(times: u64) -> Vec<Outcome> {
    wechat::run(times).await
}

/// Every fault of the table, so often each.
pub async fn of_the_table(times: u64) -> Vec<Outcome> {
    table::run(times).await
}

/// Every fault of the process itself, its clock and its secrets, so often each.
pub async fn of_the_process(times: u64) -> Vec<Outcome> {
    process::run(times).await
}

/// What the suite makes of a table whose failure reads as the refusal of a write: it must not call that survived.
pub async fn of_a_table_that_lies(times: u64) -> Outcome {
    table::lie(times).await
}

/// What the suite makes of a fault that no request meets: it must not call that survived.
pub async fn of_nothing(times: u64) -> Outcome {
    table::nothing(times).await
}

/// Does the work for each, a few at a time, and gives the results in order.
async fn each<I, T, F: Future<Output = T>>(items: impl IntoIterator<Item = I>, mut work: impl FnMut(I) -> F) -> Vec<T> {
    join_all(items.into_iter().map(|item| a_few(work(item)))).await
}

/// Does the work when only a few are at work.
async fn a_few<T>(work: impl Future<Output = T>) -> T {
    let _permit = AT_ONCE.acquire().await;
    work.await
}

/// Fails with these words unless it holds.
fn must(holds: bool, words: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(words()) }
}

/// A login that can be repeated.
struct Login {
    code: String,
    body: Value,
    key: String,
}

impl Login {
    fn new(laptop: &Laptop, user: &str) -> Self {
        let code = laptop.code(user);
        Self { key: format!("one-login-one-key-{code}"), body: json!({ "code": code }), code }
    }

    /// What the table is told in place of the code.
    fn hash(&self) -> String {
        let appid = AppId::parse(APPID).expect("an appid");
        CodeHash::of_login(&appid, &LoginCode::new(self.code.clone())).as_str().to_owned()
    }

    fn request(&self, laptop: &Laptop) -> reqwest::RequestBuilder {
        laptop.request("/v1/login").header("idempotency-key", &self.key).json(&self.body)
    }

    async fn send(&self, laptop: &Laptop) -> Response {
        send(self.request(laptop)).await
    }
}

/// How often something befell a user at the table: all that is asked of it names the user, or the code of the login.
fn count(user: &Tokens, login: Option<&Login>, of: impl Fn(&str) -> u32) -> u32 {
    of(&user.openid) + login.map_or(0, |login| of(&login.hash()))
}

/// Goes on from the answer to a login as its `action` says, until there are tokens.
async fn settle_login(laptop: &Laptop, user: &str, mut login: Login, mut answer: Response) -> Result<Tokens, String> {
    for _ in 0..4 {
        match answer.json()["action"].as_str() {
            None => return Ok(Tokens::of(&answer)),
            Some("retry") => {}
            Some("relogin") => login = Login::new(laptop, user),
            Some(_) => break,
        }
        answer = login.send(laptop).await;
    }
    Err(format!("{user} is not logged in: {answer:?}"))
}

/// Goes on from the answer to a refresh: the same token again must give the successor, and again the same.
async fn settle_refresh(laptop: &Laptop, before: &Tokens, answer: Response) -> Result<(), String> {
    let mut answers = vec![answer];
    answers.push(laptop.refresh(&before.refresh).await);
    answers.push(laptop.refresh(&before.refresh).await);
    let given: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    must(given.len() >= 2, || format!("not refreshed: {answers:?}"))?;
    let successor = given[0].text_of("refresh_token");
    must(successor != before.refresh, || "not rotated".to_owned())?;
    must(given.iter().all(|answer| answer.text_of("refresh_token") == successor), || format!("a fork: {answers:?}"))?;
    let after = Tokens { access: given[0].text_of("access_token"), refresh: successor, ..before.clone() };
    is_alive(laptop, &after).await
}

/// Whether both tokens are taken.
async fn is_alive(laptop: &Laptop, tokens: &Tokens) -> Result<(), String> {
    let session = laptop.get(&tokens.access, "/v1/session").await;
    must(session.status == 200, || format!("dead access token: {session:?}"))?;
    let refreshed = laptop.refresh(&tokens.refresh).await;
    must(refreshed.status == 200, || format!("dead refresh token: {refreshed:?}"))
}

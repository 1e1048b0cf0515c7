//! What goes wrong at the table or on the way there: a refresh or a login, under way while it happens.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::{StreamExt as _, future::join_all, stream};

use super::{
    Case, Login, Outcome, count, each, is_alive, must,
    proxy::{Fault, Proxy, Then},
    said, settle_login, settle_refresh,
};
use crate::{Laptop, Response, Tokens};

/// As many as the SDK's own budget for repetitions lets a process have at once.
const USERS: usize = 8;

/// How many processes run at once.
const PROCESSES: usize = 4;

const WEEK: u64 = 604_800;

type Item = HashMap<String, AttributeValue>;

/// What is to come of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// The client notices nothing.
    Hidden,
    /// The client is told to try again; of a login the code is spent, so with a new one.
    Told,
}

struct Plan {
    fault: &'static str,
    /// What requests meet, differing from process to process; no connection at all if there is none.
    meets: fn(usize) -> (Option<Fault>, End),
    /// Only logins can meet it.
    of_login: bool,
}

fn exception(status: &str, kind: &str) -> Fault {
    Fault::say(status, &format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{kind}","message":"{kind}"}}"#))
}

fn throttled() -> Fault {
    exception("400 Bad Request", "ProvisionedThroughputExceededException")
}

fn broken() -> Fault {
    exception("500 Internal Server Error", "InternalServerError")
}

/// Bytes of the request that writes the user item, the session item or the idempotency record of a login.
pub(super) fn write_of_a_login(at: usize) -> &'static str {
    [r#""sk":{"S":"user"}"#, r#""sk":{"S":"session#"#, r#""sk":{"S":"code"}"#][at % 3]
}

/// Every other process meets it once, so that the SDK's next attempt passes, and the others as long as they try.
fn now_and_then(at: usize, fault: Fault) -> (Option<Fault>, End) {
    if at.is_multiple_of(2) { (Some(fault.once()), End::Hidden) } else { (Some(fault), End::Told) }
}

const PLANS: [Plan; 8] = [
    Plan { fault: "DynamoDB: connect refused", meets: |_| (None, End::Told), of_login: false },
    Plan {
        fault: "DynamoDB: reset after the write was applied",
        meets: |_| (Some(Fault::after(Then::Reset).once()), End::Hidden),
        of_login: false,
    },
    Plan {
        fault: "DynamoDB: timeout before the write",
        meets: |at| now_and_then(at, Fault::before(Then::Silence)),
        of_login: false,
    },
    Plan {
        fault: "DynamoDB: timeout after the write",
        meets: |at| now_and_then(at, Fault::after(Then::Silence)),
        of_login: false,
    },
    Plan { fault: "DynamoDB: throttled once", meets: |_| (Some(throttled().once()), End::Hidden), of_login: false },
    Plan { fault: "DynamoDB: throttled for ever", meets: |_| (Some(throttled()), End::Told), of_login: false },
    Plan {
        fault: "DynamoDB: one of the three login writes failing",
        meets: |at| (Some(broken().of(write_of_a_login(at))), End::Told),
        of_login: true,
    },
    Plan { fault: "DynamoDB: internal server error", meets: |at| now_and_then(at, broken()), of_login: false },
];

pub(super) async fn run(times: u64) -> Vec<Outcome> {
    let mut outcomes: Vec<_> = stream::iter(&PLANS).map(|plan| play(plan, times)).buffered(3).collect().await;
    outcomes.push(over("DynamoDB: expired item still returned", times, false).await);
    outcomes.push(over("DynamoDB: item deleted by TTL between calls", times, true).await);
    outcomes
}

/// A refusal in the table's own words, though nothing was looked at: the failure that a table must not have.
pub(super) async fn lie(times: u64) -> Outcome {
    let meets = |_| (Some(exception("400 Bad Request", "ConditionalCheckFailedException")), End::Told);
    play(&Plan { fault: "DynamoDB: a refusal that is none", meets, of_login: false }, times).await
}

/// A fault that no request meets.
pub(super) async fn nothing(times: u64) -> Outcome {
    let meets = |_| (Some(Fault::before(Then::Reset).of("what nobody sends")), End::Hidden);
    play(&Plan { fault: "DynamoDB: nothing", meets, of_login: false }, times).await
}

async fn play(plan: &Plan, times: u64) -> Outcome {
    let (laptop, mut outcome) = (Laptop::start().await, Outcome::of(plan.fault));
    let names: Vec<_> = (0..times).map(|at| format!("user-{at}")).collect();
    let before = each(&names, |name| laptop.login(name)).await;
    // Old enough to be rotated.
    laptop.clock.advance(121);
    let users: Vec<_> = names.into_iter().zip(before).collect();
    let processes = users
        .chunks(USERS.min(users.len().div_ceil(3)))
        .enumerate()
        .map(|(at, users)| process(&laptop, plan, at, users));
    let mut processes = stream::iter(processes).buffer_unordered(PROCESSES);
    while let Some(cases) = processes.next().await {
        outcome.add(cases);
    }
    outcome
}

/// What a user does while the table fails.
enum Step {
    Refresh,
    Login(Login),
}

/// A process of its own, whose table fails for a few users at once.
async fn process(laptop: &Laptop, plan: &Plan, at: usize, users: &[(String, Tokens)]) -> Vec<Case> {
    let mut way = Proxy::to(&laptop.world.dynamodb_url).await;
    let process = laptop.beside_with(&[("AWS_ENDPOINT_URL_DYNAMODB", &way.url)], &laptop.clock).await;
    let step = |(number, (name, _)): (usize, &(String, Tokens))| {
        if plan.of_login || number % 2 == 1 { Step::Login(Login::new(laptop, name)) } else { Step::Refresh }
    };
    let steps: Vec<_> = users.iter().enumerate().map(step).collect();
    let (fault, end) = (plan.meets)(at);
    let is_closed = fault.is_none();
    match fault {
        Some(fault) => way.fail(fault),
        None => way.close().await,
    }

    let answers = join_all(users.iter().zip(&steps).map(async |((_, before), step)| match step {
        Step::Refresh => process.refresh(&before.refresh).await,
        Step::Login(login) => login.send(&process).await,
    }))
    .await;

    let is_met = |((_, before), step): (&(String, Tokens), &Step)| {
        let login = if let Step::Login(login) = step { Some(login) } else { None };
        if is_closed {
            count(before, login, |text| way.sent(text)) == 0
        } else {
            count(before, login, |text| way.met(text)) > 0
        }
    };
    let met: Vec<_> = users.iter().zip(&steps).map(is_met).collect();
    way.heal();
    way.open();
    let cases = users.iter().zip(steps).zip(answers).zip(met);
    each(cases, async |(((user, step), answer), is_met)| {
        let expected = match (end, &step) {
            (End::Hidden, _) => "200",
            (End::Told, Step::Refresh) => "503 unavailable",
            (End::Told, Step::Login(_)) => "503 retry_login",
        };
        let told = must(said(&answer) == expected, || format!("{answer:?}"));
        let after = settle(&process, user, step, &answer).await;
        Case::of(&answer, told, after).if_met(is_met)
    })
    .await
}

async fn settle(
    process: &Laptop,
    (name, before): &(String, Tokens),
    step: Step,
    answer: &Response,
) -> Result<(), String> {
    match step {
        Step::Refresh => settle_refresh(process, before, answer.clone()).await,
        Step::Login(login) => {
            let after = settle_login(process, name, login, answer.clone()).await?;
            is_alive(process, &after).await?;
            // What the user had before is as it was.
            let next = process.refresh(&before.refresh).await;
            must(next.status == 200, || format!("the session from before is over: {next:?}"))
        }
    }
}

/// A session that is over in truth, its item swept away or not: the client is told so, and logs in.
async fn over(fault: &'static str, times: u64, is_swept: bool) -> Outcome {
    let (laptop, mut outcome) = (Laptop::start().await, Outcome::of(fault));
    let names: Vec<_> = (0..times).map(|at| format!("user-{at}")).collect();
    let before = each(&names, |name| laptop.login(name)).await;
    laptop.clock.advance(if is_swept { 121 } else { WEEK });

    let cases = each(names.iter().zip(before), async |(name, before)| {
        let sessions = sessions(&laptop, &before).await;
        if is_swept {
            sweep(&laptop, &sessions).await;
        }
        let access = laptop.get(&before.access, "/v1/session").await;
        let answer = laptop.refresh(&before.refresh).await;
        let told = must(access.status == 401, || format!("{access:?}"))
            .and(must(said(&answer) == "400 login_required", || format!("{answer:?}")));
        let after = async {
            let after = settle_login(&laptop, name, Login::new(&laptop, name), answer.clone()).await?;
            is_alive(&laptop, &after).await
        };
        let after = after.await;
        Case::of_what_is_over(&answer, told, after).if_met(sessions.len() == 1)
    });
    outcome.add(cases.await);
    outcome
}

/// The session items of a user.
async fn sessions(laptop: &Laptop, of: &Tokens) -> Vec<Item> {
    let (client, table) = laptop.dynamodb();
    let partition = AttributeValue::S(format!("{}#{}", crate::APPID, of.openid));
    let query = client.query().table_name(table).key_condition_expression("pk = :pk and begins_with(sk, :sk)");
    let query = query.expression_attribute_values(":pk", partition);
    let query = query.expression_attribute_values(":sk", AttributeValue::S("session#".to_owned()));
    query.send().await.expect("an answer").items.unwrap_or_default()
}

/// Deletes items behind the back of everybody, as TTL does.
async fn sweep(laptop: &Laptop, items: &[Item]) {
    let (client, table) = laptop.dynamodb();
    for item in items {
        let delete = client.delete_item().table_name(&table).key("pk", item["pk"].clone());
        delete.key("sk", item["sk"].clone()).send().await.expect("an answer");
    }
}

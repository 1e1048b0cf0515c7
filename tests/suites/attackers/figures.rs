//! What attackers get.

use shared::secret_text::SessionKey;

use super::{
    access_tokens,
    cbc_r::{Data, forge, leaky, wanted},
    phone_numbers::{answers, at_once, attack, profiles_at_once},
    refresh_tokens::Endpoint,
    timing,
};
use crate::{
    Laptop,
    seeded::Seeded,
    suites::row::{Row, Size, grouped},
};

const REFRESH_TOKENS: u64 = 1_000_000;
/// Each is some eighteen thousand forgeries, with keys and claims of its own.
const ROUNDS: (u64, u64) = (16, 80);
/// In one run: a million of each kind.
const COMPARISONS: usize = 2_000_000;
/// The seeds of the runs, which are as many whatever comes of them.
const RUNS: [u64; 3] = [1, 2, 3];
const LOGINS: usize = 200;
/// So many requests are under way at once: with more the embedded table is busy for longer than the SDK waits.
const UNDER_WAY: usize = 32;

pub async fn rows(size: Size) -> Vec<Row> {
    let mut rows = phone_numbers(size).await;
    rows.extend(tokens(size).await);
    rows.extend(times());
    rows
}

async fn phone_numbers(size: Size) -> Vec<Row> {
    let key = SessionKey::new("mgh1gjKfZCh+a8kMsZeQzQ==");
    let mut questions = 0;
    let mut ask = async |data: &Data| {
        questions += 1;
        leaky(&key, data)
    };
    let forged = forge(&wanted(), &mut Seeded::new(1), &mut ask).await;
    let forged = u64::from(forged.is_some_and(|data| leaky(&key, &data).contains("13900139000")));
    let laptop = Laptop::start().await;
    let mut processes = vec![laptop.beside().await, laptop.beside().await, laptop.beside().await];
    let different = answers(&laptop).await.len() as u64;
    processes.push(laptop);
    let gains = attack(&processes, size.of(3_000, questions), 1).await;
    let profiles = profiles_at_once(&processes, "trudy", LOGINS).await;
    let user = processes[0].login("trudy").await;
    let first = at_once(&processes, &user, 1, 1).await;
    processes[0].clock.advance(3_599);
    let user = processes[0].login("trudy").await;
    let rest = at_once(&processes, &user, 1_000, UNDER_WAY).await;
    processes[0].clock.advance(1);
    let next = at_once(&processes, &user, 1_000, UNDER_WAY).await;
    vec![
        Row::all(
            format!("numbers forged by CBC-R where wrong padding is told, {} questions", grouped(questions)),
            forged,
            1,
        ),
        Row::none(
            format!(
                "numbers and profiles forged by it in {} attempts at the three routes and {} as the profile of a login",
                grouped(gains.looked_at),
                grouped(gains.by_login)
            ),
            gains.forged,
        ),
        Row::exactly(
            "attempts looked at by the routes in a window, an hour from the first of them, with devices, logins, deletions",
            30,
            gains.most_within_an_hour,
        ),
        Row::exactly("attempts looked at of 1,001 in one window, by four processes", 30, first + rest),
        Row::exactly(
            format!("profiles read of {LOGINS} logins in one window, by four processes, before those attempts"),
            30,
            profiles,
        ),
        Row::new(
            "the same in the last second of this window, after the first attempt, and the first of the next",
            "29 and 30",
            format!("{rest} and {next}"),
            (rest, next) == (29, 30),
        ),
        Row::exactly("different answers to 12 malformations", 1, different),
        Row::exactly("different answers to all those attempts", 1, gains.answers.len() as u64),
    ]
}

async fn tokens(size: Size) -> Vec<Row> {
    let endpoint = Endpoint::start().await;
    let invented = endpoint.invented(REFRESH_TOKENS, 1).await;
    let rounds = size.of(ROUNDS.0, ROUNDS.1);
    let forged = access_tokens::attack(rounds);
    Row::because(&forged.accepted);
    let accepted = forged.accepted.len() as u64;
    vec![
        Row::none(format!("DynamoDB calls by {} invented refresh tokens", grouped(REFRESH_TOKENS)), invented.calls),
        Row::exactly("different answers to them", 1, invented.answers.len() as u64),
        Row::at_least(
            format!(
                "forged tokens: these, and {} access tokens, all kinds and positions {rounds} times with new keys and claims",
                grouped(forged.forgeries)
            ),
            REFRESH_TOKENS + size.of(250_000, 1_000_000),
            REFRESH_TOKENS + forged.forgeries,
        ),
        Row::none("accepted of them", invented.accepted + accepted),
        Row::none("genuine access tokens refused", forged.refused),
    ]
}

/// Each comparison is timed in three runs, and all three count. Where nothing can be told apart, |t| exceeds the bar of
/// 4.5 by chance in 7 of a million runs (twice the normal distribution's tail), so in about 2 of 100,000 rows.
fn times() -> Vec<Row> {
    let row = |what: &str, sign: &str, measure: fn(usize, u64) -> f64, is_met: fn(f64) -> bool| {
        let runs = RUNS.map(|seed| measure(COMPARISONS, seed).abs());
        Row::new(
            format!("\\|t\\| of {what}, in three runs of {} comparisons", grouped(COMPARISONS as u64)),
            format!("each {sign} {}", timing::TELLS),
            runs.map(|t| format!("{t:.1}")).join(", "),
            runs.into_iter().all(is_met),
        )
        .by_the_clock()
    };
    vec![
        row("refresh tags wrong in the first byte or the last", "<", timing::of_refresh_tokens, |t| t < timing::TELLS),
        row("signatures of `rawData` likewise", "<", timing::of_signatures, |t| t < timing::TELLS),
        row("a comparison that ends at the first difference", ">", timing::of_an_early_exit, |t| t > timing::TELLS),
    ]
}

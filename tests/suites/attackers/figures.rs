//! What attackers get.

use shared::secret_text::SessionKey;

use super::{
    access_tokens,
    cbc_r::{Data, forge, leaky, wanted},
    phone_numbers::{answers, at_once, attack},
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
const COMPARISONS: usize = 1_000_000;
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
            format!("numbers forged by it of `POST /v1/phone`, {} attempts", grouped(gains.looked_at)),
            gains.forged,
        ),
        Row::exactly(
            "attempts looked at in a window, an hour from the first of them, with devices, logins, deletions",
            30,
            gains.most_within_an_hour,
        ),
        Row::exactly("attempts looked at of 1,001 in one window, by four processes", 30, first + rest),
        Row {
            what: "the same in the last second of this window, after the first attempt, and the first of the next"
                .to_owned(),
            bar: "29 and 30".to_owned(),
            measured: format!("{rest} and {next}"),
            is_met: (rest, next) == (29, 30),
        },
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

/// What else the machine does shows as a difference too, but not each time; a comparison that tells shows it each time.
fn calmest(measure: fn(usize, u64) -> f64) -> f64 {
    (1..=3).map(|seed| measure(COMPARISONS, seed).abs()).fold(f64::INFINITY, f64::min)
}

fn times() -> Vec<Row> {
    let row = |what: &str, t: f64| Row {
        what: format!("\\|t\\| of {what}, the calmest of three times {} comparisons", grouped(COMPARISONS as u64)),
        bar: format!("< {}", timing::TELLS),
        measured: format!("{t:.1}"),
        is_met: t < timing::TELLS,
    };
    let early_exit = calmest(timing::of_an_early_exit);
    vec![
        row("refresh tags wrong in the first byte or the last", calmest(timing::of_refresh_tokens)),
        row("signatures of `rawData` likewise", calmest(timing::of_signatures)),
        Row {
            what: "\\|t\\| of a comparison that ends at the first difference".to_owned(),
            bar: format!("> {}", timing::TELLS),
            measured: format!("{early_exit:.1}"),
            is_met: early_exit > timing::TELLS,
        },
    ]
}

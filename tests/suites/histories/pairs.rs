//! An end and a login of the same user at the same moment, again and again, on DynamoDB's emulator, which is 0 to 15 ms away by
//! chance: what is left when both have been answered.

use std::time::Duration;

use futures_util::future::join_all;
use http::StatusCode;
use serde_json::json;
use shared::clock::{Clock as _, Millis};
use tokio::time::Instant;

use crate::{APPID, Item, Items, Laptop, Tokens, seeded::Seeded, wire};

/// Users at once.
const AT_ONCE: u64 = 16;

/// How far away the table is at most, in milliseconds: half of it there, half of it back.
const AWAY: u64 = 15;

/// What a login meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pair {
    Deletion,
    Block,
    LogOutOfAll,
}

/// What was seen of many pairs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// Logins that were answered with tokens.
    pub taken: u64,
    /// Logins that were refused.
    pub refused: u64,
    /// Sessions that may not be.
    pub left: u64,
}

impl Pair {
    pub const ALL: [Self; 3] = [Self::Deletion, Self::Block, Self::LogOutOfAll];

    /// What may not be left.
    #[must_use]
    pub fn what(self) -> &'static str {
        match self {
            Self::Deletion => "session items without a user item after `DELETE /v1/user` beside a login",
            Self::Block => "sessions of a blocked user after a block beside a login",
            Self::LogOutOfAll => {
                "sessions of logins that had arrived before, after `DELETE /v1/sessions` beside a login"
            }
        }
    }

    /// When it was sent, if it was acknowledged.
    async fn end(self, process: &Laptop, user: &Tokens) -> Option<Millis> {
        let sent = process.clock.now_ms();
        let path = match self {
            Self::Deletion => "/v1/user",
            Self::LogOutOfAll => "/v1/sessions",
            Self::Block => {
                process.owner("block", &user.openid).await;
                return Some(sent);
            }
        };
        let answer = process.delete(&user.access, path).await;
        // The login may have replaced the session before.
        let is_told = [StatusCode::NO_CONTENT, StatusCode::UNAUTHORIZED].contains(&answer.status);
        assert!(is_told, "{answer:?}");
        Some(sent).filter(|_| answer.status == StatusCode::NO_CONTENT)
    }

    /// How many sessions of this user may not be.
    fn left(self, items: &Items, user: &Tokens, ended: Option<Millis>) -> u64 {
        let partition = format!("{APPID}#{}", user.openid);
        let of_user = || items.iter().filter(|((pk, _), _)| *pk == partition);
        let sessions = of_user().filter(|((_, sk), item)| sk.starts_with("session#") && item.contains_key("family"));
        let is_known = of_user().any(|((_, sk), item)| sk == "user" && item.contains_key("first_login"));
        let arrived = |item: &Item| item["arrived_ms"].as_n().expect("a number").parse::<Millis>().expect("a time");
        match self {
            Self::Deletion if is_known => 0,
            Self::Deletion | Self::Block => sessions.count() as u64,
            Self::LogOutOfAll => {
                sessions.filter(|(_, item)| ended.is_some_and(|ended| arrived(item) <= ended)).count() as u64
            }
        }
    }
}

/// Lets so many pairs meet, half of them on the same device.
pub async fn play(pair: Pair, pairs: u64, seed: u64) -> Seen {
    let mut laptop = Laptop::start().await;
    let (beside, wire) = wire::beside(&mut laptop).await;
    wire.delay(AWAY / 2, Seeded::new(seed));
    // Who arrives first is decided by milliseconds.
    let clock = laptop.clock.clone();
    let ticks = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(1)).await;
            clock.tick();
        }
    });
    let mut random = Seeded::new(seed);
    let mut met = Seen::default();
    for first in (0..pairs).step_by(usize::try_from(AT_ONCE).expect("a step")) {
        let numbers = first..pairs.min(first + AT_ONCE);
        let began = Instant::now();
        let users = join_all(numbers.clone().map(async |number| laptop.login(&format!("p{number}")).await)).await;
        // By how long logins take, or else one side would always be the first on a busy machine.
        let span = u64::try_from(began.elapsed().as_millis()).expect("not for ever") + 4 * AWAY;
        let pauses: Vec<_> = users.iter().map(|_| [random.below(span), random.below(2 * span)]).collect();
        let answers = join_all(numbers.zip(&users).zip(pauses).map(async |((number, user), [before, after])| {
            let mut body = json!({ "code": laptop.code(&format!("p{number}")) });
            if number % 2 == 0 {
                body["device"] = json!(user.device);
            }
            let login = async {
                tokio::time::sleep(Duration::from_millis(before)).await;
                beside.login_with_key(&format!("one-of-many-pairs-{number}-{seed}"), &body).await
            };
            let end = async {
                tokio::time::sleep(Duration::from_millis(after)).await;
                pair.end(&beside, user).await
            };
            tokio::join!(login, end)
        }))
        .await;
        let items = laptop.items().await;
        for (user, (answer, ended)) in users.iter().zip(answers) {
            let is_taken = answer.status == StatusCode::OK;
            (met.taken, met.refused) = (met.taken + u64::from(is_taken), met.refused + u64::from(!is_taken));
            met.left += pair.left(&items, user, ended);
        }
    }
    ticks.abort();
    met
}

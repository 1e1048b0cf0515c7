//! Odd inputs for everything that a stranger can send: no panic, no 5xx, no hang, and no yes to what is not ours.
//!
//! A [`Target`] takes bytes. The property version of it is here and needs nothing but stable Rust: it changes valid inputs
//! by a seed, so that most of them get past the first check. The version that is guided by coverage is in `tests/fuzz`,
//! takes the same seeds and calls the same functions.

pub mod figures;
mod gateway;
mod mutation;
mod open_data;
mod push;
mod refresh_token;
mod request;
mod wechat_answer;
mod world;

use std::{
    any::Any,
    collections::BTreeMap,
    fmt, fs,
    ops::{AddAssign, Range},
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    contract::{self, Example, Known, filled},
    hex,
};
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use mutation::Mutator;
use serde_json::Value;
pub use world::World;

/// What an input was taken for, and what came of it.
pub type Outcome = (&'static str, &'static str);

/// Something that takes bytes of strangers.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, and that of the folder of its seeds.
    pub name: &'static str,
    /// What the inputs are, in the plural.
    pub what: &'static str,
    /// Takes an input, and panics where it finds something.
    pub take: fn(&World, &[u8]) -> Outcome,
    /// Makes an input of a request of the contract's examples, where they are seeds, too.
    pub seed: Option<fn(&Value) -> Vec<u8>>,
}

/// Texts as refresh tokens, and arbitrary fields in them.
pub const REFRESH_TOKEN: Target =
    Target { name: "refresh_token", what: "refresh tokens", take: refresh_token::take, seed: None };
/// Requests to every route.
pub const REQUEST: Target =
    Target { name: "request", what: "requests", take: request::take, seed: Some(request::seed) };
/// WeChat's answers, through the functions that asked.
pub const WECHAT_ANSWER: Target =
    Target { name: "wechat_answer", what: "WeChat's answers", take: wechat_answer::take, seed: None };
/// Encrypted data, and what may be encrypted in it.
pub const OPEN_DATA: Target = Target { name: "open_data", what: "open data", take: open_data::take, seed: None };
/// Events of API Gateway, those for the authorizer included.
pub const GATEWAY: Target =
    Target { name: "gateway", what: "gateway events", take: gateway::take, seed: Some(gateway::seed) };
/// Pushes whose signature is right.
pub const PUSH: Target = Target { name: "push", what: "pushes", take: push::take, seed: None };

/// All targets.
pub const TARGETS: [Target; 6] = [REFRESH_TOKEN, REQUEST, WECHAT_ANSWER, OPEN_DATA, GATEWAY, PUSH];

/// So many inputs meet the same world: users may make 30 attempts an hour, and what one input does the next may see.
pub const INPUTS: u64 = 100;

/// An input that takes longer is a finding.
const SLOW: Duration = Duration::from_millis(100);

/// The text of a finding of a slow input begins with this.
const TOOK: &str = "it took ";

impl Target {
    /// Takes one input in a world of its own: what it finds, it finds again alone.
    ///
    /// # Panics
    ///
    /// Where the input finds something.
    pub fn take(&self, input: &[u8]) {
        let _ = (self.take)(&World::new(), input);
    }

    /// Valid inputs: the files of its folder, and the examples of the contract in which a route does its work.
    fn seeds(&self) -> Vec<Vec<u8>> {
        let folder = fs::read_dir(folder().join("seeds").join(self.name)).expect("seeds");
        let mut files: Vec<_> = folder.map(|entry| entry.expect("an entry").path()).collect();
        // The order of a folder is no order.
        files.sort();
        let mut seeds: Vec<_> = files.iter().map(|path| fs::read(path).expect("a seed")).collect();
        if let Some(seed) = self.seed {
            let examples = contract::done().into_iter().flat_map(|(_, examples)| examples);
            seeds.extend(examples.map(|example| seed(&filled(&example.request, &known(&example)))));
        }
        seeds
    }

    /// Numbers that make so many inputs of each seed.
    #[must_use]
    pub fn numbers(&self, rounds: u64) -> Range<u64> {
        0..(rounds * self.seeds().len() as u64).div_ceil(INPUTS)
    }

    fn mutator(&self) -> Mutator {
        Mutator::new(self.seeds(), &fs::read_to_string(folder().join("words.dict")).expect("a dictionary"))
    }

    /// Makes [`INPUTS`] inputs from each number, takes them all, and gives what came of it.
    #[must_use]
    pub fn run(&self, numbers: Range<u64>) -> Tally {
        let (mutator, next) = (self.mutator(), AtomicU64::new(numbers.start));
        let all = Mutex::new(Tally::default());
        thread::scope(|threads| {
            for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
                threads.spawn(|| {
                    let taken = || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|number| *number < numbers.end);
                    while let Some(number) = taken() {
                        let tally = self.one(number, &mutator);
                        *all.lock().unwrap_or_else(PoisonError::into_inner) += tally;
                    }
                });
            }
        });
        all.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn one(&self, number: u64, mutator: &Mutator) -> Tally {
        let (mut world, mut tally) = (World::new(), Tally::default());
        for place in number * INPUTS..(number + 1) * INPUTS {
            let input = mutator.input(place, |text| world.render(text));
            let found = |what| Finding { target: self.name, number, what, input: input.clone() };
            // A machine may have been busy; code is not slow only once.
            let result = self.timed(&world, &input).and_then(|(outcome, took)| {
                let again = if took > SLOW { self.again(place, mutator)? } else { took };
                if again > SLOW { Err(format!("{TOOK}{} ms", again.as_millis())) } else { Ok(outcome) }
            });
            tally.inputs += 1;
            match result {
                Ok(outcome) => *tally.outcomes.entry(outcome).or_default() += 1,
                Err(what) => {
                    tally.findings.push(found(what));
                    world = World::new();
                }
            }
        }
        tally
    }

    /// How long an input takes in a new world, after all that came before it: in the old one it would be a repetition.
    fn again(&self, place: u64, mutator: &Mutator) -> Result<Duration, String> {
        let world = World::new();
        let take = |place| self.timed(&world, &mutator.input(place, |text| world.render(text)));
        for earlier in place / INPUTS * INPUTS..place {
            // A finding of its own.
            drop(take(earlier));
        }
        take(place).map(|(_, took)| took)
    }

    /// What came of an input and how long it took, or the words of its panic.
    #[expect(clippy::disallowed_methods, reason = "how long it really takes is what is asked")]
    fn timed(&self, world: &World, input: &[u8]) -> Result<(Outcome, Duration), String> {
        let began = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| (self.take)(world, input))).map_err(|panic| words(&*panic))?;
        Ok((outcome, began.elapsed()))
    }
}

/// Where the seeds and the dictionary are.
fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// What the placeholders of an example stand for in every [`World`]; the others are filled in for each input.
fn known(example: &Example) -> Known {
    const RAW_DATA: &str = "{}";
    let signed = format!("{RAW_DATA}{}", world::SESSION_KEY);
    let known = [
        ("code", "at-{now}"),
        ("phone_code", "at-{now}"),
        ("encryptedData", &format!("{{{}}}", example.button())),
        ("iv", open_data::IV),
        ("rawData", RAW_DATA),
        ("signature", &hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, signed.as_bytes()).as_ref())),
        ("query", "timestamp={now}&nonce=1&echostr=2&signature={push_signature}"),
        ("message", r#"{"FromUserName":"{openid}","MsgType":"event","Event":"user_info_modified"}"#),
    ];
    known.map(|(name, text)| (name.to_owned(), text.to_owned())).into()
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without words").to_owned()
}

/// The outcomes of many inputs.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub inputs: u64,
    /// How often each outcome was seen.
    pub outcomes: BTreeMap<Outcome, u64>,
    /// Inputs that panic, are answered as they must not be, or take too long.
    pub findings: Vec<Finding>,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.inputs += other.inputs;
        self.findings.extend(other.findings);
        for (outcome, count) in other.outcomes {
            *self.outcomes.entry(outcome).or_default() += count;
        }
    }
}

/// An input that panics, is answered as it must not be, or takes too long.
#[derive(Clone)]
pub struct Finding {
    /// The name of the target.
    pub target: &'static str,
    /// The number that it was made from.
    pub number: u64,
    pub what: String,
    pub input: Vec<u8>,
}

impl Finding {
    /// Whether the input only took too long, which may be the machine's doing.
    #[must_use]
    pub fn is_slow(&self) -> bool {
        self.what.starts_with(TOOK)
    }
}

impl fmt::Debug for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}: {} b\"{}\"", self.target, self.number, self.what, self.input.escape_ascii())
    }
}

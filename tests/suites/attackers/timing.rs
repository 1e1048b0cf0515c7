//! Whether the time of a comparison tells where the first difference lies: two kinds of input by turns that a seed draws, and
//! Welch's t of their times (Reparaz, Balasch and Verbauwhede, "Dude, is my code constant time?", 2017).

use std::hint::black_box;

use aws_lc_rs::{
    digest::{SHA1_FOR_LEGACY_USE_ONLY, digest},
    hmac,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use shared::{
    ids::{AppId, DeviceId, Family, OpenId},
    secret_text::{SessionKey, SessionKeys},
    secrets::FromSecret as _,
    token::{
        keyring::{KeyId, Keyring},
        refresh::RefreshToken,
    },
    wechat::signature,
};
use tokio::time::Instant;

use crate::{APPID, hex, seeded::Seeded};

/// From here on the two kinds are told apart.
pub const TELLS: f64 = 4.5;

const PREFIX: &str = "wxr1_";
const TAG: usize = 32;

/// So many inputs are ready before the first of them is timed: to make one differs from kind to kind, and what the processor
/// did last shows in the next time.
const BATCH: usize = 500;

/// Which byte of the right value is changed.
#[derive(Clone, Copy)]
enum Wrong {
    First,
    Last,
}

impl Wrong {
    /// The value with that byte of its last `length` made another one.
    fn of(self, right: &[u8], length: usize, random: &mut Seeded) -> Vec<u8> {
        let mut bytes = right.to_vec();
        let at = match self {
            Self::First => bytes.len() - length,
            Self::Last => bytes.len() - 1,
        };
        // Text stays text.
        bytes[at] ^= random.below(127).to_le_bytes()[0] + 1;
        bytes
    }
}

/// Of refresh tokens: the tag is wrong in its first byte, or in its last.
pub fn of_refresh_tokens(comparisons: usize, seed: u64) -> f64 {
    let keyring = Keyring::from_secret(r#"{"current":1,"keys":{"1":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE"}}"#);
    let keyring = keyring.expect("a keyring");
    let token = RefreshToken {
        key_id: KeyId(1),
        generation: 7,
        family: Family([3; 16]),
        device: DeviceId([4; 16]),
        appid: AppId::parse(APPID).expect("an appid"),
        openid: OpenId::parse("oGZUI0egBJY1zhBYw2KhdUfwVJJE").expect("an openid"),
    };
    let text = token.encode(&keyring).expect("a token").expose().to_owned();
    let right = URL_SAFE_NO_PAD.decode(&text[PREFIX.len()..]).expect("base64url");
    let make = |random: &mut Seeded, wrong: Wrong| {
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(wrong.of(&right, TAG, random)))
    };
    measured(comparisons, seed, make, |text| RefreshToken::parse(text, &keyring).is_ok())
}

/// Of signatures of `rawData`: the first character is wrong, or the last.
pub fn of_signatures(comparisons: usize, seed: u64) -> f64 {
    let (raw_data, key) = ("{}", "AAAAAAAAAAAAAAAAAAAAAA==");
    let keys = SessionKeys { current: Some(SessionKey::new(key)), previous: None };
    let right = hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{raw_data}{key}").as_bytes()).as_ref());
    let make = |random: &mut Seeded, wrong: Wrong| {
        String::from_utf8(wrong.of(right.as_bytes(), right.len(), random)).expect("ASCII")
    };
    measured(comparisons, seed, make, |text| signature::of_raw_data(raw_data, text, &keys))
}

/// Of a comparison as ours must not be: it ends at the first byte that differs.
pub fn of_an_early_exit(comparisons: usize, seed: u64) -> f64 {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &[1; 32]);
    let right = hmac::sign(&key, PREFIX.as_bytes());
    let make = |random: &mut Seeded, wrong: Wrong| wrong.of(right.as_ref(), TAG, random);
    measured(comparisons, seed, make, |tag| {
        hmac::sign(&key, PREFIX.as_bytes())
            .as_ref()
            .iter()
            .zip(tag)
            .all(|(one, other)| black_box(one) == black_box(other))
    })
}

/// Makes inputs of both kinds in an order that the seed draws, times what is done with each, and compares the kinds.
///
/// How many there are, which of them are left out and what is counted is fixed before the first is timed.
fn measured<T>(
    comparisons: usize,
    seed: u64,
    make: impl Fn(&mut Seeded, Wrong) -> T,
    work: impl Fn(&T) -> bool,
) -> f64 {
    let (mut random, mut first, mut last) = (Seeded::new(seed), Vec::new(), Vec::new());
    for _ in 0..comparisons.div_ceil(BATCH) {
        let wrong = [(); BATCH].map(|()| if random.one_in(2) { Wrong::First } else { Wrong::Last });
        let inputs = wrong.map(|wrong| make(&mut random, wrong));
        let times = inputs.each_ref().map(|input| time(|| work(black_box(input))));
        for (wrong, time) in wrong.into_iter().zip(times) {
            match wrong {
                Wrong::First => first.push(time),
                Wrong::Last => last.push(time),
            }
        }
    }
    crop(&mut first, &mut last);
    welch(&first, &last)
}

/// How long it takes to see that an input is wrong, in nanoseconds.
fn time(work: impl Fn() -> bool) -> f64 {
    let began = Instant::now();
    let found = work();
    let took = began.elapsed();
    assert!(!black_box(found), "a wrong value is not the right one");
    took.as_secs_f64() * 1e9
}

/// Leaves out the slowest tenth: interrupts, and other programs' turns.
fn crop(one: &mut Vec<f64>, other: &mut Vec<f64>) {
    let mut all: Vec<f64> = one.iter().chain(other.iter()).copied().collect();
    all.sort_by(f64::total_cmp);
    let most = all[all.len() * 9 / 10];
    one.retain(|time| *time <= most);
    other.retain(|time| *time <= most);
}

/// Welch's t of two samples: how many standard errors lie between their means.
pub fn welch(one: &[f64], other: &[f64]) -> f64 {
    let [(mean, error), (other_mean, other_error)] = [one, other].map(|sample| {
        let count = f64::from(u32::try_from(sample.len()).expect("a sample"));
        let mean = sample.iter().sum::<f64>() / count;
        let variance = sample.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
        (mean, variance / count)
    });
    (mean - other_mean) / (error + other_error).sqrt()
}

//! What is asked, charged and remembered.

use std::{cell::Cell, pin::pin};

use futures_util::FutureExt as _;

use super::*;
use shared::{
    ids::{DeviceId, OpenId, UserRef},
    secrets::FromSecret as _,
    token::{
        device::{PresentedDevice, ProvenDevice},
        keyring::Keyring,
    },
};

const LIMIT: u64 = 100;

/// Chance, as a test wants it.
struct Dice(u8);

impl Entropy for Dice {
    fn fill(&self, out: &mut [u8]) {
        out.fill(self.0);
    }
}

const ADMITS: Dice = Dice(0);
const REFUSES: Dice = Dice(255);

fn codes(dice: Dice) -> LoginCodes {
    LoginCodes::new(LIMIT, Arc::new(dice))
}

fn app() -> AppId {
    AppId::parse("wx1").unwrap()
}

fn stranger(address: &str) -> Sender {
    Sender { appid: app(), network: Network::of(address), user: None }
}

/// A user who proves a login before.
fn known(openid: &str, address: &str) -> Sender {
    let ring = r#"{"current":1,"keys":{"1":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE"}}"#;
    let ring = Keyring::from_secret(ring).unwrap();
    let user = UserRef { appid: app(), openid: OpenId::parse(openid).unwrap() };
    let device = ProvenDevice::new(&user, DeviceId([1; 16]), ring.current(), &ring);
    let user = PresentedDevice::parse(device.as_str()).unwrap().known_user(&app(), &ring);
    assert!(user.is_some());
    Sender { user, ..stranger(address) }
}

fn code(name: &str) -> CodeHash {
    CodeHash::stored(name)
}

/// What became of a code of which WeChat says this. A refusal is kept, as after a request without a key.
fn told(codes: &LoginCodes, sender: &Sender, name: &str, now: Secs, says: Result<(), WechatError>) -> &'static str {
    let asked = Cell::new(false);
    let ask = async {
        asked.set(true);
        says
    };
    let result = codes.exchange(sender, &code(name), now, ask).now_or_never().unwrap();
    match result {
        Ok(()) => "good",
        Err(NotExchanged::Refused(refusal)) => {
            codes.keep(sender, &code(name), &refusal, false, now);
            if asked.get() { "refused" } else { "remembered" }
        }
        Err(NotExchanged::Wechat(_)) => "failed",
        Err(NotExchanged::TooManyCharged { .. }) => "charged",
    }
}

fn invent(codes: &LoginCodes, sender: &Sender, count: u64, now: Secs) {
    let before = codes.apps.level(&app(), now);
    for number in 0..count {
        told(codes, sender, &format!("{sender:?} {before} {number}"), now, Err(WechatError::CodeInvalid));
    }
}

fn owes(codes: &LoginCodes, sender: &Sender, now: Secs) -> u64 {
    codes.networks.level(&(app(), sender.network.clone()), now)
}

#[test]
fn a_stranger_beside_a_flood_is_admitted_by_chance_and_one_elsewhere_always() {
    for (dice, beside) in [(ADMITS, "good"), (REFUSES, "charged")] {
        let codes = codes(dice);
        invent(&codes, &stranger("a"), FEW, 0);

        assert_eq!(told(&codes, &stranger("a"), "one", 0, Ok(())), beside);
        assert_eq!(told(&codes, &stranger("b"), "two", 0, Ok(())), "good");
    }
}

#[test]
fn while_few_codes_were_charged_all_are_admitted() {
    let codes = codes(REFUSES);
    invent(&codes, &stranger("a"), FEW - 1, 0);

    assert_eq!(told(&codes, &stranger("a"), "one", 0, Err(WechatError::CodeInvalid)), "refused");
    assert_eq!(told(&codes, &stranger("a"), "two", 0, Ok(())), "charged");
    assert_eq!(told(&codes, &stranger("a"), "two", 1, Ok(())), "good", "each second one is forgiven");
}

#[test]
fn a_user_who_logged_in_before_owes_for_nobody_else_and_is_one_of_all_when_they_owe_much() {
    let codes = codes(REFUSES);
    invent(&codes, &stranger("a"), FEW, 0);
    let alice = known("oA", "a");

    for number in 0..USER_MAY_OWE {
        assert_eq!(told(&codes, &alice, &format!("bad {number}"), 0, Err(WechatError::CodeInvalid)), "refused");
    }

    assert_eq!(told(&codes, &alice, "one", 0, Ok(())), "charged");
    assert_eq!(told(&codes, &alice, "one", 1, Ok(())), "good", "each second one is forgiven");
    assert_eq!(told(&codes, &known("oB", "a"), "two", 0, Ok(())), "good");
}

/// Whoever knows what a device sends can send it from anywhere.
#[test]
fn what_others_sent_as_a_user_from_elsewhere_is_forgiven_in_a_second() {
    let codes = codes(REFUSES);
    invent(&codes, &stranger("a"), FEW, 0);
    for network in ["b", "c", "d"] {
        invent(&codes, &known("oA", network), LIMIT, 0);
    }

    assert_eq!(told(&codes, &known("oA", "a"), "one", 0, Ok(())), "charged");
    assert_eq!(told(&codes, &known("oA", "a"), "one", 1, Ok(())), "good");
}

#[test]
fn there_is_a_bound_for_a_process_and_a_network_is_as_others_a_minute_after_a_flood() {
    let codes = codes(ADMITS);
    invent(&codes, &stranger("a"), 2 * MOST, 0);

    assert_eq!(codes.apps.level(&app(), 0), MOST);
    assert_eq!(told(&codes, &stranger("a"), "one", 0, Ok(())), "charged");
    assert_eq!(told(&codes, &stranger("b"), "two", 0, Ok(())), "good");
    assert_eq!(told(&codes, &stranger("a"), "one", BEYOND_LIMIT, Ok(())), "good", "chance admits it");
    assert_eq!(owes(&codes, &stranger("a"), BEYOND_LIMIT + 1), LIMIT - 1);
}

#[test]
fn without_a_limit_nobody_waits() {
    let codes = LoginCodes::new(0, Arc::new(REFUSES));
    invent(&codes, &stranger("a"), 2 * FEW, 0);

    assert_eq!(told(&codes, &stranger("a"), "one", 0, Ok(())), "good");
}

#[test]
fn what_a_code_may_provoke_is_charged_and_nothing_else() {
    let unreachable = || WechatError::Unreachable(Arc::new(std::io::Error::other("no way")));
    for (says, charged) in [
        (WechatError::CodeInvalid, 1),
        (WechatError::NoAnswer("reset"), 1),
        (WechatError::Failed(502), 1),
        (WechatError::Unreadable("html"), 1),
        (WechatError::Unknown { errcode: 1, rid: None }, 1),
        (WechatError::CodeUsed, 0),
        (WechatError::Blocked, 0),
        (WechatError::Busy { errcode: -1, retry_after: 1 }, 0),
        (WechatError::Busy { errcode: 45011, retry_after: 60 }, 0),
        (WechatError::Misconfigured { errcode: 40013, rid: None }, 0),
        (WechatError::NotAsked("late"), 0),
        (WechatError::BreakerOpen, 0),
        (unreachable(), 0),
    ] {
        let codes = codes(ADMITS);
        let alice = known("oA", "a");

        for _ in 0..3 {
            told(&codes, &alice, "one", 0, Err(says.clone()));
        }

        // What is remembered is not charged again.
        let times = if matches!(says, WechatError::CodeInvalid) { 1 } else { 3 * charged };
        assert_eq!(owes(&codes, &alice, 0), times, "{says:?}");
        assert_eq!(codes.users.level(&alice.user.unwrap(), 0), times, "{says:?}");
    }
}

#[test]
fn wechats_word_on_its_quota_counts_for_a_minute_if_three_networks_were_told_it() {
    for errcode in [45009, 45011] {
        let over = || Err(WechatError::Busy { errcode, retry_after: 60 });
        let codes = codes(ADMITS);
        invent(&codes, &stranger("a"), LIMIT + 1, 0);
        for number in 0..9 {
            told(&codes, &stranger("a"), &format!("{number}"), 0, over());
            told(&codes, &stranger("b"), &format!("{number}"), 0, over());
        }
        assert_eq!(told(&codes, &stranger("a"), "one", 0, Ok(())), "good", "two may be one user's doing");

        told(&codes, &stranger("c"), "three", 0, over());

        let waits = pin!(codes.exchange(&stranger("a"), &code("two"), 1, async { Ok(()) })).now_or_never().unwrap();
        assert!(matches!(waits, Err(NotExchanged::TooManyCharged { retry_after: 59 })), "{waits:?}");
        assert_eq!(told(&codes, &known("oA", "a"), "three", 1, Ok(())), "good");
        assert_eq!(told(&codes, &stranger("d"), "four", 1, Ok(())), "good");
        invent(&codes, &stranger("a"), LIMIT, 60);
        assert_eq!(told(&codes, &stranger("a"), "five", 60, Ok(())), "good", "a minute later");
    }
}

/// How often the table is looked at for a record of this code.
fn looks(codes: &LoginCodes, now: Secs, says: Result<(), WechatError>) -> usize {
    let result = codes.exchange(&stranger("a"), &code("one"), now, async { says }).now_or_never().unwrap();
    let Err(NotExchanged::Refused(refusal)) = result else { panic!("{result:?}") };
    codes.keep(&stranger("a"), &code("one"), &refusal, true, now);
    refusal.looks
}

#[test]
fn an_invalid_code_is_looked_for_once_and_a_used_one_until_its_record_may_be_there() {
    let codes_of = |says: WechatError| {
        let codes = codes(ADMITS);
        [0, 1, 30, 61].map(|now| looks(&codes, now, Err(says.clone())))
    };

    // What was looked for in vain is not looked for again while it is remembered.
    assert_eq!(codes_of(WechatError::CodeInvalid), [1, 0, 0, 1]);
    assert_eq!(codes_of(WechatError::CodeUsed), [4, 1, 1, 4]);
}

#[test]
fn a_code_that_was_not_looked_for_is_looked_for_once() {
    let codes = codes(ADMITS);
    told(&codes, &stranger("b"), "one", 0, Err(WechatError::CodeInvalid));

    assert_eq!([1, 2].map(|now| looks(&codes, now, Ok(()))), [1, 0]);
}

#[test]
fn a_code_is_exchanged_by_one_request_at_a_time() {
    let codes = codes(ADMITS);
    let (sender, one) = (stranger("a"), code("one"));
    let mut first = Box::pin(codes.exchange(&sender, &one, 0, std::future::pending::<Result<(), WechatError>>()));
    assert!((&mut first).now_or_never().is_none());

    assert_eq!(looks(&codes, 0, Ok(())), POLL_DELAYS.len());
    assert_eq!(told(&codes, &sender, "two", 0, Ok(())), "good");

    drop(first);
    assert_eq!(told(&codes, &sender, "one", 0, Ok(())), "good", "and its refusal is not remembered");
}

//! Tests: the schedules that were given, and small sizes of the figures.

use serde_json::{Value, json};
use tests::{
    Laptop, Response, send,
    suites::strangers::{
        flood::{self, flood},
        held::held,
        sources::{Tally, each_way},
        wechat::{self, WAYS},
    },
};

/// A case of the given schedules.
fn case(name: &str) -> Value {
    let file: Value = serde_json::from_str(include_str!("../../fixtures/attacker-schedules.json")).unwrap();
    let cases = file["cases"].as_array().unwrap();
    cases.iter().find(|case| case["name"] == name).unwrap_or_else(|| panic!("{name}")).clone()
}

#[tokio::test]
async fn invented_codes_from_one_address_keep_no_known_device_out_and_few_strangers() {
    let sent = &case("invented codes from one address")["sent"];
    assert_eq!(sent["first"], format!("{} invented codes at once", flood::AT_ONCE));
    assert_eq!(sent["then"], format!("{} a second for {} s", flood::A_SECOND, flood::SECONDS));

    // A third of the time; the figures take all of it.
    let outcome = flood(1, flood::SECONDS / 3, 1).await;

    assert_eq!((outcome.known.count, &outcome.wrong), (outcome.known.of, &Vec::new()));
    assert!(outcome.strangers.in_ten_thousand() >= 5_000, "{outcome:?}");
    assert!(outcome.asked.in_ten_thousand() <= 6_666, "{outcome:?}");
}

#[tokio::test]
async fn a_code_whose_text_wechats_front_cuts_off_is_not_sent_and_others_log_in() {
    let case = case("a code whose text WeChat's front cuts off");
    let laptop = Laptop::start().await;
    // What would become of such a code, if it were sent.
    laptop.script("jscode2session", &json!({ "kind": "reset" }), None);

    for number in 0..7 {
        let refused = laptop.post("/v1/login", &json!({ "code": format!("a<{number}") })).await;
        refused.is_problem(400, "invalid_request", "fix");
        let line: Value = serde_json::from_str(&laptop.line(&refused)).unwrap();
        assert_eq!(line["member"], "code");
        assert!(line["source.hash"].is_string(), "{line}");
    }

    assert_eq!(case["right"]["others, at any address"], "log in as if nothing was");
    assert_eq!(laptop.simulator.calls("jscode2session"), 0);
    laptop.simulator.clear_script();
    for number in 0..20 {
        laptop.login(&format!("user{number}")).await;
    }
}

/// A text that fits may be cut off as well, for all that is known of WeChat.
#[tokio::test]
async fn whatever_wechat_answers_to_one_source_others_are_told_what_they_would_be_told_without_it() {
    let tally = each_way(30).await;

    assert_eq!(tally.changed, Vec::<String>::new());
    assert_eq!(tally.sent, 30 * WAYS.len() as u64);
}

#[tokio::test]
async fn nor_does_a_mixture_of_answers_to_one_source_change_what_others_are_told() {
    let (wechat, mut tally) = (wechat::start().await, Tally::default());
    let mut random = tests::seeded::Seeded::new(33);
    let quick: Vec<_> = WAYS.into_iter().filter(|way| !["silent", "busy"].contains(way)).collect();

    for key in [None, Some(tests::KEY)] {
        for _ in 0..6 {
            let mixed: Vec<_> = (0..60).map(|_| quick[random.index(quick.len())]).collect();
            tally.compare(&wechat, &mixed, key).await;
        }
    }

    assert_eq!(tally.changed, Vec::<String>::new());
}

#[test]
fn an_invented_code_with_an_idempotency_key_holds_the_function_hardly_longer() {
    let case = case("an invented code with an Idempotency-Key");
    assert_eq!(
        case["right"]["time that it holds the function"],
        "at most 1.5 times that without the header, also when it comes again"
    );

    let (without, with) = held();

    assert!(2 * with.first <= 3 * without.first, "{with:?} {without:?}");
    assert!(2 * with.again <= 3 * without.again, "{with:?} {without:?}");
}

#[tokio::test]
async fn junk_refresh_tokens_leave_the_refreshes_of_others_alone_and_are_seen() {
    let case = case("junk refresh tokens at the gateway's rate");
    let laptop = Laptop::start().await;
    let alice = laptop.login("alice").await;
    laptop.clock.advance(600);
    let junk = async |number: usize| -> Response {
        let body = json!({ "refresh_token": format!("wxr1_{number}") }).to_string();
        send(
            laptop
                .request(case["sent"]["route"].as_str().unwrap().split(' ').nth(1).unwrap())
                .header("content-type", "application/json")
                .body(body),
        )
        .await
    };

    let mut sources = std::collections::BTreeSet::new();
    for number in 0..500 {
        let refused = junk(number).await;
        refused.is_problem(400, "login_required", "relogin");
        let line: Value = serde_json::from_str(&laptop.line(&refused)).unwrap();
        sources.insert(line["source.hash"].as_str().unwrap().to_owned());
    }

    assert_eq!(sources.len(), 1, "one sender has one name in the log");
    laptop.refresh(&alice.refresh).await.ok();
}

//! Odd inputs: a small number of them, and that they get past the first check.

use std::{future::pending, thread, time::Duration};

use tests::suites::fuzz::{
    Finding, GATEWAY, INPUTS, OPEN_DATA, Outcome, PUSH, REFRESH_TOKEN, REQUEST, Target, WECHAT_ANSWER, World,
};

/// Nothing is found, and each of these was seen.
#[track_caller]
fn finds_nothing(target: Target, expected: &[Outcome]) {
    // Inputs of each seed. The examples of the contract are so many seeds that fewer of each will do.
    let rounds = if target.seed.is_some() { 100 } else { 250 };
    let numbers = target.numbers(rounds);
    let tally = target.run(numbers.clone());

    assert!(tally.findings.is_empty(), "{:#?}", tally.findings);
    assert!(numbers.end >= 15);
    assert_eq!(tally.inputs, numbers.end * INPUTS);
    let unseen: Vec<_> = expected.iter().filter(|outcome| !tally.outcomes.contains_key(*outcome)).collect();
    assert!(unseen.is_empty(), "{unseen:?} in {:?}", tally.outcomes);
}

/// These, and that every function did its work.
fn every_function_and(others: &[Outcome]) -> Vec<Outcome> {
    let done = World::serving().into_iter().map(|name| (name, "done"));
    done.chain(others.iter().copied()).collect()
}

#[test]
fn odd_refresh_tokens_are_refused_and_only_ours_are_read() {
    finds_nothing(
        REFRESH_TOKEN,
        &[
            ("text", "ours"),
            ("text", "long enough for a tag, refused"),
            ("text", "without the prefix"),
            ("bytes", "long enough for a tag, refused"),
            ("fields", "read back"),
            ("fields", "without a key"),
            ("fields", "no names"),
        ],
    );
}

#[test]
fn odd_requests_are_answered_by_the_contract_and_never_by_5xx() {
    finds_nothing(
        REQUEST,
        &every_function_and(&[
            ("login", "code_used"),
            ("login", "invalid_request"),
            ("login", "unsupported_media_type"),
            ("login", "not_found"),
            ("refresh", "login_required"),
            ("refresh", "invalid_request"),
            ("phone", "token_invalid"),
            ("phone", "session_key_expired"),
            ("userinfo", "session_key_expired"),
            ("userinfo", "wrong_data_kind"),
            ("session", "token_invalid"),
            ("push", "invalid_request"),
        ]),
    );
}

#[test]
fn odd_answers_of_wechat_are_its_failures_and_never_ours() {
    finds_nothing(
        WECHAT_ANSWER,
        &[
            ("session", "done"),
            ("session", "code_invalid"),
            ("session", "user_blocked"),
            ("session", "misconfigured"),
            ("session", "wechat_busy"),
            ("session", "wechat_error"),
            ("platform token", "done"),
            ("platform token", "misconfigured"),
            ("platform token", "wechat_error"),
            ("phone", "done"),
            ("phone", "data_rejected"),
            ("phone", "wechat_error"),
            ("check", "ok"),
            ("check", "stale"),
            ("check", "unknown"),
            ("data", "known"),
            ("data", "unknown"),
            ("data", "wechat_error"),
            ("reset", "done"),
            ("reset", "stale"),
            ("reset", "wechat_error"),
        ],
    );
}

#[test]
fn odd_open_data_is_read_only_if_it_is_the_users_and_the_apps() {
    finds_nothing(
        OPEN_DATA,
        &[
            ("text of a phone number", "read"),
            ("text of a phone number", "foreign"),
            ("text of a phone number", "another object"),
            ("text of a phone number", "no object"),
            ("text of a profile", "read"),
            ("text of a profile", "foreign"),
            ("text of a profile", "another object"),
            ("text of a profile", "another kind"),
            ("text of other data", "read"),
            ("text of other data", "foreign"),
            ("text of other data", "another kind"),
            ("ciphertext", "unreadable"),
            ("ciphertext", "no blocks"),
            ("lines", "read"),
            ("lines", "unreadable"),
            ("lines", "no key"),
        ],
    );
}

#[test]
fn odd_events_are_answered_and_never_by_a_yes_to_another_token() {
    finds_nothing(
        GATEWAY,
        &every_function_and(&[
            ("login", "400"),
            ("login", "404"),
            ("refresh", "400"),
            ("phone", "401"),
            ("push", "400"),
            ("authorizer", "yes"),
            ("authorizer", "no"),
            ("authorizer", "a policy that allows"),
            ("authorizer", "a policy that denies"),
            ("another event", "refused"),
        ]),
    );
}

#[test]
fn odd_pushes_under_a_right_signature_are_taken_or_refused() {
    finds_nothing(
        PUSH,
        &[
            ("in the clear", "USER_AUTHORIZATION_CANCELLATION"),
            ("in the clear", "USER_AUTHORIZATION_REVOKE"),
            ("in the clear", "USER_INFO_MODIFIED"),
            ("in the clear", "done"),
            ("in the clear", "invalid_request"),
            ("encrypted, JSON", "USER_AUTHORIZATION_CANCELLATION"),
            ("encrypted, JSON", "invalid_request"),
            ("encrypted, XML", "USER_AUTHORIZATION_REVOKE"),
            ("encrypted, XML", "invalid_request"),
            ("envelope", "invalid_request"),
        ],
    );
}

#[test]
fn a_number_makes_the_same_inputs_again() {
    assert_eq!(OPEN_DATA.run(7..9).outcomes, OPEN_DATA.run(7..9).outcomes);
    assert_ne!(OPEN_DATA.run(7..9).outcomes, OPEN_DATA.run(9..11).outcomes);
}

#[test]
fn a_panic_is_found_with_the_number_and_the_input_that_caused_it() {
    let cautious = Target { take: |_, input| (["short", "long"][input.len() / 200], ""), ..OPEN_DATA };

    let tally = cautious.run(0..15);

    let finding = tally.findings.first().expect("a long input");
    assert!(finding.input.len() >= 400 && finding.what.contains("index out of bounds"), "{finding:?}");
    assert!(!finding.is_slow(), "{finding:?}");
    let again = cautious.run(finding.number..finding.number + 1);
    assert!(again.findings.iter().any(|found| found.input == finding.input));
    assert_eq!(tally.outcomes.values().sum::<u64>() + tally.findings.len() as u64, tally.inputs);
}

#[test]
fn an_input_that_takes_longer_than_100_ms_is_found() {
    let slow = Target {
        take: |_, input| {
            if input == b"c0123456789abcdef0123456789abcdef" {
                thread::sleep(Duration::from_millis(101));
            }
            ("taken", "")
        },
        ..OPEN_DATA
    };

    let findings = slow.run(0..2).findings;

    assert!(findings.iter().any(Finding::is_slow), "{findings:?}");
}

#[test]
fn an_input_that_waits_for_what_never_comes_is_found() {
    let hanging = Target {
        take: |world, _| {
            world.wait(pending::<()>());
            ("taken", "")
        },
        ..OPEN_DATA
    };

    let tally = hanging.run(0..1);

    assert_eq!(tally.findings.len() as u64, INPUTS);
    assert!(tally.findings.iter().all(|finding| finding.what == "a hang"), "{:?}", tally.findings);
}

#[test]
fn an_input_that_waits_for_a_timer_is_let_finish() {
    let patient = Target {
        take: |world, _| {
            world.wait(async { tokio::time::sleep(Duration::from_secs(10)).await });
            ("taken", "")
        },
        ..OPEN_DATA
    };

    assert_eq!(patient.run(0..1).outcomes[&("taken", "")], INPUTS);
}

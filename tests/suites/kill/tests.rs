//! Processes that are killed, once at each step: nobody is logged out by it, and no token is dead on arrival.

use std::path::Path;

use tests::{
    runtime_api::{binaries, build},
    suites::kill::{
        Logins,
        instances::{self, Flaw},
        logins, phones, pushes, refreshes,
    },
};

async fn a_killed_refresh_is_repeated(binaries: &Path) {
    let refreshes = refreshes(binaries, 3).await;

    assert_eq!((refreshes.killed, refreshes.replayed), (3, 3));
}

async fn a_killed_login_is_repeated_or_asks_for_a_new_one(binaries: &Path) {
    let Logins { killed, repeated, relogins, dead, wechat_calls } = logins(binaries, 1).await;

    assert_eq!((killed, repeated + relogins, dead), (13, 13, 0));
    // Before WeChat, with all three writes, and in what follows them; without one of the three nothing is repeated.
    assert_eq!(repeated, 5);
    assert!(wechat_calls <= 2, "{wechat_calls}");
}

async fn a_killed_redemption_gives_the_number_or_asks_for_another_tap(binaries: &Path) {
    let phones = phones(binaries).await;

    assert!(phones.killed >= 12, "{phones:?}");
    // The code is spent and its number not stored in two places: after WeChat, and before the write.
    assert_eq!((phones.numbers, phones.taps), (phones.killed - 2, 2));
}

async fn a_killed_push_reaches_the_owner(binaries: &Path) {
    let pushes = pushes(binaries, 44).await;

    assert_eq!((pushes.killed, pushes.acknowledged, pushes.lost), (44, 44, 0), "{pushes:?}");
    // It is asked twice only where the process died, or had a bad answer, between the question and the write of the answer.
    assert!(pushes.asked_again < 20 && pushes.asked_thrice == 0, "{pushes:?}");
}

#[test]
fn no_message_is_acknowledged_before_it_has_reached_whom_it_concerns_and_none_takes_away_what_came_later() {
    let tally = instances::run(600, 1, None);

    assert_eq!((&tally.lost[..], &tally.ended[..], &tally.stuck[..]), (&[][..], &[][..], &[][..]), "{tally:#?}");
    assert_eq!((tally.messages, tally.acknowledged), (600, 600));
    assert!(tally.killed > 500 && tally.since > 100 && tally.asked_again > 50, "{tally:#?}");
    let reached: Vec<_> = (0..25).filter(|step| !tally.steps.contains(step)).collect();
    assert_eq!(reached, [0; 0], "nothing died there");
    assert_eq!((tally.forms.len(), tally.kinds.len()), (8, 13), "{tally:#?}");
}

#[test]
fn the_suite_notices_an_early_word_to_wechat_an_early_note_and_a_message_that_is_obeyed_again() {
    for flaw in [Flaw::AnswersForTheOwner, Flaw::NotesFirst] {
        assert!(!instances::run(60, 1, Some(flaw)).lost.is_empty(), "{flaw:?}");
    }
    assert!(!instances::run(60, 1, Some(Flaw::ForgetsArrivals)).ended.is_empty());
}

#[tokio::test]
async fn a_message_whose_push_is_killed_at_any_step_reaches_table_and_owner_before_it_is_acknowledged() {
    a_killed_push_reaches_the_owner(&build()).await;
}

#[tokio::test]
async fn a_refresh_that_is_killed_after_its_write_gives_the_successor_to_who_asks_again() {
    a_killed_refresh_is_repeated(&build()).await;
}

#[tokio::test]
async fn a_login_that_is_killed_at_any_step_is_repeated_with_a_live_token_or_asks_for_a_new_login() {
    a_killed_login_is_repeated_or_asks_for_a_new_one(&build()).await;
}

#[tokio::test]
async fn a_phone_code_whose_redemption_is_killed_gives_the_number_or_asks_for_another_tap() {
    a_killed_redemption_gives_the_number_or_asks_for_another_tap(&build()).await;
}

#[tokio::test]
#[ignore = "needs what cargo lambda build makes; .ci/run does it"]
async fn the_shipped_binaries_are_killed_without_harm() {
    let shipped = binaries("lambda");
    a_killed_refresh_is_repeated(&shipped).await;
    a_killed_login_is_repeated_or_asks_for_a_new_one(&shipped).await;
    a_killed_redemption_gives_the_number_or_asks_for_another_tap(&shipped).await;
    a_killed_push_reaches_the_owner(&shipped).await;
}

//! Every case of the fixtures about ends and strangers is played by a test.

use serde_json::Value;

use crate::{files, read};

/// The cases, each with the test that plays it.
const PLAYED: [(&str, &[(&str, &str)]); 2] = [
    (
        "endings.json",
        &[
            ("a deletion beside a login", "ends_beside_logins_leave_no_session_that_may_not_be"),
            ("a late session after a logout", "a_session_that_is_put_again_after_its_logout_stays_over"),
            ("a late user after a deletion", "a_user_who_is_written_again_after_the_deletion_stays_deleted"),
            ("a late session after a block", "a_session_that_is_put_again_after_a_block_stays_over"),
            (
                "an operation twice in one event",
                "an_event_in_which_a_member_is_given_twice_does_nothing_and_every_error_has_a_type",
            ),
            ("an access token near the end of its session", "an_access_token_does_not_outlive_its_session"),
            (
                "twelve first logins at once",
                "of_twelve_first_logins_at_once_five_live_and_none_is_given_a_session_that_the_limit_has_ended",
            ),
        ],
    ),
    (
        "attacker-schedules.json",
        &[
            (
                "invented codes from one address",
                "invented_codes_from_one_address_keep_no_known_device_out_and_few_strangers",
            ),
            (
                "a code whose text WeChat's front cuts off",
                "a_code_whose_text_wechats_front_cuts_off_is_not_sent_and_others_log_in",
            ),
            (
                "an invented code with an Idempotency-Key",
                "an_invented_code_with_an_idempotency_key_holds_the_function_hardly_longer",
            ),
            (
                "junk refresh tokens at the gateway's rate",
                "junk_refresh_tokens_leave_the_refreshes_of_others_alone_and_are_seen",
            ),
            (
                "times at which reuse cannot be seen",
                "times_at_which_reuse_cannot_be_seen_or_a_session_is_over_before_its_token_are_refused",
            ),
            (
                "a thief who rotates a young token",
                "a_thief_who_rotated_a_young_token_is_seen_when_its_owner_comes_days_later",
            ),
            ("a thief who watches", "a_theft_is_noticed_within_a_day"),
            ("an emergency brake of tomorrow", "a_brake_in_the_future_is_told_before_a_code_is_spent"),
        ],
    ),
];

#[test]
fn each_case_about_ends_and_strangers_has_a_test() {
    let sources = ["tests", "shared/src"].into_iter().flat_map(|folder| files(folder, "rs"));
    let sources: String = sources.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    for (file, played) in PLAYED {
        let file: Value = serde_json::from_str(&read(&format!("tests/fixtures/{file}"))).unwrap();
        let cases: Vec<_> =
            file["cases"].as_array().unwrap().iter().map(|case| case["name"].as_str().unwrap()).collect();

        assert_eq!(cases, played.iter().map(|(case, _)| *case).collect::<Vec<_>>());
        for (case, test) in played {
            assert!(sources.contains(&format!("fn {test}()")), "{case}: {test}");
        }
    }
}

//! A small number of signatures beside logins and replacements, and that the suite notices what is wrong.

use tests::suites::signatures::{Flaw, run};

#[tokio::test]
async fn no_signature_is_by_a_key_that_was_not_current_while_it_was_asked_for() {
    let tally = run(1_500, 1, None).await;

    assert!(tally.wrong.is_empty(), "{:#?}", tally.wrong);
    assert!(tally.signed > 300 && tally.checked > 100 && tally.stale > 100, "{tally:?}");
    assert_eq!(tally.others.keys().copied().collect::<Vec<_>>(), ["login", "nothing", "replacement", "reset"]);
}

#[tokio::test]
async fn the_suite_notices_a_key_that_is_remembered_and_a_check_that_is_ignored() {
    for flaw in [Flaw::RemembersKeys, Flaw::IgnoresTheCheck] {
        let tally = run(100, 1, Some(flaw)).await;

        assert!(!tally.wrong.is_empty(), "{flaw:?}");
    }
}

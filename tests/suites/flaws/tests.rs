//! Whether the suites notice what they are for.

use tests::suites::flaws::FLAWS;

#[test]
fn every_change_for_the_worse_is_noticed() {
    let unnoticed: Vec<_> = FLAWS.iter().filter(|flaw| !flaw.is_noticed()).map(|flaw| flaw.what).collect();

    assert_eq!(unnoticed, [""; 0]);
}

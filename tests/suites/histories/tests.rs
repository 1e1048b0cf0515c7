//! What many clients at several processes are told has an order that explains it.

use shared::{clock::Millis, session::refresh::RefreshPolicy};
use tests::suites::histories::{
    Event, History, Operation, Processes, Told,
    pairs::{self, Pair},
};

fn is_linearizable(history: &History) -> bool {
    history.is_linearizable(RefreshPolicy::default())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_sixteen_clients_at_four_processes_are_told_is_linearizable() {
    let judged = Processes::start(1).await.judge(40, 1_000).await;

    assert!(judged.unexplained.is_empty(), "{:#?}", judged.unexplained[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lie_about_when_a_session_was_made_is_noticed() {
    let processes = Processes::start(2).await;
    let (mut lies, mut noticed) = (0, 0);
    while lies < 5 {
        for mut history in processes.record().await {
            // An early one: what is no history takes every order to find out.
            let early = history.0.iter().take(16);
            let look = early.enumerate().find(|(_, event)| matches!(event, Event::Return(_, Told::Session(Some(_)))));
            let look = look.map(|(at, _)| at);
            let Some(look) = look else { continue };
            if let Event::Return(_, Told::Session(Some(made_at))) = &mut history.0[look] {
                *made_at += 1;
            }
            history.0.truncate(look + 1);
            lies += 1;
            noticed += u32::from(!is_linearizable(&history));
        }
    }

    assert_eq!(noticed, lies);
}

/// A login at 0, and two refreshes at once of its token at 1000 that were told this.
fn two_at_once(one: Told, other: Told) -> History {
    let refresh = Operation::Refresh { token: 0, at: 1_000 };
    History(vec![
        Event::Call(0, Operation::LogIn { at: 0 }),
        Event::Return(0, Told::LoggedIn(0, 1)),
        Event::Call(0, refresh),
        Event::Call(1, refresh),
        Event::Return(1, other),
        Event::Return(0, one),
    ])
}

#[test]
fn two_refreshes_at_once_are_told_the_same() {
    assert!(is_linearizable(&two_at_once(Told::Token(1), Told::Token(1))));
    assert!(!is_linearizable(&two_at_once(Told::Token(1), Told::Token(2))));
    assert!(!is_linearizable(&two_at_once(Told::Token(1), Told::Token(0))));
}

#[test]
fn a_success_after_a_logout_was_acknowledged_is_noticed() {
    let log_out = [Event::Call(0, Operation::LogOut { with: 1 }), Event::Return(0, Told::Done)];
    let refresh = [Event::Call(1, Operation::Refresh { token: 1, at: 1_000 }), Event::Return(1, Told::Token(1))];
    let refreshed = two_at_once(Told::Token(1), Told::Token(1)).0;

    assert!(is_linearizable(&History([&refreshed[..], &refresh, &log_out].concat())));
    assert!(!is_linearizable(&History([&refreshed[..], &log_out, &refresh].concat())));
}

/// An operation that is done, and what it was told, one after the other.
fn in_turn(done: &[(Operation, Told)]) -> History {
    History(done.iter().flat_map(|(operation, told)| [Event::Call(0, *operation), Event::Return(0, *told)]).collect())
}

#[test]
fn what_comes_after_an_end_that_was_acknowledged_is_noticed() {
    let login = (Operation::LogIn { at: 0 }, Told::LoggedIn(0, 1));
    let refresh = (Operation::Refresh { token: 0, at: 1 }, Told::Token(0));
    for end in ends(2) {
        assert!(is_linearizable(&in_turn(&[login, refresh, (end, Told::Done)])));
        assert!(is_linearizable(&in_turn(&[login, (end, Told::Done), (refresh.0, Told::Gone)])));
        assert!(!is_linearizable(&in_turn(&[login, (end, Told::Done), refresh])), "{end:?}");
    }
}

/// Each end of all sessions, sent at this time.
fn ends(at_ms: Millis) -> [Operation; 5] {
    [
        Operation::LogOutAll { with: 0, at_ms },
        Operation::DeleteUser { with: 0, at_ms },
        Operation::EndSessions { at_ms },
        Operation::Delete { at_ms },
        Operation::Block { at_ms },
    ]
}

#[test]
fn a_login_that_arrived_before_an_end_and_outlives_it_is_noticed() {
    for end in ends(2) {
        let beside = |arrived_ms| {
            History(vec![
                Event::Call(0, Operation::LogIn { at: 0 }),
                Event::Call(1, end),
                Event::Return(1, Told::Done),
                Event::Call(1, Operation::Unblock { at: 0 }),
                Event::Return(1, Told::Unblocked(matches!(end, Operation::Block { .. }))),
                Event::Return(0, Told::LoggedIn(0, arrived_ms)),
                Event::Call(0, Operation::Look { with: 0 }),
                Event::Return(0, Told::Session(Some(0))),
            ])
        };

        assert!(!is_linearizable(&beside(2)), "{end:?}");
        assert!(is_linearizable(&beside(3)), "{end:?}");
    }
}

#[test]
fn a_block_that_does_not_last_and_one_that_outlasts_its_end_are_noticed() {
    let block = (Operation::Block { at_ms: 1 }, Told::Done);
    let unblock = (Operation::Unblock { at: 1 }, Told::Unblocked(true));
    let login = |told| (Operation::LogIn { at: 0 }, told);

    assert!(is_linearizable(&in_turn(&[block, login(Told::Blocked), unblock, login(Told::LoggedIn(0, 2))])));
    assert!(!is_linearizable(&in_turn(&[block, login(Told::LoggedIn(0, 2))])));
    assert!(!is_linearizable(&in_turn(&[block, unblock, login(Told::Blocked)])));
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_beside_logins_leave_no_session_that_may_not_be() {
    for pair in Pair::ALL {
        let seen = pairs::play(pair, 60, 1).await;

        assert_eq!(seen.left, 0, "{pair:?}: {seen:?}");
        assert!(seen.taken > 0 && seen.refused > 0, "{pair:?}: {seen:?}");
    }
}

#[test]
fn a_rule_with_other_times_explains_other_histories() {
    let refresh = Operation::Refresh { token: 0, at: 150 };
    let rotated = History(vec![
        Event::Call(0, Operation::LogIn { at: 0 }),
        Event::Return(0, Told::LoggedIn(0, 1)),
        Event::Call(0, refresh),
        Event::Return(0, Told::Token(1)),
    ]);

    assert!(is_linearizable(&rotated));
    assert!(!rotated.is_linearizable(RefreshPolicy { min_age: 200, ..RefreshPolicy::default() }));
}

//! Operations at once.
//!
//! In memory the operations take turns, a request each, so that "after so many looks" is every order of the two; on a
//! table behind a wire it is some order, and the rule holds in each.

use std::{future::poll_fn, pin::pin, task::Poll};

use tokio::task::JoinSet;

use super::{Broken, Case, NOW, Value, Verdict, every, family, ms, rotation, same, session};
use shared::{
    ids::AppId,
    session::{Attempt, TRIES, TRIES_WINDOW, UserStatus, WriteResult},
    store::{TakeError, grants::LeaseHolder},
};

every! {
    of_sixteen_rotations_at_once_one_is_applied,
    of_sixteen_logins_at_once_the_newest_stays,
    of_sixteen_who_want_the_lease_at_once_one_has_it,
    attempts_at_once_are_all_counted,
    a_logout_beside_a_rotation_leaves_nothing,
    a_login_that_comes_after_a_block_is_refused,
    a_login_that_arrived_before_logins_were_refused_stores_nothing_afterwards,
    of_a_login_that_arrived_before_a_deletion_nothing_is_left,
    a_block_beside_a_deletion_stays,
    a_block_beside_an_unblock_leaves_the_user_whole,
    an_unblock_beside_a_deletion_leaves_nothing_for_ever,
    an_attempt_beside_a_deletion_makes_no_user,
}

/// How many looks the second of two operations waits at most: no operation has more requests than this in a round.
const PAUSES: u32 = 4;

/// Runs all at once, and gives what they gave.
async fn at_once<T: Send + 'static>(
    all: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Result<Vec<T>, Broken> {
    let mut running: JoinSet<T> = all.into_iter().collect();
    let mut gave = Vec::new();
    while let Some(one) = running.join_next().await {
        gave.push(one?);
    }
    Ok(gave)
}

/// Waits for two turns of the others before each of its own.
async fn slowly<T>(operation: impl Future<Output = T>) -> T {
    let (mut operation, mut turn) = (pin!(operation), 0_u8);
    poll_fn(|context| {
        turn = (turn + 1) % 3;
        if turn == 1 {
            return operation.as_mut().poll(context);
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

/// Looks, so many times, as a way to wait on this very table.
async fn look(case: &Case, times: u32) -> Verdict {
    for _ in 0..times {
        case.table.read_user(&case.user).await?;
    }
    Ok(())
}

async fn of_sixteen_rotations_at_once_one_is_applied(case: Case) -> Verdict {
    let made = session(1, NOW);
    case.table.put_session(&case.at(&made), &made).await?;
    let rotate = || {
        let (table, rotation) = (case.table.clone(), rotation(case.at(&made), &made, 120));
        async move { table.refresh_session(&rotation).await }
    };

    let mut applied = Vec::new();
    let mut shown = Vec::new();
    for attempt in at_once((0..16).map(|_| rotate())).await? {
        match attempt? {
            WriteResult::Applied(session) => applied.push(session),
            WriteResult::Refused(session) => shown.push(session),
        }
    }

    same!((applied.len(), shown.len()), (1, 15));
    // Each loser is shown what the winner wrote.
    same!(shown.iter().all(|session| *session == applied.first().cloned()), true);
    Ok(())
}

async fn of_sixteen_logins_at_once_the_newest_stays(case: Case) -> Verdict {
    let open = |number: u8| {
        let made = session(number, NOW + u64::from(number * 7 % 16));
        let (table, at) = (case.table.clone(), case.at(&made));
        async move { table.put_session(&at, &made).await }
    };

    for opened in at_once((0..16).map(open)).await? {
        opened?;
    }

    let stays = case.table.read_session(&case.at(&session(0, NOW))).await?;
    same!(stays.map(|session| session.created_at), Some(NOW + 15));
    Ok(())
}

async fn of_sixteen_who_want_the_lease_at_once_one_has_it(case: Case) -> Verdict {
    let appid = AppId::parse("wx-lease-4")?;
    let lease = |number: u8| {
        let (table, appid) = (case.table.clone(), appid.clone());
        async move { table.lease(&appid, LeaseHolder([number; 16]), NOW, NOW + 10).await }
    };

    let mut taken = 0;
    for had in at_once((0..16).map(lease)).await? {
        taken += u32::from(had?);
    }

    same!(taken, 1);
    Ok(())
}

async fn attempts_at_once_are_all_counted(case: Case) -> Verdict {
    case.table.store_user_login(&case.login(1, NOW)).await?;
    // Once where none was counted yet, once where an hour is over.
    for now in [NOW, NOW + TRIES_WINDOW] {
        let take = || {
            let (table, user) = (case.table.clone(), case.user.clone());
            async move { table.take_session_keys(&user, &Attempt::OpenData, now).await }
        };

        let mut taken = 0;
        for attempt in at_once((0..100).map(|_| take())).await? {
            match attempt {
                Ok(_) => taken += 1,
                Err(TakeError::RateLimited { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }

        same!(taken, TRIES);
        same!(case.table.read_user(&case.user).await?.and_then(|user| user.tries), Some((TRIES, now)));
    }
    Ok(())
}

async fn a_logout_beside_a_rotation_leaves_nothing(case: Case) -> Verdict {
    for round in 0..PAUSES {
        let case = case.other(round)?;
        let made = session(1, NOW);
        let (at, rotation) = (case.at(&made), rotation(case.at(&made), &made, 120));
        case.table.put_session(&at, &made).await?;
        let log_out = async {
            look(&case, round).await?;
            Ok::<_, Broken>(case.table.log_out_session(&case.subject(&made), NOW).await?)
        };

        let (rotated, logged_out) = tokio::join!(biased; case.table.refresh_session(&rotation), log_out);

        rotated?;
        logged_out?;
        same!(case.table.read_session(&at).await?, None);
    }
    Ok(())
}

async fn a_login_that_comes_after_a_block_is_refused(case: Case) -> Verdict {
    for (round, key) in [1, 2].into_iter().flat_map(|key| (0..PAUSES).map(move |pause| (pause, key))) {
        let case = case.other(round + PAUSES * u32::from(key))?;
        case.table.store_user_login(&case.login(1, NOW)).await?;
        let login = case.login(key, NOW + 1);
        let block = async {
            look(&case, round).await?;
            case.table.block_user(&case.user, ms(NOW)).await?;
            Ok::<_, Broken>(case.table.read_user(&case.user).await?.and_then(|user| user.last_login))
        };

        let (recorded, seen) = tokio::join!(biased; slowly(case.table.store_user_login(&login)), block);

        // Who was seen blocked and not yet logged in was blocked before.
        let expected = if seen? == Some(NOW) { UserStatus::Blocked } else { UserStatus::Known };
        same!(recorded?, expected);
    }
    Ok(())
}

async fn a_login_that_arrived_before_logins_were_refused_stores_nothing_afterwards(case: Case) -> Verdict {
    for (round, key) in [1, 2].into_iter().flat_map(|key| (0..PAUSES).map(move |pause| (pause, key))) {
        let case = case.other(round + PAUSES * u32::from(key))?;
        case.table.store_user_login(&case.login(1, NOW)).await?;
        let login = case.login(key, NOW + 1);
        let refuse = async {
            look(&case, round).await?;
            case.table.refuse_logins(&case.user, ms(NOW + 2)).await?;
            Ok::<_, Broken>(case.table.read_user(&case.user).await?.and_then(|user| user.last_login))
        };

        let (recorded, seen) = tokio::join!(biased; slowly(case.table.store_user_login(&login)), refuse);

        let seen = seen?;
        same!(recorded?, if seen == Some(NOW) { UserStatus::Overtaken } else { UserStatus::Known });
        same!(case.table.read_user(&case.user).await?.and_then(|user| user.last_login), seen);
    }
    Ok(())
}

async fn of_a_login_that_arrived_before_a_deletion_nothing_is_left(case: Case) -> Verdict {
    for (round, key) in [1, 2].into_iter().flat_map(|key| (0..PAUSES).map(move |pause| (pause, key))) {
        let case = case.other(round + PAUSES * u32::from(key))?;
        case.table.store_user_login(&case.login(1, NOW)).await?;
        let login = case.login(key, NOW + 1);
        let erase = async {
            look(&case, round).await?;
            Ok::<_, Broken>(case.table.erase_user(&case.user, ms(NOW + 2)).await?)
        };

        let (recorded, erased) = tokio::join!(biased; slowly(case.table.store_user_login(&login)), erase);

        erased?;
        same!(matches!(recorded?, UserStatus::Known | UserStatus::Overtaken), true);
        let left = case.items().await.into_iter().flat_map(|(_, item)| item.into_keys()).collect::<Vec<_>>();
        same!(left, ["deleted_ms", "ttl"]);
    }
    Ok(())
}

async fn a_block_beside_a_deletion_stays(case: Case) -> Verdict {
    for round in 0..PAUSES {
        let case = case.other(round)?;
        case.table.store_user_login(&case.login(1, NOW)).await?;
        case.table.take_session_keys(&case.user, &Attempt::OpenData, NOW).await?;
        let block = async {
            look(&case, round).await?;
            Ok::<_, Broken>(case.table.block_user(&case.user, ms(NOW)).await?)
        };

        let (erased, blocked) = tokio::join!(biased; case.table.erase_user(&case.user, ms(NOW)), block);

        erased?;
        let left = case.table.read_user(&case.user).await?.unwrap_or_default();
        same!((left.blocked_at, left.first_login), (Some(blocked?), None));
        // A block must not run out; a bare count must.
        same!(case.attribute("ttl").await.is_some(), left.blocked_at.is_none());
    }
    Ok(())
}

async fn a_block_beside_an_unblock_leaves_the_user_whole(case: Case) -> Verdict {
    for round in 0..PAUSES {
        let case = case.other(round)?;
        case.table.store_user_login(&case.login(1, NOW)).await?;
        let block = async {
            look(&case, round).await?;
            Ok::<_, Broken>(case.table.block_user(&case.user, ms(NOW)).await?)
        };

        let (lifted, blocked) = tokio::join!(biased; case.table.unblock_user(&case.user, ms(NOW)), block);

        same!(blocked?, NOW);
        let stays = case.table.read_user(&case.user).await?.and_then(|user| user.blocked_at);
        same!(stays.is_none(), lifted?);
        same!(case.attribute("ttl").await, None);
    }
    Ok(())
}

async fn an_unblock_beside_a_deletion_leaves_nothing_for_ever(case: Case) -> Verdict {
    for round in 0..PAUSES {
        let case = case.other(round)?;
        case.table.store_user_login(&case.login(1, NOW)).await?;
        case.table.block_user(&case.user, ms(NOW)).await?;
        let unblock = async {
            look(&case, round).await?;
            Ok::<_, Broken>(case.table.unblock_user(&case.user, ms(NOW)).await?)
        };

        let (erased, lifted) = tokio::join!(biased; case.table.erase_user(&case.user, ms(NOW)), unblock);

        erased?;
        same!(lifted?, true);
        let ttl = Value::Number(NOW + TRIES_WINDOW);
        for (sort, item) in case.items().await {
            same!((sort.as_str(), item.get("ttl")), ("user", Some(&ttl)));
            same!(item.into_keys().collect::<Vec<_>>(), ["block_ms", "deleted_ms", "ttl"]);
        }
    }
    Ok(())
}

async fn an_attempt_beside_a_deletion_makes_no_user(case: Case) -> Verdict {
    for round in 0..PAUSES {
        let case = case.other(round)?;
        case.table.store_user_login(&case.login(1, NOW)).await?;
        let erase = async {
            look(&case, round).await?;
            Ok::<_, Broken>(case.table.erase_user(&case.user, ms(NOW)).await?)
        };

        let (taken, erased) =
            tokio::join!(biased; case.table.take_session_keys(&case.user, &Attempt::OpenData, NOW), erase);

        erased?;
        match taken {
            Ok(keys) => same!(keys.current.is_none_or(|key| key == vec![1; 32]), true),
            Err(error) => return Err(error.into()),
        }
        let left = case.table.read_user(&case.user).await?;
        same!(left.is_none_or(|left| left.first_family != Some(family(0)) && left.current_key.is_none()), true);
    }
    Ok(())
}

//! What keeps users out of their items: blocks, deletions, and logins that are refused.

use super::{
    Case, NOW, Value, Verdict, every, ms, same,
    users::{keys, kinds, names, refused},
};
use shared::{
    ids::UnionId,
    session::{Attempt, TRIES, TRIES_WINDOW, User, UserLogin, UserStatus},
    store::grants::Deletion,
};

every! {
    a_blocked_user_does_not_log_in,
    a_block_of_nobody_and_of_a_deleted_user_stays,
    a_block_keeps_its_time_and_is_lifted_once,
    of_a_deleted_user_a_mark_is_left_for_an_hour,
    no_login_that_arrived_before_a_deletion_brings_the_user_back,
    a_deletion_is_later_than_all_that_it_finds,
    a_login_that_is_later_than_a_deletion_may_be_stays_without_what_was_before_it,
    logins_that_arrived_before_they_were_refused_change_nothing_and_later_ones_find_the_user_whole,
    refused_logins_of_nobody_leave_a_mark_for_an_hour_and_of_a_blocked_one_for_good,
    logins_are_refused_until_later_than_all_that_is_found,
    records_are_named_until_they_are_erased_and_those_of_a_new_user_stay,
    of_blocks_and_their_ends_the_last_word_counts,
    running_counts_outlive_their_user_for_their_hours,
    a_block_outlives_its_user,
}

async fn a_blocked_user_does_not_log_in(case: Case) -> Verdict {
    case.table.store_user_login(&case.login(1, NOW)).await?;
    case.table.block_user(&case.user, ms(NOW + 1)).await?;

    let before = case.items().await;
    same!(case.table.store_user_login(&case.login(1, NOW + 2)).await?, UserStatus::Blocked);
    same!(case.table.store_user_login(&case.login(2, NOW + 3)).await?, UserStatus::Blocked);
    same!(case.items().await, before);
    Ok(())
}

/// A user would escape by deleting themselves before, and TTL would lift the block from what is left.
async fn a_block_of_nobody_and_of_a_deleted_user_stays(case: Case) -> Verdict {
    same!(case.table.block_user(&case.user, ms(NOW)).await?, NOW);
    same!(case.table.store_user_login(&case.login(1, NOW)).await?, UserStatus::Blocked);
    same!(case.table.unblock_user(&case.user, ms(NOW)).await?, true);
    case.table.store_user_login(&case.login(1, NOW)).await?;
    case.take(&Attempt::OpenData, NOW).await?;
    case.table.erase_user(&case.user, ms(NOW)).await?;
    same!(case.attribute("ttl").await, Some(Value::Number(NOW + 3_600)));

    same!(case.table.block_user(&case.user, ms(NOW + 1)).await?, NOW + 1);
    same!(case.table.store_user_login(&case.login(1, NOW + 2)).await?, UserStatus::Blocked);
    same!(case.attribute("ttl").await, None);
    Ok(())
}

async fn a_block_keeps_its_time_and_is_lifted_once(case: Case) -> Verdict {
    same!(case.table.unblock_user(&case.user, ms(NOW)).await?, false);
    same!(case.items().await, Vec::new());
    case.table.store_user_login(&case.login(1, NOW)).await?;
    same!(case.table.unblock_user(&case.user, ms(NOW)).await?, false);
    same!(case.table.block_user(&case.user, ms(NOW + 1)).await?, NOW + 1);
    same!(case.table.block_user(&case.user, ms(NOW + 2)).await?, NOW + 1);

    same!(case.table.unblock_user(&case.user, ms(NOW + 3)).await?, true);
    // The SDK's repetition, and then another request.
    same!(case.table.unblock_user(&case.user, ms(NOW + 3)).await?, true);
    same!(case.table.unblock_user(&case.user, ms(NOW + 4)).await?, false);

    same!(case.table.store_user_login(&case.login(1, NOW + 4)).await?, UserStatus::Known);
    same!(case.attribute("ttl").await, None);
    Ok(())
}

async fn of_a_deleted_user_a_mark_is_left_for_an_hour(case: Case) -> Verdict {
    same!(case.table.erase_user(&case.user, ms(NOW)).await?, Deletion { deleted_ms: ms(NOW), was_user: false });
    case.table.store_user_login(&case.login(1, NOW + 1)).await?;
    let deleted_ms = ms(NOW + 2);

    same!(case.table.erase_user(&case.user, deleted_ms).await?, Deletion { deleted_ms, was_user: true });

    same!(names(&case).await, ["deleted_ms", "ttl"]);
    same!(case.attribute("ttl").await, Some(Value::Number(NOW + 2 + 3_600)));
    same!(case.table.read_user(&case.user).await?, Some(User { deleted_ms: Some(deleted_ms), ..User::default() }));
    Ok(())
}

async fn no_login_that_arrived_before_a_deletion_brings_the_user_back(case: Case) -> Verdict {
    case.table.store_user_login(&case.login(1, NOW)).await?;
    case.table.erase_user(&case.user, ms(NOW + 1)).await?;
    let left = case.items().await;

    for key in [1, 2] {
        same!(case.table.store_user_login(&case.login(key, NOW)).await?, UserStatus::Overtaken);
        same!(case.table.store_user_login(&case.login(key, NOW + 1)).await?, UserStatus::Overtaken);
    }
    same!(case.items().await, left);

    same!(case.table.store_user_login(&case.login(1, NOW + 2)).await?, UserStatus::New);
    same!(case.attribute("ttl").await, None);
    // Neither does one that arrived before bring anything into the new user, whatever its key.
    for key in [1, 2] {
        same!(case.table.store_user_login(&case.login(key, NOW)).await?, UserStatus::Overtaken);
    }
    same!(case.table.read_user(&case.user).await?.and_then(|user| user.last_login), Some(NOW + 2));
    Ok(())
}

async fn a_deletion_is_later_than_all_that_it_finds(case: Case) -> Verdict {
    case.table.store_user_login(&case.login(1, NOW)).await?;

    // By the clock of another process.
    let deletion = case.table.erase_user(&case.user, ms(NOW - 2)).await?;
    same!(deletion, Deletion { deleted_ms: ms(NOW), was_user: true });
    let again = case.table.erase_user(&case.user, ms(NOW - 1)).await?;
    same!(again, Deletion { deleted_ms: ms(NOW) + 1, was_user: false });
    Ok(())
}

async fn logins_that_arrived_before_they_were_refused_change_nothing_and_later_ones_find_the_user_whole(
    case: Case,
) -> Verdict {
    case.table.store_user_login(&case.login(1, NOW)).await?;
    case.table.refuse_logins(&case.user, ms(NOW + 1)).await?;
    let left = case.items().await;

    for key in [1, 2] {
        for at in [NOW, NOW + 1] {
            same!(case.table.store_user_login(&case.login(key, at)).await?, UserStatus::Overtaken);
        }
    }
    same!(case.items().await, left);
    same!(case.attribute("ttl").await, None);

    same!(case.table.store_user_login(&case.login(2, NOW + 2)).await?, UserStatus::Known);
    let user = case.table.read_user(&case.user).await?.unwrap_or_default();
    same!((user.first_login, user.current_key), (Some(NOW), Some(vec![2; 32])));
    // The mark outlives a deletion: it may be later by another clock.
    case.table.refuse_logins(&case.user, ms(NOW + 9)).await?;
    case.table.erase_user(&case.user, ms(NOW + 3)).await?;
    same!(case.table.store_user_login(&case.login(1, NOW + 9)).await?, UserStatus::Overtaken);
    same!(names(&case).await, ["deleted_ms", "logins_after_ms", "ttl"]);
    Ok(())
}

async fn refused_logins_of_nobody_leave_a_mark_for_an_hour_and_of_a_blocked_one_for_good(case: Case) -> Verdict {
    case.table.refuse_logins(&case.user, ms(NOW)).await?;
    same!(names(&case).await, ["logins_after_ms", "ttl"]);
    same!(case.attribute("ttl").await, Some(Value::Number(NOW + 3_600)));
    same!(case.table.store_user_login(&case.login(1, NOW)).await?, UserStatus::Overtaken);
    same!(case.table.store_user_login(&case.login(1, NOW + 1)).await?, UserStatus::New);
    same!(case.attribute("ttl").await, None);

    let blocked = case.other(1)?;
    blocked.table.block_user(&blocked.user, ms(NOW)).await?;
    blocked.table.refuse_logins(&blocked.user, ms(NOW + 1)).await?;
    same!(blocked.attribute("ttl").await, None);
    Ok(())
}

async fn logins_are_refused_until_later_than_all_that_is_found(case: Case) -> Verdict {
    case.table.store_user_login(&case.login(1, NOW)).await?;

    // By the clocks of several processes.
    for (now, until) in [(NOW - 2, ms(NOW)), (NOW + 2, ms(NOW + 2)), (NOW + 1, ms(NOW + 2) + 1)] {
        case.table.refuse_logins(&case.user, ms(now)).await?;
        same!(case.attribute("logins_after_ms").await, Some(Value::Number(until)));
    }
    Ok(())
}

async fn a_login_that_is_later_than_a_deletion_may_be_stays_without_what_was_before_it(case: Case) -> Verdict {
    let (time, bound) = (ms(NOW + 10), UserLogin { unionid: Some(UnionId::parse("u1")?), ..case.login(1, NOW) });
    case.table.store_user_login(&bound).await?;
    case.table.store_user_login(&case.login(2, NOW + 20)).await?;

    same!(case.table.erase_user_of(&case.user, time, time).await?, Deletion { deleted_ms: time, was_user: true });

    let stays = User {
        first_login: Some(NOW + 20),
        last_login: Some(NOW + 20),
        first_family: Some(bound.family),
        current_key: Some(vec![2; 32]),
        deleted_ms: Some(time),
        ..User::default()
    };
    same!(case.table.read_user(&case.user).await?, Some(stays));
    same!(case.take(&Attempt::OpenData, NOW + 20).await?, keys(2, None));
    same!(case.table.store_user_login(&case.login(3, NOW + 10)).await?, UserStatus::Overtaken);
    // Where a later deletion was, nothing of before is left.
    case.table.store_user_login(&case.login(3, NOW + 30)).await?;
    let whole = case.items().await;
    same!(case.table.erase_user_of(&case.user, time - 1, time).await?.deleted_ms, time - 1);
    same!(case.items().await, whole);
    // Not later than it may be: by a clock that is ahead.
    let deletion = case.table.erase_user_of(&case.user, ms(NOW + 29), ms(NOW + 30)).await?;
    same!(deletion, Deletion { deleted_ms: ms(NOW + 30), was_user: true });
    same!(case.table.read_user(&case.user).await?.and_then(|user| user.first_login), None);
    Ok(())
}

async fn records_are_named_until_they_are_erased_and_those_of_a_new_user_stay(case: Case) -> Verdict {
    let login = |code, at| UserLogin { idempotency_record: Some(case.hash(code)), ..case.login(1, at) };
    case.table.store_user_login(&login("a", NOW)).await?;
    case.take(&Attempt::PhoneCode(case.hash("p")), NOW).await?;
    let Deletion { deleted_ms, .. } = case.table.erase_user(&case.user, ms(NOW + 1)).await?;
    let user = case.table.read_user(&case.user).await?.unwrap_or_default();
    same!((user.login_records, user.phone_records), (vec![case.hash("a")], vec![case.hash("p")]));

    same!(case.table.forget_records(&case.user, deleted_ms - 1).await?, Some(deleted_ms));
    same!(case.attribute("login_claim").await.is_some(), true);
    same!(case.table.forget_records(&case.user, deleted_ms).await?, None);
    same!(names(&case).await, ["deleted_ms", "phone_tries", "phone_tries_from", "ttl"]);

    case.table.store_user_login(&login("b", NOW + 2)).await?;
    same!(case.table.forget_records(&case.user, deleted_ms).await?, None);
    same!(case.table.read_user(&case.user).await?.unwrap_or_default().login_records, vec![case.hash("b")]);
    Ok(())
}

async fn running_counts_outlive_their_user_for_their_hours(case: Case) -> Verdict {
    let full = UserLogin {
        unionid: Some(UnionId::parse("u1")?),
        idempotency_record: Some(case.hash("l")),
        ..case.login(1, NOW)
    };
    case.table.store_user_login(&full).await?;
    same!(case.table.read_user(&case.user).await?.and_then(|user| user.deleted_ms), None);
    case.table.store_user_login(&UserLogin { idempotency_record: Some(case.hash("m")), ..case.login(2, NOW) }).await?;
    let [data, profile, code] = kinds(&case);
    for (attempt, at) in [(&data, NOW), (&code, NOW + 50), (&profile, NOW + 100)] {
        for _ in 0..TRIES {
            case.take(attempt, at).await?;
        }
    }

    let Deletion { deleted_ms, .. } = case.table.erase_user(&case.user, ms(NOW + 101)).await?;
    case.table.forget_records(&case.user, deleted_ms).await?;

    let left = User {
        deleted_ms: Some(deleted_ms),
        tries: Some((TRIES, NOW)),
        phone_tries: Some((TRIES, NOW + 50)),
        login_tries: Some((TRIES, NOW + 100)),
        ..User::default()
    };
    same!(case.table.read_user(&case.user).await?, Some(left));
    let counts = ["login_tries", "login_tries_from", "phone_tries", "phone_tries_from", "tries", "tries_from"];
    same!(names(&case).await, [&["deleted_ms"], counts.as_slice(), &["ttl"]].concat());
    same!(case.attribute("ttl").await, Some(Value::Number(NOW + 101 + TRIES_WINDOW)));
    case.table.remember_unionid(&case.user, &UnionId::parse("u1")?).await?;
    same!(case.attribute("unionid").await, None);

    same!(case.table.store_user_login(&case.login(1, NOW + 102)).await?, UserStatus::New);
    same!(case.attribute("ttl").await, None);
    same!(refused(&case.take(&data, NOW + 102).await), Some(TRIES_WINDOW - 102));
    // One hour is over, another is not.
    case.table.erase_user(&case.user, ms(NOW + TRIES_WINDOW) - 1).await?;
    case.table.store_user_login(&case.login(1, NOW + TRIES_WINDOW)).await?;
    same!(refused(&case.take(&profile, NOW + TRIES_WINDOW).await), Some(100));
    same!(refused(&case.take(&data, NOW + TRIES_WINDOW).await), None);
    Ok(())
}

/// A write that is late is one of an earlier time; an operation that begins later by a slower clock is not.
async fn of_blocks_and_their_ends_the_last_word_counts(case: Case) -> Verdict {
    case.table.store_user_login(&case.login(1, NOW)).await?;
    case.table.block_user(&case.user, ms(NOW + 5)).await?;

    same!(case.table.unblock_user(&case.user, ms(NOW + 3)).await?, true);
    same!(case.attribute("block_ms").await, Some(Value::Number(ms(NOW + 5) + 1)));
    same!(case.table.block_user(&case.user, ms(NOW + 4)).await?, NOW + 4);
    same!(case.attribute("block_ms").await, Some(Value::Number(ms(NOW + 5) + 2)));
    Ok(())
}

async fn a_block_outlives_its_user(case: Case) -> Verdict {
    case.table.store_user_login(&case.login(1, NOW)).await?;
    case.table.block_user(&case.user, ms(NOW + 1)).await?;
    case.table.erase_user(&case.user, ms(NOW + 2)).await?;

    let left = User { blocked_at: Some(NOW + 1), deleted_ms: Some(ms(NOW + 2)), ..User::default() };
    same!(case.table.read_user(&case.user).await?, Some(left));
    same!(case.attribute("ttl").await, None);
    same!(case.table.block_user(&case.user, ms(NOW + 3)).await?, NOW + 1);
    same!(case.table.store_user_login(&case.login(1, NOW + 4)).await?, UserStatus::Blocked);

    same!(case.table.unblock_user(&case.user, ms(NOW + 5)).await?, true);
    same!(case.attribute("ttl").await, Some(Value::Number(NOW + 5 + TRIES_WINDOW)));
    same!(case.table.store_user_login(&case.login(1, NOW + 6)).await?, UserStatus::New);
    Ok(())
}

//! User items: logins, keys, attempts.

use std::mem::discriminant;

use super::{Broken, Case, NOW, Value, Verdict, every, ms, same};
use shared::{
    clock::Secs,
    ids::UnionId,
    session::{Attempt, NewKey, PREVIOUS_KEY, SealedSessionKeys, TRIES, TRIES_WINDOW, User, UserLogin, UserStatus},
    store::TakeError,
};

every! {
    the_first_login_makes_the_user_and_its_repetition_is_the_first_still,
    another_key_moves_the_current_one_aside_for_ten_minutes,
    the_same_key_again_leaves_the_previous_one_where_it_is,
    a_login_that_is_written_after_a_later_one_leaves_that_ones_key_and_time,
    the_idempotency_records_of_the_last_two_logins_are_known,
    a_unionid_is_remembered_of_a_user_only,
    thirty_attempts_an_hour_and_the_hour_begins_with_the_first,
    each_kind_of_attempt_has_a_count_of_its_own,
    a_record_of_a_phone_code_is_known_for_this_hour_and_the_next,
    nobody_has_attempts_without_a_login,
    a_replaced_key_and_the_one_before_it_are_gone_and_no_earlier_login_brings_them_back,
    nobody_who_is_gone_gets_another_key,
}

async fn the_first_login_makes_the_user_and_its_repetition_is_the_first_still(case: Case) -> Verdict {
    let first = case.login(1, NOW);
    same!(case.table.read_user(&case.user).await?, None);
    same!(case.table.store_user_login(&first).await?, UserStatus::New);
    same!(case.table.store_user_login(&first).await?, UserStatus::New);
    same!(case.table.store_user_login(&case.login(1, NOW + 7)).await?, UserStatus::Known);

    let expected = User {
        first_login: Some(NOW),
        last_login: Some(NOW + 7),
        first_family: Some(first.family),
        current_key: Some(vec![1; 32]),
        ..User::default()
    };
    same!(case.table.read_user(&case.user).await?, Some(expected));
    Ok(())
}

pub(super) fn keys(current: u8, previous: Option<u8>) -> SealedSessionKeys {
    SealedSessionKeys { current: Some(vec![current; 32]), previous: previous.map(|key| vec![key; 32]) }
}

async fn another_key_moves_the_current_one_aside_for_ten_minutes(case: Case) -> Verdict {
    case.table.store_user_login(&case.login(1, NOW)).await?;
    same!(case.take(&Attempt::OpenData, NOW).await?, keys(1, None));

    case.table.store_user_login(&case.login(2, NOW + 5)).await?;

    let until = NOW + 5 + PREVIOUS_KEY;
    same!(case.take(&Attempt::OpenData, until - 1).await?, keys(2, Some(1)));
    same!(case.take(&Attempt::OpenData, until).await?, keys(2, None));
    Ok(())
}

async fn the_same_key_again_leaves_the_previous_one_where_it_is(case: Case) -> Verdict {
    case.table.store_user_login(&case.login(1, NOW)).await?;
    case.table.store_user_login(&case.login(2, NOW + 1)).await?;

    // Once as the SDK repeats it, once under another key of the ring.
    case.table.store_user_login(&case.login(2, NOW + 1)).await?;
    let mut turned = case.login(2, NOW + 2);
    turned.fingerprints.reverse();
    same!(case.table.store_user_login(&turned).await?, UserStatus::Known);
    same!(case.table.store_user_login(&case.login(2, NOW + 3)).await?, UserStatus::Known);

    same!(case.take(&Attempt::OpenData, NOW + 4).await?, keys(2, Some(1)));
    same!(case.table.read_user(&case.user).await?.and_then(|user| user.last_login), Some(NOW + 3));
    Ok(())
}

async fn a_login_that_is_written_after_a_later_one_leaves_that_ones_key_and_time(case: Case) -> Verdict {
    case.table.store_user_login(&case.login(2, NOW + 5)).await?;
    for key in [1, 2] {
        same!(case.table.store_user_login(&case.login(key, NOW)).await?, UserStatus::Known);
        same!(case.take(&Attempt::OpenData, NOW + 6).await?, keys(2, Some(1)));
    }

    same!(case.table.read_user(&case.user).await?.and_then(|user| user.last_login), Some(NOW + 5));
    same!(case.table.erase_user(&case.user, ms(NOW + 2)).await?.deleted_ms, ms(NOW + 5));
    Ok(())
}

async fn the_idempotency_records_of_the_last_two_logins_are_known(case: Case) -> Verdict {
    for (at, code) in (NOW..).zip(["a", "b", "c"]) {
        let login = UserLogin { idempotency_record: Some(case.hash(code)), ..case.login(1, at) };
        case.table.store_user_login(&login).await?;
    }
    let records = case.table.read_user(&case.user).await?.unwrap_or_default().login_records;
    same!(records, vec![case.hash("c"), case.hash("b")]);
    Ok(())
}

async fn a_unionid_is_remembered_of_a_user_only(case: Case) -> Verdict {
    let unionid = |text| UnionId::parse(text);
    case.table.remember_unionid(&case.user, &unionid("u1")?).await?;
    same!(case.table.read_user(&case.user).await?, None);

    let login = UserLogin { unionid: Some(unionid("u2")?), ..case.login(1, NOW) };
    case.table.store_user_login(&login).await?;
    same!(case.table.read_user(&case.user).await?.and_then(|user| user.unionid), Some(unionid("u2")?));
    case.table.remember_unionid(&case.user, &unionid("u3")?).await?;
    case.table.store_user_login(&case.login(1, NOW)).await?;
    same!(case.table.read_user(&case.user).await?.and_then(|user| user.unionid), Some(unionid("u3")?));
    Ok(())
}

/// What an attempt is refused with, in seconds to wait.
pub(super) fn refused(taken: &Result<SealedSessionKeys, TakeError>) -> Option<u64> {
    match taken {
        Err(TakeError::RateLimited { retry_after }) => Some(*retry_after),
        _ => None,
    }
}

/// Attempts of each kind.
pub(super) fn kinds(case: &Case) -> [Attempt; 3] {
    [Attempt::OpenData, Attempt::LoginProfile, Attempt::PhoneCode(case.hash("p"))]
}

/// The count of this kind, and since when it runs.
async fn count(case: &Case, attempt: &Attempt) -> Result<Option<(u32, Secs)>, Broken> {
    let user = case.table.read_user(&case.user).await?.unwrap_or_default();
    Ok(match attempt {
        Attempt::OpenData => user.tries,
        Attempt::LoginProfile => user.login_tries,
        Attempt::PhoneCode(_) => user.phone_tries,
    })
}

async fn thirty_attempts_an_hour_and_the_hour_begins_with_the_first(case: Case) -> Verdict {
    for (round, attempt) in (0..).zip(kinds(&case)) {
        let case = case.other(round)?;
        case.table.store_user_login(&case.login(1, NOW)).await?;
        for at in 1..=u64::from(TRIES) {
            case.take(&attempt, NOW + at).await?;
        }
        let over = NOW + 1 + TRIES_WINDOW;
        same!(refused(&case.take(&attempt, NOW + 31).await), Some(over - NOW - 31));
        // A login gives no more of them.
        case.table.store_user_login(&case.login(2, NOW + 32)).await?;
        same!(refused(&case.take(&attempt, over - 1).await), Some(1));

        for (tries, at) in [(1, over), (2, over + 1)] {
            case.take(&attempt, at).await?;
            same!(count(&case, &attempt).await?, Some((tries, over)));
        }
        // An hour that was not used up is over as well.
        case.take(&attempt, over + TRIES_WINDOW).await?;
        same!(count(&case, &attempt).await?, Some((1, over + TRIES_WINDOW)));
    }
    Ok(())
}

async fn each_kind_of_attempt_has_a_count_of_its_own(case: Case) -> Verdict {
    for (round, used_up) in (0..).zip(kinds(&case)) {
        let case = case.other(round)?;
        case.table.store_user_login(&case.login(1, NOW)).await?;
        for _ in 0..TRIES {
            case.take(&used_up, NOW).await?;
        }
        for attempt in kinds(&case).into_iter().filter(|attempt| discriminant(attempt) != discriminant(&used_up)) {
            case.take(&attempt, NOW + 1).await?;
            same!(count(&case, &attempt).await?, Some((1, NOW + 1)));
        }
        same!(refused(&case.take(&used_up, NOW + 2).await), Some(TRIES_WINDOW - 2));
    }
    Ok(())
}

async fn a_record_of_a_phone_code_is_known_for_this_hour_and_the_next(case: Case) -> Verdict {
    case.table.store_user_login(&case.login(1, NOW)).await?;
    let known = async || {
        let mut records: Vec<_> = case.table.read_user(&case.user).await?.unwrap_or_default().phone_records;
        records.sort_by(|one, two| one.as_str().cmp(two.as_str()));
        Ok::<_, super::Broken>(records)
    };
    let sorted = |codes: &[&str]| {
        let mut records: Vec<_> = codes.iter().map(|code| case.hash(code)).collect();
        records.sort_by(|one, two| one.as_str().cmp(two.as_str()));
        records
    };
    for code in ["a", "b", "b"] {
        case.take(&Attempt::PhoneCode(case.hash(code)), NOW).await?;
    }
    same!(known().await?, sorted(&["a", "b"]));

    // Attempts of other kinds leave them where they are.
    case.take(&Attempt::OpenData, NOW + TRIES_WINDOW).await?;
    same!(known().await?, sorted(&["a", "b"]));
    case.take(&Attempt::PhoneCode(case.hash("c")), NOW + TRIES_WINDOW).await?;
    same!(known().await?, sorted(&["a", "b", "c"]));
    case.take(&Attempt::PhoneCode(case.hash("d")), NOW + 2 * TRIES_WINDOW).await?;
    same!(known().await?, sorted(&["c", "d"]));
    Ok(())
}

async fn nobody_has_attempts_without_a_login(case: Case) -> Verdict {
    same!(matches!(case.take(&Attempt::OpenData, NOW).await, Err(TakeError::NoUser)), true);
    same!(case.items().await, Vec::new());
    Ok(())
}

async fn a_replaced_key_and_the_one_before_it_are_gone_and_no_earlier_login_brings_them_back(case: Case) -> Verdict {
    case.table.store_user_login(&case.login(1, NOW)).await?;
    case.table.store_user_login(&case.login(2, NOW + 1)).await?;
    let third = NewKey { sealed: vec![3; 32], fingerprint: [3; 16] };

    same!(case.table.replace_session_key(&case.user, Some(&third), ms(NOW + 2)).await?, true);

    same!(case.take(&Attempt::OpenData, NOW + 2).await?, keys(3, None));
    same!(case.table.store_user_login(&case.login(2, NOW + 2)).await?, UserStatus::Overtaken);
    // By a slower clock: its time is made a later one.
    same!(case.table.replace_session_key(&case.user, None, ms(NOW + 1)).await?, true);
    same!(case.take(&Attempt::OpenData, NOW + 2).await?, SealedSessionKeys::default());
    same!(case.attribute("logins_after_ms").await, Some(Value::Number(ms(NOW + 2) + 1)));
    same!(case.table.read_user(&case.user).await?.unwrap_or_default().deleted_ms, None);
    same!(case.attribute("first_login").await, Some(Value::Number(NOW)));

    same!(case.table.store_user_login(&case.login(4, NOW + 3)).await?, UserStatus::Known);
    same!(case.take(&Attempt::OpenData, NOW + 3).await?, keys(4, None));
    case.table.replace_session_key(&case.user, Some(&third), ms(NOW + 4)).await?;
    // The key that was stored is known again as the same.
    case.table.store_user_login(&case.login(3, NOW + 5)).await?;
    same!(case.take(&Attempt::OpenData, NOW + 5).await?, keys(3, None));
    // That login was at a process whose clock is fast.
    case.table.replace_session_key(&case.user, None, ms(NOW + 4) + 1).await?;
    same!(case.attribute("logins_after_ms").await, Some(Value::Number(ms(NOW + 5))));
    Ok(())
}

async fn nobody_who_is_gone_gets_another_key(case: Case) -> Verdict {
    let key = NewKey { sealed: vec![3; 32], fingerprint: [3; 16] };
    same!(case.table.replace_session_key(&case.user, Some(&key), ms(NOW)).await?, false);
    same!(case.items().await, Vec::new());
    case.table.store_user_login(&case.login(1, NOW)).await?;
    case.table.erase_user(&case.user, ms(NOW + 1)).await?;

    for at in [NOW, NOW + 2] {
        same!(case.table.replace_session_key(&case.user, Some(&key), ms(at)).await?, false);
        same!(case.table.replace_session_key(&case.user, None, ms(at)).await?, false);
    }

    same!(names(&case).await, ["deleted_ms", "ttl"]);
    Ok(())
}

/// The names of all attributes under the user's key.
pub(super) async fn names(case: &Case) -> Vec<String> {
    case.items().await.into_iter().flat_map(|(_, item)| item.into_keys()).collect()
}

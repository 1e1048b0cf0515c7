//! Sessions: opened, rotated, ended.

use super::{Case, NOW, Value, Verdict, every, family, ms, rotation, same, session};
use shared::{
    ids::{DeviceId, SessionRef, UnionId},
    session::{Session, UserItems, WriteResult, refresh::RefreshWrite},
    token::{access::Subject, keyring::KeyId},
};

every! {
    a_session_is_read_as_it_was_opened,
    a_session_is_opened_over_none_and_over_an_older_one_only,
    a_session_that_is_opened_again_is_there_and_stays_as_it_is,
    an_ended_session_leaves_a_mark_that_its_own_put_does_not_get_over,
    a_deletion_ends_a_session_and_what_arrived_before_it,
    a_session_is_retracted_before_it_is_put_and_no_other_is,
    a_rotation_shifts_the_times_and_gives_the_session,
    a_rotation_takes_its_family_and_its_generation,
    a_rotation_takes_its_age,
    a_rotation_takes_a_session_that_has_not_run_out,
    a_rotation_takes_a_session_made_after_the_brake,
    a_rotation_of_nothing_is_refused_and_makes_nothing,
    a_session_is_ended_by_its_family_only,
    a_logout_ends_the_session_of_its_login_only,
    all_under_a_users_key_is_listed_and_nothing_else,
}

async fn a_session_is_read_as_it_was_opened(case: Case) -> Verdict {
    let mut made = session(1, NOW);
    made.unionid = Some(UnionId::parse("u1")?);
    let at = case.at(&made);
    same!(case.table.read_session(&at).await?, None);

    same!(case.table.put_session(&at, &made).await?, true);

    same!(case.table.read_session(&at).await?, Some(made));
    Ok(())
}

async fn a_session_is_opened_over_none_and_over_an_older_one_only(case: Case) -> Verdict {
    let made = session(1, NOW);
    let at = case.at(&made);
    same!(case.table.put_session(&at, &made).await?, true);

    let at_once = session(2, NOW);
    let (older, newer) = (
        Session { arrived_ms: ms(NOW) - 1, ..session(3, NOW) },
        Session { arrived_ms: ms(NOW) + 1, ..session(4, NOW) },
    );
    same!(case.table.put_session(&at, &at_once).await?, false);
    same!(case.table.put_session(&at, &older).await?, false);
    same!(case.table.read_session(&at).await?, Some(made));
    same!(case.table.put_session(&at, &newer).await?, true);
    same!(case.table.read_session(&at).await?, Some(newer));
    Ok(())
}

/// The SDK repeats a write whose acknowledgement was lost.
async fn a_session_that_is_opened_again_is_there_and_stays_as_it_is(case: Case) -> Verdict {
    let (made, rotation) = opened(&case).await?;
    same!(case.table.put_session(&rotation.at, &made).await?, true);
    let WriteResult::Applied(rotated) = case.table.refresh_session(&rotation).await? else {
        return Err(super::Broken("refused".to_owned()));
    };

    same!(case.table.put_session(&rotation.at, &made).await?, true);

    same!(case.table.read_session(&rotation.at).await?, Some(rotated));
    Ok(())
}

/// What is left of a session: one item, bare.
async fn mark(case: &Case) -> Result<(Vec<String>, Option<Value>), super::Broken> {
    let mut items = case.items().await;
    same!(items.len(), 1);
    let (_, item) = items.remove(0);
    let ttl = item.get("ttl").cloned();
    Ok((item.into_keys().collect(), ttl))
}

async fn an_ended_session_leaves_a_mark_that_its_own_put_does_not_get_over(case: Case) -> Verdict {
    for round in 0..4 {
        let case = case.other(round)?;
        let (made, rotation) = opened(&case).await?;
        let at = &rotation.at;
        match round {
            0 => case.table.revoke_session(at, made.family, NOW + 5).await?,
            1 => case.table.log_out_session(&case.subject(&made), NOW + 5).await?,
            2 => case.table.erase_session(at, made.family, ms(NOW + 5)).await?,
            _ => case.table.retract_session(at, &made, NOW + 5).await?,
        }
        let names = ["arrived_ms", "created_at", "ended", "ttl"].map(str::to_owned).to_vec();
        same!(mark(&case).await?, (names, Some(Value::Number(NOW + 5 + 3_600))));
        same!(case.table.list_user_items(&case.user).await?, UserItems::default());
        // Once more is no other end.
        case.table.log_out_session(&case.subject(&made), NOW + 99).await?;
        same!(mark(&case).await?.1, Some(Value::Number(NOW + 5 + 3_600)));

        same!(case.table.put_session(at, &made).await?, false);
        same!(case.table.put_session(at, &session(2, NOW - 1)).await?, false);
        same!(case.table.read_session(at).await?, None);

        let newer = session(3, NOW + 6);
        same!(case.table.put_session(at, &newer).await?, true);
        same!(case.table.put_session(at, &made).await?, false);
        same!(case.table.read_session(at).await?, Some(newer));
    }
    Ok(())
}

async fn a_deletion_ends_a_session_and_what_arrived_before_it(case: Case) -> Verdict {
    let (made, rotation) = opened(&case).await?;
    case.table.erase_session(&rotation.at, family(2), ms(NOW + 5)).await?;
    same!(case.table.read_session(&rotation.at).await?, Some(made.clone()));
    case.table.erase_session(&rotation.at, made.family, ms(NOW + 5)).await?;

    for (at, is_put) in [(NOW + 4, false), (NOW + 5, false), (NOW + 6, true)] {
        same!(case.table.put_session(&rotation.at, &session(3, at)).await?, is_put);
    }
    Ok(())
}

async fn a_session_is_retracted_before_it_is_put_and_no_other_is(case: Case) -> Verdict {
    let mine = session(1, NOW);
    let at = case.at(&mine);
    case.table.retract_session(&at, &mine, NOW).await?;
    same!(case.table.put_session(&at, &mine).await?, false);

    let newer = session(2, NOW + 5);
    same!(case.table.put_session(&at, &newer).await?, true);
    case.table.retract_session(&at, &session(1, NOW + 9), NOW).await?;
    case.table.retract_session(&at, &mine, NOW).await?;
    same!(case.table.read_session(&at).await?, Some(newer.clone()));
    // Nor does it take the place of a later end.
    case.table.revoke_session(&at, newer.family, NOW).await?;
    case.table.retract_session(&at, &mine, NOW).await?;
    same!(case.table.put_session(&at, &session(3, NOW + 4)).await?, false);
    Ok(())
}

/// Opens a session, and gives the rotation that suits it.
async fn opened(case: &Case) -> Result<(Session, RefreshWrite), super::Broken> {
    let made = session(1, NOW);
    same_open(case, &made).await?;
    let rotation = rotation(case.at(&made), &made, 120);
    Ok((made, rotation))
}

async fn same_open(case: &Case, made: &Session) -> Verdict {
    same!(case.table.put_session(&case.at(made), made).await?, true);
    Ok(())
}

/// Refused, and shown as it is.
async fn refused(case: &Case, rotation: &RefreshWrite, session: &Session) -> Verdict {
    same!(case.table.refresh_session(rotation).await?, WriteResult::Refused(Some(session.clone())));
    same!(case.table.read_session(&rotation.at).await?, Some(session.clone()));
    Ok(())
}

async fn a_rotation_shifts_the_times_and_gives_the_session(case: Case) -> Verdict {
    let (made, rotation) = opened(&case).await?;
    let rotated = Session {
        generation: 1,
        key_id: KeyId(2),
        rotated_at: NOW + 120,
        rotated_before: NOW,
        idle: NOW + 120 + 604_800,
        ..made
    };

    same!(case.table.refresh_session(&rotation).await?, WriteResult::Applied(rotated.clone()));

    same!(case.table.read_session(&rotation.at).await?, Some(rotated.clone()));
    // The SDK's repetition meets its own condition.
    refused(&case, &rotation, &rotated).await
}

async fn a_rotation_takes_its_family_and_its_generation(case: Case) -> Verdict {
    let (made, rotation) = opened(&case).await?;
    refused(&case, &RefreshWrite { family: family(2), ..rotation.clone() }, &made).await?;
    refused(&case, &RefreshWrite { generation: 1, ..rotation.clone() }, &made).await?;

    let WriteResult::Applied(rotated) = case.table.refresh_session(&rotation).await? else {
        return Err(super::Broken("refused".to_owned()));
    };

    // Long after: only the generation stands against it.
    refused(&case, &RefreshWrite { now: NOW + 900, rotated_until: NOW + 780, ..rotation }, &rotated).await
}

async fn a_rotation_takes_its_age(case: Case) -> Verdict {
    let (made, rotation) = opened(&case).await?;
    refused(&case, &RefreshWrite { rotated_until: NOW - 1, ..rotation.clone() }, &made).await?;
    same!(matches!(case.table.refresh_session(&rotation).await?, WriteResult::Applied(_)), true);
    Ok(())
}

async fn a_rotation_takes_a_session_that_has_not_run_out(case: Case) -> Verdict {
    let mut made = Session { idle: NOW + 200, absolute: NOW + 300, ..session(1, NOW) };
    same_open(&case, &made).await?;
    let at = case.at(&made);
    refused(&case, &rotation(at.clone(), &made, 200), &made).await?;

    made = Session { idle: NOW + 300, absolute: NOW + 200, arrived_ms: ms(NOW) + 1, ..session(2, NOW) };
    same_open(&case, &made).await?;
    refused(&case, &rotation(at.clone(), &made, 200), &made).await?;
    same!(matches!(case.table.refresh_session(&rotation(at, &made, 199)).await?, WriteResult::Applied(_)), true);
    Ok(())
}

async fn a_rotation_takes_a_session_made_after_the_brake(case: Case) -> Verdict {
    let (made, rotation) = opened(&case).await?;
    refused(&case, &RefreshWrite { not_before: NOW + 1, ..rotation.clone() }, &made).await?;
    let on_time = RefreshWrite { not_before: NOW, ..rotation };
    same!(matches!(case.table.refresh_session(&on_time).await?, WriteResult::Applied(_)), true);
    Ok(())
}

async fn a_rotation_of_nothing_is_refused_and_makes_nothing(case: Case) -> Verdict {
    let made = session(1, NOW);
    let rotation = rotation(case.at(&made), &made, 120);
    same!(case.table.refresh_session(&rotation).await?, WriteResult::Refused(None));
    same!(case.items().await, Vec::new());
    Ok(())
}

async fn a_session_is_ended_by_its_family_only(case: Case) -> Verdict {
    let (made, rotation) = opened(&case).await?;
    case.table.revoke_session(&rotation.at, family(2), NOW).await?;
    same!(case.table.read_session(&rotation.at).await?, Some(made.clone()));

    case.table.revoke_session(&rotation.at, made.family, NOW).await?;

    same!(case.table.read_session(&rotation.at).await?, None);
    same!(case.table.refresh_session(&rotation).await?, WriteResult::Refused(None));
    // Of what is not there nothing is to be ended.
    case.table.revoke_session(&rotation.at, made.family, NOW).await?;
    Ok(())
}

async fn a_logout_ends_the_session_of_its_login_only(case: Case) -> Verdict {
    let (made, rotation) = opened(&case).await?;
    let (own, before) = (case.subject(&made), Subject { millisecond: None, ..case.subject(&made) });
    for other in [
        Subject { auth_time: NOW - 1, ..own.clone() },
        Subject { auth_time: NOW + 1, ..before.clone() },
        Subject { millisecond: Some(1), ..own.clone() },
    ] {
        case.table.log_out_session(&other, NOW).await?;
        same!(case.table.read_session(&rotation.at).await?, Some(made.clone()));
    }
    same!(matches!(case.table.refresh_session(&rotation).await?, WriteResult::Applied(_)), true);

    // A rotation does not change when the login was.
    case.table.log_out_session(&own, NOW).await?;

    same!(case.table.read_session(&rotation.at).await?, None);
    case.table.log_out_session(&own, NOW).await?;
    // A token of an earlier release tells the second alone.
    let next = Session { arrived_ms: ms(NOW) + 7, ..session(2, NOW) };
    same!(case.table.put_session(&rotation.at, &next).await?, true);
    case.table.log_out_session(&before, NOW).await?;
    same!(case.table.read_session(&rotation.at).await?, None);
    Ok(())
}

async fn all_under_a_users_key_is_listed_and_nothing_else(case: Case) -> Verdict {
    let neighbour = case.other(1)?;
    let (one, two) = (session(1, NOW), Session { device: DeviceId([2; 16]), ..session(2, NOW + 5) });
    case.table.store_user_login(&case.login(1, NOW)).await?;
    case.table.put_session(&case.at(&one), &one).await?;
    case.table.put_session(&case.at(&two), &two).await?;
    case.table.put_session(&neighbour.at(&one), &one).await?;

    let mut listed = case.table.list_user_items(&case.user).await?;
    listed.sessions.sort_by_key(|session| session.created_at);
    same!(listed.sessions, vec![one.clone(), two]);
    same!(listed.user.and_then(|user| user.first_login), Some(NOW));
    let alone = case.table.list_user_items(&neighbour.user).await?;
    same!((alone.user, alone.sessions), (None, vec![one.clone()]));
    let nobody = SessionRef { user: case.other(2)?.user, ..case.at(&one) };
    same!(case.table.list_user_items(&nobody.user).await?, UserItems::default());
    Ok(())
}

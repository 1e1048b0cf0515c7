//! Claims and platform tokens.

use super::{Case, NOW, Verdict, every, same};
use shared::{
    ids::AppId,
    session::idempotency::IdempotencyRecord,
    store::grants::{LeaseHolder, StoredPlatformToken},
};

every! {
    a_record_is_kept_until_another_takes_its_place_or_it_is_erased,
    a_code_is_exchanged_by_one_request_until_its_time_is_over,
    a_signature_is_bound_to_the_message_that_it_first_came_with,
    one_holder_at_a_time_has_the_lease,
    a_lease_that_ran_out_is_anybodys_and_no_more_the_holders,
    a_token_is_stored_by_the_holder_only_and_ends_the_lease,
}

async fn a_record_is_kept_until_another_takes_its_place_or_it_is_erased(case: Case) -> Verdict {
    let code = case.hash("c");
    same!(case.table.get_idempotency_record(&code).await?, None);
    let record = IdempotencyRecord { code: code.clone(), sealed: vec![1, 2], expires_at: NOW };
    case.table.put_idempotency_record(&record).await?;
    same!(case.table.get_idempotency_record(&code).await?, Some(record.clone()));

    let another = IdempotencyRecord { sealed: vec![3], expires_at: NOW - 1, ..record.clone() };
    case.table.put_idempotency_record(&another).await?;
    // Whoever reads it looks at its time.
    same!(case.table.get_idempotency_record(&code).await?, Some(another));

    case.table.erase_idempotency_record(&case.hash("d"), NOW).await?;
    same!(case.table.get_idempotency_record(&code).await?.is_some_and(|record| record.is_erased()), false);
    case.table.erase_idempotency_record(&code, NOW).await?;
    case.table.erase_idempotency_record(&code, NOW).await?;
    same!(case.table.get_idempotency_record(&code).await?, Some(IdempotencyRecord::erased(code.clone(), NOW)));
    // A put that is late does not bring it back.
    case.table.put_idempotency_record(&record).await?;
    same!(case.table.get_idempotency_record(&code).await?, Some(IdempotencyRecord::erased(code, NOW)));
    Ok(())
}

async fn a_code_is_exchanged_by_one_request_until_its_time_is_over(case: Case) -> Verdict {
    let code = case.hash("c");
    let mark = |byte, expires_at| IdempotencyRecord { code: code.clone(), sealed: vec![byte; 16], expires_at };
    let (one, two) = (mark(1, NOW + 10), mark(2, NOW + 20));
    same!(case.table.begin_exchange(&one, NOW).await?, true);
    same!(case.table.begin_exchange(&two, NOW + 9).await?, false);
    // Its own repeated request.
    same!(case.table.begin_exchange(&one, NOW + 9).await?, true);
    same!(case.table.get_idempotency_record(&code).await?, Some(one));

    same!(case.table.begin_exchange(&two, NOW + 10).await?, true);
    case.table.give_up_exchange(&mark(1, NOW + 10)).await?;
    same!(case.table.begin_exchange(&mark(3, NOW + 30), NOW + 11).await?, false);
    case.table.give_up_exchange(&two).await?;
    same!(case.table.get_idempotency_record(&code).await?, None);
    let number = IdempotencyRecord { sealed: vec![3], ..mark(3, NOW + 300) };
    case.table.put_idempotency_record(&number).await?;
    same!(case.table.begin_exchange(&mark(4, NOW + 299), NOW + 299).await?, false);
    same!(case.table.get_idempotency_record(&code).await?, Some(number));

    case.table.erase_idempotency_record(&code, NOW).await?;
    same!(case.table.begin_exchange(&two, NOW).await?, false);
    Ok(())
}

async fn a_signature_is_bound_to_the_message_that_it_first_came_with(case: Case) -> Verdict {
    let mark = |byte: u8, expires_at| IdempotencyRecord { code: case.hash("s"), sealed: vec![byte; 32], expires_at };
    same!(case.table.bind_signature(&mark(1, NOW + 10), NOW).await?, true);
    same!(case.table.bind_signature(&mark(1, NOW + 10), NOW + 9).await?, true);
    same!(case.table.bind_signature(&mark(2, NOW + 19), NOW + 9).await?, false);
    same!(case.table.bind_signature(&mark(2, NOW + 20), NOW + 10).await?, true);
    Ok(())
}

const ONE: LeaseHolder = LeaseHolder([1; 16]);
const TWO: LeaseHolder = LeaseHolder([2; 16]);

fn token(number: u8) -> StoredPlatformToken {
    StoredPlatformToken { sealed: vec![number; 8], renew_at: NOW + 100, expires_at: NOW + 200 }
}

async fn one_holder_at_a_time_has_the_lease(case: Case) -> Verdict {
    let appid = AppId::parse("wx-lease-1")?;
    same!(case.table.stored(&appid).await?, None);
    same!(case.table.lease(&appid, ONE, NOW, NOW + 10).await?, true);
    same!(case.table.lease(&appid, TWO, NOW + 9, NOW + 20).await?, false);
    // Its own repeated request.
    same!(case.table.lease(&appid, ONE, NOW + 1, NOW + 11).await?, true);
    same!(case.table.stored(&appid).await?, None);

    case.table.release(&appid, TWO).await?;
    same!(case.table.lease(&appid, TWO, NOW + 10, NOW + 20).await?, false);
    case.table.release(&appid, ONE).await?;
    same!(case.table.lease(&appid, TWO, NOW + 10, NOW + 20).await?, true);
    Ok(())
}

async fn a_lease_that_ran_out_is_anybodys_and_no_more_the_holders(case: Case) -> Verdict {
    let appid = AppId::parse("wx-lease-2")?;
    same!(case.table.lease(&appid, ONE, NOW, NOW + 10).await?, true);
    same!(case.table.lease(&appid, TWO, NOW + 10, NOW + 20).await?, true);

    case.table.keep(&appid, ONE, &token(1)).await?;
    case.table.release(&appid, ONE).await?;

    same!(case.table.stored(&appid).await?, None);
    same!(case.table.lease(&appid, ONE, NOW + 19, NOW + 30).await?, false);
    Ok(())
}

async fn a_token_is_stored_by_the_holder_only_and_ends_the_lease(case: Case) -> Verdict {
    let appid = AppId::parse("wx-lease-3")?;
    case.table.keep(&appid, ONE, &token(1)).await?;
    same!(case.table.stored(&appid).await?, None);
    same!(case.table.lease(&appid, ONE, NOW, NOW + 10).await?, true);

    case.table.keep(&appid, ONE, &token(2)).await?;
    case.table.keep(&appid, ONE, &token(3)).await?;

    same!(case.table.stored(&appid).await?, Some(token(2)));
    same!(case.table.lease(&appid, TWO, NOW + 1, NOW + 10).await?, true);
    same!(case.table.stored(&appid).await?, Some(token(2)));
    Ok(())
}

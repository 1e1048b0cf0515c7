//! The fields that a request records while it runs, for its log line and its metrics.
//!
//! They belong to the request's task, so any layer can set one without an argument through every other layer. Outside a
//! request they go nowhere. A field is a number, a fixed word or a keyed hash, never a value of the request.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::ids::Rid;

/// The calls of a request to another system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// How many there were.
    pub count: u32,
    /// Their times, added up; calls that ran in parallel count each.
    pub time: Duration,
}

/// The fields of one request.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    /// The outcome, in one word.
    pub verdict: Option<&'static str>,
    /// How many generations a reused token is behind.
    pub behind: Option<u32>,
    /// The user, as a keyed hash.
    pub user: Option<String>,
    /// The network that the request came from, as a keyed hash.
    pub source: Option<String>,
    /// The last `errcode` of WeChat that was not 0.
    pub errcode: Option<i64>,
    /// WeChat's id of that request.
    pub rid: Option<Rid>,
    /// The calls to WeChat.
    pub wechat: Calls,
    /// How many calls to WeChat failed.
    pub wechat_failures: u32,
    /// Whether WeChat refused our AppID, AppSecret, address or permission, although the response does not say so.
    pub misconfigured: bool,
    /// The metric of what the owner has to see although no failure of ours was answered: the line is a warning then.
    pub warning: Option<&'static str>,
    /// Whether WeChat was not asked because it failed too often.
    pub breaker_open: bool,
    /// The calls to DynamoDB.
    pub dynamodb: Calls,
    /// The calls to the owner's function.
    pub owner: Calls,
}

tokio::task_local! {
    static FIELDS: Mutex<Fields>;
}

/// Runs a request and gives the fields that it recorded.
pub async fn collect<T>(request: impl Future<Output = T>) -> (T, Fields) {
    FIELDS
        .scope(Mutex::default(), async {
            let output = request.await;
            let fields =
                FIELDS.with(|fields| std::mem::take(&mut *fields.lock().unwrap_or_else(PoisonError::into_inner)));
            (output, fields)
        })
        .await
}

/// Sets fields of the present request.
pub fn record(set: impl FnOnce(&mut Fields)) {
    // Outside a request there is no log line.
    let _ = FIELDS.try_with(|fields| set(&mut fields.lock().unwrap_or_else(PoisonError::into_inner)));
}

/// Measures a call to another system, also one that is cancelled.
pub async fn timed<T>(calls: fn(&mut Fields) -> &mut Calls, call: impl Future<Output = T>) -> T {
    let _timing = Timing { calls, began: Instant::now() };
    call.await
}

/// Records when it is dropped how long it lived.
struct Timing {
    calls: fn(&mut Fields) -> &mut Calls,
    began: Instant,
}

impl Drop for Timing {
    fn drop(&mut self) {
        record(|fields| {
            let calls = (self.calls)(fields);
            calls.count += 1;
            calls.time += self.began.elapsed();
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn fields_are_those_of_their_own_request() {
        let request = |errcode| {
            collect(async move {
                record(|fields| fields.errcode = Some(errcode));
                timed(|fields| &mut fields.wechat, tokio::time::sleep(Duration::from_millis(7))).await;
                timed(|fields| &mut fields.wechat, tokio::time::sleep(Duration::from_millis(5))).await;
            })
        };

        let (((), one), ((), two)) = tokio::join!(request(1), request(2));

        assert_eq!((one.errcode, two.errcode), (Some(1), Some(2)));
        assert_eq!((one.wechat.count, one.dynamodb), (2, Calls::default()));
        assert!(one.wechat.time >= Duration::from_millis(12));
    }

    #[tokio::test]
    async fn a_call_that_is_cancelled_is_measured_too() {
        let call = timed(|fields| &mut fields.dynamodb, std::future::pending::<()>());

        let (_, fields) = collect(tokio::time::timeout(Duration::from_millis(9), call)).await;

        assert_eq!(fields.dynamodb.count, 1);
        assert!(fields.dynamodb.time >= Duration::from_millis(9));
    }

    #[test]
    fn a_field_outside_a_request_goes_nowhere() {
        record(|fields| fields.behind = Some(1));
    }
}

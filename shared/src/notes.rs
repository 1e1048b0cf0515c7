//! What is noted of a request while it runs, for its log line and its metrics.
//!
//! The notes belong to the request's task: whoever knows something adds it, without an argument through every layer.
//! Outside a request they go nowhere. A note is a number, a fixed word or a keyed hash, never a value of the request.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::wechat::Rid;

/// What another system took of a request's time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// How many calls there were.
    pub calls: u32,
    /// Their time, added up: calls side by side count each.
    pub time: Duration,
}

/// The notes of one request.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    /// What was decided, in one word.
    pub verdict: Option<&'static str>,
    /// By how many generations a reused token is behind.
    pub behind: Option<u32>,
    /// The user, as a keyed hash.
    pub user: Option<String>,
    /// The last `errcode` of WeChat that was not 0.
    pub errcode: Option<i64>,
    /// WeChat's id of that request.
    pub rid: Option<Rid>,
    /// The time at WeChat.
    pub wechat: Spent,
    /// How many calls to WeChat failed, whatever they were about.
    pub wechat_failures: u32,
    /// Whether WeChat refused our AppID, AppSecret, address or permission, although the answer does not say so.
    pub misconfigured: bool,
    /// Whether WeChat was not asked because it failed too often.
    pub breaker_open: bool,
    /// The time at DynamoDB.
    pub dynamodb: Spent,
}

tokio::task_local! {
    static NOTES: Mutex<Notes>;
}

/// Runs a request and gives what was noted of it.
pub async fn of<T>(request: impl Future<Output = T>) -> (T, Notes) {
    NOTES
        .scope(Mutex::default(), async {
            let answer = request.await;
            let notes = NOTES.with(|notes| std::mem::take(&mut *notes.lock().unwrap_or_else(PoisonError::into_inner)));
            (answer, notes)
        })
        .await
}

/// Adds a note.
pub fn note(add: impl FnOnce(&mut Notes)) {
    // Outside a request there is nobody to tell.
    let _ = NOTES.try_with(|notes| add(&mut notes.lock().unwrap_or_else(PoisonError::into_inner)));
}

/// Times a call to another system, also one that is given up.
pub async fn timed<T>(spent: fn(&mut Notes) -> &mut Spent, call: impl Future<Output = T>) -> T {
    let _timing = Timing { spent, began: Instant::now() };
    call.await
}

/// Notes at its end how long it lasted.
struct Timing {
    spent: fn(&mut Notes) -> &mut Spent,
    began: Instant,
}

impl Drop for Timing {
    fn drop(&mut self) {
        note(|notes| {
            let spent = (self.spent)(notes);
            spent.calls += 1;
            spent.time += self.began.elapsed();
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn notes_are_those_of_their_own_request() {
        let request = |errcode| {
            of(async move {
                note(|notes| notes.errcode = Some(errcode));
                timed(|notes| &mut notes.wechat, tokio::time::sleep(Duration::from_millis(7))).await;
                timed(|notes| &mut notes.wechat, tokio::time::sleep(Duration::from_millis(5))).await;
            })
        };

        let (((), one), ((), two)) = tokio::join!(request(1), request(2));

        assert_eq!((one.errcode, two.errcode), (Some(1), Some(2)));
        assert_eq!((one.wechat.calls, one.dynamodb), (2, Spent::default()));
        assert!(one.wechat.time >= Duration::from_millis(12));
    }

    #[tokio::test]
    async fn a_call_that_is_given_up_has_taken_its_time() {
        let call = timed(|notes| &mut notes.dynamodb, std::future::pending::<()>());

        let (_, notes) = of(tokio::time::timeout(Duration::from_millis(9), call)).await;

        assert_eq!(notes.dynamodb.calls, 1);
        assert!(notes.dynamodb.time >= Duration::from_millis(9));
    }

    #[test]
    fn a_note_outside_a_request_goes_nowhere() {
        note(|notes| notes.behind = Some(1));
    }
}

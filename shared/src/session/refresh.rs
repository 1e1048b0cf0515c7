//! A refresh: the one conditional write, and the verdict, a pure function of the token and of what the write did.
//!
//! A token never has two different successors. An honest client whose response was lost gets the same successor again.
//! A copy of a token is noticed as soon as both sides have used it. `shared/decisions` says why each clause is there.

use super::{Session, WriteResult};
use crate::{
    clock::Secs,
    ids::{Family, SessionRef},
    token::{keyring::KeyId, refresh::RefreshToken},
};

/// The times that decide what a refresh does, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshPolicy {
    /// E: a token younger than this is given back as it is, because several requests meet a 401 at once.
    pub min_age: Secs,
    /// G: for this long after a refresh the replaced token still gets its successor again. It is longer than all retries
    /// of a client take.
    pub grace: Secs,
    /// D: how late a duplicate of a request may arrive.
    pub in_flight: Secs,
    /// How long an access token lives. Nobody needs the successor of a token again when the access token that came with it, and
    /// the grace after it, are over.
    pub access: Secs,
    /// A session that was not used for this long is over.
    pub idle: Secs,
    /// A session is over this long after its login.
    pub absolute: Secs,
}

impl Default for RefreshPolicy {
    fn default() -> Self {
        Self { min_age: 120, grace: 60, in_flight: 60, access: 900, idle: 7 * 86_400, absolute: 30 * 86_400 }
    }
}

impl RefreshPolicy {
    /// The write that a token asks for; its successor is made under this key, and its session was not made before the
    /// emergency brake.
    #[must_use]
    pub fn write(&self, presented: &RefreshToken, key_id: KeyId, now: Secs, not_before: Secs) -> RefreshWrite {
        RefreshWrite {
            at: presented.session(),
            family: presented.family,
            generation: presented.generation,
            key_id,
            now,
            rotated_until: now.saturating_sub(self.min_age),
            idle: now + self.idle,
            not_before,
        }
    }
}

/// A refresh as one conditional write.
#[derive(Clone, Debug)]
pub struct RefreshWrite {
    /// The session.
    pub at: SessionRef,
    /// The family that the token names.
    pub family: Family,
    /// The generation that the token names.
    pub generation: u32,
    /// The key under which the successor is made.
    pub key_id: KeyId,
    /// The present, in Unix seconds.
    pub now: Secs,
    /// The session is too young to be refreshed if its last refresh was later than this.
    pub rotated_until: Secs,
    /// The new idle expiry.
    pub idle: Secs,
    /// The emergency brake, in Unix seconds: sessions created before are over.
    pub not_before: Secs,
}

/// What a refresh comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// The successor is given.
    Rotated,
    /// The token is too young to be replaced: the same token is given again.
    Echo,
    /// The response to an earlier refresh was lost: the same successor is given again.
    Replay,
    /// There is no session, it is another one, or it has expired. Nothing is revoked.
    Gone,
    /// The token was replaced long ago, so two parties hold this family. The session is revoked.
    Reuse {
        /// How many generations it is behind. One is mostly an app that was killed during a refresh.
        behind: u32,
    },
    /// The token is newer than the session: the table was restored, or a key leaked. Nothing is revoked.
    Alarm,
}

impl Verdict {
    /// Its name in the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rotated => "ROTATED",
            Self::Echo => "ECHO",
            Self::Replay => "REPLAY",
            Self::Gone => "GONE",
            Self::Reuse { .. } => "REUSE",
            Self::Alarm => "ALARM",
        }
    }
}

/// Judges a refresh by the token, by the write that it asked for ([`RefreshPolicy::write`]) and by what that did.
#[must_use]
pub fn judge(
    presented: &RefreshToken,
    write: &RefreshWrite,
    result: &WriteResult<Session>,
    policy: &RefreshPolicy,
) -> Verdict {
    let now = write.now;
    let session = match result {
        WriteResult::Applied(_) => return Verdict::Rotated,
        WriteResult::Refused(None) => return Verdict::Gone,
        WriteResult::Refused(Some(session)) => session,
    };
    // This comes before generations are compared: nothing is revoked of a session that is over or not the token's.
    if session.family != presented.family || !session.is_alive(now, write.not_before) {
        return Verdict::Gone;
    }
    let Some(behind) = session.generation.checked_sub(presented.generation) else {
        return Verdict::Alarm;
    };
    let within_grace = now <= session.rotated_at.saturating_add(policy.grace);
    // One case in which an honest client comes back late with a replaced token: a request got the young token back (ECHO),
    // and a network's duplicate of the same request, late by up to D, replaced it, unseen. The client uses the replaced token
    // when its access token runs out. So a token that was replaced while it was not much older than E stays good until then;
    // not longer, or a thief who replaces a young token would never be noticed.
    let young_when_rotated =
        session.rotated_at.saturating_sub(session.rotated_before) < policy.min_age + policy.in_flight;
    let access_token_lasts = now <= session.rotated_at.saturating_add(policy.access + policy.grace);
    match behind {
        0 => Verdict::Echo,
        1 if within_grace || young_when_rotated && access_token_lasts => Verdict::Replay,
        _ => Verdict::Reuse { behind },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{AppId, DeviceId, OpenId};
    use proptest::prelude::*;

    const NOW: Secs = 1_000_000;

    fn token(generation: u32) -> RefreshToken {
        RefreshToken {
            key_id: KeyId(1),
            generation,
            family: Family([1; 16]),
            device: DeviceId([2; 16]),
            appid: AppId::parse("wx1").unwrap(),
            openid: OpenId::parse("oA").unwrap(),
        }
    }

    /// A session rotated `ago` seconds ago, `age` seconds after the rotation before.
    fn session(generation: u32, ago: Secs, age: Secs) -> Session {
        Session {
            device: DeviceId([2; 16]),
            family: Family([1; 16]),
            generation,
            key_id: KeyId(1),
            created_at: NOW - 10_000,
            arrived_ms: (NOW - 10_000) * 1_000,
            rotated_at: NOW - ago,
            rotated_before: NOW - ago - age,
            idle: NOW + 1,
            absolute: NOW + 1,
            unionid: None,
        }
    }

    fn judged(presented: &RefreshToken, result: &WriteResult<Session>, not_before: Secs) -> Verdict {
        let policy = RefreshPolicy::default();
        judge(presented, &policy.write(presented, KeyId(1), NOW, not_before), result, &policy)
    }

    fn verdict(generation: u32, refused: Session) -> Verdict {
        judged(&token(generation), &WriteResult::Refused(Some(refused)), 0)
    }

    #[test]
    fn a_write_asks_for_a_token_that_is_old_enough_and_gives_the_session_its_idle_time_again() {
        let policy = RefreshPolicy { min_age: 120, idle: 700, ..RefreshPolicy::default() };

        let write = policy.write(&token(3), KeyId(2), NOW, 5);

        assert_eq!((write.at, write.family, write.generation), (token(3).session(), Family([1; 16]), 3));
        assert_eq!((write.rotated_until, write.now, write.idle), (NOW - 120, NOW, NOW + 700));
        assert_eq!((write.key_id, write.not_before), (KeyId(2), 5));
    }

    #[test]
    fn a_write_that_was_applied_is_a_rotation() {
        let result = WriteResult::Applied(session(1, 0, 500));
        assert_eq!(judged(&token(0), &result, 0), Verdict::Rotated);
    }

    #[test]
    fn a_session_that_is_not_there_or_not_the_tokens_is_gone() {
        assert_eq!(judged(&token(0), &WriteResult::Refused(None), 0), Verdict::Gone);
        assert_eq!(verdict(0, Session { family: Family([9; 16]), ..session(5, 900, 900) }), Verdict::Gone);
    }

    #[test]
    fn a_session_that_has_run_out_is_gone_whatever_the_generation() {
        for generation in [0, 1, 2, 9] {
            assert_eq!(verdict(generation, Session { idle: NOW, ..session(2, 900, 900) }), Verdict::Gone);
            assert_eq!(verdict(generation, Session { absolute: NOW, ..session(2, 900, 900) }), Verdict::Gone);
            let result = WriteResult::Refused(Some(session(2, 900, 900)));
            assert_eq!(judged(&token(generation), &result, NOW - 9_999), Verdict::Gone);
        }
    }

    #[test]
    fn the_present_token_is_echoed_while_it_is_young() {
        assert_eq!(verdict(3, session(3, 5, 900)), Verdict::Echo);
        let from_a_fast_clock = Session { rotated_at: NOW + 90, ..session(3, 0, 900) };
        assert_eq!(verdict(3, from_a_fast_clock), Verdict::Echo);
    }

    #[test]
    fn the_parent_gets_its_successor_again_within_the_grace() {
        assert_eq!(verdict(2, session(3, 0, 900)), Verdict::Replay);
        assert_eq!(verdict(2, session(3, 60, 900)), Verdict::Replay);
        assert_eq!(verdict(2, session(3, 61, 900)), Verdict::Reuse { behind: 1 });
    }

    #[test]
    fn the_parent_of_a_token_that_was_rotated_young_gets_its_successor_while_an_access_token_lasts() {
        // A request is echoed at 119 s; its delayed duplicate rotates at 121 s, unseen; the holder returns much later.
        assert_eq!(verdict(2, session(3, 500, 179)), Verdict::Replay);
        assert_eq!(verdict(2, session(3, 960, 179)), Verdict::Replay);
        assert_eq!(verdict(2, session(3, 500, 180)), Verdict::Reuse { behind: 1 });
    }

    #[test]
    fn a_thief_who_rotates_a_young_token_is_noticed_when_the_owner_comes_back() {
        assert_eq!(verdict(2, session(3, 961, 130)), Verdict::Reuse { behind: 1 });
        assert_eq!(verdict(2, session(3, 5_000, 1)), Verdict::Reuse { behind: 1 });
    }

    #[test]
    fn an_older_ancestor_is_reuse_at_once() {
        assert_eq!(verdict(1, session(3, 0, 100)), Verdict::Reuse { behind: 2 });
        assert_eq!(verdict(0, session(9, 0, 100)), Verdict::Reuse { behind: 9 });
    }

    #[test]
    fn a_token_from_the_future_is_an_alarm_and_revokes_nothing() {
        assert_eq!(verdict(4, session(3, 5, 900)), Verdict::Alarm);
    }

    #[test]
    fn each_verdict_has_its_name_in_the_log() {
        for (verdict, name) in [
            (Verdict::Rotated, "ROTATED"),
            (Verdict::Echo, "ECHO"),
            (Verdict::Replay, "REPLAY"),
            (Verdict::Gone, "GONE"),
            (Verdict::Reuse { behind: 2 }, "REUSE"),
            (Verdict::Alarm, "ALARM"),
        ] {
            assert_eq!(verdict.as_str(), name);
        }
    }

    proptest! {
        #[test]
        fn every_case_has_a_verdict(
            presented: u32, generation: u32, rotated_at: u64, rotated_before: u64, idle: u64, now: u64, grace: u64
        ) {
            let refused = Session { generation, rotated_at, rotated_before, idle, absolute: idle, ..session(0, 0, 0) };
            let policy = RefreshPolicy { grace, ..RefreshPolicy::default() };
            let (token, result) = (token(presented), WriteResult::Refused(Some(refused)));
            let write = RefreshWrite { now, ..policy.write(&token, KeyId(1), 0, 0) };
            let verdict = judge(&token, &write, &result, &policy);
            prop_assert_ne!(verdict, Verdict::Rotated);
        }
    }
}

//! A refresh: the one write that is tried, and the verdict, a pure function of what the token says and what the table answered.
//!
//! No two successors of one token exist, an honest client that lost an answer gets the same one again, and a copy of a
//! token is noticed as soon as both sides have used it. Why each clause is there: `README.md` of this crate.

use super::{Attempt, Rotation};
use crate::{
    clock::Secs,
    token::{keyring::KeyId, refresh::RefreshToken},
};

/// The times that decide over a refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshPolicy {
    /// E: a token younger than this is echoed, not rotated. Several requests meet a 401 at once.
    pub min_age: Secs,
    /// G: so long after a rotation the parent still gets its successor again. Longer than all retries of a client.
    pub grace: Secs,
    /// D: how late a duplicate of a request may arrive.
    pub in_flight: Secs,
    /// A session unused for this long is over.
    pub idle: Secs,
    /// A session is over so long after its login.
    pub absolute: Secs,
    /// The emergency brake: sessions made before this are over.
    pub not_before: Secs,
}

impl Default for RefreshPolicy {
    fn default() -> Self {
        Self { min_age: 120, grace: 60, in_flight: 60, idle: 7 * 86_400, absolute: 30 * 86_400, not_before: 0 }
    }
}

impl RefreshPolicy {
    /// The write that a token asks for; its successor is made under this key.
    #[must_use]
    pub fn rotation(&self, presented: &RefreshToken, key_id: KeyId, now: Secs) -> Rotation {
        Rotation {
            at: presented.session(),
            family: presented.family,
            generation: presented.generation,
            key_id,
            now,
            rotated_until: now.saturating_sub(self.min_age),
            idle: now + self.idle,
            not_before: self.not_before,
        }
    }
}

/// What a refresh comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// The successor is given.
    Rotated,
    /// Too young to be rotated: the same token again.
    Echo,
    /// The answer to an earlier refresh was lost: the same successor again.
    Replay,
    /// No session, another one, or one that has run out. Nothing is revoked.
    Gone,
    /// A token that was rotated away long ago: two parties hold this family. It is ended.
    Reuse {
        /// How many generations it is behind: one is mostly an app that was killed while it refreshed.
        behind: u32,
    },
    /// A token newer than the session: the table was restored, or a key leaked. Nothing is revoked.
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

/// Judges a refresh.
#[must_use]
pub fn judge(presented: &RefreshToken, attempt: &Attempt, policy: &RefreshPolicy, now: Secs) -> Verdict {
    let session = match attempt {
        Attempt::Applied(_) => return Verdict::Rotated,
        Attempt::Refused(None) => return Verdict::Gone,
        Attempt::Refused(Some(session)) => session,
    };
    // Before generations are compared: of a session that is over, or is not the token's, nothing is revoked.
    if session.family != presented.family || !session.is_alive(now, policy.not_before) {
        return Verdict::Gone;
    }
    let Some(behind) = session.generation.checked_sub(presented.generation) else {
        return Verdict::Alarm;
    };
    let within_grace = now <= session.rotated_at.saturating_add(policy.grace);
    // A duplicate that was under way for D may have rotated a token which its holder had just been echoed: that holder
    // comes back with the parent as late as its access token lets it.
    let young_when_rotated =
        session.rotated_at.saturating_sub(session.rotated_before) < policy.min_age + policy.in_flight;
    match behind {
        0 => Verdict::Echo,
        1 if within_grace || young_when_rotated => Verdict::Replay,
        _ => Verdict::Reuse { behind },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ids::{AppId, DeviceId, Family, OpenId},
        session::Session,
        token::keyring::KeyId,
    };
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
            rotated_at: NOW - ago,
            rotated_before: NOW - ago - age,
            idle: NOW + 1,
            absolute: NOW + 1,
            unionid: None,
        }
    }

    fn verdict(generation: u32, refused: Session) -> Verdict {
        judge(&token(generation), &Attempt::Refused(Some(refused)), &RefreshPolicy::default(), NOW)
    }

    #[test]
    fn a_write_asks_for_a_token_that_is_old_enough_and_gives_the_session_its_idle_time_again() {
        let policy = RefreshPolicy { min_age: 120, idle: 700, not_before: 5, ..RefreshPolicy::default() };

        let write = policy.rotation(&token(3), KeyId(2), NOW);

        assert_eq!((write.at, write.family, write.generation), (token(3).session(), Family([1; 16]), 3));
        assert_eq!((write.rotated_until, write.now, write.idle), (NOW - 120, NOW, NOW + 700));
        assert_eq!((write.key_id, write.not_before), (KeyId(2), 5));
    }

    #[test]
    fn a_write_that_was_applied_is_a_rotation() {
        let attempt = Attempt::Applied(session(1, 0, 500));
        assert_eq!(judge(&token(0), &attempt, &RefreshPolicy::default(), NOW), Verdict::Rotated);
    }

    #[test]
    fn a_session_that_is_not_there_or_not_the_tokens_is_gone() {
        assert_eq!(judge(&token(0), &Attempt::Refused(None), &RefreshPolicy::default(), NOW), Verdict::Gone);
        assert_eq!(verdict(0, Session { family: Family([9; 16]), ..session(5, 900, 900) }), Verdict::Gone);
    }

    #[test]
    fn a_session_that_has_run_out_is_gone_whatever_the_generation() {
        for generation in [0, 1, 2, 9] {
            assert_eq!(verdict(generation, Session { idle: NOW, ..session(2, 900, 900) }), Verdict::Gone);
            assert_eq!(verdict(generation, Session { absolute: NOW, ..session(2, 900, 900) }), Verdict::Gone);
            let policy = RefreshPolicy { not_before: NOW - 9_999, ..RefreshPolicy::default() };
            let attempt = Attempt::Refused(Some(session(2, 900, 900)));
            assert_eq!(judge(&token(generation), &attempt, &policy, NOW), Verdict::Gone);
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
    fn the_parent_of_a_token_that_was_rotated_young_gets_its_successor_until_the_next_rotation() {
        // A request is echoed at 119 s; its delayed duplicate rotates at 121 s, unseen; the holder returns much later.
        assert_eq!(verdict(2, session(3, 5_000, 179)), Verdict::Replay);
        assert_eq!(verdict(2, session(3, 5_000, 180)), Verdict::Reuse { behind: 1 });
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
            let verdict = judge(&token(presented), &Attempt::Refused(Some(refused)), &policy, now);
            prop_assert_ne!(verdict, Verdict::Rotated);
        }
    }
}

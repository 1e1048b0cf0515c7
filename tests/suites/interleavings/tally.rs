//! What is seen of a world, and the rules that nothing may break.

use std::{
    collections::HashMap,
    ops::AddAssign,
    sync::{MutexGuard, PoisonError},
};

use refresh::flow::RefreshError;
use shared::{clock::Secs, ids::Family, token::refresh::RefreshToken};

use super::{World, ends::Ends};

/// Refusals of a refresh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    /// GONE, where no REUSE had ended the session.
    pub gone: u64,
    /// GONE after a REUSE: its answer was lost, or another client found it.
    pub gone_by_reuse: u64,
    /// REUSE, one back.
    pub reuse: u64,
    /// REUSE, further back.
    pub reuse_further: u64,
    pub alarm: u64,
}

impl Refusals {
    /// The sum of all kinds of refusals.
    #[must_use]
    pub fn all(&self) -> u64 {
        self.gone + self.gone_by_reuse + self.reuse + self.reuse_further + self.alarm
    }
}

/// What came of a world, or of many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Refreshes that were answered with a token.
    pub refreshes: u64,
    /// Of them, those that wrote nothing: ECHO and REPLAY.
    pub repeated: u64,
    /// Logins that were answered with tokens.
    pub logins: u64,
    /// Logins that had to be begun anew: their code was used, and nothing to be repeated was there.
    pub logins_refused: u64,
    /// Logouts that were acknowledged.
    pub logouts: u64,
    /// Tokens with two different successors: none.
    pub double_issues: u64,
    /// Refreshes that succeeded although their session's end had been acknowledged before they arrived: none.
    pub after_the_end: u64,
    /// Ends that were acknowledged: logouts, deletions, and all that the owner and WeChat asked for.
    pub ends: u64,
    /// Of them, deletions of a user: by the user, the owner or WeChat.
    pub deletions: u64,
    /// Of them, blocks and unblocks.
    pub blocks: u64,
    /// Of them, those acknowledged while a login of the same user was under way.
    pub beside_a_login: u64,
    /// Writes that arrived once more.
    pub written_again: u64,
    /// Sessions that were found alive after an end that was acknowledged: none.
    pub alive_after_the_end: u64,
    /// Sessions that were found without a user after a deletion, or with one whom a TTL sweeps: none.
    pub without_a_user: u64,
    /// Deleted users of whom something was found, or a mark that no TTL sweeps: none.
    pub left_of_a_user: u64,
    /// Blocks and unblocks that did not last: none.
    pub gates_undone: u64,
    /// Refusals that made an honest client log in again.
    pub honest: Refusals,
    /// REUSE of a token that its client, and nobody else, had first sent less than the grace before: none.
    pub reuse_within_grace: u64,
    /// Tokens that were copied and used.
    pub thefts: u64,
    /// How long after its first use each copy was noticed that was, in seconds.
    pub noticed: Vec<u64>,
    broken_at: Option<u64>,
}

impl Figures {
    /// When a rule was first broken, in milliseconds.
    #[must_use]
    pub fn broken_at(&self) -> Option<u64> {
        self.broken_at
    }

    /// How many thefts were noticed within so many seconds.
    #[must_use]
    pub fn noticed_within(&self, seconds: Secs) -> u64 {
        self.noticed.iter().filter(|noticed| **noticed <= seconds).count() as u64
    }

    /// The median of the times after which thefts were noticed, in seconds.
    #[must_use]
    pub fn median(&self) -> Option<u64> {
        let mut noticed = self.noticed.clone();
        noticed.sort_unstable();
        noticed.get(noticed.len() / 2).copied()
    }
}

impl AddAssign for Figures {
    fn add_assign(&mut self, other: Self) {
        self.refreshes += other.refreshes;
        self.repeated += other.repeated;
        self.logins += other.logins;
        self.logins_refused += other.logins_refused;
        self.logouts += other.logouts;
        self.double_issues += other.double_issues;
        self.after_the_end += other.after_the_end;
        self.ends += other.ends;
        self.deletions += other.deletions;
        self.blocks += other.blocks;
        self.beside_a_login += other.beside_a_login;
        self.written_again += other.written_again;
        self.alive_after_the_end += other.alive_after_the_end;
        self.without_a_user += other.without_a_user;
        self.left_of_a_user += other.left_of_a_user;
        self.gates_undone += other.gates_undone;
        self.honest.gone += other.honest.gone;
        self.honest.gone_by_reuse += other.honest.gone_by_reuse;
        self.honest.reuse += other.honest.reuse;
        self.honest.reuse_further += other.honest.reuse_further;
        self.honest.alarm += other.honest.alarm;
        self.reuse_within_grace += other.reuse_within_grace;
        self.thefts += other.thefts;
        self.noticed.extend(other.noticed);
        self.broken_at = self.broken_at.or(other.broken_at);
    }
}

/// What is remembered to judge what comes.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) figures: Figures,
    pub(super) history: Option<Vec<String>>,
    /// What each token was exchanged for.
    successors: HashMap<String, String>,
    pub(super) ends: Ends,
    /// When a client first sent the token that it holds.
    pub(super) sent: HashMap<String, u64>,
    /// When a family's copy was first used.
    pub(super) stolen: HashMap<[u8; 16], u64>,
}

impl Seen {
    pub(super) fn new(record: bool) -> Self {
        Self { history: record.then(Vec::new), ..Self::default() }
    }
}

/// A token in a history: whose, and which.
pub(super) fn name(token: &RefreshToken) -> String {
    let Family(family) = token.family;
    format!("{}/{:02x}{:02x}.{}", token.openid.expose(), family[0], family[1], token.generation)
}

impl World {
    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a line, where somebody reads it.
    pub(super) fn note(&self, line: impl FnOnce() -> String) {
        if let Some(history) = &mut self.seen().history {
            history.push(format!("{:>10} ms  {}", self.schedule.now(), line()));
        }
    }

    pub(super) fn broke(&self, rule: &str, whose: &str) {
        let now = self.schedule.now();
        let mut seen = self.seen();
        seen.figures.broken_at.get_or_insert(now);
        drop(seen);
        self.note(|| format!("!! {rule}: {whose}"));
    }

    /// A refresh that arrived at this time was answered with this token.
    pub(super) fn refreshed(&self, (text, token): (&str, &RefreshToken), answer: &str, arrived: u64) {
        let (repeated, other, ended) = {
            let mut seen = self.seen();
            seen.figures.refreshes += 1;
            let known = seen.successors.get(text).cloned();
            let other = answer != text && known.as_ref().is_some_and(|known| known != answer);
            if answer != text && known.is_none() {
                seen.successors.insert(text.to_owned(), answer.to_owned());
            }
            let ended = seen.ends.is_over(token.family, arrived);
            seen.figures.double_issues += u64::from(other);
            seen.figures.after_the_end += u64::from(ended);
            let repeated = answer == text || known.is_some();
            seen.figures.repeated += u64::from(repeated);
            (repeated, other, ended)
        };
        self.note(|| format!("{} {}", name(token), if repeated { "repeated" } else { "rotated" }));
        if other {
            self.broke("another successor", &name(token));
        }
        if ended {
            self.broke("a success after the end", &name(token));
        }
    }

    pub(super) fn refused(&self, (text, token): (&str, &RefreshToken), error: &RefreshError) {
        self.note(|| format!("{} {error}", name(token)));
        let now = self.schedule.now();
        if let RefreshError::Reuse { .. } = error {
            // One process writes the time and another reads it.
            let grace = self.setup.policy.grace.saturating_sub(2 * self.setup.network.clocks) * 1_000;
            let mut seen = self.seen();
            if let Some(used_at) = seen.stolen.remove(&token.family.0) {
                seen.figures.noticed.push((now - used_at) / 1_000);
            } else if seen.sent.get(text).is_some_and(|sent| now - sent < grace) {
                seen.figures.reuse_within_grace += 1;
            }
        }
    }

    /// The client was told that its session is over.
    pub(super) fn ended(&self, token: &RefreshToken) {
        let now = self.schedule.now();
        self.seen().ends.is_over_since(token.family, now);
    }

    /// The shipped client sends a token.
    pub(super) fn sends(&self, text: &str) {
        let now = self.schedule.now();
        self.seen().sent.entry(text.to_owned()).or_insert(now);
    }

    /// An honest client has to log in again, though nobody asked for the end of its session.
    pub(super) fn must_log_in(&self, token: &RefreshToken, error: &RefreshError) {
        let reused = self.server.is_reused(token.family);
        let mut seen = self.seen();
        if seen.ends.is_explained(token) {
            return;
        }
        let honest = &mut seen.figures.honest;
        match error {
            RefreshError::Reuse { behind: 1 } => honest.reuse += 1,
            RefreshError::Reuse { .. } => honest.reuse_further += 1,
            RefreshError::Alarm => honest.alarm += 1,
            _ if reused => honest.gone_by_reuse += 1,
            _ => honest.gone += 1,
        }
    }
}

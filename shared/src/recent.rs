//! What a process remembers for a moment: by key, until a time, and never more than so much.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::clock::Secs;

/// How much is remembered at most: some hundred kilobytes.
const MOST: usize = 4_096;

/// Values by key, each until a time.
#[derive(Debug)]
pub struct Recent<K, V>(Mutex<HashMap<K, Kept<V>>>);

#[derive(Debug)]
struct Kept<V> {
    value: V,
    until: Secs,
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V: Clone> Recent<K, V> {
    fn kept(&self) -> MutexGuard<'_, HashMap<K, Kept<V>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value of a key, and for how many seconds it still counts.
    pub fn get(&self, key: &K, now: Secs) -> Option<(V, Secs)> {
        let kept = self.kept();
        kept.get(key).filter(|kept| kept.until > now).map(|kept| (kept.value.clone(), kept.until - now))
    }

    /// Remembers a value until a time.
    pub fn put(&self, key: K, value: V, until: Secs, now: Secs) {
        let mut kept = self.kept();
        make_room(&mut kept, now);
        kept.insert(key, Kept { value, until });
    }
}

impl<K: Eq + Hash> Recent<K, ()> {
    /// Adds a second to what is owed, and gives how many are: one is paid off each second.
    pub fn owe(&self, key: K, now: Secs) -> Secs {
        let mut kept = self.kept();
        make_room(&mut kept, now);
        let owed = kept.entry(key).or_insert(Kept { value: (), until: now });
        owed.until = owed.until.max(now) + 1;
        owed.until - now
    }
}

/// Forgets what counts no more; if all of it counts, everything: who has so many is not held by a longer list.
fn make_room<K, V>(kept: &mut HashMap<K, Kept<V>>, now: Secs) {
    if kept.len() >= MOST {
        kept.retain(|_, kept| kept.until > now);
    }
    if kept.len() >= MOST {
        kept.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_until_its_time() {
        let recent = Recent::default();
        recent.put("a", 1, 30, 0);

        assert_eq!(recent.get(&"a", 29), Some((1, 1)));
        assert_eq!(recent.get(&"a", 30), None);
        assert_eq!(recent.get(&"b", 0), None);
    }

    #[test]
    fn what_is_owed_is_paid_off_by_time() {
        let recent = Recent::default();

        assert_eq!([10, 10, 10].map(|now| recent.owe("a", now)), [1, 2, 3]);
        assert_eq!(recent.get(&"a", 12), Some(((), 1)));
        assert_eq!(recent.get(&"a", 13), None);
        assert_eq!(recent.owe("a", 99), 1);
        assert_eq!(recent.owe("b", 10), 1);
    }

    #[test]
    fn it_never_grows_beyond_its_bound() {
        let recent = Recent::default();
        for key in 0..3 * MOST {
            recent.put(key, (), 100, 0);
            assert!(recent.kept().len() <= MOST);
        }
    }
}

//! What one process remembers for a while, bounded in size: values that expire, and leaky buckets.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::clock::Secs;

/// How many entries are kept at most: some hundred kilobytes.
const CAPACITY: usize = 4_096;

/// Values by key, each until a time.
#[derive(Debug)]
pub struct ExpiringMap<K, V>(Mutex<HashMap<K, Entry<V>>>);

#[derive(Clone, Debug)]
struct Entry<V> {
    value: V,
    expires_at: Secs,
}

impl<K, V> Default for ExpiringMap<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V: Clone> ExpiringMap<K, V> {
    fn entries(&self) -> MutexGuard<'_, HashMap<K, Entry<V>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value of a key, unless it has expired.
    pub fn get(&self, key: &K, now: Secs) -> Option<V> {
        self.entries().get(key).filter(|entry| entry.expires_at > now).map(|entry| entry.value.clone())
    }

    /// Keeps a value until a time.
    pub fn put(&self, key: K, value: V, expires_at: Secs, now: Secs) {
        let mut entries = self.entries();
        make_room(&mut entries, now);
        entries.insert(key, Entry { value, expires_at });
    }
}

/// Leaky buckets by key: each loses one drop a second.
#[derive(Debug)]
pub struct LeakyBuckets<K>(ExpiringMap<K, ()>);

impl<K> Default for LeakyBuckets<K> {
    fn default() -> Self {
        Self(ExpiringMap::default())
    }
}

impl<K: Eq + Hash> LeakyBuckets<K> {
    /// How many drops a bucket holds.
    pub fn level(&self, key: &K, now: Secs) -> u64 {
        self.0.entries().get(key).map_or(0, |bucket| bucket.expires_at.saturating_sub(now))
    }

    /// Adds a drop, and gives how many the bucket then holds.
    pub fn add(&self, key: K, now: Secs) -> u64 {
        let mut buckets = self.0.entries();
        make_room(&mut buckets, now);
        // A bucket with n drops is empty in n seconds.
        let bucket = buckets.entry(key).or_insert(Entry { value: (), expires_at: now });
        bucket.expires_at = bucket.expires_at.max(now) + 1;
        bucket.expires_at - now
    }

    /// Adds a drop, unless the bucket holds `capacity` of them; whether there was room.
    pub fn take(&self, key: K, capacity: u64, now: Secs) -> bool {
        let mut buckets = self.0.entries();
        make_room(&mut buckets, now);
        let bucket = buckets.entry(key).or_insert(Entry { value: (), expires_at: now });
        let level = bucket.expires_at.saturating_sub(now);
        let has_room = level < capacity;
        bucket.expires_at = now + level + u64::from(has_room);
        has_room
    }

    /// Takes out a drop that was added for nothing.
    pub fn give_back(&self, key: &K) {
        if let Some(bucket) = self.0.entries().get_mut(key) {
            bucket.expires_at = bucket.expires_at.saturating_sub(1);
        }
    }
}

/// Drops expired entries. If none has expired, all are dropped: a longer list would not stop an attacker with this many
/// keys.
fn make_room<K, V>(entries: &mut HashMap<K, Entry<V>>, now: Secs) {
    if entries.len() >= CAPACITY {
        entries.retain(|_, entry| entry.expires_at > now);
    }
    if entries.len() >= CAPACITY {
        entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_until_its_time() {
        let map = ExpiringMap::default();
        map.put("a", 1, 30, 0);

        assert_eq!(map.get(&"a", 29), Some(1));
        assert_eq!(map.get(&"a", 30), None);
        assert_eq!(map.get(&"b", 0), None);
    }

    #[test]
    fn a_bucket_loses_a_drop_each_second() {
        let buckets = LeakyBuckets::default();

        assert_eq!([10, 10, 10].map(|now| buckets.add("a", now)), [1, 2, 3]);
        assert_eq!(buckets.level(&"a", 12), 1);
        assert_eq!(buckets.level(&"a", 13), 0);
        assert_eq!(buckets.add("a", 99), 1);
        assert_eq!(buckets.add("b", 10), 1);
    }

    #[test]
    fn a_full_bucket_takes_nothing_and_has_room_for_what_was_given_back() {
        let buckets = LeakyBuckets::default();

        assert_eq!([10, 10, 10, 11, 11].map(|now| buckets.take("a", 2, now)), [true, true, false, true, false]);
        buckets.give_back(&"a");
        buckets.give_back(&"b");
        assert_eq!([11, 11].map(|now| buckets.take("a", 2, now)), [true, false]);
        assert_eq!([buckets.level(&"a", 11), buckets.level(&"b", 0)], [2, 0]);
    }

    #[test]
    fn it_never_grows_beyond_its_bound() {
        let map = ExpiringMap::default();
        for key in 0..3 * CAPACITY {
            map.put(key, (), 100, 0);
            assert!(map.entries().len() <= CAPACITY);
        }
    }
}

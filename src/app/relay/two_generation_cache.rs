//! A map that keeps recently used entries and drops the others. Everything that strangers
//! can make grow is kept in one of these.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// Two generations: when the young one is full, the old one is dropped and the
/// young becomes the old. What is used moves to the young.
pub struct TwoGenerationCache<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    half: usize,
}

impl<K: Hash + Eq, V> TwoGenerationCache<K, V> {
    /// Keeps at least half of `capacity`, and at most all of it.
    pub fn new(capacity: usize) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            half: capacity / 2,
        }
    }

    /// Returns a value and keeps it longer; `None` if it is unknown or was dropped.
    pub fn get_mut<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        if !self.young.contains_key(key)
            && let Some((key, value)) = self.old.remove_entry(key)
        {
            self.insert(key, value);
        }
        self.young.get_mut(key)
    }

    /// Adds or replaces a value.
    pub fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= self.half {
            self.age();
        }
        self.old.remove(&key);
        self.young.insert(key, value);
    }

    /// Drops the entries that were not used since the last call.
    pub fn age(&mut self) {
        self.old = std::mem::take(&mut self.young);
    }

    /// Returns a value, a new one if it is unknown.
    pub fn get_or_insert_default(&mut self, key: K) -> &mut V
    where
        K: Clone,
        V: Default,
    {
        if self.get_mut(&key).is_none() {
            self.insert(key.clone(), V::default());
        }
        self.young.entry(key).or_default()
    }

    /// Returns all entries, those that will be dropped first before the others.
    pub fn entries(&self) -> impl Iterator<Item = (&K, &V)> {
        self.old.iter().chain(&self.young)
    }

    /// Returns all values.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.old.values_mut().chain(self.young.values_mut())
    }

    /// Removes a value and returns it.
    pub fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.young.remove(key).or_else(|| self.old.remove(key))
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::TwoGenerationCache;

    #[test]
    fn what_is_used_stays_and_the_rest_is_bounded() {
        let mut recent = TwoGenerationCache::new(100);
        for n in 0..10_000 {
            recent.insert(n, n);
            assert_eq!(recent.get_mut(&0).copied(), Some(0), "after {n}");
            assert!(recent.len() <= 100);
        }
        assert!(recent.get_mut(&5).is_none());
        assert_eq!(recent.get_mut(&9_999).copied(), Some(9_999));
        assert_eq!(recent.remove(&0), Some(0));
        assert!(recent.get_mut(&0).is_none());
    }
}

//! All legs, found by their ids.

use slab::Slab;

use super::leg::{Leg, LegKey};
use crate::formats::maillog::queue_id::{QueueId, QueueIdMap};

/// Legs by key and by id. Several may have the same id: on several hosts, or one after
/// another.
#[derive(Default)]
pub struct LegTable {
    legs: Slab<(u32, Leg)>,
    by_id: QueueIdMap<LegKey>,
    serial: u32,
    bytes: usize,
}

impl LegTable {
    /// Adds a leg, in front of others with its id.
    pub fn insert(&mut self, mut leg: Leg) -> LegKey {
        self.serial = self.serial.wrapping_add(1);
        let id = leg.id;
        self.bytes += leg.cost;
        let entry = self.legs.vacant_entry();
        let key = LegKey {
            // The table is bounded by bytes, far below this.
            index: u32::try_from(entry.key()).unwrap_or(u32::MAX),
            serial: self.serial,
        };
        leg.same_id = self.by_id.insert(id, key);
        entry.insert((self.serial, leg));
        key
    }

    /// The leg, unless it was removed.
    pub fn get(&self, key: LegKey) -> Option<&Leg> {
        let (serial, leg) = self.legs.get(key.index as usize)?;
        (*serial == key.serial).then_some(leg)
    }

    /// Changes the leg, unless it was removed.
    pub fn change<T>(&mut self, key: LegKey, change: impl FnOnce(&mut Leg) -> T) -> Option<T> {
        let (serial, leg) = self.legs.get_mut(key.index as usize)?;
        if *serial != key.serial {
            return None;
        }
        let before = leg.cost;
        let result = change(leg);
        self.bytes = (self.bytes + leg.cost).saturating_sub(before);
        Some(result)
    }

    /// Removes a leg.
    pub fn remove(&mut self, key: LegKey) -> Option<Leg> {
        self.get(key)?;
        let (_, leg) = self.legs.try_remove(key.index as usize)?;
        self.bytes = self.bytes.saturating_sub(leg.cost);
        self.unlink(key, &leg);
        Some(leg)
    }

    fn unlink(&mut self, key: LegKey, leg: &Leg) {
        let Some(first) = self.by_id.get(&leg.id).copied() else {
            return;
        };
        if first == key {
            match leg.same_id {
                Some(older) => _ = self.by_id.insert(leg.id, older),
                None => _ = self.by_id.remove(&leg.id),
            }
            return;
        }
        let mut at = Some(first);
        while let Some(before) = at {
            at = self.get(before).and_then(|leg| leg.same_id);
            if at == Some(key) {
                self.change(before, |before| before.same_id = leg.same_id);
                return;
            }
        }
    }

    /// The legs with this id, the newest first.
    pub fn with_id(&self, id: &QueueId) -> impl Iterator<Item = (LegKey, &Leg)> {
        let mut at = self.by_id.get(id).copied();
        std::iter::from_fn(move || {
            let key = at?;
            let leg = self.get(key)?;
            at = leg.same_id;
            Some((key, leg))
        })
    }

    /// The first of the legs that this one continues, and how many are before it.
    pub fn root_and_depth(&self, key: LegKey) -> (LegKey, usize) {
        let (mut root, mut depth) = (key, 0);
        while let Some(previous) = self.get(root).and_then(|leg| leg.previous)
            && self.get(previous).is_some()
        {
            root = previous;
            depth += 1;
        }
        (root, depth)
    }

    /// The leg and all that continue it.
    pub fn tree(&self, key: LegKey) -> Vec<LegKey> {
        let mut keys = vec![key];
        let mut at = 0;
        while let Some(key) = keys.get(at).copied() {
            if let Some(leg) = self.get(key) {
                keys.extend(leg.next.iter().map(|(key, _)| *key));
            }
            at += 1;
        }
        keys
    }

    /// What all legs take, roughly.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many legs there are.
    pub fn len(&self) -> usize {
        self.legs.len()
    }
}

//! How legs name each other.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};

use super::leg::{Leg, LegKey, Owner};
use super::leg_table::LegTable;
use crate::formats::maillog::queue_id::{QueueId, QueueIdMap};

/// Half as many ids that replies named and that no line began yet are kept.
const MOST_AWAITED: usize = 16_384;
/// How much the clocks of hosts in one log may differ, in microseconds.
const CLOCKS_DIFFER: i64 = 5_000_000;

/// What legs that begin later are compared with.
#[derive(Default)]
pub struct LegReferences {
    by_message_id: HashMap<u64, LegKey>,
    /// The newer and the older half.
    awaited: [QueueIdMap<LegKey>; 2],
    hasher: RandomState,
}

impl LegReferences {
    /// A reply to this leg named an id that no line began yet.
    pub fn awaits(&mut self, id: QueueId, from: LegKey) {
        if self.awaited[0].len() >= MOST_AWAITED {
            self.awaited.swap(0, 1);
            self.awaited[0].clear();
        }
        self.awaited[0].insert(id, from);
    }

    /// The leg of which a reply named this id.
    pub fn awaiting(&self, id: &QueueId) -> Option<LegKey> {
        self.awaited.iter().find_map(|ids| ids.get(id).copied())
    }

    /// Lets legs find this message by its Message-ID.
    pub fn add(&mut self, key: LegKey, leg: &Leg) {
        if let (Owner::User(_), Some(id)) = (&leg.owner, &leg.message_id)
            && !id.is_empty()
        {
            self.by_message_id.insert(self.hasher.hash_one(&**id), key);
        }
    }

    /// Forgets a message.
    pub fn remove(&mut self, key: LegKey, leg: &Leg) {
        if let (Owner::User(_), Some(id)) = (&leg.owner, &leg.message_id) {
            let hash = self.hasher.hash_one(&**id);
            if self.by_message_id.get(&hash) == Some(&key) {
                self.by_message_id.remove(&hash);
            }
        }
    }

    /// The message with this Message-ID and sender, if the leg was submitted on this
    /// machine: no program names the message that it continues.
    pub fn piped_from(&self, leg: &Leg, legs: &LegTable) -> Option<LegKey> {
        let id = leg
            .message_id
            .as_deref()
            .filter(|id| !id.is_empty() && leg.is_local)?;
        let from = *self.by_message_id.get(&self.hasher.hash_one(id))?;
        let before = legs.get(from)?;
        let is_it = before.message_id.as_deref() == Some(id)
            && before.sender == leg.sender
            && before.host == leg.host;
        is_it.then_some(from)
    }
}

/// Whether the second can continue the first: it began later, no one signed in, and
/// the Message-ID is the same. Across hosts the id alone proves nothing.
pub fn is_continued_by(leg: &Leg, next: &Leg) -> bool {
    let known = |leg: &Leg| leg.message_id.as_deref().is_some_and(|id| !id.is_empty());
    let same_id = leg.message_id == next.message_id;
    next.owner == Owner::Stranger
        && next.started.micros() >= leg.started.micros().saturating_sub(CLOCKS_DIFFER)
        && if leg.host == next.host {
            same_id || !known(leg) || !known(next)
        } else {
            same_id && known(leg)
        }
}

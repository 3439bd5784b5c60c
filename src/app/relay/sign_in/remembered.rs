//! Remembers right passwords within a memory limit, so that they are not hashed again. An
//! entry is a keyed hash of the user, the stored hash and the password: once the store holds
//! another hash it no longer matches, and is replaced in time.
//!
//! Once the memory is full, some new entries replace older ones that were not used since they
//! were last considered, starting at random. Strict LRU would degrade suddenly: if slightly
//! more users than fit sign in one after another, each entry is dropped just before its next
//! use.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::io;

use zeroize::Zeroizing;

use super::digest::HalfDigest;
use crate::app::relay::carry_over::format::{CarryOverReader, CarryOverWriter};
use crate::model::cache_status::CacheStatus;
use crate::model::size::MemorySize;

pub struct Remembered {
    /// Shards grow one by one: growing all at once would block all sign-ins and take twice
    /// the memory.
    shards: Vec<Shard>,
    /// Slots of each shard.
    most: usize,
    /// How often a new entry found no room.
    crowded: u64,
    dice: RandomState,
}

/// A hash table with open addressing; 0 is an empty slot. Erased entries are overwritten.
#[derive(Default)]
struct Shard {
    slots: Zeroizing<Vec<u128>>,
    taken: usize,
}

const MOST_SHARDS: u64 = 256;
/// The least bytes of a shard, if there are several: larger shards fill more evenly.
const SHARD: u64 = 64 << 10;
const SLOT: u64 = size_of::<u128>() as u64;
/// Set in a slot whose password was used since it was last considered.
const USED: u128 = 1;
/// Set in each occupied slot.
const TAKEN: u128 = 2;
/// One in this many new entries that find no room replaces an older one.
const REPLACES: u64 = 4;
const FEWEST: usize = 16;

impl Remembered {
    pub fn new(most: MemorySize) -> Self {
        let shards = (most.bytes() / SHARD).clamp(1, MOST_SHARDS);
        let slots = most.bytes() / (shards * SLOT);
        Self {
            shards: (0..shards).map(|_| Shard::default()).collect(),
            most: usize::try_from(slots).unwrap_or(usize::MAX),
            crowded: 0,
            dice: RandomState::new(),
        }
    }

    /// Returns whether this password is remembered, and marks it as used.
    pub fn knows(&mut self, proof: HalfDigest) -> bool {
        let mark = mark(proof);
        let shard = shard(&mut self.shards, mark);
        match shard.find(mark) {
            Some(at) => {
                shard.slots[at] |= USED;
                true
            }
            None => false,
        }
    }

    pub fn add(&mut self, proof: HalfDigest) {
        self.put(mark(proof));
    }

    fn put(&mut self, entry: u128) {
        let mark = entry & !USED;
        let shard = shard(&mut self.shards, mark);
        if self.most == 0 || shard.find(mark).is_some() {
            return;
        }
        if shard.is_full() && !shard.grow(self.most) {
            self.crowded += 1;
            let random = self.dice.hash_one(self.crowded);
            if !random.is_multiple_of(REPLACES) {
                return;
            }
            shard.forget_one(random);
        }
        shard.insert(entry);
    }

    /// Writes all entries as far as there is room. Each shard is emptied at once, so that the
    /// whole is never in memory twice.
    pub fn carry_over(&mut self, to: &mut CarryOverWriter<'_>) -> io::Result<()> {
        for shard in &mut self.shards {
            let shard = std::mem::take(shard);
            if shard.taken == 0 || !to.has_room(shard.taken, size_of::<u128>()) {
                continue;
            }
            to.u64(shard.taken as u64)?;
            for entry in shard.slots.iter().filter(|entry| **entry != 0) {
                to.u128(*entry)?;
            }
        }
        to.u64(0)
    }

    /// Adds entries that another program has written. Those that the memory has no room for
    /// are treated like new ones.
    pub fn take_over(&mut self, from: &mut CarryOverReader<'_>) -> io::Result<()> {
        loop {
            let entries = from.u64()?;
            if entries == 0 {
                return Ok(());
            }
            for _ in 0..entries {
                self.put(from.u128()? | TAKEN);
            }
        }
    }

    pub fn state(&self) -> CacheStatus {
        let sum = |of: fn(&Shard) -> usize| self.shards.iter().map(of).sum::<usize>() as u64;
        CacheStatus {
            passwords: sum(|shard| shard.taken),
            used: sum(|shard| shard.slots.len()) * SLOT,
            most: (self.most * self.shards.len()) as u64 * SLOT,
            crowded: self.crowded,
            hashes: 0,
        }
    }
}

/// The remaining 126 bits cannot be guessed.
fn mark(proof: HalfDigest) -> u128 {
    (u128::from_be_bytes(proof) | TAKEN) & !USED
}

/// It is a hash already: the first bits select the shard, later ones the slot.
fn shard(shards: &mut [Shard], mark: u128) -> &mut Shard {
    let at = scaled((mark >> 64) as u64, shards.len());
    &mut shards[at]
}

impl Shard {
    /// Full at four fifths of the slots, so that a search ends soon.
    fn is_full(&self) -> bool {
        (self.taken + 1) * 5 > self.slots.len() * 4
    }

    /// Returns the first slot to search.
    fn home(&self, mark: u128) -> usize {
        scaled(((mark << 32) >> 64) as u64, self.slots.len())
    }

    fn after(&self, at: usize) -> usize {
        if at + 1 == self.slots.len() {
            0
        } else {
            at + 1
        }
    }

    fn find(&self, mark: u128) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        let mut at = self.home(mark);
        while self.slots[at] != 0 {
            if self.slots[at] & !USED == mark {
                return Some(at);
            }
            at = self.after(at);
        }
        None
    }

    /// Requires an empty slot.
    fn insert(&mut self, entry: u128) {
        let mut at = self.home(entry);
        while self.slots[at] != 0 {
            at = self.after(at);
        }
        self.slots[at] = entry;
        self.taken += 1;
    }

    /// Grows by a quarter; returns false if that exceeds the limit.
    fn grow(&mut self, most: usize) -> bool {
        let now = self.slots.len();
        let more = (now + now / 4).max(FEWEST).min(most);
        if more <= now {
            return false;
        }
        let before = std::mem::replace(&mut self.slots, Zeroizing::new(vec![0; more]));
        self.taken = 0;
        for entry in before.iter().filter(|entry| **entry != 0) {
            self.insert(*entry);
        }
        !self.is_full()
    }

    /// Erases the next entry that was not used since it was last considered.
    fn forget_one(&mut self, random: u64) {
        let mut at = scaled(random, self.slots.len());
        while self.slots[at] == 0 || self.slots[at] & USED != 0 {
            self.slots[at] &= !USED;
            at = self.after(at);
        }
        self.erase(at);
    }

    /// Moves up entries that would not be found after the empty slot (Knuth, The Art of
    /// Computer Programming, volume 3, section 6.4, algorithm R).
    fn erase(&mut self, mut empty: usize) {
        let slots = self.slots.len();
        let distance = |from: usize, to: usize| (to + slots - from) % slots;
        let mut at = self.after(empty);
        while self.slots[at] != 0 {
            if distance(self.home(self.slots[at]), at) >= distance(empty, at) {
                self.slots[empty] = self.slots[at];
                empty = at;
            }
            at = self.after(at);
        }
        self.slots[empty] = 0;
        self.taken -= 1;
    }
}

/// Maps an evenly distributed number to one below `over`.
fn scaled(number: u64, over: usize) -> usize {
    let scaled = (u128::from(number) * over as u128) >> 64;
    // It is below `over`.
    usize::try_from(scaled).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn proof(n: u64) -> HalfDigest {
        let digest = blake3::hash(&n.to_le_bytes());
        std::array::from_fn(|i| digest.as_bytes()[i])
    }

    fn of(size: &str) -> Remembered {
        Remembered::new(size.parse().unwrap())
    }

    /// Users sign in one after another. Returns how many of the last round are remembered.
    fn rounds(remembered: &mut Remembered, users: u64) -> u64 {
        let mut known = 0;
        for _ in 0..12 {
            known = 0;
            for user in 0..users {
                if remembered.knows(proof(user)) {
                    known += 1;
                } else {
                    remembered.add(proof(user));
                }
            }
        }
        known
    }

    #[test]
    fn passwords_that_fit_are_kept_within_the_limit() {
        let mut remembered = of("256K");
        assert!(!remembered.knows(proof(7)));
        assert_eq!(remembered.state().used, 0);
        // Fewer than fit: no shard is full.
        let users = (256 << 10) / 20 * 9 / 10;
        assert_eq!(rounds(&mut remembered, users), users);
        let state = remembered.state();
        assert_eq!((state.passwords, state.crowded), (users, 0));
        assert_eq!(state.most, 256 << 10);
        assert!((users * 20..=users * 26).contains(&state.used), "{state:?}");
        assert!(!remembered.knows(proof(users)));
    }

    #[test]
    fn beyond_the_limit_the_remembered_share_falls_slowly() {
        let fit = (256 << 10) / 20;
        for (percent, least) in [(105, 85), (125, 65), (200, 30)] {
            let mut remembered = of("256K");
            let users = fit * percent / 100;
            let known = rounds(&mut remembered, users) * 100 / users;
            assert!(
                known >= least,
                "{percent} %: {known} % of the users are known"
            );
            let state = remembered.state();
            assert!(state.used <= state.most && state.crowded > 0, "{state:?}");
            assert!(state.passwords <= fit + 256, "{state:?}");
        }
    }

    #[test]
    fn frequent_users_stay_remembered() {
        let mut remembered = of("64K");
        for user in 0..100 {
            remembered.add(proof(user));
        }
        let mut forgotten = 0;
        for stranger in 10_000..110_000 {
            let often = stranger % 100;
            if !remembered.knows(proof(often)) {
                forgotten += 1;
                remembered.add(proof(often));
            }
            remembered.add(proof(stranger));
        }
        // If replaced without regard to use, each would be dropped about seven times.
        assert!(forgotten < 400, "{forgotten} of 100000");
    }

    #[test]
    fn erasing_an_entry_keeps_all_others() {
        let mut shard = Shard::default();
        assert!(shard.grow(40));
        let mark = |n| mark(proof(n));
        let mut there = HashSet::new();
        for n in 0..20_000 {
            if shard.is_full() && !shard.grow(40) {
                let gone = n - 25;
                if let Some(at) = shard.find(mark(gone)) {
                    shard.erase(at);
                    there.remove(&mark(gone));
                } else {
                    panic!("{gone} is not found");
                }
            }
            shard.insert(mark(n));
            there.insert(mark(n));
            assert!(there.iter().all(|one| shard.find(*one).is_some()));
            let left: HashSet<_> = shard
                .slots
                .iter()
                .copied()
                .filter(|slot| *slot != 0)
                .collect();
            assert_eq!(left, there);
        }
    }

    #[test]
    fn nothing_is_remembered_with_a_limit_of_0() {
        let mut remembered = of("0");
        remembered.add(proof(1));
        assert!(!remembered.knows(proof(1)));
        assert_eq!(remembered.state(), CacheStatus::default());
    }
}

//! Counts the different waiting passwords of each user and network.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::app::relay::sign_in::digest::Digest;
use crate::app::relay::sign_in::throttle::Party;

#[derive(Default)]
pub struct Pairs(HashMap<Party, Vec<(Digest, u32)>>);

/// Limit for each pair: many more than can be hashed before their time runs out.
const MOST: usize = 64;

impl Pairs {
    /// Returns false if too many wait already.
    pub fn add(&mut self, party: Party, digest: &Digest) -> bool {
        let waiting = self.0.entry(party.pair()).or_default();
        if let Some((_, count)) = waiting.iter_mut().find(|(known, _)| known == digest) {
            *count += 1;
        } else if waiting.len() < MOST {
            waiting.push((*digest, 1));
        } else {
            return false;
        }
        true
    }

    pub fn remove(&mut self, party: Party, digest: &Digest) {
        let Entry::Occupied(mut pair) = self.0.entry(party.pair()) else {
            return;
        };
        let waiting = pair.get_mut();
        if let Some(found) = waiting.iter().position(|(known, _)| known == digest) {
            waiting[found].1 -= 1;
            if waiting[found].1 == 0 {
                waiting.swap_remove(found);
            }
        }
        if waiting.is_empty() {
            pair.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_clients_may_wait_with_one_password_and_few_passwords() {
        let mut pairs = Pairs::default();
        let digest = |n| [n; 32];
        let pair = |user| Party {
            user,
            address: None,
        };
        assert!((0..1000).all(|_| pairs.add(pair(1), &digest(0))));
        let others = (1..=255).filter(|n| pairs.add(pair(1), &digest(*n)));
        assert_eq!(others.count(), MOST - 1);
        assert!(pairs.add(pair(2), &digest(255)));
        for _ in 0..1000 {
            pairs.remove(pair(1), &digest(0));
        }
        assert!(pairs.add(pair(1), &digest(255)));
        for n in (1..=63).chain([255]) {
            pairs.remove(pair(1), &digest(n));
        }
        pairs.remove(pair(2), &digest(255));
        assert!(pairs.0.is_empty());
    }
}

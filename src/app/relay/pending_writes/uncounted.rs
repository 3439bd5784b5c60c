//! What users without limits sent, until it is counted in the store.

use std::collections::HashMap;

use crate::model::name::Username;
use crate::model::time::Time;
use crate::model::usage_window::Count;

/// By user and time.
type Uncounted = HashMap<(Username, Time), Count>;

/// How many counts are kept by user and second, and then by user and hour, so that a store
/// that cannot be written to does not fill the memory. Beyond that, one is kept for each user
/// and day, as in the usage.
const MOST_UNCOUNTED: usize = 50_000;
const COARSER: [i64; 2] = [3_600, 86_400];

/// Adds counts to those that are kept.
pub fn add_uncounted(kept: &mut Uncounted, newer: Uncounted) {
    add_up(kept, newer);
    for seconds in COARSER {
        if kept.len() > MOST_UNCOUNTED {
            let counts = std::mem::take(kept);
            let coarser = |((username, at), amount): ((Username, Time), Count)| {
                let at = at.epoch() - at.epoch().rem_euclid(seconds);
                ((username, Time::from_epoch(at)), amount)
            };
            add_up(kept, counts.into_iter().map(coarser));
        }
    }
}

fn add_up(sums: &mut Uncounted, counts: impl IntoIterator<Item = ((Username, Time), Count)>) {
    for (key, amount) in counts {
        let sum = sums.entry(key).or_default();
        *sum = sum.saturating_add(amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_bounded_where_they_cannot_be_written() {
        const DAY: i64 = 86_400;
        let mut kept = Uncounted::new();
        let message = Count {
            messages: 1,
            ..Count::default()
        };
        let users: Vec<Username> = (0..4)
            .map(|n| format!("u{n}@example.com").parse().unwrap())
            .collect();
        let midnight = 20_000 * DAY;
        for second in 0..DAY {
            let mut found = Uncounted::new();
            for user in &users {
                let at = Time::from_epoch(midnight + second);
                found.insert((user.clone(), at), message);
            }
            add_uncounted(&mut kept, found);
            assert!(kept.len() <= MOST_UNCOUNTED, "after {second} s");
        }
        let sum: u32 = kept.values().map(|amount| amount.messages).sum();
        assert_eq!(i64::from(sum), DAY * 4);
        let days = midnight..midnight + DAY;
        assert!(kept.keys().all(|(_, at)| days.contains(&at.epoch())));
    }
}

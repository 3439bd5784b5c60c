//! How often something took how long.

use std::time::Duration;

/// Counts in ranges that suit answers of a server: from one that is remembered to one that comes
/// too late.
#[derive(Clone, Debug, Default)]
pub struct DurationHistogram {
    /// How many were in each range; the last one has no bound.
    counts: [u64; BOUNDS.len() + 1],
    sum: Duration,
}

const BOUNDS: [Duration; 9] = [
    Duration::from_millis(1),
    Duration::from_millis(5),
    Duration::from_millis(25),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2500),
    Duration::from_secs(10),
];

impl DurationHistogram {
    /// Adds one.
    pub fn add(&mut self, took: Duration) {
        let range = BOUNDS.iter().position(|bound| took <= *bound);
        self.counts[range.unwrap_or(BOUNDS.len())] += 1;
        self.sum = self.sum.saturating_add(took);
    }

    /// Returns how many there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Returns how long they took together.
    pub const fn sum(&self) -> Duration {
        self.sum
    }

    /// Returns how many took at most each bound, and at last how many there are.
    pub fn cumulated(&self) -> impl Iterator<Item = (Option<Duration>, u64)> {
        let bounds = BOUNDS.into_iter().map(Some).chain([None]);
        let mut so_far = 0;
        bounds.zip(self.counts).map(move |(bound, count)| {
            so_far += count;
            (bound, so_far)
        })
    }
}

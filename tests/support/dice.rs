//! Moments at random, that can be had again.

use std::time::Duration;

/// xorshift: uneven and repeatable is all it has to be.
pub struct Dice(u64);

impl Dice {
    /// From `KILL_SEED`, which each run prints.
    pub fn new() -> Self {
        let seed = match std::env::var("KILL_SEED") {
            Ok(seed) => seed.parse().expect("KILL_SEED is a number"),
            Err(_) => u64::from(std::process::id()) * 0x9e37_79b9 + 1,
        };
        println!("KILL_SEED={seed}");
        Self(seed)
    }

    pub fn another(&mut self) -> Self {
        Self(self.below(u64::MAX) | 1)
    }

    pub fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }

    pub fn choose<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[usize::try_from(self.below(from.len() as u64)).expect("an index")]
    }

    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub fn within(&mut self, span: Duration) -> Duration {
        let micros = span.as_micros().try_into().expect("a short time");
        Duration::from_micros(self.below(micros))
    }

    /// From nothing to a third more than this.
    pub fn around(&mut self, span: Duration) -> Duration {
        const STEPS: u32 = 1000;
        let step = u32::try_from(self.below(STEPS.into())).expect("a small number");
        span * 13 / 10 * step / STEPS
    }
}

//! Waiting for other writers.
//!
//! SQLite's own `busy_timeout` sleeps ever longer, up to 100 ms at a time: a
//! hundred writers at once then take four to ten times as long as with short
//! sleeps of uneven length.

use std::thread;
use std::time::{Duration, Instant};

/// Longer than any transaction of ours; a lock that outlasts it is a backup
/// tool or a hung process.
const PATIENCE: Duration = Duration::from_secs(20);
const YIELDS: u32 = 3;
/// So many short sleeps, and who still waits is one of many: a hundred that
/// look every half millisecond take the processor from the one that works.
const SHORT: u32 = 60;
const LONGER: u64 = 8;

/// Told how often it was asked for the same lock; says whether to go on.
pub fn handler() -> impl FnMut(i32) -> bool + Send + 'static {
    let mut since = Instant::now();
    let mut dice = std::process::id() | 1;
    move |asked| {
        let asked = asked.unsigned_abs();
        if asked == 0 {
            since = Instant::now();
        }
        if asked < YIELDS {
            thread::yield_now();
            return true;
        }
        if since.elapsed() > PATIENCE {
            return false;
        }
        // xorshift: uneven is all it has to be.
        dice ^= dice << 13;
        dice ^= dice >> 17;
        dice ^= dice << 5;
        let factor = if asked < SHORT { 1 } else { LONGER };
        thread::sleep(Duration::from_micros(u64::from(200 + dice % 600) * factor));
        true
    }
}

//! Waits for other writers.
//!
//! SQLite's own `busy_timeout` sleeps ever longer, up to 100 ms at a time: a
//! hundred writers at once then take four to ten times as long as with short
//! sleeps of uneven length.

use std::thread;
use std::time::{Duration, Instant};

const YIELDS: u32 = 3;

/// Returns a handler that is called with the number of earlier calls for the same lock and
/// returns whether to try again.
pub fn with_patience(patience: Duration) -> impl FnMut(i32) -> bool + Send + 'static {
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
        if since.elapsed() > patience {
            return false;
        }
        // A long wait means many waiters: a hundred that poll a thousand times a second
        // leave the holder no processor.
        let longest = (since.elapsed().as_micros() / 16).clamp(600, 20_000);
        // xorshift: uneven is all it has to be.
        dice ^= dice << 13;
        dice ^= dice >> 17;
        dice ^= dice << 5;
        let share = u128::from(dice) * longest / u128::from(u32::MAX);
        let micros = u64::try_from(share).unwrap_or(0);
        thread::sleep(Duration::from_micros(200 + micros));
        true
    }
}

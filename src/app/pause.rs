//! Pauses between batches, in which others can write.

use std::thread;
use std::time::{Duration, Instant};

/// Pauses for as long as the batch took that began then: SQLite polls for its lock, so
/// the lock has to be free half of the time. The pause is limited, because others poll
/// often enough where a distant store makes batches slow.
pub(super) fn let_others(began: Instant) {
    const LEAST: Duration = Duration::from_millis(5);
    const MOST: Duration = Duration::from_millis(100);
    thread::sleep(began.elapsed().clamp(LEAST, MOST));
}

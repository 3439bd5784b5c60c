//! How long a statement may run.
//!
//! Our statements in our stores always end. A crafted file can contain endless trees of
//! pages; then the caller gets an error.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// In steps of SQLite's virtual machine, which executes about a hundred million a second.
pub const STEPS: i32 = 1_000_000;

/// For work that reads or writes the whole store.
pub const WHOLE: Duration = Duration::from_secs(3600);
const COMMAND: Duration = Duration::from_secs(600);
const SERVER: Duration = Duration::from_secs(30);

/// The time by which a statement has to end.
#[derive(Clone)]
pub struct Deadline {
    began: Instant,
    /// In milliseconds since then.
    ends: Arc<AtomicU64>,
    usual: Duration,
}

impl Deadline {
    /// A caller that does not wait for locks has no time for long statements, either.
    pub fn for_patience(patience: Duration) -> Self {
        let usual = if patience <= Duration::from_secs(5) {
            SERVER
        } else {
            COMMAND
        };
        Self {
            began: Instant::now(),
            ends: Arc::new(AtomicU64::new(u64::MAX)),
            usual,
        }
    }

    /// Starts the time of a statement, or of its next row.
    pub fn begin(&self) {
        self.begin_within(self.usual);
    }

    /// Begins a statement that may take this long.
    pub fn begin_within(&self, most: Duration) {
        let ends = (self.began.elapsed() + most).as_millis();
        let ends = u64::try_from(ends).unwrap_or(u64::MAX);
        self.ends.store(ends, Ordering::Relaxed);
    }

    /// Called now and then; returns whether to interrupt the statement.
    pub fn handler(&self) -> impl FnMut() -> bool + Send + 'static {
        let this = self.clone();
        move || {
            let now = u64::try_from(this.began.elapsed().as_millis()).unwrap_or(u64::MAX);
            now > this.ends.load(Ordering::Relaxed)
        }
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::{Connection, ErrorCode};

    use super::*;

    #[test]
    fn an_endless_statement_is_interrupted() {
        const ENDLESS: &str = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)
            SELECT count(*) FROM n";
        let mut store = Connection::open_in_memory().unwrap();
        let deadline = Deadline::for_patience(Duration::ZERO);
        store
            .progress_handler(STEPS, Some(deadline.handler()))
            .unwrap();
        deadline.begin_within(Duration::from_millis(20));
        let failed = store
            .query_row(ENDLESS, [], |_| Ok(()))
            .unwrap_err()
            .sqlite_error_code();
        assert_eq!(failed, Some(ErrorCode::OperationInterrupted));
        // The next statement has its own time.
        deadline.begin();
        store.query_row("SELECT 1", [], |_| Ok(())).unwrap();
    }
}

//! The log of a running relay. Lines are written by a thread of their own: a
//! log that is slow to read must not keep anybody from signing in.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};

/// As syslog numbers them (RFC 5424 §6.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Error = 3,
    Warning = 4,
    Notice = 5,
    Info = 6,
}

/// Where lines go. They are one line each, and fit for a terminal.
pub type Sink = Box<dyn FnMut(Level, &str) + Send>;

#[derive(Clone)]
pub struct Log {
    lines: SyncSender<(Level, String)>,
    lost: Arc<AtomicU64>,
}

/// In lines: what may wait to be written.
const WAITING: usize = 10_000;

impl Log {
    /// Ends, with all written, once every `Log` of it is dropped.
    pub fn start(mut sink: Sink) -> (Self, JoinHandle<()>) {
        let (lines, queue) = sync_channel::<(Level, String)>(WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        let dropped = Arc::clone(&lost);
        let writer = thread::spawn(move || {
            while let Ok((level, line)) = queue.recv() {
                sink(level, &line);
                match dropped.swap(0, Ordering::Relaxed) {
                    0 => {}
                    n => sink(
                        Level::Warning,
                        &format!("{n} lines of this log were lost: it is read too slowly"),
                    ),
                }
            }
        });
        (Self { lines, lost }, writer)
    }

    pub fn say(&self, level: Level, line: String) {
        if let Err(TrySendError::Full(_)) = self.lines.try_send((level, line)) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

//! The log of a running relay. Lines are written by a thread of their own: a
//! log that is slow to read must not keep anybody from signing in.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
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
    lines: Sender<(Level, String)>,
    /// Counted by hand: a channel with a bound takes the memory for all at once.
    waiting: Arc<AtomicUsize>,
    lost: Arc<AtomicU64>,
}

/// In lines: what may wait to be written.
const WAITING: usize = 10_000;

impl Log {
    /// Ends, with all written, once every `Log` of it is dropped.
    pub fn start(mut sink: Sink) -> (Self, JoinHandle<()>) {
        let (lines, queue) = channel::<(Level, String)>();
        let log = Self {
            lines,
            waiting: Arc::default(),
            lost: Arc::default(),
        };
        let (waiting, lost) = (Arc::clone(&log.waiting), Arc::clone(&log.lost));
        let writer = thread::spawn(move || {
            while let Ok((level, line)) = queue.recv() {
                sink(level, &line);
                waiting.fetch_sub(1, Ordering::Relaxed);
                match lost.swap(0, Ordering::Relaxed) {
                    0 => {}
                    n => sink(
                        Level::Warning,
                        &format!("{n} lines of this log were lost: it is read too slowly"),
                    ),
                }
            }
        });
        (log, writer)
    }

    pub fn say(&self, level: Level, line: String) {
        if self.waiting.fetch_add(1, Ordering::Relaxed) < WAITING {
            // Nobody writes any more only once the whole program ends.
            let _ = self.lines.send((level, line));
        } else {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

//! The log of a running relay. A thread of its own writes the lines: a slow reader of the log
//! must not block sign-ins.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use crate::model::text::count;

/// As syslog numbers them (RFC 5424 §6.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Something does not work.
    Error = 3,
    /// Something may need attention.
    Warning = 4,
    /// A refusal, or something that works again.
    Notice = 5,
    /// The normal course.
    Info = 6,
}

/// Writes a line. It contains no line feed and no control characters.
pub type Sink = Box<dyn FnMut(Level, &str) + Send>;

/// Takes the lines; all copies have one writer.
#[derive(Clone)]
pub struct Log {
    lines: Sender<(Level, String)>,
    /// Counted by hand: a channel with a bound takes the memory for all at once.
    waiting: Arc<AtomicUsize>,
    lost: Arc<AtomicU64>,
}

/// The thread that writes the lines.
pub struct Writer(Receiver<()>);

/// How long to wait for the last lines: it may be that no program reads them.
const LAST: Duration = Duration::from_secs(1);
/// The limit of lines that wait to be written.
const WAITING: usize = 10_000;

impl Log {
    /// The writer ends after the last line, once every `Log` of it is dropped.
    pub fn start(mut sink: Sink) -> (Self, Writer) {
        let (lines, queue) = channel::<(Level, String)>();
        let log = Self {
            lines,
            waiting: Arc::default(),
            lost: Arc::default(),
        };
        let (waiting, lost) = (Arc::clone(&log.waiting), Arc::clone(&log.lost));
        let (ended, writer) = channel();
        thread::spawn(move || {
            // Dropped at the end; the drop is the signal.
            let _ended: Sender<()> = ended;
            while let Ok((level, line)) = queue.recv() {
                sink(level, &line);
                waiting.fetch_sub(1, Ordering::Relaxed);
                match lost.swap(0, Ordering::Relaxed) {
                    0 => {}
                    n => sink(
                        Level::Warning,
                        &format!(
                            "lost {} of this log: it is read too slowly",
                            count(n, "line")
                        ),
                    ),
                }
            }
        });
        (log, Writer(writer))
    }

    /// Queues a line. If too many wait already, it is dropped and counted.
    pub fn say(&self, level: Level, line: String) {
        if self.waiting.fetch_add(1, Ordering::Relaxed) < WAITING {
            // The writer only ends with the program.
            let _ = self.lines.send((level, line));
        } else {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Writer {
    /// Waits briefly until everything is written: a writer that is stuck ends with
    /// the process.
    pub fn finish(self) {
        let _ = self.0.recv_timeout(LAST);
    }
}

//! One log that is followed: a file, or the journal.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::journal::{JournalRead, JournalReader, JournalStart};
use crate::app::messages::follower::Follower;
use crate::error::{Error, Result};
use crate::files::tail::{FilePosition, LogTail, TailRead, TailStart};
use crate::formats::maillog::clock::LogClock;
use crate::formats::maillog::log_reader::{LogEntry, LogEvent, LogReader};
use crate::model::log_position::LogPosition;
use crate::model::log_source::LogSource;
use crate::model::log_time::LogTime;
use crate::model::text::{count, escaped};
use crate::model::time::Time;

/// After this long, lines that were dropped are not counted any more.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Where to begin with a source.
#[derive(Clone, Copy, Debug)]
pub enum FirstRead<'a> {
    /// Where an earlier run stopped.
    Resume(&'a LogPosition),
    /// With what the present file has, or with the journal since this time.
    Past(Time),
    /// With what comes now.
    Now(Time),
}

/// A log, how far it was read, and what happens on the way.
pub struct FollowedLog {
    /// Under which its position is saved.
    name: String,
    /// How messages call it.
    source: String,
    place: LogPlace,
    reader: LogReader,
    dropped: DroppedLines,
    log_at: Option<LogTime>,
    /// Lines up to this time were read by an earlier run.
    known_until: Option<LogTime>,
    cursor: CursorCheck,
    /// There was nothing new when it was looked at last.
    pub is_at_end: bool,
    trouble: Option<String>,
}

enum LogPlace {
    File(LogTail),
    Journal(JournalReader),
}

/// Whether the journal resumed where it should.
#[derive(Default)]
struct CursorCheck {
    expected: Option<String>,
    last: Vec<u8>,
    last_at: LogTime,
}

/// How many lines were dropped since a day without any.
struct DroppedLines {
    count: u64,
    last: Instant,
}

impl DroppedLines {
    /// Of an earlier run, as if the last was dropped now.
    fn new(count: u64) -> Self {
        Self {
            count,
            last: Instant::now(),
        }
    }

    fn add(&mut self, lines: u32) {
        *self = Self::new(self.count().saturating_add(lines.into()));
    }

    fn count(&self) -> u64 {
        if self.last.elapsed() < DAY {
            self.count
        } else {
            0
        }
    }
}

/// What is to be told about a log.
pub enum LogNotice {
    /// Something is wrong, or was lost.
    Warning(String),
    /// It works again.
    Notice(String),
}

impl FollowedLog {
    /// Opens nothing yet.
    pub fn new(source: &LogSource, name: String, clock: LogClock, first: FirstRead<'_>) -> Self {
        let position = match first {
            FirstRead::Resume(position) => Some(position),
            FirstRead::Past(_) | FirstRead::Now(_) => None,
        };
        let place = match source {
            LogSource::File(path) => LogPlace::File(LogTail::new(path, tail_start(first))),
            LogSource::Journal => LogPlace::Journal(JournalReader::new(journal_start(first))),
        };
        Self {
            name,
            source: source.name(),
            place,
            reader: LogReader::new(clock),
            dropped: DroppedLines::new(position.map_or(0, |position| position.dropped)),
            log_at: position.and_then(|position| position.log_at),
            known_until: position.and_then(|position| position.log_at),
            cursor: CursorCheck::default(),
            is_at_end: false,
            trouble: None,
        }
    }

    /// Up to here every line was read. `None` if there is no log yet.
    pub fn position(&self, now: Time) -> Option<LogPosition> {
        let (file, offset, cursor) = match &self.place {
            LogPlace::File(tail) => {
                let at = tail.position()?;
                (Some((at.device, at.inode)), at.offset, Some(at.head))
            }
            LogPlace::Journal(journal) if !journal.is_read() => return None,
            LogPlace::Journal(journal) => (None, 0, journal.cursor().map(str::to_owned)),
        };
        Some(LogPosition {
            source: self.name.clone(),
            file,
            offset,
            cursor,
            read_at: now,
            log_at: self.log_at,
            dropped: self.dropped.count(),
        })
    }

    /// The time of the newest line.
    pub const fn log_at(&self) -> Option<LogTime> {
        self.log_at
    }

    /// Lines up to this time are expected.
    pub fn set_now(&mut self, now: Time) {
        self.reader.clock().set_newest(now);
    }

    /// Reads a piece and follows its messages. Returns how many bytes it had.
    pub fn read(
        &mut self,
        buffer: &mut [u8],
        now: Instant,
        follower: &mut Follower,
        notices: &mut Vec<LogNotice>,
    ) -> Result<usize> {
        let read = match &mut self.place {
            LogPlace::File(tail) => match tail.read(buffer, now) {
                Ok(read) => read,
                Err(error) => return self.failed(&error, notices),
            },
            LogPlace::Journal(journal) => match journal.read(buffer, now)? {
                JournalRead::Bytes(count) => TailRead::Bytes(count),
                JournalRead::Nothing => TailRead::Nothing,
                JournalRead::Begins => {
                    self.cursor.expected = journal.cursor().map(str::to_owned);
                    TailRead::Begins { is_lost: false }
                }
                JournalRead::Ended(words) => {
                    let words = escaped(&words);
                    let text = format!("journalctl ended and is started again: {words}");
                    notices.push(LogNotice::Warning(text));
                    TailRead::Nothing
                }
            },
        };
        self.works(notices);
        match read {
            TailRead::Bytes(count) => {
                self.follow(&buffer[..count], follower, notices);
                return Ok(count);
            }
            TailRead::Begins { is_lost } => {
                self.reader.reset();
                if is_lost {
                    let text = format!(
                        "{}: lines were lost: it was rotated or emptied, and no copy with them was found",
                        self.source
                    );
                    notices.push(LogNotice::Warning(text));
                    follower.lose();
                }
            }
            TailRead::Nothing => self.is_at_end = true,
        }
        Ok(0)
    }

    /// A file that cannot be read is an error at first, and later it is waited for.
    fn failed(&mut self, error: &std::io::Error, notices: &mut Vec<LogNotice>) -> Result<usize> {
        self.is_at_end = true;
        let reason = error.to_string();
        if self.log_at.is_none() && self.trouble.is_none() {
            return Err(Error::LogUnreadable {
                path: PathBuf::from(&self.source),
                reason,
            });
        }
        if self.trouble.as_ref() != Some(&reason) {
            let text = format!(
                "{} cannot be read and is tried again: {reason}",
                self.source
            );
            notices.push(LogNotice::Warning(text));
            self.trouble = Some(reason);
        }
        Ok(0)
    }

    fn works(&mut self, notices: &mut Vec<LogNotice>) {
        if self.trouble.take().is_some() {
            let text = format!("{} can be read again", self.source);
            notices.push(LogNotice::Notice(text));
        }
    }

    fn follow(&mut self, bytes: &[u8], follower: &mut Follower, notices: &mut Vec<LogNotice>) {
        let Self {
            source: name,
            reader,
            dropped,
            log_at,
            known_until,
            cursor,
            ..
        } = self;
        reader.push(bytes, |entry| {
            let is_again = cursor.next(entry, name, follower, notices);
            let is_known = is_again || known_until.is_some_and(|known| entry.at <= known);
            if let LogEvent::Dropped(lines) = entry.event
                && !is_known
            {
                dropped.add(lines);
                notices.push(LogNotice::Warning(dropped_lines(entry, lines)));
            }
            follower.entry(entry);
            *log_at = Some(log_at.map_or(entry.at, |newest| newest.max(entry.at)));
        });
        if let LogPlace::Journal(journal) = &mut self.place
            && !self.cursor.last.is_empty()
        {
            journal.resume_at(&self.cursor.last, self.cursor.last_at);
        }
    }
}

impl CursorCheck {
    /// Notes the cursor of an entry. Returns whether it was read before.
    fn next(
        &mut self,
        entry: &LogEntry<'_>,
        name: &str,
        follower: &mut Follower,
        notices: &mut Vec<LogNotice>,
    ) -> bool {
        let Some(cursor) = entry.cursor else {
            return false;
        };
        self.last.clear();
        self.last.extend_from_slice(cursor);
        self.last_at = entry.at;
        let Some(expected) = self.expected.take() else {
            return false;
        };
        let is_again = expected.as_bytes() == cursor;
        if !is_again {
            let text = format!(
                "{name}: the entry where reading stopped is gone: entries before {} may be lost",
                entry.at.time()
            );
            notices.push(LogNotice::Warning(text));
            follower.lose();
        }
        is_again
    }
}

fn dropped_lines(entry: &LogEntry<'_>, lines: u32) -> String {
    // In a file it is rsyslog that says so.
    let by = if entry.cursor.is_some() {
        "journald"
    } else {
        "rsyslog"
    };
    let verb = if lines == 1 { "was" } else { "were" };
    format!(
        "{} {verb} dropped by {by} at {}",
        count(u64::from(lines), "line"),
        entry.at.time()
    )
}

fn tail_start(first: FirstRead<'_>) -> TailStart {
    match first {
        FirstRead::Resume(LogPosition {
            file: Some((device, inode)),
            offset,
            cursor: Some(head),
            read_at,
            ..
        }) => TailStart::At(FilePosition {
            device: *device,
            inode: *inode,
            offset: *offset,
            head: head.clone(),
            since: read_at.epoch(),
        }),
        FirstRead::Resume(_) | FirstRead::Past(_) => TailStart::Beginning,
        FirstRead::Now(_) => TailStart::End,
    }
}

fn journal_start(first: FirstRead<'_>) -> JournalStart {
    let since = |time: Time| LogTime::from_micros(time.epoch().saturating_mul(1_000_000));
    match first {
        FirstRead::Resume(position) => {
            let at = position.log_at.unwrap_or_else(|| since(position.read_at));
            match &position.cursor {
                Some(cursor) => JournalStart::At(cursor.clone(), at),
                None => JournalStart::Since(at),
            }
        }
        FirstRead::Past(time) | FirstRead::Now(time) => JournalStart::Since(since(time)),
    }
}

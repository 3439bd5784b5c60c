//! A log, read in pieces of any size, as events of mail servers.

use super::chunks::{Chunk, ChunkJoiner};
use super::clock::LogClock;
use super::exim::{self, EximEvent};
use super::header::{self, Record, without_mainlog_prefix};
use super::journal::JournalEntry;
use super::lines::LineSplitter;
use super::postfix::{self, PostfixEvent};
use crate::model::log_time::LogTime;

/// What a line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogEvent<'a> {
    /// Postfix said it.
    Postfix(PostfixEvent<'a>),
    /// Exim said it.
    Exim(EximEvent<'a>),
    /// The system dropped this many lines, or one could not be read.
    Dropped(u32),
}

/// An event, with where and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEntry<'a> {
    /// When the line was written.
    pub at: LogTime,
    /// The host column; empty in Exim's mainlog.
    pub host: &'a [u8],
    /// The syslog tag: instances of Postfix differ in its first part.
    pub program: &'a [u8],
    /// The process, or 0.
    pub pid: u32,
    /// What it says.
    pub event: LogEvent<'a>,
    /// Where reading resumes after it, in the journal.
    pub cursor: Option<&'a [u8]>,
}

/// Reads one log. Lines of all formats may be mixed.
pub struct LogReader {
    lines: LineSplitter,
    decoder: LineDecoder,
}

/// Turns single lines into events.
struct LineDecoder {
    clock: LogClock,
    chunks: ChunkJoiner,
    journal: JournalEntry,
}

impl LogReader {
    /// Reads a log whose local times this clock knows.
    pub fn new(clock: LogClock) -> Self {
        Self {
            lines: LineSplitter::default(),
            decoder: LineDecoder {
                clock,
                chunks: ChunkJoiner::default(),
                journal: JournalEntry::default(),
            },
        }
    }

    /// Passes the events of all lines that these bytes complete to the sink.
    pub fn push(&mut self, bytes: &[u8], mut sink: impl FnMut(&LogEntry<'_>)) {
        let decoder = &mut self.decoder;
        self.lines.push(bytes, |line| decoder.line(line, &mut sink));
    }

    /// How many bytes belong to whole lines: where reading of a file can resume.
    pub fn consumed(&self) -> u64 {
        self.lines.consumed()
    }

    /// Forgets a begun line: another file begins, or this one was cut off.
    pub fn reset(&mut self) {
        self.lines.reset();
    }

    /// The clock, to set the newest time that is expected.
    pub fn clock(&mut self) -> &mut LogClock {
        &mut self.decoder.clock
    }
}

impl LineDecoder {
    fn line(&mut self, line: &[u8], sink: &mut impl FnMut(&LogEntry<'_>)) {
        if line.first() == Some(&b'{') {
            self.journal(line, sink);
        } else if let Some(record) = header::record(line, &mut self.clock) {
            decode(&record, None, &mut self.chunks, &mut self.clock, sink);
        }
    }

    fn journal(&mut self, line: &[u8], sink: &mut impl FnMut(&LogEntry<'_>)) {
        if self.journal.read(line).is_none() {
            return;
        }
        let entry = &self.journal;
        let record = Record {
            at: entry.at,
            host: &entry.host,
            program: &entry.program,
            pid: entry.pid,
            text: entry.message.as_deref().unwrap_or_default(),
        };
        let cursor = Some(&entry.cursor[..]);
        let unreadable = entry.message.is_none() && server(&entry.program).is_some();
        let dropped = entry.dropped.or(unreadable.then_some(1));
        match dropped {
            Some(count) => sink(&given(&record, LogEvent::Dropped(count), cursor)),
            None => decode(&record, cursor, &mut self.chunks, &mut self.clock, sink),
        }
    }
}

/// The mail servers.
enum Server {
    Postfix,
    Exim,
}

fn server(program: &[u8]) -> Option<Server> {
    if program.starts_with(b"exim") {
        return Some(Server::Exim);
    }
    program.contains(&b'/').then_some(Server::Postfix)
}

const fn given<'a>(
    record: &Record<'a>,
    event: LogEvent<'a>,
    cursor: Option<&'a [u8]>,
) -> LogEntry<'a> {
    LogEntry {
        at: record.at,
        host: record.host,
        program: record.program,
        pid: record.pid,
        event,
        cursor,
    }
}

fn decode(
    record: &Record<'_>,
    cursor: Option<&[u8]>,
    chunks: &mut ChunkJoiner,
    clock: &mut LogClock,
    sink: &mut impl FnMut(&LogEntry<'_>),
) {
    let mut give = |event| sink(&given(record, event, cursor));
    match server(record.program) {
        Some(Server::Postfix) => {
            if let Some(event) = postfix::event(record.program, record.text) {
                give(LogEvent::Postfix(event));
            }
        }
        Some(Server::Exim) => {
            let joined = match chunks.join(record) {
                Chunk::Whole => None,
                Chunk::Part => return,
                Chunk::Joined(text) => Some(text),
            };
            let text = joined.as_deref().unwrap_or(record.text);
            if let Some(event) = exim::event(without_mainlog_prefix(text, clock)) {
                give(LogEvent::Exim(event));
            }
        }
        None => {
            if let Some(count) = dropped_by_rsyslog(record) {
                give(LogEvent::Dropped(count));
            }
        }
    }
}

/// `imjournal: 33 messages lost due to rate-limiting (…)`
fn dropped_by_rsyslog(record: &Record<'_>) -> Option<u32> {
    if !record.program.starts_with(b"rsyslogd") {
        return None;
    }
    let end = memchr::memmem::find(record.text, b" messages lost due to rate-limiting")?;
    let start = record.text[..end].iter().rposition(|b| !b.is_ascii_digit());
    header::digits(&record.text[start.map_or(0, |at| at + 1)..end])
}

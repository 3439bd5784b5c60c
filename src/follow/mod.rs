//! Follows the logs of the mail server while it runs, and records what happens to the messages
//! of users. One thread: it reads each log in turn, the one that is behind first, and writes
//! what changed together with how far it read, in one transaction. What it was killed for
//! comes again.

mod checkpoints;
mod journal;
mod printed;
mod recorder;
mod service;
mod source;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;

use crate::app::messages::follower::{DEFAULT_LIMIT, Follower};
use crate::error::{Error, Result};
use crate::formats::maillog::clock::LogClock;
use crate::model::followed_message::{FollowedMessage, MessageChange, RefusedMessage};
use crate::model::log_position::LogPosition;
use crate::model::log_source::LogSource;
use crate::model::text::count;
use crate::model::time::Time;
use checkpoints::Checkpoints;
use printed::PrintedStates;
pub use printed::StatePrinter;
pub use recorder::MessageOpener;
use recorder::{Recorder, Unwritten};
use source::{FirstRead, FollowedLog, LogNotice};

/// How often the logs are looked at.
const LOOK: Duration = Duration::from_millis(250);
/// How long a batch waits for more while there is more to read.
const BATCH: Duration = Duration::from_secs(1);
/// How much of the logs a batch has at most, in bytes.
const BATCH_BYTES: u64 = 256 << 10;
/// How much is read at a time.
const PIECE: usize = 64 << 10;
/// How often it is recorded that there is nothing new.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// How often the clock is read for the year of times that name none.
const CLOCK: Duration = Duration::from_secs(60);
/// How much of the journal is read at first, in seconds. A log file has about as much.
const PAST: i64 = 7 * 86_400;

/// The urgency of a line about the following, as syslog numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// Something may need attention.
    Warning = 4,
    /// Something works again.
    Notice = 5,
}

/// Writes a line about the following.
pub type LogSink = Box<dyn FnMut(Urgency, &str)>;

/// What it needs.
pub struct Parts<'a> {
    /// Where the mail servers log to.
    pub sources: Vec<LogSource>,
    /// What the names of sources begin with where machines share a store.
    pub machine: Option<Machine>,
    /// Opens the store, if anything is recorded.
    pub open: Option<MessageOpener>,
    /// Prints each new state.
    pub print: Option<StatePrinter<'a>>,
    /// Waits, and fails if no one reads any more what is printed.
    pub wait_while_read: Option<fn(Duration) -> Result<()>>,
    /// Says what happens besides.
    pub say: LogSink,
    /// The zone of the logs.
    pub zone: TimeZone,
    /// The clock.
    pub now: fn() -> Time,
    /// Set when it has to end.
    pub stop: Arc<AtomicBool>,
}

/// One of several machines that share a store.
pub struct Machine {
    /// Its name.
    pub name: String,
    /// The names that its logs may have for it.
    pub hosts: Vec<String>,
}

/// Follows until it has to end.
pub fn run(parts: Parts<'_>) -> Result<()> {
    let mut following = Following::start(parts)?;
    let ended = following.follow();
    service::is_stopping();
    ended
}

struct Following<'a> {
    parts: Parts<'a>,
    logs: Vec<FollowedLog>,
    follower: Follower,
    recorder: Option<Recorder>,
    checkpoints: Checkpoints,
    printed: PrintedStates,
    changes: Vec<MessageChange>,
    refused: Vec<RefusedMessage>,
    notices: Vec<LogNotice>,
    /// Bytes in the batch.
    bytes: u64,
    written: Instant,
    clock_read: Instant,
}

impl<'a> Following<'a> {
    fn start(mut parts: Parts<'a>) -> Result<Self> {
        let now = Instant::now();
        let recorder = parts.open.take().map(|open| Recorder::open(open, now));
        let mut recorder = recorder.transpose()?;
        let mut follower = Follower::new(DEFAULT_LIMIT, |_| true);
        let mut positions = Vec::new();
        if let Some(recorder) = &mut recorder {
            let earlier = recorder.earlier_run()?;
            positions = earlier.positions;
            for message in earlier.open {
                if is_of_machine(parts.machine.as_ref(), &message) {
                    follower.adopt(&message);
                }
            }
        }
        let time = (parts.now)();
        let logs: Vec<FollowedLog> = parts
            .sources
            .iter()
            .map(|source| {
                let name = name_of(parts.machine.as_ref(), source);
                let known = positions.iter().find(|position| position.source == name);
                let first = match known {
                    Some(position) => FirstRead::Resume(position),
                    None if recorder.is_some() => {
                        FirstRead::Past(Time::from_epoch(time.epoch() - PAST))
                    }
                    None => FirstRead::Now(time),
                };
                let clock = LogClock::new(parts.zone.clone(), time);
                FollowedLog::new(source, name, clock, first)
            })
            .collect();
        let newest = logs.iter().filter_map(FollowedLog::log_at).max();
        let places = logs.iter().filter_map(|log| log.position(time)).collect();
        Ok(Self {
            parts,
            logs,
            follower,
            recorder,
            checkpoints: Checkpoints::new(places),
            printed: PrintedStates::since(newest),
            changes: Vec::new(),
            refused: Vec::new(),
            notices: Vec::new(),
            bytes: 0,
            written: now,
            clock_read: now,
        })
    }

    fn follow(&mut self) -> Result<()> {
        let mut buffer = vec![0; PIECE];
        let mut is_ready = false;
        loop {
            let has_read = self.read_next(&mut buffer)?;
            self.say_notices();
            let is_stopped = self.parts.stop.load(Ordering::Relaxed);
            let is_due = self.is_due(has_read) || is_stopped;
            if is_due && !self.end_batch()? || is_stopped {
                return Ok(());
            }
            // Not only when all of a long log was read.
            if !is_ready && (is_due || !has_read) {
                is_ready = true;
                service::is_ready();
            }
            service::is_alive();
            if !has_read {
                match self.parts.wait_while_read {
                    Some(wait) => wait(LOOK)?,
                    None => thread::sleep(LOOK),
                }
                self.look_again();
            }
        }
    }

    /// Reads a piece of the log that is behind the others. False if there is nothing new in
    /// any of them.
    fn read_next(&mut self, buffer: &mut [u8]) -> Result<bool> {
        let behind = self
            .logs
            .iter_mut()
            .filter(|log| !log.is_at_end)
            .min_by_key(|log| log.log_at());
        let Some(log) = behind else {
            return Ok(false);
        };
        let now = Instant::now();
        let read = log.read(buffer, now, &mut self.follower, &mut self.notices)?;
        self.bytes += read as u64;
        Ok(true)
    }

    fn look_again(&mut self) {
        for log in &mut self.logs {
            log.is_at_end = false;
        }
        if self.clock_read.elapsed() >= CLOCK {
            self.clock_read = Instant::now();
            let now = (self.parts.now)();
            for log in &mut self.logs {
                log.set_now(now);
            }
        }
    }

    fn is_due(&self, has_more: bool) -> bool {
        let waited = self.written.elapsed();
        match self.bytes {
            0 => waited >= HEARTBEAT,
            BATCH_BYTES.. => true,
            _ => !has_more || waited >= BATCH,
        }
    }

    /// Prints and records what changed. False if nothing more can be recorded.
    fn end_batch(&mut self) -> Result<bool> {
        let (changes, refused) = (&mut self.changes, &mut self.refused);
        self.follower.drain(|change| changes.push(change));
        self.follower.drain_refused(|message| refused.push(message));
        if let Some(print) = &mut self.parts.print {
            self.printed.print(changes, print)?;
        }
        let now = (self.parts.now)();
        let is_going_on = match &mut self.recorder {
            None => true,
            Some(recorder) => {
                let positions: Vec<LogPosition> = self
                    .logs
                    .iter()
                    .filter_map(|log| log.position(now))
                    .collect();
                let places = self
                    .checkpoints
                    .end_batch(self.bytes, positions, &self.follower);
                let say = &mut self.parts.say;
                let mut tell = |trouble: Option<&Error>| match trouble {
                    Some(error) => say(
                        Urgency::Warning,
                        &format!("messages cannot be recorded: {error}; trying again"),
                    ),
                    None => say(Urgency::Notice, "messages can be recorded again"),
                };
                let stop = &self.parts.stop;
                match recorder.write(changes, refused, &places, stop, &mut tell) {
                    Ok(()) => true,
                    Err(Unwritten::Stopped) => false,
                    Err(Unwritten::NotKept) => return Err(Error::MessagesNotKept),
                }
            }
        };
        self.changes.clear();
        self.refused.clear();
        self.bytes = 0;
        self.written = Instant::now();
        self.say_status();
        Ok(is_going_on)
    }

    fn say_notices(&mut self) {
        for notice in self.notices.drain(..) {
            match notice {
                LogNotice::Warning(text) => (self.parts.say)(Urgency::Warning, &text),
                LogNotice::Notice(text) => (self.parts.say)(Urgency::Notice, &text),
            }
        }
    }

    fn say_status(&self) {
        let newest = self.logs.iter().filter_map(FollowedLog::log_at).max();
        let up_to = match newest {
            Some(at) => format!("read up to {}", at.time()),
            None => "nothing logged yet".to_owned(),
        };
        let open = count(self.follower.open_legs() as u64, "open message");
        service::says(&format!("{up_to}, {open}"));
    }
}

/// The name under which the position of a source is saved.
fn name_of(machine: Option<&Machine>, source: &LogSource) -> String {
    match machine {
        Some(machine) => format!("{}:{}", machine.name, source.name()),
        None => source.name(),
    }
}

/// Other machines follow their own messages. Exim's mainlog names no host.
fn is_of_machine(machine: Option<&Machine>, message: &FollowedMessage) -> bool {
    let host = &message.key.host;
    machine.is_none_or(|machine| host.is_empty() || machine.hosts.contains(host))
}

//! Logs of the past, read once: the messages in them are recorded, and none twice.

use std::collections::HashSet;
use std::io::{ErrorKind, Read};

use jiff::tz::TimeZone;

use super::follower::Follower;
use super::kept::{KnownNames, oldest_kept};
use crate::app::App;
use crate::error::Result;
use crate::formats::maillog::clock::LogClock;
use crate::formats::maillog::log_reader::LogReader;
use crate::model::followed_message::{MessageChange, RefusedMessage};
use crate::model::log_time::LogTime;
use crate::model::message_rules::MessageRules;
use crate::model::name::Username;
use crate::model::time::Time;
use crate::store::{MessageBatch, MessageStore};

/// What the open messages may take, in bytes: more than a service needs, because a log of
/// the past may begin with a full queue.
const LIMIT: usize = 64 << 20;
/// How much is read before what changed is recorded.
const PIECE: usize = 256 << 10;
/// How much of a log is searched for its first time.
const BEGINNING: u64 = 4 << 20;
/// For how long a mail server may try, in microseconds.
const LONGEST_TRY: i64 = 31 * 86_400 * 1_000_000;

/// What reading logs did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PastSummary {
    /// The lines that were read.
    pub lines: u64,
    /// The messages of users in them.
    pub messages: u64,
    /// Those that were not known.
    pub new: u64,
    /// Those of which more is known now.
    pub changed: u64,
    /// Those that are older than what is kept.
    pub too_old: u64,
}

/// How the times of a log are read.
#[derive(Clone, Debug)]
pub struct LogTimes {
    /// The zone of local times.
    pub zone: TimeZone,
    /// When the log was last written: no line is newer.
    pub newest: Time,
}

impl LogTimes {
    fn reader(self) -> LogReader {
        LogReader::new(LogClock::new(self.zone, self.newest))
    }
}

/// A run over logs of the past, the oldest first.
pub struct PastLogs<'a> {
    app: &'a mut App,
    messages: &'a mut MessageStore,
    rules: MessageRules,
    oldest: LogTime,
    follower: Follower,
    names: KnownNames,
    seen: HashSet<(String, LogTime)>,
    new: HashSet<i64>,
    changed: HashSet<i64>,
    summary: PastSummary,
}

impl<'a> PastLogs<'a> {
    /// Begins with logs whose first line has this time. Messages that were open then go on.
    pub fn begin(
        app: &'a mut App,
        messages: &'a mut MessageStore,
        first: Option<LogTime>,
    ) -> Result<Self> {
        let rules = app.settings()?.messages;
        let oldest = oldest_kept(&rules, app.now());
        let wanted = |name: &str| name.parse::<Username>().is_ok();
        let mut follower = Follower::new(LIMIT, wanted);
        if let Some(first) = first {
            messages.unsettled(&mut |message| {
                // Traditional times have whole seconds: the log may begin within that of a
                // message.
                let silent = first.micros() - message.changed_at().micros();
                if message.key.at <= first && silent < LONGEST_TRY {
                    follower.adopt(&message);
                }
                Ok(())
            })?;
        }
        Ok(Self {
            app,
            messages,
            rules,
            oldest,
            follower,
            names: KnownNames::default(),
            seen: HashSet::new(),
            new: HashSet::new(),
            changed: HashSet::new(),
            summary: PastSummary::default(),
        })
    }

    /// Reads a log to its end. An error of the log leaves what was read before it; the other
    /// one is the store's.
    pub fn read(&mut self, log: &mut dyn Read, times: LogTimes) -> Result<std::io::Result<()>> {
        let mut reader = times.reader();
        let mut piece = vec![0; PIECE];
        let mut ends_whole = true;
        loop {
            let length = match log.read(&mut piece) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Ok(Err(error)),
            };
            let bytes = &piece[..length];
            self.summary.lines += memchr::memchr_iter(b'\n', bytes).count() as u64;
            ends_whole = bytes.ends_with(b"\n");
            let follower = &mut self.follower;
            reader.push(bytes, |entry| follower.entry(entry));
            self.record()?;
        }
        if !ends_whole {
            // The last line has no end.
            self.summary.lines += 1;
            let follower = &mut self.follower;
            reader.push(b"\n", |entry| follower.entry(entry));
        }
        self.record()?;
        Ok(Ok(()))
    }

    /// Ends the run: nothing more is read.
    pub fn end(mut self) -> Result<PastSummary> {
        self.follower.finish();
        self.record()?;
        self.summary.messages = self.seen.len() as u64;
        self.summary.new = self.new.len() as u64;
        self.summary.changed = self.changed.difference(&self.new).count() as u64;
        Ok(self.summary)
    }

    fn record(&mut self) -> Result<()> {
        let (mut changes, mut refused) = (Vec::new(), Vec::new());
        self.follower.drain(|change| changes.push(change));
        self.follower.drain_refused(|message| refused.push(message));
        if changes.is_empty() && refused.is_empty() {
            return Ok(());
        }
        let changes = self.of_users(changes)?;
        let refused = self.refused_to_users(refused)?;
        let written = self.messages.write(&MessageBatch {
            changes: &changes,
            refused: &refused,
            positions: &[],
            recipients: self.rules.recipients,
        })?;
        self.new.extend(written.new);
        self.changed.extend(written.changed);
        Ok(())
    }

    fn of_users(&mut self, changes: Vec<MessageChange>) -> Result<Vec<MessageChange>> {
        let mut kept = Vec::new();
        for change in changes {
            if let MessageChange::Changed(message) = &change {
                if !self.names.has(self.app, &message.username)? {
                    continue;
                }
                let key = &message.key;
                if key.at < self.oldest {
                    self.summary.too_old += 1;
                    continue;
                }
                self.seen.insert((key.queue_id.clone(), key.at));
            }
            kept.push(change);
        }
        Ok(kept)
    }

    fn refused_to_users(&mut self, refused: Vec<RefusedMessage>) -> Result<Vec<RefusedMessage>> {
        let mut kept = Vec::new();
        for message in refused {
            if message.key.at >= self.oldest && self.names.has(self.app, &message.username)? {
                kept.push(message);
            }
        }
        Ok(kept)
    }
}

/// Returns the time of the first line about a message, if there is one near the beginning.
pub fn first_time(log: &mut dyn Read, times: LogTimes) -> Option<LogTime> {
    let mut reader = times.reader();
    let mut log = log.take(BEGINNING);
    let mut piece = vec![0; PIECE];
    let mut first = None;
    while first.is_none() {
        match log.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => reader.push(&piece[..length], |entry| {
                first.get_or_insert(entry.at);
            }),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    first
}

//! A log that is followed by its path: while it grows, is renamed, emptied, replaced or
//! missing, and after this process was killed.
//!
//! Logs are looked at four times a second. A busy log would wake a reader for each line if
//! the kernel told about it, and some file systems tell nothing.

mod head;
mod open_log;
mod rotated;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use head::LogHead;
pub use open_log::FilePosition;
use open_log::{OpenLog, OpenRead};
use rotated::RotatedLogs;

use super::Folder;

/// How long a renamed log must be quiet, while there are lines in the new one, until no one
/// writes to it any more: several processes may write.
const QUIET: Duration = Duration::from_secs(1);
/// How long a renamed log is read at most once there are lines in the new one.
const LAST: Duration = Duration::from_secs(10);

/// How long before the time of a position logs may have been changed that are read again, in
/// seconds.
const BEFORE: i64 = 120;

/// How many of the last logs are not read again.
const KNOWN: usize = 16;

/// What came of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TailRead {
    /// This many bytes.
    Bytes(usize),
    /// Another log begins: half a line that was read has no end. If `is_lost`, lines before
    /// it were never read and cannot be found.
    Begins {
        /// Lines were lost.
        is_lost: bool,
    },
    /// There is nothing new.
    Nothing,
}

/// Where to begin.
#[derive(Clone, Debug)]
pub enum TailStart {
    /// With the first line of the present log.
    Beginning,
    /// With what will be written.
    End,
    /// Where an earlier run stopped.
    At(FilePosition),
}

/// Follows one log.
pub struct LogTail {
    path: PathBuf,
    /// Until the first log is open.
    start: Option<TailStart>,
    log: Option<OpenLog>,
    /// What comes between `log` and the one at the path.
    rotated: VecDeque<OpenLog>,
    is_lost: bool,
    replaced: Option<ReplacedLog>,
    /// Where reading of the log before stopped.
    last: Option<FilePosition>,
    /// What the last logs that were read began with.
    known: Vec<LogHead>,
}

/// The path names another log, which has lines.
#[derive(Clone, Copy)]
struct ReplacedLog {
    since: Instant,
    quiet_since: Instant,
}

impl LogTail {
    /// Opens nothing yet.
    pub fn new(path: &Path, start: TailStart) -> Self {
        let last = match &start {
            TailStart::At(position) => Some(position.clone()),
            TailStart::Beginning | TailStart::End => None,
        };
        Self {
            path: path.into(),
            start: Some(start),
            log: None,
            rotated: VecDeque::new(),
            is_lost: false,
            replaced: None,
            last,
            known: Vec::new(),
        }
    }

    /// The path of the log.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// After the last whole line that was read. `None` while there was no log.
    pub fn position(&self) -> Option<FilePosition> {
        let open = self.log.as_ref().map(OpenLog::position);
        open.or_else(|| self.last.clone())
    }

    /// Reads on, and never waits.
    pub fn read(&mut self, buffer: &mut [u8], now: Instant) -> io::Result<TailRead> {
        let Some(log) = &mut self.log else {
            return self.open();
        };
        let read = match log.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(TailRead::Nothing),
            Err(error) if is_damaged(&error) => {
                self.is_lost = true;
                OpenRead::End
            }
            read => read?,
        };
        match read {
            OpenRead::Bytes(count) => {
                if let Some(replaced) = &mut self.replaced {
                    replaced.quiet_since = now;
                }
                return Ok(TailRead::Bytes(count));
            }
            OpenRead::CutOff => self.find_copy()?,
            OpenRead::End if log.was_filled()? => {
                let changed = log.changed;
                self.add_since(changed)?;
            }
            OpenRead::End if !self.rotated.is_empty() => {}
            OpenRead::End if !self.is_over(now)? => return Ok(TailRead::Nothing),
            OpenRead::End => {}
        }
        if let Some(log) = self.log.take() {
            self.last = Some(log.position());
            let surplus = (self.known.len() + 1).saturating_sub(KNOWN);
            self.known.drain(..surplus);
            self.known.push(log.head().clone());
        }
        self.replaced = None;
        self.open()
    }

    /// Opens the next log, if there is one.
    fn open(&mut self) -> io::Result<TailRead> {
        if let Some(TailStart::At(position)) = &self.start {
            self.resume(&position.clone())?;
        }
        let next = match self.rotated.pop_front() {
            Some(log) => Some(log),
            None => self.open_at_path()?,
        };
        // A log that appears later is read from its beginning.
        self.start = None;
        self.log = next;
        if self.log.is_none() {
            return Ok(TailRead::Nothing);
        }
        let is_lost = std::mem::take(&mut self.is_lost);
        Ok(TailRead::Begins { is_lost })
    }

    fn open_at_path(&self) -> io::Result<Option<OpenLog>> {
        let Some(file) = self.file()? else {
            return Ok(None);
        };
        if matches!(self.start, Some(TailStart::End)) {
            return OpenLog::at_end(file).map(Some);
        }
        // Perhaps the same log in another file: copied, or edited in place.
        if let Some(last) = self.last.as_ref().filter(|last| last.offset > 0)
            && let Some(same) = OpenLog::resumed(file.try_clone()?, false, last)?
        {
            return Ok(Some(same));
        }
        OpenLog::new(file, false).map(Some)
    }

    fn file(&self) -> io::Result<Option<File>> {
        match super::open(&self.path) {
            Ok(file) if !file.metadata()?.is_file() => {
                Err(io::Error::other("it is not a regular file"))
            }
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Finds the log that an earlier run read, and those after it.
    fn resume(&mut self, position: &FilePosition) -> io::Result<()> {
        if position.offset == 0 {
            return self.add_since((position.since.saturating_sub(BEFORE), 0));
        }
        if let Some(file) = self.file()?
            && OpenLog::resumed(file, false, position)?.is_some()
        {
            return Ok(());
        }
        self.continue_in_copy(position)
    }

    /// The log was emptied: what was not read before may be in a copy.
    fn find_copy(&mut self) -> io::Result<()> {
        match self.position().filter(|position| position.offset > 0) {
            Some(position) => self.continue_in_copy(&position),
            None => Ok(()),
        }
    }

    /// Continues in the log that was read up to this position, whatever it is called now, and
    /// with those after it.
    fn continue_in_copy(&mut self, position: &FilePosition) -> io::Result<()> {
        // Twice: it may be renamed or compressed meanwhile.
        for _ in 0..2 {
            let Some(rotated) = self.rotated()? else {
                break;
            };
            if let Some(log) = rotated.read_up_to(position) {
                let known = [log.head().clone()];
                let known = [&self.known[..], &known].concat();
                self.rotated = rotated.since(log.changed, &known)?.into();
                self.rotated.push_front(log);
                return Ok(());
            }
        }
        self.is_lost = true;
        Ok(())
    }

    /// Reads the rotated logs that were changed since this time, and were not read yet.
    fn add_since(&mut self, time: (i64, i64)) -> io::Result<()> {
        let mut known = self.known.clone();
        known.extend(self.log.as_ref().map(|log| log.head().clone()));
        if let Some(rotated) = self.rotated()? {
            self.rotated = rotated.since(time, &known)?.into();
        }
        Ok(())
    }

    /// `None` if there is no folder.
    fn rotated(&self) -> io::Result<Option<RotatedLogs>> {
        match Folder::of_target(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            found => {
                let (folder, name) = found?;
                RotatedLogs::beside(folder, &name).map(Some)
            }
        }
    }

    /// Whether the path names another log by now, or the log after this one was rotated, too,
    /// and no one writes to this one any more.
    fn is_over(&mut self, now: Instant) -> io::Result<bool> {
        let Some(log) = &self.log else {
            return Ok(true);
        };
        let (id, changed) = (log.id, log.changed_now()?);
        let (folder, name) = match Folder::of_target(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            found => found?,
        };
        let found = folder.find(&name)?;
        if found.is_some_and(|found| (found.st_dev, found.st_ino) == id) {
            self.replaced = None;
            return Ok(false);
        }
        self.add_since(changed)?;
        if self.rotated.is_empty() && found.is_none_or(|found| found.st_size == 0) {
            self.replaced = None;
            return Ok(false);
        }
        let replaced = self.replaced.get_or_insert(ReplacedLog {
            since: now,
            quiet_since: now,
        });
        let is_over = now - replaced.quiet_since >= QUIET || now - replaced.since >= LAST;
        if !is_over {
            // Found again, with what comes until then.
            self.rotated.clear();
        }
        Ok(is_over)
    }
}

/// Whether a compressed log is broken or not complete.
fn is_damaged(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::UnexpectedEof
    )
}

#[cfg(test)]
mod tests;

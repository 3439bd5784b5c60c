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

pub use open_log::FilePosition;
use open_log::{OpenLog, OpenRead};
use rotated::RotatedLogs;

use super::Folder;

/// How long a renamed log must be quiet, while there are lines in the new one, until no one
/// writes to it any more: several processes may write.
const QUIET: Duration = Duration::from_secs(1);
/// How long a renamed log is read at most once there are lines in the new one.
const LAST: Duration = Duration::from_secs(10);

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
            OpenRead::End if !self.rotated.is_empty() => {}
            OpenRead::End if !self.is_over(now)? => return Ok(TailRead::Nothing),
            OpenRead::End => self.find_next()?,
        }
        self.last = self.log.take().map(|log| log.position());
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
        if let Some(file) = self.file()?
            && OpenLog::resumed(file, false, position)?.is_some()
        {
            return Ok(());
        }
        match self.read_up_to(position)? {
            Some((rotated, log)) => {
                self.rotated = rotated.after(&log)?.into();
                self.rotated.push_front(log);
            }
            None => self.is_lost = position.offset > 0,
        }
        Ok(())
    }

    /// The log was emptied: what was not read before may be in a copy.
    fn find_copy(&mut self) -> io::Result<()> {
        let Some(position) = self.position().filter(|position| position.offset > 0) else {
            return Ok(());
        };
        match self.read_up_to(&position)? {
            Some((_, copy)) => self.rotated.push_front(copy),
            None => self.is_lost = true,
        }
        Ok(())
    }

    /// The log was rotated, perhaps several times.
    fn find_next(&mut self) -> io::Result<()> {
        if let Some(log) = &self.log {
            self.rotated = self.rotated()?.after(log)?.into();
        }
        Ok(())
    }

    fn read_up_to(&self, position: &FilePosition) -> io::Result<Option<(RotatedLogs, OpenLog)>> {
        // Twice: it may be renamed or compressed meanwhile.
        for _ in 0..2 {
            let rotated = match self.rotated() {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                rotated => rotated?,
            };
            if let Some(log) = rotated.read_up_to(position) {
                return Ok(Some((rotated, log)));
            }
        }
        Ok(None)
    }

    fn rotated(&self) -> io::Result<RotatedLogs> {
        let (folder, name) = Folder::of_target(&self.path)?;
        RotatedLogs::beside(folder, &name)
    }

    /// Whether the path names another log by now, and no one writes to this one any more.
    fn is_over(&mut self, now: Instant) -> io::Result<bool> {
        let Some(log) = &self.log else {
            return Ok(true);
        };
        let (folder, name) = match Folder::of_target(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            found => found?,
        };
        let another = folder
            .find(&name)?
            .filter(|found| (found.st_dev, found.st_ino) != log.id && found.st_size > 0);
        if another.is_none() {
            self.replaced = None;
            return Ok(false);
        }
        let replaced = self.replaced.get_or_insert(ReplacedLog {
            since: now,
            quiet_since: now,
        });
        Ok(now - replaced.quiet_since >= QUIET || now - replaced.since >= LAST)
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

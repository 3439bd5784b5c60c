//! An open log: the one that is written, a rotated one, or a compressed one.

use std::fs::File;
use std::io::{self, BufReader, Read as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};

use flate2::bufread::MultiGzDecoder;
use memchr::memrchr;

use super::head::LogHead;

/// Where reading resumes: after a whole line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePosition {
    /// The device of the file.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
    /// In bytes, of the uncompressed log.
    pub offset: u64,
    /// A name for what the log begins with, up to the offset.
    pub head: String,
    /// Logs that were changed later may have lines that were not read, if nothing of this one
    /// was: it begins with nothing. In seconds since 1970.
    pub since: i64,
}

/// What came of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenRead {
    /// This many bytes.
    Bytes(usize),
    /// There is no more now.
    End,
    /// It was emptied and perhaps filled again since.
    CutOff,
}

/// A log and how far it was read.
pub struct OpenLog {
    content: Content,
    /// Device and number of the file.
    pub id: (u64, u64),
    /// When it was changed last, in seconds and nanoseconds.
    pub changed: (i64, i64),
    head: LogHead,
    offset: u64,
    line_end: u64,
}

enum Content {
    Plain(File),
    Packed(Box<MultiGzDecoder<BufReader<File>>>),
}

impl OpenLog {
    /// A log from its beginning.
    pub fn new(file: File, is_packed: bool) -> io::Result<Self> {
        let found = file.metadata()?;
        Ok(Self {
            id: (found.dev(), found.ino()),
            changed: (found.mtime(), found.mtime_nsec()),
            content: if is_packed {
                Content::Packed(Box::new(MultiGzDecoder::new(BufReader::new(file))))
            } else {
                Content::Plain(file)
            },
            head: LogHead::default(),
            offset: 0,
            line_end: 0,
        })
    }

    /// A log from its present end, for what will be added.
    pub fn at_end(file: File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let head = LogHead::of(&file, length)?;
        let mut log = Self::new(file, false)?;
        (log.head, log.offset, log.line_end) = (head, length, length);
        Ok(log)
    }

    /// A log from where reading stopped, if that was this log.
    pub fn resumed(
        file: File,
        is_packed: bool,
        position: &FilePosition,
    ) -> io::Result<Option<Self>> {
        let mut log = Self::new(file, is_packed)?;
        if position.offset == 0 {
            let is_it = log.id == (position.device, position.inode);
            return Ok(is_it.then_some(log));
        }
        let is_long_enough = match &log.content {
            Content::Plain(file) => {
                let is_long_enough = file.metadata()?.len() >= position.offset;
                log.head = LogHead::of(file, position.offset)?;
                log.offset = position.offset;
                is_long_enough
            }
            Content::Packed(_) => log.skip(position)?,
        };
        log.line_end = log.offset;
        let is_it = is_long_enough && log.head.digest(position.offset) == position.head;
        Ok(is_it.then_some(log))
    }

    /// Unpacks up to a position. False if this is another log, or a shorter one.
    fn skip(&mut self, position: &FilePosition) -> io::Result<bool> {
        let mut buffer = vec![0; 64 << 10];
        let mut is_known = false;
        while self.offset < position.offset {
            let left = usize::try_from(position.offset - self.offset).unwrap_or(usize::MAX);
            // The beginning is compared before all the rest is unpacked.
            let most = if is_known { buffer.len() } else { 1024 };
            let OpenRead::Bytes(_) = self.read(&mut buffer[..left.min(most)])? else {
                return Ok(false);
            };
            if !is_known && self.offset >= 1024 {
                is_known = true;
                if self.head.digest(position.offset) != position.head {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Reads on.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<OpenRead> {
        let read = match &mut self.content {
            Content::Packed(unpacked) => unpacked.read(buffer)?,
            Content::Plain(file) => {
                let read = file.read_at(buffer, self.offset)?;
                // Looked at after reading: what was read before it was cut off is right.
                let is_shorter = read == 0 && file.metadata()?.len() < self.offset;
                if is_shorter || !self.head.begins(file)? {
                    return Ok(OpenRead::CutOff);
                }
                read
            }
        };
        let bytes = &buffer[..read];
        self.head.extend(self.offset, bytes);
        if let Some(end) = memrchr(b'\n', bytes) {
            self.line_end = self.offset + end as u64 + 1;
        }
        self.offset += read as u64;
        Ok(match read {
            0 => OpenRead::End,
            read => OpenRead::Bytes(read),
        })
    }

    /// After the last whole line.
    pub fn position(&self) -> FilePosition {
        FilePosition {
            device: self.id.0,
            inode: self.id.1,
            offset: self.line_end,
            head: self.head.digest(self.line_end),
            since: self.changed.0,
        }
    }

    /// Whether it is still empty, but was written: emptied before it was looked at.
    pub fn was_filled(&self) -> io::Result<bool> {
        Ok(self.offset == 0 && self.changed_now()? != self.changed)
    }

    /// What it begins with, as far as it was read.
    pub const fn head(&self) -> &LogHead {
        &self.head
    }

    /// Reads what it begins with.
    pub fn beginning(mut self) -> io::Result<LogHead> {
        self.read(&mut [0; 1024])?;
        Ok(self.head)
    }

    /// When it was changed last, as of now.
    pub fn changed_now(&self) -> io::Result<(i64, i64)> {
        match &self.content {
            Content::Plain(file) => {
                let found = file.metadata()?;
                Ok((found.mtime(), found.mtime_nsec()))
            }
            Content::Packed(_) => Ok(self.changed),
        }
    }
}

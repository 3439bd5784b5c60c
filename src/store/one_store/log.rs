//! Checks whether a write-ahead log belongs to the file beside it.
//!
//! SQLite replays any valid log, whichever file has the name by then: beside a restored
//! backup, an old log undoes or corrupts it. The formats:
//! <https://www.sqlite.org/fileformat2.html>.
//!
//! The header in the first page has a change counter and a schema cookie, which is unique
//! to a store (see `Sqlite::number`). Each of our changes writes that page and increments
//! the counter (see `Sqlite::mark`), so the first page of a file is
//! - in the log, if the log was checkpointed up to there; or
//! - the predecessor of the first one in the log, if it was not.
//!
//! Two cases are not recognised: a plain copy of the file from when this log began, to
//! which the log does belong; and a log without the first page, as other programs may
//! write it.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// In bytes.
const HEADER: usize = 100;
const LOG_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// The most frames that are read (64 MiB): a page after them is not found.
const MOST: u64 = 16_384;
/// How many pages are compared.
const ENOUGH: usize = 64;
/// The lowest cookie of our stores; SQLite's backups start at 1.
pub const NUMBERED: u32 = 1 << 16;
/// The most schema changes in one transaction.
const SCHEMA_CHANGES: u32 = 4096;

/// The beginning of the first page of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header([u8; HEADER]);

impl Header {
    /// Reads a header; `None` if it is not a store's.
    pub fn of(page: &[u8]) -> Option<Self> {
        page.first_chunk().copied().map(Self)
    }

    fn counter(&self) -> u32 {
        number(&self.0, 24)
    }

    fn cookie(&self) -> u32 {
        number(&self.0, 40)
    }

    fn page_size(&self) -> u32 {
        match number(&self.0, 16) >> 16 {
            1 => 65_536,
            size => size,
        }
    }

    /// Returns whether `next` can be a later header: counter and cookie only grow.
    pub fn may_become(&self, next: &Self) -> bool {
        let counted = next.counter().wrapping_sub(self.counter());
        counted < u32::MAX / 2 && self.may_be_renamed(next)
    }

    /// The same for the very next change, which increments the counter by one.
    fn may_become_at_once(&self, next: &Self) -> bool {
        let counted = next.counter().wrapping_sub(self.counter());
        counted <= 1 && self.may_be_renamed(next)
    }

    fn may_be_renamed(&self, next: &Self) -> bool {
        let changed = next.cookie().wrapping_sub(self.cookie()) < SCHEMA_CHANGES;
        let numbered = self.cookie() < NUMBERED && next.cookie() >= NUMBERED;
        changed || numbered
    }
}

/// The header of a log, which changes each time the log restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beginning([u8; LOG_HEADER]);

impl Beginning {
    /// Returns nothing if the log is empty.
    pub fn of(log: &File) -> io::Result<Option<Self>> {
        let mut bytes = [0; LOG_HEADER];
        Ok(filled(log, &mut bytes, 0)?.then_some(Self(bytes)))
    }

    fn page_size(&self) -> u32 {
        number(&self.0, 8)
    }

    fn salts(&self) -> &[u8] {
        &self.0[16..24]
    }

    fn sum(&self) -> Checksum {
        Checksum {
            words: [0, 0],
            big_endian: number(&self.0, 0) & 1 == 1,
        }
    }

    /// Returns whether SQLite would read this log.
    fn is_whole(&self) -> bool {
        let magic = number(&self.0, 0) & !1 == 0x377f_0682;
        let size = self.page_size();
        let mut sum = self.sum();
        sum.add(&self.0[..24]);
        let sizes = 512..=65_536;
        magic && sizes.contains(&size) && size.is_power_of_two() && sum.is(&self.0[24..])
    }
}

/// Reads the store at an offset; returns false if the file ends before.
pub type ReadStore<'a> = &'a dyn Fn(&mut [u8], u64) -> io::Result<bool>;

/// Returns whether the log may belong to the file with this header. `checkpointed` is the
/// number of frames that were checkpointed.
pub fn is_of(log: &File, header: &Header, store: ReadStore, checkpointed: u64) -> io::Result<bool> {
    let Some(begins) = Beginning::of(log)?.filter(Beginning::is_whole) else {
        return Ok(true);
    };
    let frames = Frames {
        log,
        size: u64::from(begins.page_size()),
        begins,
    };
    let Some(first) = frames.first()? else {
        return Ok(true);
    };
    if header.page_size() != begins.page_size() {
        return Ok(false);
    }
    if header.may_become_at_once(&first) {
        return frames.are_in(store, checkpointed);
    }
    frames.has(header)
}

struct Frames<'a> {
    log: &'a File,
    size: u64,
    begins: Beginning,
}

impl Frames<'_> {
    /// Finds the first page in the log. An incomplete change counts, too: it was for the
    /// same file.
    fn first(&self) -> io::Result<Option<Header>> {
        let mut sum = self.begins.sum();
        sum.add(&self.begins.0[..24]);
        let mut page = vec![0; self.begins.page_size() as usize];
        for at in 0..MOST {
            let Some(head) = self.head(at)? else {
                break;
            };
            if !filled(self.log, &mut page, self.offset(at) + FRAME_HEADER as u64)? {
                break;
            }
            sum.add(&head[..8]);
            sum.add(&page);
            if !sum.is(&head[16..24]) {
                break;
            }
            if number(&head, 0) == 1 {
                return Ok(Header::of(&page));
            }
        }
        Ok(None)
    }

    /// Returns whether the store has the checkpointed pages. A page with a later frame may
    /// have been skipped.
    fn are_in(&self, store: ReadStore, checkpointed: u64) -> io::Result<bool> {
        // Frames after the ones that are read may have been checkpointed.
        if checkpointed == 0 || self.head(MOST)?.is_some() {
            return Ok(true);
        }
        let mut latest = HashMap::new();
        let mut pages = 0;
        for at in 0..MOST {
            let Some(head) = self.head(at)? else {
                break;
            };
            latest.insert(number(&head, 0), at);
            // A commit frame holds the length of the store.
            pages = match number(&head, 4) {
                0 => pages,
                length => length,
            };
        }
        let mut logged = vec![0; self.begins.page_size() as usize];
        let mut stored = logged.clone();
        let checkpointed = latest
            .into_iter()
            .filter(|(page, at)| *page <= pages && *at < checkpointed);
        for (page, at) in checkpointed.take(ENOUGH) {
            let offset = u64::from(page.saturating_sub(1)) * self.size;
            let read = filled(self.log, &mut logged, self.offset(at) + FRAME_HEADER as u64)?
                && store(&mut stored, offset)?;
            if read && logged != stored {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Returns whether the log has a first page with this header.
    fn has(&self, header: &Header) -> io::Result<bool> {
        for at in 0..MOST {
            let Some(head) = self.head(at)? else {
                return Ok(false);
            };
            let first = number(&head, 0) == 1;
            if first && Header::of(&head[FRAME_HEADER..]) == Some(*header) {
                return Ok(true);
            }
        }
        Ok(true)
    }

    /// Reads the headers of a frame and of its page; nothing after the last frame.
    fn head(&self, at: u64) -> io::Result<Option<[u8; FRAME_HEADER + HEADER]>> {
        let mut head = [0; FRAME_HEADER + HEADER];
        let is_there = filled(self.log, &mut head, self.offset(at))?;
        Ok((is_there && &head[8..16] == self.begins.salts()).then_some(head))
    }

    const fn offset(&self, at: u64) -> u64 {
        LOG_HEADER as u64 + at * (FRAME_HEADER as u64 + self.size)
    }
}

/// The checksum of a log, cumulative over its frames.
struct Checksum {
    words: [u32; 2],
    big_endian: bool,
}

impl Checksum {
    fn add(&mut self, bytes: &[u8]) {
        let read = if self.big_endian {
            u32::from_be_bytes
        } else {
            u32::from_le_bytes
        };
        let [mut one, mut two] = self.words;
        let (words, _) = bytes.as_chunks::<4>();
        let (pairs, _) = words.as_chunks::<2>();
        for [first, second] in pairs {
            one = one.wrapping_add(read(*first)).wrapping_add(two);
            two = two.wrapping_add(read(*second)).wrapping_add(one);
        }
        self.words = [one, two];
    }

    fn is(&self, stored: &[u8]) -> bool {
        self.words == [number(stored, 0), number(stored, 4)]
    }
}

/// Reads a big-endian number.
fn number(bytes: &[u8], at: usize) -> u32 {
    let bytes = bytes.get(at..).and_then(<[u8]>::first_chunk);
    bytes.map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

/// Fills the buffer; returns false if the file ends before.
pub fn filled(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<bool> {
    match file.read_exact_at(buffer, offset) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    }
}

#[cfg(test)]
mod tests;

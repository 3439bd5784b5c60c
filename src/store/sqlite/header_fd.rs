//! The descriptor through which a store's header is read.
//!
//! A process that closes any descriptor of a file loses all its locks on it
//! (<https://www.sqlite.org/howtocorrupt.html>, 2.2): SQLite's too, and then
//! another process takes the write-ahead log away under us. So a file is opened
//! once beside SQLite, and closed after the last connection to it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::store::one_store::FileId;
use crate::store::one_store::log::{Header, filled};

/// Every open file, with the number of its users.
static OPEN: Mutex<Vec<(FileId, usize, File)>> = Mutex::new(Vec::new());

/// A file of this process, kept open.
pub struct HeaderFd(FileId);

impl HeaderFd {
    /// Opens a file, or returns the descriptor that this process already has.
    pub fn open(path: &Path) -> io::Result<Self> {
        let found = fs::metadata(path)?;
        let id = (found.dev(), found.ino());
        let mut open = registry();
        if let Some((_, holders, _)) = open.iter_mut().find(|(known, ..)| *known == id) {
            *holders += 1;
            return Ok(Self(id));
        }
        let file = File::open(path)?;
        let opened = file.metadata()?;
        let id = (opened.dev(), opened.ino());
        if let Some((_, holders, _)) = open.iter_mut().find(|(known, ..)| *known == id) {
            // Renamed just now. Closing this descriptor would release the locks.
            *holders += 1;
            std::mem::forget(file);
        } else {
            open.push((id, 1, file));
        }
        Ok(Self(id))
    }

    /// Returns its device and inode.
    pub const fn id(&self) -> FileId {
        self.0
    }

    /// Returns whether nothing else in this process has it open.
    pub fn is_alone(&self) -> bool {
        let open = registry();
        let mut known = open.iter().filter(|(known, ..)| *known == self.0);
        known.all(|(_, holders, _)| *holders == 1)
    }

    /// Returns nothing if the file is shorter.
    pub fn header(&self) -> io::Result<Option<Header>> {
        let mut page = [0; 100];
        let is_there = self.read_at(&mut page, 0)?;
        Ok(Header::of(&page).filter(|_| is_there))
    }

    /// Fills the buffer; returns false if the file ends before.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<bool> {
        let open = registry();
        let known = open.iter().find(|(known, ..)| *known == self.0);
        known.map_or(Ok(false), |(_, _, file)| filled(file, buffer, offset))
    }

    /// Reads the beginning; returns how many bytes there are, and the file's length.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<(usize, u64)> {
        let open = registry();
        let Some((_, _, file)) = open.iter().find(|(known, ..)| *known == self.0) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let mut filled = 0;
        while filled < buffer.len() {
            match file.read_at(&mut buffer[filled..], filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok((filled, file.metadata()?.len()))
    }
}

impl Drop for HeaderFd {
    fn drop(&mut self) {
        let mut open = registry();
        if let Some(i) = open.iter().position(|(known, ..)| *known == self.0) {
            open[i].1 -= 1;
            if open[i].1 == 0 {
                // Closed here, while no other thread can open it.
                open.swap_remove(i);
            }
        }
    }
}

fn registry() -> MutexGuard<'static, Vec<(FileId, usize, File)>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

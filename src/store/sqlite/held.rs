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

/// Device and inode.
pub type Id = (u64, u64);

/// Every file that is open, with how many hold it.
static OPEN: Mutex<Vec<(Id, usize, File)>> = Mutex::new(Vec::new());

pub struct Held(Id);

impl Held {
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
            // Renamed to it just now. Closing this one would do the harm.
            *holders += 1;
            std::mem::forget(file);
        } else {
            open.push((id, 1, file));
        }
        Ok(Self(id))
    }

    pub const fn id(&self) -> Id {
        self.0
    }

    /// Nobody else of this process has it open.
    pub fn is_alone(&self) -> bool {
        let open = registry();
        let mut known = open.iter().filter(|(known, ..)| *known == self.0);
        known.all(|(_, holders, _)| *holders == 1)
    }

    /// Reads as much as there is of the beginning; says how much, and how long
    /// the file is.
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

impl Drop for Held {
    fn drop(&mut self) {
        let mut open = registry();
        if let Some(i) = open.iter().position(|(known, ..)| *known == self.0) {
            open[i].1 -= 1;
            if open[i].1 == 0 {
                // Closed here, while nobody else can be opening it.
                open.swap_remove(i);
            }
        }
    }
}

fn registry() -> MutexGuard<'static, Vec<(Id, usize, File)>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

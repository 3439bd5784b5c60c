//! Checks the log beside the file: it belongs to the file, and is still the one that was opened.

use std::cell::{Cell, RefCell};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::companions::beside;
use super::header_fd::HeaderFd;
use crate::error::{Error, Result};
use crate::store::one_store::log::{Beginning, Header, is_of};
use crate::store::one_store::{FileId, NamedFile, of_another_file};

/// The write-ahead log beside a store.
pub struct WriteAheadLog {
    path: PathBuf,
    /// The log and its device and inode, once SQLite has opened it. Kept open, since it is
    /// read at each check; SQLite holds no locks on it that closing would end.
    opened: RefCell<Option<(FileId, File)>>,
    /// The store's header and the log's beginning at the last check.
    seen: Cell<Option<(Header, Option<Beginning>)>>,
}

/// Others may write during the check: a mismatch counts only if nothing changed meanwhile,
/// and only after this many of them.
const ENOUGH: u8 = 5;
const TRIES: u8 = 20;

impl WriteAheadLog {
    /// Returns the log of a store; it need not exist.
    pub fn of(store: &Path) -> Self {
        let real = fs::canonicalize(store).unwrap_or_else(|_| store.to_owned());
        Self {
            path: beside(&real, "-wal"),
            opened: RefCell::new(None),
            seen: Cell::new(None),
        }
    }

    /// Remembers the open log: only the last program to close a store removes it.
    pub fn is_open(&self) {
        let named = || NamedFile::at(&self.path).ok().map(|named| named.id);
        let (id, log) = (named(), File::open(&self.path).ok());
        *self.opened.borrow_mut() = id.filter(|_| named() == id).zip(log);
    }

    /// Refuses a store whose log belongs to another file, before SQLite replays it.
    pub fn check_unopened(&self, store: &Path, file: &HeaderFd) -> Result<()> {
        // If it cannot be read, SQLite reports why.
        match self.is_of(file, &|| 0) {
            Ok(false) => Err(of_another_file(store, &self.path)),
            _ => Ok(()),
        }
    }

    /// The same for an open store, and refuses one that was overwritten since. `checkpointed`
    /// returns how many frames were checkpointed.
    pub fn check(
        &self,
        store: &Path,
        file: &HeaderFd,
        checkpointed: impl Fn() -> u64,
    ) -> Result<()> {
        let replaced = || Error::StoreReplaced(store.into());
        let opened = self.opened.borrow();
        if let Some((id, _)) = &*opened
            && NamedFile::at(&self.path).ok().map(|named| named.id) != Some(*id)
        {
            return Err(replaced());
        }
        // An empty file has no header; SQLite then removes the log.
        let Ok(Some(header)) = file.header() else {
            return Ok(());
        };
        let beginning = match &*opened {
            Some((_, log)) => Beginning::of(log),
            None => File::open(&self.path).and_then(|log| Beginning::of(&log)),
        };
        let found = (header, beginning.ok().flatten());
        let seen = self.seen.get();
        if seen == Some(found) {
            return Ok(());
        }
        if let Ok(false) = self.is_of(file, &checkpointed) {
            return Err(of_another_file(store, &self.path));
        }
        if seen.is_some_and(|(seen, _)| !seen.may_become(&header)) {
            return Err(replaced());
        }
        self.seen.set(Some(found));
        Ok(())
    }

    fn is_of(&self, file: &HeaderFd, checkpointed: &impl Fn() -> u64) -> io::Result<bool> {
        let name = || NamedFile::at(&self.path).ok();
        let store = |buffer: &mut [u8], offset| file.read_at(buffer, offset);
        let mut refused = 0;
        for _ in 0..TRIES {
            let named = name();
            // Each time: the last who closes a store removes its log, and the next who
            // opens it makes another one.
            let log = match File::open(&self.path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
                opened => opened?,
            };
            let state = || -> io::Result<_> { Ok((Beginning::of(&log)?, file.header()?)) };
            let before = state()?;
            let (_, Some(header)) = before else {
                return Ok(true);
            };
            if is_of(&log, &header, &store, checkpointed())? {
                return Ok(true);
            }
            refused += u8::from(state()? == before && name() == named);
            if refused == ENOUGH {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn a_log_that_was_replaced_while_it_was_read_is_not_judged() {
        let folder = tempfile::tempdir().unwrap();
        let [other, path] = ["other.db", "s.db"].map(|name| folder.path().join(name));
        let change = |path: &Path| {
            let connection = Connection::open(path).unwrap();
            let sql = "PRAGMA journal_mode = WAL; PRAGMA application_id = 7";
            connection.execute_batch(sql).unwrap();
            connection
        };
        for _ in 0..9 {
            drop(change(&other));
        }
        let others = change(&other);
        drop(change(&path));
        let (log, others_log) = (beside(&path, "-wal"), beside(&other, "-wal"));
        fs::copy(others_log, &log).unwrap();
        drop(others);

        let file = HeaderFd::open(&path).unwrap();
        let judged = WriteAheadLog::of(&path).is_of(&file, &|| 0).unwrap();
        assert!(!judged, "it is of another file");
        let open = Cell::new(None);
        let replaced = || {
            let there = open.take().unwrap_or_else(|| {
                fs::remove_file(&log).unwrap();
                change(&path)
            });
            open.set(Some(there));
            0
        };
        let judged = WriteAheadLog::of(&path).is_of(&file, &replaced).unwrap();
        assert!(judged, "meanwhile the right one is there");
    }
}

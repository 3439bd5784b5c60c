//! Opening the file: is it ours, is it whole, is it safe? Whatever is wrong is
//! found before SQLite may touch it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::Uid;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::held::Held;
use super::index;
use super::{Sqlite, busy, translated};
use crate::error::{Error, Result};
use crate::store::Access;

/// "SMTP" in ASCII, in the header's application id: file(1) and we know it by
/// that. <https://www.sqlite.org/fileformat.html#the_database_header>
const APPLICATION_ID: i32 = 0x534d_5450;

/// Each brings a store from one version to the next. Never changed once
/// released, only added to.
const MIGRATIONS: [&str; 6] = [
    include_str!("0001.sql"),
    include_str!("0002.sql"),
    include_str!("0003.sql"),
    include_str!("0004.sql"),
    include_str!("0005.sql"),
    include_str!("0006.sql"),
];
#[allow(clippy::cast_possible_wrap, reason = "a handful")]
pub(super) const SCHEMA: i64 = MIGRATIONS.len() as i64;

/// For every connection. `secure_delete`: an erased hash is overwritten.
/// `cell_size_check`: damage is found when a page is read, not later.
const PRAGMAS: &str = "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;
    PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON; PRAGMA synchronous = FULL;";

/// Opens the store, and says what the admin should know about it.
pub fn open(path: &Path, access: Access, patience: Duration) -> Result<(Sqlite, Vec<String>)> {
    let path = std::path::absolute(path).map_err(|e| unreachable_(path, &e))?;
    if !path.exists() && access == Access::Create {
        create(&path)?;
    }
    check_beside(&path)?;
    let looks = access == Access::Look;
    let warnings = match check_rights(&path) {
        Err(Error::StoreUnsafe { .. }) if looks => Vec::new(),
        checked => checked?,
    };
    let file = Held::open(&path).map_err(|e| unreachable_(&path, &e))?;
    let state = match inspect(&path, &file) {
        Err(Error::StoreTooNew { .. }) if looks => State::Wal,
        inspected => inspected?,
    };
    if state == State::Empty && access != Access::Create {
        return Err(Error::StoreMissing(path.into()));
    }

    let (left, made) = if looks {
        left_behind(&path, &file)?
    } else {
        (false, None)
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let failed = |e: &rusqlite::Error| translated(&path, e);
    let mut connection = Connection::open_with_flags(&path, flags).map_err(|e| failed(&e))?;
    // Before anything else: from here on every statement may meet a lock.
    connection
        .busy_handler(Some(busy::handler(patience)))
        .map_err(|e| failed(&e))?;
    // A plan does not depend on the values: otherwise each new value may have its
    // statement compiled again, which takes longer than to find a user in a million.
    // <https://www.sqlite.org/queryplanner-ng.html#qpstab>
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
        .map_err(|e| failed(&e))?;
    connection.execute_batch(PRAGMAS).map_err(|e| failed(&e))?;
    if looks {
        only_look(left, &connection).map_err(|e| failed(&e))?;
    }
    let mut store = Sqlite {
        connection,
        path,
        patience,
        _made: made,
        file,
    };
    if looks {
        return Ok((store, warnings));
    }
    if state == State::Empty {
        // Only before there is anything: what holds nothing is then given back
        // little by little. <https://www.sqlite.org/pragma.html#pragma_auto_vacuum>
        store.batch("PRAGMA auto_vacuum = INCREMENTAL")?;
    }
    store.migrate()?;
    if state != State::Wal {
        store.use_wal()?;
    }
    Ok((store, warnings))
}

impl Sqlite {
    fn migrate(&mut self) -> Result<()> {
        if self.found_schema()? == SCHEMA {
            return Ok(());
        }
        self.batch("BEGIN IMMEDIATE")?;
        let migrated = self.migrate_in_transaction();
        if migrated.is_err() {
            // Fails where SQLite has rolled back by itself, which is as good.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        migrated
    }

    fn migrate_in_transaction(&self) -> Result<()> {
        // Read again: another process may have been first.
        let found = self.found_schema()?;
        let steps = usize::try_from(found)
            .ok()
            .and_then(|n| MIGRATIONS.get(n..));
        let Some(steps) = steps else {
            return Err(too_new(&self.path, found));
        };
        if found == 0 {
            self.batch(&format!("PRAGMA application_id = {APPLICATION_ID}"))?;
        }
        for step in steps {
            self.batch(step)?;
        }
        self.batch(&format!("PRAGMA user_version = {SCHEMA}; COMMIT"))
    }

    pub(super) fn found_schema(&self) -> Result<i64> {
        self.connection
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .map_err(|e| translated(&self.path, &e))
    }

    /// Readers and a writer side by side. Only after the schema, so that the
    /// file itself carries our mark from its first page on.
    fn use_wal(&self) -> Result<()> {
        // SQLite does not call the busy handler for this one.
        let mut go_on = busy::handler(self.patience);
        let mut asked = 0;
        loop {
            match self.batch("PRAGMA journal_mode = WAL") {
                Err(Error::StoreBusy(_)) if go_on(asked) => asked += 1,
                outcome => return outcome,
            }
        }
    }
}

/// A log that somebody left stays as it is, too: whoever closes a store last would
/// take it in.
fn only_look(left: bool, connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, left)?;
    connection.execute_batch("PRAGMA query_only = ON")
}

/// Whether somebody left a log, and its index, if SQLite is about to make one.
fn left_behind(path: &Path, file: &Held) -> Result<(bool, Option<index::Made>)> {
    let store = fs::canonicalize(path).map_err(|e| unreachable_(path, &e))?;
    let [log, index] = ["-wal", "-shm"].map(|suffix| beside(&store, suffix));
    let left = fs::metadata(&log).is_ok_and(|log| log.len() > 0);
    // Locks are those of all this process: only where it is open once.
    let makes = left && !index.exists() && file.is_alone();
    Ok((left, makes.then(|| index::Made { store, index })))
}

fn create(path: &Path) -> Result<()> {
    if let Some(folder) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|e| unreachable_(folder, &e))?;
    }
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match made {
        Ok(file) => give_to_owner(path, &file),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(unreachable_(path, &e)),
    }
}

/// Made by root in the folder of another user, it is for that user: the relay
/// that runs as it could not read it otherwise.
fn give_to_owner(path: &Path, file: &File) -> Result<()> {
    let failed = |e: io::Error| unreachable_(path, &e);
    let Some(folder) = path.parent() else {
        return Ok(());
    };
    let folder = fs::metadata(folder).map_err(failed)?;
    if Uid::effective().is_root() && folder.uid() != 0 {
        fchown(file, Some(folder.uid()), Some(folder.gid())).map_err(failed)?;
    }
    Ok(())
}

/// Refuses a store that strangers can write; names one that they can read.
fn check_rights(path: &Path) -> Result<Vec<String>> {
    const OTHERS_WRITE: u32 = 0o002;
    const OTHERS_READ: u32 = 0o004;
    const STICKY: u32 = 0o1000;

    let file = match fs::metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => {
            return Err(if path.is_symlink() {
                foreign(path, "it is a link to nothing")
            } else {
                Error::StoreMissing(path.to_owned().into())
            });
        }
        found => found.map_err(|e| unreachable_(path, &e))?,
    };
    if !file.is_file() {
        let kind = file.file_type();
        let what = if kind.is_dir() {
            "it is a folder"
        } else if kind.is_fifo() || kind.is_socket() {
            "it is a pipe or a socket"
        } else {
            "it is a device"
        };
        return Err(foreign(path, what));
    }
    let unsafe_ = |reason: String| {
        Err(Error::StoreUnsafe {
            store: path.into(),
            reason,
        })
    };
    if file.mode() & OTHERS_WRITE != 0 {
        return unsafe_(format!(
            "everybody can write it (mode {:04o}); chmod o-rwx {}",
            file.mode() & 0o7777,
            path.display()
        ));
    }
    // Where the file really is, should the path be a link.
    let real = fs::canonicalize(path).map_err(|e| unreachable_(path, &e))?;
    if let Some(folder) = real.parent() {
        let mode = fs::metadata(folder)
            .map_err(|e| unreachable_(folder, &e))?
            .mode();
        if mode & OTHERS_WRITE != 0 && mode & STICKY == 0 {
            return unsafe_(format!(
                "everybody can replace files in its folder; chmod o-w {}",
                folder.display()
            ));
        }
    }
    if file.mode() & OTHERS_READ != 0 {
        return Ok(vec![format!(
            "everybody on this machine can read the hashes in {0}; chmod o-rwx {0}",
            path.display()
        )]);
    }
    Ok(Vec::new())
}

/// SQLite would wait for ever for somebody to write into a pipe.
fn check_beside(path: &Path) -> Result<()> {
    let Ok(real) = fs::canonicalize(path) else {
        return Ok(());
    };
    for suffix in ["-journal", "-wal", "-shm"] {
        let other = beside(&real, suffix);
        if fs::symlink_metadata(&other).is_ok_and(|other| !other.is_file()) {
            return Err(foreign(path, &format!("{} is no file", other.display())));
        }
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Empty,
    Rollback,
    Wal,
}

/// Reads the header as bytes: opening a stranger's file with SQLite could
/// already change it.
fn inspect(path: &Path, file: &Held) -> Result<State> {
    const HEADER: usize = 100;
    const WAL: u8 = 2;
    let mut header = [0; HEADER];
    let (filled, length) = file.read(&mut header).map_err(|e| unreachable_(path, &e))?;
    if filled == 0 {
        return Ok(State::Empty);
    }
    let being_made = beside(path, "-journal").exists();
    if !header.starts_with(b"SQLite format 3\0") {
        if being_made && header.iter().all(|b| *b == 0) {
            return Ok(State::Rollback);
        }
        return Err(foreign(path, "it is no SQLite file"));
    }
    if filled < HEADER {
        return Err(damaged(path, "it ends within its header"));
    }
    let number = |at: usize| -> u32 {
        u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    // Begun by one of us who said how it is to shrink, and nothing else so far.
    let nothing = number(28) == 1 && [40, 44, 60, 68].iter().all(|at| number(*at) == 0);
    if nothing && header[18] != WAL && number(52) == 1 && number(64) == 1 {
        return Ok(State::Empty);
    }
    if number(68) != APPLICATION_ID as u32 {
        return Err(foreign(path, "it is another program's SQLite file"));
    }
    if i64::from(number(60)) > SCHEMA {
        return Err(too_new(path, number(60).into()));
    }
    // Where no journal is left, the header tells the file's length. The order
    // matters: a process that grows the file removes its journal afterwards.
    let at_rest = !being_made && !beside(path, "-wal").exists();
    let page_size = match number(16) >> 16 {
        1 => 65_536,
        size => u64::from(size),
    };
    if at_rest && number(24) == number(92) && length < u64::from(number(28)) * page_size {
        return Err(damaged(path, "its end is missing"));
    }
    Ok(if header[18] == WAL && header[19] == WAL {
        State::Wal
    } else {
        State::Rollback
    })
}

pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn unreachable_(path: &Path, error: &io::Error) -> Error {
    Error::StoreUnreachable {
        store: path.into(),
        reason: error.to_string(),
    }
}

fn foreign(path: &Path, reason: &str) -> Error {
    Error::StoreForeign {
        store: path.into(),
        reason: reason.to_owned(),
    }
}

fn damaged(path: &Path, reason: &str) -> Error {
    Error::StoreDamaged {
        store: path.into(),
        reason: reason.to_owned(),
    }
}

fn too_new(path: &Path, found: i64) -> Error {
    Error::StoreTooNew {
        store: path.into(),
        found,
        known: SCHEMA,
    }
}

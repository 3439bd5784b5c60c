//! Opens the file, after checking that it is a store, undamaged and safe, before SQLite
//! touches it.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, fchown};
use std::path::Path;
use std::time::Duration;

use nix::unistd::Uid;
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};

use super::companions::{COMPANIONS, beside};
use super::deadline::{Deadline, STEPS, WHOLE};
use super::errors::{damaged, foreign, io_error, too_new, translated};
use super::file_kind::FileKind;
use super::header_fd::HeaderFd;
use super::leftover_shm::LeftoverShm;
use super::log::WriteAheadLog;
use super::rights;
use super::{Sqlite, busy_handler};
use crate::error::{Error, Result};
use crate::files::Folder;
use crate::store::access::Access;
use crate::store::one_store::{NamedFile, is_on_local_disk};

/// Opens the store; also returns warnings for the admin.
pub fn open(
    path: &Path,
    kind: &'static FileKind,
    access: Access,
    patience: Duration,
) -> Result<(Sqlite, Vec<String>)> {
    let path = std::path::absolute(path).map_err(|e| io_error(path, &e))?;
    is_on_local_disk(&path)?;
    if !path.exists() && access == Access::Create {
        create(&path)?;
    }
    check_kind(&path)?;
    check_one_name(&path)?;
    check_beside(&path)?;
    let looks = access == Access::Look;
    let mut warnings = rights::check(&path, looks)?;
    let file = HeaderFd::open(&path).map_err(|e| io_error(&path, &e))?;
    let state = match inspect(&path, &file, kind) {
        Err(Error::StoreTooNew { .. }) if looks => FileState::Wal,
        inspected => inspected?,
    };
    if state == FileState::Empty && access != Access::Create {
        return Err(Error::StoreMissing(path.into()));
    }

    let log = WriteAheadLog::of(&path);
    log.check_unopened(&path, &file)?;
    let (left, made) = if looks {
        left_behind(&path, &file)?
    } else {
        (false, None)
    };
    // Opens the file that was checked, not a link that replaced it since.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let failed = |e: &rusqlite::Error| translated(&path, e);
    let real = fs::canonicalize(&path).map_err(|e| io_error(&path, &e))?;
    let mut connection = Connection::open_with_flags(&real, flags).map_err(|e| failed(&e))?;
    // Before anything else: from here on every statement may meet a lock.
    connection
        .busy_handler(Some(busy_handler::with_patience(patience)))
        .map_err(|e| failed(&e))?;
    // A plan does not depend on the values: otherwise each new value may have its
    // statement compiled again, which takes longer than to find a user in a million.
    // <https://www.sqlite.org/queryplanner-ng.html#qpstab>
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
        .map_err(|e| failed(&e))?;
    let deadline = Deadline::for_patience(if looks { WHOLE } else { patience });
    guard(&mut connection, &deadline).map_err(|e| failed(&e))?;
    connection
        .execute_batch(kind.pragmas)
        .map_err(|e| failed(&e))?;
    if looks {
        only_look(left, &connection).map_err(|e| failed(&e))?;
    }
    let mut store = Sqlite {
        connection,
        kind,
        path,
        patience,
        deadline,
        log,
        changed: None,
        _made: made,
        file,
    };
    if state != FileState::Empty {
        // Opens the log and checks it again, because only SQLite knows how much of it was
        // checkpointed.
        store.found_schema()?;
        store.log.is_open();
        store.check_log()?;
    }
    if looks {
        if store.found_schema()? == kind.known() {
            store.compare()?;
        }
        return Ok((store, warnings));
    }
    if state == FileState::Empty {
        // Possible only in an empty file: unused space is then given back in small steps.
        // <https://www.sqlite.org/pragma.html#pragma_auto_vacuum>
        store.batch("PRAGMA auto_vacuum = INCREMENTAL")?;
    }
    store.migrate()?;
    let added = store.compare()?;
    if !added.is_empty() {
        warnings.push(format!(
            "the store has {}, which smtpcred did not create and does not run",
            added.join(", ")
        ));
    }
    if state != FileState::Wal {
        store.use_wal()?;
        store.log.is_open();
    }
    store.number();
    Ok((store, warnings))
}

impl Sqlite {
    /// Lets readers and a writer work at the same time. Called after the schema exists, so
    /// that the first page of the file itself has our mark.
    fn use_wal(&self) -> Result<()> {
        // SQLite does not call the busy handler for this one.
        let mut go_on = busy_handler::with_patience(self.patience);
        let mut asked = 0;
        loop {
            match self.batch("PRAGMA journal_mode = WAL") {
                Err(Error::StoreBusy(_)) if go_on(asked) => asked += 1,
                outcome => return outcome,
            }
        }
    }
}

/// The file may be crafted. Nothing that it contains is run: triggers and views (we
/// read none of ours; Dovecot reads them), functions in its schema, huge values,
/// endless statements.
pub(super) fn guard(connection: &mut Connection, deadline: &Deadline) -> rusqlite::Result<()> {
    for (config, on) in [
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
    ] {
        connection.set_db_config(config, on)?;
    }
    for (limit, most) in [
        // In bytes: none of our values is longer.
        (Limit::SQLITE_LIMIT_LENGTH, 16 << 20),
        (Limit::SQLITE_LIMIT_SQL_LENGTH, 100_000),
        (Limit::SQLITE_LIMIT_COLUMN, 200),
        (Limit::SQLITE_LIMIT_EXPR_DEPTH, 200),
        // VACUUM attaches one.
        (Limit::SQLITE_LIMIT_ATTACHED, 1),
        (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 10),
        (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
    ] {
        connection.set_limit(limit, most)?;
    }
    deadline.begin();
    connection.progress_handler(STEPS, Some(deadline.handler()))
}

/// Leaves a leftover log as it is, too: closing a store checkpoints its log.
fn only_look(left: bool, connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, left)?;
    connection.execute_batch("PRAGMA query_only = ON")
}

/// Returns whether there is a leftover log, and its index if SQLite is about to create
/// one.
fn left_behind(path: &Path, file: &HeaderFd) -> Result<(bool, Option<LeftoverShm>)> {
    let store = fs::canonicalize(path).map_err(|e| io_error(path, &e))?;
    let [log, index] = ["-wal", "-shm"].map(|suffix| beside(&store, suffix));
    let left = fs::metadata(&log).is_ok_and(|log| log.len() > 0);
    // Locks are those of all this process: only where it is open once.
    let makes = left && !index.exists() && file.is_alone();
    Ok((left, makes.then(|| LeftoverShm { store, index })))
}

/// Fails if the disk of a store is full.
pub fn need_space(path: &Path) -> Result<()> {
    let real = fs::canonicalize(path).map_err(|e| io_error(path, &e))?;
    let (folder, _) = Folder::of(&real).map_err(|e| io_error(path, &e))?;
    match folder.has_room(1) {
        Err(e) if e.kind() == ErrorKind::StorageFull => Err(Error::StoreFull(path.into())),
        outcome => outcome.map_err(|e| io_error(path, &e)),
    }
}

/// Fails if a store that does not exist could not be created.
pub fn need_creatable(path: &Path) -> Result<()> {
    let path = std::path::absolute(path).map_err(|e| io_error(path, &e))?;
    is_on_local_disk(&path)?;
    let mut above = path.ancestors().skip(1);
    let folder = above.find_map(|folder| match Folder::open(folder) {
        // It would be created.
        Err(e) if e.kind() == ErrorKind::NotFound => None,
        opened => Some(opened),
    });
    let folder = folder.unwrap_or_else(|| Err(ErrorKind::NotFound.into()));
    let ready = folder.and_then(|folder| {
        folder.may_write()?;
        folder.has_room(1)
    });
    ready.map_err(|e| io_error(&path, &e))
}

/// Creates the file. Root gives it to the owner of its folder, or a relay that runs as
/// that user could not read it.
fn create(path: &Path) -> Result<()> {
    let create = || -> io::Result<()> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(ErrorKind::IsADirectory.into());
        };
        let folder = Folder::create(parent, 0o700)?;
        let file = folder.create_file(name, 0o600)?;
        let owner = folder.metadata()?;
        if Uid::effective().is_root() && owner.st_uid != 0 {
            fchown(file, Some(owner.st_uid), Some(owner.st_gid))?;
        }
        Ok(())
    };
    match create() {
        Err(e) if e.kind() != ErrorKind::AlreadyExists => Err(io_error(path, &e)),
        _ => Ok(()),
    }
}

/// Refuses anything but a regular file.
pub(super) fn check_kind(path: &Path) -> Result<()> {
    let file = match fs::metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => {
            return Err(if path.is_symlink() {
                foreign(path, "it is a link to nothing")
            } else {
                Error::StoreMissing(path.to_owned().into())
            });
        }
        found => found.map_err(|e| io_error(path, &e))?,
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
    Ok(())
}

/// Refuses a file with another name: beside that one is another log.
fn check_one_name(path: &Path) -> Result<()> {
    let named = NamedFile::at(path).map_err(|e| io_error(path, &e))?;
    named.has_one_name(path)
}

/// Refuses companion files that are not regular: SQLite would wait forever at a pipe.
fn check_beside(path: &Path) -> Result<()> {
    let Ok(real) = fs::canonicalize(path) else {
        return Ok(());
    };
    for suffix in COMPANIONS {
        let other = beside(&real, suffix);
        let Ok(found) = fs::symlink_metadata(&other) else {
            continue;
        };
        if !found.is_file() {
            return Err(foreign(path, &format!("{} is not a file", other.display())));
        }
        if let Ok(named) = NamedFile::at(&other) {
            named.has_one_name(&other)?;
        }
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum FileState {
    Empty,
    Rollback,
    Wal,
}

/// Reads the header as bytes: opening a stranger's file with SQLite could
/// already change it.
pub(super) fn inspect(path: &Path, file: &HeaderFd, kind: &FileKind) -> Result<FileState> {
    const HEADER: usize = 100;
    const WAL: u8 = 2;
    let mut header = [0; HEADER];
    let (filled, length) = file.read(&mut header).map_err(|e| io_error(path, &e))?;
    if filled == 0 {
        return Ok(FileState::Empty);
    }
    let being_made = beside(path, "-journal").exists();
    if !header.starts_with(b"SQLite format 3\0") {
        if being_made && header.iter().all(|b| *b == 0) {
            return Ok(FileState::Rollback);
        }
        return Err(foreign(path, "it is not an SQLite file"));
    }
    if filled < HEADER {
        return Err(damaged(path, "it ends within its header"));
    }
    let number = |at: usize| -> u32 {
        u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    // A program of ours set auto_vacuum and nothing else so far.
    let nothing = number(28) == 1 && [40, 44, 60, 68].iter().all(|at| number(*at) == 0);
    if nothing && header[18] != WAL && number(52) == 1 && number(64) == 1 {
        return Ok(FileState::Empty);
    }
    if number(68) != kind.application_id {
        return Err(foreign(path, "it is another program's SQLite file"));
    }
    if i64::from(number(60)) > kind.known() {
        return Err(too_new(path, number(60).into(), kind.known()));
    }
    // Without a journal, the header holds the file's length. The order matters: a process
    // that grows the file removes its journal afterwards.
    let at_rest = !being_made && !beside(path, "-wal").exists();
    let page_size = match number(16) >> 16 {
        1 => 65_536,
        size => u64::from(size),
    };
    if at_rest && number(24) == number(92) && length < u64::from(number(28)) * page_size {
        return Err(damaged(path, "its end is missing"));
    }
    Ok(if header[18] == WAL && header[19] == WAL {
        FileState::Wal
    } else {
        FileState::Rollback
    })
}

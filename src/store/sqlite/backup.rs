//! Backups: copies of a store that is in use, each in a single file.

use std::fmt::Write as _;
use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::companions::beside;
use super::deadline::{Deadline, WHOLE};
use super::errors::{damaged, foreign, io_error, too_new, translated};
use super::header_fd::HeaderFd;
use super::log::WriteAheadLog;
use super::open::{FileState, guard, inspect};
use super::{STORE, Sqlite, busy_handler};
use crate::error::{Error, Result};

/// What age writes at the beginning of a file, as text or in binary.
const ENCRYPTED: [&[u8]; 2] = [b"age-encryption.org/", b"-----BEGIN AGE ENCRYPTED FILE"];
/// Where the header has the versions of the format: 1 for a file without a log.
/// <https://www.sqlite.org/fileformat.html#file_format_version_numbers>
const VERSIONS: u64 = 18;
/// Another process may have the store locked for a moment.
const PATIENCE: Duration = Duration::from_secs(30);

impl Sqlite {
    /// Copies all pages as of one moment. It blocks no writer: it reads as any reader does.
    pub(super) fn copy_to(&self, to: &Path) -> Result<()> {
        let failed = |e: &rusqlite::Error| unwritten(&self.path, to, e);
        let mut copy = opened(to, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(|e| failed(&e))?;
        let backup = Backup::new(&self.connection, &mut copy).map_err(|e| failed(&e))?;
        let mut go_on = busy_handler::with_patience(PATIENCE);
        let mut asked = 0;
        loop {
            // All at once: a copy in pieces begins again with each change by others.
            match backup.step(-1).map_err(|e| failed(&e))? {
                StepResult::Done => return Ok(()),
                _ if go_on(asked) => asked += 1,
                _ => return Err(Error::StoreBusy(self.path.as_path().into())),
            }
        }
    }
}

/// Opens a file that no other program uses: without locks, which some network file systems
/// do not have, and without a journal, since an unfinished copy is worth nothing.
fn opened(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let copy = Connection::open_with_flags_and_vfs(path, flags, c"unix-none")?;
    copy.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")?;
    Ok(copy)
}

fn unwritten(store: &Path, copy: &Path, error: &rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(
            ErrorCode::DiskFull
            | ErrorCode::CannotOpen
            | ErrorCode::ReadOnly
            | ErrorCode::SystemIoFailure
            | ErrorCode::FileLockingProtocolFailed,
        ) => Error::FileUnwritten {
            path: copy.to_owned(),
            reason: error.to_string(),
        },
        _ => translated(store, error),
    }
}

/// Turns a copy into a single file that needs no log, and writes these settings into it.
pub fn finish(path: &Path, file: &File, settings: &[(&str, &str)]) -> Result<()> {
    const SET: &str = "INSERT INTO settings (name, value) VALUES (?1, ?2)
        ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    let failed = |reason: String| Error::FileUnwritten {
        path: path.to_owned(),
        reason,
    };
    file.write_all_at(&[1, 1], VERSIONS)
        .map_err(|e| failed(e.to_string()))?;
    let write = || -> rusqlite::Result<()> {
        let copy = opened(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        for (name, value) in settings {
            copy.execute(SET, [name, value])?;
        }
        Ok(())
    };
    write().map_err(|e| failed(e.to_string()))?;
    file.sync_all().map_err(|e| failed(e.to_string()))
}

/// Opens a backup to read it, on any file system. Nothing is written, to it or beside it.
pub fn open(path: &Path) -> Result<Sqlite> {
    let path = std::path::absolute(path).map_err(|e| io_error(path, &e))?;
    // It may have several names: programs that keep many backups link equal ones.
    super::open::check_kind(&path).map_err(|error| match error {
        Error::StoreMissing(place) => Error::BackupMissing(place),
        other => other,
    })?;
    let real = path.canonicalize().map_err(|e| io_error(&path, &e))?;
    let file = HeaderFd::open(&real).map_err(|e| io_error(&path, &e))?;
    let mut beginning = [0; 100];
    let (filled, _) = file.read(&mut beginning).map_err(|e| io_error(&path, &e))?;
    if ENCRYPTED.iter().any(|begin| beginning.starts_with(begin)) {
        return Err(foreign(
            &path,
            "it is encrypted; decrypt it first, with: age --decrypt",
        ));
    }
    if filled == 0 {
        return Err(damaged(&path, "it is empty"));
    }
    for suffix in ["-wal", "-journal"] {
        let log = beside(&real, suffix);
        if log.metadata().is_ok_and(|log| log.len() > 0) {
            return Err(foreign(
                &path,
                &format!(
                    "its log {} is beside it: it is a store in use, not a backup",
                    log.display()
                ),
            ));
        }
    }
    if inspect(&path, &file, &STORE)? == FileState::Empty {
        return Err(damaged(&path, "it has no tables"));
    }
    let failed = |e: &rusqlite::Error| translated(&path, e);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let mut connection = Connection::open_with_flags(uri(&real), flags).map_err(|e| failed(&e))?;
    let deadline = Deadline::for_patience(WHOLE);
    guard(&mut connection, &deadline).map_err(|e| failed(&e))?;
    connection
        .execute_batch("PRAGMA cell_size_check = ON; PRAGMA query_only = ON")
        .map_err(|e| failed(&e))?;
    let store = Sqlite {
        connection,
        kind: &STORE,
        log: WriteAheadLog::of(&real),
        path,
        patience: PATIENCE,
        deadline,
        changed: None,
        _made: None,
        file,
    };
    let found = store.found_schema()?;
    if found > STORE.known() {
        return Err(too_new(&store.path, found, STORE.known()));
    }
    if found == STORE.known() {
        store.compare()?;
    }
    Ok(store)
}

/// No program changes the file meanwhile, so SQLite needs neither locks nor files beside it.
/// <https://www.sqlite.org/uri.html#uriimmutable>
fn uri(path: &Path) -> String {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' => uri.push(char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() => uri.push(char::from(*byte)),
            byte => _ = write!(uri, "%{byte:02X}"),
        }
    }
    uri + "?immutable=1"
}

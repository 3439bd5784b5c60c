//! SQLite behind the store.

mod busy;
mod held;
mod index;
mod lock;
mod open;

use std::any::Any;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, ErrorCode, ToSql, params_from_iter};

use self::held::Held;
pub use self::open::open;
use super::engine::{Arg, Each, Engine, Integrity, Right, Row, Space};
use crate::error::{Error, Place, Result};
use crate::model::role::Role;

/// What SQLite calls a file that can be made smaller little by little.
const INCREMENTAL: u64 = 2;

pub struct Sqlite {
    connection: Connection,
    path: PathBuf,
    patience: Duration,
    /// After the connection.
    _made: Option<index::Made>,
    /// Last: it is let go of after the connection is closed.
    file: Held,
}

impl Engine for Sqlite {
    fn version(&mut self) -> Result<i64> {
        match fs::metadata(&self.path) {
            Ok(file) if (file.dev(), file.ino()) == self.file.id() => {}
            found => {
                // Closing it must not touch the log of whatever has its name.
                let _ = self
                    .connection
                    .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
                return Err(match found {
                    Ok(_) => Error::StoreReplaced(self.path.clone().into()),
                    Err(_) => Error::StoreMissing(self.path.clone().into()),
                });
            }
        }
        self.prepared("PRAGMA data_version")?
            .query_row([], |row| row.get(0))
            .map_err(|e| translated(&self.path, &e))
    }

    fn schema(&mut self) -> Result<(i64, i64)> {
        Ok((self.found_schema()?, open::SCHEMA))
    }

    fn check(&mut self, patience: Duration) -> Result<Integrity> {
        let handle = self.connection.get_interrupt_handle();
        let (done, waiting) = channel::<()>();
        let watch = thread::spawn(move || {
            if waiting.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
                handle.interrupt();
            }
        });
        let found = self
            .connection
            .query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
        drop(done);
        // It does not panic.
        let _ = watch.join();
        match found {
            Ok(found) if found == "ok" => Ok(Integrity::Whole),
            Ok(found) => Ok(Integrity::Damaged(found)),
            Err(e) if e.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
                Ok(Integrity::Unfinished)
            }
            Err(e) => match translated(&self.path, &e) {
                Error::StoreDamaged { reason, .. } => Ok(Integrity::Damaged(reason)),
                other => Err(other),
            },
        }
    }

    fn lock_rotation(&mut self) -> Result<Box<dyn Any>> {
        lock::rotation(&self.path)
    }

    fn foreign_owner(&self) -> Option<String> {
        lock::foreign_owner(&self.path)
    }

    fn wait_for_commits(&mut self) -> Result<()> {
        // There are none: a commit is as long as its process.
        Ok(())
    }

    fn may(&mut self, _: Right) -> Result<bool> {
        Ok(true)
    }

    fn keep_little(&mut self) -> Result<()> {
        // In KiB; 2000 if nothing is said. The system has the file in memory.
        self.batch("PRAGMA cache_size = -256")
    }

    fn make_staging(&mut self) -> Result<()> {
        self.batch(include_str!("staged.sql"))
    }

    fn begin(&mut self) -> Result<()> {
        // IMMEDIATE: a transaction that reads first and writes later cannot
        // wait for another writer, it can only fail.
        self.batch("BEGIN IMMEDIATE")
    }

    fn begin_reading(&mut self) -> Result<()> {
        self.batch("BEGIN DEFERRED")
    }

    fn begin_apart(&mut self) -> Result<()> {
        self.batch("BEGIN")
    }

    fn begin_now(&mut self) -> Result<()> {
        self.without_waiting(|this| this.batch("BEGIN IMMEDIATE"))
    }

    fn flush(&mut self) -> Result<()> {
        self.connection
            .cache_flush()
            .map_err(|e| translated(&self.path, &e))
    }

    fn commit(&mut self) -> Result<()> {
        self.batch("COMMIT")
    }

    fn rollback(&mut self) {
        // Fails where SQLite has rolled back by itself, which is as good.
        let _ = self.connection.execute_batch("ROLLBACK");
    }

    fn scrub(&mut self) {
        // `secure_delete` has overwritten the row; older copies of its page
        // are in the write-ahead log until it is emptied. Where a reader is in
        // the way this is not waited for: the next change does it, or the last
        // process to close the store.
        let _ = self.without_waiting(|this| this.batch("PRAGMA wal_checkpoint(TRUNCATE)"));
    }

    fn space(&mut self) -> Result<Option<Space>> {
        let number = |sql: &str| -> Result<u64> {
            self.connection
                .query_row(sql, [], |row| row.get::<_, i64>(0))
                .map(i64::unsigned_abs)
                .map_err(|e| translated(&self.path, &e))
        };
        let page = number("PRAGMA page_size")?;
        Ok(Some(Space {
            whole: number("PRAGMA page_count")? * page,
            unused: number("PRAGMA freelist_count")? * page,
            gradually: number("PRAGMA auto_vacuum")? == INCREMENTAL,
        }))
    }

    fn shrink(&mut self) -> Result<()> {
        // In pages: a megabyte.
        self.batch("PRAGMA incremental_vacuum(256)")
    }

    fn rewrite(&mut self) -> Result<()> {
        // From now on it can be done little by little.
        self.batch("PRAGMA auto_vacuum = INCREMENTAL; VACUUM")?;
        self.scrub();
        Ok(())
    }

    fn analyze(&mut self) -> Result<()> {
        // In rows of each index: of all of them it would take seconds.
        self.batch("PRAGMA analysis_limit = 1000; ANALYZE")
    }

    fn grant(&mut self, _: Role, _: &str) -> Result<()> {
        Err(Error::Usage(
            "roles are of databases: who may use a file is said by its owner and mode".into(),
        ))
    }

    fn number_on(&mut self) -> Result<()> {
        // AUTOINCREMENT has seen them.
        Ok(())
    }

    fn execute(&mut self, sql: &'static str, args: &[Arg]) -> Result<usize> {
        self.prepared(sql)?
            .execute(params_from_iter(args))
            .map_err(|e| translated(&self.path, &e))
    }

    fn query(&mut self, sql: &'static str, args: &[Arg], each: &mut Each) -> Result<()> {
        let mut statement = self.prepared(sql)?;
        let mut rows = statement
            .query(params_from_iter(args))
            .map_err(|e| translated(&self.path, &e))?;
        loop {
            match rows.next() {
                Ok(Some(row)) => each(&SqliteRow {
                    row,
                    path: &self.path,
                })?,
                Ok(None) => return Ok(()),
                Err(e) => return Err(translated(&self.path, &e)),
            }
        }
    }
}

impl Sqlite {
    fn batch(&self, sql: &str) -> Result<()> {
        self.connection
            .execute_batch(sql)
            .map_err(|e| translated(&self.path, &e))
    }

    fn without_waiting(&mut self, run: impl FnOnce(&Self) -> Result<()>) -> Result<()> {
        let failed = |e: rusqlite::Error| translated(&self.path, &e);
        self.connection
            .busy_handler(None::<fn(i32) -> bool>)
            .map_err(failed)?;
        let outcome = run(self);
        self.connection
            .busy_handler(Some(busy::handler(self.patience)))
            .map_err(|e| translated(&self.path, &e))?;
        outcome
    }

    fn prepared(&self, sql: &str) -> Result<CachedStatement<'_>> {
        // In SQLite `$2` is a name, numbered by where it first stands; `?2` is
        // the second argument, as `$2` is in PostgreSQL.
        self.connection
            .prepare_cached(&sql.replace('$', "?"))
            .map_err(|e| translated(&self.path, &e))
    }
}

impl ToSql for Arg<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(value) => ValueRef::Integer(*value),
            Self::Text(value) => ValueRef::Text(value.as_bytes()),
        }))
    }
}

struct SqliteRow<'a> {
    row: &'a rusqlite::Row<'a>,
    path: &'a Path,
}

impl SqliteRow<'_> {
    fn value(&self, column: usize) -> Result<ValueRef<'_>> {
        self.row
            .get_ref(column)
            .map_err(|e| translated(self.path, &e))
    }

    fn mismatch(&self, column: usize) -> Error {
        self.damaged(&format!("column {column} has a value of the wrong type"))
    }
}

impl Row for SqliteRow<'_> {
    fn int(&self, column: usize) -> Result<i64> {
        self.opt_int(column)?.ok_or_else(|| self.mismatch(column))
    }

    fn opt_int(&self, column: usize) -> Result<Option<i64>> {
        match self.value(column)? {
            ValueRef::Null => Ok(None),
            ValueRef::Integer(value) => Ok(Some(value)),
            _ => Err(self.mismatch(column)),
        }
    }

    fn text(&self, column: usize) -> Result<&str> {
        self.opt_text(column)?.ok_or_else(|| self.mismatch(column))
    }

    fn opt_text(&self, column: usize) -> Result<Option<&str>> {
        match self.value(column)? {
            ValueRef::Null => Ok(None),
            ValueRef::Text(value) => std::str::from_utf8(value)
                .map(Some)
                .map_err(|_| self.mismatch(column)),
            _ => Err(self.mismatch(column)),
        }
    }

    fn damaged(&self, reason: &str) -> Error {
        Error::StoreDamaged {
            store: self.path.into(),
            reason: reason.to_owned(),
        }
    }
}

/// What SQLite says, in the words of the store. The statements are known to be
/// right, so an SQL error means that the file is not as it was made.
fn translated(path: &Path, error: &rusqlite::Error) -> Error {
    let path = Place::from(path);
    let reason = error.to_string();
    let rusqlite::Error::SqliteFailure(failure, _) = error else {
        return Error::StoreDamaged {
            store: path,
            reason,
        };
    };
    match failure.code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Error::StoreBusy(path),
        ErrorCode::DiskFull => Error::StoreFull(path),
        // The index of the write-ahead log could not grow.
        ErrorCode::SystemIoFailure
            if failure.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE =>
        {
            Error::StoreFull(path)
        }
        ErrorCode::CannotOpen
        | ErrorCode::PermissionDenied
        | ErrorCode::ReadOnly
        | ErrorCode::SystemIoFailure
        | ErrorCode::FileLockingProtocolFailed
        | ErrorCode::OutOfMemory => Error::StoreUnreachable {
            store: path,
            reason,
        },
        _ => Error::StoreDamaged {
            store: path,
            reason,
        },
    }
}

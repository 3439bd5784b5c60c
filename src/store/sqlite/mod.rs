//! SQLite behind the store.

mod backup;
mod busy_handler;
mod chain;
mod companions;
mod deadline;
mod engine;
mod errors;
mod file_kind;
mod header_fd;
mod leftover_shm;
mod log;
mod open;
mod rights;
mod rotation_lock;
mod row;
mod schema;
mod staging;

use std::path::PathBuf;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{CachedStatement, Connection};

pub use self::backup::{finish as finish_backup, open as open_backup};
use self::deadline::Deadline;
use self::errors::translated;
use self::file_kind::FileKind;
pub use self::file_kind::{MESSAGES, STORE};
use self::header_fd::HeaderFd;
use self::leftover_shm::LeftoverShm;
pub use self::open::{need_creatable, open};
pub use self::rights::{Hole, WriterKind, holes};
pub use self::staging::{Staged, Staging};
use super::engine::Engine as _;
use super::one_store::NamedFile;
use crate::error::{Error, Result};

/// An open SQLite store.
pub struct Sqlite {
    connection: Connection,
    kind: &'static FileKind,
    path: PathBuf,
    patience: Duration,
    deadline: Deadline,
    log: log::WriteAheadLog,
    /// The count of changed rows when the current change began; nothing outside one.
    changed: Option<u64>,
    /// After the connection.
    _made: Option<LeftoverShm>,
    /// Last: released after the connection is closed.
    file: HeaderFd,
}

impl Sqlite {
    /// Checks a statement's deadline after each number of steps.
    fn check_deadline_every(&mut self, steps: i32) -> Result<()> {
        self.connection
            .progress_handler(steps, Some(self.deadline.handler()))
            .map_err(|e| translated(&self.path, &e))
    }

    /// Data written to a file that has lost its name is lost to everyone who opens the
    /// name.
    fn check_name(&self) -> Result<()> {
        match NamedFile::at(&self.path) {
            // The file may get another name while it is open.
            Ok(named) if named.id == self.file.id() => {
                named.has_one_name(&self.path)?;
                self.check_log()
            }
            found => {
                self.leave_log();
                Err(match found {
                    Ok(_) => Error::StoreReplaced(self.path.clone().into()),
                    Err(_) => Error::StoreMissing(self.path.clone().into()),
                })
            }
        }
    }

    fn check_log(&self) -> Result<()> {
        let checkpointed = || {
            // Fails during a change; 0 is safe then.
            let frames = self
                .connection
                .query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get(2));
            frames.map_or(0, |frames: i64| frames.max(0).unsigned_abs())
        };
        self.log
            .check(&self.path, &self.file, checkpointed)
            .inspect_err(|_| self.leave_log())
    }

    /// Closing the store must not checkpoint the log of another file.
    fn leave_log(&self) {
        let _ = self
            .connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
    }

    fn begin_by(&mut self, begin: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        self.check_log()?;
        // SQLite increments the counter in its cached first page: drop that.
        let _ = self.connection.release_memory();
        begin(self)?;
        self.changed = Some(self.connection.total_changes());
        self.check_name().inspect_err(|_| self.rollback())
    }

    /// Writes the first page with each change: it shows to which file a log belongs. Setting
    /// any value in the header does so, even an unchanged one.
    fn mark(&mut self) -> Result<()> {
        if self
            .changed
            .is_some_and(|before| before != self.connection.total_changes())
        {
            self.changed = None;
            self.batch(self.kind.set_application_id)?;
        }
        Ok(())
    }

    fn batch(&self, sql: &str) -> Result<()> {
        self.deadline.begin();
        self.run(sql)
    }

    fn batch_within(&self, most: Duration, sql: &str) -> Result<()> {
        self.deadline.begin_within(most);
        self.run(sql)
    }

    fn run(&self, sql: &str) -> Result<()> {
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
            .busy_handler(Some(busy_handler::with_patience(self.patience)))
            .map_err(|e| translated(&self.path, &e))?;
        outcome
    }

    fn prepared(&self, sql: &str) -> Result<CachedStatement<'_>> {
        self.deadline.begin();
        // In SQLite `$2` is a name, numbered by where it first stands; `?2` is
        // the second argument, as `$2` is in PostgreSQL.
        self.connection
            .prepare_cached(&sql.replace('$', "?"))
            .map_err(|e| translated(&self.path, &e))
    }
}

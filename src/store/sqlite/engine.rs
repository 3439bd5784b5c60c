//! The file as an engine of the store.

use std::any::Any;
use std::path::Path;
use std::time::Duration;

use rusqlite::{ErrorCode, MAIN_DB, params_from_iter};

use super::deadline::{STEPS, WHOLE};
use super::errors::translated;
use super::row::SqliteRow;
use super::{Sqlite, rights, rotation_lock};
use crate::error::{Error, Result};
use crate::model::role::Role;
use crate::store::engine::{Arg, Engine, Integrity, OnNumberedRow, OnRow, Right, Space};

/// `auto_vacuum` of a file that can be made smaller in small steps.
const INCREMENTAL: u64 = 2;

impl Engine for Sqlite {
    fn version(&mut self) -> Result<i64> {
        self.check_name()?;
        self.prepared("PRAGMA data_version")?
            .query_row([], |row| row.get(0))
            .map_err(|e| translated(&self.path, &e))
    }

    fn schema(&mut self) -> Result<(i64, i64)> {
        Ok((self.found_schema()?, self.kind.known()))
    }

    fn added(&mut self) -> Result<Vec<String>> {
        self.compare()
    }

    fn missing(&mut self) -> Result<Vec<String>> {
        // Only databases have roles.
        Ok(Vec::new())
    }

    fn check(&mut self, patience: Duration) -> Result<Integrity> {
        // A step is a page here: a million of them take too long.
        const PAGES: i32 = 1000;
        self.deadline.begin_within(patience);
        self.check_deadline_every(PAGES)?;
        let found = self
            .connection
            .query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
        self.check_deadline_every(STEPS)?;
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

    fn copy_pages(&mut self, to: &Path) -> Result<bool> {
        self.check_name()?;
        self.copy_to(to)?;
        // What was copied may be another file's by now.
        self.check_name()?;
        Ok(true)
    }

    fn lock_rotation(&mut self) -> Result<Box<dyn Any>> {
        rotation_lock::take(&self.path)
    }

    fn check_deliveries(&self) -> Result<()> {
        rights::check_deliveries(&self.path)
    }

    fn wait_for_commits(&mut self) -> Result<()> {
        // There are none: a commit ends with its process.
        Ok(())
    }

    fn may(&mut self, _: Right) -> Result<bool> {
        Ok(true)
    }

    fn need_rights(&mut self) -> Result<()> {
        let failed = |e: &rusqlite::Error| translated(&self.path, e);
        // BEGIN IMMEDIATE only reads then.
        if self
            .connection
            .is_readonly(MAIN_DB)
            .map_err(|e| failed(&e))?
        {
            return Err(Error::StoreUnreachable {
                store: self.path.clone().into(),
                reason: "this user may not write it".into(),
            });
        }
        Ok(())
    }

    fn need_space(&mut self) -> Result<()> {
        super::open::need_space(&self.path)
    }

    fn keep_little(&mut self) -> Result<()> {
        // In KiB; the default is 2000. The system has the file in memory.
        self.batch("PRAGMA cache_size = -256")
    }

    fn make_staging(&mut self) -> Result<()> {
        self.batch(include_str!("staged.sql"))
    }

    fn begin(&mut self) -> Result<()> {
        // IMMEDIATE: a transaction that reads first and writes later cannot
        // wait for another writer, it can only fail.
        self.begin_by(|this| this.batch("BEGIN IMMEDIATE"))
    }

    fn begin_reading(&mut self) -> Result<()> {
        self.changed = None;
        self.batch("BEGIN DEFERRED")
    }

    fn begin_now(&mut self) -> Result<()> {
        self.begin_by(|this| this.without_waiting(|this| this.batch("BEGIN IMMEDIATE")))
    }

    fn flush(&mut self) -> Result<()> {
        self.mark()?;
        self.connection
            .cache_flush()
            .map_err(|e| translated(&self.path, &e))
    }

    fn commit(&mut self) -> Result<()> {
        // It began long ago: passwords were handed over in the meantime.
        self.check_name()?;
        self.mark()?;
        self.batch("COMMIT")
    }

    fn rollback(&mut self) {
        // Fails where SQLite has rolled back by itself, which is as good.
        let _ = self.connection.execute_batch("ROLLBACK");
    }

    fn scrub(&mut self) {
        // `secure_delete` has overwritten the row; older copies of its page are in the
        // write-ahead log until that is emptied. Does not wait for readers: the next change
        // does it, or the last process that closes the store. The first checkpoint empties
        // most of a long log while others write.
        let _ = self.without_waiting(|this| {
            this.batch("PRAGMA wal_checkpoint(PASSIVE); PRAGMA wal_checkpoint(TRUNCATE)")
        });
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
        // From now on it can be done in small steps.
        self.batch_within(WHOLE, "PRAGMA auto_vacuum = INCREMENTAL; VACUUM")?;
        self.scrub();
        Ok(())
    }

    fn analyze(&mut self) -> Result<()> {
        // Rows of each index; all of them would take seconds.
        self.batch("PRAGMA analysis_limit = 1000")?;
        // One table at a time: others write in between.
        for table in self.kind.analyzed {
            self.batch(&format!("ANALYZE {table}"))?;
        }
        Ok(())
    }

    fn indexes_events(&self) -> bool {
        false
    }

    fn index_events(&mut self, _: &mut dyn FnMut(u64)) -> Result<()> {
        Ok(())
    }

    fn grant(&mut self, _: Role, _: &str) -> Result<()> {
        Err(Error::Usage(
            "roles exist only in PostgreSQL; access to a store file depends on its owner and mode"
                .into(),
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

    fn execute_later(
        &mut self,
        sql: &'static str,
        args: &[Arg],
        unless_changed: Option<Error>,
    ) -> Result<()> {
        // A file is local: batching gains nothing.
        match (self.execute(sql, args)?, unless_changed) {
            (0, Some(error)) => Err(error),
            _ => Ok(()),
        }
    }

    fn query_each(
        &mut self,
        sql: &'static str,
        args: &[Vec<Arg>],
        each: &mut OnNumberedRow,
    ) -> Result<()> {
        for (number, args) in args.iter().enumerate() {
            self.query(sql, args, &mut |row| each(number, row))?;
        }
        Ok(())
    }

    fn query(&mut self, sql: &'static str, args: &[Arg], each: &mut OnRow) -> Result<()> {
        let mut statement = self.prepared(sql)?;
        let mut rows = statement
            .query(params_from_iter(args))
            .map_err(|e| translated(&self.path, &e))?;
        loop {
            match rows.next() {
                Ok(Some(row)) => {
                    each(&SqliteRow {
                        row,
                        path: &self.path,
                    })?;
                    // The caller may take its time to read them.
                    self.deadline.begin();
                }
                Ok(None) => return Ok(()),
                Err(e) => return Err(translated(&self.path, &e)),
            }
        }
    }
}

//! The database as an engine of the store.

use std::any::Any;
use std::time::Duration;

use super::connection::PgConnection;
use super::pooler::PROCESS;
use super::row::PostgresRow;
use super::{
    Deferred, NO_PRIMARY, Postgres, ROTATION, TOGETHER, grants, indexes, is_primary, schema,
};
use crate::error::{Error, Result};
use crate::model::role::Role;
use crate::store::engine::{
    Arg, Engine, Integrity, OnNumberedRow, OnRow, OwnedArg, Replica, Right, Space,
};

/// How long to wait for the version: reading it takes no time and waits for no lock.
const VERSION: Duration = Duration::from_secs(2);

/// The lock of a run of rotations, with a connection of its own: if the process is
/// killed, it ends with that.
struct RotationLock(PgConnection);

impl Drop for RotationLock {
    fn drop(&mut self) {
        // The server may notice late that the connection is gone, and would refuse the
        // next run until then. If this fails, it does.
        let _ = self
            .0
            .simple(&format!("SELECT pg_advisory_unlock({ROTATION})"));
    }
}

impl Engine for Postgres {
    fn version(&mut self) -> Result<i64> {
        // The visible transactions; it changes when any of them ends.
        const SQL: &str = "SELECT CAST(pg_current_snapshot() AS TEXT)";
        self.check_cluster()?;
        let patience = self.answer().min(VERSION);
        let sql = format!("{SQL}; {}; {PROCESS}", self.state());
        let seen = self.ask_first(|connection| connection.slowly(patience, &sql))?;
        let seen = self.in_this_session(seen)?;
        if !is_primary(&seen) {
            // The next call looks for the primary again.
            self.connection = None;
            return Err(self.lost(NO_PRIMARY));
        }
        let seen = seen.into_iter().next().unwrap_or_default();
        if self.snapshot.seen != seen {
            self.snapshot.seen = seen;
            self.snapshot.changes += 1;
        }
        Ok(self.snapshot.changes)
    }

    fn schema(&mut self) -> Result<(i64, i64)> {
        Ok((schema::found(self)?.unwrap_or(0), schema::KNOWN))
    }

    fn added(&mut self) -> Result<Vec<String>> {
        schema::added(self)
    }

    fn missing(&mut self) -> Result<Vec<String>> {
        schema::missing(self)
    }

    fn missing_indexes(&mut self) -> Result<Vec<String>> {
        let missing = indexes::missing(self)?;
        Ok(missing.into_iter().map(|(name, _)| name.into()).collect())
    }

    fn may_analyze(&mut self) -> Result<bool> {
        schema::may_vacuum(self)
    }

    fn check(&mut self, patience: Duration) -> Result<Integrity> {
        schema::read_all(self, patience)
    }

    fn lock_rotation(&mut self) -> Result<Box<dyn Any>> {
        let another = self.cluster.another();
        let mut connection = another.map_err(|error| self.translated(error))?;
        let locked = connection.simple(&format!("SELECT pg_try_advisory_lock({ROTATION})"));
        let locked = locked.map_err(|error| self.translated(error))?;
        if locked.first().is_none_or(|answer| answer != "t") {
            return Err(Error::RotationRunning);
        }
        Ok(Box::new(RotationLock(connection)))
    }

    fn check_deliveries(&self) -> Result<()> {
        if !nix::unistd::geteuid().is_root() {
            return Ok(());
        }
        Err(Error::UntrustedDelivery {
            reason: "other database users can write the store".into(),
            cure: "run it as a user other than root".into(),
        })
    }

    fn wait_for_commits(&mut self) -> Result<()> {
        // A commit that waits for a standby holds the lock.
        self.begin()?;
        self.rollback();
        Ok(())
    }

    fn servers(&self) -> Vec<Replica> {
        self.cluster.replicas()
    }

    fn may(&mut self, what: Right) -> Result<bool> {
        schema::may(self, what)
    }

    fn need_rights(&mut self) -> Result<()> {
        if schema::may(self, Right::AddUsers)? {
            return Ok(());
        }
        Err(Error::StoreForbidden {
            store: (&self.store).into(),
            reason: "it may not add users".into(),
            cure: None,
        })
    }

    fn keep_little(&mut self) -> Result<()> {
        Ok(())
    }

    fn make_staging(&mut self) -> Result<()> {
        self.ask(|connection| connection.simple(include_str!("staged.sql")))
            .map(|_| ())
    }

    fn begin_reading(&mut self) -> Result<()> {
        // All its statements see the same data.
        let sql = format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {PROCESS}");
        let begun = self.ask_first(|connection| connection.simple(&sql));
        self.begun(begun).map(|_| ())
    }

    fn begin(&mut self) -> Result<()> {
        // Longer than the wait for other writers, or a busy server would seem lost.
        let patience = self.patience + self.answer();
        self.begin_locked("pg_advisory_xact_lock", patience)
            .map(|_| ())
    }

    fn begin_now(&mut self) -> Result<()> {
        let answer = self.begin_locked("pg_try_advisory_xact_lock", self.answer())?;
        if answer.first().is_some_and(|locked| locked == "t") {
            return Ok(());
        }
        self.rollback();
        Err(Error::StoreBusy((&self.store).into()))
    }

    fn chain_end(&mut self) -> Option<String> {
        self.chain_end.take()
    }

    fn flush(&mut self) -> Result<()> {
        // Everything was sent; checks that the server still answers.
        self.ask(|connection| connection.simple("SELECT 1"))
            .map(|_| ())
    }

    fn commit(&mut self) -> Result<()> {
        self.send()?;
        let committed = self.ask_now(|connection| connection.simple("COMMIT"));
        self.in_change = false;
        match committed {
            // It may have been done; the answer was lost.
            Err(Error::StoreUnreachable { store, reason }) if self.connection.is_none() => {
                Err(Error::CommitUnknown { store, reason })
            }
            committed => committed.map(|_| ()),
        }
    }

    fn rollback(&mut self) {
        self.later.clear();
        if let Some(connection) = &mut self.connection
            && connection.simple("ROLLBACK").is_err()
        {
            // The server does it when the connection ends.
            self.connection = None;
        }
        self.in_change = false;
    }

    fn scrub(&mut self) {
        // See `analyze`: VACUUM removes deleted rows.
    }

    fn space(&mut self) -> Result<Option<Space>> {
        // The server reuses space by itself.
        Ok(None)
    }

    fn shrink(&mut self) -> Result<()> {
        Ok(())
    }

    fn rewrite(&mut self) -> Result<()> {
        Ok(())
    }

    fn analyze(&mut self) -> Result<()> {
        schema::vacuum(self)
    }

    fn indexes_events(&self) -> bool {
        true
    }

    fn index_events(&mut self, each: &mut dyn FnMut(u64)) -> Result<()> {
        indexes::create(self, each)
    }

    fn grant(&mut self, role: Role, to: &str) -> Result<()> {
        grants::grant(self, role, to)
    }

    fn number_on(&mut self) -> Result<()> {
        const SQL: &str = "SELECT setval(pg_get_serial_sequence('smtpcred.alerts', 'id'),
            GREATEST(max(id), 1)) FROM smtpcred.alerts;
            SELECT setval(pg_get_serial_sequence('smtpcred.session_ends', 'id'),
            GREATEST(max(id), 1)) FROM smtpcred.session_ends";
        self.ask(|connection| connection.simple(SQL)).map(|_| ())
    }

    fn execute(&mut self, sql: &'static str, args: &[Arg]) -> Result<usize> {
        let changed = self.ask(|connection| connection.execute(sql, args))?;
        Ok(usize::try_from(changed).unwrap_or(usize::MAX))
    }

    fn execute_later(
        &mut self,
        sql: &'static str,
        args: &[Arg],
        unless_changed: Option<Error>,
    ) -> Result<()> {
        self.later.push(Deferred {
            sql,
            args: args.iter().map(OwnedArg::from).collect(),
            unless_changed,
        });
        if self.later.len() < TOGETHER {
            return Ok(());
        }
        self.send()
    }

    fn query_each(
        &mut self,
        sql: &'static str,
        args: &[Vec<Arg>],
        each: &mut OnNumberedRow,
    ) -> Result<()> {
        for (piece, args) in args.chunks(TOGETHER).enumerate() {
            let answers = self.ask_first(|connection| connection.query_all(sql, args))?;
            for (number, rows) in answers.iter().enumerate() {
                for row in rows {
                    let store = &self.store;
                    each(piece * TOGETHER + number, &PostgresRow { row, store })?;
                }
            }
        }
        Ok(())
    }

    fn query(&mut self, sql: &'static str, args: &[Arg], each: &mut OnRow) -> Result<()> {
        let mut rows = self.ask_first(|connection| connection.query(sql, args))?;
        let mut fetched = Vec::new();
        loop {
            let end = self.ask(|connection| connection.more(&mut rows, &mut fetched))?;
            for row in fetched.drain(..) {
                let row = PostgresRow {
                    row: &row,
                    store: &self.store,
                };
                if let Err(error) = each(&row) {
                    // The remaining rows would have to be read first.
                    if !end {
                        self.connection = None;
                    }
                    return Err(error);
                }
            }
            if end {
                return Ok(());
            }
        }
    }
}

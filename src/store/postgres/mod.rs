//! PostgreSQL behind the store: for relays on several machines.
//!
//! Everything of ours is in a schema of its own, `smtpcred`. Whoever changes the
//! store holds one advisory lock until it commits: there is one writer at a time,
//! as in SQLite, on whatever machine, so what a change reads is true until it is
//! committed. Readers wait for nobody.

mod grants;
mod passfile;
mod reach;
mod row;
mod schema;
mod target;
mod tls;
mod wire;

use std::any::Any;
use std::time::Duration;

use tokio_postgres::error::SqlState;

use self::reach::Terms;
use self::row::PostgresRow;
use self::target::Target;
use self::wire::{Refused, Trouble, Wire};
use super::engine::{Arg, Each, Engine, Integrity, Right, Space};
use crate::error::{Error, Place, Result};
use crate::model::location::Location;
use crate::model::role::Role;
use crate::store::Access;

pub struct Postgres {
    store: Location,
    target: Target,
    /// Which of the servers was the primary when it was last looked for.
    primary: usize,
    wire: Option<Wire>,
    access: Access,
    /// For whoever has the lock.
    patience: Duration,
    in_change: bool,
    snapshot: Snapshot,
}

/// What could be seen last, and how often that changed.
#[derive(Default)]
struct Snapshot {
    seen: String,
    changes: i64,
}

/// "smtpcred" in ASCII; the one after it is for rotations.
const LOCK: i64 = 0x736d_7470_6372_6564;
const ROTATION: i64 = LOCK + 1;
/// A server that says nothing for so long is lost: for who waits for nobody, and
/// for who has time. The longer one is for a commit on a standby that is far away.
const ANSWER: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];
/// To say whether anything changed takes no time, and waits for no lock.
const VERSION: Duration = Duration::from_secs(2);

pub fn open(store: &Location, access: Access, patience: Duration) -> Result<Postgres> {
    let Location::Postgres(url) = store else {
        return Err(Error::Usage(format!("{store} is no database")));
    };
    let mut engine = Postgres {
        store: store.clone(),
        target: Target::of(url)?,
        primary: 0,
        wire: None,
        access,
        patience,
        in_change: false,
        snapshot: Snapshot::default(),
    };
    engine.connect()?;
    Ok(engine)
}

/// The lock of a run of rotations, with a connection of its own: if the process is
/// killed, it ends with that.
struct Rotating(Wire);

impl Drop for Rotating {
    fn drop(&mut self) {
        // The server may see later that the connection is gone, and until then the
        // next run would be turned away. Where this fails it has to.
        let _ = self
            .0
            .simple(&format!("SELECT pg_advisory_unlock({ROTATION})"));
    }
}

impl Postgres {
    /// Finds the primary, wherever it is now.
    fn connect(&mut self) -> Result<()> {
        match reach::primary(&self.target, self.primary, self.terms()) {
            Ok((number, wire)) => {
                self.primary = number;
                self.wire = Some(wire);
                // Another server counts its transactions anew.
                self.snapshot.seen.clear();
                schema::check(self)
            }
            Err(trouble) => Err(self.translated(trouble)),
        }
    }

    fn terms(&self) -> Terms {
        Terms {
            answer: self.answer(),
            patience: self.patience,
            read_only: self.access == Access::Look,
        }
    }

    fn answer(&self) -> Duration {
        self.patience.clamp(ANSWER[0], ANSWER[1])
    }

    /// The connection, again where it was lost; but a change goes with it.
    fn wire(&mut self) -> Result<&mut Wire> {
        if self.wire.is_none() {
            if self.in_change {
                return Err(self.lost("the connection was lost in the middle of a change"));
            }
            // Who waits for nobody has others to answer: it is opened anew elsewhere.
            if self.patience.is_zero() {
                return Err(self.lost("the connection was lost"));
            }
            self.connect()?;
        }
        match &mut self.wire {
            Some(wire) => Ok(wire),
            None => Err(Error::StoreMissing((&self.store).into())),
        }
    }

    fn ask<T>(&mut self, ask: impl FnOnce(&mut Wire) -> wire::Answer<T>) -> Result<T> {
        let answer = ask(self.wire()?);
        answer.map_err(|trouble| self.translated(trouble))
    }

    /// As [`Self::ask`], for what may be asked twice: a connection that was idle may
    /// be found lost only now.
    fn ask_first<T>(&mut self, ask: impl Fn(&mut Wire) -> wire::Answer<T>) -> Result<T> {
        let idle = self.wire.is_some() && !self.in_change && !self.patience.is_zero();
        match self.ask(&ask) {
            Err(Error::StoreUnreachable { .. }) if idle && self.wire.is_none() => self.ask(&ask),
            answered => answered,
        }
    }

    fn lost(&self, reason: &str) -> Error {
        Error::StoreUnreachable {
            store: (&self.store).into(),
            reason: reason.to_owned(),
        }
    }

    /// What the server says, in the words of the store.
    fn translated(&mut self, trouble: Trouble) -> Error {
        let store = Place::from(&self.store);
        let refused = match trouble {
            Trouble::Lost(reason) | Trouble::Coming(reason) => {
                self.wire = None;
                return Error::StoreUnreachable { store, reason };
            }
            Trouble::Refused(refused) => *refused,
        };
        let Refused {
            state,
            message: reason,
        } = refused;
        match state {
            SqlState::LOCK_NOT_AVAILABLE => Error::StoreBusy(store),
            SqlState::DISK_FULL => Error::StoreFull(store),
            SqlState::INSUFFICIENT_PRIVILEGE => Error::StoreForbidden { store, reason },
            // Ours, or not as we made it.
            SqlState::UNDEFINED_TABLE | SqlState::INVALID_SCHEMA_NAME => Error::StoreMissing(store),
            state if ["22", "23", "42"].contains(&&state.code()[..2]) => {
                Error::StoreDamaged { store, reason }
            }
            // Connections, resources, operators, systems: it passes, or is mended there.
            _ => Error::StoreUnreachable { store, reason },
        }
    }
}

impl Engine for Postgres {
    fn version(&mut self) -> Result<i64> {
        // Which transactions can be seen: another one whenever any has ended.
        const SQL: &str = "SELECT CAST(pg_current_snapshot() AS TEXT)";
        let patience = self.answer().min(VERSION);
        let seen = self.ask_first(|wire| wire.slowly(patience, SQL))?;
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

    fn check(&mut self, patience: Duration) -> Result<Integrity> {
        schema::read_all(self, patience)
    }

    fn lock_rotation(&mut self) -> Result<Box<dyn Any>> {
        let server = &self.target.servers[self.primary];
        let mut wire = reach::reach(server, &self.target.tls, self.terms())
            .map_err(|trouble| self.translated(trouble))?;
        let locked = wire.simple(&format!("SELECT pg_try_advisory_lock({ROTATION})"));
        let locked = locked.map_err(|trouble| self.translated(trouble))?;
        if locked.first().is_none_or(|answer| answer != "t") {
            return Err(Error::RotationRunning);
        }
        Ok(Box::new(Rotating(wire)))
    }

    fn foreign_owner(&self) -> Option<String> {
        let root = nix::unistd::geteuid().is_root();
        root.then(|| "whoever may write the database".to_owned())
    }

    fn wait_for_commits(&mut self) -> Result<()> {
        // One that waits for a standby has the lock until then.
        self.begin()?;
        self.rollback();
        Ok(())
    }

    fn may(&mut self, what: Right) -> Result<bool> {
        schema::may(self, what)
    }

    fn keep_little(&mut self) -> Result<()> {
        Ok(())
    }

    fn make_staging(&mut self) -> Result<()> {
        self.ask(|wire| wire.simple(include_str!("staged.sql")))
            .map(|_| ())
    }

    fn begin_apart(&mut self) -> Result<()> {
        self.ask(|wire| wire.simple("BEGIN"))?;
        self.in_change = true;
        Ok(())
    }

    fn begin_reading(&mut self) -> Result<()> {
        // All statements of it see the same.
        const SQL: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        self.ask_first(|wire| wire.simple(SQL))?;
        self.in_change = true;
        Ok(())
    }

    fn begin(&mut self) -> Result<()> {
        let sql = format!("BEGIN READ WRITE; SELECT pg_advisory_xact_lock({LOCK})");
        // Longer than others may be waited for, or whoever is busy seems to be gone.
        let patience = self.patience + self.answer();
        let begun = self.ask_first(|wire| wire.slowly(patience, &sql));
        self.in_change = true;
        if begun.is_err() {
            self.rollback();
        }
        begun.map(|_| ())
    }

    fn begin_now(&mut self) -> Result<()> {
        let sql = format!("BEGIN READ WRITE; SELECT pg_try_advisory_xact_lock({LOCK})");
        let begun = self.ask_first(|wire| wire.simple(&sql));
        self.in_change = true;
        match begun {
            Ok(answer) if answer.first().is_some_and(|locked| locked == "t") => Ok(()),
            Ok(_) => {
                self.rollback();
                Err(Error::StoreBusy((&self.store).into()))
            }
            Err(error) => {
                self.rollback();
                Err(error)
            }
        }
    }

    fn flush(&mut self) -> Result<()> {
        // It has been sent already; but is anybody there?
        self.ask(|wire| wire.simple("SELECT 1")).map(|_| ())
    }

    fn commit(&mut self) -> Result<()> {
        let committed = self.ask(|wire| wire.simple("COMMIT"));
        self.in_change = false;
        match committed {
            // It may have been done: nobody was there to say so.
            Err(Error::StoreUnreachable { store, reason }) if self.wire.is_none() => {
                Err(Error::CommitUnknown { store, reason })
            }
            committed => committed.map(|_| ()),
        }
    }

    fn rollback(&mut self) {
        if let Some(wire) = &mut self.wire
            && wire.simple("ROLLBACK").is_err()
        {
            // The server does it when the connection ends.
            self.wire = None;
        }
        self.in_change = false;
    }

    fn scrub(&mut self) {
        // See `analyze`: what was deleted goes with all that nobody can see any more.
    }

    fn space(&mut self) -> Result<Option<Space>> {
        // The server uses it again by itself.
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

    fn grant(&mut self, role: Role, to: &str) -> Result<()> {
        grants::grant(self, role, to)
    }

    fn number_on(&mut self) -> Result<()> {
        const SQL: &str = "SELECT setval(pg_get_serial_sequence('smtpcred.events', 'id'),
            GREATEST(max(id), 1)) FROM smtpcred.events";
        self.ask(|wire| wire.simple(SQL)).map(|_| ())
    }

    fn execute(&mut self, sql: &'static str, args: &[Arg]) -> Result<usize> {
        let changed = self.ask(|wire| wire.execute(sql, args))?;
        Ok(usize::try_from(changed).unwrap_or(usize::MAX))
    }

    fn query(&mut self, sql: &'static str, args: &[Arg], each: &mut Each) -> Result<()> {
        let mut rows = self.ask_first(|wire| wire.query(sql, args))?;
        let mut fetched = Vec::new();
        loop {
            let end = self.ask(|wire| wire.more(&mut rows, &mut fetched))?;
            for row in fetched.drain(..) {
                let row = PostgresRow {
                    row: &row,
                    store: &self.store,
                };
                if let Err(error) = each(&row) {
                    // What is still to come would have to be read.
                    if !end {
                        self.wire = None;
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

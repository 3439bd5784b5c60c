//! PostgreSQL behind the store: for relays on several machines.
//!
//! All tables are in the schema `smtpcred`. A change holds one advisory lock until it
//! commits: as in SQLite, there is one writer at a time on all machines, so what a change
//! reads stays true until its commit. Readers never wait.

mod auth_methods;
mod chain;
mod cluster;
mod conn_url;
mod connect;
mod connection;
mod conninfo;
mod engine;
mod grants;
mod indexes;
mod instance;
mod passfile;
mod pg_error;
mod pooler;
mod row;
mod schema;
mod session;
mod socket;
mod sqlstate;
mod tls;
mod translate;

use std::time::Duration;

use self::cluster::Cluster;
use self::conn_url::ConnUrl;
use self::connect::Timeouts;
use self::connection::PgConnection;
use self::pooler::PROCESS;
use super::engine::{Arg, Engine as _, OwnedArg};
use crate::error::{Error, Result};
use crate::model::store_location::Location;
use crate::store::access::Access;

/// An open store in PostgreSQL.
pub struct Postgres {
    store: Location,
    cluster: Cluster,
    connection: Option<PgConnection>,
    access: Access,
    /// How long to wait for the lock.
    patience: Duration,
    in_change: bool,
    /// See [`CHAIN_END`].
    chain_end: Option<String>,
    /// A read-only view replaces the table of passwords.
    hashes_hidden: bool,
    /// Statements of the change that are not sent yet.
    later: Vec<Deferred>,
    /// The advisory lock of a change.
    lock: i64,
    snapshot: Snapshot,
}

/// See [`Engine::execute_later`].
struct Deferred {
    sql: &'static str,
    args: Vec<OwnedArg>,
    unless_changed: Option<Error>,
}

/// How many statements are sent before the first answer is awaited.
const TOGETHER: usize = 256;

/// The last snapshot, and how often it changed.
#[derive(Default)]
struct Snapshot {
    seen: String,
    changes: i64,
}

/// "smtpcred" in ASCII; the next numbers are for rotations, indexes and messages.
const LOCK: i64 = 0x736d_7470_6372_6564;
const ROTATION: i64 = LOCK + 1;
const INDEXING: i64 = LOCK + 2;
const MESSAGES: i64 = LOCK + 3;
/// How long to wait for an answer before a server counts as lost: for a caller that must
/// not wait, and for others. The longer one allows for a commit on a distant standby.
const ANSWER: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];
/// What events of a change continue: see [`Engine::chain_end`](super::engine::Engine::chain_end).
/// It is read with the lock, because each question to a distant server takes long.
const CHAIN_END: &str = "SELECT CONCAT_WS(' ',
    COALESCE((SELECT event || ' ' || hash FROM smtpcred.event_marks WHERE mark = 'head'), '0 -'),
    (SELECT COALESCE(max(id), 0) FROM smtpcred.events),
    CASE WHEN pg_has_role(session_user, (SELECT relowner FROM pg_catalog.pg_class
        WHERE oid = CAST('smtpcred.store' AS regclass)), 'USAGE') THEN '' ELSE session_user END)";
const NO_PRIMARY: &str = "it is no longer the primary: nothing can be written";
/// Opens the store on its primary. `patience` is how long to wait for other writers.
pub fn open(store: &Location, access: Access, patience: Duration) -> Result<Postgres> {
    open_with(store, access, patience, LOCK)
}

/// Does the same for changes of messages alone, which do not block other changes.
pub fn open_messages(store: &Location, access: Access, patience: Duration) -> Result<Postgres> {
    let access = match access {
        Access::Look => Access::Look,
        // The tables are made with those of the store.
        _ => Access::Existing,
    };
    open_with(store, access, patience, MESSAGES)
}

fn open_with(store: &Location, access: Access, patience: Duration, lock: i64) -> Result<Postgres> {
    let Location::Postgres(url) = store else {
        return Err(Error::Usage(format!("{store} is not a database")));
    };
    let timeouts = Timeouts {
        answer: answer(patience),
        patience,
    };
    let mut engine = Postgres {
        store: store.clone(),
        cluster: Cluster::new(ConnUrl::of(url)?, timeouts),
        connection: None,
        access,
        patience,
        in_change: false,
        chain_end: None,
        hashes_hidden: false,
        later: Vec::new(),
        lock,
        snapshot: Snapshot::default(),
    };
    engine.connect()?;
    Ok(engine)
}

/// Reads the answer to [`Postgres::state`], which precedes that to [`PROCESS`].
fn is_primary(said: &[String]) -> bool {
    said.iter()
        .rev()
        .nth(1)
        .is_some_and(|said| said == "primary")
}

fn answer(patience: Duration) -> Duration {
    patience.clamp(ANSWER[0], ANSWER[1])
}

impl Postgres {
    /// Finds the primary, wherever it is now.
    fn connect(&mut self) -> Result<()> {
        let found = self.cluster.find().and_then(|mut connection| {
            if self.access == Access::Look {
                connection.simple("SET default_transaction_read_only = on")?;
            }
            Ok(connection)
        });
        self.connection = Some(found.map_err(|error| self.translated(error))?);
        // Another server has its own transaction numbers.
        self.snapshot.seen.clear();
        self.check_schema()
    }

    fn answer(&self) -> Duration {
        answer(self.patience)
    }

    /// Returns an error if another server accepts writes, too.
    fn check_cluster(&mut self) -> Result<()> {
        self.cluster.check().map_err(|error| self.translated(error))
    }

    /// The query that answers `primary` as long as the server is usable. It may become
    /// read-only, or a pooler may switch to another one, while the connection stays.
    fn state(&self) -> &'static str {
        match self.access {
            Access::Look => instance::RECOVERY,
            _ => instance::STATE,
        }
    }

    /// Begins a change, takes a lock and returns the server's answers.
    fn begin_locked(&mut self, lock: &str, patience: Duration) -> Result<Vec<String>> {
        self.check_cluster()?;
        let (number, state) = (self.lock, self.state());
        // What only records messages makes no events, and has no right to see them.
        let chain_end = if number == LOCK {
            CHAIN_END
        } else {
            "SELECT ''"
        };
        let sql = format!("BEGIN; SELECT {lock}({number}); {chain_end}; {state}; {PROCESS}");
        for _ in 0..2 {
            let begun = self.ask_first(|connection| connection.slowly(patience, &sql));
            let said = self.begun(begun)?;
            if is_primary(&said) {
                self.chain_end = said.get(1).cloned();
                return Ok(said);
            }
            self.rollback();
            self.connection = None;
        }
        Err(self.lost(NO_PRIMARY))
    }

    /// Returns the connection, and reconnects if it was lost. Returns an error within a
    /// change, which is lost with the connection.
    fn connection(&mut self) -> Result<&mut PgConnection> {
        if self.connection.is_none() {
            if self.in_change {
                return Err(self.lost("the connection was lost in the middle of a change"));
            }
            // A caller that must not wait opens the store again elsewhere.
            if self.patience.is_zero() {
                return Err(self.lost("the connection was lost"));
            }
            self.connect()?;
        }
        match &mut self.connection {
            Some(connection) => Ok(connection),
            None => Err(Error::StoreMissing((&self.store).into())),
        }
    }

    /// Sends the deferred statements, then asks.
    fn ask<T>(
        &mut self,
        ask: impl FnOnce(&mut PgConnection) -> pg_error::PgResult<T>,
    ) -> Result<T> {
        self.send()?;
        self.ask_now(ask)
    }

    fn ask_now<T>(
        &mut self,
        ask: impl FnOnce(&mut PgConnection) -> pg_error::PgResult<T>,
    ) -> Result<T> {
        let answer = ask(self.connection()?);
        answer.map_err(|error| self.translated(error))
    }

    /// Sends the deferred statements. The server runs none after one that fails.
    fn send(&mut self) -> Result<()> {
        if self.later.is_empty() {
            return Ok(());
        }
        let later = std::mem::take(&mut self.later);
        let statements: Vec<(_, Vec<Arg>)> = later
            .iter()
            .map(|later| (later.sql, later.args.iter().map(Arg::from).collect()))
            .collect();
        let answers = self.ask_now(|connection| connection.execute_all(&statements))?;
        for (later, answer) in later.into_iter().zip(answers) {
            let changed = answer.map_err(|error| self.translated(error))?;
            if let (0, Some(error)) = (changed, later.unless_changed) {
                return Err(error);
            }
        }
        Ok(())
    }

    /// As [`Self::ask`], for a request that may be sent twice: the loss of an idle
    /// connection may show only now.
    fn ask_first<T>(
        &mut self,
        ask: impl Fn(&mut PgConnection) -> pg_error::PgResult<T>,
    ) -> Result<T> {
        let idle = self.connection.is_some() && !self.in_change && !self.patience.is_zero();
        match self.ask(&ask) {
            Err(Error::StoreUnreachable { .. }) if idle && self.connection.is_none() => {
                self.ask(&ask)
            }
            answered => answered,
        }
    }

    /// Checks that the transaction began in this session.
    fn begun(&mut self, begun: Result<Vec<String>>) -> Result<Vec<String>> {
        self.in_change = true;
        let begun = begun.and_then(|said| self.in_this_session(said));
        if begun.is_err() {
            self.rollback();
        }
        begun
    }

    /// Checks the answer to [`PROCESS`], which is the last one, and returns all answers. In a
    /// shared pool, a changed session may show only later.
    fn in_this_session(&mut self, said: Vec<String>) -> Result<Vec<String>> {
        let known = self
            .connection
            .as_ref()
            .map(|connection| connection.process);
        if pooler::process(&said) == known {
            return Ok(said);
        }
        Err(self.translated(pooler::changes()))
    }
}

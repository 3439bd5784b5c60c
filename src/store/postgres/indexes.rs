//! The indexes that find events by the names in them. They are created while others write,
//! which is not possible in a transaction:
//! <https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY>

use std::time::Duration;

use super::{INDEXING, Postgres};
use crate::error::{Error, Result};

const INDEXES: [(&str, &str); 4] = [
    (
        "events_by_user",
        "(username, id) WHERE username IS NOT NULL",
    ),
    ("events_by_domain", "(domain, id) WHERE domain IS NOT NULL"),
    ("events_by_actor", "(actor, id)"),
    ("events_by_rename", "(id) WHERE action = 'user.rename'"),
];

/// The indexes of a new store, created in the transaction that creates the empty tables.
pub fn of_new_store() -> String {
    let statement = |(name, of)| format!("CREATE INDEX {name} ON smtpcred.events {of};");
    INDEXES.map(statement).concat()
}

/// Creates the indexes that are missing or that a killed process left unfinished, unless
/// another process is creating them.
pub fn create(engine: &mut Postgres, each: &mut dyn FnMut(u64)) -> Result<()> {
    let missing = missing(engine)?;
    if missing.is_empty() {
        return Ok(());
    }
    // Does not wait for the lock: a waiting transaction would block the index.
    let lock = format!("SELECT pg_try_advisory_lock({INDEXING})");
    let locked = engine.ask(|connection| connection.simple(&lock))?;
    if locked.first().is_none_or(|locked| locked != "t") {
        return Ok(());
    }
    let created = create_missing(engine, each);
    let unlock = format!(
        "SELECT pg_advisory_unlock({INDEXING});
        SET lock_timeout = {}",
        engine.patience.as_millis().max(1)
    );
    engine.ask(|connection| connection.simple(&unlock))?;
    created
}

fn create_missing(engine: &mut Postgres, each: &mut dyn FnMut(u64)) -> Result<()> {
    const LONG: Duration = Duration::from_secs(6 * 3600);
    // CREATE INDEX waits for older transactions: a backup may take hours.
    engine.ask(|connection| connection.simple("SET lock_timeout = 0"))?;
    // Another process may have been first.
    let missing = missing(engine)?;
    for (done, (name, of)) in missing.iter().enumerate() {
        each((missing.len() - done) as u64);
        for sql in [
            format!("DROP INDEX CONCURRENTLY IF EXISTS smtpcred.{name}"),
            format!("CREATE INDEX CONCURRENTLY {name} ON smtpcred.events {of}"),
        ] {
            let created = engine.ask(|connection| connection.slowly(LONG, &sql));
            created.map_err(|error| match error {
                Error::StoreForbidden { store, reason, .. } => Error::StoreForbidden {
                    store,
                    reason,
                    cure: Some(
                        "the owner of the tables creates the index with: smtpcred store migrate"
                            .into(),
                    ),
                },
                error => error,
            })?;
        }
    }
    Ok(())
}

/// Returns the indexes that statements cannot use: they are missing or unfinished.
pub fn missing(engine: &mut Postgres) -> Result<Vec<(&'static str, &'static str)>> {
    const VALID: &str = "SELECT c.relname FROM pg_catalog.pg_index i
        JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'smtpcred' AND i.indisvalid AND i.indisready";
    let valid = engine.ask(|connection| connection.simple(VALID))?;
    let missing = |(name, _): &(&str, &str)| !valid.iter().any(|valid| valid == name);
    Ok(INDEXES.into_iter().filter(missing).collect())
}

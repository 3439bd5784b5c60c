//! The tables: are they there, and of the version that this program knows?

use std::time::{Duration, Instant};

use super::{LOCK, Postgres};
use crate::error::{Error, Result};
use crate::store::Access;
use crate::store::engine::{Engine as _, Integrity, Right};

/// Each brings a store from one version to the next. Never changed once
/// released, only added to.
const MIGRATIONS: [&str; 1] = [include_str!("0001.sql")];
#[allow(clippy::cast_possible_wrap, reason = "a handful")]
pub const KNOWN: i64 = MIGRATIONS.len() as i64;

const TABLES: [&str; 14] = [
    "domains",
    "users",
    "passwords",
    "last_connections",
    "settings",
    "events",
    "senders",
    "limits",
    "counts",
    "recipients",
    "usage",
    "failures",
    "rotation_rules",
    "rotations",
];

/// Looked at once for each connection.
pub fn check(engine: &mut Postgres) -> Result<()> {
    server(engine)?;
    let found = found(engine)?;
    match (found, engine.access) {
        (Some(found), Access::Look) if found > 0 => {}
        (None, Access::Create) => migrate(engine)?,
        (None, _) => return Err(Error::StoreMissing((&engine.store).into())),
        (Some(found), _) if found > KNOWN => return Err(too_new(engine, found)),
        (Some(found), Access::Migrate) if found < KNOWN => migrate(engine)?,
        (Some(found), _) if found < KNOWN => {
            return Err(Error::StoreTooOld {
                store: (&engine.store).into(),
                found,
                known: KNOWN,
            });
        }
        _ => {}
    }
    see_what_may_be_seen(engine)
}

/// What only speaks as PostgreSQL does may take a lock and not keep it.
fn server(engine: &mut Postgres) -> Result<()> {
    const VERSION: &str = "SELECT version() || ' ' || current_setting('server_version_num')";
    /// The first with `pg_current_snapshot`.
    const FIRST: u32 = 130_000;
    let version = engine.ask(|wire| wire.simple(VERSION))?;
    let version = version.first().map_or("", String::as_str);
    let number = version.rsplit(' ').next().and_then(|n| n.parse().ok());
    let known = version.starts_with("PostgreSQL ") && !version.contains("-YB-");
    if known && number.is_some_and(|number: u32| number >= FIRST) {
        return Ok(());
    }
    let name = version.split(',').next().unwrap_or_default();
    Err(Error::StoreForeign {
        store: (&engine.store).into(),
        reason: format!("its server is {name}; it has to be PostgreSQL itself, 13 or later"),
    })
}

/// Nothing where there are no tables of ours.
pub fn found(engine: &mut Postgres) -> Result<Option<i64>> {
    // Asked of the tables themselves: a name that was looked up before is remembered
    // as missing until the transaction ends, whatever others made meanwhile.
    const THERE: &str = "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'smtpcred' AND c.relname = 'store')";
    const VERSION: &str = "SELECT CAST(max(version) AS TEXT) FROM smtpcred.store";
    let there = engine.ask(|wire| wire.simple(THERE))?;
    if there.first().is_none_or(|there| there != "t") {
        return Ok(None);
    }
    let version = engine.ask(|wire| wire.simple(VERSION))?;
    let version = version.first().and_then(|version| version.parse().ok());
    version.map(Some).ok_or_else(|| Error::StoreForeign {
        store: (&engine.store).into(),
        reason: "its schema smtpcred is another program's".into(),
    })
}

/// As the hashes are not for everybody, another view of the passwords may be.
fn see_what_may_be_seen(engine: &mut Postgres) -> Result<()> {
    const WITHOUT: &str = "SET search_path = smtpcred_audit, smtpcred, pg_temp";
    if !may(engine, Right::SeeHashes)? {
        engine.ask(|wire| wire.simple(WITHOUT))?;
    }
    Ok(())
}

pub fn may(engine: &mut Postgres, what: Right) -> Result<bool> {
    let sql = match what {
        Right::SeeHashes => "SELECT has_column_privilege('smtpcred.passwords', 'hash', 'SELECT')",
        Right::DeleteUsers => "SELECT has_table_privilege('smtpcred.users', 'DELETE')",
    };
    let may = engine.ask(|wire| wire.simple(sql))?;
    Ok(may.first().is_none_or(|may| may != "f"))
}

/// From whatever version there is, or from nothing.
fn migrate(engine: &mut Postgres) -> Result<()> {
    let lock = format!("BEGIN READ WRITE; SELECT pg_advisory_xact_lock({LOCK})");
    engine.ask(|wire| wire.simple(&lock))?;
    let migrated = migrate_in_transaction(engine);
    if migrated.is_err() {
        engine.rollback();
    }
    migrated
}

fn migrate_in_transaction(engine: &mut Postgres) -> Result<()> {
    // Read again: another process may have been first.
    let found = found(engine)?.unwrap_or(0);
    let steps = usize::try_from(found)
        .ok()
        .and_then(|n| MIGRATIONS.get(n..));
    let Some(steps) = steps else {
        return Err(too_new(engine, found));
    };
    for step in steps {
        engine.ask(|wire| wire.simple(step))?;
    }
    let version = format!("UPDATE smtpcred.store SET version = {KNOWN}; COMMIT");
    engine.ask(|wire| wire.simple(&version)).map(|_| ())
}

/// The server checks each page as it reads it, where it was told to keep sums.
pub fn read_all(engine: &mut Postgres, patience: Duration) -> Result<Integrity> {
    let since = Instant::now();
    for table in TABLES {
        let left = patience.saturating_sub(since.elapsed());
        if left.is_zero() {
            return Ok(Integrity::Unfinished);
        }
        // By its bare name: what may be seen of it.
        let sql = format!("SELECT count(*) FROM {table}");
        match engine.ask(|wire| wire.slowly(left, &sql)) {
            // The deadline, as the connection broke: it is looked for again.
            Err(Error::StoreUnreachable { .. }) if since.elapsed() >= patience => {
                return Ok(Integrity::Unfinished);
            }
            Err(Error::StoreDamaged { reason, .. }) => return Ok(Integrity::Damaged(reason)),
            read => _ = read?,
        }
    }
    Ok(Integrity::Whole)
}

/// Takes away what nobody can see any more, erased hashes among it, and looks at
/// what there is. Others read and write meanwhile. Tables that this database user
/// does not own are left to the server, which does it by itself, later.
pub fn vacuum(engine: &mut Postgres) -> Result<()> {
    const LONG: Duration = Duration::from_secs(3600);
    for table in TABLES {
        let sql = format!("VACUUM (ANALYZE) smtpcred.{table}");
        engine.ask(|wire| wire.slowly(LONG, &sql))?;
    }
    Ok(())
}

fn too_new(engine: &Postgres, found: i64) -> Error {
    Error::StoreTooNew {
        store: (&engine.store).into(),
        found,
        known: KNOWN,
    }
}

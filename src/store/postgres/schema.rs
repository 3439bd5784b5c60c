//! The tables of the database: migrated, and checked.

use std::time::{Duration, Instant};

use super::chain::{CHAINED, chain_events};
use super::translate::statements;
use super::{LOCK, Postgres, indexes};
use crate::error::{Error, Result};
use crate::model::text;
use crate::store::access::Access;
use crate::store::engine::{Engine as _, Integrity, Right};

/// Each one migrates a store from one version to the next. After a release they are
/// never changed, only added to.
const MIGRATIONS: [&str; 14] = [
    include_str!("0001.sql"),
    include_str!("0002.sql"),
    include_str!("0003.sql"),
    include_str!("0004.sql"),
    include_str!("0005.sql"),
    include_str!("0006.sql"),
    include_str!("0007.sql"),
    include_str!("0008.sql"),
    include_str!("0009.sql"),
    include_str!("0010.sql"),
    include_str!("0011.sql"),
    include_str!("0012.sql"),
    include_str!("0013.sql"),
    include_str!("0014.sql"),
];
/// The version of the schema that this program knows.
#[allow(clippy::cast_possible_wrap, reason = "a handful")]
pub const KNOWN: i64 = MIGRATIONS.len() as i64;

const TABLES: [&str; 35] = [
    "domains",
    "users",
    "passwords",
    "last_connections",
    "settings",
    "events",
    "event_marks",
    "senders",
    "tags",
    "old_names",
    "limits",
    "counts",
    "recipients",
    "usage",
    "usage_by_domain",
    "summing",
    "failures",
    "rotation_rules",
    "rotations",
    "address_rules",
    "allowed_addresses",
    "seen_addresses",
    "alerts",
    "alert_deliveries",
    "session_ends",
    "session_requests",
    "session_reports",
    "sessions",
    "roles",
    "role_domains",
    "messages",
    "message_recipients",
    "message_later_ids",
    "message_refusals",
    "log_positions",
];

impl Postgres {
    /// Checks the version once for each connection, and migrates the tables if asked to.
    pub(super) fn check_schema(&mut self) -> Result<()> {
        let found = found(self)?;
        match (found, self.access) {
            (Some(found), Access::Look) if found > 0 => {}
            (None, Access::Create) => migrate(self)?,
            (None, _) => return Err(Error::StoreMissing((&self.store).into())),
            (Some(found), _) if found > KNOWN => return Err(too_new(self, found)),
            (Some(found), Access::Migrate) if found < KNOWN => {
                migrate(self)?;
                make_audit(self)?;
            }
            (Some(found), _) if found < KNOWN => {
                return Err(Error::StoreTooOld {
                    store: (&self.store).into(),
                    found,
                    known: KNOWN,
                });
            }
            (_, Access::Migrate) => make_audit(self)?,
            _ => {}
        }
        see_what_may_be_seen(self)
    }
}

/// Returns the version of the tables; `None` if there are none.
pub fn found(engine: &mut Postgres) -> Result<Option<i64>> {
    // Reads the catalog: a failed look-up of a name is remembered until the transaction
    // ends, even if another process creates the table meanwhile.
    const THERE: &str = "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'smtpcred' AND c.relname = 'store')";
    const VERSION: &str = "SELECT CAST(max(version) AS TEXT) FROM smtpcred.store";
    let there = engine.ask(|connection| connection.simple(THERE))?;
    if there.first().is_none_or(|there| there != "t") {
        return Ok(None);
    }
    let version = engine.ask(|connection| connection.simple(VERSION))?;
    let version = version.first().and_then(|version| version.parse().ok());
    version.map(Some).ok_or_else(|| Error::StoreForeign {
        store: (&engine.store).into(),
        reason: "its schema smtpcred is another program's".into(),
    })
}

/// Uses the auditors' view of passwords if this database user may not see the hashes.
fn see_what_may_be_seen(engine: &mut Postgres) -> Result<()> {
    const WITHOUT: &str = "SET search_path = smtpcred_audit, smtpcred, pg_temp";
    engine.hashes_hidden = !may(engine, Right::SeeHashes)?;
    if engine.hashes_hidden {
        engine.ask(|connection| connection.simple(WITHOUT))?;
    }
    Ok(())
}

/// Returns whether this database user has a right.
pub fn may(engine: &mut Postgres, what: Right) -> Result<bool> {
    let sql = match what {
        Right::SeeHashes => "SELECT has_column_privilege('smtpcred.passwords', 'hash', 'SELECT')",
        Right::DeleteUsers => "SELECT has_table_privilege('smtpcred.users', 'DELETE')",
        Right::DeleteAlerts => "SELECT has_table_privilege('smtpcred.alerts', 'DELETE')",
        Right::AddUsers => "SELECT has_table_privilege('smtpcred.users', 'INSERT')",
    };
    let may = engine.ask(|connection| connection.simple(sql))?;
    Ok(may.first().is_none_or(|may| may != "f"))
}

/// Triggers and the like on our tables that are not ours. Only the owner of the
/// tables can create them, and their execution cannot be prevented: they are only
/// reported.
pub fn added(engine: &mut Postgres) -> Result<Vec<String>> {
    const SQL: &str = "SELECT 'the trigger ' || quote_ident(t.tgname) || ' on ' || c.relname
            FROM pg_catalog.pg_trigger t
            JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = 'smtpcred' AND NOT t.tgisinternal
                AND (c.relname, t.tgname) NOT IN (('users', 'only_suspend'),
                    ('passwords', 'only_strengthen'), ('events', 'own_events'),
                    ('old_names', 'only_shorten'), ('event_marks', 'only_advance'))
        UNION ALL SELECT 'the rule ' || quote_ident(rulename) || ' on ' || tablename
            FROM pg_catalog.pg_rules WHERE schemaname = 'smtpcred'
        UNION ALL SELECT 'the policy ' || quote_ident(policyname) || ' on ' || tablename
            FROM pg_catalog.pg_policies WHERE schemaname = 'smtpcred'
        ORDER BY 1";
    let added = engine.ask(|connection| connection.simple(SQL))?;
    Ok(added.iter().map(|name| text::escaped(name)).collect())
}

/// What is missing or disabled, without which roles may do more or less than documented.
pub fn missing(engine: &mut Postgres) -> Result<Vec<String>> {
    const SQL: &str = "SELECT 'the trigger ' || ours.name || ' on ' || ours.relation
        FROM (VALUES ('users', 'only_suspend'), ('passwords', 'only_strengthen'),
            ('events', 'own_events'), ('old_names', 'only_shorten'),
            ('event_marks', 'only_advance')) AS ours (relation, name)
        WHERE NOT EXISTS (SELECT 1 FROM pg_catalog.pg_trigger t
            JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = 'smtpcred' AND c.relname = ours.relation
                AND t.tgname = ours.name AND t.tgenabled IN ('O', 'A'))
        UNION ALL SELECT CASE WHEN EXISTS (SELECT 1 FROM pg_catalog.pg_namespace
                WHERE nspname = ours.schema)
            THEN 'the view ' || ours.schema || '.' || ours.name ELSE 'the schema ' || ours.schema END
        FROM (VALUES ('smtpcred', 'dovecot_users'), ('smtpcred', 'dovecot_overlap'),
            ('smtpcred_audit', 'passwords')) AS ours (schema, name)
        WHERE NOT EXISTS (SELECT 1 FROM pg_catalog.pg_class c
            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = ours.schema AND c.relname = ours.name AND c.relkind = 'v')
        ORDER BY 1";
    engine.ask(|connection| connection.simple(SQL))
}

/// Migrates from any version, or creates the tables.
fn migrate(engine: &mut Postgres) -> Result<()> {
    let lock = format!("BEGIN READ WRITE; SELECT pg_advisory_xact_lock({LOCK})");
    engine.ask(|connection| connection.simple(&lock))?;
    let migrated = may_make_schemas(engine).and_then(|()| migrate_in_transaction(engine));
    if migrated.is_err() {
        engine.rollback();
    }
    migrated
}

/// If the schemas exist already, rights on them are needed instead of one on the database.
fn may_make_schemas(engine: &mut Postgres) -> Result<()> {
    const NEEDED: &str = "SELECT CASE
            WHEN to_regnamespace(name) IS NULL THEN
                CASE WHEN NOT has_database_privilege(current_database(), 'CREATE')
                THEN format('GRANT CREATE ON DATABASE %I TO %I', current_database(), current_user)
                END
            WHEN NOT (has_schema_privilege(name, 'CREATE') AND has_schema_privilege(name, 'USAGE'))
                THEN format('ALTER SCHEMA %I OWNER TO %I', name, current_user) END
        FROM (VALUES ('smtpcred'), ('smtpcred_audit')) AS needed (name)";
    let said = engine.ask(|connection| connection.simple(NEEDED))?;
    let cure = statements(&said);
    if cure.is_none() {
        return Ok(());
    }
    Err(Error::StoreForbidden {
        store: (&engine.store).into(),
        reason: "it cannot create tables in the schemas smtpcred and smtpcred_audit".into(),
        cure,
    })
}

/// Skips existing schemas: `CREATE SCHEMA IF NOT EXISTS` needs the right to create one anyway.
fn make(engine: &mut Postgres, step: &str) -> Result<()> {
    const THERE: &str = "SELECT nspname FROM pg_catalog.pg_namespace
        WHERE nspname IN ('smtpcred', 'smtpcred_audit')";
    let mut step = step.to_owned();
    for schema in engine.ask(|connection| connection.simple(THERE))? {
        step = step.replace(&format!("CREATE SCHEMA IF NOT EXISTS {schema};"), "");
    }
    engine
        .ask(|connection| connection.simple(&step))
        .map(|_| ())
}

/// Creates the other schema again, which a backup of the schema smtpcred alone omits.
fn make_audit(engine: &mut Postgres) -> Result<()> {
    if missing(engine)?
        .iter()
        .all(|name| !name.contains("smtpcred_audit"))
    {
        return Ok(());
    }
    engine.begin()?;
    let made = may_make_schemas(engine).and_then(|()| make(engine, include_str!("audit.sql")));
    if made.is_err() {
        engine.rollback();
        return made;
    }
    engine.commit()
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
        make(engine, step)?;
    }
    if found < CHAINED {
        chain_events(engine)?;
    }
    if found == 0 {
        engine.ask(|connection| connection.simple(&indexes::of_new_store()))?;
    }
    let version = format!("UPDATE smtpcred.store SET version = {KNOWN}; COMMIT");
    engine
        .ask(|connection| connection.simple(&version))
        .map(|_| ())
}

/// Reads all tables: a server with data checksums checks each page.
pub fn read_all(engine: &mut Postgres, patience: Duration) -> Result<Integrity> {
    const LATE: Duration = Duration::from_secs(5);
    let since = Instant::now();
    for table in TABLES {
        let left = patience.saturating_sub(since.elapsed());
        if left.is_zero() {
            return Ok(Integrity::Unfinished);
        }
        // The bare name is the view that this user may see. The server stops by itself; wait
        // a little longer than that.
        let most = left.as_millis().max(1);
        let sql = format!(
            "BEGIN READ ONLY; SET LOCAL statement_timeout = {most};
            SELECT count(*) FROM {table}; COMMIT"
        );
        match engine.ask(|connection| connection.slowly(left + LATE, &sql)) {
            Err(Error::StoreUnreachable { .. }) if since.elapsed() >= patience => {
                engine.rollback();
                return Ok(Integrity::Unfinished);
            }
            Err(Error::StoreDamaged { reason, .. }) => return Ok(Integrity::Damaged(reason)),
            read => _ = read?,
        }
    }
    Ok(Integrity::Whole)
}

/// Returns whether this database user may vacuum all tables. The server skips a table with a
/// warning otherwise
/// (<https://www.postgresql.org/docs/current/sql-vacuum.html#SQL-VACUUM-NOTES>).
pub fn may_vacuum(engine: &mut Postgres) -> Result<bool> {
    // Older servers do not know the privilege MAINTAIN.
    const SQL: &str = "SELECT bool_and(pg_has_role(c.relowner, 'USAGE')
            OR pg_has_role(d.datdba, 'USAGE')
            OR CASE WHEN CAST(current_setting('server_version_num') AS int) >= 170000
                THEN has_table_privilege(c.oid, 'MAINTAIN') ELSE false END)
        FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_catalog.pg_database d ON d.datname = current_database()
        WHERE n.nspname = 'smtpcred' AND c.relkind = 'r'";
    let may = engine.ask(|connection| connection.simple(SQL))?;
    Ok(may.first().is_some_and(|may| may == "t"))
}

/// Removes deleted rows, such as erased hashes, and collects statistics, while others read
/// and write. The server skips tables that this database user does not own, and vacuums
/// them later by itself.
pub fn vacuum(engine: &mut Postgres) -> Result<()> {
    const LONG: Duration = Duration::from_secs(3600);
    for table in TABLES {
        let sql = format!("VACUUM (ANALYZE) smtpcred.{table}");
        engine.ask(|connection| connection.slowly(LONG, &sql))?;
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

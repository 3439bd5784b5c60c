//! The tables of the file: migrated to this program's version, and compared with what
//! they should be. Anyone who can write the file can add hidden triggers and views.

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::Sqlite;
use super::chain::chain_events;
use super::deadline::WHOLE;
use super::errors::{too_new, translated};
use crate::error::{Error, Result};
use crate::model::text::escaped;
use crate::store::engine::Engine as _;
use crate::store::one_store::log::NUMBERED;

impl Sqlite {
    pub(super) fn migrate(&mut self) -> Result<()> {
        if self.found_schema()? == self.kind.known() {
            return Ok(());
        }
        self.batch("BEGIN IMMEDIATE")?;
        let migrated = self.migrate_in_transaction();
        if migrated.is_err() {
            // Fails if SQLite has already rolled back, which has the same effect.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        // The log still holds what a step removed.
        self.scrub();
        migrated
    }

    fn migrate_in_transaction(&self) -> Result<()> {
        // Read again: another process may have been faster.
        let found = self.found_schema()?;
        let steps = usize::try_from(found)
            .ok()
            .and_then(|n| self.kind.migrations.get(n..));
        let Some(steps) = steps else {
            return Err(too_new(&self.path, found, self.kind.known()));
        };
        if found == 0 {
            self.batch(self.kind.set_application_id)?;
        }
        self.with_writable_schema(|| {
            // Views that were added and are broken: renaming a column leaves them as they are.
            self.batch("PRAGMA writable_schema = ON")?;
            let stepped = steps
                .iter()
                .try_for_each(|step| self.batch_within(WHOLE, step));
            self.batch("PRAGMA writable_schema = OFF")?;
            stepped
        })?;
        if self.kind.chained.is_some_and(|chained| found < chained) {
            self.deadline.begin_within(WHOLE);
            chain_events(&self.connection).map_err(|e| translated(&self.path, &e))?;
        }
        self.batch(&format!("PRAGMA user_version = {}", self.kind.known()))?;
        self.number_in_transaction()?;
        // As long as the change can still be rolled back.
        self.compare()?;
        self.batch("COMMIT")
    }

    /// Gives a store without a number its own: a random schema cookie, which identifies
    /// the log of another store. SQLite's backups of a store have none. It is optional:
    /// without it fewer logs are recognised, so failures are ignored.
    pub(super) fn number(&mut self) {
        if !self.is_numbered().is_ok_and(|numbered| !numbered) {
            return;
        }
        if self.begin_now().is_ok() {
            if self.number_in_transaction().is_ok() && self.batch("COMMIT").is_ok() {
                // The next log starts with this number.
                self.scrub();
            } else {
                self.rollback();
            }
        }
    }

    fn number_in_transaction(&self) -> Result<()> {
        if self.is_numbered()? {
            return Ok(());
        }
        let failed = |e: rusqlite::Error| translated(&self.path, &e);
        let random: u32 = self
            .connection
            .query_row("SELECT abs(random() % (1 << 30))", [], |row| row.get(0))
            .map_err(failed)?;
        let cookie = NUMBERED + random;
        self.with_writable_schema(|| self.batch(&format!("PRAGMA schema_version = {cookie}")))
    }

    /// Runs what SQLite otherwise refuses to protect the schema.
    fn with_writable_schema(&self, run: impl FnOnce() -> Result<()>) -> Result<()> {
        let defensive = |on| {
            self.connection
                .set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, on)
                .map_err(|e| translated(&self.path, &e))
        };
        defensive(false)?;
        let ran = run();
        defensive(true)?;
        ran
    }

    fn is_numbered(&self) -> Result<bool> {
        let cookie: i64 = self
            .connection
            .query_row("PRAGMA schema_version", [], |row| row.get(0))
            .map_err(|e| translated(&self.path, &e))?;
        Ok(!(0..i64::from(NUMBERED)).contains(&cookie))
    }

    pub(super) fn found_schema(&self) -> Result<i64> {
        self.connection
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .map_err(|e| translated(&self.path, &e))
    }
}

/// Everything except what SQLite creates itself.
const OBJECTS: &str = "SELECT type, name, tbl_name, COALESCE(sql, '') FROM sqlite_schema
    WHERE NOT (type = 'table' AND name IN ('sqlite_sequence', 'sqlite_stat1', 'sqlite_stat4'))
    ORDER BY type, name";

/// A table, an index, a view or a trigger.
#[derive(Debug, PartialEq, Eq)]
struct Object {
    kind: String,
    name: String,
    table: String,
    sql: String,
}

impl Sqlite {
    /// Refuses a store whose tables, indexes or views were changed, and returns the
    /// names of what was added: that is not run.
    pub(super) fn compare(&self) -> Result<Vec<String>> {
        let failed = |e: rusqlite::Error| translated(&self.path, &e);
        self.deadline.begin();
        if fingerprint(&self.connection).map_err(failed)? == self.kind.as_made {
            return Ok(Vec::new());
        }
        let found = objects(&self.connection).map_err(failed)?;
        let made = Connection::open_in_memory()
            .and_then(|made| {
                let mut steps = self.kind.migrations.iter();
                steps.try_for_each(|step| made.execute_batch(step))?;
                objects(&made)
            })
            .map_err(failed)?;
        added(&made, &found).map_err(|reason| Error::StoreDamaged {
            store: self.path.as_path().into(),
            reason,
        })
    }
}

/// Returns the objects that were added; fails if an original one was changed or is
/// missing.
fn added(made: &[Object], found: &[Object]) -> std::result::Result<Vec<String>, String> {
    for object in made {
        let same = |found: &&Object| found.kind == object.kind && found.name == object.name;
        match found.iter().find(same) {
            Some(found) if found == object => {}
            Some(_) => {
                return Err(format!(
                    "its {} {} is not as smtpcred created it",
                    object.kind, object.name
                ));
            }
            None => return Err(format!("its {} {} is missing", object.kind, object.name)),
        }
    }
    let mut names = Vec::new();
    for object in found.iter().filter(|found| !made.contains(found)) {
        let name = escaped(&object.name);
        // Our statements would use it.
        let ours = |made: &Object| made.kind == "table" && made.name == object.table;
        if object.kind == "index" && made.iter().any(ours) {
            return Err(format!(
                "the index {name} on its table {} is not smtpcred's",
                object.table
            ));
        }
        names.push(format!("the {} {name}", object.kind));
    }
    Ok(names)
}

fn objects(store: &Connection) -> rusqlite::Result<Vec<Object>> {
    let mut statement = store.prepare(OBJECTS)?;
    let found = statement.query_map([], |row| {
        Ok(Object {
            kind: row.get(0)?,
            name: row.get(1)?,
            table: row.get(2)?,
            sql: row.get(3)?,
        })
    })?;
    found.collect()
}

fn fingerprint(store: &Connection) -> rusqlite::Result<String> {
    let mut statement = store.prepare(OBJECTS)?;
    let mut rows = statement.query([])?;
    let mut sum = blake3::Hasher::new();
    while let Some(row) = rows.next()? {
        for column in 0..4 {
            let text = row.get_ref(column)?.as_bytes_or_null()?.unwrap_or_default();
            sum.update(text);
            // Never occurs in SQL.
            sum.update(&[0]);
        }
    }
    Ok(sum.finalize().to_hex().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::file_kind::{FileKind, MESSAGES, STORE};

    fn made() -> Connection {
        made_of(&STORE)
    }

    fn made_of(kind: &FileKind) -> Connection {
        let made = Connection::open_in_memory().unwrap();
        for step in kind.migrations {
            made.execute_batch(step).unwrap();
        }
        made
    }

    #[test]
    fn the_fingerprint_matches_the_migrations() {
        // After a new migration, copy the fingerprint shown here.
        for kind in [&STORE, &MESSAGES] {
            assert_eq!(fingerprint(&made_of(kind)).unwrap(), kind.as_made);
            let analyzed = made_of(kind);
            analyzed.execute_batch("ANALYZE").unwrap();
            assert_eq!(fingerprint(&analyzed).unwrap(), kind.as_made);
        }
    }

    #[test]
    fn only_tables_with_an_index_of_all_their_rows_are_analyzed() {
        const TABLES: &str = "SELECT t.name, min(COALESCE(i.partial, 1)) = 0
            FROM sqlite_schema t LEFT JOIN pragma_index_list(t.name) i
            WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%' GROUP BY t.name";
        for kind in [&STORE, &MESSAGES] {
            let store = made_of(kind);
            let mut tables = store.prepare(TABLES).unwrap();
            let tables = tables
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
                .unwrap();
            for table in tables {
                let (name, indexed): (String, bool) = table.unwrap();
                assert_eq!(kind.analyzed.contains(&name.as_str()), indexed, "{name}");
            }
        }
    }

    #[test]
    fn additions_are_named_and_changes_refused() {
        let added_by = |sql: &str| {
            let store = made();
            store.execute_batch(sql).unwrap();
            assert_ne!(fingerprint(&store).unwrap(), STORE.as_made, "{sql}");
            added(&objects(&made()).unwrap(), &objects(&store).unwrap())
        };
        let undo = "CREATE TRIGGER undo AFTER UPDATE ON users BEGIN SELECT 1; END";
        for (sql, names) in [
            (undo, "the trigger undo"),
            ("CREATE VIEW mine AS SELECT 1", "the view mine"),
            ("CREATE TABLE mine (x)", "the table mine"),
            (
                "CREATE TABLE m (x UNIQUE)",
                "the index sqlite_autoindex_m_1, the table m",
            ),
        ] {
            assert_eq!(added_by(sql).unwrap().join(", "), names);
        }
        for sql in [
            "DROP TABLE settings; CREATE VIEW settings AS SELECT 1 AS name, 2 AS value",
            "CREATE UNIQUE INDEX one ON events (action)",
            "DROP INDEX users_by_domain",
            "DROP VIEW dovecot_users; CREATE VIEW dovecot_users AS SELECT 1 AS username",
            "ALTER TABLE users ADD COLUMN x INTEGER AS (1)",
        ] {
            assert!(added_by(sql).is_err(), "{sql}");
        }
    }
}

//! Holds the rows of an import until all of them are checked, in a temporary database of
//! SQLite, which has no name and ends with the process, whatever the store is.

use rusqlite::{Connection, params};

use crate::error::{Error, Result};
use crate::model::name::Username;
use crate::model::time::Time;

/// A temporary table on disk.
pub struct Staging(Connection);

/// A staged row.
pub struct Staged {
    /// Numbered in order of arrival.
    pub id: i64,
    /// The user.
    pub username: Username,
    /// The row's number in the file.
    pub place: i64,
    /// Its record.
    pub record: String,
}

impl Staging {
    /// Creates an empty one, which ends with the process.
    pub fn open() -> Result<Self> {
        const SQL: &str = "PRAGMA journal_mode = OFF;
            CREATE TABLE staged (id INTEGER PRIMARY KEY, username TEXT NOT NULL,
                place INTEGER NOT NULL, record TEXT NOT NULL, done INTEGER NOT NULL DEFAULT 0);
            CREATE TABLE leaving (username TEXT PRIMARY KEY, created_at INTEGER NOT NULL)
                WITHOUT ROWID;
            BEGIN";
        let connection = Connection::open("").map_err(|e| failed(&e))?;
        connection.execute_batch(SQL).map_err(|e| failed(&e))?;
        Ok(Self(connection))
    }

    /// Adds a row.
    pub fn add(&self, username: &Username, place: i64, record: &str) -> Result<()> {
        const SQL: &str = "INSERT INTO staged (username, place, record) VALUES (?1, ?2, ?3)";
        self.execute(SQL, params![username.as_str(), place, record])
    }

    /// Sorts the rows, once all are added.
    pub fn sort(&self) -> Result<()> {
        self.execute("CREATE INDEX staged_by_name ON staged (username)", [])
    }

    /// Returns up to `limit` rows after a name and number, by name.
    pub fn next(&self, after: (&str, i64), limit: u32) -> Result<Vec<Staged>> {
        const SQL: &str = "SELECT username, id, place, record FROM staged
            WHERE (username, id) > (?1, ?2) AND done = 0 ORDER BY username, id LIMIT ?3";
        let found = self.query(SQL, params![after.0, after.1, limit], |row| {
            let username: String = row.get(0)?;
            Ok((username, row.get(1)?, row.get(2)?, row.get(3)?))
        })?;
        let staged = found.into_iter().map(|(username, id, place, record)| {
            let username = username.parse()?;
            Ok(Staged {
                id,
                username,
                place,
                record,
            })
        });
        staged.collect()
    }

    /// Returns whether the file has this user, skipped or not.
    pub fn has(&self, username: &Username) -> Result<bool> {
        const SQL: &str = "SELECT 1 FROM staged WHERE username = ?1 LIMIT 1";
        let found = self.query(SQL, params![username.as_str()], |_| Ok(()))?;
        Ok(!found.is_empty())
    }

    /// Skips a row.
    pub fn leave_out(&self, id: i64) -> Result<()> {
        self.execute("UPDATE staged SET done = 1 WHERE id = ?1", [id])
    }

    /// Adds a user to delete, if it is still the one created at that time.
    pub fn add_leaving(&self, username: &Username, created_at: Time) -> Result<()> {
        const SQL: &str = "INSERT INTO leaving (username, created_at) VALUES (?1, ?2)";
        self.execute(SQL, params![username.as_str(), created_at.epoch()])
    }

    /// Returns up to `limit` users to delete after a name.
    pub fn next_leaving(&self, after: &str, limit: u32) -> Result<Vec<(Username, Time)>> {
        const SQL: &str = "SELECT username, created_at FROM leaving
            WHERE username > ?1 ORDER BY username LIMIT ?2";
        let found = self.query(SQL, params![after, limit], |row| {
            let username: String = row.get(0)?;
            Ok((username, row.get(1)?))
        })?;
        found
            .into_iter()
            .map(|(username, at)| Ok((username.parse()?, Time::from_epoch(at))))
            .collect()
    }

    fn execute(&self, sql: &str, args: impl rusqlite::Params) -> Result<()> {
        let mut statement = self.0.prepare_cached(sql).map_err(|e| failed(&e))?;
        statement.execute(args).map_err(|e| failed(&e))?;
        Ok(())
    }

    fn query<T>(
        &self,
        sql: &str,
        args: impl rusqlite::Params,
        read: impl FnMut(&rusqlite::Row) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let mut statement = self.0.prepare_cached(sql).map_err(|e| failed(&e))?;
        let rows = statement.query_map(args, read).map_err(|e| failed(&e))?;
        rows.collect::<rusqlite::Result<_>>()
            .map_err(|e| failed(&e))
    }
}

fn failed(error: &rusqlite::Error) -> Error {
    Error::System(format!(
        "cannot keep the rows in a temporary file (SQLITE_TMPDIR, /var/tmp or /tmp): {error}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_by_name_and_arrival() {
        let staging = Staging::open().unwrap();
        let named = |name: &str| -> Username { format!("{name}@example.com").parse().unwrap() };
        for (name, place) in [("two", 1), ("new", 2), ("two", 2)] {
            staging
                .add(&named(name), place, &format!("record {place}"))
                .unwrap();
        }
        staging.sort().unwrap();
        let all = staging.next(("", 0), 10).unwrap();
        let found: Vec<_> = all
            .iter()
            .map(|row| (row.username.as_str(), row.place, row.record.as_str()))
            .collect();
        assert_eq!(
            found,
            [
                ("new@example.com", 2, "record 2"),
                ("two@example.com", 1, "record 1"),
                ("two@example.com", 2, "record 2"),
            ]
        );
        let after = ("two@example.com", all[1].id);
        assert_eq!(staging.next(after, 10).unwrap().len(), 1);
        assert_eq!(staging.next(("", 0), 1).unwrap().len(), 1);
        for row in &all[1..] {
            staging.leave_out(row.id).unwrap();
        }
        assert_eq!(staging.next(("", 0), 10).unwrap().len(), 1);
        assert!(staging.has(&named("two")).unwrap(), "it came all the same");
        assert!(!staging.has(&named("other")).unwrap());
    }

    #[test]
    fn leaving_users_keep_their_time_of_creation() {
        let staging = Staging::open().unwrap();
        for (name, at) in [("b@example.com", 2), ("a@example.com", 1)] {
            let created_at = Time::from_epoch(at);
            staging
                .add_leaving(&name.parse().unwrap(), created_at)
                .unwrap();
        }
        let first = staging.next_leaving("", 1).unwrap();
        assert_eq!(first[0].0.as_str(), "a@example.com");
        let second = staging.next_leaving("a@example.com", 5).unwrap();
        assert_eq!(second[0].1, Time::from_epoch(2));
    }
}

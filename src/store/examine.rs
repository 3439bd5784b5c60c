//! What `doctor` asks a store.

use std::time::Duration;

use super::Store;
use super::engine::{Integrity, Replica};
use crate::error::Result;
use crate::model::time::Time;

/// Versions of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schema {
    /// The version of the store.
    pub found: i64,
    /// The version of this program.
    pub known: i64,
}

impl Store {
    /// Returns both versions.
    pub fn schema(&mut self) -> Result<Schema> {
        let (found, known) = self.engine.schema()?;
        Ok(Schema { found, known })
    }

    /// Returns the servers of a URL that names several, as they answered at opening.
    pub fn servers(&self) -> Vec<Replica> {
        self.engine.servers()
    }

    /// Returns what others added to the tables, such as `the trigger undo`. In a file it
    /// never runs.
    pub fn added(&mut self) -> Result<Vec<String>> {
        self.engine.added()
    }

    /// Returns the missing triggers, views and schemas that the rights of roles depend on.
    pub fn missing(&mut self) -> Result<Vec<String>> {
        self.engine.missing()
    }

    /// Returns the indexes that are missing or unfinished: without them some lists read
    /// whole tables.
    pub fn missing_indexes(&mut self) -> Result<Vec<String>> {
        self.engine.missing_indexes()
    }

    /// Reads everything, up to this time limit.
    pub fn check(&mut self, patience: Duration) -> Result<Integrity> {
        self.engine.check(patience)
    }

    /// Returns the latest time of the last 100 events; `None` if there are none.
    pub fn newest_event(&mut self) -> Result<Option<Time>> {
        const SQL: &str = "SELECT max(at) FROM
            (SELECT at FROM events ORDER BY id DESC LIMIT 100) AS latest";
        let mut newest = None;
        self.engine.query(SQL, &[], &mut |row| {
            newest = row.opt_time(0)?;
            Ok(())
        })?;
        Ok(newest)
    }

    /// Returns whether any rule rotates passwords by their age.
    pub fn rotates(&mut self) -> Result<bool> {
        const SQL: &str = "SELECT count(*) FROM rotation_rules WHERE every IS NOT NULL";
        let mut rules = 0;
        self.engine.query(SQL, &[], &mut |row| {
            rules = row.int(0)?;
            Ok(())
        })?;
        Ok(rules > 0)
    }
}

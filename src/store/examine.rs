//! What `doctor` asks a store.

use std::time::Duration;

use super::Store;
use super::engine::Integrity;
use crate::error::Result;
use crate::model::time::Time;

/// Versions of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schema {
    pub found: i64,
    pub known: i64,
}

impl Store {
    pub fn schema(&mut self) -> Result<Schema> {
        let (found, known) = self.engine.schema()?;
        Ok(Schema { found, known })
    }

    /// Reads everything, for so long at most.
    pub fn check(&mut self, patience: Duration) -> Result<Integrity> {
        self.engine.check(patience)
    }

    /// Of the latest events.
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

    /// Whether any password is replaced by its age.
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

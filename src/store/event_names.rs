//! An index of events by the names in them, for SQLite. `CREATE INDEX` would block writers
//! for seconds with years of events, so a table is written in blocks: the names of a number
//! of consecutive events, sorted, in one short change. Events after the last block are read
//! from the table of events, so none is missed, whichever version writes it and whatever is
//! killed.
//!
//! PostgreSQL has real indexes: see `postgres/indexes.rs`.

use super::engine::Arg;
use super::event_filter::EventFilter;
use super::{Store, Tx};
use crate::error::Result;

/// Events in a block. A larger block takes longer to write; more of the smaller ones have to
/// be searched.
pub(super) const BLOCK: i64 = 8192;

impl Store {
    /// Returns how many blocks exist.
    pub fn event_blocks(&mut self) -> Result<i64> {
        const SQL: &str = "SELECT COALESCE(max(block) + 1, 0) FROM event_names";
        if self.engine.indexes_events() {
            return Ok(0);
        }
        self.number(SQL, &[])
    }

    /// Returns how many blocks the events fill.
    pub fn event_blocks_wanted(&mut self) -> Result<i64> {
        if self.engine.indexes_events() {
            return Ok(0);
        }
        Ok(self.last_event()? / BLOCK)
    }

    /// Returns the number of the latest event.
    pub fn last_event(&mut self) -> Result<i64> {
        const SQL: &str = "SELECT COALESCE(max(id), 0) FROM events";
        self.number(SQL, &[])
    }

    /// Creates the missing indexes of a database while others write, and reports before each
    /// how many are left.
    pub fn create_event_indexes(&mut self, each: &mut dyn FnMut(u64)) -> Result<()> {
        self.engine.index_events(each)
    }

    /// Returns the number before that of the first event that may be late enough for a filter.
    pub(super) fn first_since(&mut self, filter: &EventFilter, blocks: i64) -> Result<i64> {
        const LATEST: &str = "SELECT event FROM event_names WHERE block = $1 AND name = ''";
        let Some(since) = filter.since else {
            return Ok(0);
        };
        for block in 0..blocks {
            if self.number(LATEST, &[block.into()])? >= since.epoch() {
                return Ok(block * BLOCK);
            }
        }
        Ok(blocks * BLOCK)
    }

    pub(super) fn number(&mut self, sql: &'static str, args: &[Arg]) -> Result<i64> {
        let mut number = 0;
        self.engine.query(sql, args, &mut |row| {
            number = row.int(0)?;
            Ok(())
        })?;
        Ok(number)
    }
}

impl Tx<'_> {
    /// Writes the next block if it is full, and returns whether it was.
    pub fn index_events(&mut self) -> Result<bool> {
        const NAMES: &str = "INSERT INTO event_names (block, name, event)
            SELECT $1, name, id FROM (
                SELECT username AS name, id FROM events WHERE id > $2 AND id <= $3
                UNION SELECT domain, id FROM events WHERE id > $2 AND id <= $3
                UNION SELECT actor, id FROM events WHERE id > $2 AND id <= $3
                -- A rename is also found by the domain that the user has left.
                UNION SELECT substr(fields ->> 'old', instr(fields ->> 'old', '@') + 1), id
                    FROM events WHERE id > $2 AND id <= $3 AND action = 'user.rename')
            WHERE name <> '' ORDER BY name, id";
        const LATEST: &str = "INSERT INTO event_names (block, name, event)
            SELECT $1, '', COALESCE(max(at), 0) FROM events WHERE id > $2 AND id <= $3";
        let wanted = self.store.event_blocks_wanted()?;
        let block = self.store.event_blocks()?;
        if block >= wanted {
            return Ok(false);
        }
        let args = [block, block * BLOCK, (block + 1) * BLOCK].map(Into::into);
        self.execute(LATEST, &args)?;
        self.execute(NAMES, &args)?;
        Ok(true)
    }
}

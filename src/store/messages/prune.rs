//! Deletes messages: old ones, those of names without a user, and the oldest if they take
//! too much room.

use super::MessageStore;
use crate::error::Result;
use crate::model::log_time::LogTime;
use crate::store::engine::{Arg, Space};

/// How many messages share a transaction.
const PIECE: u32 = 1000;

/// Deletes up to `$2` messages that a condition selects, the oldest first, with what
/// belongs to them.
macro_rules! forget {
    ($table:literal, $key:literal, $condition:literal) => {
        concat!(
            "DELETE FROM ",
            $table,
            " WHERE ",
            $key,
            " IN (SELECT id FROM messages WHERE ",
            $condition,
            " ORDER BY at, id LIMIT $2)"
        )
    };
}

macro_rules! forget_all {
    ($condition:literal) => {
        [
            forget!("message_recipients", "message", $condition),
            forget!("message_later_ids", "message", $condition),
            forget!("messages", "id", $condition),
        ]
    };
}

const OLD: [&str; 3] = forget_all!("at < $1");
const OF_NAME: [&str; 3] = forget_all!("username = $1");

impl MessageStore {
    /// Counts the messages from before a time.
    pub fn older_than(&mut self, before: LogTime) -> Result<u64> {
        const SQL: &str = "SELECT count(*) FROM messages WHERE at < $1";
        let mut count = 0;
        self.engine
            .query(SQL, &[before.micros().into()], &mut |row| {
                count = row.int(0)?.unsigned_abs();
                Ok(())
            })?;
        Ok(count)
    }

    /// Deletes a few of the messages and refusals from before a time. Returns how many
    /// messages; 0 at the end.
    pub fn forget_older(&mut self, before: LogTime) -> Result<u64> {
        const REFUSED: &str = "DELETE FROM message_refusals WHERE id IN
            (SELECT id FROM message_refusals WHERE at < $1 ORDER BY at, id LIMIT $2)";
        self.change(|this| {
            let args = [before.micros().into(), PIECE.into()];
            this.engine.execute(REFUSED, &args)?;
            this.forget(OLD, args)
        })
    }

    /// Deletes a few of the oldest messages. Returns how many.
    pub fn forget_oldest(&mut self) -> Result<u64> {
        self.forget_older(LogTime::from_micros(i64::MAX))
    }

    /// Deletes a few of the messages of a name. Returns how many; 0 at the end.
    pub fn forget_name(&mut self, username: &str) -> Result<u64> {
        self.change(|this| this.forget(OF_NAME, [username.into(), PIECE.into()]))
    }

    fn forget(&mut self, statements: [&'static str; 3], args: [Arg; 2]) -> Result<u64> {
        let mut forgotten = 0;
        for sql in statements {
            forgotten = self.engine.execute(sql, &args)?;
        }
        Ok(forgotten as u64)
    }

    /// Returns the names that messages have, those after a name and up to a number.
    pub fn names_after(&mut self, after: &str, most: usize) -> Result<Vec<String>> {
        // DISTINCT would read all rows.
        const NEXT: &str = "SELECT username FROM messages WHERE username > $1
            ORDER BY username LIMIT 1";
        let mut names: Vec<String> = Vec::new();
        while names.len() < most {
            let after = names.last().map_or(after, String::as_str).to_owned();
            let mut next = None;
            self.engine
                .query(NEXT, &[after.as_str().into()], &mut |row| {
                    next = Some(row.text(0)?.to_owned());
                    Ok(())
                })?;
            let Some(next) = next else {
                break;
            };
            names.push(next);
        }
        Ok(names)
    }

    /// Returns how many bytes the messages take.
    pub fn size(&mut self) -> Result<u64> {
        const SQL: &str = "SELECT CAST(pg_total_relation_size('messages')
            + pg_total_relation_size('message_recipients') AS BIGINT)";
        if let Some(Space { whole, unused, .. }) = self.engine.space()? {
            return Ok(whole - unused.min(whole));
        }
        let mut size = 0;
        self.engine.query(SQL, &[], &mut |row| {
            size = row.int(0)?.unsigned_abs();
            Ok(())
        })?;
        Ok(size)
    }

    /// Gives unused space back to the system.
    pub fn shrink(&mut self) -> Result<()> {
        while let Some(Space {
            unused, gradually, ..
        }) = self.engine.space()?
            && gradually
            && unused > 0
        {
            self.engine.shrink()?;
            if self
                .engine
                .space()?
                .is_none_or(|left| left.unused >= unused)
            {
                break;
            }
        }
        self.engine.scrub();
        Ok(())
    }
}

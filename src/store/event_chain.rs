//! Chains events: see [`crate::model::event_chain`]. Only one change at a time is under way, on
//! all machines that share the store, so it knows the last event from its beginning to its
//! commit.

use super::chain_end::ChainEnd;
use super::engine::{Arg, Row};
use super::event_names::BLOCK;
use super::{Store, Tx};
use crate::error::{Error, Result};
use crate::model::event::{Action, Fields};
use crate::model::event_chain::{ChainBegin, ChainCheck, ChainMarks, ChainPlace, EventColumns};
use crate::model::time::Time;

/// Events that a statement removes.
const REMOVED: i64 = 50_000;
const HEAD: &str = "head";
const ARCHIVED: &str = "archived";
const BEGUN: &str = "begun";

impl Store {
    /// Returns what is recorded about the chain.
    pub fn chain_marks(&mut self) -> Result<ChainMarks> {
        const SQL: &str = "SELECT mark, event, hash, at FROM event_marks";
        let mut marks = ChainMarks::default();
        self.engine.query(SQL, &[], &mut |row| {
            let id = row.int(1)?;
            let hash = row.text(2)?;
            let place = ChainPlace {
                id,
                hash: hash.parse().map_err(|_| row.not_valid(hash))?,
            };
            match row.text(0)? {
                HEAD => marks.head = Some(place),
                ARCHIVED => marks.archived = Some(place),
                BEGUN => {
                    let at = row.time(3)?;
                    marks.begun = Some(ChainBegin { id, at });
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(marks)
    }

    /// Passes up to a number of events to a check, from where it is. Returns whether there may
    /// be more.
    pub fn read_chain(&mut self, check: &mut ChainCheck, most: u32) -> Result<bool> {
        const SQL: &str = "SELECT id, at, actor, run_as, host, action, domain, username, fields,
            hash FROM events WHERE id > $1 ORDER BY id LIMIT $2";
        let mut read = 0;
        let args = [check.last().id.into(), most.into()];
        self.engine.query(SQL, &args, &mut |row| {
            read += 1;
            check.add(&columns(row)?, row.opt_text(9)?);
            Ok(())
        })?;
        Ok(read == most)
    }

    /// Returns the place of the event before the latest ones; `None` if there are not more.
    pub fn chain_before_latest(&mut self, latest: u32) -> Result<Option<ChainPlace>> {
        const SQL: &str = "SELECT id, hash FROM events ORDER BY id DESC LIMIT 1 OFFSET $1";
        self.chain_place(SQL, &[latest.into()])
    }

    /// Returns the place of the last event before a number.
    fn chain_before_id(&mut self, id: i64) -> Result<Option<ChainPlace>> {
        const SQL: &str = "SELECT id, hash FROM events WHERE id < $1 ORDER BY id DESC LIMIT 1";
        self.chain_place(SQL, &[id.into()])
    }

    fn chain_place(&mut self, sql: &'static str, args: &[Arg]) -> Result<Option<ChainPlace>> {
        let mut found = None;
        self.engine.query(sql, args, &mut |row| {
            let hash = row.opt_text(1)?.and_then(|hash| hash.parse().ok());
            found = Some(ChainPlace {
                id: row.int(0)?,
                hash: hash.unwrap_or_default(),
            });
            Ok(())
        })?;
        Ok(found)
    }

    /// Returns the place of the last event before the first one at this time or later; `None`
    /// if there is none.
    pub fn chain_before(&mut self, at: Time) -> Result<Option<ChainPlace>> {
        const SQL: &str = "SELECT id, hash FROM events
            WHERE id < COALESCE((SELECT min(id) FROM events WHERE at >= $1), $2)
            ORDER BY id DESC LIMIT 1";
        self.chain_place(SQL, &[at.into(), i64::MAX.into()])
    }

    /// Returns how many events there are up to one of them.
    pub fn count_events_to(&mut self, last: i64) -> Result<u32> {
        const SQL: &str = "SELECT count(*) FROM events WHERE id <= $1";
        let count = self.number(SQL, &[last.into()])?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }
}

fn columns(row: &dyn Row) -> Result<EventColumns<'_>> {
    Ok(EventColumns {
        id: row.int(0)?,
        at: row.int(1)?,
        actor: row.text(2)?,
        run_as: row.opt_text(3)?,
        host: row.text(4)?,
        action: row.text(5)?,
        domain: row.opt_text(6)?,
        username: row.opt_text(7)?,
        fields: row.text(8)?,
    })
}

impl Tx<'_> {
    /// Returns where the chain ends, with the events of this change.
    pub(super) fn chain_end(&mut self) -> Result<&mut ChainEnd> {
        const LAST: &str = "SELECT COALESCE(max(id), 0) FROM events";
        if self.chain_end.is_none() {
            let said = self.store.engine.chain_end();
            self.chain_end = said.as_deref().and_then(ChainEnd::said);
        }
        match &mut self.chain_end {
            Some(end) => Ok(end),
            none => {
                let head = self.store.chain_marks()?.head;
                let last = self.store.number(LAST, &[])?;
                Ok(none.insert(ChainEnd::new(head, last, None)))
            }
        }
    }

    /// Reads the end again, after events came with their numbers and hashes.
    pub(super) fn read_chain_end_again(&mut self) {
        // What was said at the beginning is no longer true.
        self.store.engine.chain_end();
        self.chain_end = None;
    }

    /// Removes archived events, and records where the chain goes on. Fails if they are no longer
    /// those that were archived.
    pub fn remove_archived(
        &mut self,
        after: ChainPlace,
        head: ChainPlace,
        events: u32,
        file: &str,
    ) -> Result<()> {
        const MARK: &str = "INSERT INTO event_marks (mark, event, hash, at)
            VALUES ('archived', $1, $2, $3) ON CONFLICT (mark)
            DO UPDATE SET event = excluded.event, hash = excluded.hash, at = excluded.at";
        const REMOVE: &str = "DELETE FROM events WHERE id <= $1";
        const NAMES: &str = "DELETE FROM event_names WHERE block < $1 AND name <> ''";
        let marks = self.store.chain_marks()?;
        let now = self.store.chain_before_id(head.id + 1)?;
        if marks.archived.unwrap_or_default() != after
            || now != Some(head)
            || self.store.count_events_to(head.id)? != events
        {
            return Err(Error::Inconsistent(
                "the events were changed or archived meanwhile; nothing was removed".into(),
            ));
        }
        self.keep_installation()?;
        // In pieces: each statement has a deadline.
        let mut removed = after.id;
        while removed < head.id {
            removed = (removed + REMOVED).min(head.id);
            self.execute(REMOVE, &[removed.into()])?;
        }
        if !self.store.engine.indexes_events() {
            // The first name of a block stays: it counts the blocks.
            self.execute(NAMES, &[(head.id / BLOCK).into()])?;
        }
        let (at, hash) = (self.stamp.at, head.hash.to_string());
        self.execute(MARK, &[head.id.into(), hash.as_str().into(), at.into()])?;
        let fields = Fields::default()
            .with("file", file)
            .with("events", events)
            .with("last", head.id)
            .with("hash", hash);
        self.event(Action::AuditArchive, None, None, &fields)
    }

    /// Records the last event: once, not once for each of a million.
    pub(super) fn record_chain_end(&mut self) -> Result<()> {
        const SQL: &str = "INSERT INTO event_marks (mark, event, hash, at)
            VALUES ('head', $1, $2, $3) ON CONFLICT (mark)
            DO UPDATE SET event = excluded.event, hash = excluded.hash, at = excluded.at";
        let unrecorded = self.chain_end.as_mut().and_then(ChainEnd::unrecorded);
        let Some(ChainPlace { id, hash }) = unrecorded else {
            return Ok(());
        };
        let at = self.stamp.at;
        self.later(
            SQL,
            &[id.into(), hash.to_string().as_str().into(), at.into()],
        )
    }
}

//! Reads single messages, and how far the logs were read.

use super::row::{self, columns};
use super::{MessagePlace, MessageStore};
use crate::error::Result;
use crate::model::followed_message::{
    FollowedMessage, MessageState, RecordedMessage, RefusedMessage,
};
use crate::model::log_position::LogPosition;
use crate::model::log_time::LogTime;
use crate::store::engine::{Arg, Row};

impl MessageStore {
    /// Returns the messages with this id, the newest first: ids are used again. If it is the
    /// first id of none, those that had it later.
    pub fn find(&mut self, queue_id: &str) -> Result<Vec<RecordedMessage>> {
        const FIRST: &str = concat!(
            "SELECT ",
            columns!(),
            " FROM messages m WHERE m.queue_id = $1 ORDER BY m.at DESC, m.id DESC"
        );
        const LATER: &str = concat!(
            "SELECT ",
            columns!(),
            " FROM message_later_ids l JOIN messages m ON m.id = l.message
                WHERE l.queue_id = $1 ORDER BY m.at DESC, m.id DESC"
        );
        for sql in [FIRST, LATER] {
            let found = self.messages(sql, &[queue_id.into()])?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Ok(Vec::new())
    }

    /// Returns the place of the message with this id, for the next page of a list.
    pub fn place_of(&mut self, queue_id: &str) -> Result<Option<MessagePlace>> {
        Ok(self.find(queue_id)?.first().map(MessagePlace::of))
    }

    /// Passes on all messages about which more may come, the oldest first.
    pub fn unsettled(&mut self, each: &mut dyn FnMut(FollowedMessage) -> Result<()>) -> Result<()> {
        const SQL: &str = concat!(
            "SELECT ",
            columns!(),
            " FROM messages m WHERE m.settled = 0 AND m.id > $1 ORDER BY m.id LIMIT 500"
        );
        let mut after = 0;
        loop {
            let found = self.messages(SQL, &[after.into()])?;
            let Some(last) = found.last() else {
                return Ok(());
            };
            after = last.id;
            for recorded in found {
                each(recorded.message)?;
            }
        }
    }

    /// Returns how far each log was read.
    pub fn positions(&mut self) -> Result<Vec<LogPosition>> {
        const SQL: &str = "SELECT source, device, inode, read_to, cursor, read_at, log_at, dropped
            FROM log_positions ORDER BY source";
        let mut positions = Vec::new();
        self.engine.query(SQL, &[], &mut |row| {
            positions.push(position(row)?);
            Ok(())
        })?;
        Ok(positions)
    }

    /// Returns what clients were refused from a time on, oldest first.
    pub fn refused_since(&mut self, since: LogTime) -> Result<Vec<RefusedMessage>> {
        const SQL: &str = "SELECT queue_id, host, at, username, dsn, reply FROM message_refusals
            WHERE at >= $1 ORDER BY at, id";
        let mut refused = Vec::new();
        self.engine
            .query(SQL, &[since.micros().into()], &mut |row| {
                refused.push(row::refused(row)?);
                Ok(())
            })?;
        Ok(refused)
    }

    /// Returns how many recipients of the messages from a time on are in each state.
    pub fn states_since(&mut self, since: LogTime) -> Result<Vec<(MessageState, u64)>> {
        const SQL: &str = "SELECT r.state, CAST(sum(r.count) AS BIGINT)
            FROM messages m JOIN message_recipients r ON r.message = m.id
            WHERE m.at >= $1 GROUP BY r.state ORDER BY r.state";
        let mut states = Vec::new();
        self.engine
            .query(SQL, &[since.micros().into()], &mut |row| {
                let state = MessageState::named(row.text(0)?).unwrap_or(MessageState::Unknown);
                states.push((state, row.int(1)?.unsigned_abs()));
                Ok(())
            })?;
        Ok(states)
    }

    fn messages(&mut self, sql: &'static str, args: &[Arg]) -> Result<Vec<RecordedMessage>> {
        let mut found = Vec::new();
        self.engine.query(sql, args, &mut |row| {
            found.push(row::message(row)?);
            Ok(())
        })?;
        self.add_recipients(&mut found)?;
        Ok(found)
    }

    pub(super) fn add_recipients(&mut self, found: &mut [RecordedMessage]) -> Result<()> {
        let ids: Vec<_> = found.iter().map(|found| vec![found.id.into()]).collect();
        self.engine
            .query_each(row::RECIPIENTS, &ids, &mut |number, row| {
                let message = &mut found[number].message;
                message.recipients.push(row::recipient(row)?);
                Ok(())
            })
    }
}

fn position(row: &dyn Row) -> Result<LogPosition> {
    let device = row.opt_int(1)?.map(i64::cast_unsigned);
    Ok(LogPosition {
        source: row.text(0)?.to_owned(),
        file: device.zip(row.opt_int(2)?.map(i64::cast_unsigned)),
        offset: row.int(3)?.unsigned_abs(),
        cursor: row.opt_text(4)?.map(str::to_owned),
        read_at: row.time(5)?,
        log_at: row.opt_int(6)?.map(LogTime::from_micros),
        dropped: row.int(7)?.unsigned_abs(),
    })
}

//! Counts the outcomes of messages for each user, for alerts.

use super::MessageStore;
use crate::error::Result;
use crate::model::followed_message::MessageState;
use crate::model::log_time::LogTime;

/// How many recipients of a user are in a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateCount {
    /// The user, as the log names it.
    pub username: String,
    /// The state.
    pub state: MessageState,
    /// How many recipients.
    pub recipients: u64,
}

impl MessageStore {
    /// Returns how many recipients of each user's messages from a time on are in each state, by
    /// user.
    pub fn states_by_user(&mut self, since: LogTime) -> Result<Vec<StateCount>> {
        const SQL: &str = "SELECT m.username, r.state, CAST(sum(r.count) AS BIGINT)
            FROM messages m JOIN message_recipients r ON r.message = m.id
            WHERE m.at >= $1 GROUP BY m.username, r.state ORDER BY m.username, r.state";
        let mut counts = Vec::new();
        self.engine
            .query(SQL, &[since.micros().into()], &mut |row| {
                counts.push(StateCount {
                    username: row.text(0)?.to_owned(),
                    state: MessageState::named(row.text(1)?).unwrap_or(MessageState::Unknown),
                    recipients: row.int(2)?.unsigned_abs(),
                });
                Ok(())
            })?;
        Ok(counts)
    }

    /// Returns how many messages from one time on, and before another, still wait for a
    /// deferred recipient, by user.
    pub fn queued_between(&mut self, from: LogTime, to: LogTime) -> Result<Vec<(String, u64)>> {
        const SQL: &str = "SELECT m.username, count(*) FROM messages m
            WHERE m.at >= $1 AND m.at < $2 AND m.settled = 0 AND EXISTS
                (SELECT 1 FROM message_recipients r WHERE r.message = m.id AND r.state = 'deferred')
            GROUP BY m.username ORDER BY m.username";
        let mut queued = Vec::new();
        let args = [from.micros().into(), to.micros().into()];
        self.engine.query(SQL, &args, &mut |row| {
            queued.push((row.text(0)?.to_owned(), row.int(1)?.unsigned_abs()));
            Ok(())
        })?;
        Ok(queued)
    }
}

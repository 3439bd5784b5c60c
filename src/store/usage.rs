//! What was sent, added up by user and day.

use super::engine::Arg;
use super::{Store, Tx};
use crate::error::Result;
use crate::model::name::Username;
use crate::model::tally::Amount;
use crate::model::usage::{Usage, UsageBy};

/// What was sent by a user on a day, as it is added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    pub amount: Amount,
    pub bytes: u64,
    pub refusals: u32,
}

impl Store {
    /// The most messages first, days by date; in constant memory.
    pub fn usage(
        &mut self,
        by: UsageBy,
        since_day: i64,
        top: u32,
        each: &mut dyn FnMut(Usage) -> Result<()>,
    ) -> Result<()> {
        // Sums are cast: PostgreSQL makes them of another type.
        macro_rules! usage {
            ($name:literal, $order:literal) => {
                concat!(
                    "SELECT ",
                    $name,
                    ", CAST(sum(messages) AS BIGINT),
                        CAST(sum(recipients) AS BIGINT), CAST(sum(bytes) AS BIGINT),
                        CAST(sum(refusals) AS BIGINT)
                    FROM usage WHERE day >= $1 GROUP BY ",
                    $name,
                    " ORDER BY ",
                    $order,
                    " LIMIT $2"
                )
            };
        }
        let sql = match by {
            UsageBy::User => usage!("username", "2 DESC, 1"),
            UsageBy::Domain => usage!("domain", "2 DESC, 1"),
            UsageBy::Day => usage!("day", "1"),
        };
        self.engine
            .query(sql, &[since_day.into(), top.into()], &mut |row| {
                let name = match by {
                    UsageBy::Day => Usage::day_name(row.int(0)?),
                    UsageBy::User | UsageBy::Domain => row.text(0)?.to_owned(),
                };
                let count = |column| row.int(column).map(i64::unsigned_abs);
                each(Usage {
                    name,
                    messages: count(1)?,
                    recipients: count(2)?,
                    bytes: count(3)?,
                    refusals: count(4)?,
                })
            })
    }
}

// Found out, not changed, by anybody: no events.
impl Tx<'_> {
    pub fn add_usage(&mut self, username: &Username, day: i64, sent: Sent) -> Result<()> {
        const SQL: &str = "INSERT INTO usage
            (username, day, domain, messages, recipients, bytes, refusals)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            ON CONFLICT (username, day) DO UPDATE SET
                messages = usage.messages + excluded.messages,
                recipients = usage.recipients + excluded.recipients,
                bytes = usage.bytes + excluded.bytes,
                refusals = usage.refusals + excluded.refusals";
        let domain = username.domain();
        let args = [
            username.as_str().into(),
            day.into(),
            domain.as_str().into(),
            sent.amount.messages.into(),
            sent.amount.recipients.into(),
            Arg::Int(i64::try_from(sent.bytes).unwrap_or(i64::MAX)),
            sent.refusals.into(),
        ];
        self.execute(SQL, &args).map(|_| ())
    }
}

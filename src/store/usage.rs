//! What was sent, added up by user and day.

use super::engine::{Arg, Row};
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
    /// The most messages first, days by date; in constant memory. Behind a name, as
    /// things stand now.
    pub fn usage(
        &mut self,
        by: UsageBy,
        since_day: i64,
        after: Option<&str>,
        top: u32,
        each: &mut dyn FnMut(Usage) -> Result<()>,
    ) -> Result<()> {
        // Sums are cast: PostgreSQL makes them of another type.
        macro_rules! usage {
            ($name:literal, $behind:literal, $order:literal) => {
                concat!(
                    "SELECT ",
                    $name,
                    ", CAST(sum(messages) AS BIGINT),
                        CAST(sum(recipients) AS BIGINT), CAST(sum(bytes) AS BIGINT),
                        CAST(sum(refusals) AS BIGINT)
                    FROM usage WHERE day >= $1 GROUP BY ",
                    $name,
                    $behind,
                    " ORDER BY ",
                    $order
                )
            };
        }
        const BY_USER: &str = usage!(
            "username",
            " HAVING CAST(sum(messages) AS BIGINT) <= $2
                AND (CAST(sum(messages) AS BIGINT) < $2 OR username > $3)",
            "2 DESC, 1 LIMIT $4"
        );
        const BY_DOMAIN: &str = usage!(
            "domain",
            " HAVING CAST(sum(messages) AS BIGINT) <= $2
                AND (CAST(sum(messages) AS BIGINT) < $2 OR domain > $3)",
            "2 DESC, 1 LIMIT $4"
        );
        const BY_DAY: &str = usage!("day", "", "1 LIMIT $2");
        const OF_USER: &str = "SELECT CAST(sum(messages) AS BIGINT) FROM usage
            WHERE day >= $1 AND username = $2";
        const OF_DOMAIN: &str = "SELECT CAST(sum(messages) AS BIGINT) FROM usage
            WHERE day >= $1 AND domain = $2";
        let mut give = |row: &dyn Row| {
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
        };
        let (sql, of) = match by {
            UsageBy::User => (BY_USER, OF_USER),
            UsageBy::Domain => (BY_DOMAIN, OF_DOMAIN),
            UsageBy::Day => {
                let args = [since_day.into(), top.into()];
                return self.engine.query(BY_DAY, &args, &mut give);
            }
        };
        let mut place = i64::MAX;
        if let Some(after) = after {
            let args = [since_day.into(), after.into()];
            self.engine.query(of, &args, &mut |row| {
                place = row.opt_int(0)?.unwrap_or(0);
                Ok(())
            })?;
        }
        let args = [
            since_day.into(),
            place.into(),
            after.unwrap_or_default().into(),
            top.into(),
        ];
        self.engine.query(sql, &args, &mut give)
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

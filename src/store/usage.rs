//! What was sent, added up by user and day.

use super::engine::Arg;
use super::page::{PIECE, Page};
use super::{Store, Tx};
use crate::error::{Error, Result};
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

// Sums are cast: PostgreSQL makes them of another type.
macro_rules! sums {
    ($name:literal, $behind:literal) => {
        concat!(
            "SELECT ",
            $name,
            " AS name, CAST(sum(messages) AS BIGINT) AS messages,
                CAST(sum(recipients) AS BIGINT) AS recipients, CAST(sum(bytes) AS BIGINT) AS bytes,
                CAST(sum(refusals) AS BIGINT) AS refusals
            FROM usage WHERE day >= $1 GROUP BY ",
            $name,
            $behind
        )
    };
}

macro_rules! most_first {
    ($name:literal) => {
        concat!(
            sums!(
                $name,
                " HAVING CAST(sum(messages) AS BIGINT) <= $2
                    AND (CAST(sum(messages) AS BIGINT) < $2 OR "
            ),
            $name,
            " > $3) ORDER BY 2 DESC, 1 LIMIT $4"
        )
    };
}

/// All of it in order, where nobody waits for it.
macro_rules! stage {
    ($name:literal) => {
        concat!(
            "INSERT INTO staged (username, place, record)
            SELECT name, row_number() OVER (ORDER BY messages DESC, name),
                CAST(messages AS TEXT) || ' ' || CAST(recipients AS TEXT) || ' '
                    || CAST(bytes AS TEXT) || ' ' || CAST(refusals AS TEXT)
            FROM (",
            most_first!($name),
            ") s"
        )
    };
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
        const BY_DAY: &str = concat!(sums!("day", ""), " ORDER BY 1 LIMIT $2");
        let day = [since_day.into(), top.into()];
        let [of, most_first, stage] = match by {
            // There are few.
            UsageBy::Day => return self.usage_at_once(by, BY_DAY, &day, each),
            UsageBy::User => [
                "SELECT CAST(sum(messages) AS BIGINT) FROM usage
                    WHERE day >= $1 AND username = $2",
                most_first!("username"),
                stage!("username"),
            ],
            UsageBy::Domain => [
                "SELECT CAST(sum(messages) AS BIGINT) FROM usage
                    WHERE day >= $1 AND domain = $2",
                most_first!("domain"),
                stage!("domain"),
            ],
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
        if top <= PIECE {
            return self.usage_at_once(by, most_first, &args, each);
        }
        match self.engine.make_staging() {
            // It may read, and have no table of its own.
            Err(Error::StoreForbidden { .. }) => {
                return self.usage_at_once(by, most_first, &args, each);
            }
            made => made?,
        }
        self.engine.execute(stage, &args)?;
        self.usage_in_pieces(each)
    }

    fn usage_at_once(
        &mut self,
        by: UsageBy,
        sql: &'static str,
        args: &[Arg],
        each: &mut dyn FnMut(Usage) -> Result<()>,
    ) -> Result<()> {
        let mut found = Vec::new();
        self.engine.query(sql, args, &mut |row| {
            let count = |column| row.int(column).map(i64::unsigned_abs);
            found.push(Usage {
                name: match by {
                    UsageBy::Day => Usage::day_name(row.int(0)?),
                    UsageBy::User | UsageBy::Domain => row.text(0)?.to_owned(),
                },
                messages: count(1)?,
                recipients: count(2)?,
                bytes: count(3)?,
                refusals: count(4)?,
            });
            Ok(())
        })?;
        // Nothing is being read any more: whoever takes them takes their time.
        found.into_iter().try_for_each(each)
    }

    fn usage_in_pieces(&mut self, each: &mut dyn FnMut(Usage) -> Result<()>) -> Result<()> {
        const SORT: &str = "CREATE INDEX staged_by_place ON staged (place)";
        const SQL: &str = "SELECT username, place, record FROM staged
            WHERE place > $1 ORDER BY place LIMIT $2";
        self.engine.execute(SORT, &[])?;
        let mut pieces = Page::default().pieces();
        let mut last = 0;
        while let Some(most) = pieces.next() {
            let mut found = Vec::new();
            self.engine
                .query(SQL, &[last.into(), most.into()], &mut |row| {
                    last = row.int(1)?;
                    let mut sums = row.text(2)?.split(' ');
                    let mut sum = || {
                        let sum = sums.next().and_then(|sum| sum.parse().ok());
                        sum.ok_or_else(|| row.damaged("a sum is no number"))
                    };
                    found.push(Usage {
                        name: row.text(0)?.to_owned(),
                        messages: sum()?,
                        recipients: sum()?,
                        bytes: sum()?,
                        refusals: sum()?,
                    });
                    Ok(())
                })?;
            pieces.read(found.len());
            found.into_iter().try_for_each(&mut *each)?;
        }
        Ok(())
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

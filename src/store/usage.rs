//! Reads usage by user and day, and by domain and day: see `summing`.

use super::Store;
use super::engine::{Arg, sum};
use super::page::{PIECE, Page};
use crate::error::{Error, Result};
use crate::model::usage::{Usage, UsageBy};

/// Rows of users, or the sums of their domains. Days that are not summed yet come from the
/// rows, with one bound in the index condition, because SQLite reads each row before it
/// checks a second one. The domains are found one by one, so that older days are not read.
macro_rules! table {
    ("username") => {
        "usage WHERE day >= $1"
    };
    ($name:literal) => {
        "(WITH RECURSIVE known (domain) AS (SELECT min(domain) FROM usage_by_domain
                UNION ALL SELECT (SELECT min(next.domain) FROM usage_by_domain next
                        WHERE next.domain > known.domain)
                    FROM known WHERE known.domain IS NOT NULL)
            SELECT s.domain, s.day, s.messages, s.recipients, s.bytes, s.refusals
            FROM summing p CROSS JOIN known CROSS JOIN usage_by_domain s
            WHERE s.domain = known.domain AND s.day >= $1
                AND (s.day < p.first_day OR s.day >= p.end_day)
            UNION ALL SELECT u.domain, u.day, u.messages, u.recipients, u.bytes, u.refusals
            FROM summing p CROSS JOIN usage u
            WHERE u.day >= CASE WHEN p.first_day > $1 THEN p.first_day ELSE $1 END
                AND u.day < p.end_day) usage"
    };
}

// Sums are cast: PostgreSQL makes them of another type.
macro_rules! sums {
    ($name:tt, $behind:literal) => {
        concat!(
            "SELECT ",
            $name,
            " AS name, ",
            sum!("messages"),
            " AS messages, ",
            sum!("recipients"),
            " AS recipients, ",
            sum!("bytes"),
            " AS bytes, ",
            sum!("refusals"),
            " AS refusals FROM ",
            table!($name),
            " GROUP BY ",
            $name,
            $behind
        )
    };
}

macro_rules! most_first {
    ($name:tt) => {
        concat!(
            sums!($name, ""),
            " HAVING ",
            sum!("messages"),
            " <= $2 AND (",
            sum!("messages"),
            " < $2 OR ",
            $name,
            " > $3) ORDER BY 2 DESC, 1 LIMIT $4"
        )
    };
}

/// Stages all of it in order, so that a slow reader blocks no one.
macro_rules! stage {
    ($name:tt) => {
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
    /// Lists usage in constant memory: the most messages first, days by date. `after` is
    /// the name that ended the previous page, placed by its current usage.
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
                concat!(
                    "SELECT ",
                    sum!("messages"),
                    " FROM usage WHERE day >= $1 AND username = $2"
                ),
                most_first!("username"),
                stage!("username"),
            ],
            UsageBy::Domain => [
                concat!(
                    "SELECT ",
                    sum!("messages"),
                    " FROM ",
                    table!("domain"),
                    " WHERE domain = $2"
                ),
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
        // Nothing is being read now, so a slow callback blocks no writer.
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
                        sum.ok_or_else(|| row.damaged("a sum is not a number"))
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

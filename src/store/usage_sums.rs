//! Compares the usage of domains with the sums of their users' usage, and corrects it. A
//! program from before the sums that still runs on a migrated store writes only the usage
//! of users.

use super::usage_totals::{capped, insert_sums};
use super::{Store, Tx};
use crate::error::Result;

impl Store {
    /// Returns the first day after this one with usage of any user.
    pub fn next_usage_day(&mut self, after: i64) -> Result<Option<i64>> {
        const SQL: &str = "SELECT min(day) FROM usage WHERE day > $1";
        let mut next = None;
        self.engine.query(SQL, &[after.into()], &mut |row| {
            next = row.opt_int(0)?;
            Ok(())
        })?;
        Ok(next)
    }

    /// Returns how many domains have other usage on a day than their users together: 0 for
    /// a day that is not summed yet.
    pub fn wrong_usage_sums(&mut self, day: i64) -> Result<u64> {
        const SQL: &str = concat!(
            "SELECT count(*) FROM (SELECT domain, ",
            capped!("messages"),
            " AS messages, ",
            capped!("recipients"),
            " AS recipients, ",
            capped!("bytes"),
            " AS bytes, ",
            capped!("refusals"),
            " AS refusals FROM usage WHERE day = $1 GROUP BY domain) u
            LEFT JOIN usage_by_domain s ON s.domain = u.domain AND s.day = $1
            WHERE EXISTS (SELECT 1 FROM summing WHERE $1 < first_day OR $1 >= end_day)
                AND (s.domain IS NULL OR s.messages <> u.messages
                    OR s.recipients <> u.recipients OR s.bytes <> u.bytes
                    OR s.refusals <> u.refusals)"
        );
        self.count_rows(SQL, &[day.into()])
    }
}

// Measured, not changed by an admin: no events.
impl Tx<'_> {
    /// Replaces the usage of domains on a day by the sums of their users' usage, unless that
    /// day is not summed yet.
    pub fn correct_usage_sums(&mut self, day: i64) -> Result<()> {
        const SQL: &str = concat!(
            insert_sums!(
                "day = $1
                AND EXISTS (SELECT 1 FROM summing WHERE $1 < first_day OR $1 >= end_day)"
            ),
            " ON CONFLICT (domain, day) DO UPDATE SET messages = excluded.messages,
                recipients = excluded.recipients, bytes = excluded.bytes,
                refusals = excluded.refusals"
        );
        self.execute(SQL, &[day.into()]).map(|_| ())
    }
}

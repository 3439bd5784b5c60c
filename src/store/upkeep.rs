//! Deletes old data in small pieces, and gives its space back. It was measured and is
//! deleted by the clock: no events.

use super::counts::HELD;
use super::engine::{Arg, Space};
use super::{Store, Tx};
use crate::error::Result;
use crate::model::day::Day;
use crate::model::limit_kind::LimitPeriod;
use crate::model::name::Username;
use crate::model::password::PasswordId;
use crate::model::time::Time;

/// Refused sign-ins to delete: those before `first`, and all but the latest `most`.
macro_rules! old_refusals {
    ($first:literal, $most:literal) => {
        concat!(
            "last_at < COALESCE((SELECT CASE WHEN last_at > ",
            $first,
            " THEN last_at ELSE ",
            $first,
            " END FROM failures ORDER BY last_at DESC LIMIT 1 OFFSET ",
            $most,
            "), ",
            $first,
            ")"
        )
    };
}

/// The spans of the counts, each with the oldest time that a limit still looks at.
fn spans(now: Time, day: &Day) -> impl Iterator<Item = (&'static str, Time)> {
    let held = (HELD, LimitPeriod::Minute.oldest(now, day));
    let limited = LimitPeriod::ALL.map(|span| (span.name(), span.oldest(now, day)));
    limited.into_iter().chain([held])
}

impl Store {
    /// Returns how many counts no limit looks at any more.
    pub fn old_counts(&mut self, now: Time, day: &Day) -> Result<u64> {
        const SQL: &str = "SELECT count(*) FROM counts WHERE span = $1 AND at < $2";
        let mut old = 0;
        for (span, oldest) in spans(now, day) {
            old += self.count_rows(SQL, &[span.into(), oldest.into()])?;
        }
        Ok(old)
    }

    /// Counts rows of usage from before a day.
    pub fn old_usage(&mut self, first_day: i64) -> Result<u64> {
        const SQL: &str = "SELECT count(*) FROM usage WHERE day < $1";
        self.count_rows(SQL, &[first_day.into()])
    }

    /// Counts refused sign-ins that are older than `first` or not among the latest `most`.
    pub fn old_refusals(&mut self, first: Time, most: u32) -> Result<u64> {
        const SQL: &str = concat!(
            "SELECT count(*) FROM failures WHERE ",
            old_refusals!("$1", "$2")
        );
        self.count_rows(SQL, &[first.into(), most.saturating_sub(1).into()])
    }

    /// Counts the hashes of passwords that retired before a time, and the temporary passwords.
    pub fn old_hashes(&mut self, before: Time) -> Result<u64> {
        const SQL: &str = "SELECT count(*) FROM passwords
            WHERE retires_at < $1 AND (hash IS NOT NULL OR temporary = 1)";
        self.count_rows(SQL, &[before.into()])
    }

    /// Returns up to `limit` passwords, from a username on, that retired before a time and
    /// still have their hash, or are temporary.
    pub fn retired_before(
        &mut self,
        before: Time,
        from: &str,
        limit: u32,
    ) -> Result<Vec<(Username, PasswordId)>> {
        const SQL: &str = "SELECT username, password_id FROM passwords
            WHERE username >= $1 AND retires_at < $2 AND (hash IS NOT NULL OR temporary = 1)
            ORDER BY username, password_id LIMIT $3";
        let mut found = Vec::new();
        let args = [from.into(), before.into(), limit.into()];
        self.engine.query(SQL, &args, &mut |row| {
            found.push((row.parsed(0)?, PasswordId::stored(row.text(1)?.to_owned())));
            Ok(())
        })?;
        Ok(found)
    }

    /// Returns the space of the store; `None` if the engine reuses it by itself.
    pub fn space(&mut self) -> Result<Option<Space>> {
        self.engine.space()
    }

    /// Gives back a little unused space.
    pub fn shrink(&mut self) -> Result<()> {
        self.engine.shrink()
    }

    /// Rewrites the whole store. Blocks writers, not readers.
    pub fn rewrite(&mut self) -> Result<()> {
        self.engine.rewrite()
    }

    /// Returns whether [`Self::analyze`] has an effect: a database lets only the owner of the
    /// tables do it.
    pub fn may_analyze(&mut self) -> Result<bool> {
        self.engine.may_analyze()
    }

    /// Collects statistics for the planner.
    pub fn analyze(&mut self) -> Result<()> {
        self.engine.analyze()
    }

    pub(super) fn count_rows(&mut self, sql: &'static str, args: &[Arg]) -> Result<u64> {
        let mut count = 0;
        self.engine.query(sql, args, &mut |row| {
            count = row.int(0)?.unsigned_abs();
            Ok(())
        })?;
        Ok(count)
    }
}

/// Each deletes up to `limit` rows, the oldest first, and returns how many.
impl Tx<'_> {
    /// Deletes counts that no limit looks at any more.
    pub fn forget_old_counts(&mut self, now: Time, day: &Day, limit: u32) -> Result<u64> {
        const SQL: &str = "DELETE FROM counts WHERE (owner, span, at) IN
            (SELECT owner, span, at FROM counts WHERE span = $1 AND at < $2 ORDER BY at LIMIT $3)";
        let mut forgotten = 0;
        for (span, oldest) in spans(now, day) {
            let left = i64::from(limit) - forgotten;
            let args = [span.into(), oldest.into(), left.into()];
            forgotten += rows(self.execute(SQL, &args)?);
        }
        self.forget_far_limits(now, day)?;
        Ok(forgotten.unsigned_abs())
    }

    /// Deletes usage from before a day.
    pub fn forget_old_usage(&mut self, first_day: i64, limit: u32) -> Result<u64> {
        // The sums of the same rows: a sum is deleted with the first of its rows.
        const SUMS: &str = "DELETE FROM usage_by_domain WHERE (domain, day) IN
            (SELECT domain, day FROM usage WHERE day < $1 ORDER BY day, username LIMIT $2)";
        const ROWS: &str = "DELETE FROM usage WHERE (username, day) IN
            (SELECT username, day FROM usage WHERE day < $1 ORDER BY day, username LIMIT $2)";
        let args = [first_day.into(), limit.into()];
        self.execute(SUMS, &args)?;
        let forgotten = self.execute(ROWS, &args)?;
        Ok(rows(forgotten).unsigned_abs())
    }

    /// Deletes refused sign-ins before `first`, and all but the latest `most`.
    pub fn forget_old_refusals(&mut self, first: Time, most: u32, limit: u32) -> Result<u64> {
        const SQL: &str = concat!(
            "DELETE FROM failures WHERE (username, address, reason) IN
                (SELECT username, address, reason FROM failures WHERE ",
            old_refusals!("$1", "$2"),
            " ORDER BY last_at LIMIT $3)"
        );
        let most = most.saturating_sub(1);
        let forgotten = self.execute(SQL, &[first.into(), most.into(), limit.into()])?;
        Ok(rows(forgotten).unsigned_abs())
    }

    /// Erases the hash of a password, or deletes a temporary one, if it still counts as retired
    /// before that time.
    pub fn erase_retired(
        &mut self,
        username: &Username,
        password_id: &PasswordId,
        before: Time,
    ) -> Result<u64> {
        const SQL: &str = "UPDATE passwords SET hash = NULL
            WHERE username = $1 AND password_id = $2 AND retires_at < $3 AND hash IS NOT NULL
                AND temporary = 0";
        const TEMPORARY: &str = "DELETE FROM passwords
            WHERE username = $1 AND password_id = $2 AND retires_at < $3 AND temporary = 1";
        let args = [
            username.as_str().into(),
            password_id.as_str().into(),
            before.into(),
        ];
        self.scrub = true;
        let erased = self.execute(SQL, &args)? + self.execute(TEMPORARY, &args)?;
        Ok(rows(erased).unsigned_abs())
    }
}

fn rows(changed: usize) -> i64 {
    i64::try_from(changed).unwrap_or(i64::MAX)
}

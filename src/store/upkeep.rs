//! What is forgotten after a while, in small pieces, and the room it took. Found out
//! by anybody and forgotten by the clock: no events.

use super::engine::{Arg, Space};
use super::sending::HELD;
use super::{Store, Tx};
use crate::error::Result;
use crate::model::limits::Span;
use crate::model::name::Username;
use crate::model::password::KeyId;
use crate::model::time::Time;

/// What is kept of refused sign-ins: nothing from before `first`, and the latest
/// `most`.
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

/// What is in the counts, and from when on something looks at it.
fn spans(now: Time) -> impl Iterator<Item = (&'static str, Time)> {
    let held = (HELD, Span::Minute.oldest(now));
    let limited = Span::ALL.map(|span| (span.name(), span.oldest(now)));
    limited.into_iter().chain([held])
}

impl Store {
    /// How many counts no limit looks at any more.
    pub fn old_counts(&mut self, now: Time) -> Result<u64> {
        const SQL: &str = "SELECT count(*) FROM counts WHERE span = $1 AND at < $2";
        let mut old = 0;
        for (span, oldest) in spans(now) {
            old += self.count_rows(SQL, &[span.into(), oldest.into()])?;
        }
        Ok(old)
    }

    pub fn old_usage(&mut self, first_day: i64) -> Result<u64> {
        const SQL: &str = "SELECT count(*) FROM usage WHERE day < $1";
        self.count_rows(SQL, &[first_day.into()])
    }

    pub fn old_refusals(&mut self, first: Time, most: u32) -> Result<u64> {
        const SQL: &str = concat!(
            "SELECT count(*) FROM failures WHERE ",
            old_refusals!("$1", "$2")
        );
        self.count_rows(SQL, &[first.into(), most.saturating_sub(1).into()])
    }

    pub fn old_hashes(&mut self, before: Time) -> Result<u64> {
        const SQL: &str = "SELECT count(*) FROM passwords
            WHERE retires_at < $1 AND hash IS NOT NULL";
        self.count_rows(SQL, &[before.into()])
    }

    /// Passwords that retired before then and have their hash still, from a
    /// username on: up to `limit`.
    pub fn retired_before(
        &mut self,
        before: Time,
        from: &str,
        limit: u32,
    ) -> Result<Vec<(Username, KeyId)>> {
        const SQL: &str = "SELECT username, key_id FROM passwords
            WHERE username >= $1 AND retires_at < $2 AND hash IS NOT NULL
            ORDER BY username, key_id LIMIT $3";
        let mut found = Vec::new();
        let args = [from.into(), before.into(), limit.into()];
        self.engine.query(SQL, &args, &mut |row| {
            found.push((row.parsed(0)?, KeyId::stored(row.text(1)?.to_owned())));
            Ok(())
        })?;
        Ok(found)
    }

    /// Nothing where the engine sees to it by itself.
    pub fn space(&mut self) -> Result<Option<Space>> {
        self.engine.space()
    }

    /// Gives back a little of what holds nothing.
    pub fn shrink(&mut self) -> Result<()> {
        self.engine.shrink()
    }

    /// Writes all of it anew. Nobody else can write meanwhile; everybody can read.
    pub fn rewrite(&mut self) -> Result<()> {
        self.engine.rewrite()
    }

    /// Looks at what the tables hold, so that statements are planned well.
    pub fn analyze(&mut self) -> Result<()> {
        self.engine.analyze()
    }

    fn count_rows(&mut self, sql: &'static str, args: &[Arg]) -> Result<u64> {
        let mut count = 0;
        self.engine.query(sql, args, &mut |row| {
            count = row.int(0)?.unsigned_abs();
            Ok(())
        })?;
        Ok(count)
    }
}

/// Each up to `limit` rows, the oldest first; and says how many.
impl Tx<'_> {
    pub fn forget_old_counts(&mut self, now: Time, limit: u32) -> Result<u64> {
        const SQL: &str = "DELETE FROM counts WHERE (owner, span, at) IN
            (SELECT owner, span, at FROM counts WHERE span = $1 AND at < $2 ORDER BY at LIMIT $3)";
        let mut forgotten = 0;
        for (span, oldest) in spans(now) {
            let left = i64::from(limit) - forgotten;
            let args = [span.into(), oldest.into(), left.into()];
            forgotten += rows(self.execute(SQL, &args)?);
        }
        Ok(forgotten.unsigned_abs())
    }

    pub fn forget_old_usage(&mut self, first_day: i64, limit: u32) -> Result<u64> {
        const SQL: &str = "DELETE FROM usage WHERE (username, day) IN
            (SELECT username, day FROM usage WHERE day < $1 ORDER BY day LIMIT $2)";
        let forgotten = self.execute(SQL, &[first_day.into(), limit.into()])?;
        Ok(rows(forgotten).unsigned_abs())
    }

    /// Keeps the latest `most`, and nothing from before `first`.
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

    /// If it is retired since before then even now.
    pub fn erase_retired(&mut self, username: &Username, key: &KeyId, before: Time) -> Result<u64> {
        const SQL: &str = "UPDATE passwords SET hash = NULL
            WHERE username = $1 AND key_id = $2 AND retires_at < $3 AND hash IS NOT NULL";
        let args = [username.as_str().into(), key.as_str().into(), before.into()];
        self.scrub = true;
        let erased = self.execute(SQL, &args)?;
        Ok(rows(erased).unsigned_abs())
    }
}

fn rows(changed: usize) -> i64 {
    i64::try_from(changed).unwrap_or(i64::MAX)
}

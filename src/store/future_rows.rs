//! Rows that were written while a clock was ahead count as written now. Otherwise limits
//! would stay used up, and passwords would count as new, until the date of that
//! clock.

use super::counts::HELD;
use super::engine::{add_to_counts, sum};
use super::{Store, Tx};
use crate::error::Result;
use crate::model::limit_kind::LimitPeriod;
use crate::model::time::{CLOCKS_DIFFER, Time};

/// Entries with a later time than now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FutureRows {
    /// How many there are.
    pub rows: u64,
    /// The latest of their times.
    pub latest: Time,
}

/// Later than the clocks of other relays may be.
const fn late(now: Time) -> Time {
    Time::from_epoch(now.epoch().saturating_add(CLOCKS_DIFFER))
}

impl Store {
    /// Returns `None` if there are no such entries.
    pub fn future_rows(&mut self, now: Time) -> Result<Option<FutureRows>> {
        const SQL: &str = "SELECT count(*), max(at) FROM (
                SELECT at FROM counts WHERE at > $1
                UNION ALL SELECT last_at FROM failures WHERE last_at > $1
                UNION ALL SELECT seen_at FROM last_connections WHERE seen_at > $1
                UNION ALL SELECT sent_at FROM last_connections WHERE sent_at > $1
                UNION ALL SELECT created_at FROM passwords
                    WHERE created_at > $1 AND hash IS NOT NULL) later";
        let mut later = None;
        self.engine.query(SQL, &[late(now).into()], &mut |row| {
            let rows = row.int(0)?.unsigned_abs();
            later = row.opt_time(1)?.map(|latest| FutureRows { rows, latest });
            Ok(())
        })?;
        Ok(later)
    }
}

// The clock causes these changes, not a person: no events.
impl Tx<'_> {
    /// Changes the entries that an index finds: a running relay can do this. Returns
    /// the number of rows.
    pub fn move_future_counts(&mut self) -> Result<u64> {
        const ADD: &str = add_to_counts!(
            "SELECT owner, span, CAST($3 AS BIGINT), ",
            sum!("messages"),
            ", ",
            sum!("recipients"),
            ", ",
            sum!("new_recipients"),
            " FROM counts WHERE span = $1 AND at > $2 GROUP BY owner, span"
        );
        const TAKE: &str = "DELETE FROM counts WHERE span = $1 AND at > $2";
        const REFUSED: &str = "UPDATE failures SET last_at = $1,
                first_at = CASE WHEN first_at > $1 THEN $1 ELSE first_at END
            WHERE last_at > $2";
        let now = self.stamp.at;
        let late = late(now);
        let mut rows = self.execute(TAKE, &[HELD.into(), late.into()])?;
        for span in LimitPeriod::ALL {
            let args = [span.name().into(), late.into(), span.bucket_at(now).into()];
            if self.execute(ADD, &args)? > 0 {
                rows += self.execute(TAKE, &args[..2])?;
            }
        }
        rows += self.execute(REFUSED, &[now.into(), late.into()])?;
        Ok(u64::try_from(rows).unwrap_or(u64::MAX))
    }

    /// Changes the other entries, which takes a scan of the whole store.
    pub fn move_future_rows(&mut self) -> Result<u64> {
        const SEEN: &str = "UPDATE last_connections SET seen_at = $1 WHERE seen_at > $2";
        const SENT: &str = "UPDATE last_connections SET sent_at = $1 WHERE sent_at > $2";
        const MADE: &str =
            "UPDATE passwords SET created_at = $1 WHERE created_at > $2 AND hash IS NOT NULL";
        let args = [self.stamp.at.into(), late(self.stamp.at).into()];
        let mut rows = 0;
        for sql in [SEEN, SENT, MADE] {
            rows += self.execute(sql, &args)?;
        }
        Ok(u64::try_from(rows).unwrap_or(u64::MAX))
    }
}

//! Reads what a list for people shows beside its users: limits that are nearly used up, and
//! refused sign-ins. Each takes one statement for a whole batch of the list.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::model::day::Day;
use crate::model::limit_kind::{LimitKind, LimitPeriod};
use crate::model::limits::NearLimit;
use crate::model::time::Time;
use crate::store::Store;
use crate::store::engine::sum;

/// What was used of a limit, in its unit.
macro_rules! used {
    () => {
        concat!(
            "CASE WHEN l.kind IN ('messages/minute', 'messages/hour', 'messages/day') THEN ",
            sum!("c.messages"),
            " WHEN l.kind = 'new-recipients/day' THEN ",
            sum!("c.new_recipients"),
            " ELSE ",
            sum!("c.recipients"),
            " END"
        )
    };
}

impl Store {
    /// Returns the limits of users, from one name to another, of which 80 % or more are used;
    /// of several limits of a user, the one that is used most.
    pub fn near_limits(
        &mut self,
        (first, last): (&str, &str),
        now: Time,
        day: &Day,
    ) -> Result<BTreeMap<String, NearLimit>> {
        const SQL: &str = concat!(
            "SELECT l.owner, l.kind, l.most, ",
            used!(),
            " FROM (SELECT username AS owner, 'messages/day' AS kind, daily_limit AS most
                FROM users WHERE username >= $1 AND username <= $2 AND daily_limit IS NOT NULL
                UNION ALL SELECT owner, kind, most FROM limits
                WHERE owner >= $1 AND owner <= $2) l
            JOIN counts c ON c.owner = l.owner
                AND c.span = CASE WHEN l.kind IN ('messages/minute', 'recipients/minute')
                        THEN 'minute'
                    WHEN l.kind IN ('messages/hour', 'recipients/hour') THEN 'hour'
                    ELSE 'day' END
                AND c.at >= CASE WHEN l.kind IN ('messages/minute', 'recipients/minute')
                        THEN CAST($3 AS BIGINT)
                    WHEN l.kind IN ('messages/hour', 'recipients/hour') THEN CAST($4 AS BIGINT)
                    ELSE CAST($5 AS BIGINT) END
            GROUP BY l.owner, l.kind, l.most
            HAVING ",
            used!(),
            " * 5 >= l.most * 4"
        );
        let begins = |span: LimitPeriod| span.begins(now, day);
        let args = [
            first.into(),
            last.into(),
            begins(LimitPeriod::Minute).into(),
            begins(LimitPeriod::Hour).into(),
            begins(LimitPeriod::Day).into(),
        ];
        let mut found: BTreeMap<String, NearLimit> = BTreeMap::new();
        self.engine.query(SQL, &args, &mut |row| {
            let Some(most) = row.opt_limit(2)? else {
                return Ok(());
            };
            let limit = NearLimit {
                kind: row.parsed::<LimitKind>(1)?,
                most,
                used: row.int(3)?.unsigned_abs(),
            };
            let owner = row.text(0)?;
            if found
                .get(owner)
                .is_none_or(|other| limit.percent() > other.percent())
            {
                found.insert(owner.to_owned(), limit);
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Returns how many sign-ins were refused with names from one to another, of those
    /// addresses that were refused since then.
    pub fn refused_since(
        &mut self,
        (first, last): (&str, &str),
        since: Time,
    ) -> Result<BTreeMap<String, u64>> {
        const SQL: &str = concat!(
            "SELECT username, ",
            sum!("count"),
            " FROM failures WHERE username >= $1 AND username <= $2 AND last_at >= $3
            GROUP BY username"
        );
        let args = [first.into(), last.into(), since.into()];
        let mut found = BTreeMap::new();
        self.engine.query(SQL, &args, &mut |row| {
            found.insert(row.text(0)?.to_owned(), row.int(1)?.unsigned_abs());
            Ok(())
        })?;
        Ok(found)
    }
}

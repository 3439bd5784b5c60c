//! Daily limits of which at least 80 % was used lately. They are marked when usage gets there,
//! because comparing the counts of all users with their limits takes seconds.

use super::engine::sum;
use super::{Scope, Tx};
use crate::error::Result;
use crate::model::day::Day;
use crate::model::limit_kind::{LimitKind, LimitPeriod};
use crate::model::time::Time;

/// The marked limits, each with what is used of it since $1; `most` is NULL where the limit
/// was removed.
macro_rules! marked_limits {
    () => {
        concat!(
            "(SELECT n.owner AS owner, n.kind AS kind,
                CASE n.kind WHEN 'messages/day' THEN COALESCE(u.daily_limit, d.daily_limit, l.most)
                    ELSE l.most END AS most,
                COALESCE((SELECT CASE n.kind WHEN 'messages/day' THEN ",
            $crate::store::engine::sum!("c.messages"),
            " WHEN 'recipients/day' THEN ",
            $crate::store::engine::sum!("c.recipients"),
            " ELSE ",
            $crate::store::engine::sum!("c.new_recipients"),
            " END FROM counts c
                    WHERE c.owner = n.owner AND c.span = 'day' AND c.at >= $1), 0) AS used
            FROM limits_near n
            LEFT JOIN users u ON u.username = n.owner
            LEFT JOIN domains d ON d.name = n.owner
            LEFT JOIN limits l ON l.owner = n.owner AND l.kind = n.kind) marked"
        )
    };
}
pub(super) use marked_limits;

/// Less than 80 % of it is used.
macro_rules! is_far {
    () => {
        "(most IS NULL OR used * 5 < most * 4)"
    };
}
pub(super) use is_far;

// Measured, not changed by an admin: no events.
impl Tx<'_> {
    /// Marks a daily limit as near.
    pub fn mark_limit_near(&mut self, owner: Scope, kind: LimitKind) -> Result<()> {
        const SQL: &str = "INSERT INTO limits_near (owner, kind) VALUES ($1, $2)
            ON CONFLICT DO NOTHING";
        if kind.span != LimitPeriod::Day {
            return Ok(());
        }
        let kind = kind.to_string();
        self.later(SQL, &[owner.as_str().into(), kind.as_str().into()])
    }

    /// Marks a new limit of which 80 % are used already. The day is the last 24 hours here:
    /// where it is a shorter one, `status` finds that the limit is far.
    pub(super) fn look_at_limit(
        &mut self,
        owner: Scope,
        kind: LimitKind,
        most: Option<u32>,
    ) -> Result<()> {
        const SQL: &str = concat!(
            "INSERT INTO limits_near (owner, kind)
            SELECT CAST($1 AS TEXT), CAST($2 AS TEXT)
            WHERE (SELECT CASE CAST($2 AS TEXT) WHEN 'messages/day' THEN ",
            sum!("messages"),
            " WHEN 'recipients/day' THEN ",
            sum!("recipients"),
            " ELSE ",
            sum!("new_recipients"),
            " END FROM counts WHERE owner = $1 AND span = 'day' AND at >= $3) * 5 >= $4
            ON CONFLICT DO NOTHING"
        );
        let Some(most) = most.filter(|_| kind.span == LimitPeriod::Day) else {
            return Ok(());
        };
        let kind = kind.to_string();
        let args = [
            owner.as_str().into(),
            kind.as_str().into(),
            LimitPeriod::Day.begins(self.stamp.at, &Day::Rolling).into(),
            (i64::from(most) * 4).into(),
        ];
        self.later(SQL, &args)
    }

    /// Deletes the marks of limits that are far again.
    pub(super) fn forget_far_limits(&mut self, now: Time, day: &Day) -> Result<()> {
        const SQL: &str = concat!(
            "DELETE FROM limits_near WHERE (owner, kind) IN (SELECT owner, kind FROM ",
            marked_limits!(),
            " WHERE ",
            is_far!(),
            ")"
        );
        self.later(SQL, &[LimitPeriod::Day.begins(now, day).into()])
    }
}

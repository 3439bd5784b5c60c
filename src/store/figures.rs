//! What the page of a report counts: passwords by age, expiries by week, sign-ins by day and by
//! network. Each is one statement, and most scan a table: they are for a report, not for `status`.

use super::Store;
use super::engine::sum;
use super::passwords::stays;
use crate::error::Result;
use crate::model::duration::Duration;
use crate::model::time::Time;

/// What is counted, and how far ahead and back.
#[derive(Clone, Copy, Debug)]
pub struct FigureRange {
    /// The time of the report.
    pub now: Time,
    /// The start of the first day that is counted; each has 86,400 seconds.
    pub first_day: Time,
    /// From when on networks count.
    pub networks_since: Time,
    /// How many weeks ahead expiries are counted.
    pub weeks: u16,
    /// How many networks are returned.
    pub networks: u32,
}

/// Counts of a whole store.
#[derive(Debug, Default)]
pub struct StoreFigures {
    /// When the password of each user that can sign in was created: by whole days of age, how many.
    pub ages: Vec<(u64, u64)>,
    /// Users that expire: by whole weeks from now, how many.
    pub expiries: Vec<(u64, u64)>,
    /// Users by the day of their last sign-in since the first day: by number, how many.
    pub last_sign_ins: Vec<(u64, u64)>,
    /// Refused sign-ins since the first day, by the day of the last of a kind.
    pub refused: Vec<(u64, u64)>,
    /// The networks with the most sign-ins.
    pub networks: Vec<NetworkTotal>,
    /// How many networks there are.
    pub all_networks: u64,
}

/// The sign-ins from a network.
#[derive(Clone, Debug)]
pub struct NetworkTotal {
    /// The network: a /24 or a /64.
    pub network: String,
    /// The users that signed in from there.
    pub users: u64,
    /// How often.
    pub sign_ins: u64,
    /// When last.
    pub last_at: Time,
}

const AGES: &str = concat!(
    "SELECT age, count(*) FROM (SELECT ($1 - max(k.created_at)) / 86400 AS age
        FROM passwords k JOIN users u ON u.username = k.username
        WHERE ",
    stays!(),
    " AND temporary = 0 AND u.suspended_at IS NULL AND (u.expires_at IS NULL OR u.expires_at > $1)
        GROUP BY k.username) a GROUP BY age ORDER BY age"
);

const EXPIRIES: &str = "SELECT week, count(*) FROM (SELECT (expires_at - $1) / 604800 AS week
        FROM users WHERE suspended_at IS NULL AND expires_at > $1 AND expires_at <= $2) w
    GROUP BY week ORDER BY week";

const LAST_SIGN_INS: &str = "SELECT day, count(*) FROM (SELECT (max(seen_at) - $1) / 86400 AS day
        FROM last_connections GROUP BY username HAVING max(seen_at) >= $1) d
    GROUP BY day ORDER BY day";

const REFUSED: &str = concat!(
    "SELECT day, ",
    sum!("count"),
    " FROM (SELECT (last_at - $1) / 86400 AS day, count FROM failures WHERE last_at >= $1) d
    GROUP BY day ORDER BY day"
);

const NETWORKS: &str = concat!(
    "SELECT network, count(DISTINCT username), ",
    sum!("sign_ins"),
    ", max(last_at), count(*) OVER () FROM seen_addresses WHERE last_at >= $1
    GROUP BY network ORDER BY 3 DESC, 1 LIMIT $2"
);

impl Store {
    /// Counts it as of one moment. Not for use within a change.
    pub fn figures(&mut self, range: FigureRange) -> Result<StoreFigures> {
        self.engine.begin_reading()?;
        let read = self.figures_within(range);
        self.engine.rollback();
        read
    }

    fn figures_within(&mut self, range: FigureRange) -> Result<StoreFigures> {
        let now = range.now;
        let ahead = now.plus(Duration::days(range.weeks.saturating_mul(7)));
        let mut figures = StoreFigures {
            ages: self.counted(AGES, &[now])?,
            expiries: self.counted(EXPIRIES, &[now, ahead])?,
            last_sign_ins: self.counted(LAST_SIGN_INS, &[range.first_day])?,
            refused: self.counted(REFUSED, &[range.first_day])?,
            ..StoreFigures::default()
        };
        let args = [range.networks_since.into(), range.networks.into()];
        self.engine.query(NETWORKS, &args, &mut |row| {
            figures.networks.push(NetworkTotal {
                network: row.text(0)?.to_owned(),
                users: row.int(1)?.unsigned_abs(),
                sign_ins: row.int(2)?.unsigned_abs(),
                last_at: row.time(3)?,
            });
            figures.all_networks = row.int(4)?.unsigned_abs();
            Ok(())
        })?;
        Ok(figures)
    }

    /// Returns pairs of a number and a count. What a wrong clock put into the future counts as 0.
    fn counted(&mut self, sql: &'static str, args: &[Time]) -> Result<Vec<(u64, u64)>> {
        let args: Vec<_> = args.iter().map(|at| (*at).into()).collect();
        let mut found = Vec::new();
        self.engine.query(sql, &args, &mut |row| {
            let number = u64::try_from(row.int(0)?).unwrap_or(0);
            found.push((number, row.int(1)?.unsigned_abs()));
            Ok(())
        })?;
        Ok(found)
    }
}

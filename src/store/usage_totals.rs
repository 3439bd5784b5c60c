//! Writes usage by user and day, and sums it by domain and day in the same change.
//!
//! The row of `summing` says which days are not in the sums yet: those that an earlier
//! version wrote. They are added in batches, in the order of the users; after a kill the
//! next run continues at the same user. Until the pass is over, these days are read from
//! the rows of the users.

use std::collections::BTreeMap;

use super::engine::{Arg, add};
use super::{Store, Tx};
use crate::error::Result;
use crate::model::name::Username;
use crate::model::usage_window::Count;

/// The usage of a user on a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DailyUsage {
    /// Messages and recipients.
    pub amount: Count,
    /// The sizes of the messages.
    pub bytes: u64,
    /// Messages and recipients that were refused.
    pub refusals: u32,
}

/// Messages, recipients, bytes and refusals.
type Sums = [u64; 4];

/// Keeps sums within the range of a database.
const MOST: u64 = 1 << 50;

impl DailyUsage {
    fn sums(self) -> Sums {
        [
            self.amount.messages.into(),
            self.amount.recipients.into(),
            self.bytes.min(MOST),
            self.refusals.into(),
        ]
    }
}

fn args(sums: Sums) -> [Arg<'static>; 4] {
    sums.map(|sum| Arg::Int(sum.min(MOST).cast_signed()))
}

/// Which days are not summed yet, or only for the users up to `behind`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Summing {
    first_day: i64,
    end_day: i64,
    pass_end: i64,
    behind: String,
}

impl Summing {
    /// Returns whether the sums include this user's usage on that day.
    fn holds(&self, username: &str, day: i64) -> bool {
        let passed = day < self.pass_end && username <= self.behind.as_str();
        day < self.first_day || day >= self.end_day || passed
    }

    /// Begins a pass if there are days to add that no program writes any more: earlier
    /// versions, which do not write the sums, end within a day or two.
    fn begin(&mut self, today: i64) -> bool {
        let closed = (today - 1).min(self.end_day);
        let began = self.pass_end > self.first_day;
        let first = self.first_day == 0;
        if !began && closed > self.first_day && (first || closed == self.end_day) {
            self.pass_end = closed;
            self.behind.clear();
        }
        self.pass_end > self.first_day
    }
}

/// The result of a batch of a pass over all users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summed {
    pub rows: u64,
    pub more: bool,
}

macro_rules! add_sums {
    () => {
        concat!(
            " ON CONFLICT (domain, day) DO UPDATE SET ",
            add!("usage_by_domain", "messages"),
            ", ",
            add!("usage_by_domain", "recipients"),
            ", ",
            add!("usage_by_domain", "bytes"),
            ", ",
            add!("usage_by_domain", "refusals")
        )
    };
}

/// A column, capped so that its sums stay in range.
macro_rules! capped {
    ($column:literal) => {
        concat!(
            "CASE WHEN ",
            $crate::store::engine::sum!($column),
            " < ",
            $crate::store::engine::most!(),
            " THEN ",
            $crate::store::engine::sum!($column),
            " ELSE ",
            $crate::store::engine::most!(),
            " END"
        )
    };
}

/// Inserts the sums of some rows.
macro_rules! insert_sums {
    ($which:literal) => {
        concat!(
            "INSERT INTO usage_by_domain (domain, day, messages, recipients, bytes, refusals)
            SELECT domain, day, ",
            $crate::store::usage_totals::capped!("messages"),
            ", ",
            $crate::store::usage_totals::capped!("recipients"),
            ", ",
            $crate::store::usage_totals::capped!("bytes"),
            ", ",
            $crate::store::usage_totals::capped!("refusals"),
            " FROM usage WHERE ",
            $which,
            " GROUP BY domain, day"
        )
    };
}

/// Adds the sums of some rows to the existing ones.
macro_rules! sum_rows {
    ($which:literal) => {
        concat!(insert_sums!($which), add_sums!())
    };
}

pub(super) use {capped, insert_sums};

const USER: &str = concat!(
    "INSERT INTO usage (username, day, domain, messages, recipients, bytes, refusals)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (username, day) DO UPDATE SET ",
    add!("usage", "messages"),
    ", ",
    add!("usage", "recipients"),
    ", ",
    add!("usage", "bytes"),
    ", ",
    add!("usage", "refusals")
);
const DOMAIN: &str = concat!(
    "INSERT INTO usage_by_domain (domain, day, messages, recipients, bytes, refusals)
    VALUES ($1, $2, $3, $4, $5, $6)",
    add_sums!()
);

impl Store {
    fn summing(&mut self) -> Result<Summing> {
        const SQL: &str = "SELECT first_day, end_day, pass_end, behind FROM summing";
        // Without the row, all days are read from the users.
        let mut found = Summing {
            first_day: 0,
            end_day: i64::MAX,
            pass_end: 0,
            behind: String::new(),
        };
        self.engine.query(SQL, &[], &mut |row| {
            found = Summing {
                first_day: row.int(0)?,
                end_day: row.int(1)?,
                pass_end: row.int(2)?,
                behind: row.text(3)?.to_owned(),
            };
            Ok(())
        })?;
        Ok(found)
    }
}

// Measured, not changed by an admin: no events.
impl Tx<'_> {
    /// Adds usage to the rows of users and to the sums of their domains.
    pub fn add_usage<'a>(
        &mut self,
        sent: impl IntoIterator<Item = (&'a Username, i64, DailyUsage)>,
    ) -> Result<()> {
        let mut sent = sent.into_iter().peekable();
        if sent.peek().is_none() {
            return Ok(());
        }
        let summing = self.store.summing()?;
        let mut sums = BTreeMap::new();
        for (username, day, sent) in sent {
            let domain = username.domain();
            let name = username.as_str();
            let key = [name.into(), day.into(), domain.as_str().into()];
            self.later(USER, &[&key[..], &args(sent.sums())].concat())?;
            if summing.holds(name, day) {
                let sum: &mut Sums = sums.entry((domain, day)).or_default();
                for (sum, more) in sum.iter_mut().zip(sent.sums()) {
                    *sum = sum.saturating_add(more);
                }
            }
        }
        for ((domain, day), sum) in sums {
            let key = [domain.as_str().into(), day.into()];
            self.later(DOMAIN, &[&key[..], &args(sum)].concat())?;
        }
        Ok(())
    }

    /// Gives the usage of a user to its new name. What is written today and tomorrow counts
    /// for the domain of the new name; earlier days stay with the old domain.
    pub(super) fn move_usage(&mut self, old: &Username, new: &Username) -> Result<()> {
        const READ: &str = "SELECT day, domain, messages, recipients, bytes, refusals
            FROM usage WHERE username = $1 ORDER BY day";
        const DELETE: &str = "DELETE FROM usage WHERE username = $1";
        const LESS: &str = "UPDATE usage_by_domain SET messages = messages - $3,
                recipients = recipients - $4, bytes = bytes - $5, refusals = refusals - $6
            WHERE domain = $1 AND day = $2";
        const DAY: i64 = 86_400;
        // Usage of yesterday may still be on its way.
        let recent = self.stamp.at.epoch().div_euclid(DAY) - 1;
        let mut rows = [Vec::new(), Vec::new()];
        for (rows, name) in rows.iter_mut().zip([old, new]) {
            self.store.of_each(READ, &[name], &mut |_, row| {
                let sum = |column| row.int(column).map(i64::unsigned_abs);
                let sums: Sums = [sum(2)?, sum(3)?, sum(4)?, sum(5)?];
                rows.push((row.int(0)?, row.text(1)?.to_owned(), sums));
                Ok(())
            })?;
        }
        let [moved, there] = rows;
        if moved.is_empty() {
            return Ok(());
        }
        let summing = self.store.summing()?;
        let (old, new) = (old.as_str(), new.as_str());
        let new_domain = new.split_once('@').map_or("", |(_, domain)| domain);
        for (day, domain, sums) in &moved {
            // An earlier user of the new name may have usage of that day, in one domain.
            let had = there.iter().find(|(other, ..)| other == day);
            let to = match had {
                Some((_, domain, _)) => domain.as_str(),
                None if *day >= recent => new_domain,
                None => domain.as_str(),
            };
            let key = [new.into(), (*day).into(), to.into()];
            self.later(USER, &[&key[..], &args(*sums)].concat())?;
            let (was_summed, is_summed) = (summing.holds(old, *day), summing.holds(new, *day));
            if was_summed == is_summed && to == domain {
                continue;
            }
            if was_summed {
                let key = [domain.as_str().into(), (*day).into()];
                self.later(LESS, &[&key[..], &args(*sums)].concat())?;
            }
            if is_summed {
                let key = [to.into(), (*day).into()];
                self.later(DOMAIN, &[&key[..], &args(*sums)].concat())?;
            }
        }
        self.later(DELETE, &[old.into()])
    }

    /// Adds the rows of the next users to the sums: `limit` rows, and all of the last user's.
    pub fn sum_usage(&mut self, today: i64, limit: u32) -> Result<Summed> {
        const LAST: &str = "SELECT username FROM usage WHERE username > $1
            ORDER BY username, day LIMIT 1 OFFSET $2";
        const COUNT: &str = "SELECT count(*) FROM usage WHERE username > $1 AND username <= $2";
        // `+ 0` avoids the index of days: these are most of them.
        const ADD: &str =
            sum_rows!("username > $1 AND username <= $2 AND day + 0 >= $3 AND day + 0 < $4");
        const SAVE: &str =
            "UPDATE summing SET first_day = $1, end_day = $2, pass_end = $3, behind = $4";
        /// Sorts after all names.
        const END: &str = "\u{10ffff}";
        let mut summing = self.store.summing()?;
        if !summing.begin(today) {
            return Ok(Summed {
                rows: 0,
                more: false,
            });
        }
        let mut last = None;
        let args = [summing.behind.as_str().into(), limit.into()];
        self.store.engine.query(LAST, &args, &mut |row| {
            last = Some(row.text(0)?.to_owned());
            Ok(())
        })?;
        let more = last.is_some();
        let last = last.unwrap_or_else(|| END.to_owned());
        let range = [summing.behind.as_str().into(), last.as_str().into()];
        let mut rows = 0;
        self.store.engine.query(COUNT, &range, &mut |row| {
            rows = row.int(0)?.unsigned_abs();
            Ok(())
        })?;
        let args = [
            range[0],
            range[1],
            summing.first_day.into(),
            summing.pass_end.into(),
        ];
        self.execute(ADD, &args)?;
        summing.behind = last;
        if !more {
            summing.first_day = summing.pass_end;
            summing.behind.clear();
        }
        let args = [
            summing.first_day.into(),
            summing.end_day.into(),
            summing.pass_end.into(),
            summing.behind.as_str().into(),
        ];
        self.execute(SAVE, &args)?;
        Ok(Summed { rows, more })
    }

    /// Sums the days after those of a pass, once rows came from another store.
    pub(super) fn sum_later_days(&mut self) -> Result<()> {
        const SQL: &str = sum_rows!("day >= (SELECT end_day FROM summing)");
        self.execute(SQL, &[]).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::Summing;

    fn summing(first_day: i64, end_day: i64) -> Summing {
        Summing {
            first_day,
            end_day,
            pass_end: 0,
            behind: "m".into(),
        }
    }

    #[test]
    fn two_passes_add_up_all_days() {
        let mut summing = summing(0, 102);
        assert!(!summing.holds("a", 101), "no pass has begun");
        assert!(summing.holds("a", 102));
        assert!(summing.begin(100));
        assert_eq!((summing.pass_end, summing.behind.as_str()), (99, ""));
        summing.behind = "m".into();
        assert!(summing.begin(101), "it goes on");
        assert_eq!((summing.pass_end, summing.behind.as_str()), (99, "m"));
        assert!(summing.holds("m", 98) && !summing.holds("n", 98) && !summing.holds("a", 99));

        summing.first_day = summing.pass_end;
        assert!(
            !summing.begin(102),
            "others may still write on the day before"
        );
        assert!(summing.holds("n", 98) && !summing.holds("a", 99) && !summing.holds("a", 101));
        assert!(summing.begin(103));
        assert_eq!((summing.pass_end, summing.behind.as_str()), (102, ""));
        summing.first_day = summing.pass_end;
        assert!(!summing.begin(500));
        assert!(summing.holds("n", 0) && summing.holds("n", 101));
    }
}

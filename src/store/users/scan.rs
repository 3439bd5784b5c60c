//! Selects users to examine, range by range: all of them, or a sample.

use crate::error::Result;
use crate::model::name::DomainName;
use crate::store::Store;
use crate::store::engine::Arg;

/// A position among the users, and how many to skip.
#[derive(Clone, Debug)]
pub struct UserScan {
    after: String,
    every: u32,
    /// How many ranges to skip before the next one.
    before: u32,
}

impl UserScan {
    /// All users after a name.
    pub fn after(name: &str) -> Self {
        Self {
            after: name.to_owned(),
            every: 1,
            before: 0,
        }
    }

    /// All users.
    pub fn all() -> Self {
        Self::after("")
    }

    /// One in this many users is examined.
    pub const fn every(&self) -> u32 {
        self.every
    }
}

impl Store {
    /// Returns the last user of the next range after a name, or of several ranges.
    /// One statement reads a range, however few of its users match: on a server each
    /// statement has to end soon. Nothing once there are no more users.
    pub(in crate::store) fn end_of_range(
        &mut self,
        domain: Option<&DomainName>,
        after: &str,
        ranges: u32,
    ) -> Result<Option<String>> {
        const RANGE: u32 = 2_000;
        const OF_ALL: &str = "SELECT max(w.username) FROM
            (SELECT username FROM users WHERE username > $1 ORDER BY username LIMIT $2) w";
        const OF_DOMAIN: &str = "SELECT max(w.username) FROM
            (SELECT username FROM users WHERE username > $1 AND domain = $3
                ORDER BY username LIMIT $2) w";
        let domain = domain.map(DomainName::as_str);
        let users = RANGE.saturating_mul(ranges);
        let args: [Arg; 3] = [after.into(), users.into(), domain.into()];
        let (sql, args) = match domain {
            None => (OF_ALL, &args[..2]),
            Some(_) => (OF_DOMAIN, &args[..]),
        };
        let mut last = None;
        self.engine.query(sql, args, &mut |row| {
            last = row.opt_text(0)?.map(str::to_owned);
            Ok(())
        })?;
        Ok(last)
    }

    /// Returns a sample of `most` users or a few more, if there are more than that,
    /// selected by the random number.
    pub fn sample(&mut self, most: u32, random: u32) -> Result<UserScan> {
        const SQL: &str = "SELECT count(*) FROM users";
        let users = self.count_rows(SQL, &[])?;
        let every = u32::try_from(users / u64::from(most)).unwrap_or(u32::MAX);
        let every = every.max(1);
        Ok(UserScan {
            after: String::new(),
            every,
            before: random % every,
        })
    }

    /// Returns the bounds of the next range, after one name and up to another, for one
    /// statement. Nothing once there are no more users.
    pub(in crate::store) fn next_range(
        &mut self,
        scan: &mut UserScan,
    ) -> Result<Option<(String, String)>> {
        if scan.before > 0 {
            match self.end_of_range(None, &scan.after, scan.before)? {
                Some(last) => scan.after = last,
                None => return Ok(None),
            }
        }
        scan.before = scan.every - 1;
        let Some(last) = self.end_of_range(None, &scan.after, 1)? else {
            return Ok(None);
        };
        let after = std::mem::replace(&mut scan.after, last.clone());
        Ok(Some((after, last)))
    }
}

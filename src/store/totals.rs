//! How many users there are, kept beside them: counting a million rows takes longer than
//! everything else that `status` reads.

use super::{Store, Tx};
use crate::error::Result;
use crate::model::name::Username;

/// Up to this number users are counted; above it the kept total is read.
pub(super) const COUNTED: u32 = 20_000;

impl Store {
    /// Returns how many more users there are than the kept total; below zero if there are
    /// fewer. A program from before the total that still runs does not keep it.
    pub fn missing_in_total(&mut self) -> Result<i64> {
        const SQL: &str = "SELECT (SELECT count(*) FROM users)
            - COALESCE((SELECT n FROM totals WHERE what = 'users'), 0)";
        let mut missing = 0;
        self.engine.query(SQL, &[], &mut |row| {
            missing = row.int(0)?;
            Ok(())
        })?;
        Ok(missing)
    }

    /// Returns whether `status` reads a wrong total: of few users it needs none.
    pub fn total_in_use_is_wrong(&mut self) -> Result<bool> {
        const SQL: &str = "SELECT count(*) FROM users";
        let users = self.count_rows(SQL, &[])?;
        Ok(users >= COUNTED.into() && self.missing_in_total()? != 0)
    }
}

impl Tx<'_> {
    /// Adds the users that this change created: once, not once for each of a million.
    pub(super) fn add_created(&mut self) -> Result<()> {
        const SQL: &str = "UPDATE totals SET n = n + $1 WHERE what = 'users'";
        let created = std::mem::take(&mut self.created);
        if created == 0 {
            return Ok(());
        }
        self.later(SQL, &[created.into()])
    }

    /// Call it before the user is deleted: one that does not exist does not count.
    pub(super) fn subtract_user(&mut self, username: &Username) -> Result<()> {
        const SQL: &str = "UPDATE totals SET n = n - 1 WHERE what = 'users'
            AND EXISTS (SELECT 1 FROM users WHERE username = $1)";
        self.later(SQL, &[username.as_str().into()])
    }

    /// Counts all users again. Measured, not changed by an admin: no event.
    pub fn correct_user_total(&mut self) -> Result<()> {
        const SQL: &str = "INSERT INTO totals (what, n) SELECT 'users', count(*) FROM users
            WHERE 1 = 1 ON CONFLICT (what) DO UPDATE SET n = excluded.n";
        self.created = 0;
        self.later(SQL, &[])
    }
}

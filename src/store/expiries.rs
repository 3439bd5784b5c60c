//! Records what has expired, and corrects times that a wrong clock wrote.

use super::Tx;
use super::engine::Arg;
use crate::error::Result;
use crate::model::alert::NewAlert;
use crate::model::event::{Action, Fields};
use crate::model::name::Username;
use crate::model::time::{CLOCKS_DIFFER, Time};

/// Rows that expire or retire in one transaction: it takes some milliseconds.
const PIECE: u32 = 1000;

/// Returns whether a batch is full.
fn is_full(rows: usize) -> bool {
    rows >= PIECE as usize
}

impl Tx<'_> {
    /// Restarts overlaps that began while the clock was ahead: otherwise, once the clock
    /// is set back, the old password or name would work longer by that error. The same applies
    /// to interrupted deliveries, which rotations wait for. Returns whether there may be more.
    pub fn fix_retirements(&mut self) -> Result<bool> {
        const SQL: &str = "UPDATE passwords SET
                retires_at = CASE WHEN retires_at < retiring_since THEN retires_at
                    ELSE $1 + (retires_at - retiring_since) END,
                retire_latest = $1 + (retire_latest - retiring_since),
                retiring_since = $1
            WHERE (username, password_id) IN (SELECT username, password_id FROM passwords
                WHERE retiring_since > $2 AND hash IS NOT NULL LIMIT $3)";
        const LEFT: &str = "UPDATE rotations SET
                settles_at = CASE WHEN settles_at < began_at THEN settles_at
                    ELSE $1 + (settles_at - began_at) END,
                began_at = $1
            WHERE username IN (SELECT username FROM rotations WHERE began_at > $2 LIMIT $3)";
        const RENAMED: &str = "UPDATE old_names SET
                until = CASE WHEN until < renamed_at THEN until
                    ELSE $1 + (until - renamed_at) END,
                renamed_at = $1
            WHERE old_name IN (SELECT old_name FROM old_names WHERE renamed_at > $2 LIMIT $3)";
        let now = self.stamp.at;
        let late = Time::from_epoch(now.epoch() + CLOCKS_DIFFER);
        let args = [now.into(), late.into(), Arg::from(PIECE)];
        let left = self.execute(LEFT, &args)?;
        let retiring = self.execute(SQL, &args)?;
        let renamed = self.execute(RENAMED, &args)?;
        Ok([left, retiring, renamed].into_iter().any(is_full))
    }

    /// Writes an event for each user that has expired since. Returns whether there may be more.
    pub fn record_expiries(&mut self) -> Result<bool> {
        const FIND: &str = "SELECT username, expires_at FROM users
            WHERE expires_at <= $1 AND expiry_told IS NULL
            ORDER BY expires_at LIMIT $2";
        const TOLD: &str = "UPDATE users SET expiry_told = 1 WHERE username = $1";
        let mut found: Vec<(Username, Time)> = Vec::new();
        let args = [self.stamp.at.into(), PIECE.into()];
        self.store.engine.query(FIND, &args, &mut |row| {
            found.push((row.parsed(0)?, row.time(1)?));
            Ok(())
        })?;
        // In the order of an index, the server need not read all users that expire together.
        found.sort_unstable_by(|(a, one), (b, other)| one.cmp(other).then_with(|| a.cmp(b)));
        for (username, at) in &found {
            self.later(TOLD, &[username.as_str().into()])?;
            let fields = Fields::default().with("expired_at", at.to_string());
            self.rotation_event(Action::UserExpired, username, &fields)?;
            self.raise(&NewAlert::expiring(username, *at, self.stamp.at))?;
        }
        Ok(is_full(found.len()))
    }
}

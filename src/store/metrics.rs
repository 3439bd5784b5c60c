//! What metrics name one by one, up to a number: the limits that are nearly used up and the oldest
//! passwords.

use super::passwords::stays;
use super::{LimitNear, Store};
use crate::error::Result;
use crate::model::name::Username;
use crate::model::time::Time;

/// See [`Store::metrics`].
#[derive(Debug)]
pub struct StoreMetrics {
    /// The daily limits of which 80 % are used, the fullest first.
    pub limits_near: Vec<LimitNear>,
    /// The oldest passwords of users that can sign in, the oldest first.
    pub old_passwords: Vec<OldPassword>,
}

/// The password of a user and its age.
#[derive(Clone, Debug)]
pub struct OldPassword {
    /// The user.
    pub username: Username,
    /// When its password was created.
    pub created_at: Time,
}

/// In the order of the key, so that nothing is sorted but the few that are kept.
const OLDEST: &str = concat!(
    "SELECT k.username, k.created_at FROM (SELECT username, max(created_at) AS created_at
        FROM passwords WHERE ",
    stays!(),
    " GROUP BY username) k
    JOIN users u ON u.username = k.username
    WHERE u.suspended_at IS NULL AND (u.expires_at IS NULL OR u.expires_at > $1)
    ORDER BY k.created_at, k.username LIMIT $2"
);

impl Store {
    /// Returns at most this many of each. The passwords are found by a scan of all of them.
    pub fn metrics(&mut self, now: Time, most: u32) -> Result<StoreMetrics> {
        let (limits_near, _) = self.limits_near(now, most)?;
        let mut old_passwords = Vec::new();
        self.engine
            .query(OLDEST, &[now.into(), most.into()], &mut |row| {
                old_passwords.push(OldPassword {
                    username: row.parsed(0)?,
                    created_at: row.time(1)?,
                });
                Ok(())
            })?;
        Ok(StoreMetrics {
            limits_near,
            old_passwords,
        })
    }
}

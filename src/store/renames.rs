//! Renames users: everything of a user gets its new name, in one change. The events keep the
//! names of their time.

use super::Tx;
use super::engine::add_to_counts;
use crate::error::{Error, Result};
use crate::model::event::{Action, Fields};
use crate::model::name::Username;
use crate::model::time::Time;

/// Tables whose rows get the new name as they are. The passwords come before the last
/// connections, which refer to them.
const MOVED: [&str; 13] = [
    "UPDATE last_connections SET username = $2 WHERE username = $1",
    "UPDATE senders SET username = $2 WHERE username = $1",
    "UPDATE tags SET username = $2 WHERE username = $1",
    "UPDATE recipients SET username = $2 WHERE username = $1",
    "UPDATE rotations SET username = $2 WHERE username = $1",
    "UPDATE old_names SET username = $2 WHERE username = $1",
    "UPDATE limits SET owner = $2 WHERE owner = $1",
    "UPDATE rotation_rules SET owner = $2 WHERE owner = $1",
    "UPDATE address_rules SET owner = $2 WHERE owner = $1",
    "UPDATE allowed_addresses SET owner = $2 WHERE owner = $1",
    "UPDATE seen_addresses SET username = $2 WHERE username = $1",
    "UPDATE session_ends SET username = $2 WHERE username = $1",
    "UPDATE roles SET username = $2 WHERE username = $1",
];

impl Tx<'_> {
    /// Renames a user, whose old name works until a time, if one is given. Without one, its
    /// earlier names stop, too. The new name must be free and its domain must exist.
    pub fn rename_user(
        &mut self,
        old: &Username,
        new: &Username,
        until: Option<Time>,
    ) -> Result<()> {
        // The new name may be an old one of the same user.
        const FREE: &str = "DELETE FROM old_names WHERE old_name = $1";
        // Copied and deleted, because the rows of other tables refer to it.
        const USER: &str = "INSERT INTO users (username, domain, label, daily_limit, expires_at,
                suspended_at, created_at, on_limit, expiry_told, note, digest_name)
            SELECT CAST($2 AS TEXT), CAST($3 AS TEXT), label, daily_limit, expires_at,
                suspended_at, created_at, on_limit, expiry_told, note,
                NULLIF(COALESCE(digest_name, username), $2)
            FROM users WHERE username = $1";
        const PASSWORDS: &str = "INSERT INTO passwords (username, password_id, hash, created_at,
                retires_at, retiring_since, retire_unused, retire_latest, imported, generated,
                temporary, label, networks)
            SELECT CAST($2 AS TEXT), password_id, hash, created_at, retires_at, retiring_since,
                retire_unused, retire_latest, imported, generated, temporary, label, networks
            FROM passwords WHERE username = $1";
        const DELETE: &str = "DELETE FROM users WHERE username = $1";
        const COUNTS: &str = add_to_counts!(
            "SELECT CAST($2 AS TEXT), span, at, messages, recipients, new_recipients
            FROM counts WHERE owner = $1"
        );
        const NEAR: &str = "INSERT INTO limits_near (owner, kind)
            SELECT CAST($2 AS TEXT), kind FROM limits_near WHERE owner = $1
            ON CONFLICT DO NOTHING";
        const COUNTED: &str = "DELETE FROM counts WHERE owner = $1";
        const OLD_NAME: &str = "INSERT INTO old_names (old_name, username, renamed_at, until)
            VALUES ($1, $2, $3, $4)";
        // As of no time: what has stopped stays so when the clock is set back.
        const STOP: &str = "UPDATE old_names SET until = NULL WHERE username = $1 AND until > $2";
        let domain = new.domain();
        let names = [old.as_str().into(), new.as_str().into()];
        self.later(FREE, &names[1..])?;
        let missing = Error::UserNotFound(old.to_string());
        let args = [names[0], names[1], domain.as_str().into()];
        self.change_later(USER, &args, missing)?;
        self.later(PASSWORDS, &names)?;
        for sql in MOVED {
            self.later(sql, &names)?;
        }
        self.later(DELETE, &names[..1])?;
        self.scrub = true;
        self.later(COUNTS, &names)?;
        self.later(COUNTED, &names[..1])?;
        self.later(NEAR, &names)?;
        self.move_usage(old, new)?;
        if until.is_none() {
            self.later(STOP, &[names[1], self.stamp.at.into()])?;
        }
        let args = [names[0], names[1], self.stamp.at.into(), until.into()];
        self.later(OLD_NAME, &args)?;
        self.rename_event(old, new, until)
    }

    /// Lets an old name work until another time, or stops it.
    pub fn set_old_name(
        &mut self,
        old: &Username,
        new: &Username,
        until: Option<Time>,
    ) -> Result<()> {
        const SQL: &str = "UPDATE old_names SET until = $2 WHERE old_name = $1";
        self.later(SQL, &[old.as_str().into(), until.into()])?;
        self.rename_event(old, new, until)
    }

    fn rename_event(&mut self, old: &Username, new: &Username, until: Option<Time>) -> Result<()> {
        let fields = Fields::default()
            .with("old", old.as_str())
            .with("new", new.as_str())
            .with("old_name_until", until.map(|at| at.to_string()));
        self.event(Action::UserRename, Some(&new.domain()), Some(new), &fields)
    }
}

//! Temporary passwords: rows of their own beside the password of a user. What replaces or retires
//! that leaves them alone.

use super::{NewPassword, Tx};
use crate::error::Result;
use crate::model::event::{Action, Fields};
use crate::model::label::Label;
use crate::model::name::Username;
use crate::model::network::Network;
use crate::model::password::PasswordId;
use crate::model::temporary;
use crate::model::time::Time;

/// A temporary password to store.
#[derive(Debug)]
pub struct NewTemporary<'a> {
    /// The password.
    pub password: &'a NewPassword,
    /// When it ends.
    pub until: Time,
    /// What it is for.
    pub label: Option<&'a Label>,
    /// From where it works; empty: from where its user may sign in.
    pub networks: &'a [Network],
}

impl Tx<'_> {
    /// Adds a temporary password.
    pub fn issue_password(&mut self, username: &Username, new: &NewTemporary) -> Result<()> {
        const SQL: &str = "INSERT INTO passwords (username, password_id, hash, created_at,
                retires_at, retiring_since, generated, temporary, label, networks)
            VALUES ($1, $2, $3, $4, $5, $4, $6, 1, $7, $8)";
        let label = new.label.map(Label::as_str);
        let networks = temporary::written(new.networks);
        let args = [
            username.as_str().into(),
            new.password.password_id.as_str().into(),
            new.password.hash.as_str().into(),
            self.stamp.at.into(),
            new.until.into(),
            i64::from(new.password.generated).into(),
            label.into(),
            networks.as_deref().into(),
        ];
        self.later(SQL, &args)?;
        let fields = Fields::default()
            .with("password_id", new.password.password_id.as_str())
            .with("expires_at", new.until.to_string())
            .with_some("label", label)
            .with_some("from", networks);
        self.rotation_event(Action::UserIssue, username, &fields)
    }

    /// Ends all temporary passwords of a user, as a part of a change.
    pub(super) fn end_temporary_passwords(&mut self, username: &Username) -> Result<()> {
        const SQL: &str = "UPDATE passwords SET hash = NULL,
                retires_at = CASE WHEN retires_at < $2 THEN retires_at ELSE $2 END
            WHERE username = $1 AND temporary = 1 AND hash IS NOT NULL";
        let args = [username.as_str().into(), self.stamp.at.into()];
        self.scrub = true;
        self.later(SQL, &args)
    }

    /// Ends a temporary password before its time.
    pub fn end_temporary_password(
        &mut self,
        username: &Username,
        password_id: &PasswordId,
    ) -> Result<()> {
        self.stop_password(username, password_id)?;
        let fields = Fields::default()
            .with("password_id", password_id.as_str())
            .with("temporary", true);
        self.rotation_event(Action::UserRetire, username, &fields)
    }
}

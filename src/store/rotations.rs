//! Rotations under way: a new password beside the old one, until it has arrived.

use super::{NewPassword, Tx};
use crate::error::Result;
use crate::model::alert::NewAlert;
use crate::model::delivery::{Destination, VariableName};
use crate::model::event::{Action, Fields};
use crate::model::name::Username;
use crate::model::password::PasswordId;
use crate::model::rotation::{Retire, RotationStage};
use crate::model::time::Time;

impl Tx<'_> {
    /// Reads ahead whether rotations of these users are unfinished, for the calls that
    /// advance them.
    pub fn read_rotations(&mut self, names: &[&Username]) -> Result<()> {
        let found = self.store.unfinished_of(names)?;
        for (username, unfinished) in names.iter().zip(found) {
            let password_id = unfinished.and_then(|unfinished| unfinished.password_id);
            self.rotating.insert((*username).clone(), password_id);
        }
        Ok(())
    }

    /// Returns the password of an unfinished rotation.
    fn rotating(&mut self, username: &Username) -> Result<Option<PasswordId>> {
        match self.rotating.remove(username) {
            Some(password_id) => Ok(password_id),
            None => Ok(self
                .store
                .unfinished(username)?
                .and_then(|found| found.password_id)),
        }
    }

    fn is_rotating(&mut self, username: &Username, password_id: &PasswordId) -> Result<bool> {
        Ok(self
            .rotating(username)?
            .is_some_and(|it| it == *password_id))
    }

    /// Adds the new password, which works from now on beside the old one. Revokes the one
    /// that an unfinished rotation left behind and, with `stop_retiring`, those that would
    /// retire later.
    pub fn begin_rotation(
        &mut self,
        username: &Username,
        password: &NewPassword,
        delivery: &Destination,
        stop_retiring: bool,
    ) -> Result<()> {
        const SQL: &str = "INSERT INTO rotations
            (username, password_id, state, began_at, with_command, write_file, write_env, env_name)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
            ON CONFLICT (username) DO UPDATE SET password_id = excluded.password_id,
                state = excluded.state, began_at = excluded.began_at,
                with_command = excluded.with_command, write_file = excluded.write_file,
                write_env = excluded.write_env, env_name = excluded.env_name,
                settles_at = NULL, reason = NULL";
        let withdrawn = self.rotating(username)?;
        if let Some(password_id) = &withdrawn {
            self.stop_password(username, password_id)?;
        }
        if stop_retiring {
            self.stop_retiring(username)?;
        }
        self.insert_password(username, password)?;
        let files = delivery.files_of(username);
        let [file, env] = [&files.write_file, &files.write_env]
            .map(|path| path.as_ref().map(ToString::to_string));
        let args = [
            username.as_str().into(),
            password.password_id.as_str().into(),
            RotationStage::Live.name().into(),
            self.stamp.at.into(),
            i64::from(delivery.command.is_some()).into(),
            file.as_deref().into(),
            env.as_deref().into(),
            files.env_name.as_ref().map(VariableName::as_str).into(),
        ];
        self.later(SQL, &args)?;
        let fields = Fields::default()
            .with("password_id", password.password_id.as_str())
            .with_some("withdrawn", withdrawn.as_ref().map(PasswordId::as_str));
        self.rotation_event(Action::RotationBegin, username, &fields)
    }

    /// Records that the new password is being delivered, until `settles_at` at the latest.
    /// Writes no event, because the set of valid passwords stays the same. Returns false if
    /// the password was reset meanwhile.
    pub fn hand_over(
        &mut self,
        username: &Username,
        password_id: &PasswordId,
        settles_at: Time,
    ) -> Result<bool> {
        const SQL: &str = "UPDATE rotations SET state = $3, settles_at = $4
            WHERE username = $1 AND password_id = $2";
        let args = [
            username.as_str().into(),
            password_id.as_str().into(),
            RotationStage::Handing.name().into(),
            settles_at.into(),
        ];
        let is_rotating = self.is_rotating(username, password_id)?;
        if is_rotating {
            self.later(SQL, &args)?;
        }
        Ok(is_rotating)
    }

    /// Records that a delivery has ended without a known result. Does nothing if the password
    /// was reset meanwhile.
    pub fn leave_rotation(
        &mut self,
        username: &Username,
        password_id: &PasswordId,
        reason: &str,
    ) -> Result<()> {
        const SQL: &str = "UPDATE rotations
            SET state = $3, settles_at = $4, reason = $5
            WHERE username = $1 AND password_id = $2";
        let args = [
            username.as_str().into(),
            password_id.as_str().into(),
            RotationStage::Handing.name().into(),
            self.stamp.at.into(),
            reason.into(),
        ];
        if !self.is_rotating(username, password_id)? {
            return Ok(());
        }
        self.later(SQL, &args)?;
        let fields = Fields::default()
            .with("password_id", password_id.as_str())
            .with("reason", reason);
        self.rotation_event(Action::RotationUnfinished, username, &fields)?;
        self.raise(&NewAlert::rotation_unfinished(username, reason))
    }

    /// Revokes a new password that did not arrive, and keeps the old one.
    pub fn withdraw_rotation(
        &mut self,
        username: &Username,
        password_id: &PasswordId,
        reason: &str,
    ) -> Result<()> {
        const SQL: &str = "UPDATE rotations
            SET password_id = NULL, state = $2, settles_at = NULL, reason = $3
            WHERE username = $1 AND password_id = $4";
        let args = [
            username.as_str().into(),
            RotationStage::Withdrawn.name().into(),
            reason.into(),
            password_id.as_str().into(),
        ];
        if !self.is_rotating(username, password_id)? {
            return Ok(());
        }
        self.later(SQL, &args)?;
        self.stop_new_password(username, password_id, reason)?;
        self.raise(&NewAlert::rotation_failed(username, reason))
    }

    /// Records why a rotation could not begin: the password stays. Does nothing if a new password
    /// of an earlier run is live, or if the user created at this time has gone.
    pub fn refuse_rotation(
        &mut self,
        username: &Username,
        created_at: Time,
        reason: &str,
    ) -> Result<()> {
        const SQL: &str = "INSERT INTO rotations
            (username, password_id, state, began_at, with_command, reason)
            VALUES ($1, NULL, $2, $3, 0, $4)
            ON CONFLICT (username) DO UPDATE SET reason = excluded.reason";
        let user = self.store.user(username)?;
        if user.is_none_or(|user| user.created_at != created_at) {
            return Ok(());
        }
        if self.rotating(username)?.is_some() {
            return Ok(());
        }
        let args = [
            username.as_str().into(),
            RotationStage::Withdrawn.name().into(),
            self.stamp.at.into(),
            reason.into(),
        ];
        self.later(SQL, &args)?;
        let fields = Fields::default().with("reason", reason);
        self.rotation_event(Action::RotationWithdraw, username, &fields)?;
        self.raise(&NewAlert::rotation_failed(username, reason))
    }

    /// Revokes a new password whose delivery never began, keeps the old one, and ends the
    /// rotation.
    pub fn cancel_rotation(
        &mut self,
        username: &Username,
        password_id: &PasswordId,
        reason: &str,
    ) -> Result<()> {
        const SQL: &str = "DELETE FROM rotations WHERE username = $1 AND password_id = $2";
        if !self.is_rotating(username, password_id)? {
            return Ok(());
        }
        self.later(
            SQL,
            &[username.as_str().into(), password_id.as_str().into()],
        )?;
        self.stop_new_password(username, password_id, reason)
    }

    /// Stops the new password of a rotation and keeps the old one.
    fn stop_new_password(
        &mut self,
        username: &Username,
        password_id: &PasswordId,
        reason: &str,
    ) -> Result<()> {
        self.stop_password(username, password_id)?;
        self.keep_one(username)?;
        let fields = Fields::default()
            .with("password_id", password_id.as_str())
            .with("reason", reason);
        self.rotation_event(Action::RotationWithdraw, username, &fields)
    }

    /// Ends a rotation whose new password has arrived: the others retire. Returns false if
    /// the password was reset meanwhile.
    pub fn finish_rotation(
        &mut self,
        username: &Username,
        password_id: &PasswordId,
        retire: Retire,
    ) -> Result<bool> {
        const DONE: &str = "DELETE FROM rotations WHERE username = $1 AND password_id = $2";
        const RETIRE: &str = "UPDATE passwords SET retires_at = $3, retiring_since = $4,
                retire_unused = $5, retire_latest = $6
            WHERE username = $1 AND password_id <> $2 AND hash IS NOT NULL AND retires_at IS NULL";
        const STOP: &str = "UPDATE passwords SET hash = NULL, retires_at = $3
            WHERE username = $1 AND password_id <> $2 AND hash IS NOT NULL AND temporary = 0";
        let name = username.as_str();
        if !self.is_rotating(username, password_id)? {
            return Ok(false);
        }
        self.later(DONE, &[name.into(), password_id.as_str().into()])?;
        let now = self.stamp.at;
        let (unused, latest) = match retire {
            Retire::WhenUnused { unused, most } => (Some(unused.seconds()), Some(now.plus(most))),
            _ => (None, None),
        };
        let retires_at = match retire {
            Retire::AtOnce => now,
            Retire::After(overlap) => now.plus(overlap),
            Retire::WhenUnused { unused, most } => now.plus(unused.min(most)),
        };
        if retire == Retire::AtOnce {
            self.later(
                STOP,
                &[name.into(), password_id.as_str().into(), now.into()],
            )?;
            self.scrub = true;
        } else {
            let args = [
                name.into(),
                password_id.as_str().into(),
                retires_at.into(),
                now.into(),
                unused.into(),
                latest.into(),
            ];
            self.later(RETIRE, &args)?;
        }
        let fields = Fields::default()
            .with("password_id", password_id.as_str())
            .with("old_retires_at", retires_at.to_string());
        self.rotation_event(Action::UserRotate, username, &fields)?;
        Ok(true)
    }

    /// Ends an overlap by revoking one password, and returns the one that stays. If the
    /// newer one is revoked, the older one becomes permanent.
    pub fn retire_password(
        &mut self,
        username: &Username,
        password_id: &PasswordId,
    ) -> Result<PasswordId> {
        const SQL: &str = "DELETE FROM rotations WHERE username = $1";
        self.stop_password(username, password_id)?;
        // This also decides an unfinished rotation.
        self.later(SQL, &[username.as_str().into()])?;
        self.keep_one(username)?;
        let stays = self.kept_one(username)?;
        let fields = Fields::default()
            .with("password_id", password_id.as_str())
            .with("stays", stays.as_str());
        self.rotation_event(Action::UserRetire, username, &fields)?;
        Ok(stays)
    }

    pub(super) fn stop_password(
        &mut self,
        username: &Username,
        password_id: &PasswordId,
    ) -> Result<()> {
        const SQL: &str = "UPDATE passwords SET hash = NULL, retires_at = $3
            WHERE username = $1 AND password_id = $2 AND hash IS NOT NULL";
        let args = [
            username.as_str().into(),
            password_id.as_str().into(),
            self.stamp.at.into(),
        ];
        self.scrub = true;
        self.later(SQL, &args)
    }

    fn stop_retiring(&mut self, username: &Username) -> Result<()> {
        const SQL: &str = "UPDATE passwords SET hash = NULL, retires_at = $2
            WHERE username = $1 AND hash IS NOT NULL AND retires_at IS NOT NULL
                AND temporary = 0";
        self.scrub = true;
        let args = [username.as_str().into(), self.stamp.at.into()];
        self.later(SQL, &args)
    }

    pub(super) fn rotation_event(
        &mut self,
        action: Action,
        username: &Username,
        fields: &Fields,
    ) -> Result<()> {
        self.event(action, Some(&username.domain()), Some(username), fields)
    }
}

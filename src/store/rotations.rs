//! Rotations under way: a new password beside the old one, until it has arrived.

use super::engine::Row;
use super::{NewPassword, Store, Tx};
use crate::error::Result;
use crate::model::delivery::{Delivery, PathTemplate, VariableName};
use crate::model::duration::Duration;
use crate::model::event::{Action, Fields};
use crate::model::name::Username;
use crate::model::password::KeyId;
use crate::model::rotation::{Retire, Stage, Unfinished};
use crate::model::time::Time;

/// A user, and what decides whether its password is to be replaced.
#[derive(Debug)]
pub struct Candidate {
    pub username: Username,
    pub expires_at: Option<Time>,
    /// When the newest of its passwords was made.
    pub password_at: Option<Time>,
    /// As its user, its domain or the installation says.
    pub every: Option<Duration>,
    pub unfinished: bool,
}

impl Store {
    /// One run at a time: the lock is held until what is returned is dropped, or
    /// the process ends. Fails at once where another one runs.
    pub fn lock_rotation(&mut self) -> Result<Box<dyn std::any::Any>> {
        self.engine.lock_rotation()
    }

    /// Somebody else, who is not root, can write here what root would run.
    pub fn foreign_owner(&self) -> Option<String> {
        self.engine.foreign_owner()
    }

    pub fn unfinished(&mut self, username: &Username) -> Result<Option<Unfinished>> {
        const SQL: &str = "SELECT username, key_id, state, began_at, settles_at, reason,
                with_command, write_file, write_env, env_name
            FROM rotations WHERE username = $1";
        let mut found = None;
        self.engine
            .query(SQL, &[username.as_str().into()], &mut |row| {
                found = Some(read(row)?);
                Ok(())
            })?;
        Ok(found)
    }

    /// By username.
    pub fn each_unfinished(
        &mut self,
        each: &mut dyn FnMut(Username, Unfinished) -> Result<()>,
    ) -> Result<()> {
        const SQL: &str = "SELECT username, key_id, state, began_at, settles_at, reason,
                with_command, write_file, write_env, env_name
            FROM rotations ORDER BY username";
        self.engine
            .query(SQL, &[], &mut |row| each(row.parsed(0)?, read(row)?))
    }

    /// Those of the users behind a name up to another.
    pub(super) fn unfinished_within(
        &mut self,
        after: &str,
        last: &str,
        each: &mut dyn FnMut(Username, Unfinished) -> Result<()>,
    ) -> Result<()> {
        const SQL: &str = "SELECT username, key_id, state, began_at, settles_at, reason,
                with_command, write_file, write_env, env_name
            FROM rotations WHERE username > $1 AND username <= $2 ORDER BY username";
        self.engine
            .query(SQL, &[after.into(), last.into()], &mut |row| {
                each(row.parsed(0)?, read(row)?)
            })
    }

    /// Those who can sign in and whose rotation is unfinished, whose password is older
    /// than it should be, or who expire by then; by name.
    pub fn rotation_candidates(
        &mut self,
        now: Time,
        older_than: Option<Duration>,
        expires_by: Time,
        each: &mut dyn FnMut(Candidate) -> Result<()>,
    ) -> Result<()> {
        const SQL: &str = "SELECT c.username, c.expires_at, c.password_at, c.every, c.unfinished
            FROM (SELECT u.username AS username, u.expires_at AS expires_at,
                    (SELECT max(p.created_at) FROM passwords p
                        WHERE p.username = u.username AND p.hash IS NOT NULL) AS password_at,
                    COALESCE(ru.every, rd.every, ri.every) AS every, r.username AS unfinished
                FROM users u
                LEFT JOIN rotation_rules ru ON ru.owner = u.username
                LEFT JOIN rotation_rules rd ON rd.owner = u.domain
                LEFT JOIN rotation_rules ri ON ri.owner = ''
                LEFT JOIN rotations r ON r.username = u.username
                WHERE u.username > $1 AND u.username <= $2 AND u.suspended_at IS NULL
                    AND (u.expires_at IS NULL OR u.expires_at > $3)) c
            WHERE c.unfinished IS NOT NULL OR c.expires_at <= $4
                OR c.password_at <= $3 - COALESCE(CAST($5 AS BIGINT), c.every)
            ORDER BY c.username";
        let mut after = String::new();
        while let Some(last) = self.end_of_stretch(None, &after)? {
            let args = [
                after.as_str().into(),
                last.as_str().into(),
                now.into(),
                expires_by.into(),
                older_than.map(Duration::seconds).into(),
            ];
            self.engine.query(SQL, &args, &mut |row| {
                each(Candidate {
                    username: row.parsed(0)?,
                    expires_at: row.opt_time(1)?,
                    password_at: row.opt_time(2)?,
                    every: row.opt_duration(3)?,
                    unfinished: row.opt_text(4)?.is_some(),
                })
            })?;
            after = last;
        }
        Ok(())
    }
}

fn read(row: &dyn Row) -> Result<Unfinished> {
    let path = |column| -> Result<_> {
        let path = row.opt_text(column)?;
        Ok(path.map(|path| PathTemplate::stored(path.to_owned())))
    };
    Ok(Unfinished {
        key: row.opt_text(1)?.map(|key| KeyId::stored(key.to_owned())),
        stage: row.parsed(2)?,
        began_at: row.time(3)?,
        settles_at: row.opt_time(4)?,
        reason: row.opt_text(5)?.map(str::to_owned),
        with_command: row.int(6)? != 0,
        files: Delivery {
            write_file: path(7)?,
            write_env: path(8)?,
            env_name: row.opt_parsed(9)?,
            ..Delivery::default()
        },
    })
}

impl Tx<'_> {
    /// The new password works from now on, beside the old one; one that an
    /// unfinished rotation left behind stops in the same moment. So does, with
    /// `stop_retiring`, one that would retire later.
    pub fn begin_rotation(
        &mut self,
        username: &Username,
        password: &NewPassword,
        delivery: &Delivery,
        stop_retiring: bool,
    ) -> Result<()> {
        const SQL: &str = "INSERT INTO rotations
            (username, key_id, state, began_at, with_command, write_file, write_env, env_name)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
            ON CONFLICT (username) DO UPDATE SET key_id = excluded.key_id,
                state = excluded.state, began_at = excluded.began_at,
                with_command = excluded.with_command, write_file = excluded.write_file,
                write_env = excluded.write_env, env_name = excluded.env_name,
                settles_at = NULL, reason = NULL";
        let before = self.store().unfinished(username)?;
        let withdrawn = before.and_then(|before| before.key);
        if let Some(key) = &withdrawn {
            self.stop_password(username, key)?;
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
            password.key.as_str().into(),
            Stage::Live.name().into(),
            self.stamp.at.into(),
            i64::from(delivery.command.is_some()).into(),
            file.as_deref().into(),
            env.as_deref().into(),
            files.env_name.as_ref().map(VariableName::as_str).into(),
        ];
        self.execute(SQL, &args)?;
        let fields = Fields::default()
            .with("key", password.key.as_str())
            .with_some("withdrawn", withdrawn.as_ref().map(KeyId::as_str));
        self.rotation_event(Action::RotationBegin, username, &fields)
    }

    /// Somebody may get to know the new password from now on. No event: nobody can
    /// sign in who could not before.
    /// Says no where the password was reset meanwhile.
    pub fn hand_over(
        &mut self,
        username: &Username,
        key: &KeyId,
        settles_at: Time,
    ) -> Result<bool> {
        const SQL: &str = "UPDATE rotations SET state = $3, settles_at = $4
            WHERE username = $1 AND key_id = $2";
        let args = [
            username.as_str().into(),
            key.as_str().into(),
            Stage::Handing.name().into(),
            settles_at.into(),
        ];
        Ok(self.execute(SQL, &args)? > 0)
    }

    /// It may have arrived or not; nobody is at it any more.
    pub fn leave_rotation(&mut self, username: &Username, key: &KeyId, reason: &str) -> Result<()> {
        const SQL: &str = "UPDATE rotations
            SET state = $3, settles_at = $4, reason = $5
            WHERE username = $1 AND key_id = $2";
        let args = [
            username.as_str().into(),
            key.as_str().into(),
            Stage::Handing.name().into(),
            self.stamp.at.into(),
            reason.into(),
        ];
        if self.execute(SQL, &args)? == 0 {
            return Ok(());
        }
        let fields = Fields::default()
            .with("key", key.as_str())
            .with("reason", reason);
        self.rotation_event(Action::RotationUnfinished, username, &fields)
    }

    /// It did not arrive: it stops, and the old one stays.
    pub fn withdraw_rotation(
        &mut self,
        username: &Username,
        key: &KeyId,
        reason: &str,
    ) -> Result<()> {
        const SQL: &str = "UPDATE rotations
            SET key_id = NULL, state = $2, settles_at = NULL, reason = $3
            WHERE username = $1 AND key_id = $4";
        let args = [
            username.as_str().into(),
            Stage::Withdrawn.name().into(),
            reason.into(),
            key.as_str().into(),
        ];
        if self.execute(SQL, &args)? == 0 {
            return Ok(());
        }
        self.stop_password(username, key)?;
        let fields = Fields::default()
            .with("key", key.as_str())
            .with("reason", reason);
        self.rotation_event(Action::RotationWithdraw, username, &fields)
    }

    /// It has arrived: the others retire. Says no where the password was reset
    /// meanwhile.
    pub fn finish_rotation(
        &mut self,
        username: &Username,
        key: &KeyId,
        retire: Retire,
    ) -> Result<bool> {
        const DONE: &str = "DELETE FROM rotations WHERE username = $1 AND key_id = $2";
        const RETIRE: &str = "UPDATE passwords SET retires_at = $3, retiring_since = $4,
                retire_unused = $5, retire_latest = $6
            WHERE username = $1 AND key_id <> $2 AND hash IS NOT NULL AND retires_at IS NULL";
        const STOP: &str = "UPDATE passwords SET hash = NULL, retires_at = $3
            WHERE username = $1 AND key_id <> $2 AND hash IS NOT NULL";
        let name = username.as_str();
        if self.execute(DONE, &[name.into(), key.as_str().into()])? == 0 {
            return Ok(false);
        }
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
            self.execute(STOP, &[name.into(), key.as_str().into(), now.into()])?;
            self.scrub = true;
        } else {
            let args = [
                name.into(),
                key.as_str().into(),
                retires_at.into(),
                now.into(),
                unused.into(),
                latest.into(),
            ];
            self.execute(RETIRE, &args)?;
        }
        let fields = Fields::default()
            .with("key", key.as_str())
            .with("old_retires_at", retires_at.to_string());
        self.rotation_event(Action::UserRotate, username, &fields)?;
        Ok(true)
    }

    /// Ends an overlap: one password stops.
    pub fn retire_password(&mut self, username: &Username, key: &KeyId) -> Result<()> {
        const SQL: &str = "DELETE FROM rotations WHERE username = $1";
        self.stop_password(username, key)?;
        // Whatever was under way: it is decided now.
        self.execute(SQL, &[username.as_str().into()])?;
        let fields = Fields::default().with("key", key.as_str());
        self.rotation_event(Action::UserRetire, username, &fields)
    }

    /// Where a clock ran ahead when a password was set to retire, and was set back
    /// since, it would work for as long as the clock was wrong: it gets its time
    /// anew. So does a delivery that was left, which would be waited for.
    pub fn mend_retirements(&mut self) -> Result<()> {
        const SQL: &str = "UPDATE passwords SET
                retires_at = $1 + (retires_at - retiring_since),
                retire_latest = $1 + (retire_latest - retiring_since),
                retiring_since = $1
            WHERE retiring_since > $2 AND hash IS NOT NULL";
        const LEFT: &str = "UPDATE rotations SET
                settles_at = $1 + (settles_at - began_at), began_at = $1
            WHERE began_at > $2";
        // As much as clocks of relays that share a store may differ.
        const SLACK: i64 = 300;
        let now = self.stamp.at;
        let late = Time::from_epoch(now.epoch() + SLACK);
        self.execute(LEFT, &[now.into(), late.into()])?;
        self.execute(SQL, &[now.into(), late.into()]).map(|_| ())
    }

    /// An event for each user that has expired since.
    pub fn tell_expired(&mut self) -> Result<()> {
        const FIND: &str = "SELECT username, expires_at FROM users
            WHERE expires_at <= $1 AND expiry_told IS NULL
            ORDER BY expires_at, username LIMIT 1000";
        const TOLD: &str = "UPDATE users SET expiry_told = 1 WHERE username = $1";
        let now = self.stamp.at;
        let mut found: Vec<(Username, Option<Time>)> = Vec::new();
        self.store.engine.query(FIND, &[now.into()], &mut |row| {
            found.push((row.parsed(0)?, row.opt_time(1)?));
            Ok(())
        })?;
        for (username, at) in found {
            self.execute(TOLD, &[username.as_str().into()])?;
            let fields = Fields::default().with_some("expired_at", at.map(|at| at.to_string()));
            self.rotation_event(Action::UserExpired, &username, &fields)?;
        }
        Ok(())
    }

    fn stop_password(&mut self, username: &Username, key: &KeyId) -> Result<()> {
        const SQL: &str = "UPDATE passwords SET hash = NULL, retires_at = $3
            WHERE username = $1 AND key_id = $2 AND hash IS NOT NULL";
        let args = [
            username.as_str().into(),
            key.as_str().into(),
            self.stamp.at.into(),
        ];
        self.scrub = true;
        self.execute(SQL, &args).map(|_| ())
    }

    fn stop_retiring(&mut self, username: &Username) -> Result<()> {
        const SQL: &str = "UPDATE passwords SET hash = NULL, retires_at = $2
            WHERE username = $1 AND hash IS NOT NULL AND retires_at IS NOT NULL";
        self.scrub = true;
        let args = [username.as_str().into(), self.stamp.at.into()];
        self.execute(SQL, &args).map(|_| ())
    }

    fn rotation_event(
        &mut self,
        action: Action,
        username: &Username,
        fields: &Fields,
    ) -> Result<()> {
        self.event(action, Some(&username.domain()), Some(username), fields)
    }
}

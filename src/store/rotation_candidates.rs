//! Reads which users are due for a rotation, and which rotations are unfinished.

use super::Store;
use super::engine::Row;
use super::passwords::stays;
use crate::error::Result;
use crate::model::delivery::{Destination, PathTemplate};
use crate::model::duration::Duration;
use crate::model::name::Username;
use crate::model::password::PasswordId;
use crate::model::rotation::Unfinished;
use crate::model::time::Time;

/// A user, and what decides whether its password is to be replaced.
#[derive(Debug)]
pub struct Candidate {
    /// Its name.
    pub username: Username,
    /// When its password was created.
    pub created_at: Time,
    /// When the user expires.
    pub expires_at: Option<Time>,
    /// When its password was created.
    pub password_at: Option<Time>,
    /// How often it is replaced: by the rule of the user, its domain or the installation.
    pub every: Option<Duration>,
    /// It has an unfinished rotation.
    pub unfinished: bool,
}

impl Store {
    /// Locks out other runs until the returned value is dropped or the process ends. Returns
    /// an error at once if another run is under way.
    pub fn lock_rotation(&mut self) -> Result<Box<dyn std::any::Any>> {
        self.engine.lock_rotation()
    }

    /// Returns an error for root if another user can write the commands that root
    /// would run.
    pub fn check_deliveries(&self) -> Result<()> {
        self.engine.check_deliveries()
    }

    /// Returns the unfinished rotation of a user; `None` if it has none.
    pub fn unfinished(&mut self, username: &Username) -> Result<Option<Unfinished>> {
        Ok(self.unfinished_of(&[username])?.pop().flatten())
    }

    /// Returns the unfinished rotation of each of these users, in their order.
    pub fn unfinished_of(&mut self, names: &[&Username]) -> Result<Vec<Option<Unfinished>>> {
        const SQL: &str = "SELECT username, password_id, state, began_at, settles_at, reason,
                with_command, write_file, write_env, env_name
            FROM rotations WHERE username = $1";
        let mut found: Vec<_> = names.iter().map(|_| None).collect();
        self.of_each(SQL, names, &mut |number, row| {
            found[number] = Some(read(row)?);
            Ok(())
        })?;
        Ok(found)
    }

    /// Calls `each` for all unfinished rotations, by username.
    pub fn each_unfinished(
        &mut self,
        each: &mut dyn FnMut(Username, Unfinished) -> Result<()>,
    ) -> Result<()> {
        const SQL: &str = "SELECT username, password_id, state, began_at, settles_at, reason,
                with_command, write_file, write_env, env_name
            FROM rotations ORDER BY username";
        self.engine
            .query(SQL, &[], &mut |row| each(row.parsed(0)?, read(row)?))
    }

    /// Returns the oldest unfinished rotations.
    pub(super) fn oldest_unfinished(&mut self, most: u32) -> Result<Vec<(Username, Unfinished)>> {
        const SQL: &str = "SELECT username, password_id, state, began_at, settles_at, reason,
                with_command, write_file, write_env, env_name
            FROM rotations ORDER BY began_at, username LIMIT $1";
        let mut found = Vec::new();
        self.engine.query(SQL, &[most.into()], &mut |row| {
            found.push((row.parsed(0)?, read(row)?));
            Ok(())
        })?;
        Ok(found)
    }

    /// Calls `each` for the unfinished rotations of users after one name up to another.
    pub(super) fn unfinished_within(
        &mut self,
        after: &str,
        last: &str,
        each: &mut dyn FnMut(Username, Unfinished) -> Result<()>,
    ) -> Result<()> {
        const SQL: &str = "SELECT username, password_id, state, began_at, settles_at, reason,
                with_command, write_file, write_env, env_name
            FROM rotations WHERE username > $1 AND username <= $2 ORDER BY username";
        self.engine
            .query(SQL, &[after.into(), last.into()], &mut |row| {
                each(row.parsed(0)?, read(row)?)
            })
    }

    /// Looks at a few thousand users after one name, and calls `each`, by name, for those that can
    /// sign in and have an unfinished rotation or a password older than it should be, or that
    /// expire by `expires_by`. Returns the last name that was looked at, or `None` if there are
    /// no more users.
    pub fn rotation_candidates(
        &mut self,
        after: &str,
        now: Time,
        older_than: Option<Duration>,
        expires_by: Time,
        each: &mut dyn FnMut(Candidate) -> Result<()>,
    ) -> Result<Option<String>> {
        const SQL: &str = concat!(
            "SELECT c.username, c.expires_at, c.password_at, c.every, c.unfinished, c.created_at
            FROM (SELECT u.username AS username, u.expires_at AS expires_at,
                    u.created_at AS created_at,
                    (SELECT max(p.created_at) FROM passwords p
                        WHERE p.username = u.username AND ",
            stays!(),
            ") AS password_at,
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
            ORDER BY c.username"
        );
        let Some(last) = self.end_of_range(None, after, 1)? else {
            return Ok(None);
        };
        let args = [
            after.into(),
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
                created_at: row.time(5)?,
            })
        })?;
        Ok(Some(last))
    }

    /// Returns up to `limit` users after one name that can sign in and have an unfinished
    /// rotation, with their creation times.
    pub fn unfinished_after(
        &mut self,
        after: &str,
        now: Time,
        limit: u32,
    ) -> Result<Vec<(Username, Time)>> {
        const SQL: &str = "SELECT u.username, u.created_at
            FROM rotations r JOIN users u ON u.username = r.username
            WHERE r.username > $1 AND u.suspended_at IS NULL
                AND (u.expires_at IS NULL OR u.expires_at > $2)
            ORDER BY r.username LIMIT $3";
        let mut found = Vec::new();
        let args = [after.into(), now.into(), limit.into()];
        self.engine.query(SQL, &args, &mut |row| {
            found.push((row.parsed(0)?, row.time(1)?));
            Ok(())
        })?;
        Ok(found)
    }
}

fn read(row: &dyn Row) -> Result<Unfinished> {
    let path = |column| -> Result<_> {
        let path = row.opt_text(column)?;
        Ok(path.map(|path| PathTemplate::stored(path.to_owned())))
    };
    Ok(Unfinished {
        password_id: row
            .opt_text(1)?
            .map(|password_id| PasswordId::stored(password_id.to_owned())),
        stage: row.parsed(2)?,
        began_at: row.time(3)?,
        settles_at: row.opt_time(4)?,
        reason: row.opt_text(5)?.map(str::to_owned),
        with_command: row.int(6)? != 0,
        files: Destination {
            write_file: path(7)?,
            write_env: path(8)?,
            env_name: row.opt_parsed(9)?,
            ..Destination::default()
        },
    })
}

//! Passwords: their hashes, and since when and until when they work.

use std::collections::HashSet;

use super::engine::Right;
use super::{Store, Tx, UserScan};
use crate::error::{Error, Result};
use crate::model::event::{Action, Fields};
use crate::model::hash::Hash;
use crate::model::name::Username;
use crate::model::network::Network;
use crate::model::password::{PasswordId, PasswordKind};
use crate::model::temporary;
use crate::model::time::Time;

/// A password to store.
#[derive(Debug)]
pub struct NewPassword {
    /// Its ID.
    pub password_id: PasswordId,
    /// Its hash.
    pub hash: Hash,
    /// Whether smtpcred generated it.
    pub generated: bool,
}

/// What becomes of the passwords that a new one replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldPasswords {
    /// Their hashes are erased in the same transaction.
    Stop,
    /// They work until then.
    RetireAt(Time),
}

/// A hash to verify against, as it stands in the store.
#[derive(Debug)]
pub struct StoredHash {
    /// Its ID.
    pub password_id: PasswordId,
    /// Its hash as stored.
    pub hash: String,
    /// When it stops; `None` if it stays.
    pub retires_at: Option<Time>,
    /// By smtpcred. Not set if it was chosen or if that is unknown.
    pub generated: bool,
    /// Issued beside the others.
    pub temporary: bool,
    /// From where a temporary one works; empty: from where its user may sign in.
    pub networks: Vec<Network>,
}

impl StoredHash {
    /// Returns whether it still works.
    pub fn is_live(&self, now: Time) -> bool {
        self.retires_at.is_none_or(|at| now < at)
    }

    /// Returns whether it may be the hash of a password of this kind. All temporary ones are
    /// generated and name themselves, so that a guess is not compared with twenty hashes.
    pub fn may_be(&self, kind: &PasswordKind) -> bool {
        let named = matches!(kind, PasswordKind::Generated(id) if *id == self.password_id);
        named || !self.temporary
    }
}

/// [`crate::model::user::Key::stays`] for a row of passwords: it has no end.
macro_rules! stays {
    () => {
        "hash IS NOT NULL AND retires_at IS NULL"
    };
}
pub(super) use stays;

/// A user's password: one that stays, or the newest live one.
macro_rules! one_that_stays {
    () => {
        concat!(
            "SELECT password_id FROM passwords
            WHERE username = $1 AND (",
            stays!(),
            " OR hash IS NOT NULL AND temporary = 0 AND retires_at > $2)
            ORDER BY retires_at IS NOT NULL, created_at DESC, password_id LIMIT 1"
        )
    };
}

impl Store {
    /// Before anything that is worth nothing without them.
    pub fn require_hash_access(&mut self) -> Result<()> {
        if self.engine.may(Right::SeeHashes)? {
            return Ok(());
        }
        Err(Error::HashesHidden)
    }

    /// All hashes of a user that are not erased, the newest first.
    pub fn hashes(&mut self, username: &Username) -> Result<Vec<StoredHash>> {
        Ok(self.hashes_of(&[username])?.pop().unwrap_or_default())
    }

    /// Returns the hashes of each of these users that are not erased, the newest first.
    pub fn hashes_of(&mut self, names: &[&Username]) -> Result<Vec<Vec<StoredHash>>> {
        const SQL: &str = "SELECT password_id, hash, retires_at, generated, temporary, networks
            FROM passwords WHERE username = $1 AND hash IS NOT NULL ORDER BY created_at DESC, password_id";
        let mut found: Vec<_> = names.iter().map(|_| Vec::new()).collect();
        self.of_each(SQL, names, &mut |number, row| {
            found[number].push(StoredHash {
                password_id: PasswordId::stored(row.text(0)?.to_owned()),
                hash: row.text(1)?.to_owned(),
                retires_at: row.opt_time(2)?,
                generated: row.int(3)? != 0,
                temporary: row.int(4)? != 0,
                networks: temporary::networks(row.opt_text(5)?)?,
            });
            Ok(())
        })?;
        Ok(found)
    }

    /// Returns who has or had passwords of these IDs. Reads all users, range by range, because
    /// no index helps; leaked passwords are rare.
    pub fn holders_of(
        &mut self,
        wanted: &HashSet<PasswordId>,
    ) -> Result<Vec<(PasswordId, Username)>> {
        const SQL: &str = "SELECT password_id, username FROM passwords
            WHERE username > $1 AND username <= $2 ORDER BY username, password_id";
        let mut found = Vec::new();
        let mut scan = UserScan::all();
        while let Some((after, last)) = self.next_range(&mut scan)? {
            let args = [after.as_str().into(), last.as_str().into()];
            self.engine.query(SQL, &args, &mut |row| {
                let password_id = PasswordId::stored(row.text(0)?.to_owned());
                if wanted.contains(&password_id) {
                    found.push((password_id, row.parsed(1)?));
                }
                Ok(())
            })?;
        }
        Ok(found)
    }

    /// Returns another user that has a live password of this ID. No index helps; it is only
    /// called where something is wrong.
    pub fn other_holder(
        &mut self,
        username: &Username,
        password_id: &PasswordId,
        now: Time,
    ) -> Result<Option<Username>> {
        const SQL: &str = "SELECT username FROM passwords
            WHERE password_id = $1 AND username <> $2 AND hash IS NOT NULL
                AND (retires_at IS NULL OR retires_at > $3)
            ORDER BY username LIMIT 1";
        let args = [
            password_id.as_str().into(),
            username.as_str().into(),
            now.into(),
        ];
        let mut found = None;
        self.engine.query(SQL, &args, &mut |row| {
            found = Some(row.parsed(0)?);
            Ok(())
        })?;
        Ok(found)
    }
}

impl Tx<'_> {
    /// Adds a password, and stops or retires the old ones.
    pub fn reset_password(
        &mut self,
        username: &Username,
        password: &NewPassword,
        old: OldPasswords,
    ) -> Result<()> {
        // What retires earlier keeps its time.
        const RETIRE: &str = "UPDATE passwords
            SET retires_at = $2, retiring_since = $3, retire_unused = NULL, retire_latest = NULL
            WHERE username = $1 AND hash IS NOT NULL AND temporary = 0
                AND (retires_at IS NULL OR retires_at > $2)";
        // Whatever was under way: it is decided now.
        const DECIDED: &str = "DELETE FROM rotations WHERE username = $1";
        // Erases the hashes of passwords that retired long ago.
        const FORGET: &str = "UPDATE passwords SET hash = NULL
            WHERE username = $1 AND hash IS NOT NULL AND retires_at <= $2";
        let name = username.as_str();
        let now = self.stamp.at;
        let mut fields = Fields::default().with("password_id", password.password_id.as_str());
        self.later(DECIDED, &[name.into()])?;
        match old {
            OldPasswords::Stop => self.stop_passwords(username)?,
            OldPasswords::RetireAt(at) => {
                self.later(FORGET, &[name.into(), now.into()])?;
                self.later(RETIRE, &[name.into(), at.into(), now.into()])?;
                fields = fields.with("old_retires_at", at.to_string());
            }
        }
        self.scrub = true;
        self.insert_password(username, password)?;
        self.event(
            Action::UserReset,
            Some(&username.domain()),
            Some(username),
            &fields,
        )
    }

    /// Revokes all passwords of a user at once, except for temporary ones.
    pub(super) fn stop_passwords(&mut self, username: &Username) -> Result<()> {
        const STOP: &str = "UPDATE passwords
            SET hash = NULL,
                retires_at = CASE WHEN retires_at < $2 THEN retires_at ELSE $2 END
            WHERE username = $1 AND hash IS NOT NULL AND temporary = 0";
        let args = [username.as_str().into(), self.stamp.at.into()];
        self.scrub = true;
        self.later(STOP, &args)
    }

    /// Keeps one password that does not retire after another has stopped: without
    /// one, sign-in would report the user as damaged. If none is left, the newest
    /// live one stays; if none is live, nothing changes.
    pub(super) fn keep_one(&mut self, username: &Username) -> Result<()> {
        const STAY: &str = concat!(
            "UPDATE passwords SET retires_at = NULL, retiring_since = NULL,
                retire_unused = NULL, retire_latest = NULL
            WHERE username = $1 AND password_id = (",
            one_that_stays!(),
            ")"
        );
        let last = Error::LastPassword(username.to_string());
        let args = [username.as_str().into(), self.stamp.at.into()];
        self.change_later(STAY, &args, last)
    }

    /// Returns the password that [`Tx::keep_one`] kept.
    pub(super) fn kept_one(&mut self, username: &Username) -> Result<PasswordId> {
        const SQL: &str = one_that_stays!();
        let mut found = None;
        let args = [username.as_str().into(), self.stamp.at.into()];
        self.store.engine.query(SQL, &args, &mut |row| {
            found = Some(PasswordId::stored(row.text(0)?.to_owned()));
            Ok(())
        })?;
        found.ok_or_else(|| Error::LastPassword(username.to_string()))
    }

    /// The same password under today's cost. Nothing happens if it was changed
    /// since `old` was read.
    pub fn rehash(
        &mut self,
        username: &Username,
        password_id: &PasswordId,
        old: &str,
        new: &Hash,
    ) -> Result<()> {
        const SQL: &str = "UPDATE passwords SET hash = $4
            WHERE username = $1 AND password_id = $2 AND hash = $3";
        let args = [
            username.as_str().into(),
            password_id.as_str().into(),
            old.into(),
            new.as_str().into(),
        ];
        if self.execute(SQL, &args)? == 0 {
            return Ok(());
        }
        self.scrub = true;
        let fields = Fields::default().with("password_id", password_id.as_str());
        self.event(
            Action::PasswordRehash,
            Some(&username.domain()),
            Some(username),
            &fields,
        )
    }

    /// Adds a password that is valid at once.
    pub(super) fn insert_password(
        &mut self,
        username: &Username,
        password: &NewPassword,
    ) -> Result<()> {
        const SQL: &str =
            "INSERT INTO passwords (username, password_id, hash, created_at, generated)
            VALUES ($1, $2, $3, $4, $5)";
        let args = [
            username.as_str().into(),
            password.password_id.as_str().into(),
            password.hash.as_str().into(),
            self.stamp.at.into(),
            i64::from(password.generated).into(),
        ];
        self.later(SQL, &args)
    }
}

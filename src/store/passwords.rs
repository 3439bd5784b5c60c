//! Passwords: their hashes, and since when and until when they work.

use super::engine::Right;
use super::{Store, Tx};
use crate::error::{Error, Result};
use crate::model::event::{Action, Fields};
use crate::model::hash::Hash;
use crate::model::name::Username;
use crate::model::password::KeyId;
use crate::model::time::Time;

#[derive(Debug)]
pub struct NewPassword {
    pub key: KeyId,
    pub hash: Hash,
}

/// What becomes of the passwords that a new one replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldPasswords {
    /// Their hashes are erased in the same transaction.
    Stop,
    RetireAt(Time),
}

/// A hash to verify against, as it stands in the store.
#[derive(Debug)]
pub struct StoredHash {
    pub key: KeyId,
    pub hash: String,
    pub retires_at: Option<Time>,
}

impl Store {
    /// Before anything that is worth nothing without them.
    pub fn see_hashes(&mut self) -> Result<()> {
        if self.engine.may(Right::SeeHashes)? {
            return Ok(());
        }
        Err(Error::HashesHidden)
    }

    /// All hashes of a user that are not erased, the newest first.
    pub fn hashes(&mut self, username: &Username) -> Result<Vec<StoredHash>> {
        const SQL: &str = "SELECT key_id, hash, retires_at FROM passwords
            WHERE username = $1 AND hash IS NOT NULL ORDER BY created_at DESC, key_id";
        let mut found = Vec::new();
        self.engine
            .query(SQL, &[username.as_str().into()], &mut |row| {
                found.push(StoredHash {
                    key: KeyId::stored(row.text(0)?.to_owned()),
                    hash: row.text(1)?.to_owned(),
                    retires_at: row.opt_time(2)?,
                });
                Ok(())
            })?;
        Ok(found)
    }

    /// Another user whose password has this key and works. No index helps: it is asked
    /// for where something is wrong.
    pub fn other_holder(
        &mut self,
        username: &Username,
        key: &KeyId,
        now: Time,
    ) -> Result<Option<Username>> {
        const SQL: &str = "SELECT username FROM passwords
            WHERE key_id = $1 AND username <> $2 AND hash IS NOT NULL
                AND (retires_at IS NULL OR retires_at > $3)
            ORDER BY username LIMIT 1";
        let args = [key.as_str().into(), username.as_str().into(), now.into()];
        let mut found = None;
        self.engine.query(SQL, &args, &mut |row| {
            found = Some(row.parsed(0)?);
            Ok(())
        })?;
        Ok(found)
    }
}

impl Tx<'_> {
    pub fn reset_password(
        &mut self,
        username: &Username,
        password: &NewPassword,
        old: OldPasswords,
    ) -> Result<()> {
        // What retires earlier keeps its time.
        const RETIRE: &str = "UPDATE passwords
            SET retires_at = $2, retiring_since = $3, retire_unused = NULL, retire_latest = NULL
            WHERE username = $1 AND hash IS NOT NULL AND (retires_at IS NULL OR retires_at > $2)";
        // Long retired, and their hashes still there: erased in passing.
        // Whatever was under way: it is decided now.
        const DECIDED: &str = "DELETE FROM rotations WHERE username = $1";
        const FORGET: &str = "UPDATE passwords SET hash = NULL
            WHERE username = $1 AND hash IS NOT NULL AND retires_at <= $2";
        let name = username.as_str();
        let now = self.stamp.at;
        let mut fields = Fields::default().with("key", password.key.as_str());
        self.execute(DECIDED, &[name.into()])?;
        match old {
            OldPasswords::Stop => self.stop_passwords(username)?,
            OldPasswords::RetireAt(at) => {
                self.execute(FORGET, &[name.into(), now.into()])?;
                self.execute(RETIRE, &[name.into(), at.into(), now.into()])?;
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

    pub(super) fn stop_passwords(&mut self, username: &Username) -> Result<()> {
        const STOP: &str = "UPDATE passwords
            SET hash = NULL,
                retires_at = CASE WHEN retires_at < $2 THEN retires_at ELSE $2 END
            WHERE username = $1 AND hash IS NOT NULL";
        let args = [username.as_str().into(), self.stamp.at.into()];
        self.scrub = true;
        self.execute(STOP, &args).map(|_| ())
    }

    /// The same password under today's cost. Nothing happens if it was changed
    /// since `old` was read.
    pub fn rehash(
        &mut self,
        username: &Username,
        key: &KeyId,
        old: &str,
        new: &Hash,
    ) -> Result<()> {
        const SQL: &str = "UPDATE passwords SET hash = $4
            WHERE username = $1 AND key_id = $2 AND hash = $3";
        let args = [
            username.as_str().into(),
            key.as_str().into(),
            old.into(),
            new.as_str().into(),
        ];
        if self.execute(SQL, &args)? == 0 {
            return Ok(());
        }
        self.scrub = true;
        let fields = Fields::default().with("key", key.as_str());
        self.event(
            Action::PasswordRehash,
            Some(&username.domain()),
            Some(username),
            &fields,
        )
    }

    pub(super) fn insert_password(
        &mut self,
        username: &Username,
        password: &NewPassword,
    ) -> Result<()> {
        const SQL: &str = "INSERT INTO passwords (username, key_id, hash, created_at)
            VALUES ($1, $2, $3, $4)";
        let args = [
            username.as_str().into(),
            password.key.as_str().into(),
            password.hash.as_str().into(),
            self.stamp.at.into(),
        ];
        self.execute(SQL, &args).map(|_| ())
    }
}

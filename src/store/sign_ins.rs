//! Signing in: what has to be known for it, and what became of it.

use std::str::FromStr;

use super::{Page, Store, StoredHash, Tx};
use crate::error::{Error, Result};
use crate::model::name::Username;
use crate::model::password::KeyId;
use crate::model::refusal::{Reason, Refusals};
use crate::model::text::invalid;
use crate::model::time::Time;

/// All that decides whether a password lets a user sign in.
#[derive(Debug)]
pub struct SignInRow {
    pub expires_at: Option<Time>,
    pub suspended_at: Option<Time>,
    /// The newest first; also what has retired and was not erased yet.
    pub hashes: Vec<StoredHash>,
}

/// A sign-in with a right password.
#[derive(Clone, Debug)]
pub struct Seen {
    pub at: Time,
    pub address: Option<String>,
}

impl Store {
    /// In one statement: it fits together even while others change it.
    pub fn sign_in_row(&mut self, username: &Username) -> Result<Option<SignInRow>> {
        // Put in order here: for one row or two a sort of the database's takes longer.
        const SQL: &str = "SELECT u.expires_at, u.suspended_at, p.key_id, p.hash, p.retires_at,
                p.created_at
            FROM users u
            LEFT JOIN passwords p ON p.username = u.username AND p.hash IS NOT NULL
            WHERE u.username = $1";
        let mut found: Option<SignInRow> = None;
        let mut hashes = Vec::with_capacity(1);
        self.engine
            .query(SQL, &[username.as_str().into()], &mut |row| {
                let (expires_at, suspended_at) = (row.opt_time(0)?, row.opt_time(1)?);
                found.get_or_insert(SignInRow {
                    expires_at,
                    suspended_at,
                    hashes: Vec::new(),
                });
                if let Some(key) = row.opt_text(2)? {
                    let hash = StoredHash {
                        key: KeyId::stored(key.to_owned()),
                        hash: row.text(3)?.to_owned(),
                        retires_at: row.opt_time(4)?,
                    };
                    hashes.push((row.time(5)?, hash));
                }
                Ok(())
            })?;
        // The key decides between two of the same second.
        hashes.sort_by(|(a, one), (b, other)| b.cmp(a).then_with(|| one.key.cmp(&other.key)));
        if let Some(found) = &mut found {
            found.hashes = hashes.into_iter().map(|(_, hash)| hash).collect();
        }
        Ok(found)
    }

    /// Where a user last signed in from, with each of its passwords.
    pub fn last_addresses(&mut self, username: &Username) -> Result<Vec<String>> {
        const SQL: &str = "SELECT address FROM last_connections
            WHERE username = $1 AND address IS NOT NULL ORDER BY key_id";
        let mut found = Vec::new();
        self.engine
            .query(SQL, &[username.as_str().into()], &mut |row| {
                found.push(row.text(0)?.to_owned());
                Ok(())
            })?;
        Ok(found)
    }

    /// Refused sign-ins, the latest first; of one user, or of all; behind one of
    /// them, and so many at most.
    pub fn refusals(
        &mut self,
        username: Option<&str>,
        since: Time,
        after: Option<RefusalKey>,
        most: Option<u32>,
        each: &mut dyn FnMut(Refusals) -> Result<()>,
    ) -> Result<()> {
        const SQL: &str = "SELECT username, address, reason, first_at, last_at, count FROM failures
            WHERE (CAST($1 AS TEXT) IS NULL OR username = $1) AND last_at >= $2
                AND last_at <= $3
                AND (last_at < $3 OR (username, address, reason) > ($4, $5, $6))
            ORDER BY last_at DESC, username, address, reason LIMIT $7";
        let mut key = after.unwrap_or_else(RefusalKey::first);
        let page = Page { after: "", most };
        let mut pieces = page.pieces();
        while let Some(most) = pieces.next() {
            let args = [
                username.into(),
                since.into(),
                key.last_at.into(),
                key.username.as_str().into(),
                key.address.as_str().into(),
                key.reason.as_str().into(),
                most.into(),
            ];
            let mut found = Vec::new();
            self.engine.query(SQL, &args, &mut |row| {
                found.push(Refusals {
                    username: row.text(0)?.to_owned(),
                    address: row.text(1)?.to_owned(),
                    reason: row.parsed(2)?,
                    first_at: row.time(3)?,
                    last_at: row.time(4)?,
                    count: row.int(5)?,
                });
                Ok(())
            })?;
            pieces.read(found.len());
            if let Some(last) = found.last() {
                key = RefusalKey::of(last);
            }
            found.into_iter().try_for_each(&mut *each)?;
        }
        Ok(())
    }
}

/// Where refused sign-ins stand in their list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusalKey {
    last_at: Time,
    username: String,
    address: String,
    reason: String,
}

impl RefusalKey {
    /// Before all of them.
    fn first() -> Self {
        Self {
            last_at: Time::from_epoch(i64::MAX),
            username: String::new(),
            address: String::new(),
            reason: String::new(),
        }
    }

    fn of(refusals: &Refusals) -> Self {
        Self {
            last_at: refusals.last_at,
            username: refusals.username.clone(),
            address: refusals.address.clone(),
            reason: refusals.reason.name().to_owned(),
        }
    }
}

impl FromStr for RefusalKey {
    type Err = Error;

    /// Its time, username, address and reason, with commas; the username may have
    /// commas of its own.
    fn from_str(text: &str) -> Result<Self> {
        let parts = || {
            let (at, rest) = text.split_once(',')?;
            let (rest, reason) = rest.rsplit_once(',')?;
            let (username, address) = rest.rsplit_once(',')?;
            Some(Self {
                last_at: at.parse().ok()?,
                username: username.to_owned(),
                address: address.to_owned(),
                reason: reason.parse::<Reason>().ok()?.name().to_owned(),
            })
        };
        let rule = "the time, username, address and reason of the last one, with commas between";
        parts().ok_or_else(|| invalid("place in the list", text, rule))
    }
}

// Found out, not changed, by anybody: no events.
impl Tx<'_> {
    /// Nothing happens if the password is gone meanwhile, or was seen later.
    pub fn set_last_connection(
        &mut self,
        username: &Username,
        key: &KeyId,
        seen: &Seen,
    ) -> Result<()> {
        const SQL: &str = "INSERT INTO last_connections (username, key_id, seen_at, address)
            SELECT username, key_id, $3, $4 FROM passwords WHERE username = $1 AND key_id = $2
            ON CONFLICT (username, key_id) DO UPDATE
                SET seen_at = excluded.seen_at, address = excluded.address
                WHERE excluded.seen_at >= last_connections.seen_at";
        // One that is kept while it is used, and was used.
        const KEEP: &str = "UPDATE passwords SET retires_at = CASE
                WHEN $3 + retire_unused < retire_latest THEN $3 + retire_unused
                ELSE retire_latest END
            WHERE username = $1 AND key_id = $2 AND retire_unused IS NOT NULL
                AND hash IS NOT NULL AND retires_at > $3 AND retires_at < $3 + retire_unused";
        let args = [
            username.as_str().into(),
            key.as_str().into(),
            seen.at.into(),
            seen.address.as_deref().into(),
        ];
        self.execute(KEEP, &args[..3])?;
        self.execute(SQL, &args).map(|_| ())
    }

    pub fn add_refusals(&mut self, refusals: &Refusals) -> Result<()> {
        const SQL: &str = "INSERT INTO failures
            (username, address, reason, first_at, last_at, count)
            VALUES ($1, $2, $3, $4, $5, $6)
            ON CONFLICT (username, address, reason) DO UPDATE
                SET last_at = excluded.last_at, count = failures.count + excluded.count";
        let args = [
            refusals.username.as_str().into(),
            refusals.address.as_str().into(),
            refusals.reason.name().into(),
            refusals.first_at.into(),
            refusals.last_at.into(),
            refusals.count.into(),
        ];
        self.execute(SQL, &args).map(|_| ())
    }
}

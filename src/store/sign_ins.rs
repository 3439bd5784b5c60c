//! Reads what decides a sign-in, and writes its result.

use std::ops::ControlFlow;
use std::str::FromStr;

use super::engine::Row;
use super::engine::add;
use super::{Page, Store, StoredHash, Tx, UserScan};
use crate::error::{Error, Result};
use crate::model::alert::NewAlert;
use crate::model::name::Username;
use crate::model::password::PasswordId;
use crate::model::refused_sign_ins::{RefusalReason, RefusedSignIns};
use crate::model::stranger::WrittenName;
use crate::model::temporary;
use crate::model::text::invalid;
use crate::model::time::{CLOCKS_DIFFER, Time};
use crate::model::user::SentMail;

/// Everything that decides a sign-in.
#[derive(Debug)]
pub struct SignInRow {
    /// When the user expires.
    pub expires_at: Option<Time>,
    /// When it was suspended.
    pub suspended_at: Option<Time>,
    /// When it was created.
    pub created_at: Time,
    /// It has a rule or a list for addresses of its own.
    pub has_address_rules: bool,
    /// The newest first, including retired ones that are not erased yet.
    pub hashes: Vec<StoredHash>,
}

macro_rules! sign_in_columns {
    ($more:literal, $rest:literal) => {
        concat!(
            "SELECT u.expires_at, u.suspended_at, p.password_id, p.hash, p.retires_at,
                p.created_at, p.generated, u.created_at,
                (SELECT CAST(1 AS BIGINT)
                    WHERE EXISTS (SELECT 1 FROM address_rules WHERE owner = u.username)
                    OR EXISTS (SELECT 1 FROM allowed_addresses WHERE owner = u.username)),
                p.temporary, p.networks",
            $more,
            " FROM users u
            LEFT JOIN passwords p ON p.username = u.username AND p.hash IS NOT NULL ",
            $rest
        )
    };
}

/// A sign-in with a right password.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When.
    pub at: Time,
    /// From where, if the mail server says so.
    pub address: Option<String>,
}

impl Store {
    /// Returns the row of a user; `None` if it does not exist. One statement, so it is
    /// consistent while others change it.
    pub fn sign_in_row(&mut self, username: &Username) -> Result<Option<SignInRow>> {
        // Sorted here: for one or two rows, a sort by the database takes longer.
        const SQL: &str = sign_in_columns!("", "WHERE u.username = $1");
        let mut found: Option<SignInRow> = None;
        let mut hashes = Vec::with_capacity(1);
        self.engine
            .query(SQL, &[username.as_str().into()], &mut |row| {
                let times = read_times(row)?;
                found.get_or_insert(times);
                hashes.extend(read_hash(row)?);
                Ok(())
            })?;
        // The ID decides between two of the same second.
        hashes.sort_by(|(a, one), (b, other)| {
            b.cmp(a)
                .then_with(|| one.password_id.cmp(&other.password_id))
        });
        if let Some(found) = &mut found {
            found.hashes = hashes.into_iter().map(|(_, hash)| hash).collect();
        }
        Ok(found)
    }

    /// Does the same for all users, or a sample, by name, until the callback stops it.
    /// Not for use within a change.
    pub fn each_sign_in_row(
        &mut self,
        scan: &mut UserScan,
        each: &mut dyn FnMut(Username, SignInRow) -> ControlFlow<()>,
    ) -> Result<()> {
        const SQL: &str = sign_in_columns!(
            ", u.username",
            "WHERE u.username > $1 AND u.username <= $2
            ORDER BY u.username, p.created_at DESC, p.password_id"
        );
        while let Some((after, last)) = self.next_range(scan)? {
            let mut found: Vec<(Username, SignInRow)> = Vec::new();
            let args = [after.as_str().into(), last.as_str().into()];
            self.engine.query(SQL, &args, &mut |row| {
                let name = row.text(11)?;
                if found
                    .last()
                    .is_none_or(|(before, _)| before.as_str() != name)
                {
                    found.push((row.parsed(11)?, read_times(row)?));
                }
                if let (Some((_, found)), Some((_, hash))) = (found.last_mut(), read_hash(row)?) {
                    found.hashes.push(hash);
                }
                Ok(())
            })?;
            for (username, row) in found {
                if each(username, row).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Returns a username that has a password but no user.
    pub fn password_without_user(&mut self) -> Result<Option<String>> {
        const SQL: &str = "SELECT p.username FROM passwords p
            WHERE NOT EXISTS (SELECT 1 FROM users u WHERE u.username = p.username)
            ORDER BY p.username LIMIT 1";
        let mut found = None;
        self.engine.query(SQL, &[], &mut |row| {
            found = Some(row.text(0)?.to_owned());
            Ok(())
        })?;
        Ok(found)
    }

    /// Returns the last address of each password of a user, if it has one.
    pub fn last_addresses(&mut self, username: &Username) -> Result<Vec<String>> {
        const SQL: &str = "SELECT address FROM last_connections
            WHERE username = $1 AND address IS NOT NULL ORDER BY password_id";
        let mut found = Vec::new();
        self.engine
            .query(SQL, &[username.as_str().into()], &mut |row| {
                found.push(row.text(0)?.to_owned());
                Ok(())
            })?;
        Ok(found)
    }

    /// Returns refused sign-ins, the latest first: those after the given one, up to a
    /// limit.
    pub fn refusals(
        &mut self,
        since: Time,
        after: Option<RefusalKey>,
        most: Option<u32>,
        each: &mut dyn FnMut(RefusedSignIns) -> Result<()>,
    ) -> Result<()> {
        const SQL: &str = "SELECT username, address, reason, first_at, last_at, count FROM failures
            WHERE last_at >= $1 AND last_at <= $2
                AND (last_at < $2 OR (username, address, reason) > ($3, $4, $5))
            ORDER BY last_at DESC, username, address, reason LIMIT $6";
        let mut key = after.unwrap_or_else(RefusalKey::first);
        let page = Page { after: "", most };
        let mut pieces = page.pieces();
        while let Some(most) = pieces.next() {
            let args = [
                since.into(),
                key.last_at.into(),
                key.username.as_str().into(),
                key.address.as_str().into(),
                key.reason.as_str().into(),
                most.into(),
            ];
            let mut found = Vec::new();
            self.engine.query(SQL, &args, &mut |row| {
                found.push(RefusedSignIns {
                    username: WrittenName::stored(row.text(0)?.to_owned()),
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

fn read_times(row: &dyn Row) -> Result<SignInRow> {
    Ok(SignInRow {
        expires_at: row.opt_time(0)?,
        suspended_at: row.opt_time(1)?,
        created_at: row.time(7)?,
        has_address_rules: row.opt_int(8)?.is_some(),
        hashes: Vec::new(),
    })
}

/// With its creation time.
fn read_hash(row: &dyn Row) -> Result<Option<(Time, StoredHash)>> {
    let Some(id) = row.opt_text(2)? else {
        return Ok(None);
    };
    let hash = StoredHash {
        password_id: PasswordId::stored(id.to_owned()),
        hash: row.text(3)?.to_owned(),
        retires_at: row.opt_time(4)?,
        generated: row.int(6)? != 0,
        temporary: row.int(9)? != 0,
        networks: temporary::networks(row.opt_text(10)?)?,
    };
    Ok(Some((row.time(5)?, hash)))
}

/// A place in the list of refused sign-ins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusalKey {
    last_at: Time,
    username: String,
    address: String,
    reason: String,
}

impl RefusalKey {
    /// Returns the place before all of them.
    fn first() -> Self {
        Self {
            last_at: Time::from_epoch(i64::MAX),
            username: String::new(),
            address: String::new(),
            reason: String::new(),
        }
    }

    fn of(refusals: &RefusedSignIns) -> Self {
        Self {
            last_at: refusals.last_at,
            username: refusals.username.as_str().to_owned(),
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
                reason: reason.parse::<RefusalReason>().ok()?.name().to_owned(),
            })
        };
        let rule = "the time, username, address and reason of the last one, with commas between";
        parts().ok_or_else(|| invalid("place in the list", text, rule))
    }
}

/// Prolongs a password that stays while it is used, to sign in or to send.
const KEEP: &str = "UPDATE passwords SET retires_at = CASE
        WHEN $3 + retire_unused < retire_latest THEN $3 + retire_unused
        ELSE retire_latest END
    WHERE username = $1 AND password_id = $2 AND retire_unused IS NOT NULL
        AND hash IS NOT NULL AND retires_at > $3 AND retires_at < $3 + retire_unused";

// Measured, not changed by an admin: no events.
impl Tx<'_> {
    /// Sets the last connection of a password. Changes nothing if the password is gone or
    /// has a later one, unless that is in the future because a clock was ahead.
    pub fn set_last_connection(
        &mut self,
        username: &Username,
        password_id: &PasswordId,
        seen: &Seen,
    ) -> Result<()> {
        const SQL: &str = "INSERT INTO last_connections (username, password_id, seen_at, address)
            SELECT username, password_id, $3, $4 FROM passwords WHERE username = $1 AND password_id = $2
            ON CONFLICT (username, password_id) DO UPDATE
                SET seen_at = excluded.seen_at, address = excluded.address
                WHERE excluded.seen_at >= last_connections.seen_at
                    OR last_connections.seen_at > $5";
        let args = [
            username.as_str().into(),
            password_id.as_str().into(),
            seen.at.into(),
            seen.address.as_deref().into(),
            (self.stamp.at.epoch().saturating_add(CLOCKS_DIFFER)).into(),
        ];
        self.later(KEEP, &args[..3])?;
        self.later(SQL, &args)
    }

    /// Adds to what was sent with a password. Changes nothing if the password is gone.
    pub fn add_sent(
        &mut self,
        username: &Username,
        password_id: &PasswordId,
        sent: &SentMail,
    ) -> Result<()> {
        const SQL: &str = concat!(
            "INSERT INTO last_connections
                (username, password_id, seen_at, sent_at, messages, recipients)
            SELECT username, password_id, $3, $3, $4, $5 FROM passwords
                WHERE username = $1 AND password_id = $2
            ON CONFLICT (username, password_id) DO UPDATE
                SET sent_at = CASE WHEN last_connections.sent_at > excluded.sent_at
                    AND last_connections.sent_at <= $6
                    THEN last_connections.sent_at ELSE excluded.sent_at END, ",
            add!("last_connections", "messages"),
            ", ",
            add!("last_connections", "recipients")
        );
        let Some(last_at) = sent.last_at else {
            return Ok(());
        };
        let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let args = [
            username.as_str().into(),
            password_id.as_str().into(),
            last_at.into(),
            number(sent.messages).into(),
            number(sent.recipients).into(),
            (self.stamp.at.epoch().saturating_add(CLOCKS_DIFFER)).into(),
        ];
        self.later(KEEP, &args[..3])?;
        self.later(SQL, &args)
    }

    /// Adds refused sign-ins to those of the same name, address and reason.
    pub fn add_refusals(&mut self, refusals: &RefusedSignIns) -> Result<()> {
        const SQL: &str = concat!(
            "INSERT INTO failures
            (username, address, reason, first_at, last_at, count)
            VALUES ($1, $2, $3, $4, $5, $6)
            ON CONFLICT (username, address, reason) DO UPDATE
                SET last_at = excluded.last_at,
                first_at = CASE WHEN failures.first_at > excluded.last_at
                    THEN excluded.first_at ELSE failures.first_at END, ",
            add!("failures", "count")
        );
        let args = [
            refusals.username.as_str().into(),
            refusals.address.as_str().into(),
            refusals.reason.name().into(),
            refusals.first_at.into(),
            refusals.last_at.into(),
            refusals.count.into(),
        ];
        self.later(SQL, &args)?;
        match refusals.username.as_str().parse() {
            Ok(username) if refusals.reason == RefusalReason::OldPassword => {
                self.raise(&NewAlert::old_password(&username, &refusals.address))
            }
            _ => Ok(()),
        }
    }
}

//! Checks a password. The outcome is right, wrong, or unknown; the last is an error and
//! never "wrong" (promise 4).

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::{App, not_found};
use crate::error::{Error, Result};
use crate::model::hash::Hash;
use crate::model::name::Username;
use crate::model::password::{PasswordId, PasswordKind, classify};
use crate::model::text::escaped;
use crate::model::time::Time;
use crate::model::user::{Status, status};
use crate::store::{SignInRow, Store, StoredHash, UserScan};

/// Whether a password is right.
#[derive(Debug)]
pub enum PasswordVerdict {
    /// It is a live password of the user.
    Right {
        /// The ID of the password.
        password_id: PasswordId,
        /// The status of the user, which may still be kept from signing in.
        status: Status,
    },
    /// It is no live password of the user.
    Wrong(WrongPassword),
}

/// Why a password is wrong. Only the admin learns this, never a client.
#[derive(Debug, PartialEq, Eq)]
pub enum WrongPassword {
    /// It is neither mistyped nor an earlier password, as far as can be known.
    Unknown,
    /// A generated password that was mistyped or cut off.
    Mistyped,
    /// An earlier password of this user.
    Stopped(PasswordId),
}

impl App {
    /// Checks a password and returns whether it is right. Upgrades its hash if that is
    /// weak. Fails if the user does not exist, or if this cannot be decided (promise 4).
    pub fn verify(&mut self, username: &Username, password: &[u8]) -> Result<PasswordVerdict> {
        // Expiry and retirement need a clock that is right.
        let now = self.now().plausible()?;
        let cost = self.store.settings()?.argon2;
        let mut row = read(&mut self.store, username)?;
        let mut username = username;
        let old = match row {
            Some(_) => None,
            None => self.store.old_name(username)?,
        };
        if let Some(old) = old.as_ref().filter(|old| old.works(now)) {
            username = &old.username;
            row = read(&mut self.store, username)?;
        }
        let Some(mut row) = row else {
            // Takes as long as for a known user (promise 9).
            self.hasher.dummy_hash(password, cost)?;
            return Err(not_found(&mut self.store, username, now));
        };
        let kind = classify(password);
        let hashes = std::mem::take(&mut row.hashes);
        let hashes: Vec<_> = hashes
            .into_iter()
            .filter(|hash| hash.is_live(now) && hash.may_be(&kind))
            .collect();
        let live = hashes.iter().filter(|hash| !hash.temporary).count();
        for stored in hashes {
            let hash = readable(username, &stored)?;
            if self.hasher.verify(password, &hash)? {
                if hash.is_cheaper_than(cost) {
                    // The answer stands whether or not this works; the next
                    // right password tries again.
                    let _ = self.rehash(username, &stored, password);
                }
                return Ok(PasswordVerdict::Right {
                    password_id: stored.password_id,
                    status: status(row.suspended_at, row.expires_at, live, now),
                });
            }
        }
        Ok(PasswordVerdict::Wrong(match kind {
            PasswordKind::Mistyped => WrongPassword::Mistyped,
            PasswordKind::Generated(password_id) if self.had(username, &password_id)? => {
                WrongPassword::Stopped(password_id)
            }
            PasswordKind::Generated(_) | PasswordKind::Chosen => WrongPassword::Unknown,
        }))
    }

    fn had(&mut self, username: &Username, password_id: &PasswordId) -> Result<bool> {
        let user = self.store.user(username)?;
        Ok(user.is_some_and(|user| {
            user.all_passwords()
                .any(|password| password.id == *password_id)
        }))
    }

    /// Replaces a hash that is weaker than today's, now that the password is known.
    fn rehash(&mut self, username: &Username, stored: &StoredHash, password: &[u8]) -> Result<()> {
        let cost = self.store.settings()?.argon2;
        let hash = self.hasher.hash(password, cost, self.world.random)?;
        // This write does not wait for the lock: the next sign-in tries again.
        let stamp = self.stamp()?;
        let mut tx = self.store.begin_now(stamp)?;
        tx.rehash(username, &stored.password_id, &stored.hash, &hash)?;
        tx.commit()
    }
}

impl App {
    /// Returns why sign-in cannot check the passwords of this user, if it cannot.
    pub(super) fn unreadable(&mut self, username: &Username, now: Time) -> Result<Option<Error>> {
        let row = match read(&mut self.store, username) {
            Ok(row) => row,
            Err(error @ Error::Inconsistent(_)) => return Ok(Some(error)),
            Err(error) => return Err(error),
        };
        Ok(row.and_then(|row| unreadable(username, &row, now)))
    }
}

/// Returns the first user whose passwords sign-in cannot check, and how many more the
/// scan finds in the given time.
pub fn check_readable(
    store: &mut Store,
    mut scan: UserScan,
    now: Time,
    patience: Duration,
) -> Result<ReadabilityCheck> {
    let since = Instant::now();
    let mut readable = ReadabilityCheck::default();
    // This check reads all passwords.
    if scan.every() == 1
        && let Some(name) = store.password_without_user()?
    {
        readable.add(does_not_fit(&name));
    }
    let mut in_time = true;
    store.each_sign_in_row(&mut scan, &mut |username, row| {
        if let Some(error) = unreadable(&username, &row, now) {
            readable.add(error);
        }
        in_time = since.elapsed() <= patience;
        if in_time {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    })?;
    readable.in_time = in_time;
    Ok(readable)
}

/// Users whose records in the store are inconsistent.
#[derive(Debug, Default)]
pub struct ReadabilityCheck {
    /// The first such user.
    pub first: Option<Error>,
    /// How many more there are.
    pub others: u64,
    /// The scan was completed in time.
    pub in_time: bool,
}

impl ReadabilityCheck {
    fn add(&mut self, error: Error) {
        if self.first.is_some() {
            self.others += 1;
        } else {
            self.first = Some(error);
        }
    }
}

/// Checks all passwords of a user as sign-in does.
fn unreadable(username: &Username, row: &SignInRow, now: Time) -> Option<Error> {
    if !fits(row) {
        return Some(does_not_fit(username.as_str()));
    }
    let live = row.hashes.iter().filter(|hash| hash.is_live(now));
    let mut errors = live.filter_map(|stored| readable(username, stored).err());
    // Hashes that are hidden from this role may be valid.
    errors.find(|error| !matches!(error, Error::HashesHidden))
}

/// Whether one of its passwords does not retire: each change of the store keeps one.
fn fits(row: &SignInRow) -> bool {
    row.hashes.iter().any(|hash| hash.retires_at.is_none())
}

fn does_not_fit(username: &str) -> Error {
    Error::Inconsistent(format!(
        "the records of {} in the store are inconsistent",
        escaped(username)
    ))
}

/// Reads what sign-in needs of a user, or `None` if the user does not exist. Fails if the
/// records do not fit together: a user has a password that does not retire, and no password
/// is without its user. Such damage is no reason to answer "wrong".
pub(super) fn read(store: &mut Store, username: &Username) -> Result<Option<SignInRow>> {
    // Twice: between the two statements a user may have been created.
    for _ in 0..2 {
        match store.sign_in_row(username)? {
            Some(row) if fits(&row) => return Ok(Some(row)),
            None if store.hashes(username)?.is_empty() => return Ok(None),
            _ => {}
        }
    }
    Err(does_not_fit(username.as_str()))
}

pub(super) fn readable(username: &Username, stored: &StoredHash) -> Result<Hash> {
    if Hash::is_hidden(&stored.hash) {
        return Err(Error::HashesHidden);
    }
    Hash::stored(&stored.hash).ok_or_else(|| {
        Error::Inconsistent(format!(
            "the stored hash {} of {username} is damaged, or exceeds the cost limits: see `user import --help`",
            stored.password_id
        ))
    })
}

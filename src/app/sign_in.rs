//! Checking a password. Three outcomes: right, wrong, cannot tell; the last is
//! an error and never "wrong" (promise 4).

use super::App;
use crate::error::{Error, Result};
use crate::model::hash::Hash;
use crate::model::name::Username;
use crate::model::password::{KeyId, Look, look};
use crate::model::user::{Status, status};
use crate::store::{SignInRow, Store, StoredHash};

#[derive(Debug)]
pub enum Verdict {
    Right { key: KeyId, status: Status },
    Wrong(Why),
}

/// What the admin may know about a wrong password, and no stranger.
#[derive(Debug, PartialEq, Eq)]
pub enum Why {
    Unknown,
    /// A generated password that was mistyped or cut off.
    Mistyped,
    /// One this user had before.
    Stopped(KeyId),
}

impl App {
    pub fn verify(&mut self, username: &Username, password: &[u8]) -> Result<Verdict> {
        // Expiry and retirement cannot be told by a clock that is wrong.
        let now = self.now().plausible()?;
        let cost = self.store.settings()?.argon2;
        let Some(mut row) = read(&mut self.store, username)? else {
            // Costs what a known user costs (promise 9).
            self.hasher.pretend(password, cost)?;
            return Err(Error::UserNotFound(username.to_string()));
        };
        let hashes = std::mem::take(&mut row.hashes);
        let live = |hash: &StoredHash| hash.retires_at.is_none_or(|at| now < at);
        let hashes: Vec<_> = hashes.into_iter().filter(live).collect();
        let live = hashes.len();
        for stored in hashes {
            let hash = readable(username, &stored)?;
            if self.hasher.verify(password, &hash)? {
                if hash.is_cheaper_than(cost) {
                    // The answer stands whether or not this works; the next
                    // right password tries again.
                    let _ = self.rehash(username, &stored, password);
                }
                return Ok(Verdict::Right {
                    key: stored.key,
                    status: status(row.suspended_at, row.expires_at, live, now),
                });
            }
        }
        Ok(Verdict::Wrong(match look(password) {
            Look::Mistyped => Why::Mistyped,
            Look::Generated(key) if self.had(username, &key)? => Why::Stopped(key),
            Look::Generated(_) | Look::Chosen => Why::Unknown,
        }))
    }

    fn had(&mut self, username: &Username, key: &KeyId) -> Result<bool> {
        let user = self.store.user(username)?;
        Ok(user.is_some_and(|user| user.keys.iter().any(|k| k.id == *key)))
    }

    /// The costs were raised since: now that the password is known, its hash
    /// can follow.
    fn rehash(&mut self, username: &Username, stored: &StoredHash, password: &[u8]) -> Result<()> {
        let cost = self.store.settings()?.argon2;
        let hash = self.hasher.hash(password, cost, self.world.random)?;
        // Nobody waits for this one.
        let stamp = self.stamp()?;
        let mut tx = self.store.begin_now(stamp)?;
        tx.rehash(username, &stored.key, &stored.hash, &hash)?;
        tx.commit()
    }
}

/// What is stored of a user has to fit together: it has a password that does
/// not retire, and no password is without its user. Anything else is damage,
/// and no reason to say "wrong".
pub(super) fn read(store: &mut Store, username: &Username) -> Result<Option<SignInRow>> {
    // Twice: between the two statements a user may have been created.
    for _ in 0..2 {
        match store.sign_in_row(username)? {
            Some(row) if row.hashes.iter().any(|hash| hash.retires_at.is_none()) => {
                return Ok(Some(row));
            }
            None if store.hashes(username)?.is_empty() => return Ok(None),
            _ => {}
        }
    }
    Err(Error::Inconsistent(format!(
        "what the store has of {username} does not fit together"
    )))
}

pub(super) fn readable(username: &Username, stored: &StoredHash) -> Result<Hash> {
    if Hash::is_hidden(&stored.hash) {
        return Err(Error::HashesHidden);
    }
    Hash::stored(&stored.hash).ok_or_else(|| {
        Error::Inconsistent(format!(
            "the stored hash {} of {username} is damaged, or asks for more than the caps allow",
            stored.key
        ))
    })
}

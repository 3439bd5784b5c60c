//! Checking a password. Three outcomes: right, wrong, cannot tell; the last is
//! an error and never "wrong" (promise 4).

use super::App;
use crate::error::{Error, Result};
use crate::model::hash::Hash;
use crate::model::name::Username;
use crate::model::password::{KeyId, Look, look};
use crate::model::user::{Status, User};
use crate::store::StoredHash;

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
        let (user, mut hashes) = self.read(username)?;
        let Some(user) = user else {
            // Costs what a known user costs (promise 9).
            self.hasher.pretend(password, cost)?;
            return Err(Error::UserNotFound(username.to_string()));
        };
        hashes.retain(|hash| hash.retires_at.is_none_or(|at| now < at));
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
                    status: user.status(now),
                });
            }
        }
        Ok(Verdict::Wrong(match look(password) {
            Look::Mistyped => Why::Mistyped,
            Look::Generated(key) if user.keys.iter().any(|k| k.id == key) => Why::Stopped(key),
            Look::Generated(_) | Look::Chosen => Why::Unknown,
        }))
    }

    /// A user and its hashes, which have to fit together: every user has a
    /// password that does not retire, and every password a user. Anything else
    /// is damage, and no reason to say "wrong".
    fn read(&mut self, username: &Username) -> Result<(Option<User>, Vec<StoredHash>)> {
        // Twice: between the two statements somebody may change the user.
        for _ in 0..2 {
            let user = self.store.user(username)?;
            let hashes = self.store.hashes(username)?;
            if user.is_some() == hashes.iter().any(|hash| hash.retires_at.is_none()) {
                return Ok((user, hashes));
            }
        }
        Err(Error::Inconsistent(format!(
            "what the store has of {username} does not fit together"
        )))
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

fn readable(username: &Username, stored: &StoredHash) -> Result<Hash> {
    Hash::stored(&stored.hash).ok_or_else(|| {
        Error::Inconsistent(format!(
            "the stored hash {} of {username} is damaged, or asks for more than the caps allow",
            stored.key
        ))
    })
}

//! Signing in to a running relay. A password is hashed once: a good one is
//! remembered as a keyed hash that is bound to the stored one, a wrong one by
//! what it was tried against. The user is read anew whenever the store changed.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::known::{Known, KnownKey, SignIns, half, keyed, proof};
use super::throttle::Ticket;
use super::{Found, Relay};
use crate::app::sign_in::{read, readable};
use crate::error::Result;
use crate::model::hash::{Cost, Hash};
use crate::model::name::Username;
use crate::model::password::{KeyId, Look, look};
use crate::model::refusal::Reason;
use crate::model::time::Time;
use crate::store::StoredHash;

/// Somebody wants to sign in.
pub struct Attempt {
    /// As it came.
    pub username: String,
    pub password: Zeroizing<Vec<u8>>,
    pub address: Option<IpAddr>,
    pub secured: bool,
}

/// What to do about it.
pub enum Next {
    Accept(Accepted),
    /// Wrong; to be answered when so much time has passed since it came.
    Refuse(Reason, Duration),
    /// Hash it, see [`Relay::job`], and ask again with what came out.
    Hash(Digest),
}

pub struct Accepted {
    pub username: Username,
    pub key: KeyId,
    /// Its hash was made with less than is asked for today.
    pub upgrade: Option<Upgrade>,
}

/// A password to be compared with hashes; with none it only takes as long.
pub struct Job {
    pub digest: Digest,
    pub attempt: Arc<Attempt>,
    pub hashes: Vec<(KeyId, Hash)>,
    pub cost: Cost,
    /// Of somebody who has not guessed often: before the others.
    pub urgent: bool,
}

/// What came out: whose hash it was.
#[derive(Clone)]
pub struct Outcome {
    pub digest: Digest,
    pub key: Option<KeyId>,
}

/// A password to be hashed again.
pub struct Upgrade {
    pub username: Username,
    pub key: KeyId,
    pub old: String,
    pub cost: Cost,
}

/// Of a user, what is stored of its passwords, and the password tried.
pub type Digest = [u8; 32];

impl Relay {
    /// Decides, or says what to hash first. An error means that it cannot be
    /// told: never "wrong" (promise 4).
    pub fn sign_in(
        &mut self,
        attempt: &Arc<Attempt>,
        outcome: Option<&Outcome>,
        at: Instant,
    ) -> Result<Next> {
        self.fresh()?;
        // Expiry and retirement cannot be told by a clock that is wrong.
        let now = (self.world.now)().plausible()?;
        if !attempt.secured && !self.settings()?.allow_insecure {
            return Ok(self.refuse(attempt, Reason::NoTls, at));
        }
        let username = attempt.username.parse::<Username>().ok();
        let known = match &username {
            Some(username) => self.known(username)?,
            None => false,
        };
        let digest = match &username {
            Some(username) if known => match self.recognise(username, attempt, now) {
                Recognised::Right(key) => return Ok(self.right(username, key, attempt, now, at)),
                Recognised::Unknown(digest) => digest,
            },
            _ => keyed(
                &self.sign_ins.secret,
                b'n',
                &[attempt.username.as_bytes(), &attempt.password],
            ),
        };
        if let Some(reason) = self.sign_ins.wrong.get_mut(&digest) {
            let reason = *reason;
            return Ok(self.refuse(attempt, reason, at));
        }
        match (outcome, &username) {
            (Some(outcome), Some(username)) if outcome.digest == digest => match &outcome.key {
                Some(key) => {
                    let upgrade = self.remember(username, key, attempt)?;
                    let mut next = self.right(username, key.clone(), attempt, now, at);
                    if let Next::Accept(accepted) = &mut next {
                        accepted.upgrade = upgrade;
                        self.trust(username, attempt.address);
                    }
                    Ok(next)
                }
                None => self.wrong(Some(username), known, attempt, digest, at),
            },
            (Some(outcome), None) if outcome.digest == digest => {
                self.wrong(None, false, attempt, digest, at)
            }
            // Not hashed yet, or changed meanwhile.
            _ => Ok(Next::Hash(digest)),
        }
    }

    /// Reads the user, unless that was done since the store last changed. Says
    /// whether there is one.
    fn known(&mut self, username: &Username) -> Result<bool> {
        let epoch = self.epoch;
        if let Some(known) = self.sign_ins.users.get_mut(username.as_str())
            && known.epoch == epoch
        {
            return Ok(true);
        }
        let row = read(self.store()?, username)?;
        let before = self.sign_ins.users.remove(username.as_str());
        let Some(row) = row else {
            return Ok(false);
        };
        if before.is_none() {
            self.recall(username)?;
        }
        let mut before = before.map_or_else(Box::default, |known| known.keys);
        let mut keys = Vec::with_capacity(row.hashes.len());
        for stored in row.hashes {
            let digest = half(blake3::hash(stored.hash.as_bytes()).as_bytes());
            let same = before.iter_mut().find(|key| key.digest == digest);
            keys.push(KnownKey {
                id: stored.key,
                digest,
                retires_at: stored.retires_at,
                proof: same.and_then(|key| key.proof.take()),
            });
        }
        let known = Known {
            epoch,
            expires_at: row.expires_at,
            suspended: row.suspended_at.is_some(),
            keys: keys.into(),
        };
        self.sign_ins.users.insert(username.as_str().into(), known);
        Ok(true)
    }

    fn recognise(&mut self, username: &Username, attempt: &Attempt, now: Time) -> Recognised {
        let SignIns { users, secret, .. } = &mut self.sign_ins;
        let name = username.as_str();
        let password = attempt.password.as_slice();
        let mut parts = vec![name.as_bytes(), password];
        if let Some(known) = users.get_mut(name) {
            for key in known.live(now) {
                if key
                    .proof
                    .is_some_and(|right| right == proof(secret, name, &key.digest, password))
                {
                    return Recognised::Right(key.id.clone());
                }
                parts.push(&key.digest);
            }
        }
        Recognised::Unknown(keyed(secret, b'a', &parts))
    }

    /// What is to be hashed.
    pub fn job(&mut self, attempt: &Arc<Attempt>, digest: Digest, at: Instant) -> Result<Job> {
        let now = (self.world.now)().plausible()?;
        let mut hashes = Vec::new();
        if let Ok(username) = attempt.username.parse::<Username>() {
            let row = read(self.store()?, &username)?;
            let stored = row.map_or(Vec::new(), |row| row.hashes);
            for stored in live(stored, now) {
                hashes.push((stored.key.clone(), readable(&username, &stored)?));
            }
        }
        // A generated password says which one it is: that one first.
        if let Look::Generated(key) = look(&attempt.password) {
            hashes.sort_by_key(|(id, _)| *id != key);
        }
        let user = self.user_key(attempt);
        let suspect = self.sign_ins.throttle.is_suspect(user, attempt.address, at);
        Ok(Job {
            digest,
            attempt: Arc::clone(attempt),
            hashes,
            cost: self.settings()?.argon2,
            urgent: !suspect,
        })
    }

    /// After a restart the store knows who signed in from where.
    fn recall(&mut self, username: &Username) -> Result<()> {
        for address in self.store()?.last_addresses(username)? {
            if let Ok(address) = address.parse() {
                self.trust(username, Some(address));
            }
        }
        Ok(())
    }

    fn right(
        &mut self,
        username: &Username,
        key: KeyId,
        attempt: &Attempt,
        now: Time,
        at: Instant,
    ) -> Next {
        let known = self.sign_ins.users.get_mut(username.as_str());
        let stopped = known.and_then(|known| match known.expires_at {
            _ if known.suspended => Some(Reason::Suspended),
            Some(at) if at <= now => Some(Reason::Expired),
            _ => None,
        });
        match stopped {
            Some(reason) => self.refuse(attempt, reason, at),
            None => Next::Accept(Accepted {
                username: username.clone(),
                key,
                upgrade: None,
            }),
        }
    }

    fn trust(&mut self, username: &Username, address: Option<IpAddr>) {
        let user = self.sign_ins.who(username.as_str());
        self.sign_ins.throttle.trust(user, address);
    }

    /// All there is to write down. Who signed in is trusted from then on: not at
    /// each sign-in, of which there may be very many.
    pub fn take_found(&mut self) -> Found {
        let found = std::mem::take(&mut self.found);
        for (username, seen) in &found.seen {
            for (_, _, address) in seen {
                self.trust(username, *address);
            }
        }
        found
    }

    /// Remembers a password that was hashed and is right; says whether its
    /// hash should be made again.
    fn remember(
        &mut self,
        username: &Username,
        key: &KeyId,
        attempt: &Attempt,
    ) -> Result<Option<Upgrade>> {
        let cost = self.settings()?.argon2;
        let name = username.as_str();
        let SignIns { users, secret, .. } = &mut self.sign_ins;
        let keys = users
            .get_mut(name)
            .map_or(&mut [][..], |user| &mut user.keys);
        let Some(known) = keys.iter_mut().find(|known| known.id == *key) else {
            return Ok(None);
        };
        known.proof = Some(proof(secret, name, &known.digest, &attempt.password));
        let row = read(self.store()?, username)?;
        let stored = row
            .into_iter()
            .flat_map(|row| row.hashes)
            .find(|h| h.key == *key);
        Ok(stored
            .filter(|stored| Hash::stored(&stored.hash).is_some_and(|h| h.is_cheaper_than(cost)))
            .map(|stored| Upgrade {
                username: username.clone(),
                key: key.clone(),
                old: stored.hash,
                cost,
            }))
    }

    fn wrong(
        &mut self,
        username: Option<&Username>,
        known: bool,
        attempt: &Attempt,
        digest: Digest,
        at: Instant,
    ) -> Result<Next> {
        let reason = match username {
            Some(username) if known => self.why(username, attempt)?,
            _ => Reason::UnknownUser,
        };
        self.sign_ins.wrong.insert(digest, reason);
        if reason.is_guess() {
            let user = self.user_key(attempt);
            self.sign_ins.throttle.guessed(user, attempt.address, at);
        }
        Ok(self.refuse(attempt, reason, at))
    }

    fn why(&mut self, username: &Username, attempt: &Attempt) -> Result<Reason> {
        Ok(match look(&attempt.password) {
            Look::Mistyped => Reason::Mistyped,
            Look::Generated(key) => match self.store()?.user(username)? {
                Some(user) if user.keys.iter().any(|k| k.id == key) => Reason::OldPassword,
                _ => Reason::WrongPassword,
            },
            Look::Chosen => Reason::WrongPassword,
        })
    }

    /// A request that nobody needs to look at.
    pub fn malformed(&mut self, address: Option<IpAddr>, at: Instant) -> Duration {
        self.sign_ins.throttle.delay(0, address, at)
    }

    /// Leave to hash a password; nothing if there are too many of this address or
    /// user already.
    pub fn enter(&mut self, attempt: &Attempt, at: Instant) -> Option<Ticket> {
        let user = self.user_key(attempt);
        self.sign_ins.throttle.enter(user, attempt.address, at)
    }

    pub fn leave(&mut self, ticket: Ticket) {
        self.sign_ins.throttle.leave(ticket);
    }

    fn refuse(&mut self, attempt: &Attempt, reason: Reason, at: Instant) -> Next {
        let user = self.user_key(attempt);
        let delay = self.sign_ins.throttle.delay(user, attempt.address, at);
        Next::Refuse(reason, delay)
    }

    fn user_key(&self, attempt: &Attempt) -> u64 {
        // In one form, or `A@x` and `a@x` were two.
        match attempt.username.parse::<Username>() {
            Ok(username) => self.sign_ins.who(username.as_str()),
            Err(_) => self.sign_ins.who(&attempt.username),
        }
    }
}

enum Recognised {
    Right(KeyId),
    Unknown(Digest),
}

fn live(hashes: Vec<StoredHash>, now: Time) -> impl Iterator<Item = StoredHash> {
    hashes
        .into_iter()
        .filter(move |hash| hash.retires_at.is_none_or(|at| now < at))
}

impl Job {
    /// Takes as long for a user that does not exist (promise 9).
    pub fn run(&self, hasher: &mut crate::model::hash::Hasher) -> Result<Outcome> {
        let password = &self.attempt.password;
        let mut key = None;
        for (id, hash) in &self.hashes {
            if hasher.verify(password, hash)? {
                key = Some(id.clone());
                break;
            }
        }
        if self.hashes.is_empty() {
            hasher.pretend(password, self.cost)?;
        }
        Ok(Outcome {
            digest: self.digest,
            key,
        })
    }
}

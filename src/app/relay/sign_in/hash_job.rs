//! Checks a password that is not remembered: compares it with the hashes of its user.
//!
//! A generated password with a wrong checksum can only be right if its user has a chosen
//! one; otherwise it is not hashed. Its worker is occupied for the time of a recent hash,
//! without a thread, and its answer has the usual delay and comes at a whole second, like
//! all answers. So clients cannot see whether it was hashed: whether its user has a chosen
//! password, only generated ones, or does not exist. An unknown user is treated like one
//! whose passwords are all generated, which is true of most users.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::attempt::{Attempt, LookedUp};
use super::digest::Digest;
use super::hash_queue::{HashRequest, HashVerdict, Ticket};
use crate::app::relay::Relay;
use crate::app::verify::{read, readable};
use crate::error::Result;
use crate::model::hash::{Cost, Hash, Hasher};
use crate::model::name::Username;
use crate::model::password::{PasswordId, PasswordKind, classify};
use crate::model::refused_sign_ins::RefusalReason;
use crate::model::time::Time;
use crate::store::StoredHash;

/// A password to be compared with the stored hashes of its user.
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are independent facts about one attempt"
)]
pub struct HashJob {
    /// Identifies the user, its stored hashes and the password tried.
    pub digest: Digest,
    /// What the client signs in with.
    pub attempt: Arc<Attempt>,
    /// Without any, a dummy hash takes as long.
    pub hashes: Vec<MatchedPassword>,
    /// The cost of the dummy hash.
    pub cost: Cost,
    /// False if no hash can match: then none is computed.
    pub may_match: bool,
    /// The password contains the ID of a live password of its user.
    pub named: bool,
    /// False if the address is not allowed: then a right password counts as a wrong one.
    pub may_enter: bool,
    /// There is such a user.
    pub user_exists: bool,
    /// The generation of the store in which the user was read.
    pub generation: u64,
}

/// A password and its stored hash.
#[derive(Clone)]
pub struct MatchedPassword {
    /// Identifies the password.
    pub id: PasswordId,
    /// As it is stored.
    pub hash: Hash,
}

/// The outcome of a [`HashJob`].
#[derive(Clone)]
pub struct HashOutcome {
    /// The digest of the job.
    pub digest: Digest,
    /// The password that is right, if any.
    pub matched: Option<MatchedPassword>,
    /// There is such a user.
    pub user_exists: bool,
    /// The generation of the store in which the user was read.
    pub generation: u64,
}

impl Relay {
    /// Returns what to hash for an attempt. Reads the user only if that has not just been
    /// done.
    pub(super) fn job(
        &mut self,
        attempt: &Arc<Attempt>,
        username: Option<&Username>,
        user: LookedUp,
        (digest, named): (Digest, bool),
        now: Time,
    ) -> Result<HashJob> {
        let kind = classify(&attempt.password);
        let mut hashes = Vec::new();
        let mut may_enter = true;
        if let Some(username) = username.filter(|_| user.exists) {
            let judged = self.judge(username, attempt, now)?;
            may_enter = !matches!(judged, Err(RefusalReason::AddressNotAllowed));
            let stored = match user.hashes {
                Some(stored) => stored,
                None => read(self.store()?, username)?.map_or(Vec::new(), |row| row.hashes),
            };
            let possible = |stored: &StoredHash| stored.is_live(now) && stored.may_be(&kind);
            for stored in stored.into_iter().filter(possible) {
                let hash = readable(username, &stored)?;
                // A generated password is never mistyped.
                if !(kind == PasswordKind::Mistyped && stored.generated) {
                    let id = stored.password_id;
                    hashes.push(MatchedPassword { id, hash });
                }
            }
        }
        // A generated password names itself: that one is tried first.
        if let PasswordKind::Generated(id) = &kind {
            hashes.sort_by_key(|password| password.id != *id);
        }
        Ok(HashJob {
            digest,
            attempt: Arc::clone(attempt),
            may_match: kind != PasswordKind::Mistyped || !hashes.is_empty(),
            hashes,
            cost: self.settings()?.argon2,
            named,
            may_enter,
            user_exists: user.exists,
            generation: self.reader.generation(),
        })
    }

    /// Queues a password to be hashed; [`Relay::next_hash`] returns the ticket. Returns
    /// false if too many already wait for the same user in the same network.
    pub fn queue_hash(&mut self, ticket: Ticket, job: &HashJob, at: Instant) -> bool {
        let request = HashRequest {
            ticket,
            digest: job.digest,
            party: self.party(&job.attempt),
            named: job.named,
            since: job.attempt.since,
        };
        self.hash_queue.push(request, at)
    }

    /// Removes a client that was answered or has hung up from the queue.
    pub fn cancel_hash(&mut self, ticket: Ticket) {
        self.hash_queue.remove(ticket);
    }

    /// Returns the ticket to hash now, or `None` if no worker is free or all must wait. The
    /// caller must call [`Relay::hash_done`] or [`Relay::hash_failed`] afterwards.
    pub fn next_hash(&mut self, at: Instant) -> Option<Ticket> {
        self.hash_queue.next(at)
    }

    /// Returns when to ask again for the next one, or `None` if only the end of a hash
    /// changes anything.
    pub fn next_hash_at(&self, at: Instant) -> Option<Instant> {
        self.hash_queue.look_again(at)
    }

    /// Returns how long a job occupies its worker if no hash can match.
    pub const fn usual_hash_time(&self) -> Duration {
        self.hash_queue.usual()
    }

    /// Frees the worker of a job. `took` is `None` if nothing was computed.
    pub fn hash_done(
        &mut self,
        job: &HashJob,
        outcome: &Result<HashOutcome>,
        took: Option<Duration>,
        at: Instant,
    ) {
        let verdict = match outcome {
            Ok(outcome) if outcome.matched.is_some() && job.may_enter => HashVerdict::Right,
            Ok(_) => HashVerdict::Wrong,
            Err(_) => HashVerdict::Failed,
        };
        self.hash_queue.done(&job.digest, verdict, took, at);
    }

    /// Frees the worker of a job that was not begun.
    pub fn hash_failed(&mut self, digest: &Digest, at: Instant) {
        self.hash_queue.done(digest, HashVerdict::Failed, None, at);
    }
}

impl HashJob {
    /// Compares the password with each hash. Takes as long for a user that does not exist
    /// (promise 9).
    pub fn run(&self, hasher: &mut Hasher) -> Result<HashOutcome> {
        let password = &self.attempt.password;
        let mut matched = None;
        for candidate in &self.hashes {
            if hasher.verify(password, &candidate.hash)? {
                matched = Some(candidate.clone());
                break;
            }
        }
        if self.hashes.is_empty() {
            hasher.dummy_hash(password, self.cost)?;
        }
        Ok(self.outcome(matched))
    }

    /// Returns the outcome "wrong", without computing anything.
    pub const fn wrong(&self) -> HashOutcome {
        self.outcome(None)
    }

    const fn outcome(&self, matched: Option<MatchedPassword>) -> HashOutcome {
        HashOutcome {
            digest: self.digest,
            matched,
            user_exists: self.user_exists,
            generation: self.generation,
        }
    }
}

//! Decides whether a client may sign in. A password is hashed once: a right one is then
//! remembered as a keyed hash that is bound to the stored one, a wrong one together with
//! what it was compared with. The user is read again after each change of the store.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use super::attempt::Attempt;
use super::digest::{Digest, keyed};
use super::hash_job::{HashJob, HashOutcome};
use super::throttle::Party;
use super::upgrade::Upgrade;
use crate::app::relay::Relay;
use crate::error::{Error, Result};
use crate::model::address_rules::AddressVerdict;
use crate::model::name::Username;
use crate::model::password::{PasswordId, PasswordKind, classify};
use crate::model::refused_sign_ins::RefusalReason;
use crate::model::time::Time;

/// What to do about an attempt.
pub enum SignInDecision {
    /// Accept it.
    Accept(Accepted),
    /// Refuse it, at this time.
    Refuse(RefusalReason, Instant),
    /// Queue this with [`Relay::queue_hash`] and ask again with its outcome.
    Hash(Box<HashJob>),
}

/// What follows from the address of a right password, or why it is refused.
type Judgement = std::result::Result<AddressVerdict, RefusalReason>;

/// A successful sign-in.
pub struct Accepted {
    /// The user that signed in.
    pub username: Username,
    /// The name that it signed in with: its own or an old one. Its session goes on as long
    /// as this name works.
    pub name: Username,
    /// The password it signed in with.
    pub password_id: PasswordId,
    /// What follows from its address.
    pub verdict: AddressVerdict,
    /// The password is to be hashed again, at a higher cost.
    pub upgrade: Option<Upgrade>,
}

impl Relay {
    /// Decides about an attempt: once for a remembered password, and once more with the
    /// outcome of its hash for any other. An error means that this cannot be decided now,
    /// and never "wrong" (promise 4).
    pub fn sign_in(
        &mut self,
        attempt: &Arc<Attempt>,
        outcome: Option<&HashOutcome>,
        at: Instant,
    ) -> Result<SignInDecision> {
        self.reader.check()?;
        // Expiry and retirement cannot be decided by a clock that is wrong.
        let now = (self.world.now)().plausible()?;
        if !attempt.secured && !self.settings()?.allow_insecure {
            return Ok(self.refuse(attempt, RefusalReason::NoTls, at));
        }
        let name = attempt.username.parse::<Username>().ok();
        let (username, user) = self.find(name, outcome, now)?;
        let (digest, named) = match &username {
            Some(username) if user.exists => {
                if let Some(id) = self.recognise(username, attempt, now) {
                    match self.judge(username, attempt, now)? {
                        Ok(verdict) => return Ok(accept(username, attempt, id, verdict, None)),
                        // Nothing may tell it from a wrong one, also not how soon it is
                        // answered among others: it is hashed.
                        Err(RefusalReason::AddressNotAllowed) => {}
                        Err(reason) => return Ok(self.refuse(attempt, reason, at)),
                    }
                }
                self.load_addresses(username)?;
                self.digest_of_known(username, attempt, now)
            }
            _ => (self.digest_of_unknown(username.as_ref(), attempt), false),
        };
        if let Some(reason) = self.sign_ins.wrong.get_mut(&digest).copied()
            && self.still_holds(reason, username.as_ref(), attempt, now)?
        {
            return Ok(self.refuse(attempt, reason, at));
        }
        if let Some(outcome) = outcome.filter(|outcome| outcome.digest == digest) {
            return self.hashed(username.as_ref(), attempt, outcome, now, at);
        }
        // It was not hashed yet, or the passwords of the user have changed since.
        let job = self.job(attempt, username.as_ref(), user, (digest, named), now)?;
        Ok(SignInDecision::Hash(Box::new(job)))
    }

    fn hashed(
        &mut self,
        username: Option<&Username>,
        attempt: &Attempt,
        outcome: &HashOutcome,
        now: Time,
        at: Instant,
    ) -> Result<SignInDecision> {
        let (Some(username), Some(password)) = (username, &outcome.matched) else {
            return self.wrong(username, attempt, outcome, at);
        };
        let upgrade = self.remember(username, password, attempt)?;
        let verdict = match self.judge(username, attempt, now)? {
            Ok(verdict) => verdict,
            Err(RefusalReason::AddressNotAllowed) => {
                // Delays its party as a wrong one would; right passwords are never delayed.
                let reason = RefusalReason::AddressNotAllowed;
                self.sign_ins.wrong.insert(outcome.digest, reason);
                let party = self.party(attempt);
                self.hash_queue.throttle.guessed(party, at);
                return Ok(self.refuse_in_turn(attempt, reason, at));
            }
            Err(reason) => return Ok(self.refuse_in_turn(attempt, reason, at)),
        };
        self.trust(username, attempt.address);
        let id = password.id.clone();
        Ok(accept(username, attempt, id, verdict, upgrade))
    }

    /// Decides about the right password of a user that was looked up, from its address.
    pub(super) fn judge(
        &mut self,
        username: &Username,
        attempt: &Attempt,
        now: Time,
    ) -> Result<Judgement> {
        let Some(user) = self.sign_ins.users.get_mut(username.as_str()) else {
            return Err(Error::System("the user is lost".into()));
        };
        if let Some(reason) = user.refusal(now) {
            return Ok(Err(reason));
        }
        let user = &*user;
        let issued = user.temporary(&attempt.password, now);
        if let Some(networks) = issued.and_then(|issued| issued.networks.as_ref()) {
            let is_allowed = attempt.address.is_some_and(|from| networks.contain(from));
            return Ok(if is_allowed {
                Ok(AddressVerdict::Accept)
            } else {
                Err(RefusalReason::AddressNotAllowed)
            });
        }
        let Some(policy) = &user.addresses else {
            return Ok(Ok(AddressVerdict::AcceptAndTell));
        };
        let ignored = &self.reader.settings()?.ignore_addresses;
        Ok(match policy.judge(attempt.address, ignored, now) {
            AddressVerdict::Refuse => Err(RefusalReason::AddressNotAllowed),
            // Where a guest of some hours comes from is not where its user does.
            AddressVerdict::Learn { tell: true } if issued.is_some() => {
                Ok(AddressVerdict::AcceptAndTell)
            }
            AddressVerdict::Learn { tell: false } if issued.is_some() => Ok(AddressVerdict::Accept),
            verdict => Ok(verdict),
        })
    }

    /// Returns whether a remembered reason holds for this attempt, too: one may come from
    /// another address.
    fn still_holds(
        &mut self,
        reason: RefusalReason,
        username: Option<&Username>,
        attempt: &Attempt,
        now: Time,
    ) -> Result<bool> {
        match username {
            Some(username) if reason == RefusalReason::AddressNotAllowed => {
                Ok(self.judge(username, attempt, now)?.is_err())
            }
            _ => Ok(true),
        }
    }

    fn wrong(
        &mut self,
        username: Option<&Username>,
        attempt: &Attempt,
        outcome: &HashOutcome,
        at: Instant,
    ) -> Result<SignInDecision> {
        let reason = match username {
            Some(username) if outcome.user_exists => self.why_wrong(username, attempt)?,
            _ => RefusalReason::UnknownUser,
        };
        self.sign_ins.wrong.insert(outcome.digest, reason);
        let party = self.party(attempt);
        if reason.is_guess() {
            self.hash_queue.throttle.guessed(party, at);
        }
        Ok(self.refuse_in_turn(attempt, reason, at))
    }

    fn why_wrong(&mut self, username: &Username, attempt: &Attempt) -> Result<RefusalReason> {
        Ok(match classify(&attempt.password) {
            PasswordKind::Mistyped => RefusalReason::Mistyped,
            PasswordKind::Generated(id) => match self.store()?.user(username)? {
                Some(user) if user.all_passwords().any(|own| own.id == id) => {
                    RefusalReason::OldPassword
                }
                _ => RefusalReason::WrongPassword,
            },
            PasswordKind::Chosen => RefusalReason::WrongPassword,
        })
    }

    /// Returns when to refuse a request that contains no password.
    pub fn malformed(&mut self, address: Option<IpAddr>, at: Instant) -> Instant {
        let party = Party { user: 0, address };
        self.hash_queue.throttle.answer(party, at, at)
    }

    fn refuse(&mut self, attempt: &Attempt, reason: RefusalReason, at: Instant) -> SignInDecision {
        let party = self.party(attempt);
        let answer = self.hash_queue.throttle.answer(party, attempt.since, at);
        SignInDecision::Refuse(reason, answer)
    }

    /// Refuses a password that was hashed. The right one of a suspended user, too, takes
    /// its turn among the wrong ones, so that it looks like them (promise 9).
    fn refuse_in_turn(
        &mut self,
        attempt: &Attempt,
        reason: RefusalReason,
        at: Instant,
    ) -> SignInDecision {
        let party = self.party(attempt);
        let times = (attempt.since, attempt.latest);
        let answer = self.hash_queue.throttle.answer_in_turn(party, times, at);
        SignInDecision::Refuse(reason, answer)
    }

    /// Returns the digest of an attempt with the name of no user. All spellings of a name
    /// share it, as they do for a user that exists (promise 9).
    fn digest_of_unknown(&self, username: Option<&Username>, attempt: &Attempt) -> Digest {
        let name = username.map_or(attempt.username.as_str(), Username::as_str);
        let parts = [name.as_bytes(), &attempt.password];
        keyed(&self.sign_ins.secret, b'n', &parts)
    }

    pub(super) fn trust(&mut self, username: &Username, address: Option<IpAddr>) {
        let user = self.sign_ins.name(username.as_str());
        self.hash_queue.throttle.trust(Party { user, address });
    }

    pub(super) fn party(&mut self, attempt: &Attempt) -> Party {
        // In one form: `A@x` and `a@x` are the same user, and so is its old name.
        let user = match attempt.username.parse::<Username>() {
            Ok(name) => {
                let username = self.known_user(name);
                self.sign_ins.name(username.as_str())
            }
            Err(_) => self.sign_ins.name(&attempt.username),
        };
        Party {
            user,
            address: attempt.address,
        }
    }
}

fn accept(
    username: &Username,
    attempt: &Attempt,
    password_id: PasswordId,
    verdict: AddressVerdict,
    upgrade: Option<Upgrade>,
) -> SignInDecision {
    let name = attempt.username.parse();
    SignInDecision::Accept(Accepted {
        username: username.clone(),
        name: name.unwrap_or_else(|_| username.clone()),
        password_id,
        verdict,
        upgrade,
    })
}

#[cfg(test)]
mod addresses_tests;
#[cfg(test)]
mod tests;

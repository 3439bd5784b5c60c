//! Looks up the user of an attempt: in memory, or in the store if that has changed since.

use super::attempt::{Attempt, LookedUp};
use super::cache::{CachedUser, SignInCache};
use super::digest::{Digest, keyed, proof};
use super::hash_job::HashOutcome;
use crate::app::relay::Relay;
use crate::app::verify::read;
use crate::error::Result;
use crate::model::name::Username;
use crate::model::password::{PasswordId, PasswordKind, classify};
use crate::model::time::Time;
use crate::store::StoredHash;

impl Relay {
    /// Looks up a user; `outcome` saves a second look for one that does not exist.
    fn look_up(
        &mut self,
        username: Option<&Username>,
        outcome: Option<&HashOutcome>,
    ) -> Result<LookedUp> {
        let missing = LookedUp {
            exists: false,
            hashes: None,
        };
        let Some(username) = username else {
            return Ok(missing);
        };
        if self.is_cached(username) {
            return Ok(LookedUp {
                exists: true,
                hashes: None,
            });
        }
        let is_missing = |outcome: &HashOutcome| {
            !outcome.user_exists && outcome.generation == self.reader.generation()
        };
        if outcome.is_some_and(is_missing) {
            return Ok(missing);
        }
        let hashes = self.read_user(username)?;
        Ok(LookedUp {
            exists: hashes.is_some(),
            hashes,
        })
    }

    /// Looks up the user that signs in with a name: its own, or an old one that still works.
    pub(super) fn find(
        &mut self,
        name: Option<Username>,
        outcome: Option<&HashOutcome>,
        now: Time,
    ) -> Result<(Option<Username>, LookedUp)> {
        let user = self.look_up(name.as_ref(), outcome)?;
        let (Some(old), false) = (&name, user.exists) else {
            return Ok((name, user));
        };
        match self.renamed(old, now)? {
            None => Ok((name, user)),
            current => {
                let user = self.look_up(current.as_ref(), outcome)?;
                Ok((current, user))
            }
        }
    }

    /// Returns whether there is such a user, as of the current state of the store.
    pub(in crate::app::relay) fn user_exists(&mut self, username: &Username) -> Result<bool> {
        Ok(self.is_cached(username) || self.read_user(username)?.is_some())
    }

    fn is_cached(&mut self, username: &Username) -> bool {
        let user = self.sign_ins.users.get_mut(username.as_str());
        user.is_some_and(|user| user.generation == self.reader.generation())
    }

    /// Reads a user into the cache. Returns its stored hashes, or `None` if it does not
    /// exist.
    fn read_user(&mut self, username: &Username) -> Result<Option<Vec<StoredHash>>> {
        let generation = self.reader.generation();
        let row = read(self.store()?, username)?;
        let before = self.sign_ins.users.remove(username.as_str());
        let Some(row) = row else {
            return Ok(None);
        };
        let addresses_loaded = before.is_some_and(|user| user.addresses_loaded);
        let addresses = self.addresses(username, &row)?;
        let user = CachedUser::new(&row, addresses, generation, addresses_loaded);
        self.sign_ins.users.insert(username.as_str().into(), user);
        Ok(Some(row.hashes))
    }

    /// Returns the live password of a user that this one is remembered as.
    pub(super) fn recognise(
        &mut self,
        username: &Username,
        attempt: &Attempt,
        now: Time,
    ) -> Option<PasswordId> {
        let SignInCache {
            users,
            right,
            secret,
            ..
        } = &mut self.sign_ins;
        let name = username.as_str();
        let password = attempt.password.as_slice();
        let mut live = users.get_mut(name)?.live(now);
        let known = live.find(|own| right.knows(proof(secret, name, &own.digest, password)));
        known.map(|own| own.id.clone())
    }

    /// Returns what identifies a user, its live passwords and the password tried, and whether
    /// that one contains the ID of a live one.
    pub(super) fn digest_of_known(
        &mut self,
        username: &Username,
        attempt: &Attempt,
        now: Time,
    ) -> (Digest, bool) {
        let SignInCache { users, secret, .. } = &mut self.sign_ins;
        let name = username.as_str();
        let password = attempt.password.as_slice();
        let mut parts = vec![name.as_bytes(), password];
        let user = users.get_mut(name).map(|user| &*user);
        for own in user.into_iter().flat_map(|user| user.live(now)) {
            parts.push(&own.digest);
        }
        let named = match (classify(password), user) {
            (PasswordKind::Generated(own), Some(user)) => {
                user.live(now).any(|password| password.id == own)
            }
            _ => false,
        };
        (keyed(secret, b'a', &parts), named)
    }

    /// Trusts the addresses that the store keeps of a user, once for each start.
    pub(super) fn load_addresses(&mut self, username: &Username) -> Result<()> {
        match self.sign_ins.users.get_mut(username.as_str()) {
            Some(user) if !user.addresses_loaded => user.addresses_loaded = true,
            _ => return Ok(()),
        }
        for address in self.store()?.last_addresses(username)? {
            if let Ok(address) = address.parse() {
                self.trust(username, Some(address));
            }
        }
        Ok(())
    }
}

//! Releases the leases of this relay, and has those of busy users renewed.

use super::reservation::RenewedLease;
use crate::app::relay::Relay;
use crate::error::Result;
use crate::model::name::Username;
use crate::model::time::Time;
use crate::model::usage_window::Count;
use crate::store::Scope;

impl Relay {
    /// Releases all leases. Returns the users that used theirs and are likely to send on,
    /// each with a message as that user sends it.
    pub fn release_leases(&mut self) -> Vec<(Username, Count)> {
        let mut busy = Vec::new();
        for (release, last) in self.policy.leases.drain() {
            busy.extend(last.map(|message| (release.username.clone(), message)));
            self.pending.releases.push(release);
        }
        busy
    }

    /// Does the same and returns the users whose leases the writer should renew: none while
    /// it is still renewing others.
    pub fn release_to_renew(&mut self) -> Vec<(Username, Count)> {
        let mut busy = self.release_leases();
        let leases = &mut self.policy.leases;
        if leases.renewing {
            busy.clear();
        }
        leases.renewing |= !busy.is_empty();
        busy
    }

    /// Returns whether the writer is renewing leases.
    pub fn is_renewing(&self) -> bool {
        self.policy.leases.renewing
    }

    /// Adds the leases that the writer renewed.
    pub fn renewed(&mut self, renewed: Vec<RenewedLease>) {
        self.policy.leases.renewing = false;
        for (username, lease, at) in renewed {
            self.add_lease(&username, lease, at);
        }
    }

    /// Adds a lease that the writer granted.
    pub(in crate::app::relay) fn add_lease(&mut self, username: &Username, lease: Count, at: Time) {
        let replaced = self.policy.leases.add(username, lease, at);
        self.pending.releases.extend(replaced);
    }

    /// Returns whether any relay has leases that may still be released.
    pub(in crate::app::relay) fn is_leased(
        &mut self,
        username: &Username,
        now: Time,
    ) -> Result<bool> {
        let store = self.store()?;
        for owner in Scope::all(username) {
            if store.leased(owner, now)? != Count::default() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

//! Users that were renamed after a relay collected entries about them and before the entries
//! are written.

use std::collections::{BTreeMap, BTreeSet};

use crate::app::relay::pending_writes::PendingWrites;
use crate::error::Result;
use crate::model::name::Username;
use crate::model::time::Time;
use crate::store::Tx;

/// The new name of each.
pub(super) struct RenamedUsers(BTreeMap<Username, Username>);

/// Longer than anything waits to be written, in seconds.
const RECENTLY: i64 = 7 * 86_400;

impl RenamedUsers {
    /// Looks up the users that the pending entries are about.
    pub fn look_up(tx: &mut Tx, pending: &PendingWrites, now: Time) -> Result<Self> {
        let mut names = BTreeSet::new();
        names.extend(pending.seen.keys());
        names.extend(pending.sent_with.keys());
        let refused = pending.refused_addresses.keys();
        names.extend(refused.map(|(username, _)| username));
        names.extend(pending.sent.keys().map(|(username, _)| username));
        names.extend(pending.uncounted.keys().map(|(username, _)| username));
        names.extend(pending.recipients.keys().map(|(username, _)| username));
        names.extend(pending.releases.iter().map(|release| &release.username));
        Self::of(tx, names, now)
    }

    /// Looks up those of these users that were renamed lately.
    pub fn of(tx: &mut Tx, names: BTreeSet<&Username>, now: Time) -> Result<Self> {
        let since = Time::from_epoch(now.epoch() - RECENTLY);
        if names.is_empty() || !tx.store().was_any_renamed(since)? {
            return Ok(Self(BTreeMap::new()));
        }
        let names: Vec<_> = names.into_iter().collect();
        let found = tx.store().old_names_named(&names)?.into_iter().flatten();
        Ok(Self(
            found.map(|old| (old.old_name, old.username)).collect(),
        ))
    }

    /// Returns the name of a user now.
    pub fn now<'a>(&'a self, username: &'a Username) -> &'a Username {
        self.0.get(username).unwrap_or(username)
    }
}

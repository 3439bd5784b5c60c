//! Leases: messages that are counted in advance for busy users. They are used here, released
//! twice a second and then renewed, so that none is counted under an old time for long.

use std::collections::HashMap;

use crate::app::relay::pending_writes::Release;
use crate::model::name::Username;
use crate::model::time::Time;
use crate::model::usage_window::Count;

/// The leases of this relay.
#[derive(Default)]
pub struct Leases {
    by_user: HashMap<Username, Lease>,
    /// The writer is renewing some.
    pub renewing: bool,
}

/// What is counted in advance for a user.
struct Lease {
    left: Count,
    whole: Count,
    /// The last message that was taken from it.
    last: Option<Count>,
    /// The time under which it was counted, and is released.
    at: Time,
}

impl Lease {
    fn into_release(self, username: Username) -> Release {
        Release {
            username,
            left: self.left,
            held: self.whole,
            new_recipients: Vec::new(),
            at: self.at,
        }
    }
}

impl Leases {
    /// Returns whether there are any, or some are on their way.
    pub fn is_empty(&self) -> bool {
        !self.renewing && self.by_user.is_empty()
    }

    /// Returns how much of a user's lease is left.
    pub fn left(&self, username: &Username) -> Count {
        let lease = self.by_user.get(username);
        lease.map_or(Count::default(), |lease| lease.left)
    }

    /// Takes a message from a user's lease. Returns the time under which it was counted, or
    /// `None` if there is not enough.
    pub fn take(&mut self, username: &Username, message: Count) -> Option<Time> {
        let lease = self.by_user.get_mut(username)?;
        let enough =
            lease.left.messages >= message.messages && lease.left.recipients >= message.recipients;
        if !enough {
            return None;
        }
        lease.left = lease.left.saturating_sub(message);
        lease.last = Some(message);
        Some(lease.at)
    }

    /// Adds a lease. Returns the release of the one that it replaces.
    pub fn add(&mut self, username: &Username, lease: Count, at: Time) -> Option<Release> {
        if lease.messages == 0 {
            return None;
        }
        let lease = Lease {
            left: lease,
            whole: lease,
            last: None,
            at,
        };
        let replaced = self.by_user.insert(username.clone(), lease);
        replaced.map(|lease| lease.into_release(username.clone()))
    }

    /// Removes a user's lease and returns its release.
    pub fn remove(&mut self, username: &Username) -> Option<Release> {
        let lease = self.by_user.remove(username);
        lease.map(|lease| lease.into_release(username.clone()))
    }

    /// Removes all leases. Returns each with the last message that was taken from it, if any.
    pub fn drain(&mut self) -> impl Iterator<Item = (Release, Option<Count>)> {
        self.by_user.drain().map(|(username, lease)| {
            let last = lease.last;
            (lease.into_release(username), last)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::relay::testing::messages;

    const NOW: Time = Time::from_epoch(1_800_000_000);

    #[test]
    fn p7_no_more_is_taken_than_was_leased() {
        let user: Username = "shop@example.com".parse().unwrap();
        let mut leases = Leases::default();
        assert!(leases.add(&user, messages(3), NOW).is_none());
        assert_eq!(leases.take(&user, messages(2)), Some(NOW));
        assert_eq!(leases.take(&user, messages(2)), None);
        assert_eq!(leases.take(&user, messages(1)), Some(NOW));
        assert_eq!(leases.take(&user, messages(1)), None);
        let release = leases.remove(&user).unwrap();
        assert_eq!((release.left, release.held), (messages(0), messages(3)));
        assert!(leases.is_empty());
    }

    #[test]
    fn p7_a_replaced_lease_is_released() {
        let user: Username = "shop@example.com".parse().unwrap();
        let mut leases = Leases::default();
        leases.add(&user, messages(3), NOW);
        leases.take(&user, messages(1));
        let release = leases.add(&user, messages(8), NOW).unwrap();
        assert_eq!((release.left, release.held), (messages(2), messages(3)));
        assert_eq!(leases.left(&user), messages(8));
    }
}

//! Right passwords that were refused because of their address.

use std::net::IpAddr;

use crate::model::time::Time;

/// Right passwords from an address that is not allowed.
#[derive(Debug, PartialEq, Eq)]
pub struct RefusedAddress {
    /// The last address, if it is known.
    pub address: Option<IpAddr>,
    /// When the first was refused.
    pub first_at: Time,
    /// When the last was refused.
    pub last_at: Time,
    /// How many were refused.
    pub count: i64,
    /// The last was a temporary password with networks of its own.
    pub has_networks: bool,
}

impl RefusedAddress {
    /// Counts the first.
    pub const fn new(address: Option<IpAddr>, at: Time) -> Self {
        Self {
            address,
            first_at: at,
            last_at: at,
            count: 1,
            has_networks: false,
        }
    }

    /// Adds newer ones.
    pub const fn merge(&mut self, newer: &Self) {
        self.count = self.count.saturating_add(newer.count);
        (self.last_at, self.address) = (newer.last_at, newer.address);
        self.has_networks = newer.has_networks;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_last_are_known() {
        let refused =
            |address: &str, at| RefusedAddress::new(address.parse().ok(), Time::from_epoch(at));
        let mut known = refused("192.0.2.1", 1);
        known.merge(&refused("192.0.2.2", 2));
        let expected = RefusedAddress {
            first_at: Time::from_epoch(1),
            count: 2,
            ..refused("192.0.2.2", 2)
        };
        assert_eq!(known, expected);
    }
}
